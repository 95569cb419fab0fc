//! Models and checkpoints on disk: one safetensors blob each, read whole or not at all.

use std::collections::BTreeMap;

use burn::tensor::Device;
use madloop_core::{Blobs, ClassSchedule};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde_json::Value;
use std::sync::Arc;

use crate::params::{Layout, Weights};
use crate::{Error, Result};

/// The key of the file's metadata under which what made it is kept.
const MADE_BY: &str = "madloop";

/// A blob's name, and what to do when it is broken.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    pub(crate) remedy: &'static str,
}

/// Named tensors and what made them.
pub(crate) struct TensorFile {
    kind: Kind,
    made_by: Value,
    all: BTreeMap<String, (Dtype, Vec<usize>, Vec<u8>)>,
}

impl TensorFile {
    pub(crate) fn new(kind: Kind, made_by: Value) -> Self {
        Self { kind, made_by, all: BTreeMap::new() }
    }

    /// All parameters, each as `prefix` and its path.
    pub(crate) fn put_weights(&mut self, prefix: &str, weights: &Weights) -> Result<()> {
        for (spec, values) in weights.layout().specs().iter().zip(weights.to_host()?) {
            let bytes = bytemuck::cast_slice(&values).to_vec();
            self.all.insert(format!("{prefix}{}", spec.path), (Dtype::F32, spec.shape.clone(), bytes));
        }
        Ok(())
    }

    pub(crate) fn put_f32(&mut self, name: &str, values: &[f32]) {
        self.put(name, Dtype::F32, values.len(), bytemuck::cast_slice(values));
    }

    pub(crate) fn put_f64(&mut self, name: &str, values: &[f64]) {
        self.put(name, Dtype::F64, values.len(), bytemuck::cast_slice(values));
    }

    pub(crate) fn put_u64(&mut self, name: &str, values: &[u64]) {
        self.put(name, Dtype::U64, values.len(), bytemuck::cast_slice(values));
    }

    /// A table of classes, where there is one.
    pub(crate) fn put_classes(&mut self, name: &str, classes: Option<&ClassSchedule>) {
        if let Some(classes) = classes {
            self.put_u64(name, &classes.table().iter().map(|&class| u64::from(class)).collect::<Vec<_>>());
        }
    }

    fn put(&mut self, name: &str, dtype: Dtype, length: usize, bytes: &[u8]) {
        self.all.insert(name.to_owned(), (dtype, vec![length], bytes.to_vec()));
    }

    /// Takes the parameters out whose paths follow `prefix`: all of the layout and no other.
    pub(crate) fn take_weights(&mut self, prefix: &str, layout: &Arc<Layout>, device: &Device) -> Result<Weights> {
        let names: Vec<String> = self.all.keys().filter(|name| name.starts_with(prefix)).cloned().collect();
        let mut host = BTreeMap::new();
        for name in names {
            let (shape, bytes) = self.take(&name, Dtype::F32)?;
            host.insert(name[prefix.len()..].to_owned(), (shape, f32s(&bytes)));
        }
        Weights::from_host(layout, host, device).map_err(|why| self.bad(format!("below {prefix:?}: {why}")))
    }

    pub(crate) fn take_f32(&mut self, name: &str) -> Result<Vec<f32>> {
        Ok(f32s(&self.take(name, Dtype::F32)?.1))
    }

    pub(crate) fn take_f64(&mut self, name: &str) -> Result<Vec<f64>> {
        let (_, bytes) = self.take(name, Dtype::F64)?;
        Ok(bytes.as_chunks().0.iter().map(|chunk| f64::from_le_bytes(*chunk)).collect())
    }

    pub(crate) fn take_u64(&mut self, name: &str) -> Result<Vec<u64>> {
        let (_, bytes) = self.take(name, Dtype::U64)?;
        Ok(bytes.as_chunks().0.iter().map(|chunk| u64::from_le_bytes(*chunk)).collect())
    }

