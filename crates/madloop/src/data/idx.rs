//! IDX, the format of MNIST: two zero bytes, the type of the numbers, the number of axes, their lengths, the numbers.
//!
//! Format: <http://yann.lecun.com/exdb/mnist/> (big-endian throughout).

use std::io::Read;
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;

use super::array::{Layout, Number, read_array, read_labels};
use super::limits::check_unpacked;
use super::loaded::Loaded;
use super::map::{CHECK_PATH, FileView};
use super::stream::Batches;
use crate::{Error, Result};

/// The two bytes with which gzip files begin.
pub(crate) const GZIP: &[u8] = &[0x1f, 0x8b];

/// Whether a file that begins with `start` is IDX.
pub(crate) fn is_idx(start: &[u8]) -> bool {
    matches!(start, [0, 0, 0x08..=0x0e, 1..=4, ..])
}

/// A file, unpacked on the way if it is gzip (by content, not by name), and its size on disk.
pub(crate) fn open_maybe_gz(path: &Path) -> Result<(Box<dyn Read>, u64, bool)> {
    let mut file = FileView::open(path)?;
    let held = file.len();
    let mut start = Vec::new();
    let error = Error::io("read", path, CHECK_PATH);
    file.by_ref().take(2).read_to_end(&mut start).map_err(error)?;
    let whole = std::io::BufReader::new(std::io::Cursor::new(start.clone()).chain(file));
    Ok(if start == GZIP { (Box::new(MultiGzDecoder::new(whole)), held, true) } else { (Box::new(whole), held, false) })
}

/// Reads IDX images; MNIST's naming leads to the labels beside them (`...images-idx3...` to `...labels-idx1...`).
pub(crate) fn load(path: &Path) -> Result<Loaded> {
    let loaded = open(path, |layout, reader| read_array(path, layout, reader))?;
    match labels_beside(path) {
        Some(labels) => {
            let list = open(&labels, |layout, reader| read_labels(&labels, layout, reader))?;
            loaded.with_labels(&labels, list)
        }
        None => Ok(loaded),
    }
}

/// Hands over the rows of an IDX file.
pub(crate) fn stream(path: &Path, batches: &mut Batches<'_>) -> Result<()> {
    open(path, |layout, reader| batches.array(path, layout, reader))
}

/// Images in memory, such as a file just checked.
pub(crate) fn parse_images(path: &Path, bytes: &[u8]) -> Result<Loaded> {
    parse(path, bytes, |layout, reader| read_array(path, layout, reader))
}

/// Labels in memory.
pub(crate) fn parse_labels(path: &Path, bytes: &[u8]) -> Result<Vec<u32>> {
    parse(path, bytes, |layout, reader| read_labels(path, layout, reader))
}

fn labels_beside(path: &Path) -> Option<PathBuf> {
    let name = path.file_name()?.to_str()?;
    let labels = name.replace("images", "labels").replace("idx3", "idx1");
    let beside = path.with_file_name(&labels);
    (labels != name && beside.is_file()).then_some(beside)
}

fn parse<T>(path: &Path, bytes: &[u8], read: impl FnOnce(&Layout, &mut &[u8]) -> Result<T>) -> Result<T> {
    let mut reader = bytes;
    let layout = read_header(path, &mut reader)?;
    if layout.bytes() != reader.len() as u128 {
        return Err(layout.size_error(path, reader.len() as u128));
    }
    read(&layout, &mut reader)
}

fn open<T>(path: &Path, read: impl FnOnce(&Layout, &mut Box<dyn Read>) -> Result<T>) -> Result<T> {
    let (mut reader, held, is_gz) = open_maybe_gz(path)?;
    let layout = read_header(path, &mut reader)?;
    let start = 4 + 4 * layout.dims.len() as u64;
    if is_gz {
        check_unpacked(path, layout.bytes(), held)?;
    } else if layout.bytes() != u128::from(held - start) {
        return Err(layout.size_error(path, u128::from(held - start)));
    }
    let out = read(&layout, &mut reader)?;
    let mut rest = [0];
    match reader.read(&mut rest).map_err(Error::io("read", path, "make or download the file again"))? {
        0 => Ok(out),
        _ => Err(layout.size_error(path, layout.bytes() + 1)),
    }
}

