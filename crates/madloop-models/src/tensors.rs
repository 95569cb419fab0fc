//! Saved models: one safetensors blob of f32, f64 and u32 tensors, read whole or not at all.

use std::collections::BTreeMap;

use madloop_core::{Blobs, Error, Result};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};

const FILE: &str = "model.safetensors";

/// Named tensors of a model on its way to or from a blob.
#[derive(Debug, Default)]
pub(crate) struct Tensors {
    family: &'static str,
    all: BTreeMap<String, (Dtype, Vec<usize>, Vec<u8>)>,
    prefix: String,
}

impl Tensors {
    pub(crate) fn new(family: &'static str) -> Self {
        Self { family, ..Self::default() }
    }

    /// Names given from now on begin with `prefix`.
    pub(crate) fn under(&mut self, prefix: String) -> &mut Self {
        self.prefix = prefix;
        self
    }

    pub(crate) fn put_f64(&mut self, name: &str, shape: &[usize], values: &[f64]) {
        self.put(name, Dtype::F64, shape, values.iter().flat_map(|value| value.to_le_bytes()).collect());
    }

    pub(crate) fn put_f32(&mut self, name: &str, shape: &[usize], values: &[f32]) {
        self.put(name, Dtype::F32, shape, values.iter().flat_map(|value| value.to_le_bytes()).collect());
    }

    pub(crate) fn put_u32(&mut self, name: &str, values: &[u32]) {
        self.put(name, Dtype::U32, &[values.len()], values.iter().flat_map(|value| value.to_le_bytes()).collect());
    }

    fn put(&mut self, name: &str, dtype: Dtype, shape: &[usize], bytes: Vec<u8>) {
        self.all.insert(format!("{}{name}", self.prefix), (dtype, shape.to_vec(), bytes));
    }

    /// Takes a tensor out, with its shape.
    pub(crate) fn take_f64(&mut self, name: &str) -> Result<(Vec<usize>, Vec<f64>)> {
        let (shape, bytes) = self.take(name, Dtype::F64)?;
        Ok((shape, bytes.as_chunks().0.iter().map(|chunk| f64::from_le_bytes(*chunk)).collect()))
    }

    /// Takes a tensor out, with its shape.
    pub(crate) fn take_f32(&mut self, name: &str) -> Result<(Vec<usize>, Vec<f32>)> {
        let (shape, bytes) = self.take(name, Dtype::F32)?;
        Ok((shape, bytes.as_chunks().0.iter().map(|chunk| f32::from_le_bytes(*chunk)).collect()))
    }

    /// Takes a vector out.
    pub(crate) fn take_u32(&mut self, name: &str) -> Result<Vec<u32>> {
        let (_, bytes) = self.take(name, Dtype::U32)?;
        Ok(bytes.as_chunks().0.iter().map(|chunk| u32::from_le_bytes(*chunk)).collect())
    }

    /// Whether a tensor of this name is left.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.all.contains_key(&format!("{}{name}", self.prefix))
    }

    fn take(&mut self, name: &str, dtype: Dtype) -> Result<(Vec<usize>, Vec<u8>)> {
        let name = format!("{}{name}", self.prefix);
        match self.all.remove(&name) {
            Some((found, shape, bytes)) if found == dtype => Ok((shape, bytes)),
            Some((found, ..)) => Err(self.bad(format!("tensor {name} holds {found:?} instead of {dtype:?}"))),
            None => Err(self.bad(format!("tensor {name} is missing"))),
        }
    }

    /// An error about this model.
    pub(crate) fn bad(&self, why: String) -> Error {
        Error::BadModel { family: self.family, why }
    }

    pub(crate) fn save(&self, blobs: &mut dyn Blobs) -> Result<()> {
        let views = self.all.iter().map(|(name, (dtype, shape, bytes))| {
            TensorView::new(*dtype, shape.clone(), bytes).map(|view| (name.as_str(), view)).map_err(Error::other)
        });
        let views = views.collect::<Result<Vec<_>>>()?;
        blobs.put(FILE, &safetensors::serialize(views, None).map_err(Error::other)?)
    }

    pub(crate) fn load(family: &'static str, blobs: &dyn Blobs) -> Result<Self> {
        let mut tensors = Self::new(family);
        let bytes = blobs.get(FILE)?.ok_or_else(|| tensors.bad(format!("{FILE} is missing")))?;
        let file = SafeTensors::deserialize(&bytes).map_err(|error| tensors.bad(format!("{FILE}: {error}")))?;
        for (name, view) in file.tensors() {
            tensors.all.insert(name, (view.dtype(), view.shape().to_vec(), view.data().to_vec()));
        }
        Ok(tensors)
    }

    /// That every tensor was taken.
    pub(crate) fn finish(self) -> Result<()> {
        match self.all.keys().next() {
            None => Ok(()),
            Some(name) => Err(self.bad(format!("tensor {name} is not part of this model"))),
        }
    }
}
