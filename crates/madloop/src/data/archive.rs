//! Zip and tar archives of images. Nothing is ever unpacked to disk.

use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use super::images::{Members, ReadProgress, decode, read_declared};
use super::limits::{MAX_SAMPLES, check_unpacked};
use super::loaded::Loaded;
use super::map::{CHECK_PATH, FileView};
use super::names::Role;
use super::npz;
use super::read::ReadOptions;
use super::stream::Batches;
use crate::{Error, Result};

/// What to do about a damaged archive.
const REMAKE: &str = "make or download the archive again";

/// Reads a zip: arrays if it holds .npy members, images otherwise.
pub(crate) fn load_zip(
    path: &Path,
    options: &ReadOptions,
    progress: ReadProgress<'_>,
) -> Result<(Loaded, Vec<String>)> {
    let (mut archive, packed) = open_zip(path)?;
    if npz::is_npz(&archive) {
        let loaded = npz::load(path, &mut archive, packed)?;
        return Ok((super::images::refit(path, loaded, options)?, Vec::new()));
    }
    decode(path, &list_zip(path, archive, packed)?, options, progress)
}

/// Hands over the same rows in batches.
pub(crate) fn stream_zip(path: &Path, batches: &mut Batches<'_>) -> Result<()> {
    let (mut archive, packed) = open_zip(path)?;
    if npz::is_npz(&archive) {
        return npz::stream(path, &mut archive, packed, batches);
    }
    batches.images(&list_zip(path, archive, packed)?)
}

/// Opens a zip file; returns its size too.
pub(crate) fn open_zip(path: &Path) -> Result<(npz::Archive, u64)> {
    let file = FileView::open(path)?;
    let packed = file.len();
    let archive = zip::ZipArchive::new(file).map_err(|error| zip_error(path, error))?;
    check_count(path, archive.len() as u64)?;
    if archive.has_duplicate_names() {
        return Err(Error::bad_file(path, "two members have the same name", "make the archive again without them"));
    }
    Ok((archive, packed))
}

/// Finds the images of a zip.
pub(crate) fn list_zip(path: &Path, archive: npz::Archive, packed: u64) -> Result<Zip<'_>> {
    let (mut members, mut others, mut labels) = (Vec::new(), Vec::new(), None);
    let mut claimed = 0_u128;
    for index in 0..archive.len() {
        let member = archive.by_index_data(index).map_err(|error| zip_error(path, error))?;
        let name = String::from_utf8_lossy(member.name_raw()).into_owned();
        check_name(path, &name)?;
        if member.is_dir() {
            continue;
        }
        match Role::of(&name) {
            Role::Image => {}
            Role::Labels => labels = Some((index, member.size())),
            Role::Other => others.push(name.clone()),
            Role::Text => {}
        }
        if !matches!(Role::of(&name), Role::Image | Role::Labels) {
            continue;
        }
        if member.is_symlink() {
            return Err(Error::bad_file(path.join(name), "it is a link", "archive the images themselves"));
        }
        claimed += u128::from(member.size());
        if Role::of(&name) == Role::Image {
            members.push((name, index, member.size(), member.crc32()));
        }
    }
    check_unpacked(path, claimed, packed)?;
    members.sort();
    others.sort();
    Ok(Zip { path, archive, members, others, labels })
}

/// Images of a zip.
pub(crate) struct Zip<'a> {
    path: &'a Path,
    archive: zip::ZipArchive<FileView>,
    /// Name, index, declared size and checksum.
    members: Vec<(String, usize, u64, u32)>,
    others: Vec<String>,
    /// Index and declared size of `dataset.json`.
    labels: Option<(usize, u64)>,
}

