//! Image files of a folder or an archive, decoded by all threads straight into one buffer.

use std::io::{Cursor, Read};
use std::ops::Range;
use std::path::{Path, PathBuf};

use image::{ColorType, DynamicImage, ImageDecoder, ImageReader, Limits};
use madloop_core::Shape;
use rayon::prelude::*;

use super::limits::{MAX_DECODING, MAX_MEMBER, MAX_SAMPLES, MAX_SIDE, check_memory, zeroed};
use super::loaded::{Buffer, Loaded};
use super::map::CHECK_PATH;
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
    /// A reader for one thread.
    fn reader(&self) -> Self::Reader;
    /// Reads file `index` into `out` (empty before).
    fn read(&self, reader: &mut Self::Reader, index: usize, out: &mut Vec<u8>) -> Result<()>;
}

/// Whether `name` is to be read: an image by its extension, and not hidden.
pub(crate) fn is_image(name: &str) -> bool {
    let is_hidden = name.split('/').any(|part| part.starts_with('.') || part == "__MACOSX");
    let extension = name.rsplit('/').next().and_then(|file| file.rsplit_once('.')).map(|(_, extension)| extension);
    !is_hidden && extension.is_some_and(|extension| EXTENSIONS.contains(&extension.to_lowercase().as_str()))
}

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
/// all must have, where the options do not.
pub(crate) fn decode(root: &Path, members: &impl Members, options: &ReadOptions) -> Result<Loaded> {
    let decoding = Decoding::new(root, members, options)?;
    let (n, dim) = (decoding.len(), decoding.target.len());
    check_memory(root, n as u64, n as u128 * dim as u128)?;
    let mut pixels = zeroed::<u8>(root, n * dim)?;
    decoding.decode(0..n, &mut pixels)?;
    let labels = if options.ignore_labels { None } else { classes(&decoding.names) };
    Ok(Loaded { shape: decoding.shape(), buffer: Buffer::U8(pixels), labels })
}

/// Images that are to be decoded, with the size and colour that all get.
pub(crate) struct Decoding<'a, M> {
    root: &'a Path,
    members: &'a M,
    names: Vec<&'a str>,
    first: Header,
    target: Size,
    options: &'a ReadOptions,
}

impl<'a, M: Members> Decoding<'a, M> {
    /// Looks at the names and at the first image.
    pub(crate) fn new(root: &'a Path, members: &'a M, options: &'a ReadOptions) -> Result<Self> {
        let names = members.names();
        let path = |index: usize| root.join(names[index]);
        if names.is_empty() {
            let why = "it holds no image";
            return Err(Error::bad_file(
                root,
                why,
                format!("give images with the extensions {}", EXTENSIONS.join(", ")),
            ));
        }
        if names.len() as u64 > MAX_SAMPLES {
            check_memory(root, names.len() as u64, 0)?;
        }
        if let Some(twice) = (1..names.len()).find(|&index| names[index] == names[index - 1]) {
            return Err(Error::bad_file(path(twice), "this name appears twice", "keep one of them"));
        }
        let (mut reader, mut bytes) = (members.reader(), Vec::new());
        members.read(&mut reader, 0, &mut bytes)?;
        let first = Header::of(&decoder(&path(0), &bytes)?);
        let target = options.target(first.size);
        Ok(Self { root, members, names, first, target, options })
    }

    /// Number of images.
    pub(crate) fn len(&self) -> usize {
        self.names.len()
    }

    /// Shape of every image.
    pub(crate) fn shape(&self) -> Shape {
        self.target.shape()
    }

    /// Decodes images `range` into `pixels` (`[range, shape]`), by all threads.
    pub(crate) fn decode(&self, range: Range<usize>, pixels: &mut [u8]) -> Result<()> {
        let Self { members, names, first, target, options, .. } = self;
        let start = range.start;
        let slots = pixels.par_chunks_exact_mut(target.len()).enumerate().map(|(slot, pixels)| (start + slot, pixels));
        let decode = |(reader, bytes): &mut (M::Reader, Vec<u8>), (index, slot): (usize, &mut [u8])| {
            members.read(reader, index, bytes)?;
            let path = self.root.join(names[index]);
            let decoder = decoder(&path, bytes)?;
            let header = Header::of(&decoder);
            header.check_like(&path, *first, names[0], options)?;
            decode_into(&path, decoder, header, *target, options, slot)
        };
        // The first failure in the order of the files, whatever the threads do.
        let failure = slots.map_init(|| (members.reader(), Vec::new()), decode).find_map_first(Result::err);
        failure.map_or(Ok(()), Err)
    }
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
    let remedy =
        format!("replace or remove it; what is read is {}, at most {MAX_SIDE} pixels a side", EXTENSIONS.join(", "));
    Error::bad_file(path, format!("it cannot be decoded: {error}"), remedy)
}

/// Labels by folder: below the folders that all names share, each name's first folder is its class, if every name has
/// one. Classes are numbered in the order of their (sorted) names.
fn classes(names: &[&str]) -> Option<Vec<u32>> {
    fn folders(name: &str) -> Vec<&str> {
        let mut parts: Vec<&str> = name.split('/').collect();
        parts.pop();
        parts
    }
    let first = folders(names.first()?);
    let shared = names.iter().fold(first.len(), |shared, name| {
        folders(name).iter().zip(&first[..shared]).take_while(|(a, b)| a == b).count()
    });
    let of_name: Vec<&str> = names.iter().map(|name| folders(name).get(shared).copied()).collect::<Option<_>>()?;
    let mut classes = of_name.clone();
    classes.sort_unstable();
    classes.dedup();
    of_name.iter().map(|class| classes.binary_search(class).ok().map(|class| class as u32)).collect()
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

/// Image files of a folder.
pub(crate) struct Files {
    /// Names below the folder, sorted, and where they are.
    pub(crate) files: Vec<(String, PathBuf)>,
}

impl Members for Files {
    type Reader = ();

    fn names(&self) -> Vec<&str> {
        self.files.iter().map(|(name, _)| name.as_str()).collect()
    }

    fn reader(&self) {}

    fn read(&self, (): &mut (), index: usize, out: &mut Vec<u8>) -> Result<()> {
        let path = &self.files[index].1;
        let file = std::fs::File::open(path).map_err(Error::io("open", path, CHECK_PATH))?;
        let declared = file.metadata().map_err(Error::io("read the size of", path, CHECK_PATH))?.len();
        read_declared(path, file, declared, out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_the_first_folders_that_differ() {
        assert_eq!(classes(&["a.png", "b.png"]), None);
        assert_eq!(classes(&["faces/a.png", "faces/b.png"]), None);
        assert_eq!(classes(&["cat/a.png", "dog/a.png", "dog/b.png"]), Some(vec![0, 1, 1]));
        assert_eq!(classes(&["x/10/a.png", "x/9/a.png", "x/9/z/b.png"]), Some(vec![0, 1, 1]));
        assert_eq!(classes(&["a/x.png", "b.png"]), None);
    }

    #[test]
    fn images_are_known_by_extension() {
        for name in ["a.png", "b/c.JPEG", "x.y.tif"] {
            assert!(is_image(name), "{name}");
        }
        for name in ["a.txt", "png", ".hidden.png", "__MACOSX/a.png", "b/.thumbs/c.png"] {
            assert!(!is_image(name), "{name}");
        }
    }
}
