//! Image files of a folder or an archive, decoded by all threads straight into one buffer.

use std::io::{Cursor, Read};
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use image::{ColorType, DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits};
use madloop_core::Shape;
use rayon::prelude::*;

use super::jpeg;
use super::limits::{MAX_DECODING, MAX_MEMBER, MAX_SAMPLES, MAX_SIDE, check_memory, zeroed};
use super::loaded::{Buffer, Loaded};
use super::map::CHECK_PATH;
use super::names;
use super::read::{Color, ReadOptions};
use super::resize::{Size, fit};
use crate::{Error, Result};

/// Image files that can be read, by extension.
pub(crate) const EXTENSIONS: [&str; 7] = ["png", "jpg", "jpeg", "webp", "bmp", "tif", "tiff"];

/// Image files somewhere.
pub(crate) trait Members: Sync {
    /// What a thread needs to read them.
    type Reader;

    /// Their names: paths below the folder or archive, with `/`.
    fn names(&self) -> Vec<&str>;
    /// Names of the files that are no images and do not go with images either.
    fn others(&self) -> &[String];
    /// What `dataset.json` holds, where there is one.
    fn labels(&self) -> Result<Option<Vec<u8>>>;
    /// What tells one state of the files from another: names, sizes, times or checksums.
    fn stamp(&self) -> String;
    /// A reader for one thread.
    fn reader(&self) -> Self::Reader;
    /// Reads file `index` into `out` (empty before).
    fn read(&self, reader: &mut Self::Reader, index: usize, out: &mut Vec<u8>) -> Result<()>;
}

/// Who is told of the reading of images: how many are done, of how many.
pub type ReadProgress<'a> = &'a (dyn Fn(u64, u64) + Sync);

/// Reads all of `reader` into `out`, which may be `declared` bytes and no more.
pub(crate) fn read_declared(path: &Path, reader: impl Read, declared: u64, out: &mut Vec<u8>) -> Result<()> {
    let bad = |why: String| Error::bad_file(path, why, "make or download the file again");
    if declared > MAX_MEMBER {
        return Err(bad(format!("an image file of {declared} bytes is beyond the limit of {MAX_MEMBER}")));
    }
    out.clear();
    let read = reader.take(declared + 1).read_to_end(out).map_err(Error::io("read", path, CHECK_PATH))?;
    match (read as u64).cmp(&declared) {
        std::cmp::Ordering::Equal => Ok(()),
        std::cmp::Ordering::Less => Err(bad(format!("truncated: it declares {declared} bytes and holds {read}"))),
        std::cmp::Ordering::Greater => Err(bad(format!("it holds more than the {declared} bytes it declares"))),
    }
}

/// Decodes all members, in their order, into one buffer of u8 pixels. The first gives the size and the colour that
/// all must have, where the options do not. Names of what could not be read come with it, where the options let that go.
pub(crate) fn decode(
    root: &Path,
    members: &impl Members,
    options: &ReadOptions,
    progress: ReadProgress<'_>,
) -> Result<(Loaded, Vec<String>)> {
    let decoding = Decoding::new(root, members, options, progress)?;
    let (n, dim) = (decoding.len(), decoding.target.len());
    check_memory(root, n as u64, n as u128 * dim as u128)?;
    let mut pixels = zeroed::<u8>(root, n * dim)?;
    let bad = decoding.decode(0..n, &mut pixels)?;
    let mut names = decoding.names.clone();
    let mut left_out = members.others().to_vec();
    if !bad.is_empty() {
        drop_rows(&mut pixels, dim, &bad);
        left_out.extend(bad.iter().map(|&row| names[row].to_owned()));
        let mut row = 0..;
        names.retain(|_| !bad.contains(&row.next().unwrap_or(0)));
    }
    let labels = match (options.ignore_labels, members.labels()?) {
        (true, _) => None,
        (false, Some(json)) => names::listed(root, &json, &names)?,
        (false, None) => names::classes(&names),
    };
    Ok((Loaded { shape: decoding.shape(), buffer: Buffer::U8(pixels), labels }, left_out))
}

