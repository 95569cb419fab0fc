//! A LeNet as one safetensors file: `input.mean`, `input.deviation`, and the parameters below `network.`.

use std::sync::Arc;

use madloop_core::{MemoryBlobs, Shape};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::forward::Forward;
use super::network::{Architecture, CHANNELS, DENSE};
use super::{Lenet, LenetError};
use crate::Error;
use crate::backend::Device;
use crate::file::{Kind, TensorFile};
use crate::params::Weights;

const FILE: Kind = Kind { name: "lenet.safetensors", remedy: "copy it again" };
const FORMAT: &str = "madloop lenet 1";
const NETWORK: &str = "network.";
const NORMAL: [&str; 2] = ["input.mean", "input.deviation"];
/// More labels than this are hardly classes.
pub(crate) const MAX_CLASSES: usize = 10_000;
/// The weights of the reference network.
const MNIST: &[u8] = include_bytes!("../../assets/lenet-mnist.safetensors");

impl Lenet {
    /// The reference network, trained on the 60,000 training images of MNIST: 28x28x1, 10 classes. Its weights are part of the
    /// program, so that LeNet distances are comparable; see `assets/README.md` for its making and its accuracy.
    ///
    /// # Errors
    /// None, unless the program was built from a damaged file.
    pub fn mnist() -> Result<Self, LenetError> {
        Ok(Self { name: "lenet".into(), ..Self::load("lenet-mnist.safetensors", MNIST.to_vec())? })
    }

    /// Reads the bytes of a weights file, whole or not at all; `file` is its name, for errors and for the feature map's name.
    ///
    /// # Errors
    /// [`LenetError::BadFile`] with the file and the tensor or the key of its metadata that is missing or wrong.
    pub fn load(file: &str, bytes: Vec<u8>) -> Result<Self, LenetError> {
        let bad = |why: String| LenetError::BadFile { file: file.to_owned(), why };
        let blobs = MemoryBlobs([(FILE.name.to_owned(), bytes)].into());
        let read = || -> Result<_, LenetError> {
            let found = TensorFile::load(FILE, &blobs)?;
            let mut found = found.ok_or_else(|| bad("it is empty".into()))?;
            let about = About::deserialize(found.made_by()).map_err(|error| bad(format!("its metadata: {error}")))?;
            let architecture = about.architecture().map_err(bad)?;
            let (_, layout) = architecture.declare();
            let weights = found.take_weights(NETWORK, &Arc::new(layout), Device::cpu().inner())?;
            let normal = [found.take_f32(NORMAL[0])?, found.take_f32(NORMAL[1])?];
            let made_by = found.made_by().clone();
            found.finish()?;
            check(architecture, &normal, &weights).map_err(bad)?;
            Ok((architecture, normal, weights, made_by))
        };
        let (architecture, normal, weights, made_by) = read().map_err(|error| match error {
            LenetError::Neural(Error::BadFile { why, .. }) => bad(why),
            other => other,
        })?;
        let forward = Forward::new(architecture, normal[0].clone(), normal[1].clone(), weights.to_host()?);
        let bytes = blobs.0.into_values().next().unwrap_or_default();
        let sha256 = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self { name: format!("lenet:{file}"), architecture, normal, weights, forward, made_by, bytes, sha256 })
    }

    /// The bytes of its weights file; [`Lenet::load`] gives the same network.
    pub fn save(&self) -> &[u8] {
        &self.bytes
    }

    /// SHA-256 of [`Lenet::save`] in hexadecimal digits: what identifies these features.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// The same network with the command that made it in its metadata, and so with another [`Lenet::sha256`].
    ///
    /// # Errors
    /// None of the user's making.
    pub fn with_command(self, command: &str) -> Result<Self, LenetError> {
        let mut made_by = self.made_by;
        if let Some(about) = made_by.as_object_mut() {
            about.insert("command".into(), command.into());
        }
        let name = self.name;
        Ok(Self { name, ..Self::of(self.architecture, self.normal, &self.weights, made_by)? })
    }

    /// A network out of training; `training` is all that its weights depend on.
    pub(crate) fn trained(
        architecture: Architecture,
        normal: [Vec<f32>; 2],
        weights: &Weights,
        training: Value,
    ) -> Result<Self, LenetError> {
        let made_by = json!({
            "format": FORMAT,
            "architecture": format!("lenet-5: conv 5x5 {}, {}; dense {}, {}", CHANNELS[0], CHANNELS[1], DENSE[0], DENSE[1]),
            "shape": architecture.shape,
            "classes": architecture.classes,
            "features": "dense.1 before its ReLU",
            "normalisation": "(v - input.mean) / input.deviation, u8 pixels as v / 255",
            "training": training,
        });
        Self::of(architecture, normal, weights, made_by)
    }

    fn of(
        architecture: Architecture,
        normal: [Vec<f32>; 2],
        weights: &Weights,
        made_by: Value,
    ) -> Result<Self, LenetError> {
        debug_assert_eq!(architecture.columns(), normal[0].len());
        let mut file = TensorFile::new(FILE, made_by);
        file.put_weights(NETWORK, weights)?;
        for (name, values) in NORMAL.into_iter().zip(&normal) {
            file.put_f32(name, values);
        }
        let mut blobs = MemoryBlobs::default();
        file.save(&mut blobs)?;
        // Reading it back makes what is used be what is saved.
        Self::load(FILE.name, blobs.0.into_values().next().unwrap_or_default())
    }
}

/// What the metadata must say.
#[derive(Deserialize)]
struct About {
    format: String,
    shape: Shape,
    classes: usize,
}

impl About {
    fn architecture(&self) -> Result<Architecture, String> {
        if self.format != FORMAT {
            return Err(format!("its metadata has format = {:?}, and this program reads {FORMAT:?}", self.format));
        }
        if !(2..=MAX_CLASSES).contains(&self.classes) {
            return Err(format!("its metadata has classes = {}, which is not from 2 to {MAX_CLASSES}", self.classes));
        }
        let wrong = |_| format!("its metadata has shape = {}, which no LeNet takes", self.shape);
        Architecture::new(self.shape, self.classes).map_err(wrong)
    }
}

/// That the values can be calculated with.
fn check(architecture: Architecture, normal: &[Vec<f32>; 2], weights: &Weights) -> Result<(), String> {
    let columns = architecture.columns();
    for (name, values) in NORMAL.into_iter().zip(normal) {
        if values.len() != columns {
            return Err(format!("tensor {name} has {} values instead of {columns}", values.len()));
        }
        if let Some(value) = values.iter().find(|value| !value.is_finite()) {
            return Err(format!("tensor {name} holds {value}"));
        }
    }
    if let Some(value) = normal[1].iter().find(|value| **value <= 0.0) {
        return Err(format!("tensor {} holds {value}, which is not above 0", NORMAL[1]));
    }
    let host = weights.to_host().map_err(|error| error.to_string())?;
    for (spec, values) in weights.layout().specs().iter().zip(host) {
        if let Some(value) = values.iter().find(|value| !value.is_finite()) {
            return Err(format!("tensor {NETWORK}{} holds {value}", spec.path));
        }
    }
    Ok(())
}
