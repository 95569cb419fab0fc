//! Sampling from a trained generator, and its file.

use std::ops::Range;

use burn::tensor::Tensor;
use madloop_core::{Blobs, Generator as Model, Samples, SamplingBias, Seeds, Shape, Stream, Watch};

use super::FAMILY;
use super::config::StyleGan2Config;
use super::draws::Draws;
use super::generator::{Mapping, Synthesis};
use super::layers::Dual;
use crate::backend::Device;
use crate::draw::{Blocks, unwatched};
use crate::file::{Kind, TensorFile};
use crate::params::{Weights, flat, to_host};
use crate::scale::Scale;
use crate::{Error, Result};

/// A trained model.
pub(crate) struct StyleGan2 {
    pub(crate) config: StyleGan2Config,
    pub(crate) device: Device,
    pub(crate) mapping: Mapping,
    pub(crate) synthesis: Synthesis,
    /// Averaged where an average is kept.
    pub(crate) weights: Weights,
    /// The running mean of styles, `[latent]`.
    pub(crate) style: Vec<f32>,
    pub(crate) shape: Shape,
    pub(crate) scale: Scale,
    /// The discriminator's loss in each training step.
    pub(crate) losses: Vec<f64>,
}

const FILE: Kind = Kind { name: "model.safetensors", remedy: "delete its generation and run again" };
const WEIGHTS: &str = "weights/";
const STYLE: &str = "style.mean";
const LOSSES: &str = "losses";

impl Model for StyleGan2 {
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
        self.scale.put(self.shape, &mut file);
        file.put_f32(STYLE, &self.style);
        file.put_f64(LOSSES, &self.losses);
        Ok(file.save(blobs)?)
    }

    fn losses(&self) -> &[f64] {
        &self.losses
    }
}

impl StyleGan2 {
    /// Images that are drawn together: few where they are large.
    fn block(&self) -> usize {
        (1_usize << 18).div_ceil(self.shape.len()).clamp(8, 64)
    }

    fn draw(&self, rows: Range<u64>, lambda: SamplingBias, seeds: Seeds, watch: Watch<'_>) -> Result<Samples> {
        let one = |block| self.draw_block(block, lambda, seeds);
        let blocks = Blocks { device: &self.device, block: self.block(), dim: self.shape.len(), family: FAMILY };
        blocks.samples(rows, watch, (self.shape, &self.scale), one)
    }

    /// The rows as the network has them, of styles drawn towards their mean. Noise is the row's own too.
    fn draw_block(&self, rows: Range<u64>, lambda: SamplingBias, seeds: Seeds) -> Result<Vec<f32>> {
        let (latent, device) = (self.config.latent, self.device.inner());
        let draws = Draws::new(&self.synthesis, latent, 0.0, seeds, Stream::SAMPLE, rows, device);
        let w = self.mapping.forward(&self.weights, draws.latents[0].clone());
        let psi = lambda.lambda();
        let w = match psi {
            1.0 => w,
            _ => {
                let mean: Tensor<2> = flat(self.style.clone(), device).reshape([1, latent]);
                w * psi + mean * (1.0 - psi)
            }
        };
        let styles: Vec<Dual<2>> = draws.mix(w, self.synthesis.styles()).into_iter().map(Dual::from).collect();
        to_host(self.synthesis.forward(&self.weights, &styles, &draws.noise).value, "reading samples")
    }

    /// Reads what [`Model::save`] wrote.
    pub(crate) fn load(config: &StyleGan2Config, device: &Device, blobs: &dyn Blobs) -> Result<Self> {
        let missing = || Error::BadFile { file: FILE.name, why: "it is missing".into(), remedy: FILE.remedy };
        let mut file = TensorFile::load(FILE, blobs)?.ok_or_else(missing)?;
        file.check_made_by(&config.architecture())?;
        let (shape, scale) = Scale::take(&mut file)?;
        let networks = config.networks(shape)?;
        let weights = file.take_weights(WEIGHTS, &networks.of_generator, device.inner())?;
        let style = file.take_f32(STYLE)?;
        if style.len() != config.latent {
            return Err(file.bad(format!("{STYLE} has {} numbers instead of {}", style.len(), config.latent)));
        }
        let losses = file.take_f64(LOSSES)?;
        file.finish()?;
        let (config, device) = (config.clone(), device.clone());
        let (mapping, synthesis) = (networks.mapping, networks.synthesis);
        Ok(Self { config, device, mapping, synthesis, weights, style, shape, scale, losses })
    }
}