/// Takes the given rows (sorted) out of a buffer.
pub(crate) fn drop_rows(pixels: &mut Vec<u8>, dim: usize, rows: &[usize]) {
    let n = pixels.len() / dim;
    let mut place = rows[0];
    for row in (rows[0]..n).filter(|row| rows.binary_search(row).is_err()) {
        pixels.copy_within(row * dim..(row + 1) * dim, place * dim);
        place += 1;
    }
    pixels.truncate(place * dim);
}

/// Images that are to be decoded, with the size and colour that all get.
pub(crate) struct Decoding<'a, M> {
    root: &'a Path,
    members: &'a M,
    names: Vec<&'a str>,
    /// The first image that can be read, and what it says of itself.
    first: (usize, Header),
    target: Size,
    options: &'a ReadOptions,
    progress: ReadProgress<'a>,
    done: AtomicU64,
}

impl<'a, M: Members> Decoding<'a, M> {
    /// Looks at the names and at the first image.
    pub(crate) fn new(
        root: &'a Path,
        members: &'a M,
        options: &'a ReadOptions,
        progress: ReadProgress<'a>,
    ) -> Result<Self> {
        let names = members.names();
        let others = members.others();
        if names.is_empty() {
            let why = match others {
                [] => "it holds no image".to_owned(),
                [first, ..] => format!("it holds no image, and {} that are none, such as {first}", files(others.len())),
            };
            let remedy = format!("give images with the extensions {}", EXTENSIONS.join(", "));
            return Err(Error::bad_file(root, why, remedy));
        }
        if names.len() as u64 > MAX_SAMPLES {
            check_memory(root, names.len() as u64, 0)?;
        }
        if let Some(twice) = (1..names.len()).find(|&index| names[index] == names[index - 1]) {
            let path = root.join(names[twice]);
            return Err(Error::bad_file(path, "this name appears twice", "keep one of them"));
        }
        if !others.is_empty() && !options.skip_unreadable {
            let why = format!(
                "{} of the {} below it {}: {}",
                others.len(),
                files(names.len() + others.len()),
                if others.len() == 1 { "is no image" } else { "are no images" },
                some(others.iter().cloned())
            );
            return Err(Error::bad_file(root, why, format!("remove them, or {SKIP}")));
        }
        let (mut reader, mut bytes) = (members.reader(), Vec::new());
        let mut why = None;
        let mut first = |index: usize| {
            let path = root.join(names[index]);
            match header(members, &mut reader, index, &path, &mut bytes) {
                Ok(header) => Some((index, header)),
                Err(error) => {
                    why.get_or_insert(error);
                    None
                }
            }
        };
        // Where the first cannot be read it is told of with all others, so one that can be is looked for.
        let Some(first) = (0..names.len()).find_map(&mut first) else {
            return Err(why.unwrap_or_else(|| Error::bad_file(root, "it holds no image", "give images")));
        };
        let target = options.target(first.1.size);
        Ok(Self { root, members, names, first, target, options, progress, done: AtomicU64::new(0) })
    }

    /// Number of images.
    pub(crate) fn len(&self) -> usize {
        self.names.len()
    }

    /// Shape of every image.
    pub(crate) fn shape(&self) -> Shape {
        self.target.shape()
    }

