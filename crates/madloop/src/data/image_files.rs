//! Files of images as they are found: damaged, of odd kinds, beside other things; and sets that are kept decoded.

use std::fs;
use std::io::Cursor;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use image::{DynamicImage, GrayImage, ImageFormat, Luma, RgbImage};
use madloop_core::{Real, Samples};

use super::*;
use crate::Result;

/// (0, 200, 100, 20) of CMYK, 2x2, by Pillow 13.0.0, which reads it back as (235, 51, 143).
const CMYK: &str = "/9j/7gAOQWRvYmUAZAAAAAAA/9sAQwACAQEBAQECAQEBAgICAgIEAwICAgIFBAQDBAYFBgYGBQYGBgcJCAYHCQcGBggLCAkKCgoKCgYICwwLCgwJCgoK/8AAFAgAAgACBEMRAE0RAFkRAEsRAP/EAB8AAAEFAQEBAQEBAAAAAAAAAAABAgMEBQYHCAkKC//EALUQAAIBAwMCBAMFBQQEAAABfQECAwAEEQUSITFBBhNRYQcicRQygZGhCCNCscEVUtHwJDNicoIJChYXGBkaJSYnKCkqNDU2Nzg5OkNERUZHSElKU1RVVldYWVpjZGVmZ2hpanN0dXZ3eHl6g4SFhoeIiYqSk5SVlpeYmZqio6Slpqeoqaqys7S1tre4ubrCw8TFxsfIycrS09TV1tfY2drh4uPk5ebn6Onq8fLz9PX29/j5+v/aAA4EQwBNAFkASwAAPwD9/K/NuvbK/ayv/9k=";
/// (200, 10, 30), then blue, 2x2: animations by Pillow 13.0.0.
const WEBP: &str = "UklGRoYAAABXRUJQVlA4WAoAAAACAAAAAQAAAQAAQU5JTQYAAAAAAAAAAABBTk1GKgAAAAAAAAAAAAEAAAEAAAAAAAJWUDhMEQAAAC8BQAAAB1CFItej/4GI6H8AAEFOTUYoAAAAAAAAAAAAAQAAAQAAAAAAAFZQOEwPAAAALwFAAAAHENH//gciov8BAA==";
const APNG: &str = "iVBORw0KGgoAAAANSUhEUgAAAAIAAAACCAIAAAD91JpzAAAACGFjVEwAAAACAAAAAPONk3AAAAAaZmNUTAAAAAAAAAACAAAAAgAAAAAAAAAAAAAAAQAA2WEaUQAAABZJREFUeJxjPMElx8DAwMTAwMDAwAAADBQA9OlnPxMAAAAaZmNUTAAAAAEAAAACAAAAAgAAAAAAAAAAAAAAAQAAQhLwhQAAABpmZEFUAAAAAnicY2Rg+M/AwMDEwMDAwMAAAAsfAQM5oA0PAAAAAElFTkSuQmCC";

fn decoded(base64: &str) -> Vec<u8> {
    STANDARD.decode(base64).expect("base64")
}

/// A picture with detail, as a file of a kind.
fn noise(format: ImageFormat) -> Vec<u8> {
    let pixel = |x: u32, y: u32| image::Rgb([(x * 37 + y * 91) as u8, (x * y) as u8, (x * 11) as u8]);
    let mut bytes = Cursor::new(Vec::new());
    DynamicImage::from(RgbImage::from_fn(32, 32, pixel)).write_to(&mut bytes, format).expect("memory");
    bytes.into_inner()
}

fn read(root: &Path, skip_unreadable: bool) -> Result<(Samples, Vec<String>)> {
    read_samples_watched(root, &ReadOptions { skip_unreadable, ..ReadOptions::default() }, &|_, _| {})
}

#[test]
fn cut_files_are_named_counted_and_left_out_where_asked() {
    let kinds = [
        ("jpg", ImageFormat::Jpeg),
        ("png", ImageFormat::Png),
        ("webp", ImageFormat::WebP),
        ("bmp", ImageFormat::Bmp),
        ("tif", ImageFormat::Tiff),
    ];
    for (extension, format) in kinds {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path();
        let whole = noise(format);
        let put =
            |name: &str, bytes: &[u8]| fs::write(root.join(format!("{name}.{extension}")), bytes).expect("a file");
        put("b", &whole);
        put("d", &whole);
        put("c", &whole[..whole.len() * 9 / 10]);
        let error = read(root, false).expect_err(extension).to_string();
        assert!(error.contains(&format!("c.{extension}")) && error.contains("skip_unreadable"), "{error}");
        put("a", &whole[..whole.len() / 2]);
        put("e", b"no image");
        let error = read(root, false).expect_err(extension).to_string();
        let names = format!("3 of its 5 images cannot be read: a.{extension}, c.{extension}, e.{extension}");
        assert!(error.contains(&names), "{error}");
        let (set, left_out) = read(root, true).expect("two images");
        assert_eq!((set.len(), left_out.len()), (2, 3), "{extension}");
        let pixels = set.as_u8().expect("pixels");
        assert_eq!(pixels[..32 * 32 * 3], pixels[32 * 32 * 3..]);
        assert!(format == ImageFormat::Jpeg || pixels[3] == 37, "{extension}");
        put("b", b"");
        put("d", b"");
        assert!(read(root, true).expect_err(extension).to_string().contains(extension));
    }
}

