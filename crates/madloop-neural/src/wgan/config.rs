//! Options of the adversarial family.

use madloop_core::{Shape, Trainer};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::sync::Arc;

use super::critic::Critic;
use super::generator::Generator;
use super::trainer::WganTrainer;
use crate::backend::Device;
use crate::params::{Declare, Layout};
use crate::train::{Adam, Decay};
use crate::{Error, Result};

/// Which networks generator and critic are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum GanNetwork {
    /// Convolutions (Radford et al. 2016), for images.
    Dcgan,
    /// Rectified linear layers, for vectors and small images.
    Mlp,
}

/// Where the networks of generation t begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Beginning {
    /// At random weights: every generation is trained from scratch, as in the paper.
    Scratch,
    /// At the weights of generation t - 1.
    Previous,
}

/// Options of the adversarial family (WGAN-GP, Gulrajani et al. 2017, algorithm 1), unconditional: labels are not looked at.
///
/// A step is `n_critic` updates of the critic and one of the generator, by Adam at one rate. The defaults are the original's: penalty 10, 5
/// updates of the critic, Adam(1e-4, 0, 0.9), batch 64, 64 channels; epochs are madloop's choice, the paper gives none. A sampling bias
/// lambda < 1 scales the covariance of the latent (madloop's own; the paper samples its WGAN at lambda = 1).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct WganConfig {
    /// "dcgan" or "mlp".
    pub network: GanNetwork,
    /// DCGAN: channels of the critic's first and of the generator's last layer, a multiple of 8; they double as images are halved.
    pub base_channels: usize,
    /// MLP: width of the layers of both networks.
    pub width: usize,
    /// MLP: rectified layers of each network.
    pub depth: usize,
    /// Dimensions of the latent.
    pub latent: usize,
    /// Updates of the critic a step.
    pub n_critic: u64,
    /// Weight of the gradient penalty, 0 or more.
    pub gradient_penalty: f64,
    /// Times that the critic goes through the samples.
    pub epochs: u64,
    /// Training steps (updates of the generator), instead of epochs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steps: Option<u64>,
    /// Samples an update.
    pub batch: usize,
    /// Adam's rate at the beginning.
    pub learning_rate: f64,
    /// Adam's b1 and b2, from 0 to below 1.
    pub betas: [f64; 2],
    /// "constant" or "linear" (to 0 at the end).
    pub decay: Decay,
    /// Decay of the moving average of the generator's parameters that samples are drawn with, from 0 (none) to below 1.
    pub ema: f64,
    /// "scratch" or "previous": whether generation t begins at random weights or at those of generation t - 1.
    pub init: Beginning,
    /// Training steps from one checkpoint to the next.
    pub checkpoint_steps: u64,
}

impl Default for WganConfig {
    fn default() -> Self {
        Self {
            network: GanNetwork::Dcgan,
            base_channels: 64,
            width: 512,
            depth: 3,
            latent: 128,
            n_critic: 5,
            gradient_penalty: 10.0,
            epochs: 100,
            steps: None,
            batch: 64,
            learning_rate: 1e-4,
            betas: [0.0, 0.9],
            decay: Decay::Constant,
            ema: 0.0,
            init: Beginning::Scratch,
            checkpoint_steps: 500,
        }
    }
}

/// The networks for one shape of samples, and their parameters.
pub(crate) struct Networks {
    pub(crate) critic: Critic,
    pub(crate) generator: Generator,
    pub(crate) of_critic: Arc<Layout>,
    pub(crate) of_generator: Arc<Layout>,
}

