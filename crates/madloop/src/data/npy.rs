//! NumPy's .npy: a header in Python's notation, then the numbers. Nothing pickled is ever run.
//!
//! Format: <https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>.

use std::io::{BufReader, Read};
use std::path::Path;

use super::array::{Layout, Number, read_array};
use super::loaded::{Buffer, Loaded};
use super::map::{CHECK_PATH, FileView, Mapped};
use super::stream::Batches;
use crate::{Error, Result};

/// The first bytes of every .npy file.
pub(crate) const MAGIC: &[u8] = b"\x93NUMPY";
/// Bytes of a header's text; NumPy's own are below 200.
const MAX_HEADER: usize = 1 << 16;

/// Reads an .npy file; uint8 images in C order are mapped, not copied.
pub(crate) fn load(path: &Path) -> Result<Loaded> {
    let (layout, start, reader) = open(path)?;
    if layout.number == Number::U8 && !layout.fortran {
        let shape = layout.sample_shape(path)?;
        let (start, len) = (start as usize, layout.bytes() as usize);
        let pixels = Mapped::open(path)?;
        if pixels.as_ref().len() < start + len {
            return Err(layout.size_error(path, pixels.as_ref().len().saturating_sub(start) as u128));
        }
        return Ok(Loaded { shape, buffer: Buffer::Mapped(pixels.slice(start..start + len)), labels: None });
    }
    read_array(path, &layout, reader)
}

/// Hands over the rows of an .npy file.
pub(crate) fn stream(path: &Path, batches: &mut Batches<'_>) -> Result<()> {
    let (layout, start, reader) = open(path)?;
    batches.array_at(path, &layout, reader.into_inner(), start)
}

/// The layout of the array, where it starts, and a reader that is there.
fn open(path: &Path) -> Result<(Layout, u64, BufReader<FileView>)> {
    let file = FileView::open(path)?;
    let held = file.len();
    let mut reader = BufReader::new(file);
    let (layout, start) = read_header(path, &mut reader)?;
    if layout.bytes() > u128::from(held.saturating_sub(start)) {
        return Err(layout.size_error(path, u128::from(held.saturating_sub(start))));
    }
    Ok((layout, start, reader))
}

/// The layout of the array that follows, and how many bytes the header took.
pub(crate) fn read_header(path: &Path, reader: &mut impl Read) -> Result<(Layout, u64)> {
    let not_npy = |why: &str| Error::bad_file(path, why, "save it again with numpy.save");
    let mut read = |out: &mut [u8]| {
        reader.read_exact(out).map_err(|error| match error.kind() {
            std::io::ErrorKind::UnexpectedEof => not_npy("the .npy header is truncated"),
            _ => Error::io("read", path, CHECK_PATH)(error),
        })
    };
    let mut start = [0; 8];
    read(&mut start)?;
    if &start[..6] != MAGIC {
        return Err(not_npy("it is not an .npy file"));
    }
    let mut length = [0; 4];
    let width = match start[6] {
        1 => 2,
        2 | 3 => 4,
        version => return Err(not_npy(&format!("version {version} of .npy is not known"))),
    };
    read(&mut length[..width])?;
    let length = u32::from_le_bytes(length) as usize;
    if length > MAX_HEADER {
        return Err(not_npy(&format!("its header claims {length} bytes; the limit is {MAX_HEADER}")));
    }
    let mut text = vec![0; length];
    read(&mut text)?;
    let text = String::from_utf8(text).map_err(|_| not_npy("its header is not text"))?;
    Ok((parse(path, &text)?, (8 + width + length) as u64))
}