#[test]
fn classes_stay_with_their_images_when_some_are_left_out() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path();
    for (class, name, value) in [("cat", "a", 1), ("cat", "b", 2), ("dog", "a", 3), ("owl", "a", 4)] {
        fs::create_dir_all(root.join(class)).expect("a folder");
        let path = root.join(class).join(format!("{name}.png"));
        GrayImage::from_pixel(2, 2, Luma([value])).save(path).expect("an image");
    }
    fs::write(root.join("cat/a.png"), "damaged").expect("a file");
    fs::write(root.join("dog/movie.gif"), "GIF89a").expect("a file");
    fs::write(root.join("LICENSE.txt"), "free").expect("a file");
    let error = read(root, false).expect_err("a film").to_string();
    assert!(error.contains("1 of the 5 files below it is no image: dog/movie.gif"), "{error}");
    let (set, left_out) = read(root, true).expect("three images");
    assert_eq!((set.labels(), left_out), (Some(&[0, 1, 2][..]), vec!["dog/movie.gif".into(), "cat/a.png".into()]));
    // Labels that are listed stand in for folders.
    fs::write(root.join("dataset.json"), r#"{"labels": [["cat/b.png", 9], ["dog/a.png", 0], ["owl/a.png", 9]]}"#)
        .expect("a file");
    assert_eq!(read(root, true).expect("three images").0.labels(), Some(&[9, 0, 9][..]));
    fs::write(root.join("dataset.json"), r#"{"labels": null}"#).expect("a file");
    assert_eq!(read(root, true).expect("three images").0.labels(), None);
}

#[test]
fn odd_kinds_read_as_pillow_reads_them() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path();
    for (name, base64, expected) in
        [("a.jpg", CMYK, [235_u8, 51, 143]), ("a.webp", WEBP, [200, 10, 30]), ("a.png", APNG, [200, 10, 30])]
    {
        fs::write(root.join(name), decoded(base64)).expect("a file");
        let (set, _) = read(root, false).expect(name);
        let pixel = &set.as_u8().expect("pixels")[..3];
        assert!(pixel.iter().zip(expected).all(|(a, b)| a.abs_diff(b) <= 2), "{name}: {pixel:?} for {expected:?}");
        fs::remove_file(root.join(name)).expect("a file");
    }
    let deep = image::ImageBuffer::<Luma<u16>, _>::from_pixel(2, 2, Luma([0x8000]));
    DynamicImage::from(deep).save(root.join("deep.png")).expect("an image");
    assert_eq!(read(root, false).expect("16 bits").0.as_u8(), Some(&[128; 4][..]));
}

/// A folder of `n` grey images of 4x4 pixels.
fn many(root: &Path, n: usize) {
    for index in 0..n {
        let path = root.join(format!("{index:04}.png"));
        GrayImage::from_pixel(4, 4, Luma([index as u8])).save(path).expect("an image");
    }
}

#[test]
fn decoded_images_are_kept_until_their_files_change() {
    let (set, kept) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    many(set.path(), 30);
    let dirs = DataDir::default();
    let cache = ImageCache::new(kept.path().to_owned(), 1 << 20, 30);
    let config = DataConfig {
        path: Some(set.path().to_owned()),
        resize: Some(Resize::Side(2)),
        ..DataConfig::new(DataSource::Path)
    };
    // Opens the set: its checksums, and how many images were decoded.
    let open = |config: &DataConfig, cache: Option<&ImageCache>| {
        let decoded = AtomicU64::new(0);
        let progress = |done: u64, _: u64| {
            decoded.fetch_max(done, Ordering::Relaxed);
        };
        let set = open_with(config, Opening { dirs: &dirs, cache, progress: &progress }).expect("a set");
        let Real::Finite(pool) = &set.real else { panic!("a finite set") };
        assert_eq!((pool.len(), set.reference.as_ref().map(Samples::len)), (24, Some(6)));
        assert!(set.preprocessing.as_ref().is_some_and(|words| words.contains("2x2 by Lanczos")));
        (set.checksums, decoded.into_inner())
    };
    let file = || fs::read_dir(kept.path()).expect("a folder").next().expect("a file").expect("a file").path();
    let plain = open(&config, None);
    assert_eq!(plain.1, 30);
    assert_eq!(open(&config, Some(&cache)), plain);
    assert_eq!(open(&config, Some(&cache)), (plain.0.clone(), 0));
    // A damaged file is made again.
    let mut bytes = fs::read(file()).expect("the file");
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(file(), &bytes).expect("the file");
    assert_eq!(open(&config, Some(&cache)), plain);
    fs::write(file(), &bytes[..last]).expect("the file");
    assert_eq!(open(&config, Some(&cache)), plain);
    assert_eq!(open(&config, Some(&cache)).1, 0);
    // Another filter, another split and another file are another set.
    let area = DataConfig { filter: Some(Filter::Area), ..config.clone() };
    assert!(open_with(&area, Opening { dirs: &dirs, cache: Some(&cache), progress: &|_, _| {} }).is_ok());
    assert_eq!(fs::read_dir(kept.path()).expect("a folder").count(), 2);
    GrayImage::from_pixel(4, 4, Luma([200])).save(set.path().join("0007.png")).expect("an image");
    let (changed, decoded) = open(&config, Some(&cache));
    assert!(changed != plain.0 && decoded == 30);
    // Small sets are not worth a file.
    let large = ImageCache::new(kept.path().join("none"), 1 << 20, 31);
    assert_eq!((open(&config, Some(&large)).1, kept.path().join("none").exists()), (30, false));
}
