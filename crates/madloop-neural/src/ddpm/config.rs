//! Options of the diffusion family.

use madloop_core::{SamplingBias, Shape, Trainer};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::schedule::NoiseSchedule;
use super::trainer::DdpmTrainer;
use super::{FAMILY, Sampler, schedule::Schedule};
use crate::backend::Device;
use crate::nets::{Mlp, Network, Unet, UnetSettings};
use crate::params::Layout;
use crate::train::{Adam, Decay};
use crate::{Error, Result};

/// Which network estimates the noise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum NetworkKind {
    /// Residual convolutions over several resolutions (Ho et al. 2020), for images.
    Unet,
    /// Residual linear maps, for vectors and images of a few pixels.
    Mlp,
}

/// How much each noise level's error counts in training.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Weighting {
    /// The noise's errors alike: the simple loss of Ho et al. 2020, equation 14. Where there is almost only noise, hardly anything is learnt of
    /// the data.
    Noise,
    /// The velocity's errors alike (Salimans and Ho 2022, section 4): the noise's over alpha_t^2, but at most 1000 times. Short trainings get
    /// much closer to the data with it.
    Velocity,
}

impl Weighting {
    /// Largest weight of an error: alpha_t is almost 0 at the end of the cosine schedule.
    const MOST: f64 = 1000.0;

    /// Weight of the noise's squared error at a level with alpha_t.
    pub(crate) fn of(self, alpha: f64) -> f64 {
        match self {
            Self::Noise => 1.0,
            Self::Velocity => (alpha * alpha).recip().min(Self::MOST),
        }
    }
}

/// Options of the denoising diffusion family (Ho et al. 2020), conditional on the class where samples are labelled.
///
/// The network learns the noise e in x_t = alpha_t x + sigma_t e by E w_t |e - eps(x_t, t, c)|^2 / d, with w_t = 1 or as `weighting` says, and with the class left out of a share
/// `condition_dropout` of the rows. A sampling bias lambda < 1 is classifier-free guidance (Ho and Salimans 2022) with
/// w = (1 - lambda) / lambda: eps = (1 + w) eps(x, t, c) - w eps(x, t). The defaults are the stand-in for the paper's unpublished
/// network: 128 channels, T = 500, Adam at 1e-4 with linear decay, batch 256, 20 epochs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DdpmConfig {
    /// "unet" or "mlp".
    pub network: NetworkKind,
    /// U-Net: channels of the first level, a multiple of 8.
    pub base_channels: usize,
    /// U-Net: channels of each level in units of base_channels; the image is halved from one level to the next.
    pub multipliers: Vec<usize>,
    /// U-Net: residual blocks a level.
    pub blocks: usize,
    /// U-Net: attention at the lowest level.
    pub attention: bool,
    /// MLP: width of its layers.
    pub width: usize,
    /// MLP: number of its residual blocks.
    pub depth: usize,
    /// Noise levels T, 20 to 10,000.
    pub timesteps: usize,
    /// "linear" or "cosine".
    pub schedule: NoiseSchedule,
    /// "noise" or "velocity": how much the errors at each noise level count.
    pub weighting: Weighting,
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
    /// Share of rows that are trained without their class, from 0 to below 1; guidance needs some.
    pub condition_dropout: f64,
    /// "ancestral", "ddim" or "dpm-solver".
    pub sampler: Sampler,
    /// Steps of the sampler; absent: T for ancestral, which always takes T, 50 for the others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sampler_steps: Option<usize>,
    /// Images: whether the estimate of the data in each step is held in the range of pixels, as is usual. The exact estimate E\[x | x_t\]
    /// never leaves it, so this takes nothing from a perfect model; a trained one now and then does, and the sample with it. Guided
    /// estimates leave it often.
    pub clip_data: bool,
    /// Training steps from one checkpoint to the next.
    pub checkpoint_steps: u64,
}

