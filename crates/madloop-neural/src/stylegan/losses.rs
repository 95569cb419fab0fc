//! What discriminator and generator minimise, in turns.

use burn::tensor::activation::log_sigmoid;
use burn::tensor::{Tensor, TensorData};
use madloop_core::{Seeds, Stream};
use rayon::prelude::*;

use super::augment::{Adaptive, Augmentation};
use super::config::{Networks, StyleGan2Config};
use super::draws::Draws;
use super::layers::Dual;
use super::penalty::{path_lengths, path_penalty, r1};
use crate::backend::Device;
use crate::params::{Weights, flat, to_host};
use crate::scale::Scale;
use crate::train::{Batch, Game, Kept};
use crate::{Result, random};

/// The discriminator's place among the networks.
pub(crate) const DISCRIMINATOR: usize = 0;
/// The generator's.
pub(crate) const GENERATOR: usize = 1;

/// What a turn is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Judge,
    R1,
    PathLength,
    Make,
}

/// Largest decay of the running mean of styles, one step a batch.
const STYLE_DECAY: f64 = 0.995;
/// Share of a new mean of path lengths in the running one (appendix B of the paper).
const LENGTH_SHARE: f64 = 0.01;

/// The networks and what they play with; everything random is addressed by turn and example.
pub(crate) struct Contest<'a> {
    pub(crate) networks: &'a Networks,
    pub(crate) config: &'a StyleGan2Config,
    pub(crate) phases: &'a [Phase],
    pub(crate) scale: Scale,
    pub(crate) gamma: f64,
    pub(crate) seeds: Seeds,
    pub(crate) device: &'a Device,
    pub(crate) memory: Memory,
}

/// What is remembered from step to step besides the networks.
pub(crate) struct Memory {
    /// Running mean of styles, `[latent]`.
    pub(crate) style: Tensor<1>,
    /// Running mean of path lengths, `[1]`.
    pub(crate) length: Tensor<1>,
    /// Augmentation that adapts itself, where there is augmentation.
    pub(crate) adaptive: Option<Adaptive>,
}

impl Memory {
    pub(crate) fn new(config: &StyleGan2Config, device: &Device) -> Self {
        let zeros = |length| flat(vec![0.0; length], device.inner());
        let adaptive = config.ada.then(|| Adaptive::new(config.ada_target, 1000.0 * config.ada_kimg));
        Self { style: zeros(config.latent), length: zeros(1), adaptive }
    }
}

const STYLE: &str = "style.mean";
const LENGTH: &str = "path.mean";
const ADAPTIVE: &str = "augmentation";

/// ln(1 + e^x) of each number.
fn softplus(x: Tensor<1>) -> Tensor<1> {
    log_sigmoid(x * -1.0) * -1.0
}