impl WganConfig {
    /// The trainer with these options, on a device.
    ///
    /// # Errors
    /// Those of [`WganConfig::check`].
    pub fn trainer(&self, device: &Device) -> Result<Box<dyn Trainer>> {
        self.check()?;
        Ok(Box::new(WganTrainer { config: self.clone(), device: device.clone() }))
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
        match self.network {
            GanNetwork::Dcgan => {
                whole("base_channels", self.base_channels as u64, 8, 1024)?;
                if !self.base_channels.is_multiple_of(8) {
                    let why = "it must be a multiple of 8, so that normalisation has even groups".into();
                    return Err(setting("base_channels", self.base_channels, why));
                }
            }
            GanNetwork::Mlp => {
                whole("width", self.width as u64, 1, 65_536)?;
                whole("depth", self.depth as u64, 1, 1000)?;
            }
        }
        whole("latent", self.latent as u64, 1, 65_536)?;
        whole("n_critic", self.n_critic, 1, 1000)?;
        whole("epochs", self.epochs, 1, 1_000_000)?;
        whole("batch", self.batch as u64, 1, 1_000_000)?;
        whole("steps", self.steps.unwrap_or(1), 1, 1_000_000_000)?;
        whole("checkpoint_steps", self.checkpoint_steps, 1, 1_000_000_000)?;
        let (penalty, rate) = (self.gradient_penalty, self.learning_rate);
        real("gradient_penalty", penalty, penalty >= 0.0 && penalty.is_finite(), "from 0, such as 10")?;
        real("learning_rate", rate, rate > 0.0 && rate.is_finite(), "above 0, such as 1e-4")?;
        for beta in self.betas {
            real("betas", beta, (0.0..1.0).contains(&beta), "from 0 to below 1, such as 0.9")?;
        }
        real("ema", self.ema, (0.0..1.0).contains(&self.ema), "from 0 to below 1, such as 0.999")
    }

    /// Training steps for `rows` samples: as many as give the critic all epochs, the last step whole.
    pub fn train_steps(&self, rows: u64) -> u64 {
        self.steps.unwrap_or_else(|| (self.epochs * rows).div_ceil(self.batch as u64 * self.n_critic))
    }

    pub(crate) fn adam(&self) -> Adam {
        let betas = self.betas.map(|beta| beta as f32);
        Adam { rate: self.learning_rate, decay: self.decay, betas, clip: f64::INFINITY, ema: self.ema }
    }

    /// The networks for samples of `shape`.
    ///
    /// # Errors
    /// A shape that convolutions cannot take.
    pub(crate) fn networks(&self, shape: Shape) -> Result<Networks> {
        let (mut of_critic, mut of_generator) = (Layout::default(), Layout::default());
        let (mut critic, mut generator) = (Declare::new(&mut of_critic), Declare::new(&mut of_generator));
        let (critic, generator) = (critic.at("critic"), generator.at("generator"));
        let (critic, generator) = match self.network {
            GanNetwork::Mlp => (
                Critic::mlp(critic, shape.len(), self.width, self.depth),
                Generator::mlp(generator, self.latent, shape, self.width, self.depth),
            ),
            GanNetwork::Dcgan => {
                let (size, doublings) = Generator::check(shape)?;
                (
                    Critic::dcgan(critic, size, self.base_channels),
                    Generator::dcgan(generator, self.latent, size, doublings, self.base_channels),
                )
            }
        };
        Ok(Networks { critic, generator, of_critic: Arc::new(of_critic), of_generator: Arc::new(of_generator) })
    }

    /// What a saved model must agree with.
    pub(crate) fn architecture(&self) -> Value {
        let mut about =
            json!({ "family": super::FAMILY, "network": self.network, "latent": self.latent, "init": self.init });
        let of_network = match self.network {
            GanNetwork::Dcgan => json!({ "base_channels": self.base_channels }),
            GanNetwork::Mlp => json!({ "width": self.width, "depth": self.depth }),
        };
        if let (Some(about), Value::Object(more)) = (about.as_object_mut(), of_network) {
            about.extend(more);
        }
        about
    }

    /// What training depends on besides its data: a checkpoint must agree with it.
    pub(crate) fn training(&self) -> Value {
        let mut about = self.architecture();
        let more = json!({ "n_critic": self.n_critic, "gradient_penalty": self.gradient_penalty, "batch": self.batch,
            "learning_rate": self.learning_rate, "betas": self.betas, "decay": self.decay, "ema": self.ema });
        if let (Some(about), Value::Object(more)) = (about.as_object_mut(), more) {
            about.extend(more);
        }
        about
    }
}

fn setting(key: &'static str, value: impl ToString, why: String) -> Error {
    Error::Setting { key, value: value.to_string(), why }
}