impl Members for Zip<'_> {
    type Reader = zip::ZipArchive<FileView>;

    fn names(&self) -> Vec<&str> {
        self.members.iter().map(|(name, ..)| name.as_str()).collect()
    }

    fn others(&self) -> &[String] {
        &self.others
    }

    fn labels(&self) -> Result<Option<Vec<u8>>> {
        let Some((index, size)) = self.labels else { return Ok(None) };
        let mut bytes = Vec::new();
        self.unpack(&mut self.reader(), super::names::LABELS, index, size, &mut bytes)?;
        Ok(Some(bytes))
    }

    fn stamp(&self) -> String {
        format!("{:?}{:?}", self.members, self.labels)
    }

    fn reader(&self) -> Self::Reader {
        self.archive.clone()
    }

    fn read(&self, archive: &mut Self::Reader, index: usize, out: &mut Vec<u8>) -> Result<()> {
        let (name, index, size, _) = &self.members[index];
        self.unpack(archive, name, *index, *size, out)
    }
}

impl Zip<'_> {
    fn unpack(&self, archive: &mut npz::Archive, name: &str, index: usize, size: u64, out: &mut Vec<u8>) -> Result<()> {
        let path = self.path.join(name);
        let member = archive.by_index(index).map_err(|error| zip_error(&path, error))?;
        read_declared(&path, member, size, out)
    }
}

/// Reads a tar of images.
pub(crate) fn load_tar(
    path: &Path,
    options: &ReadOptions,
    progress: ReadProgress<'_>,
) -> Result<(Loaded, Vec<String>)> {
    decode(path, &list_tar(path)?, options, progress)
}

/// Hands over the same images in batches.
pub(crate) fn stream_tar(path: &Path, batches: &mut Batches<'_>) -> Result<()> {
    batches.images(&list_tar(path)?)
}

/// Finds the images of a tar.
pub(crate) fn list_tar(path: &Path) -> Result<Tar<'_>> {
    let file = FileView::open(path)?;
    let held = file.len();
    let bad = |error: std::io::Error| Error::bad_file(path, format!("it is no whole tar archive: {error}"), REMAKE);
    let mut archive = tar::Archive::new(BufReader::with_capacity(4096, file.clone()));
    let (mut members, mut others, mut labels) = (Vec::new(), Vec::new(), None);
    let mut count = 0;
    for entry in archive.entries_with_seek().map_err(bad)? {
        let entry = entry.map_err(bad)?;
        count += 1;
        check_count(path, count)?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        check_name(path, &name)?;
        let name = name.trim_start_matches("./").to_owned();
        let kind = entry.header().entry_type();
        let role = Role::of(&name);
        match role {
            // Headers of the format itself, such as pax's, are no files.
            _ if kind.is_dir() || kind.is_pax_global_extensions() => continue,
            Role::Image | Role::Labels => {}
            Role::Other => {
                others.push(name);
                continue;
            }
            Role::Text => continue,
        }
        if !kind.is_file() && !kind.is_contiguous() {
            let why = format!("it is not a plain file (tar type {:?})", char::from(kind.as_byte()));
            return Err(Error::bad_file(path.join(name), why, "archive the images themselves"));
        }
        let (start, size) = (entry.raw_file_position(), entry.size());
        if start.checked_add(size).is_none_or(|end| end > held) {
            let why = format!("truncated: it declares {size} bytes at {start}, the archive holds {held}");
            return Err(Error::bad_file(path.join(name), why, REMAKE));
        }
        match role {
            Role::Labels => labels = Some((name, start, size)),
            _ => members.push((name, start, size)),
        }
    }
    members.sort();
    others.sort();
    let changed = std::fs::metadata(path).and_then(|found| found.modified()).ok();
    Ok(Tar { path, file, members, others, labels, changed })
}

/// Images of a tar.
pub(crate) struct Tar<'a> {
    path: &'a Path,
    file: FileView,
    /// Name, position and size.
    members: Vec<(String, u64, u64)>,
    others: Vec<String>,
    /// `dataset.json`.
    labels: Option<(String, u64, u64)>,
    /// When the archive was changed.
    changed: Option<std::time::SystemTime>,
}