impl Default for DdpmConfig {
    fn default() -> Self {
        Self {
            network: NetworkKind::Unet,
            base_channels: 128,
            multipliers: vec![1, 2, 2],
            blocks: 2,
            attention: false,
            width: 256,
            depth: 4,
            timesteps: 500,
            schedule: NoiseSchedule::Linear,
            weighting: Weighting::Noise,
            epochs: 20,
            steps: None,
            batch: 256,
            learning_rate: 1e-4,
            decay: Decay::Linear,
            clip: 1.0,
            ema: 0.999,
            condition_dropout: 0.1,
            sampler: Sampler::Ancestral,
            sampler_steps: None,
            clip_data: true,
            checkpoint_steps: 500,
        }
    }
}

/// Steps of the fast samplers where none are given.
const FAST_STEPS: usize = 50;

impl DdpmConfig {
    /// The trainer with these options, on a device.
    ///
    /// # Errors
    /// Those of [`DdpmConfig::check`].
    pub fn trainer(&self, device: &Device) -> Result<Box<dyn Trainer>> {
        self.check()?;
        Ok(Box::new(DdpmTrainer { config: self.clone(), device: device.clone() }))
    }

    /// Checks every value's range.
    ///
    /// # Errors
    /// [`Error::Setting`] with the first key that is out of range.
    pub fn check(&self) -> Result<()> {
        fn whole(key: &'static str, value: usize, low: usize, high: usize) -> Result<()> {
            let why = || format!("it must be a whole number from {low} to {high}");
            if (low..=high).contains(&value) { Ok(()) } else { Err(setting(key, value, why())) }
        }
        fn real(key: &'static str, value: f64, fits: bool, range: &str) -> Result<()> {
            if fits { Ok(()) } else { Err(setting(key, value, format!("it must be a number {range}"))) }
        }
        if self.network == NetworkKind::Unet {
            whole("base_channels", self.base_channels, 8, 4096)?;
            if !self.base_channels.is_multiple_of(8) {
                let why = "it must be a multiple of 8, so that normalisation has even groups".into();
                return Err(setting("base_channels", self.base_channels, why));
            }
            let listed = format!("{:?}", self.multipliers);
            if self.multipliers.is_empty() || self.multipliers.len() > 8 {
                return Err(setting("multipliers", listed, "it must have 1 to 8 entries, one a level".into()));
            }
            if self.multipliers.iter().any(|m| !(1..=64).contains(m)) {
                return Err(setting("multipliers", listed, "its entries must be from 1 to 64".into()));
            }
            whole("blocks", self.blocks, 1, 64)?;
        } else {
            whole("width", self.width, 1, 65_536)?;
            whole("depth", self.depth, 0, 1000)?;
        }
        whole("timesteps", self.timesteps, 20, 10_000)?;
        whole("epochs", self.epochs as usize, 1, 1_000_000)?;
        whole("batch", self.batch, 1, 1_000_000)?;
        whole("steps", self.steps.unwrap_or(1) as usize, 1, 1_000_000_000)?;
        whole("checkpoint_steps", self.checkpoint_steps as usize, 1, 1_000_000_000)?;
        let rate = self.learning_rate;
        real("learning_rate", rate, rate > 0.0 && rate.is_finite(), "above 0, such as 1e-4")?;
        real("clip", self.clip, self.clip > 0.0, "above 0, such as 1.0")?;
        real("ema", self.ema, (0.0..1.0).contains(&self.ema), "from 0 to below 1, such as 0.999")?;
        let dropout = self.condition_dropout;
        real("condition_dropout", dropout, (0.0..1.0).contains(&dropout), "from 0 to below 1, such as 0.1")?;
        if let Some(steps) = self.sampler_steps {
            whole("sampler_steps", steps, 2, self.timesteps)?;
            if self.sampler == Sampler::Ancestral && steps != self.timesteps {
                let why = format!(
                    "the ancestral sampler takes all {} steps, as leaving some out narrows the samples unasked; \
                     leave it out, or set model.sampler = \"dpm-solver\"",
                    self.timesteps
                );
                return Err(setting("sampler_steps", steps, why));
            }
        }
        Ok(())
    }