fn read_header(path: &Path, reader: &mut impl Read) -> Result<Layout> {
    let remedy = "make or download the file again";
    let truncated = |_| Error::bad_file(path, "the IDX header is truncated or its gzip is damaged", remedy);
    let mut start = [0; 4];
    reader.read_exact(&mut start).map_err(truncated)?;
    if !is_idx(&start) {
        return Err(Error::bad_file(path, format!("it begins with {start:02x?}, which is not IDX"), remedy));
    }
    let number = match start[2] {
        0x08 => Number::U8,
        0x09 => Number::I8,
        0x0b => Number::I16,
        0x0c => Number::I32,
        0x0d => Number::F32,
        0x0e => Number::F64,
        code => return Err(Error::bad_file(path, format!("IDX has no number type 0x{code:02x}"), remedy)),
    };
    let mut dims = vec![0; usize::from(start[3])];
    for dim in &mut dims {
        let mut bytes = [0; 4];
        reader.read_exact(&mut bytes).map_err(truncated)?;
        *dim = u64::from(u32::from_be_bytes(bytes));
    }
    Ok(Layout { number, big_endian: true, dims, fortran: false })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;

    use crate::data::{ReadOptions, read_samples};

    fn idx(code: u8, dims: &[u32], data: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0, 0, code, dims.len() as u8];
        bytes.extend(dims.iter().flat_map(|dim| dim.to_be_bytes()));
        bytes.extend(data);
        bytes
    }

    fn gz(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).expect("memory");
        encoder.finish().expect("memory")
    }

    #[test]
    fn images_and_labels_round_trip_packed_or_not_under_any_name() {
        let folder = tempfile::tempdir().expect("a folder");
        let pixels: Vec<u8> = (0..12).collect();
        let images = idx(8, &[3, 2, 2], &pixels);
        let path = folder.path().join("a-images-idx3-ubyte");
        for bytes in [images.clone(), gz(&images)] {
            fs::write(&path, bytes).expect("a file");
            let set = read_samples(&path, &ReadOptions::default()).expect("images");
            assert_eq!((set.as_u8(), set.labels()), (Some(&pixels[..]), None));
        }
        fs::write(folder.path().join("a-labels-idx1-ubyte"), gz(&idx(8, &[3], &[7, 8, 9]))).expect("a file");
        let set = read_samples(&path, &ReadOptions::default()).expect("images and labels");
        assert_eq!(set.labels(), Some(&[7, 8, 9][..]));
        let floats: Vec<u8> = [1.0_f32, 2.0].iter().flat_map(|value| value.to_be_bytes()).collect();
        fs::write(&path, idx(0x0d, &[1, 2], &floats)).expect("a file");
        fs::remove_file(folder.path().join("a-labels-idx1-ubyte")).expect("gone");
        let set = read_samples(&path, &ReadOptions::default()).expect("features");
        assert_eq!(set.as_f32(), Some(&[1.0, 2.0][..]));
    }

    #[test]
    fn claims_are_checked_before_memory_is_asked_for() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("images");
        let message = |bytes: &[u8]| {
            fs::write(&path, bytes).expect("a file");
            read_samples(&path, &ReadOptions::default()).unwrap_err().to_string()
        };
        let short = idx(8, &[60_000, 28, 28], &[0; 1234]);
        for bytes in [short.clone(), gz(&short)] {
            let error = message(&bytes);
            let expected = "truncated: header says 60000 x 28 x 28 = 47040000 bytes, file holds 1234";
            assert!(error.contains(expected), "{error}");
        }
        let error = message(&gz(&idx(8, &[100, 1 << 15, 1 << 15], &[])));
        assert!(error.contains("107374182400") && error.contains("1073741824"), "{error}");
        assert!(message(&idx(8, &[u32::MAX; 4], &[])).contains("truncated"));
        assert!(message(&idx(8, &[1, 2, 2], &[0; 9])).contains("too long"));
        assert!(message(&gz(&idx(8, &[1, 2, 2], &[0; 9]))).contains("too long"));
        assert!(message(&idx(0x0c, &[1, 2], &[0; 8])).contains("int32"));
    }
}