impl Members for Tar<'_> {
    type Reader = FileView;

    fn names(&self) -> Vec<&str> {
        self.members.iter().map(|(name, ..)| name.as_str()).collect()
    }

    fn others(&self) -> &[String] {
        &self.others
    }

    fn labels(&self) -> Result<Option<Vec<u8>>> {
        let Some(member) = &self.labels else { return Ok(None) };
        let mut bytes = Vec::new();
        self.copy(&mut self.reader(), member, &mut bytes)?;
        Ok(Some(bytes))
    }

    fn stamp(&self) -> String {
        format!("{:?}{:?}{:?}", self.changed, self.members, self.labels)
    }

    fn reader(&self) -> FileView {
        self.file.clone()
    }

    fn read(&self, file: &mut FileView, index: usize, out: &mut Vec<u8>) -> Result<()> {
        self.copy(file, &self.members[index], out)
    }
}

impl Tar<'_> {
    fn copy(&self, file: &mut FileView, (name, start, size): &(String, u64, u64), out: &mut Vec<u8>) -> Result<()> {
        let path = self.path.join(name);
        file.seek(SeekFrom::Start(*start)).map_err(Error::io("read", &path, CHECK_PATH))?;
        read_declared(&path, file.take(*size), *size, out)
    }
}

fn check_count(path: &Path, members: u64) -> Result<()> {
    if members <= MAX_SAMPLES {
        return Ok(());
    }
    let why = format!("it holds {members} members or more; the limit is {MAX_SAMPLES}");
    Err(Error::bad_file(path, why, "give a part of it"))
}

/// Refuses names that lead out of the archive.
fn check_name(path: &Path, name: &str) -> Result<()> {
    let has_drive = name.as_bytes().get(1) == Some(&b':');
    let escapes = name.starts_with(['/', '\\']) || has_drive || name.split(['/', '\\']).any(|part| part == "..");
    if escapes || name.contains('\0') {
        let why = format!("its member {name:?} leads out of the archive");
        return Err(Error::bad_file(path, why, "do not trust this archive; make it again with relative names"));
    }
    Ok(())
}

