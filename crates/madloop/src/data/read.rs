//! One door to all files: what a path holds is told by its content.

use std::io::Read;
use std::path::Path;

use madloop_core::Samples;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::idx::{is_idx, open_maybe_gz};
use super::images::{EXTENSIONS, ReadProgress, refit};
use super::loaded::Loaded;
use super::map::CHECK_PATH;
use super::{archive, csv, folder, idx, npy, safetensors};
use crate::{Error, Result};

/// A size in pixels to which images are brought, whatever their own proportions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Resize {
    /// A square of this side.
    Side(u32),
    /// Height and width.
    Sides([u32; 2]),
}

impl Resize {
    /// Height and width.
    pub fn sides(self) -> [u32; 2] {
        match self {
            Self::Side(side) => [side, side],
            Self::Sides(sides) => sides,
        }
    }
}

/// How images are brought to another size.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Filter {
    /// The mean of the source rectangle that a pixel covers, weighted by how much of each source pixel lies in it.
    Area,
    /// Lanczos with window 3, widened by the scale when images shrink (so without aliasing).
    #[default]
    Lanczos,
}

/// Channels of images.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Color {
    /// One channel: the luma of ITU-R BT.601, 0.299 R + 0.587 G + 0.114 B.
    Grey,
    /// Three channels; a grey value is repeated.
    Rgb,
}

/// How files of images are read. Transparency is dropped, 16-bit values are scaled to 8 bits, CMYK becomes RGB, EXIF rotation is ignored,
/// and of an animation the first frame counts: what Pillow's `open(path).convert("RGB")` does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReadOptions {
    /// Size to which images are brought; without it all must have the same.
    pub resize: Option<Resize>,
    /// How they are brought to it.
    pub filter: Filter,
    /// Channels to which images are brought; without it all must have the same.
    pub color: Option<Color>,
    /// Whether class labels are left out, such as those of folders that only number the files.
    pub ignore_labels: bool,
    /// Whether files that are no images, or damaged, are left out; without it they are an error that names and counts them.
    pub skip_unreadable: bool,
}

/// Extensions of the files that hold arrays, tables and archives.
const FILES: &str = ".npy, .npz, .safetensors, .csv, .tsv, .zip, .tar, IDX (gzip or not)";

/// Reads a set of samples from a file or a folder, known by its content (tables by their extension).
///
/// | file | samples | labels |
/// |---|---|---|
/// | .npy | `[n, d]` f16, f32, f64; `[n, h, w]` or `[n, h, w, c]` uint8 (mapped, not copied) or floats (of other channels than 1 and 3: features in a row) | |
/// | .npz | `arr_0` or the first array, as .npy | array `labels` or `y` |
/// | .safetensors | the first tensor of 2 to 4 axes, as .npy | tensor `labels` or `y` |
/// | IDX, gzip or not | as .npy | the file of MNIST's naming beside it |
/// | .csv, .tsv, gzip or not | a row each, with or without a header | column `label`, `labels` or `class` |
/// | folder, .zip, .tar | images (png, jpg, webp, bmp, tiff), sorted by path | by subfolder, if every image is in one |
///
/// uint8 images stay u8; the channels c are 1 or 3; floats become f32. Class labels by subfolder are numbered in the
/// order of their names; a `dataset.json` as StyleGAN's tools write it, at the top, has the labels instead (or none). Hidden files and
/// texts beside the images (licences, tables) are passed over.
///
/// # Errors
/// [`Error::Io`] and [`Error::BadFile`], which name the file, the value and the remedy: files that are truncated or
/// claim more than they hold, values that are not finite, archives whose names lead out of them or that unpack to more
/// than 20 times their size (1 GiB is always allowed), sets beyond 64 GiB of memory or 50 million samples, images of
/// different sizes or colours without an option to bring them together.
pub fn read_samples(path: &Path, options: &ReadOptions) -> Result<Samples> {
    load(path, options, &|_, _| {})?.0.into_samples()
}

/// The same, telling how far it is, and with what was left out because it cannot be read.
///
/// # Errors
/// Those of [`read_samples`].
pub fn read_samples_watched(
    path: &Path,
    options: &ReadOptions,
    progress: ReadProgress<'_>,
) -> Result<(Samples, Vec<String>)> {
    let (loaded, left_out) = load(path, options, progress)?;
    Ok((loaded.into_samples()?, left_out))
}

/// The same, with the values still their own.
pub(crate) fn load(path: &Path, options: &ReadOptions, progress: ReadProgress<'_>) -> Result<(Loaded, Vec<String>)> {
    check_options(path, options)?;
    let array = |loaded| Ok::<_, Error>((refit(path, loaded, options)?, Vec::new()));
    let (mut loaded, left_out) = match kind_of(path)? {
        Kind::Folder => folder::load(path, options, progress)?,
        Kind::Npy => array(npy::load(path)?)?,
        Kind::Zip => archive::load_zip(path, options, progress)?,
        Kind::Tar => archive::load_tar(path, options, progress)?,
        Kind::Safetensors => array(safetensors::load(path)?)?,
        Kind::Idx => array(idx::load(path)?)?,
        Kind::Table => array(csv::load(path)?)?,
    };
    if options.ignore_labels {
        loaded.labels = None;
    }
    Ok((loaded, left_out))
}

