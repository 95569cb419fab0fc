//! Sampling from a trained diffusion model, and its file.

use std::ops::Range;
use std::sync::Arc;

use burn::tensor::Tensor;
use madloop_core::{Blobs, Cancel, ClassSchedule, Generator, Samples, SamplingBias, Seeds, Shape, Stream, Watch};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::config::DdpmConfig;
use super::{FAMILY, estimate, sampler};
use crate::backend::Device;
use crate::draw::{Blocks, unwatched};
use crate::file::{Kind, TensorFile};
use crate::nets::{Condition, Network};
use crate::params::{Weights, matrix, to_host};
use crate::scale::Scale;
use crate::{Error, Result, random};

/// A trained model.
pub(crate) struct Ddpm {
    pub(crate) config: DdpmConfig,
    pub(crate) device: Device,
    pub(crate) network: Network,
    /// The moving average of training.
    pub(crate) weights: Weights,
    pub(crate) shape: Shape,
    pub(crate) classes: Option<ClassSchedule>,
    pub(crate) scale: Scale,
    /// The loss of each training step.
    pub(crate) losses: Vec<f64>,
}

const FILE: Kind = Kind { name: "model.safetensors", remedy: "delete its generation and run again" };
const WEIGHTS: &str = "weights/";
const CLASSES: &str = "classes";
const LOSSES: &str = "losses";

impl Generator for Ddpm {
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
        Ok(self.write(blobs)?)
    }

    fn losses(&self) -> &[f64] {
        &self.losses
    }

    fn sampler(&self) -> Option<(String, u32)> {
        Some((self.config.sampler.name().to_owned(), self.config.sampler_steps() as u32))
    }
}

impl Ddpm {
    fn draw(&self, rows: Range<u64>, lambda: SamplingBias, seeds: Seeds, watch: Watch<'_>) -> Result<Samples> {
        let guidance = self.config.guidance(lambda, self.classes.is_some())?;
        let one = |block| self.draw_block(block, guidance, seeds, watch.cancel);
        let blocks =
            Blocks { device: &self.device, block: self.network.block(), dim: self.shape.len(), family: FAMILY };
        let samples = blocks.samples(rows.clone(), watch, (self.shape, &self.scale), one)?;
        Ok(match &self.classes {
            None => samples,
            Some(classes) => samples.with_labels(rows.map(|row| classes.class(row)).collect())?,
        })
    }

    /// The rows as the network has them.
    fn draw_block(&self, rows: Range<u64>, guidance: f64, seeds: Seeds, cancel: &Cancel) -> Result<Vec<f32>> {
        let dim = self.shape.len();
        let schedule = self.config.schedule();
        // A generator a row for all of its noise, first and later.
        let mut rngs: Vec<ChaCha8Rng> = rows.clone().map(|row| seeds.rng(Stream::SAMPLE, row)).collect();
        let mut noise = || {
            let mut values = vec![0.0; rngs.len() * dim];
            let pairs = values.par_chunks_exact_mut(dim).zip(&mut rngs);
            pairs.for_each(|(out, rng)| random::fill_normal(rng, out));
            matrix(values, dim, self.device.inner())
        };
        let classes: Vec<Option<u32>> =
            rows.map(|row| self.classes.as_ref().map(|classes| classes.class(row))).collect();
        let none = vec![None; classes.len()];
        let estimate = |x: &Tensor<2>, time: f64, classes: &[Option<u32>]| {
            let times = vec![time; classes.len()];
            let condition = Condition { times: &times, classes };
            estimate::noise(&self.network, &schedule, &self.weights, x.clone(), &condition)
        };
        let mut predict = |x: &Tensor<2>, time: f64| {
            // A block takes minutes where the network is large.
            cancel.check()?;
            let conditional = estimate(x, time, &classes);
            Ok::<_, Error>(match guidance == 0.0 {
                true => conditional,
                false => conditional * (1.0 + guidance) - estimate(x, time, &none) * guidance,
            })
        };
        let steps = sampler::steps(self.config.sampler, self.config.sampler_steps(), &schedule);
        let first = noise();
        // Pixels reach the network in [-1, 1].
        let limit = (self.config.clip_data && self.shape.is_image()).then_some(1.0);
        to_host(sampler::run(&steps, limit, first, &mut predict, &mut noise)?, "reading samples")
    }

    fn write(&self, blobs: &mut dyn Blobs) -> Result<()> {
        let mut file = TensorFile::new(FILE, self.config.architecture());
        file.put_weights(WEIGHTS, &self.weights)?;
        file.put_classes(CLASSES, self.classes.as_ref());
        self.scale.put(self.shape, &mut file);
        file.put_f64(LOSSES, &self.losses);
        file.save(blobs)
    }

    /// Reads what [`Generator::save`] wrote.
    pub(crate) fn load(config: &DdpmConfig, device: &Device, blobs: &dyn Blobs) -> Result<Self> {
        let missing = || Error::BadFile { file: FILE.name, why: "it is missing".into(), remedy: FILE.remedy };
        let mut file = TensorFile::load(FILE, blobs)?.ok_or_else(missing)?;
        file.check_made_by(&config.architecture())?;
        let (shape, scale) = Scale::take(&mut file)?;
        let classes = file.take_classes(CLASSES)?;
        let n_classes = classes.as_ref().map_or(0, |classes: &ClassSchedule| classes.n_classes() as usize);
        let (network, layout) = config.network(shape, n_classes)?;
        let weights = file.take_weights(WEIGHTS, &Arc::new(layout), device.inner())?;
        let losses = file.take_f64(LOSSES)?;
        file.finish()?;
        let (config, device) = (config.clone(), device.clone());
        Ok(Self { config, device, network, weights, shape, classes, scale, losses })
    }
}