    /// Steps that the sampler takes.
    pub fn sampler_steps(&self) -> usize {
        match self.sampler {
            Sampler::Ancestral => self.timesteps,
            _ => self.sampler_steps.unwrap_or(FAST_STEPS.min(self.timesteps)),
        }
    }

    /// Training steps for `rows` samples: as many batches as the epochs have samples for, the last one whole.
    pub fn train_steps(&self, rows: u64) -> u64 {
        self.steps.unwrap_or_else(|| (self.epochs * rows).div_ceil(self.batch as u64))
    }

    /// The weight of guidance, w = (1 - lambda) / lambda, of a model with or without classes.
    pub(crate) fn guidance(&self, lambda: SamplingBias, conditional: bool) -> Result<f64> {
        let lambda = lambda.lambda();
        if lambda == 0.0 {
            return Err(Error::GuidanceAtZero);
        }
        if lambda < 1.0 && !conditional {
            return Err(Error::GuidanceWithoutLabels { family: FAMILY, lambda });
        }
        if lambda < 1.0 && self.condition_dropout == 0.0 {
            return Err(Error::GuidanceWithoutDropout(lambda));
        }
        Ok((1.0 - lambda) / lambda)
    }

    pub(crate) fn schedule(&self) -> Schedule {
        Schedule::new(self.schedule, self.timesteps)
    }

    pub(crate) fn adam(&self) -> Adam {
        Adam { rate: self.learning_rate, decay: self.decay, betas: Adam::BETAS, clip: self.clip, ema: self.ema }
    }

    /// The network for samples of `shape`, and its parameters.
    pub(crate) fn network(&self, shape: Shape, n_classes: usize) -> Result<(Network, Layout)> {
        match self.network {
            NetworkKind::Mlp => Ok(Network::declare(|declare| {
                Network::Mlp(Mlp::new(declare.all(), shape.len(), self.width, self.depth, n_classes))
            })),
            NetworkKind::Unet => {
                let size = Unet::check(shape, &self.multipliers)?;
                let settings = UnetSettings {
                    base: self.base_channels,
                    multipliers: &self.multipliers,
                    blocks: self.blocks,
                    attention: self.attention,
                };
                Ok(Network::declare(|declare| {
                    Network::Unet(Box::new(Unet::new(declare.all(), size, &settings, n_classes)))
                }))
            }
        }
    }

    /// What a saved model must agree with: the network and the noise that it was trained on.
    pub(crate) fn architecture(&self) -> Value {
        let mut about = json!({ "family": super::FAMILY, "network": self.network, "timesteps": self.timesteps,
            "schedule": self.schedule });
        let of_network = match self.network {
            NetworkKind::Unet => json!({ "base_channels": self.base_channels, "multipliers": self.multipliers,
                "blocks": self.blocks, "attention": self.attention }),
            NetworkKind::Mlp => json!({ "width": self.width, "depth": self.depth }),
        };
        if let (Some(about), Value::Object(more)) = (about.as_object_mut(), of_network) {
            about.extend(more);
        }
        about
    }

    /// What training depends on besides its data: a checkpoint must agree with it.
    pub(crate) fn training(&self) -> Value {
        let mut about = self.architecture();
        if let Some(about) = about.as_object_mut() {
            about.insert("weighting".into(), json!(self.weighting));
            about.insert("batch".into(), json!(self.batch));
            about.insert("learning_rate".into(), json!(self.learning_rate));
            about.insert("decay".into(), json!(self.decay));
            about.insert("clip".into(), json!(self.clip.to_string()));
            about.insert("ema".into(), json!(self.ema));
            about.insert("condition_dropout".into(), json!(self.condition_dropout));
        }
        about
    }
}

fn setting(key: &'static str, value: impl ToString, why: String) -> Error {
    Error::Setting { key, value: value.to_string(), why }
}
