//! Options of the style-based family.

use std::sync::Arc;

use madloop_core::{Shape, Trainer};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::discriminator::Discriminator;
use super::generator::{Mapping, Synthesis};
use super::trainer::StyleGan2Trainer;
use super::{Channels, FAMILY};
use crate::backend::Device;
use crate::params::{Declare, Layout};
use crate::train::{Adam, Decay};
use crate::{Error, Result};

/// Options of the style-based family (StyleGAN2, Karras et al. 2019), unconditional: labels are not looked at, and samples are u8 pixels.
///
/// A step is one update of the discriminator and one of the generator, each with its regulariser in some steps. The defaults are those of the
/// original's configurations for small images; images are square with 16, 32, 64, 128 or 256 pixels a side and 1 or 3 channels.
/// A sampling bias lambda < 1 is truncation: styles are drawn towards their mean.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct StyleGan2Config {
    /// Multiplies the channels of all layers, which are min(32768 / side, `fmap_max`): 1 is the original's large network.
    pub fmaps: f64,
    /// Channels of a layer at most, before `fmaps`.
    pub fmap_max: usize,
    /// Dimensions of the latent and of styles.
    pub latent: usize,
    /// Layers of the mapping from latents to styles.
    pub mapping_layers: usize,
    /// Share of training images made of two latents, from 0 to 1.
    pub style_mixing: f64,
    /// Weight of the penalty on the discriminator's slope at real images, 0 or more; 0.0002 side^2 / batch unless given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub r1_gamma: Option<f64>,
    /// Steps from one update by that penalty to the next.
    pub r1_every: u64,
    /// Weight of the path length's penalty, 0 or more.
    pub path_length_weight: f64,
    /// Steps from one update by that penalty to the next.
    pub path_every: u64,
    /// Times that the discriminator goes through the samples.
    pub epochs: u64,
    /// Training steps, instead of epochs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steps: Option<u64>,
    /// Samples an update, a multiple of `mbstd_group`; of the path length's, half as many.
    pub batch: usize,
    /// Adam's rate.
    pub learning_rate: f64,
    /// Adam's b1 and b2, from 0 to below 1.
    pub betas: [f64; 2],
    /// Thousands of images in which the moving average of the generator forgets half; 0 for no average.
    pub ema_kimg: f64,
    /// Images of a group whose deviation the discriminator sees.
    pub mbstd_group: usize,
    /// Whether what the discriminator sees is augmented, as strongly as `ada_target` asks for (Karras et al. 2020).
    pub ada: bool,
    /// Mean sign of the discriminator's verdict on real images that augmentation keeps, from -1 to 1.
    pub ada_target: f64,
    /// Thousands of images in which augmentation can go from none to always.
    pub ada_kimg: f64,
    /// Training steps from one checkpoint to the next.
    pub checkpoint_steps: u64,
}

impl Default for StyleGan2Config {
    fn default() -> Self {
        Self {
            fmaps: 0.5,
            fmap_max: 512,
            latent: 512,
            mapping_layers: 8,
            style_mixing: 0.9,
            r1_gamma: None,
            r1_every: 16,
            path_length_weight: 2.0,
            path_every: 4,
            epochs: 100,
            steps: None,
            batch: 32,
            learning_rate: 0.0025,
            betas: [0.0, 0.99],
            ema_kimg: 10.0,
            mbstd_group: 4,
            ada: false,
            ada_target: 0.6,
            ada_kimg: 500.0,
            checkpoint_steps: 250,
        }
    }
}

/// The networks for one shape of samples, and their parameters.
pub(crate) struct Networks {
    pub(crate) discriminator: Discriminator,
    pub(crate) mapping: Mapping,
    pub(crate) synthesis: Synthesis,
    pub(crate) of_discriminator: Arc<Layout>,
    /// Of mapping and synthesis together.
    pub(crate) of_generator: Arc<Layout>,
    pub(crate) channels: Channels,
}

/// Sides that images can have.
const SIDES: [usize; 5] = [16, 32, 64, 128, 256];

impl StyleGan2Config {
    /// The trainer with these options, on a device.
    ///
    /// # Errors
    /// Those of [`StyleGan2Config::check`].
    pub fn trainer(&self, device: &Device) -> Result<Box<dyn Trainer>> {
        self.check()?;
        Ok(Box::new(StyleGan2Trainer { config: self.clone(), device: device.clone() }))
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
        let positive = |value: f64| value > 0.0 && value.is_finite();
        let not_negative = |value: f64| value >= 0.0 && value.is_finite();
        real("fmaps", self.fmaps, positive(self.fmaps) && self.fmaps <= 16.0, "above 0 to 16, such as 0.5")?;
        whole("fmap_max", self.fmap_max as u64, 1, 8192)?;
        whole("latent", self.latent as u64, 1, 65_536)?;
        whole("mapping_layers", self.mapping_layers as u64, 1, 64)?;
        let mixing = self.style_mixing;
        real("style_mixing", mixing, (0.0..=1.0).contains(&mixing), "from 0 to 1, such as 0.9")?;
        if let Some(gamma) = self.r1_gamma {
            real("r1_gamma", gamma, not_negative(gamma), "from 0, such as 1")?;
        }
        whole("r1_every", self.r1_every, 1, 100_000)?;
        let weight = self.path_length_weight;
        real("path_length_weight", weight, not_negative(weight), "from 0, such as 2")?;
        whole("path_every", self.path_every, 1, 100_000)?;
        whole("epochs", self.epochs, 1, 1_000_000)?;
        whole("steps", self.steps.unwrap_or(1), 1, 1_000_000_000)?;
        whole("batch", self.batch as u64, 1, 1_000_000)?;
        whole("checkpoint_steps", self.checkpoint_steps, 1, 1_000_000_000)?;
        real("learning_rate", self.learning_rate, positive(self.learning_rate), "above 0, such as 0.0025")?;
        for beta in self.betas {
            real("betas", beta, (0.0..1.0).contains(&beta), "from 0 to below 1, such as 0.99")?;
        }
        real("ema_kimg", self.ema_kimg, not_negative(self.ema_kimg), "from 0, such as 10")?;
        let target = self.ada_target;
        real("ada_target", target, (-1.0..=1.0).contains(&target), "from -1 to 1, such as 0.6")?;
        real("ada_kimg", self.ada_kimg, positive(self.ada_kimg), "above 0, such as 500")?;
        whole("mbstd_group", self.mbstd_group as u64, 1, 65_536)?;
        if !self.batch.is_multiple_of(self.mbstd_group) {
            let group = self.mbstd_group;
            let next = self.batch.next_multiple_of(group);
            let why = format!("it must be a multiple of model.mbstd_group, which is {group}; try {next}");
            return Err(setting("batch", self.batch, why));
        }
        Ok(())
    }