    /// Decodes images `range` into `pixels` (`[range, shape]`), by all threads. Gives the rows of the range that could not be read,
    /// in order, where the options let that go.
    pub(crate) fn decode(&self, range: Range<usize>, pixels: &mut [u8]) -> Result<Vec<usize>> {
        let Self { members, names, first: (first, header), target, options, .. } = self;
        let start = range.start;
        let decode = |(reader, bytes): &mut (M::Reader, Vec<u8>), (row, slot): (usize, &mut [u8])| {
            let index = start + row;
            let path = self.root.join(names[index]);
            let unreadable = |error: Error| Failure { row, error, is_fatal: false };
            members.read(reader, index, bytes).map_err(unreadable)?;
            let decoder = decoder(&path, bytes).map_err(unreadable)?;
            let own = Header::of(&decoder);
            let unlike = |error| Failure { row, error, is_fatal: true };
            own.check_like(&path, *header, names[*first], options).map_err(unlike)?;
            decode_into(&path, decoder, own, *target, options, slot).map_err(unreadable)?;
            (self.progress)(self.done.fetch_add(1, Ordering::Relaxed) + 1, names.len() as u64);
            Ok(())
        };
        let slots = pixels.par_chunks_exact_mut(target.len()).enumerate();
        let results = slots.map_init(|| (members.reader(), Vec::new()), decode);
        let failures: Vec<Failure> = results.filter_map(Result::err).collect();
        // The first in the order of the files, whatever the threads do.
        if let Some(at) = failures.iter().position(|failure| failure.is_fatal) {
            return Err(failures.into_iter().nth(at).map_or_else(|| self.none_left(), |failure| failure.error));
        }
        let bad: Vec<usize> = failures.iter().map(|failure| failure.row).collect();
        match failures.len() {
            0 => Ok(bad),
            n if self.options.skip_unreadable && n < self.len() => Ok(bad),
            1 if !self.options.skip_unreadable => {
                Err(failures.into_iter().next().map_or_else(|| self.none_left(), |failure| failure.error))
            }
            _ if self.options.skip_unreadable => Err(self.none_left()),
            n => {
                let each = failures.iter().map(|failure| names[start + failure.row].to_owned());
                let why = format!("{n} of its {} images cannot be read: {}", self.len(), some(each));
                let first = failures.first().map_or_else(String::new, |failure| failure.error.to_string());
                let remedy = format!("replace or remove them, or {SKIP}; the first of them: {first}");
                Err(Error::bad_file(self.root, why, remedy))
            }
        }
    }

    fn none_left(&self) -> Error {
        let why = format!("none of its {} images can be read", self.len());
        Error::bad_file(self.root, why, format!("give images with the extensions {}", EXTENSIONS.join(", ")))
    }
}

/// An image that did not come out.
struct Failure {
    row: usize,
    error: Error,
    /// It is sound, and unlike the others.
    is_fatal: bool,
}

/// How to go on without what cannot be read.
const SKIP: &str = "set data.skip_unreadable = true (--skip-unreadable)";

fn files(n: usize) -> String {
    format!("{n} {}", if n == 1 { "file" } else { "files" })
}

/// The first few of many names.
pub(crate) fn some(names: impl ExactSizeIterator<Item = String>) -> String {
    const SHOWN: usize = 5;
    let more = names.len().saturating_sub(SHOWN);
    let shown: Vec<String> = names.take(SHOWN).collect();
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    shown.join(", ") + &more
}

/// What an image file says of itself.
fn header<M: Members>(
    members: &M,
    reader: &mut M::Reader,
    index: usize,
    path: &Path,
    bytes: &mut Vec<u8>,
) -> Result<Header> {
    members.read(reader, index, bytes)?;
    Ok(Header::of(&decoder(path, bytes)?))
}

/// Brings images that came as an array to the size and colour asked for.
pub(crate) fn refit(path: &Path, loaded: Loaded, options: &ReadOptions) -> Result<Loaded> {
    let (Shape::Image { channels, height, width }, true) = (loaded.shape, options.changes_images()) else {
        if options.changes_images() {
            let why = "it holds vectors, and data.resize and data.color are for images";
            return Err(Error::bad_file(path, why, "remove data.resize and data.color"));
        }
        return Ok(loaded);
    };
    let from = Size { height, width, channels };
    let to = options.target(from);
    if from == to {
        return Ok(loaded);
    }
    let pixels = match &loaded.buffer {
        Buffer::U8(pixels) => pixels.as_slice(),
        Buffer::Mapped(pixels) => pixels.as_ref(),
        Buffer::F32(_) => {
            let why = "it holds images of floats, and data.resize and data.color work on uint8";
            return Err(Error::bad_file(path, why, "save the images as uint8"));
        }
    };
    let rows = loaded.rows();
    check_memory(path, rows as u64, rows as u128 * to.len() as u128)?;
    let mut out = zeroed(path, rows * to.len())?;
    let images = pixels.par_chunks_exact(from.len()).zip(out.par_chunks_exact_mut(to.len()));
    images.for_each(|(pixels, out)| fit(pixels, from, to, options.filter, out));
    Ok(Loaded { shape: to.shape(), buffer: Buffer::U8(out), labels: loaded.labels })
}

