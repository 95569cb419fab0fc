//! Safetensors: a JSON header, then tensors in C order.

use std::path::{Path, PathBuf};

use safetensors::tensor::{Dtype, Metadata, SafeTensors, TensorInfo};

use super::array::{Layout, Number, read_array, read_labels};
use super::loaded::{Buffer, Loaded};
use super::map::{FileView, Mapped};
use super::npz::LABELS;
use super::stream::Batches;
use crate::{Error, Result};

/// Reads the first tensor (in the file's order) of `[n, d]`, `[n, h, w]` or `[n, h, w, c]`; with the tensor called
/// `labels` or `y`, if there is one. uint8 images are mapped, not copied.
pub(crate) fn load(path: &Path) -> Result<Loaded> {
    let file = File::open(path)?;
    let (member, layout, samples) = file.samples(path)?;
    let loaded = if layout.number == Number::U8 {
        Loaded { shape: layout.sample_shape(&member)?, buffer: Buffer::Mapped(file.bytes(samples)), labels: None }
    } else {
        read_array(&member, &layout, file.bytes(samples).as_ref())?
    };
    let tensors = file.metadata.tensors();
    match LABELS.iter().find_map(|&name| tensors.get(name)) {
        None => Ok(loaded),
        Some(labels) => {
            let layout = self::layout(path, labels)?;
            loaded.with_labels(path, read_labels(path, &layout, file.bytes(labels).as_ref())?)
        }
    }
}

/// Hands over the rows of the same tensor, read rather than mapped: mapped pages count as memory once they are touched.
pub(crate) fn stream(path: &Path, batches: &mut Batches<'_>) -> Result<()> {
    let file = File::open(path)?;
    let (member, layout, samples) = file.samples(path)?;
    let start = file.start + samples.data_offsets.0;
    batches.array_at(&member, &layout, FileView::open(path)?, start as u64)
}

/// A mapped file with its header.
struct File {
    map: Mapped,
    metadata: Metadata,
    /// Where the tensors begin.
    start: usize,
}

impl File {
    fn open(path: &Path) -> Result<Self> {
        let map = Mapped::open(path)?;
        let (header, metadata) = SafeTensors::read_metadata(map.as_ref()).map_err(|error| {
            Error::bad_file(
                path,
                format!("it is no whole .safetensors file ({error:?})"),
                "make or download the file again",
            )
        })?;
        Ok(Self { map, metadata, start: 8 + header })
    }

    fn bytes(&self, info: &TensorInfo) -> Mapped {
        self.map.slice(self.start + info.data_offsets.0..self.start + info.data_offsets.1)
    }

    /// The tensor of samples: its path, its layout and where it is.
    fn samples(&self, path: &Path) -> Result<(PathBuf, Layout, &TensorInfo)> {
        let tensors = self.metadata.tensors();
        let mut names: Vec<&String> = tensors.keys().collect();
        names.sort_by_key(|name| (tensors[*name].data_offsets, *name));
        let is_samples =
            |name: &&&String| !LABELS.contains(&name.as_str()) && matches!(tensors[**name].shape.len(), 2..=4);
        let Some(name) = names.iter().find(is_samples) else {
            let why = format!("it holds no tensor of 2 to 4 axes, only {names:?}");
            return Err(Error::bad_file(path, why, "save the samples as one tensor [n, d], [n, h, w] or [n, h, w, c]"));
        };
        let samples = tensors[*name];
        let member = path.join(name.as_str());
        let layout = layout(&member, samples)?;
        Ok((member, layout, samples))
    }
}

fn layout(path: &Path, info: &TensorInfo) -> Result<Layout> {
    let number = match info.dtype {
        Dtype::U8 => Number::U8,
        Dtype::I8 => Number::I8,
        Dtype::I16 => Number::I16,
        Dtype::U16 => Number::U16,
        Dtype::I32 => Number::I32,
        Dtype::U32 => Number::U32,
        Dtype::I64 => Number::I64,
        Dtype::U64 => Number::U64,
        Dtype::F16 => Number::F16,
        Dtype::BF16 => Number::Bf16,
        Dtype::F32 => Number::F32,
        Dtype::F64 => Number::F64,
        other => {
            let why = format!("its dtype is {other:?}");
            return Err(Error::bad_file(path, why, "save images as U8 and features as F32"));
        }
    };
    let dims = info.shape.iter().map(|&dim| dim as u64).collect();
    Ok(Layout { number, big_endian: false, dims, fortran: false })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use safetensors::tensor::TensorView;

    use super::*;
    use crate::data::{ReadOptions, read_samples};

    fn write(path: &Path, tensors: &[(&str, Dtype, &[usize], &[u8])]) {
        let views = tensors.iter().map(|&(name, dtype, shape, bytes)| {
            (name, TensorView::new(dtype, shape.to_vec(), bytes).expect("bytes of that shape"))
        });
        fs::write(path, safetensors::serialize(views, None).expect("tensors")).expect("a file");
    }

    #[test]
    fn tensors_round_trip() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("x.safetensors");
        let read = || read_samples(&path, &ReadOptions::default()).expect("samples");
        let values = [1.0, -2.0, 3.0, 4.0_f32];
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        write(&path, &[("x", Dtype::F32, &[2, 2], &bytes), ("y", Dtype::U8, &[2], &[4, 5])]);
        assert_eq!(read().as_f32(), Some(&values[..]));
        assert_eq!(read().labels(), Some(&[4, 5][..]));
        let pixels: Vec<u8> = (0..24).collect();
        write(&path, &[("a", Dtype::U8, &[24], &pixels), ("x", Dtype::U8, &[2, 2, 2, 3], &pixels)]);
        assert_eq!(read().as_u8(), Some(&pixels[..]));
        let message = || read_samples(&path, &ReadOptions::default()).unwrap_err().to_string();
        write(&path, &[("a", Dtype::U8, &[24], &pixels)]);
        assert!(message().contains("\"a\""));
        write(&path, &[("a", Dtype::BOOL, &[12, 2], &pixels)]);
        assert!(message().contains("BOOL"));
        let whole = fs::read(&path).expect("the file");
        fs::write(&path, &whole[..whole.len() - 5]).expect("most of it");
        assert!(message().contains("no whole .safetensors"), "{}", message());
    }
}
