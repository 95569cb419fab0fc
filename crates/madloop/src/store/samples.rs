//! Samples on disk: samples.npy and labels.npy, mapped back without copying.

use std::io::Cursor;
use std::path::Path;

use madloop_core::{F32Buffer, Samples, Shape, U8Buffer, Values};
use npyz::{DType, NpyHeader, Order, WriterBuilder};

use super::files;
use crate::data::Mapped;
use crate::{Error, Result};

pub(crate) const SAMPLES: &str = "samples.npy";
pub(crate) const LABELS: &str = "labels.npy";
const REMEDY: &str = "delete the folder of its cell and run again";

/// Writes `[n, d]`, `[n, h, w]` or `[n, h, w, c]` values, and labels `[n]` if there are any.
pub(crate) fn write(folder: &Path, samples: &Samples) -> Result<()> {
    let n = samples.len() as u64;
    let shape: Vec<u64> = match samples.shape() {
        Shape::Vector { dim } => vec![n, dim as u64],
        Shape::Image { channels: 1, height, width } => vec![n, height as u64, width as u64],
        Shape::Image { channels, height, width } => vec![n, height as u64, width as u64, channels as u64],
    };
    let path = folder.join(SAMPLES);
    match (samples.as_u8(), samples.as_f32()) {
        (Some(pixels), _) => save(&path, &shape, pixels)?,
        (_, Some(values)) => save(&path, &shape, values)?,
        _ => files::write(&path, &[])?,
    }
    match samples.labels() {
        Some(labels) => save(&folder.join(LABELS), &[n], labels),
        None => Ok(()),
    }
}

/// A draw may be as large as memory, so it is never encoded in memory.
fn save<T: npyz::AutoSerialize + Copy>(path: &Path, shape: &[u64], values: &[T]) -> Result<()> {
    files::write_with(path, |file| {
        let mut writer = npyz::WriteOptions::new().default_dtype().shape(shape).writer(file).begin_nd()?;
        writer.extend(values.iter().copied())?;
        writer.finish()
    })
}

/// Reads back what [`write()`] wrote; the values stay in the mapped file.
pub(crate) fn read(folder: &Path) -> Result<Samples> {
    let path = folder.join(SAMPLES);
    let (header, map) = open(&path)?;
    let axes: Vec<usize> = header.shape().iter().map(|&length| length as usize).collect();
    let shape = match axes[..] {
        [_, dim] => Shape::Vector { dim },
        [_, height, width] => Shape::Image { channels: 1, height, width },
        [_, height, width, channels] => Shape::Image { channels, height, width },
        _ => return Err(bad(&path, format!("its shape is {axes:?}"))),
    };
    let values = match type_of(&header).as_deref() {
        Some("|u1") => Values::U8(std::sync::Arc::new(map) as U8Buffer),
        Some("<f4") => Values::F32(std::sync::Arc::new(MappedF32::new(map, &path)?) as F32Buffer),
        other => return Err(bad(&path, format!("its type is {other:?}"))),
    };
    let samples = Samples::from_values(shape, values)?;
    if samples.len() != axes[0] {
        return Err(bad(&path, format!("it holds {} of {} samples", samples.len(), axes[0])));
    }
    let path = folder.join(LABELS);
    if !path.exists() {
        return Ok(samples);
    }
    let (header, map) = open(&path)?;
    if type_of(&header).as_deref() != Some("<u4") {
        return Err(bad(&path, "labels must be of type <u4".into()));
    }
    let labels = map.as_ref().as_chunks().0.iter().map(|bytes| u32::from_le_bytes(*bytes)).collect();
    Ok(samples.with_labels(labels)?)
}

fn type_of(header: &NpyHeader) -> Option<String> {
    match header.dtype() {
        DType::Plain(kind) => Some(kind.to_string()),
        _ => None,
    }
}

/// The header of a .npy file and a map of its values.
fn open(path: &Path) -> Result<(NpyHeader, Mapped)> {
    let map = Mapped::open(path)?;
    let mut cursor = Cursor::new(map.as_ref());
    let header = NpyHeader::from_reader(&mut cursor).map_err(|error| bad(path, error.to_string()))?;
    if header.order() != Order::C {
        return Err(bad(path, "it is in Fortran order".into()));
    }
    let start = cursor.position() as usize;
    let end = map.as_ref().len();
    Ok((header, map.slice(start..end)))
}

fn bad(path: &Path, why: String) -> Error {
    Error::bad_file(path, why, REMEDY)
}

/// Mapped little-endian f32 values.
struct MappedF32(Mapped);

impl MappedF32 {
    fn new(map: Mapped, path: &Path) -> Result<Self> {
        let fits = cfg!(target_endian = "little") && bytemuck::try_cast_slice::<u8, f32>(map.as_ref()).is_ok();
        if fits { Ok(Self(map)) } else { Err(bad(path, "its values are not aligned little-endian f32".into())) }
    }
}

impl AsRef<[f32]> for MappedF32 {
    fn as_ref(&self) -> &[f32] {
        // Checked in `new`.
        bytemuck::cast_slice(self.0.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_read_back_bit_for_bit() {
        let image = |channels| Shape::Image { channels, height: 2, width: 3 };
        let sets = [
            Samples::from_f32(Shape::vector(2), vec![0.1, f32::MIN_POSITIVE, -0.0, 7e30]),
            Samples::from_f32(image(1), (0..12).map(|v| v as f32 / 3.0).collect())
                .and_then(|set| set.with_labels(vec![4, 9])),
            Samples::from_u8(image(3), (0..36).collect()),
            Samples::from_f32(Shape::vector(5), Vec::new()),
        ];
        for set in sets {
            let (set, folder) = (set.expect("whole rows"), tempfile::tempdir().expect("a folder"));
            write(folder.path(), &set).expect("writes");
            let back = read(folder.path()).expect("reads");
            assert_eq!((back.shape(), back.len(), back.labels()), (set.shape(), set.len(), set.labels()));
            assert_eq!(back.as_u8(), set.as_u8());
            let bits = |set: &Samples| set.to_f32().iter().map(|v| v.to_bits()).collect::<Vec<_>>();
            assert_eq!(bits(&back), bits(&set));
        }
    }

    #[test]
    fn a_cut_file_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let set = Samples::from_f32(Shape::vector(2), vec![1.0; 8]).expect("whole rows");
        write(folder.path(), &set).expect("writes");
        let path = folder.path().join(SAMPLES);
        let bytes = std::fs::read(&path).expect("reads");
        std::fs::write(&path, &bytes[..bytes.len() - 8]).expect("writes");
        assert!(read(folder.path()).unwrap_err().to_string().contains("3 of 4 samples"));
    }
}
