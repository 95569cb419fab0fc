//! Folders of images, recursively, in the order of the names.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::images::{Members, ReadProgress, decode, read_declared};
use super::limits::MAX_SAMPLES;
use super::loaded::Loaded;
use super::map::CHECK_PATH;
use super::names::Role;
use super::read::ReadOptions;
use super::stream::Batches;
use crate::{Error, Result};

/// Reads all images below a folder, sorted by their path below it. Links are followed; each real folder is read once.
pub(crate) fn load(root: &Path, options: &ReadOptions, progress: ReadProgress<'_>) -> Result<(Loaded, Vec<String>)> {
    decode(root, &list(root)?, options, progress)
}

/// Hands over the same images in batches.
pub(crate) fn stream(root: &Path, batches: &mut Batches<'_>) -> Result<()> {
    batches.images(&list(root)?)
}

/// Finds the images below a folder.
pub(crate) fn list(root: &Path) -> Result<Files> {
    let (mut files, mut others, mut labels) = (Vec::new(), Vec::new(), None);
    let mut seen = BTreeSet::new();
    let mut waiting = vec![(String::new(), root.to_owned())];
    while let Some((prefix, folder)) = waiting.pop() {
        let real = folder.canonicalize().map_err(Error::io("open", &folder, CHECK_PATH))?;
        if !seen.insert(real) {
            continue;
        }
        let mut folders = Vec::new();
        for entry in fs::read_dir(&folder).map_err(Error::io("list", &folder, CHECK_PATH))? {
            let entry = entry.map_err(Error::io("list", &folder, CHECK_PATH))?;
            let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
            if entry.file_name().to_string_lossy().starts_with('.') {
                continue;
            }
            let path = entry.path();
            // The link's target, so that a link to a folder is a folder; a dangling link is neither.
            let metadata = fs::metadata(&path);
            match (&metadata, Role::of(&name)) {
                (Ok(found), _) if found.is_dir() => folders.push((format!("{name}/"), path)),
                // One that leads nowhere is told of when it is read.
                (_, Role::Image) => {
                    let stamp = metadata.as_ref().map_or((0, None), |found| (found.len(), found.modified().ok()));
                    files.push(File { name, path, stamp });
                }
                (Ok(_), Role::Labels) => labels = Some(path),
                (Ok(found), Role::Other) if found.is_file() => others.push(name),
                _ => {}
            }
        }
        if files.len() as u64 > MAX_SAMPLES {
            let why = format!("it holds more than {MAX_SAMPLES} images");
            return Err(Error::bad_file(root, why, "give a part of it"));
        }
        // Links go last, so that a folder is known by its own name.
        folders.sort_by_key(|(name, path): &(String, PathBuf)| (path.is_symlink(), name.clone()));
        waiting.extend(folders.into_iter().rev());
    }
    files.sort_by(|a: &File, b: &File| a.name.cmp(&b.name));
    others.sort();
    Ok(Files { files, others, labels })
}

/// Image files of a folder.
pub(crate) struct Files {
    /// Sorted by name.
    files: Vec<File>,
    others: Vec<String>,
    labels: Option<PathBuf>,
}

struct File {
    /// Below the folder.
    name: String,
    path: PathBuf,
    /// Its size, and when it was changed.
    stamp: (u64, Option<SystemTime>),
}

impl Members for Files {
    type Reader = ();

    fn names(&self) -> Vec<&str> {
        self.files.iter().map(|file| file.name.as_str()).collect()
    }

    fn others(&self) -> &[String] {
        &self.others
    }

    fn labels(&self) -> Result<Option<Vec<u8>>> {
        let Some(path) = &self.labels else { return Ok(None) };
        let mut bytes = Vec::new();
        open(path, &mut bytes)?;
        Ok(Some(bytes))
    }

    fn stamp(&self) -> String {
        let of_file = |file: &File| format!("{}\n{:?}\n", file.name, file.stamp);
        let labels = self.labels.as_ref().and_then(|path| fs::read(path).ok());
        format!("{}{labels:?}", self.files.iter().map(of_file).collect::<String>())
    }

    fn reader(&self) {}

    fn read(&self, (): &mut (), index: usize, out: &mut Vec<u8>) -> Result<()> {
        open(&self.files[index].path, out)
    }
}

/// Reads a file whole, within the limits of an image.
fn open(path: &Path, out: &mut Vec<u8>) -> Result<()> {
    let file = fs::File::open(path).map_err(Error::io("open", path, CHECK_PATH))?;
    let declared = file.metadata().map_err(Error::io("read the size of", path, CHECK_PATH))?.len();
    read_declared(path, file, declared, out)
}

#[cfg(test)]
mod tests {
    use image::{DynamicImage, GrayImage, Luma, Rgb, RgbImage};
    use madloop_core::Shape;

    use super::*;
    use crate::data::{Color, Filter, Resize, read_samples};

    fn grey(path: &Path, side: u32, value: u8) {
        fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        GrayImage::from_pixel(side, side, Luma([value])).save(path).expect("an image");
    }

    fn read(root: &Path) -> Result<madloop_core::Samples> {
        read_samples(root, &ReadOptions::default())
    }

