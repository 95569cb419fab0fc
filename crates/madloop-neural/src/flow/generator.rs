//! Sampling from a trained flow, its likelihood, and its file.

use std::ops::Range;
use std::sync::Arc;

use burn::tensor::Tensor;
use madloop_core::{Blobs, ClassSchedule, Generator, Samples, SamplingBias, Seeds, Shape, Stream, Watch};
use rayon::prelude::*;

use super::FAMILY;
use super::config::FlowConfig;
use super::domain::Domain;
use super::network::Network;
use crate::backend::Device;
use crate::draw::{Blocks, unwatched};
use crate::file::{Kind, TensorFile};
use crate::nets::one_hot;
use crate::params::{Weights, matrix, to_host};
use crate::scale::Scale;
use crate::{Error, Result, random};

/// A trained model.
pub(super) struct Flow {
    config: FlowConfig,
    device: Device,
    shape: Shape,
    network: Network,
    weights: Weights,
    /// The inverses of all linear maps.
    maps: Vec<Tensor<2>>,
    trace_worth: Tensor<1>,
    classes: Option<ClassSchedule>,
    domain: Domain,
    /// The loss of each training step.
    losses: Vec<f64>,
}

const FILE: Kind = Kind { name: "model.safetensors", remedy: "delete its generation and run again" };
const WEIGHTS: &str = "weights/";
const CLASSES: &str = "classes";
const LOSSES: &str = "losses";

impl Generator for Flow {
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

    fn log_likelihood(&self, samples: &Samples, seeds: Seeds) -> madloop_core::Result<Option<Vec<f64>>> {
        Ok(Some(self.log_densities(samples, seeds)?))
    }
}

impl Flow {
    pub(super) fn new(
        (config, device, shape): (FlowConfig, Device, Shape),
        network: Network,
        weights: Weights,
        classes: Option<ClassSchedule>,
        domain: Domain,
        losses: Vec<f64>,
    ) -> Result<Self> {
        let maps = network.inverse_maps(&weights, device.inner())?;
        let trace_worth = network.trace_worth(device.inner());
        Ok(Self { config, device, shape, network, weights, maps, trace_worth, classes, domain, losses })
    }

    fn one_hot(&self, classes: &[Option<u32>]) -> Option<Tensor<2>> {
        self.classes.as_ref().map(|all| one_hot(classes, all.n_classes() as usize, self.device.inner()))
    }

    fn draw(&self, rows: Range<u64>, lambda: SamplingBias, seeds: Seeds, watch: Watch<'_>) -> Result<Samples> {
        let one = |block| self.draw_block(block, lambda, seeds);
        let blocks =
            Blocks { device: &self.device, block: self.network.block(), dim: self.shape.len(), family: FAMILY };
        let samples = self.domain.samples(&blocks, rows.clone(), watch, self.shape, one)?;
        Ok(match &self.classes {
            None => samples,
            Some(classes) => samples.with_labels(rows.map(|row| classes.class(row)).collect())?,
        })
    }

    /// f^-1(z), z ~ N(0, lambda I), as the network has the rows.
    fn draw_block(&self, rows: Range<u64>, lambda: SamplingBias, seeds: Seeds) -> Result<Vec<f32>> {
        let dim = self.shape.len();
        let deviation = lambda.deviation_scale() as f32;
        let mut latents = vec![0.0; (rows.end - rows.start) as usize * dim];
        latents.par_chunks_exact_mut(dim).enumerate().for_each(|(at, out)| {
            random::fill_normal(&mut seeds.rng(Stream::SAMPLE, rows.start + at as u64), out);
            out.iter_mut().for_each(|z| *z *= deviation);
        });
        let classes: Vec<Option<u32>> =
            rows.map(|row| self.classes.as_ref().map(|classes| classes.class(row))).collect();
        let z = matrix(latents, dim, self.device.inner());
        to_host(self.network.inverse(&self.weights, &self.maps, z, self.one_hot(&classes).as_ref()), "reading samples")
    }

    fn log_densities(&self, samples: &Samples, seeds: Seeds) -> Result<Vec<f64>> {
        const NOISE: Stream = Stream::named("neural/flow/score-noise");
        let dim = self.shape.len();
        let labels = samples.labels();
        let known = self.classes.as_ref().map_or(0, ClassSchedule::n_classes);
        let block = self.network.block();
        let mut all = Vec::with_capacity(samples.len());
        for start in (0..samples.len()).step_by(block) {
            let rows = start..(start + block).min(samples.len());
            let mut values = samples.slice(rows.clone()).to_f32();
            let gained = self.domain.to_network(&mut values, dim, seeds, NOISE, start as u64);
            // A class that the model never saw is no class to it.
            let classes: Vec<Option<u32>> =
                rows.map(|row| labels.map(|labels| labels[row]).filter(|&label| label < known)).collect();
            let x = matrix(values, dim, self.device.inner());
            let (z, log_det) =
                self.network.forward(&self.weights, &self.trace_worth, x, self.one_hot(&classes).as_ref());
            let z = to_host(z, "reading latents")?;
            let log_det = to_host(log_det, "reading log-determinants")?;
            for ((z, log_det), gained) in z.chunks_exact(dim).zip(log_det).zip(gained) {
                let squares: f64 = z.iter().map(|&z| f64::from(z).powi(2)).sum();
                let latent = -0.5 * (squares + dim as f64 * std::f64::consts::TAU.ln());
                all.push(latent + f64::from(log_det) + gained);
            }
        }
        Ok(all)
    }

    fn write(&self, blobs: &mut dyn Blobs) -> Result<()> {
        let mut file = TensorFile::new(FILE, self.config.architecture());
        file.put_weights(WEIGHTS, &self.weights)?;
        file.put_classes(CLASSES, self.classes.as_ref());
        self.domain.scale().put(self.shape, &mut file);
        file.put_f64(LOSSES, &self.losses);
        file.save(blobs)
    }

    /// Reads what [`Generator::save`] wrote.
    pub(super) fn load(config: &FlowConfig, device: &Device, blobs: &dyn Blobs) -> Result<Self> {
        let missing = || Error::BadFile { file: FILE.name, why: "it is missing".into(), remedy: FILE.remedy };
        let mut file = TensorFile::load(FILE, blobs)?.ok_or_else(missing)?;
        file.check_made_by(&config.architecture())?;
        let (shape, scale) = Scale::take(&mut file)?;
        if !shape.is_image() && scale.unit.len() != shape.len() {
            return Err(file.bad(format!("its scale has {} units for {shape}", scale.unit.len())));
        }
        let domain = Domain::of_scale(scale, shape, config.grey_levels);
        let classes = file.take_classes(CLASSES)?;
        let n_classes = classes.as_ref().map_or(0, |classes: &ClassSchedule| classes.n_classes() as usize);
        let (network, layout) = config.network(shape, n_classes)?;
        let weights = file.take_weights(WEIGHTS, &Arc::new(layout), device.inner())?;
        let losses = file.take_f64(LOSSES)?;
        file.finish()?;
        Self::new((config.clone(), device.clone(), shape), network, weights, classes, domain, losses)
    }
}