/// What an image file says of itself: the size, with 1 channel for all greys and 3 for all colours, and the pixel format.
#[derive(Clone, Copy)]
struct Header {
    size: Size,
    color: ColorType,
}

impl Header {
    fn of(decoder: &impl ImageDecoder) -> Self {
        let (width, height) = decoder.dimensions();
        let color = decoder.color_type();
        let channels = if color.has_color() { 3 } else { 1 };
        Self { size: Size { height: height as usize, width: width as usize, channels }, color }
    }

    fn check_like(self, path: &Path, first: Self, first_name: &str, options: &ReadOptions) -> Result<()> {
        let (a, b) = (first.size, self.size);
        if options.resize.is_none() && (a.height, a.width) != (b.height, b.width) {
            let why = format!("it is {}x{} pixels, and {first_name} is {}x{}", b.height, b.width, a.height, a.width);
            return Err(Error::bad_file(path, why, "set data.resize to bring all images to one size"));
        }
        if options.color.is_none() && a.channels != b.channels {
            let color = |size: Size| if size.channels == 1 { "grey" } else { "rgb" };
            let why = format!("it is {}, and {first_name} is {}", color(b), color(a));
            return Err(Error::bad_file(path, why, "set data.color to \"grey\" or \"rgb\""));
        }
        Ok(())
    }
}

/// A decoder chosen by the file's content, within limits.
fn decoder<'a>(path: &Path, bytes: &'a [u8]) -> Result<impl ImageDecoder + use<'a>> {
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(MAX_DECODING);
    let reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format();
    let mut reader = reader.map_err(Error::io("read", path, CHECK_PATH))?;
    reader.limits(limits);
    if reader.format() == Some(ImageFormat::Jpeg) && !jpeg::is_whole(bytes) {
        let why = "it cannot be decoded: truncated, the JPEG ends before its end marker";
        return Err(Error::bad_file(path, why, format!("replace or remove it, or {SKIP}")));
    }
    let decoder = reader.into_decoder().map_err(|error| not_an_image(path, &error))?;
    if decoder.total_bytes() > MAX_DECODING {
        let why = format!("it decodes to {} bytes; the limit is {MAX_DECODING}", decoder.total_bytes());
        return Err(Error::bad_file(path, why, "make the image smaller"));
    }
    Ok(decoder)
}

fn decode_into(
    path: &Path,
    decoder: impl ImageDecoder,
    header: Header,
    target: Size,
    options: &ReadOptions,
    out: &mut [u8],
) -> Result<()> {
    if header.size == target && matches!(header.color, ColorType::L8 | ColorType::Rgb8) {
        return decoder.read_image(out).map_err(|error| not_an_image(path, &error));
    }
    let image = DynamicImage::from_decoder(decoder).map_err(|error| not_an_image(path, &error))?;
    let pixels = if header.size.channels == 1 { image.into_luma8().into_raw() } else { image.into_rgb8().into_raw() };
    fit(&pixels, header.size, target, options.filter, out);
    Ok(())
}

fn not_an_image(path: &Path, error: &image::ImageError) -> Error {
    let remedy = format!(
        "replace or remove it, or {SKIP}; what is read is {}, at most {MAX_SIDE} pixels a side",
        EXTENSIONS.join(", ")
    );
    Error::bad_file(path, format!("it cannot be decoded: {error}"), remedy)
}

impl ReadOptions {
    fn changes_images(&self) -> bool {
        self.resize.is_some() || self.color.is_some()
    }

    /// Shape of a sample after the options are applied.
    pub(crate) fn shape_after(&self, shape: Shape) -> Shape {
        match shape {
            Shape::Vector { .. } => shape,
            Shape::Image { channels, height, width } => self.target(Size { height, width, channels }).shape(),
        }
    }

    /// Size after the options are applied.
    fn target(&self, from: Size) -> Size {
        let (height, width) = self.resize.map_or((from.height, from.width), |resize| {
            let [height, width] = resize.sides();
            (height as usize, width as usize)
        });
        let channels = match self.color {
            Some(Color::Grey) => 1,
            Some(Color::Rgb) => 3,
            None => from.channels,
        };
        Size { height, width, channels }
    }
}