    #[test]
    fn folders_round_trip_sorted_with_classes() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path();
        grey(&root.join("dog/b.png"), 2, 4);
        grey(&root.join("dog/a.tif"), 2, 3);
        grey(&root.join("cat/deep/z.tiff"), 2, 2);
        grey(&root.join("cat/a.png"), 2, 1);
        fs::write(root.join("cat/notes.txt"), "not an image").expect("a file");
        let set = read(root).expect("images");
        assert_eq!(set.shape(), Shape::Image { channels: 1, height: 2, width: 2 });
        assert_eq!(set.labels(), Some(&[0, 0, 1, 1][..]));
        let first: Vec<u8> = set.as_u8().expect("pixels").chunks(4).map(|image| image[0]).collect();
        assert_eq!(first, [1, 2, 3, 4]);
        let options = ReadOptions { ignore_labels: true, ..ReadOptions::default() };
        assert_eq!(read_samples(root, &options).expect("images").labels(), None);
    }

    #[test]
    fn mixed_sizes_and_colours_need_options() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path();
        grey(&root.join("a.png"), 4, 50);
        grey(&root.join("b.png"), 6, 90);
        let error = read(root).unwrap_err().to_string();
        for part in ["a.png is 4x4", "b.png: it is 6x6", "data.resize"] {
            assert!(error.contains(part), "{error}");
        }
        let resize = Some(Resize::Sides([3, 2]));
        for filter in [Filter::Area, Filter::Lanczos] {
            let set = read_samples(root, &ReadOptions { resize, filter, ..ReadOptions::default() }).expect("images");
            assert_eq!(set.shape(), Shape::Image { channels: 1, height: 3, width: 2 });
            assert_eq!(set.as_u8().expect("pixels")[..7], [50, 50, 50, 50, 50, 50, 90]);
        }
        RgbImage::from_pixel(4, 4, Rgb([255, 0, 0])).save(root.join("b.png")).expect("an image");
        let error = read(root).unwrap_err().to_string();
        assert!(error.contains("b.png: it is rgb, and a.png is grey") && error.contains("data.color"), "{error}");
        let with = |color| ReadOptions { color: Some(color), ..ReadOptions::default() };
        let set = read_samples(root, &with(Color::Grey)).expect("images");
        assert_eq!((set.as_u8().expect("pixels")[0], set.as_u8().expect("pixels")[16]), (50, 76));
        let set = read_samples(root, &with(Color::Rgb)).expect("images");
        assert_eq!(set.as_u8().expect("pixels")[..3], [50, 50, 50]);
        assert_eq!(set.as_u8().expect("pixels")[48..51], [255, 0, 0]);
    }

    #[test]
    fn compressed_formats_are_decoded() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path();
        let image = RgbImage::from_pixel(8, 8, Rgb([200, 100, 50]));
        for name in ["a.jpg", "b.webp", "c.png", "d.bmp", "e.tif"] {
            image.save(root.join(name)).expect("an image");
        }
        let set = read(root).expect("images");
        assert_eq!((set.len(), set.labels()), (5, None));
        for (pixel, expected) in set.as_u8().expect("pixels").chunks(3).zip([200_u8, 100, 50].repeat(5 * 64).chunks(3))
        {
            assert!(pixel.iter().zip(expected).all(|(a, b)| a.abs_diff(*b) <= 3), "{pixel:?} for {expected:?}");
        }
    }

    #[test]
    fn deeper_pixels_and_alpha_become_u8() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path();
        DynamicImage::from(image::ImageBuffer::from_pixel(2, 2, image::Rgba([10_u8, 20, 30, 0])))
            .save(root.join("a.png"))
            .expect("an image");
        DynamicImage::from(image::ImageBuffer::from_pixel(2, 2, Rgb([257_u16 * 10, 257 * 20, 257 * 30])))
            .save(root.join("b.png"))
            .expect("an image");
        let set = read(root).expect("images");
        assert_eq!(set.as_u8().expect("pixels"), [10, 20, 30].repeat(8));
    }

    #[test]
    fn empty_folders_and_bad_images_are_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path();
        let error = read(root).unwrap_err().to_string();
        assert!(error.contains("png, jpg, jpeg, webp, bmp, tif, tiff"), "{error}");
        fs::write(root.join("bad.png"), "no image at all").expect("a file");
        let error = read(root).unwrap_err().to_string();
        assert!(error.contains("bad.png") && error.contains("decoded"), "{error}");
        grey(&root.join("bad.png"), 9, 1);
        let whole = fs::read(root.join("bad.png")).expect("the file");
        fs::write(root.join("bad.png"), &whole[..whole.len() / 2]).expect("half of it");
        assert!(read(root).unwrap_err().to_string().contains("bad.png"));
        // A PNG header that claims 60000 x 60000 pixels.
        let mut bomb = whole;
        bomb[16..24].copy_from_slice(&[0, 0, 0xea, 0x60, 0, 0, 0xea, 0x60]);
        let crc = crc32(&bomb[12..29]);
        bomb[29..33].copy_from_slice(&crc.to_be_bytes());
        fs::write(root.join("bad.png"), bomb).expect("a file");
        let error = read(root).unwrap_err().to_string();
        assert!(error.contains("16384"), "{error}");
    }

    fn crc32(bytes: &[u8]) -> u32 {
        let mut crc = flate2::Crc::new();
        crc.update(bytes);
        crc.sum()
    }

    #[cfg(unix)]
    #[test]
    fn loops_of_links_end() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path();
        grey(&root.join("a/x.png"), 2, 1);
        std::os::unix::fs::symlink(root, root.join("a/up")).expect("a link");
        std::os::unix::fs::symlink(root.join("a"), root.join("0")).expect("a link");
        assert_eq!(read(root).expect("one image").len(), 1);
        std::os::unix::fs::symlink(root.join("nowhere"), root.join("y.png")).expect("a link");
        assert!(read(root).unwrap_err().to_string().contains("y.png"));
    }
}
