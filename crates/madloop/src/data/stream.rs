//! Sets handed over in batches of rows, so that none has to fit into memory.

use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::Path;

use madloop_core::{Samples, Shape};

use super::array::{Layout, Number, convert, fill, read_array};
use super::images::{Decoding, Members, drop_rows, refit};
use super::limits::zeroed;
use super::loaded::{Buffer, Loaded};
use super::map::{CHECK_PATH, FileView};
use super::read::{Kind, ReadOptions, check_options, kind_of};
use super::{archive, csv, folder, idx, npy, safetensors};
use crate::{Error, Result};

/// Values of a batch: 16 MiB of f32.
const BATCH: usize = 1 << 22;

/// Takes the rows of a set, batch after batch.
pub trait RowSink {
    /// The shape that every sample will have, before any memory is asked for.
    ///
    /// # Errors
    /// Any error ends the reading.
    fn begin(&mut self, shape: Shape) -> Result<()>;

    /// The next rows (at least one), in the file's order.
    ///
    /// # Errors
    /// Any error ends the reading.
    fn rows(&mut self, rows: &Samples) -> Result<()>;
}

/// Reads what [`read_samples`](super::read_samples) reads, without labels, in batches of at most 16 MiB (as f32; at least one
/// row), decoded by all threads. The rows and their order are the same; memory is bounded by a batch, save for an
/// array in Fortran order inside an .npz, which is read whole.
///
/// # Errors
/// Those of `read_samples`, and those of the sink. Rows may have been handed over before a fault is found.
pub fn stream_samples(path: &Path, options: &ReadOptions, sink: &mut dyn RowSink) -> Result<()> {
    stream_in_batches(path, options, BATCH, sink)
}

/// The same with batches of about `values` values.
pub(crate) fn stream_in_batches(
    path: &Path,
    options: &ReadOptions,
    values: usize,
    sink: &mut dyn RowSink,
) -> Result<()> {
    check_options(path, options)?;
    let mut batches = Batches { path, options, values, sink };
    match kind_of(path)? {
        Kind::Folder => folder::stream(path, &mut batches),
        Kind::Npy => npy::stream(path, &mut batches),
        Kind::Zip => archive::stream_zip(path, &mut batches),
        Kind::Tar => archive::stream_tar(path, &mut batches),
        Kind::Safetensors => safetensors::stream(path, &mut batches),
        Kind::Idx => idx::stream(path, &mut batches),
        Kind::Table => csv::stream(path, &mut batches),
    }
}

/// Where a reader puts its batches.
pub(crate) struct Batches<'a> {
    path: &'a Path,
    /// How images are read.
    pub(crate) options: &'a ReadOptions,
    values: usize,
    sink: &'a mut dyn RowSink,
}

impl Batches<'_> {
    /// Begins a set of samples that lie in the file as `shape`; returns how many make a batch.
    pub(crate) fn begin(&mut self, shape: Shape) -> Result<usize> {
        self.sink.begin(self.options.shape_after(shape))?;
        Ok(self.rows_of(shape))
    }

    /// Samples of a batch.
    pub(crate) fn rows_of(&self, shape: Shape) -> usize {
        (self.values / shape.len()).max(1)
    }

    /// Hands over rows as they lie in the file.
    pub(crate) fn push(&mut self, loaded: Loaded) -> Result<()> {
        let rows = refit(self.path, loaded, self.options)?.into_samples()?;
        self.sink.rows(&rows)
    }

    /// Hands over the array that follows in `reader`.
    pub(crate) fn array(&mut self, path: &Path, layout: &Layout, reader: &mut impl Read) -> Result<()> {
        let shape = layout.sample_shape(path)?;
        let rows = self.begin(shape)?;
        if layout.fortran {
            let whole = read_array(path, layout, reader)?;
            return self.push(whole);
        }
        let (n, row) = (layout.dims[0] as usize, shape.len() * layout.number.width());
        for part in parts(n, rows) {
            let mut bytes = zeroed::<u8>(path, part.len() * row)?;
            fill(path, layout, reader, &mut bytes, part.start * row)?;
            let buffer = to_buffer(path, layout, bytes, shape.len(), part.start)?;
            self.push(Loaded { shape, buffer, labels: None })?;
        }
        Ok(())
    }

    /// Hands over an array that begins at `start` of a file, in either order.
    pub(crate) fn array_at(&mut self, path: &Path, layout: &Layout, mut file: FileView, start: u64) -> Result<()> {
        if !layout.fortran {
            file.seek(SeekFrom::Start(start)).map_err(Error::io("read", path, CHECK_PATH))?;
            return self.array(path, layout, &mut std::io::BufReader::with_capacity(1 << 16, file));
        }
        let shape = layout.sample_shape(path)?;
        let rows = self.begin(shape)?;
        let (n, dim, width) = (layout.dims[0], shape.len(), layout.number.width());
        let place = places(&layout.dims[1..], dim);
        for part in parts(n as usize, rows) {
            let mut bytes = zeroed::<u8>(path, part.len() * dim * width)?;
            let mut column = vec![0; part.len() * width];
            for (index, &place) in place.iter().enumerate() {
                let before = (index as u64 * n + part.start as u64) * width as u64;
                file.seek(SeekFrom::Start(start + before)).map_err(Error::io("read", path, CHECK_PATH))?;
                fill(path, layout, &mut file, &mut column, before as usize)?;
                for (row, value) in column.chunks_exact(width).enumerate() {
                    bytes[(row * dim + place) * width..][..width].copy_from_slice(value);
                }
            }
            let buffer = to_buffer(path, layout, bytes, dim, part.start)?;
            self.push(Loaded { shape, buffer, labels: None })?;
        }
        Ok(())
    }

    /// Hands over images, decoded by all threads.
    pub(crate) fn images(&mut self, members: &impl Members) -> Result<()> {
        let decoding = Decoding::new(self.path, members, self.options, &|_, _| {})?;
        self.sink.begin(decoding.shape())?;
        let row = decoding.shape().len();
        for part in parts(decoding.len(), self.rows_of(decoding.shape())) {
            let mut pixels = zeroed::<u8>(self.path, part.len() * row)?;
            let bad = decoding.decode(part, &mut pixels)?;
            if !bad.is_empty() {
                drop_rows(&mut pixels, row, &bad);
            }
            if pixels.is_empty() {
                continue;
            }
            let rows = Loaded { shape: decoding.shape(), buffer: Buffer::U8(pixels), labels: None }.into_samples()?;
            self.sink.rows(&rows)?;
        }
        Ok(())
    }
}

