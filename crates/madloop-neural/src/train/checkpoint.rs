//! The whole state of a training, and its file.

use std::sync::Arc;

use burn::tensor::Device;
use madloop_core::Blobs;
use serde_json::Value;

use crate::Result;
use crate::file::{Kind, TensorFile};
use crate::params::{Layout, Weights};

/// Parameters, Adam's moments, the moving average, and the losses so far (one a step).
pub(crate) struct State {
    pub(crate) weights: Weights,
    pub(crate) first: Weights,
    pub(crate) second: Weights,
    pub(crate) average: Weights,
    pub(crate) losses: Vec<f64>,
}

const FILE: Kind = Kind {
    name: "checkpoint.safetensors",
    remedy: "delete the generation's scratch folder to train it from its beginning, or restore the setting",
};
const STEP: &str = "step";
const LOSSES: &str = "losses";
const PARTS: [&str; 4] = ["weights/", "adam.first/", "adam.second/", "average/"];

impl State {
    /// The beginning of a training.
    pub(crate) fn initial(weights: Weights) -> Self {
        let zeros = || weights.zeros_like();
        let (first, second) = (zeros(), zeros());
        Self { average: weights.clone(), weights, first, second, losses: Vec::new() }
    }

    /// Steps done.
    pub(crate) fn step(&self) -> u64 {
        self.losses.len() as u64
    }

    fn parts(&self) -> [&Weights; 4] {
        [&self.weights, &self.first, &self.second, &self.average]
    }

    /// Writes everything, under the names of the parameters.
    pub(crate) fn save(&self, blobs: &mut dyn Blobs, identity: &Value) -> Result<()> {
        let mut file = TensorFile::new(FILE, identity.clone());
        for (prefix, weights) in PARTS.into_iter().zip(self.parts()) {
            file.put_weights(prefix, weights)?;
        }
        file.put_u64(STEP, &[self.step()]);
        file.put_f64(LOSSES, &self.losses);
        file.save(blobs)
    }

    /// Reads what [`State::save`] wrote; `None` when there is nothing.
    ///
    /// # Errors
    /// A file that is damaged, of another identity, or whose tensors are not exactly those of the layout.
    pub(crate) fn load(
        blobs: &dyn Blobs,
        identity: &Value,
        layout: &Arc<Layout>,
        device: &Device,
    ) -> Result<Option<Self>> {
        let Some(mut file) = TensorFile::load(FILE, blobs)? else { return Ok(None) };
        file.check_made_by(identity)?;
        let mut take = |part: usize| file.take_weights(PARTS[part], layout, device);
        let (weights, first, second, average) = (take(0)?, take(1)?, take(2)?, take(3)?);
        let losses = file.take_f64(LOSSES)?;
        let step = file.take_u64(STEP)?;
        if step != [losses.len() as u64] {
            return Err(file.bad(format!("it is of step {step:?} and has {} losses", losses.len())));
        }
        file.finish()?;
        Ok(Some(Self { weights, first, second, average, losses }))
    }
}