/// Refuses options that no set can be read with.
pub(crate) fn check_options(path: &Path, options: &ReadOptions) -> Result<()> {
    if options.resize.is_some_and(|resize| resize.sides().contains(&0)) {
        return Err(Error::bad_file(path, "data.resize is 0 pixels", "give a side of at least one pixel"));
    }
    Ok(())
}

/// What a path holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Images below a folder.
    Folder,
    /// An array.
    Npy,
    /// Arrays (.npz) or images.
    Zip,
    /// Images.
    Tar,
    /// Arrays.
    Safetensors,
    /// An array, gzip or not.
    Idx,
    /// .csv or .tsv, gzip or not.
    Table,
}

/// What a path holds, by its content (tables and .safetensors by their extension).
pub(crate) fn kind_of(path: &Path) -> Result<Kind> {
    let metadata = std::fs::metadata(path).map_err(Error::io("open", path, CHECK_PATH))?;
    if metadata.is_dir() {
        return Ok(Kind::Folder);
    }
    let (reader, _, is_gz) = open_maybe_gz(path)?;
    let mut start = Vec::new();
    let read = reader.take(512).read_to_end(&mut start);
    if let (Err(error), false) = (read, is_gz) {
        return Err(Error::io("read", path, CHECK_PATH)(error));
    }
    let name = path.to_string_lossy().to_lowercase();
    let is_table = [".csv", ".tsv"].iter().any(|end| name.trim_end_matches(".gz").ends_with(end));
    let is_tar = start.get(257..262) == Some(b"ustar") || name.ends_with(".tar");
    Ok(match &start[..] {
        _ if is_tar && is_gz => return refuse(path, "it is a compressed tar archive", "unpack it with gunzip first"),
        _ if name.ends_with(".safetensors") => Kind::Safetensors,
        _ if is_table => Kind::Table,
        [b'P', b'K', 3 | 5 | 6, ..] => Kind::Zip,
        _ if is_tar => Kind::Tar,
        start if start.starts_with(npy::MAGIC) && !is_gz => Kind::Npy,
        start if is_idx(start) => Kind::Idx,
        _ if is_gz => {
            return refuse(path, "what this gzip file holds is not known", &format!("give a folder, {FILES}"));
        }
        [] => return refuse(path, "it is empty", "make or download the file again"),
        start if image::guess_format(start).is_ok() => {
            return refuse(path, "it is a single image", "give the folder that holds the images");
        }
        _ => {
            let remedy = format!("give a folder of images ({}), {FILES}", EXTENSIONS.join(", "));
            return refuse(path, "this kind of file is not known", &remedy);
        }
    })
}

fn refuse(path: &Path, why: &str, remedy: &str) -> Result<Kind> {
    Err(Error::bad_file(path, why, remedy))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_files_are_answered_with_what_can_be_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let message = |name: &str, bytes: &[u8]| {
            let path = folder.path().join(name);
            std::fs::write(&path, bytes).expect("a file");
            let error = read_samples(&path, &ReadOptions::default()).unwrap_err().to_string();
            assert!(error.contains(name), "{error}");
            error
        };
        assert!(message("x.bin", b"something").contains(".safetensors"));
        assert!(message("empty", b"").contains("empty"));
        assert!(message("x.png", b"\x89PNG\r\n\x1a\n").contains("folder"));
        assert!(message("x.gz", &[0x1f, 0x8b, 8, 0]).contains("gzip"));
        assert!(message("x.zip", b"PK\x03\x04broken").contains("zip"));
        assert!(message("x.tar", &[7; 600]).contains("tar"));
        let missing = read_samples(&folder.path().join("none.npy"), &ReadOptions::default()).unwrap_err().to_string();
        assert!(missing.contains("none.npy") && missing.contains("exists"), "{missing}");
    }

    #[test]
    fn arrays_of_images_are_resized_too() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("x-idx");
        std::fs::write(&path, [&[0, 0, 8, 3, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 2][..], &[0, 100, 50, 250]].concat())
            .expect("a file");
        let options = ReadOptions {
            resize: Some(Resize::Side(1)),
            filter: Filter::Area,
            color: Some(Color::Rgb),
            ..ReadOptions::default()
        };
        assert_eq!(read_samples(&path, &options).expect("an image").as_u8(), Some(&[100, 100, 100][..]));
        let table = folder.path().join("x.csv");
        std::fs::write(&table, "1,2\n").expect("a file");
        assert!(read_samples(&table, &options).unwrap_err().to_string().contains("vectors"));
    }
}