    pub(crate) fn take_classes(&mut self, name: &str) -> Result<Option<ClassSchedule>> {
        if !self.has(name) {
            return Ok(None);
        }
        let table: Vec<u32> = self.take_u64(name)?.into_iter().map(|class| class as u32).collect();
        match table.is_empty() {
            true => Err(self.bad("its table of classes is empty".into())),
            false => Ok(Some(ClassSchedule::from_table(table))),
        }
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.all.contains_key(name)
    }

    fn take(&mut self, name: &str, dtype: Dtype) -> Result<(Vec<usize>, Vec<u8>)> {
        match self.all.remove(name) {
            Some((found, shape, bytes)) if found == dtype => Ok((shape, bytes)),
            Some((found, ..)) => Err(self.bad(format!("tensor {name} holds {found:?} instead of {dtype:?}"))),
            None => Err(self.bad(format!("tensor {name} is missing"))),
        }
    }

    /// What made it.
    pub(crate) fn made_by(&self) -> &Value {
        &self.made_by
    }

    /// An error about this file.
    pub(crate) fn bad(&self, why: String) -> Error {
        bad(self.kind, why)
    }

    pub(crate) fn save(&self, blobs: &mut dyn Blobs) -> Result<()> {
        let views = self.all.iter().map(|(name, (dtype, shape, bytes))| {
            let view = TensorView::new(*dtype, shape.clone(), bytes).map_err(|error| self.bad(error.to_string()))?;
            Ok((name.as_str(), view))
        });
        let views = views.collect::<Result<Vec<_>>>()?;
        let about = [(MADE_BY.to_owned(), self.made_by.to_string())].into();
        let bytes = safetensors::serialize(views, Some(about)).map_err(|error| self.bad(error.to_string()))?;
        Ok(blobs.put(self.kind.name, &bytes)?)
    }

    /// Reads the file; `None` when it was never written.
    pub(crate) fn load(kind: Kind, blobs: &dyn Blobs) -> Result<Option<Self>> {
        let Some(bytes) = blobs.get(kind.name)? else { return Ok(None) };
        let wrong = |error: safetensors::SafeTensorError| bad(kind, error.to_string());
        let file = SafeTensors::deserialize(&bytes).map_err(wrong)?;
        let (_, about) = SafeTensors::read_metadata(&bytes).map_err(wrong)?;
        let made_by = about.metadata().as_ref().and_then(|about| about.get(MADE_BY));
        let made_by = made_by.and_then(|text| serde_json::from_str(text).ok());
        let made_by = made_by.ok_or_else(|| bad(kind, format!("its metadata has no readable key {MADE_BY:?}")))?;
        let mut new = Self::new(kind, made_by);
        for (name, view) in file.tensors() {
            new.all.insert(name, (view.dtype(), view.shape().to_vec(), view.data().to_vec()));
        }
        Ok(Some(new))
    }

    /// That every tensor was taken.
    pub(crate) fn finish(self) -> Result<()> {
        match self.all.keys().next() {
            None => Ok(()),
            Some(name) => Err(self.bad(format!("tensor {name} is not part of it"))),
        }
    }

    /// That the file was made by `expected`; the first setting that differs is named.
    pub(crate) fn check_made_by(&self, expected: &Value) -> Result<()> {
        let empty = serde_json::Map::new();
        let (found, expected) = (self.made_by.as_object(), expected.as_object());
        let (found, expected) = (found.unwrap_or(&empty), expected.unwrap_or(&empty));
        let differs = found.keys().chain(expected.keys()).find(|key| found.get(*key) != expected.get(*key));
        let shown = |value: Option<&Value>| value.map_or("absent".into(), Value::to_string);
        match differs {
            None => Ok(()),
            Some(key) => Err(self.bad(format!(
                "it was made with {key} = {}, and this is {key} = {}",
                shown(found.get(key)),
                shown(expected.get(key))
            ))),
        }
    }
}

fn bad(kind: Kind, why: String) -> Error {
    Error::BadFile { file: kind.name, why, remedy: kind.remedy }
}

fn f32s(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks().0.iter().map(|chunk| f32::from_le_bytes(*chunk)).collect()
}