    /// Training steps for `rows` samples: as many as give the discriminator all epochs, the last step whole.
    pub fn train_steps(&self, rows: u64) -> u64 {
        self.steps.unwrap_or_else(|| (self.epochs * rows).div_ceil(self.batch as u64))
    }

    /// The weight of R1 for images of `side` pixels a side.
    pub(crate) fn gamma(&self, side: usize) -> f64 {
        self.r1_gamma.unwrap_or_else(|| 0.0002 * (side * side) as f64 / self.batch as f64)
    }

    /// Adam's settings, where `every`-th updates by a regulariser come between those by the loss: the rate and the moments' memory are
    /// those that as many fewer updates had (section 2.2.2 of the paper, c = k / (k + 1)).
    pub(crate) fn adam(&self, every: Option<u64>) -> Adam {
        let share = every.map_or(1.0, |every| every as f64 / (every as f64 + 1.0));
        let ema = match self.ema_kimg {
            0.0 => 0.0,
            kimg => 0.5_f64.powf(self.batch as f64 / (1000.0 * kimg)),
        };
        Adam {
            rate: self.learning_rate * share,
            decay: Decay::Constant,
            betas: self.betas.map(|beta| beta.powf(share) as f32),
            clip: f64::INFINITY,
            ema,
        }
    }

    /// The networks for samples of `shape`.
    ///
    /// # Errors
    /// A shape that is no square image of one of the sizes, of 1 or 3 channels.
    pub(crate) fn networks(&self, shape: Shape) -> Result<Networks> {
        let wrong = |why: String| Err(Error::SampleShape { network: FAMILY, shape, why });
        let (side, channels) = match shape {
            Shape::Vector { .. } => return wrong("it needs images; use another model.family for vectors".into()),
            Shape::Image { channels, height, width } => {
                if height != width || !SIDES.contains(&height) {
                    let near = SIDES.iter().min_by_key(|side| side.abs_diff(height.max(width))).unwrap_or(&64);
                    return wrong(format!(
                        "its images are square with 16, 32, 64, 128 or 256 pixels a side, and {height} x {width} is no \
                         such size; set data.resize = {near}"
                    ));
                }
                (height, channels)
            }
        };
        if ![1, 3].contains(&channels) {
            return wrong(format!("it takes 1 or 3 channels, not {channels}; set data.color = \"rgb\" or \"grey\""));
        }
        let of = Channels { most: self.fmap_max, factor: self.fmaps };
        let (mut of_discriminator, mut of_generator) = (Layout::default(), Layout::default());
        let discriminator = Declare::new(&mut of_discriminator);
        let discriminator = Discriminator::new(discriminator, [side, channels], of, self.mbstd_group);
        let mut generator = Declare::new(&mut of_generator);
        let mapping = Mapping::new(generator.at("mapping"), self.latent, self.mapping_layers);
        let synthesis = Synthesis::new(generator.at("synthesis"), [side, channels], of, self.latent);
        Ok(Networks {
            discriminator,
            mapping,
            synthesis,
            of_discriminator: Arc::new(of_discriminator),
            of_generator: Arc::new(of_generator),
            channels: of,
        })
    }

    /// What a saved model must agree with.
    pub(crate) fn architecture(&self) -> Value {
        json!({ "family": FAMILY, "fmaps": self.fmaps, "fmap_max": self.fmap_max, "latent": self.latent,
            "mapping_layers": self.mapping_layers })
    }

    /// What training depends on besides its data: a checkpoint must agree with it.
    pub(crate) fn training(&self) -> Value {
        let mut about = self.architecture();
        let more = json!({ "style_mixing": self.style_mixing, "r1_gamma": self.r1_gamma, "r1_every": self.r1_every,
            "path_length_weight": self.path_length_weight, "path_every": self.path_every, "batch": self.batch,
            "learning_rate": self.learning_rate, "betas": self.betas, "ema_kimg": self.ema_kimg,
            "mbstd_group": self.mbstd_group, "ada": self.ada, "ada_target": self.ada_target,
            "ada_kimg": self.ada_kimg });
        if let (Some(about), Value::Object(more)) = (about.as_object_mut(), more) {
            about.extend(more);
        }
        about
    }
}

fn setting(key: &'static str, value: impl ToString, why: String) -> Error {
    Error::Setting { key, value: value.to_string(), why }
}