/// An error of the zip reader.
pub(crate) fn zip_error(path: &Path, error: zip::result::ZipError) -> Error {
    let remedy = match error {
        zip::result::ZipError::UnsupportedArchive(_) | zip::result::ZipError::CompressionMethodNotSupported(_) => {
            "make the archive again without encryption and with method store or deflate"
        }
        _ => REMAKE,
    };
    Error::bad_file(path, format!("the zip archive cannot be read: {error}"), remedy)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::io::{Cursor, Write};
    use std::path::PathBuf;

    use image::{DynamicImage, ImageFormat, Rgb, RgbImage};
    use zip::write::SimpleFileOptions;

    use super::*;
    use crate::data::read_samples;

    fn png(side: u32, value: u8) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        let image = RgbImage::from_pixel(side, side, Rgb([value, 0, 255 - value]));
        DynamicImage::from(image).write_to(&mut bytes, ImageFormat::Png).expect("memory");
        bytes.into_inner()
    }

    fn write_zip<'a>(path: &Path, members: impl IntoIterator<Item = (&'a str, Vec<u8>)>) {
        let mut zip = zip::ZipWriter::new(File::create(path).expect("a file"));
        for (index, (name, bytes)) in members.into_iter().enumerate() {
            let method = if index % 2 == 0 { zip::CompressionMethod::Deflated } else { zip::CompressionMethod::Stored };
            zip.start_file(name, SimpleFileOptions::default().compression_method(method)).expect("a member");
            zip.write_all(&bytes).expect("its bytes");
        }
        zip.finish().expect("a whole zip");
    }

    fn write_tar(path: &Path, members: &[(&str, tar::EntryType, Vec<u8>)]) {
        let mut tar = tar::Builder::new(File::create(path).expect("a file"));
        for (name, kind, bytes) in members {
            let mut header = tar::Header::new_gnu();
            // Written by hand: the writer itself refuses names that escape.
            header.as_gnu_mut().expect("gnu").name[..name.len()].copy_from_slice(name.as_bytes());
            header.set_entry_type(*kind);
            header.set_size(bytes.len() as u64);
            header.set_cksum();
            tar.append(&header, &bytes[..]).expect("a member");
        }
        tar.finish().expect("a whole tar");
    }

    fn scene(name: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(name);
        (folder, path)
    }

    fn message(path: &Path) -> String {
        let error = read_samples(path, &ReadOptions::default()).unwrap_err().to_string();
        assert!(error.contains(&*path.to_string_lossy()), "{error}");
        error
    }

    #[test]
    fn archives_read_as_their_folder_would() {
        let images = [("set/dog/b.png", png(3, 30)), ("set/cat/a.png", png(3, 10)), ("set/dog/a.png", png(3, 20))];
        let (_folder, zip) = scene("x.zip");
        write_zip(&zip, images.clone().into_iter().chain([("set/readme.txt", b"hello".to_vec())]));
        let (_folder, tar) = scene("x.tar");
        let members: Vec<_> = images.iter().map(|(name, png)| (*name, tar::EntryType::Regular, png.clone())).collect();
        write_tar(&tar, &members);
        let (_folder, renamed) = scene("renamed");
        fs::copy(&tar, &renamed).expect("a copy");
        for path in [zip, tar, renamed] {
            let set = read_samples(&path, &ReadOptions::default()).expect("images");
            let first: Vec<u8> = set.as_u8().expect("pixels").chunks(27).map(|image| image[0]).collect();
            assert_eq!(first, [10, 20, 30]);
            assert_eq!(set.labels(), Some(&[0, 1, 1][..]));
        }
    }

    #[test]
    fn names_that_escape_are_refused() {
        for name in ["../a.png", "a/../../b.png", "/etc/a.png", "c:\\a.png", "..\\a.png", "../notes.txt"] {
            let (_folder, zip) = scene("x.zip");
            write_zip(&zip, [("fine.png", png(2, 1)), (name, png(2, 2))]);
            assert!(message(&zip).contains("leads out"), "{name}");
            let (_folder, tar) = scene("x.tar");
            let regular = tar::EntryType::Regular;
            write_tar(&tar, &[("fine.png", regular, png(2, 1)), (name, regular, png(2, 2))]);
            assert!(message(&tar).contains("leads out"), "{name}");
        }
    }

    #[test]
    fn links_and_doubles_are_refused() {
        let (_folder, tar) = scene("x.tar");
        write_tar(&tar, &[("a.png", tar::EntryType::Symlink, Vec::new())]);
        assert!(message(&tar).contains("not a plain file"));
        let regular = tar::EntryType::Regular;
        write_tar(&tar, &[("a.png", regular, png(2, 1)), ("a.png", regular, png(2, 2))]);
        assert!(message(&tar).contains("twice"));
        let (_folder, zip) = scene("x.zip");
        let mut writer = zip::ZipWriter::new(File::create(&zip).expect("a file"));
        writer.add_symlink("a.png", "/etc/passwd", SimpleFileOptions::default()).expect("a link");
        writer.finish().expect("a whole zip");
        assert!(message(&zip).contains("link"));
    }

    #[test]
    fn archives_without_images_and_halves_are_named() {
        let (_folder, zip) = scene("x.zip");
        write_zip(&zip, [("notes.txt", b"hello".to_vec())]);
        assert!(message(&zip).contains("png, jpg"));
        write_zip(&zip, [("a.png", png(40, 1)), ("b.png", png(40, 1))]);
        let whole = fs::read(&zip).expect("the file");
        fs::write(&zip, &whole[..whole.len() - 40]).expect("most of it");
        message(&zip);
        let (_folder, tar) = scene("x.tar");
        write_tar(&tar, &[("a.png", tar::EntryType::Regular, vec![1; 5000])]);
        let whole = fs::read(&tar).expect("the file");
        fs::write(&tar, &whole[..2000]).expect("part of it");
        assert!(message(&tar).contains("truncated"), "{}", message(&tar));
    }

    /// Rewrites the 32-bit uncompressed size in both headers of a zip's first member.
    fn claim(path: &Path, size: u32) {
        let mut bytes = fs::read(path).expect("the file");
        let central = bytes.windows(4).position(|window| window == b"PK\x01\x02").expect("a central directory");
        bytes[22..26].copy_from_slice(&size.to_le_bytes());
        bytes[central + 24..central + 28].copy_from_slice(&size.to_le_bytes());
        fs::write(path, bytes).expect("the file");
    }

    #[test]
    fn bombs_fail_fast_with_the_number_and_the_limit() {
        let (_folder, zip) = scene("x.zip");
        // Claims 4 GB a member.
        write_zip(&zip, [("a.png", png(2, 1))]);
        claim(&zip, 4_000_000_000);
        let error = message(&zip);
        assert!(error.contains("4000000000") && error.contains("1073741824"), "{error}");
        claim(&zip, 900_000_000);
        let error = message(&zip);
        assert!(error.contains("900000000") && error.contains("268435456"), "{error}");
        // Unpacks to more than it claims.
        write_zip(&zip, [("a.png", vec![0; 1 << 20])]);
        claim(&zip, 1000);
        let error = message(&zip);
        assert!(error.contains("1000") || error.contains("zip"), "{error}");
        // Many members that are honest one by one: 100 x 200 MB of zeros.
        let mut writer = zip::ZipWriter::new(File::create(&zip).expect("a file"));
        let zeros = vec![0; 20_000_000];
        for index in 0..60 {
            writer.start_file(format!("{index}.bmp"), SimpleFileOptions::default()).expect("a member");
            writer.write_all(&zeros).expect("its bytes");
        }
        writer.finish().expect("a whole zip");
        let error = message(&zip);
        assert!(error.contains("1200000000"), "{error}");
    }

    #[test]
    fn faces_are_read_where_they_are() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/lfw-64.tar");
        if !path.is_file() {
            println!("skipped: {} is not here", path.display());
            return;
        }
        let set = read_samples(&path, &ReadOptions::default()).expect("faces");
        assert_eq!((set.len(), set.dim(), set.labels()), (7701, 64 * 64 * 3, None));
    }

    /// Peak memory of this process in bytes.
    #[cfg(target_os = "linux")]
    fn peak() -> u64 {
        let status = fs::read_to_string("/proc/self/status").expect("linux");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a line of it");
        1024 * line.trim().trim_end_matches("kB").trim().parse::<u64>().expect("a number")
    }

    /// Runs itself again in a process of its own, so that the peak is its own.
    #[cfg(target_os = "linux")]
    #[test]
    fn pixels_are_held_once() {
        const CHILD: &str = "MADLOOP_TEST_MEMORY";
        if let Some(path) = std::env::var_os(CHILD) {
            let before = peak();
            let set = read_samples(Path::new(&path), &ReadOptions::default()).expect("images");
            assert_eq!(set.len(), 7000);
            let (pixels, grown) = (set.bytes(), peak() - before);
            println!("{pixels} bytes of pixels, the peak grew by {grown}");
            assert!(grown < pixels + pixels / 4, "{pixels} bytes of pixels, the peak grew by {grown}");
            return;
        }
        let (_folder, zip) = scene("x.zip");
        let pngs: Vec<Vec<u8>> = (0..=255).map(|value| png(128, value)).collect();
        let names: Vec<String> = (0..7000).map(|index| format!("{index:05}.png")).collect();
        write_zip(&zip, names.iter().enumerate().map(|(index, name)| (name.as_str(), pngs[index % 256].clone())));
        let child = std::process::Command::new(std::env::current_exe().expect("this test"))
            .args(["--exact", "data::archive::tests::pixels_are_held_once", "--nocapture"])
            .env(CHILD, &zip)
            .output()
            .expect("this test again");
        let said = String::from_utf8_lossy(&child.stdout).into_owned() + &String::from_utf8_lossy(&child.stderr);
        assert!(child.status.success() && said.contains("bytes of pixels"), "{said}");
        println!("{said}");
    }
}