/// Reads `{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }`.
fn parse(path: &Path, text: &str) -> Result<Layout> {
    let not_npy = || Error::bad_file(path, format!("its header is {}", text.trim()), "save it again with numpy.save");
    let value = |key: &str| {
        let at = text.find(&format!("'{key}'"))? + key.len() + 2;
        Some(text[at..].trim_start().strip_prefix(':')?.trim_start())
    };
    let descr = value("descr").ok_or_else(not_npy)?;
    let fortran = match value("fortran_order").ok_or_else(not_npy)? {
        flag if flag.starts_with("True") => true,
        flag if flag.starts_with("False") => false,
        _ => return Err(not_npy()),
    };
    let dims = value("shape").and_then(|shape| shape.strip_prefix('(')?.split_once(')')).ok_or_else(not_npy)?.0;
    let dims = dims.split(',').map(str::trim).filter(|dim| !dim.is_empty());
    let dims: Vec<u64> = dims.map(str::parse).collect::<Result<_, _>>().map_err(|_| not_npy())?;
    let number = descr.strip_prefix('\'').and_then(|descr| descr.split_once('\'')).map_or(descr, |(number, _)| number);
    let (order, code) = number.split_at_checked(1).ok_or_else(not_npy)?;
    let number = match code {
        "u1" => Number::U8,
        "i1" => Number::I8,
        "i2" => Number::I16,
        "u2" => Number::U16,
        "i4" => Number::I32,
        "u4" => Number::U32,
        "i8" => Number::I64,
        "u8" => Number::U64,
        "f2" => Number::F16,
        "f4" => Number::F32,
        "f8" => Number::F64,
        _ if code.starts_with('O') => {
            let why = "it holds pickled Python objects, which are never read";
            return Err(Error::bad_file(
                path,
                why,
                "save an array of numbers: numpy.save(file, array.astype(\"float32\"))",
            ));
        }
        _ => {
            let why = format!("its dtype is {}", number.chars().take(40).collect::<String>());
            return Err(Error::bad_file(path, why, "save images as uint8 and features as float32 or float64"));
        }
    };
    Ok(Layout { number, big_endian: order == ">", dims, fortran })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use npyz::WriterBuilder;

    use super::*;
    use crate::data::{ReadOptions, read_samples};

    /// Written by another implementation of the format.
    fn write<T: npyz::AutoSerialize + Copy>(path: &Path, order: npyz::Order, dims: &[u64], values: &[T]) {
        let mut bytes = Vec::new();
        let mut writer = npyz::WriteOptions::new()
            .default_dtype()
            .shape(dims)
            .order(order)
            .writer(&mut bytes)
            .begin_nd()
            .expect("a header");
        writer.extend(values.iter().copied()).expect("memory");
        writer.finish().expect("all values");
        fs::write(path, bytes).expect("a file");
    }

    fn folder() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("x.npy");
        (folder, path)
    }

    fn message(path: &Path) -> String {
        let error = read_samples(path, &ReadOptions::default()).unwrap_err().to_string();
        assert!(error.contains("x.npy"), "{error}");
        error
    }

    #[test]
    fn features_and_images_round_trip() {
        let (_folder, path) = folder();
        let read = || read_samples(&path, &ReadOptions::default()).expect("samples");
        let values = [1.0, -2.0, 3.0, 4.0, 5.0, 6.0_f32];
        write(&path, npyz::Order::C, &[3, 2], &values);
        assert_eq!(read().as_f32(), Some(&values[..]));
        assert_eq!(read().shape(), madloop_core::Shape::vector(2));
        write(&path, npyz::Order::Fortran, &[3, 2], &values.map(f64::from));
        assert_eq!(read().as_f32(), Some(&[1.0, 4.0, -2.0, 5.0, 3.0, 6.0][..]));
        let pixels: Vec<u8> = (0..48).collect();
        write(&path, npyz::Order::C, &[4, 2, 2, 3], &pixels);
        assert_eq!(read().as_u8(), Some(&pixels[..]));
        assert_eq!(read().shape(), madloop_core::Shape::Image { channels: 3, height: 2, width: 2 });
        write(&path, npyz::Order::C, &[12, 2, 2], &pixels);
        assert_eq!((read().len(), read().dim()), (12, 4));
    }

    #[test]
    fn pixels_are_mapped() {
        let (_folder, path) = folder();
        write(&path, npyz::Order::C, &[2, 2, 2], &[0_u8; 8]);
        assert!(matches!(load(&path).expect("images").buffer, Buffer::Mapped(_)));
    }

    #[test]
    fn bad_values_are_named() {
        let (_folder, path) = folder();
        write(&path, npyz::Order::C, &[2, 2], &[0.0, 1.0, f32::NAN, 0.0]);
        assert!(message(&path).contains("row 1, column 0 is NaN"));
        write(&path, npyz::Order::C, &[2, 2], &[0.0, 1.0, 0.0, 1e300_f64]);
        assert!(message(&path).contains("row 1, column 1 is inf"));
        write(&path, npyz::Order::C, &[2, 2], &[1_i64; 4]);
        assert!(message(&path).contains("int64"));
    }

    #[test]
    fn bad_files_are_refused_before_memory_is_asked_for() {
        let (_folder, path) = folder();
        let header = |version: u8, length: u32, text: &str| {
            let mut bytes = [MAGIC, &[version, 0], &length.to_le_bytes()].concat();
            if version == 1 {
                bytes.truncate(10);
            }
            bytes.extend(text.as_bytes());
            fs::write(&path, bytes).expect("a file");
        };
        let text = "{'descr': '|u1', 'fortran_order': False, 'shape': (60000, 28, 28), }\n";
        header(1, text.len() as u32, &format!("{text}{}", "x".repeat(1234)));
        assert!(message(&path).contains("truncated: header says 60000 x 28 x 28 = 47040000 bytes, file holds 1234"));
        let text = "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999, 99999999999), }";
        header(1, text.len() as u32, text);
        assert!(message(&path).contains("truncated"));
        let text = "{'descr': '|O', 'fortran_order': False, 'shape': (3,), }";
        header(1, text.len() as u32, text);
        assert!(message(&path).contains("pickled"));
        let text = "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (3,), }";
        header(1, text.len() as u32, text);
        assert!(message(&path).contains("dtype is"));
        header(2, u32::MAX, text);
        assert!(message(&path).contains("4294967295"));
        header(1, 99, "{");
        assert!(message(&path).contains("truncated"));
        header(1, 2, "{}");
        assert!(message(&path).contains("header is {}"));
        header(7, 2, "{}");
        assert!(message(&path).contains("version 7"));
    }
}
