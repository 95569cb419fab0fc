//! Training of diffusion models.

use std::sync::Arc;

use burn::tensor::Tensor;
use madloop_core::{Blobs, Context, Cost, Generator, Mix, SamplingBias, Seeds, Shape, Stream, Trained, Trainer};
use rand::RngExt;
use rayon::prelude::*;
use serde_json::json;

use super::config::{DdpmConfig, Weighting};
use super::generator::Ddpm;
use super::schedule::Schedule;
use super::{FAMILY, estimate};
use crate::backend::Device;
use crate::nets::{Condition, Network};
use crate::params::{Weights, flat, matrix};
use crate::scale::Scale;
use crate::train::{Batch, Fit, Objective, Plan, check_pixels, classes, fit, non_finite};
use crate::{Result, ops, random};

pub(crate) struct DdpmTrainer {
    pub(crate) config: DdpmConfig,
    pub(crate) device: Device,
}

impl Trainer for DdpmTrainer {
    fn family(&self) -> &'static str {
        FAMILY
    }

    fn train(&self, mix: &Mix, context: &mut Context<'_>) -> madloop_core::Result<Trained> {
        Ok(self.train_model(mix, context)?)
    }

    fn load(&self, blobs: &dyn Blobs) -> madloop_core::Result<Arc<dyn Generator>> {
        Ok(Arc::new(Ddpm::load(&self.config, &self.device, blobs)?))
    }

    fn check(&self, shape: Shape, labelled: bool, lambdas: &[SamplingBias]) -> madloop_core::Result<()> {
        self.config.network(shape, usize::from(labelled))?;
        for lambda in lambdas {
            self.config.guidance(*lambda, labelled)?;
        }
        Ok(self.device.probe()?)
    }

    fn cost(&self, rows: u64, shape: Shape) -> Cost {
        // A shape that does not fit is refused by training itself, in words.
        let Ok((network, layout)) = self.config.network(shape, 0) else { return Cost::default() };
        let seen = (self.config.train_steps(rows) * self.config.batch as u64) as f64;
        // Costs are in operations of plain loops; the kernels do about six times as many in the same time.
        const KERNELS: f64 = 6.0;
        Cost {
            // The backward pass computes two products for each one of the forward pass.
            train: (3.0 * network.flops() * seen + 20.0 * layout.len() as f64 * self.config.train_steps(rows) as f64)
                / KERNELS,
            sample_row: network.flops() * self.config.sampler_steps() as f64 / KERNELS,
            model_bytes: 4.0 * layout.len() as f64,
            batch: self.config.batch as u64,
            step_bytes: 4.0 * self.config.batch as f64 * network.kept(),
        }
    }
}

impl DdpmTrainer {
    fn train_model(&self, mix: &Mix, context: &mut Context<'_>) -> Result<Trained> {
        if let Some(why) = non_finite(mix) {
            return Ok(Trained::Ended(why));
        }
        check_pixels(mix)?;
        let classes = classes(mix, context)?;
        let n_classes = classes.as_ref().map_or(0, |classes| classes.n_classes() as usize);
        let (network, layout) = self.config.network(mix.shape(), n_classes)?;
        let layout = Arc::new(layout);
        self.device.probe()?;
        let objective = NoisePrediction {
            network: &network,
            schedule: self.config.schedule(),
            scale: Scale::of(mix),
            weighting: self.config.weighting,
            dropout: self.config.condition_dropout,
            seeds: context.seeds,
            device: &self.device,
        };
        let steps = self.config.train_steps(mix.len() as u64);
        let mut identity = self.config.training();
        if let Some(identity) = identity.as_object_mut() {
            identity.insert("steps".into(), json!(steps));
            identity.insert("samples".into(), json!(mix.len()));
            identity.insert("shape".into(), json!(mix.shape()));
            identity.insert("classes".into(), json!(n_classes));
            identity.insert("seed".into(), json!(context.seeds.seed()));
            identity.insert("generation".into(), json!(context.seeds.generation()));
        }
        let checkpoint_steps = self.config.checkpoint_steps;
        let plan = Plan { steps, batch: self.config.batch, adam: self.config.adam(), checkpoint_steps, identity };
        let train = || fit(&objective, &layout, mix, &plan, context, self.device.inner());
        Ok(match self.device.guard("training", train)? {
            Fit::Ended(why) => Trained::Ended(why),
            Fit::Done(fitted) => {
                let scale = objective.scale;
                let shape = mix.shape();
                let (config, device) = (self.config.clone(), self.device.clone());
                let (weights, losses) = (fitted.average, fitted.losses);
                Trained::Model(Arc::new(Ddpm { config, device, network, weights, shape, classes, scale, losses }))
            }
        })
    }
}

/// w_t |e - eps(alpha_t x + sigma_t e, t, c)|^2 / d with t uniform, e ~ N(0, I) and c left out of some rows; t, e and the choice of the
/// rows are addressed by example, so that they depend neither on batches nor on threads.
struct NoisePrediction<'a> {
    network: &'a Network,
    schedule: Schedule,
    scale: Scale,
    weighting: Weighting,
    dropout: f64,
    seeds: Seeds,
    device: &'a Device,
}

impl NoisePrediction<'_> {
    const NOISE: Stream = Stream::named("neural/ddpm/noise");
}

impl Objective for NoisePrediction<'_> {
    fn losses(&self, weights: &Weights, batch: &Batch) -> Tensor<1> {
        let rows = batch.labels.len();
        let dim = batch.values.len() / rows;
        let mut values = batch.values.clone();
        self.scale.to_network(&mut values);
        let mut noise = vec![0.0_f32; values.len()];
        let drawn: Vec<(f64, bool)> = values
            .par_chunks_exact_mut(dim)
            .zip(noise.par_chunks_exact_mut(dim))
            .enumerate()
            .map(|(row, (values, noise))| {
                let example = batch.examples.start + row as u64;
                let mut rng = self.seeds.rng(Self::NOISE, example);
                let time = rng.random_range(0..self.schedule.len() as u64) as f64;
                let dropped = rng.random::<f64>() < self.dropout;
                random::fill_normal(&mut rng, noise);
                let (alpha, sigma) = (self.schedule.alpha(time) as f32, self.schedule.sigma(time) as f32);
                values.iter_mut().zip(noise).for_each(|(x, e)| *x = alpha * *x + sigma * *e);
                (time, dropped)
            })
            .collect();
        let times: Vec<f64> = drawn.iter().map(|(time, _)| *time).collect();
        let kept = |(label, &(_, dropped)): (&Option<u32>, &(f64, bool))| label.filter(|_| !dropped);
        let classes: Vec<Option<u32>> = batch.labels.iter().zip(&drawn).map(kept).collect();
        let condition = Condition { times: &times, classes: &classes };
        let on_device = |values| matrix(values, dim, self.device.inner());
        let estimate = estimate::noise(self.network, &self.schedule, weights, on_device(values), &condition);
        let losses = ops::squared_error(estimate, on_device(noise));
        match self.weighting {
            Weighting::Noise => losses,
            weighting => {
                let of = times.iter().map(|&time| weighting.of(self.schedule.alpha(time)) as f32);
                losses * flat(of.collect(), self.device.inner())
            }
        }
    }
}