impl Contest<'_> {
    const JUDGE: Stream = Stream::named("neural/stylegan/discriminator");
    const MAKE: Stream = Stream::named("neural/stylegan/generator");
    const PATH: Stream = Stream::named("neural/stylegan/path");
    const PATH_NOISE: Stream = Stream::named("neural/stylegan/path-noise");
    const AUGMENT_JUDGE: Stream = Stream::named("neural/stylegan/augment-discriminator");
    const AUGMENT_REAL: Stream = Stream::named("neural/stylegan/augment-real");
    const AUGMENT_MAKE: Stream = Stream::named("neural/stylegan/augment-generator");
    const AUGMENT_R1: Stream = Stream::named("neural/stylegan/augment-r1");

    fn draws(&self, stream: Stream, batch: &Batch) -> Draws {
        let (networks, config) = (self.networks, self.config);
        let rows = batch.examples.clone();
        let device = self.device.inner();
        Draws::new(&networks.synthesis, config.latent, config.style_mixing, self.seeds, stream, rows, device)
    }

    /// Styles of all latents of the draws, one below the other.
    fn styles(&self, weights: &Weights, draws: &Draws) -> Tensor<2> {
        self.networks.mapping.forward(weights, Tensor::cat(draws.latents.clone(), 0))
    }

    fn images(&self, weights: &Weights, draws: &Draws, w: Tensor<2>) -> Tensor<4> {
        let synthesis = &self.networks.synthesis;
        let styles: Vec<Dual<2>> = draws.mix(w, synthesis.styles()).into_iter().map(Dual::from).collect();
        synthesis.forward(weights, &styles, &draws.noise).value
    }

    /// Real images as the networks see them.
    fn real(&self, batch: &Batch) -> Tensor<4> {
        let mut values = batch.values.clone();
        self.scale.to_network(&mut values);
        let synthesis = &self.networks.synthesis;
        let size = [batch.labels.len(), synthesis.side, synthesis.side, synthesis.channels];
        Tensor::from_data(TensorData::new(values, size), self.device.inner())
    }

    fn augmentation(&self, stream: Stream, batch: &Batch) -> Augmentation {
        let synthesis = &self.networks.synthesis;
        match &self.memory.adaptive {
            None => Augmentation::none(),
            Some(adaptive) => {
                let size = [synthesis.side, synthesis.channels];
                let rows = batch.examples.clone();
                Augmentation::new(adaptive.probability(), size, self.seeds, stream, rows, self.device.inner())
            }
        }
    }

    fn judge(&mut self, networks: &[Weights], batch: &Batch) -> Result<Tensor<1>> {
        let draws = self.draws(Self::JUDGE, batch);
        let w = self.styles(&networks[GENERATOR], &draws);
        let made = self.images(&networks[GENERATOR], &draws, w);
        let made = self.augmentation(Self::AUGMENT_JUDGE, batch).apply(made.into());
        let real = self.augmentation(Self::AUGMENT_REAL, batch).apply(self.real(batch).into());
        let [n, ..] = real.value.dims();
        let both = Tensor::cat(vec![made.value, real.value], 0);
        let scores = self.networks.discriminator.forward(&networks[DISCRIMINATOR], both.into()).value;
        let (of_made, of_real) = (scores.clone().narrow(0, 0, n), scores.narrow(0, n, n));
        if let Some(adaptive) = &mut self.memory.adaptive {
            adaptive.see(&to_host(of_real.clone().without_autodiff(), "reading scores")?);
        }
        Ok(softplus(of_made) + softplus(of_real * -1.0))
    }

    fn make(&mut self, networks: &[Weights], batch: &Batch) -> Tensor<1> {
        let weights = &networks[GENERATOR];
        let draws = self.draws(Self::MAKE, batch);
        let w = self.styles(weights, &draws);
        self.remember(&w, batch);
        let made = self.augmentation(Self::AUGMENT_MAKE, batch).apply(self.images(weights, &draws, w).into());
        let scores = self.networks.discriminator.forward(&networks[DISCRIMINATOR], made).value;
        softplus(scores * -1.0)
    }

    /// Takes the mean of new styles into the running one, which forgets its beginning in short trainings.
    fn remember(&mut self, w: &Tensor<2>, batch: &Batch) {
        let n = batch.examples.end - batch.examples.start;
        let step = (batch.examples.start / n) as f64;
        let stays = STYLE_DECAY.min((1.0 + step) / (10.0 + step));
        let mean = w.clone().without_autodiff().narrow(0, 0, n as usize).mean_dim(0).reshape([self.config.latent]);
        self.memory.style = self.memory.style.clone() * stays + mean * (1.0 - stays);
    }

    fn r1(&self, networks: &[Weights], batch: &Batch) -> Tensor<1> {
        let augmentation = self.augmentation(Self::AUGMENT_R1, batch);
        let gamma = self.gamma * self.config.r1_every as f64;
        let discriminator = &self.networks.discriminator;
        r1(discriminator, &networks[DISCRIMINATOR], self.real(batch), gamma, |x| augmentation.apply(x))
    }

    fn path_length(&mut self, networks: &[Weights], batch: &Batch) -> Tensor<1> {
        let (weights, synthesis) = (&networks[GENERATOR], &self.networks.synthesis);
        let draws = self.draws(Self::PATH, batch);
        let styles = draws.mix(self.styles(weights, &draws), synthesis.styles());
        let y = self.directions(batch);
        let (lengths, slopes) = path_lengths(synthesis, weights, &styles, &draws.noise, y.clone());
        let mean = lengths.clone().mean_dim(0).reshape([1]);
        self.memory.length = self.memory.length.clone() * (1.0 - LENGTH_SHARE) + mean * LENGTH_SHARE;
        let p = self.config.path_length_weight * self.config.path_every as f64;
        let mean = self.memory.length.clone();
        path_penalty(synthesis, weights, styles, &draws.noise, y, (lengths, slopes), mean, p)
    }

    /// Directions in the space of images, of N(0, 1 / pixels) a number.
    fn directions(&self, batch: &Batch) -> Tensor<4> {
        let synthesis = &self.networks.synthesis;
        let (n, side) = ((batch.examples.end - batch.examples.start) as usize, synthesis.side);
        let size = [n, side, side, synthesis.channels];
        let mut y = vec![0.0; size.iter().product()];
        let unit = 1.0 / side as f32;
        y.par_chunks_exact_mut(side * side * synthesis.channels).enumerate().for_each(|(row, y)| {
            random::fill_normal(&mut self.seeds.rng(Self::PATH_NOISE, batch.examples.start + row as u64), y);
            y.iter_mut().for_each(|y| *y *= unit);
        });
        Tensor::from_data(TensorData::new(y, size), self.device.inner())
    }
}

impl Game for Contest<'_> {
    fn losses(&mut self, turn: usize, networks: &[Weights], batch: &Batch) -> Result<Tensor<1>> {
        match self.phases[turn] {
            Phase::Judge => self.judge(networks, batch),
            Phase::R1 => Ok(self.r1(networks, batch)),
            Phase::PathLength => Ok(self.path_length(networks, batch)),
            Phase::Make => Ok(self.make(networks, batch)),
        }
    }

    fn kept(&self) -> Result<Kept> {
        let read = |tensor: &Tensor<1>| to_host(tensor.clone(), "reading running means");
        let mut kept = Kept::from([(STYLE, read(&self.memory.style)?), (LENGTH, read(&self.memory.length)?)]);
        if let Some(adaptive) = &self.memory.adaptive {
            kept.insert(ADAPTIVE, adaptive.kept());
        }
        Ok(kept)
    }

    fn restore(&mut self, kept: Kept) {
        for (name, values) in kept {
            match name {
                STYLE => self.memory.style = flat(values, self.device.inner()),
                LENGTH => self.memory.length = flat(values, self.device.inner()),
                _ => {
                    let (target, whole) = (self.config.ada_target, 1000.0 * self.config.ada_kimg);
                    self.memory.adaptive = Some(Adaptive::restored(target, whole, &values));
                }
            }
        }
    }
}
