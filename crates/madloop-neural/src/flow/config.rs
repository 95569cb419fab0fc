//! Options of the flow family.

use madloop_core::{Shape, Trainer};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::network::Network;
use super::trainer::FlowTrainer;
use crate::backend::Device;
use crate::params::{Declare, Layout};
use crate::train::{Adam, Decay};
use crate::{Error, Result};

/// Options of the normalizing flow family, GLOW (Kingma and Dhariwal 2018, arXiv:1807.03039) for vectors and images, conditional on the
/// class where samples are labelled.
///
/// A flow f is invertible, so that log p(x) = log N(f(x); 0, I) + log |det df/dx| is exact, and training is by its mean. Each of its steps is an
/// invertible linear map of all dimensions (of the channels of each pixel in images) that begins as a permutation and with outputs of mean 0 and
/// variance 1 over the first batch (actnorm), and an affine coupling. Samples are f^-1(z) with z ~ N(0, lambda I). The
/// defaults are the paper's for its Fig. 17: 8 couplings of 64 hidden units, 20 epochs, batch 256; it gives no optimiser.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FlowConfig {
    /// Couplings; of images, on each level.
    pub couplings: usize,
    /// Width of the two hidden layers of each coupling's network.
    pub hidden: usize,
    /// Images: levels. Each halves the image into four times as many channels, and half of them leave the flow after it.
    pub levels: usize,
    /// Images: levels of grey L, 2 to 65,536. Pixels are taken to the nearest of the L, and in training uniform noise of one level's width is added,
    /// so that the density bounds the probability of the pixels from below (Theis et al. 2016, arXiv:1511.01844); samples are pixels of the L
    /// levels. 256 for bytes; 17 for digits8, whose pixels are sixteenths.
    pub grey_levels: u32,
    /// Times that training goes through the samples.
    pub epochs: u64,
    /// Training steps, instead of epochs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steps: Option<u64>,
    /// Samples a training step.
    pub batch: usize,
    /// Adam's rate at the beginning.
    pub learning_rate: f64,
    /// "linear" (to 0 at the end) or "constant".
    pub decay: Decay,
    /// Longest gradient (norm over all parameters), above which it is scaled down; above 0.
    pub clip: f64,
    /// Decay of the moving average of the parameters that samples are drawn with, from 0 (none) to below 1.
    pub ema: f64,
    /// Training steps from one checkpoint to the next.
    pub checkpoint_steps: u64,
}

impl Default for FlowConfig {
    fn default() -> Self {
        Self {
            couplings: 8,
            hidden: 64,
            levels: 2,
            grey_levels: 256,
            epochs: 20,
            steps: None,
            batch: 256,
            learning_rate: 1e-3,
            decay: Decay::Linear,
            clip: 10.0,
            ema: 0.0,
            checkpoint_steps: 2000,
        }
    }
}

impl FlowConfig {
    /// The trainer with these options, on a device.
    ///
    /// # Errors
    /// Those of [`FlowConfig::check`].
    pub fn trainer(&self, device: &Device) -> Result<Box<dyn Trainer>> {
        self.check()?;
        Ok(Box::new(FlowTrainer { config: self.clone(), device: device.clone() }))
    }

    /// Checks every value's range.
    ///
    /// # Errors
    /// [`Error::Setting`] with the first key that is out of range.
    pub fn check(&self) -> Result<()> {
        fn whole(key: &'static str, value: u64, low: u64, high: u64) -> Result<()> {
            let why = || format!("it must be a whole number from {low} to {high}");
            if (low..=high).contains(&value) { Ok(()) } else { Err(setting(key, value, why())) }
        }
        fn real(key: &'static str, value: f64, fits: bool, range: &str) -> Result<()> {
            if fits { Ok(()) } else { Err(setting(key, value, format!("it must be a number {range}"))) }
        }
        whole("couplings", self.couplings as u64, 1, 1000)?;
        whole("hidden", self.hidden as u64, 1, 65_536)?;
        whole("levels", self.levels as u64, 1, 12)?;
        whole("grey_levels", u64::from(self.grey_levels), 2, 65_536)?;
        whole("epochs", self.epochs, 1, 1_000_000)?;
        whole("batch", self.batch as u64, 1, 1_000_000)?;
        whole("steps", self.steps.unwrap_or(1), 1, 1_000_000_000)?;
        whole("checkpoint_steps", self.checkpoint_steps, 1, 1_000_000_000)?;
        let rate = self.learning_rate;
        real("learning_rate", rate, rate > 0.0 && rate.is_finite(), "above 0, such as 1e-3")?;
        real("clip", self.clip, self.clip > 0.0, "above 0, such as 10.0")?;
        real("ema", self.ema, (0.0..1.0).contains(&self.ema), "from 0 to below 1, such as 0.99")
    }

    /// Training steps for `rows` samples: as many batches as the epochs have samples for, the last one whole.
    pub fn train_steps(&self, rows: u64) -> u64 {
        self.steps.unwrap_or_else(|| (self.epochs * rows).div_ceil(self.batch as u64))
    }

    pub(super) fn adam(&self) -> Adam {
        Adam { rate: self.learning_rate, decay: self.decay, betas: Adam::BETAS, clip: self.clip, ema: self.ema }
    }

    /// The network for samples of `shape`, and its parameters.
    pub(super) fn network(&self, shape: Shape, n_classes: usize) -> Result<(Network, Layout)> {
        Network::check(shape, self.levels)?;
        let mut layout = Layout::default();
        let network = Network::new(&mut Declare::new(&mut layout), shape, self, n_classes);
        Ok((network, layout))
    }

    /// What a saved model must agree with.
    pub(super) fn architecture(&self) -> Value {
        json!({ "family": super::FAMILY, "couplings": self.couplings, "hidden": self.hidden, "levels": self.levels,
            "grey_levels": self.grey_levels })
    }

    /// What training depends on besides its data: a checkpoint must agree with it.
    pub(super) fn training(&self) -> Value {
        let mut about = self.architecture();
        if let Some(about) = about.as_object_mut() {
            about.insert("batch".into(), json!(self.batch));
            about.insert("learning_rate".into(), json!(self.learning_rate));
            about.insert("decay".into(), json!(self.decay));
            about.insert("clip".into(), json!(self.clip.to_string()));
            about.insert("ema".into(), json!(self.ema));
        }
        about
    }
}

fn setting(key: &'static str, value: impl ToString, why: String) -> Error {
    Error::Setting { key, value: value.to_string(), why }
}