/// `0..n` in ranges of `size`.
fn parts(n: usize, size: usize) -> impl Iterator<Item = Range<usize>> {
    (0..n).step_by(size).map(move |start| start..(start + size).min(n))
}

/// Bytes in C order as the values they stand for; `first` is the number of the first row.
fn to_buffer(path: &Path, layout: &Layout, bytes: Vec<u8>, dim: usize, first: usize) -> Result<Buffer> {
    if layout.number == Number::U8 {
        return Ok(Buffer::U8(bytes));
    }
    let mut values = zeroed::<f32>(path, bytes.len() / layout.number.width())?;
    convert(layout, &bytes, &mut values);
    super::array::check_finite(path, &values, dim, first)?;
    Ok(Buffer::F32(values))
}

/// For each value of a sample, in Fortran order, its place in C order.
fn places(dims: &[u64], len: usize) -> Vec<usize> {
    let mut index = vec![0; dims.len()];
    (0..len)
        .map(|_| {
            let place = index.iter().zip(dims).fold(0, |place, (&at, &dim)| place * dim as usize + at);
            for (at, &dim) in index.iter_mut().zip(dims) {
                *at += 1;
                if *at < dim as usize {
                    break;
                }
                *at = 0;
            }
            place
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use madloop_core::Samples;

    use super::*;
    use crate::data::hostile::files;
    use crate::data::read_samples;

    /// All rows, as they came.
    #[derive(Default)]
    struct Kept {
        shape: Option<Shape>,
        values: Vec<f32>,
        batches: usize,
    }

    impl RowSink for Kept {
        fn begin(&mut self, shape: Shape) -> Result<()> {
            self.shape = Some(shape);
            Ok(())
        }

        fn rows(&mut self, rows: &Samples) -> Result<()> {
            assert!(Some(rows.shape()) == self.shape && !rows.is_empty());
            self.values.extend(rows.to_f32());
            self.batches += 1;
            Ok(())
        }
    }

    fn kept(path: &Path, options: &ReadOptions, values: usize) -> Result<Kept> {
        let mut kept = Kept::default();
        stream_in_batches(path, options, values, &mut kept)?;
        Ok(kept)
    }

    fn npy(descr: &str, fortran: bool, shape: &str, data: &[u8]) -> Vec<u8> {
        let fortran = if fortran { "True" } else { "False" };
        let text = format!("{{'descr': '{descr}', 'fortran_order': {fortran}, 'shape': {shape}, }}\n");
        [b"\x93NUMPY\x01\x00", &(text.len() as u16).to_le_bytes()[..], text.as_bytes(), data].concat()
    }

    #[test]
    fn batches_hold_the_rows_of_the_whole() {
        let folder = tempfile::tempdir().expect("a folder");
        let pixels: Vec<u8> = (0..180).collect();
        let doubles: Vec<u8> = (0..60).flat_map(|value| (f64::from(value) * 0.7).to_le_bytes()).collect();
        let swapped: Vec<u8> = doubles.chunks(8).flat_map(|bytes| bytes.iter().rev().copied()).collect();
        let arrays = [
            ("c.npy", npy("|u1", false, "(5, 3, 4, 3)", &pixels)),
            ("f.npy", npy("|u1", true, "(5, 3, 4, 3)", &pixels)),
            ("d.npy", npy("<f8", false, "(20, 3)", &doubles)),
            ("df.npy", npy(">f8", true, "(20, 3)", &swapped)),
        ];
        for (name, bytes) in files().into_iter().chain(arrays) {
            let path = folder.path().join(name);
            fs::write(&path, bytes).expect("a file");
            let whole = read_samples(&path, &ReadOptions::default()).expect("samples");
            for values in [1, 7, 30, 1 << 20] {
                let kept = kept(&path, &ReadOptions::default(), values).expect("samples");
                assert_eq!((kept.shape, kept.values), (Some(whole.shape()), whole.to_f32()), "{name}, {values}");
                assert!(values > 1 || kept.batches == whole.len() || name == "x.npz", "{name}: {}", kept.batches);
            }
        }
    }

    #[test]
    fn faults_have_the_words_of_the_whole() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("x.npy");
        let mut data = [0.0_f32; 40];
        data[33] = f32::NAN;
        let data: Vec<u8> = data.iter().flat_map(|value| value.to_le_bytes()).collect();
        for bytes in [npy("<f4", false, "(20, 2)", &data), npy("<f4", true, "(20, 2)", &data)] {
            fs::write(&path, bytes).expect("a file");
            let whole = read_samples(&path, &ReadOptions::default()).unwrap_err().to_string();
            assert_eq!(kept(&path, &ReadOptions::default(), 6).err().map(|error| error.to_string()), Some(whole));
        }
    }
}
