//! Sampling from a trained generator, and its file.

use std::ops::Range;

use madloop_core::{Blobs, Generator as Model, Samples, SamplingBias, Seeds, Shape, Stream, Watch};
use rayon::prelude::*;

use super::FAMILY;
use super::config::{Beginning, WganConfig};
use super::generator::Generator;
use crate::backend::Device;
use crate::draw::{Blocks, unwatched};
use crate::file::{Kind, TensorFile};
use crate::params::{Weights, matrix, to_host};
use crate::scale::Scale;
use crate::{Error, Result, random};

/// A trained model.
pub(crate) struct Wgan {
    pub(crate) config: WganConfig,
    pub(crate) device: Device,
    pub(crate) network: Generator,
    /// The generator's, averaged where an average is kept.
    pub(crate) weights: Weights,
    /// The critic's, where the next generation begins at them.
    pub(crate) critic: Option<Weights>,
    pub(crate) shape: Shape,
    pub(crate) scale: Scale,
    /// The critic's mean loss in each training step.
    pub(crate) losses: Vec<f64>,
}

const FILE: Kind = Kind { name: "model.safetensors", remedy: "delete its generation and run again" };
const WEIGHTS: &str = "weights/";
const CRITIC: &str = "critic/";
const LOSSES: &str = "losses";

impl Model for Wgan {
    fn sample(&self, rows: Range<u64>, lambda: SamplingBias, seeds: Seeds) -> madloop_core::Result<Samples> {
        Ok(unwatched(|watch| self.draw(rows, lambda, seeds, watch))?)
    }

    fn sample_watched(
        &self,
        rows: Range<u64>,
        lambda: SamplingBias,
        seeds: Seeds,
        watch: Watch<'_>,
    ) -> madloop_core::Result<Samples> {
        Ok(self.draw(rows, lambda, seeds, watch)?)
    }

    fn save(&self, blobs: &mut dyn Blobs) -> madloop_core::Result<()> {
        let mut file = TensorFile::new(FILE, self.config.architecture());
        file.put_weights(WEIGHTS, &self.weights)?;
        if let Some(critic) = &self.critic {
            file.put_weights(CRITIC, critic)?;
        }
        self.scale.put(self.shape, &mut file);
        file.put_f64(LOSSES, &self.losses);
        Ok(file.save(blobs)?)
    }

    fn losses(&self) -> &[f64] {
        &self.losses
    }
}

impl Wgan {
    fn draw(&self, rows: Range<u64>, lambda: SamplingBias, seeds: Seeds, watch: Watch<'_>) -> Result<Samples> {
        let one = |block| self.draw_block(block, lambda, seeds);
        let blocks =
            Blocks { device: &self.device, block: self.network.block(), dim: self.shape.len(), family: FAMILY };
        blocks.samples(rows, watch, (self.shape, &self.scale), one)
    }

    /// The rows as the network has them, of latents from N(0, lambda I).
    fn draw_block(&self, rows: Range<u64>, lambda: SamplingBias, seeds: Seeds) -> Result<Vec<f32>> {
        let latent = self.config.latent;
        let mut latents = vec![0.0; (rows.end - rows.start) as usize * latent];
        latents.par_chunks_exact_mut(latent).enumerate().for_each(|(at, out)| {
            random::fill_normal(&mut seeds.rng(Stream::SAMPLE, rows.start + at as u64), out);
            out.iter_mut().for_each(|value| *value *= lambda.deviation_scale() as f32);
        });
        let latents = matrix(latents, latent, self.device.inner());
        to_host(self.network.forward(&self.weights, latents), "reading samples")
    }

    /// Reads what [`Model::save`] wrote.
    pub(crate) fn load(config: &WganConfig, device: &Device, blobs: &dyn Blobs) -> Result<Self> {
        let missing = || Error::BadFile { file: FILE.name, why: "it is missing".into(), remedy: FILE.remedy };
        let mut file = TensorFile::load(FILE, blobs)?.ok_or_else(missing)?;
        file.check_made_by(&config.architecture())?;
        let (shape, scale) = Scale::take(&mut file)?;
        let networks = config.networks(shape)?;
        let weights = file.take_weights(WEIGHTS, &networks.of_generator, device.inner())?;
        let critic = match config.init {
            Beginning::Scratch => None,
            Beginning::Previous => Some(file.take_weights(CRITIC, &networks.of_critic, device.inner())?),
        };
        let losses = file.take_f64(LOSSES)?;
        file.finish()?;
        let (config, device) = (config.clone(), device.clone());
        Ok(Self { config, device, network: networks.generator, weights, critic, shape, scale, losses })
    }
}
