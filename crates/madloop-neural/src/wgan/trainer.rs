//! Training of critic and generator.

use std::sync::Arc;

use madloop_core::{Blobs, Context, Cost, Generator, MemoryBlobs, Mix, SamplingBias, Shape, Trained, Trainer};
use serde_json::json;

use super::FAMILY;
use super::config::{Beginning, WganConfig};
use super::losses::{CRITIC, Contest, GENERATOR};
use super::model::Wgan;
use crate::backend::Device;
use crate::params::Weights;
use crate::scale::Scale;
use crate::train::{Fit, Plan, Role, Turn, check_pixels, fit_all, non_finite};
use crate::{Error, Result};

pub(crate) struct WganTrainer {
    pub(crate) config: WganConfig,
    pub(crate) device: Device,
}

impl Trainer for WganTrainer {
    fn family(&self) -> &'static str {
        FAMILY
    }

    fn train(&self, mix: &Mix, context: &mut Context<'_>) -> madloop_core::Result<Trained> {
        Ok(self.train_model(mix, context)?)
    }

    fn load(&self, blobs: &dyn Blobs) -> madloop_core::Result<Arc<dyn Generator>> {
        Ok(Arc::new(Wgan::load(&self.config, &self.device, blobs)?))
    }

    fn begins_at_previous(&self) -> bool {
        self.config.init == Beginning::Previous
    }

    fn check(&self, shape: Shape, _labelled: bool, _lambdas: &[SamplingBias]) -> madloop_core::Result<()> {
        self.config.networks(shape)?;
        Ok(self.device.probe()?)
    }

    fn cost(&self, rows: u64, shape: Shape) -> Cost {
        // A shape that does not fit is refused by training itself, in words.
        let Ok(networks) = self.config.networks(shape) else { return Cost::default() };
        let (critic, generator) = (networks.critic.flops(), networks.generator.flops());
        let (of_critic, of_generator) = (networks.of_critic.len() as f64, networks.of_generator.len() as f64);
        let (updates, batch) = (self.config.n_critic as f64, self.config.batch as f64);
        // An update of the critic: two forward passes with two products each backward; for the penalty two passes forward, one
        // backward to the samples, and one with both products. One of the generator: three passes of its own, two of the critic.
        let critic_row = generator + (2.0 * 3.0 + 5.0) * critic;
        let generator_row = 3.0 * generator + 2.0 * critic;
        let adam = 20.0 * (updates * of_critic + of_generator);
        let step = batch * (updates * critic_row + generator_row) + adam;
        // Costs are in operations of plain loops; products do about six times as many in the same time.
        const KERNELS: f64 = 6.0;
        let kept = of_generator + if self.begins_at_previous() { of_critic } else { 0.0 };
        Cost {
            train: step * self.config.train_steps(rows) as f64 / KERNELS,
            sample_row: generator / KERNELS,
            model_bytes: 4.0 * kept,
            ..Cost::default()
        }
    }
}

impl WganTrainer {
    fn train_model(&self, mix: &Mix, context: &mut Context<'_>) -> Result<Trained> {
        if let Some(why) = non_finite(mix) {
            return Ok(Trained::Ended(why));
        }
        check_pixels(mix)?;
        let networks = self.config.networks(mix.shape())?;
        self.device.probe()?;
        let [of_critic, of_generator] = self.start(mix.shape(), context)?;
        let mut game = Contest {
            critic: &networks.critic,
            generator: &networks.generator,
            scale: Scale::of(mix),
            latent: self.config.latent,
            penalty: self.config.gradient_penalty,
            seeds: context.seeds,
            device: &self.device,
        };
        let mut roles = [CRITIC, GENERATOR].map(|turn| Role {
            name: if turn == CRITIC { "critic" } else { "generator" },
            layout: if turn == CRITIC { networks.of_critic.clone() } else { networks.of_generator.clone() },
            adam: None,
            averaged: turn == GENERATOR && self.config.ema > 0.0,
            start: None,
        });
        (roles[CRITIC].start, roles[GENERATOR].start) = (of_critic, of_generator);
        let batch = self.config.batch;
        let turns = [
            Turn { updates: self.config.n_critic, ..Turn::each_step(CRITIC, batch) },
            Turn { sees_samples: false, ..Turn::each_step(GENERATOR, batch) },
        ];
        let steps = self.config.train_steps(mix.len() as u64);
        let mut identity = self.config.training();
        if let Some(identity) = identity.as_object_mut() {
            identity.insert("steps".into(), json!(steps));
            identity.insert("samples".into(), json!(mix.len()));
            identity.insert("shape".into(), json!(mix.shape()));
            identity.insert("seed".into(), json!(context.seeds.seed()));
            identity.insert("generation".into(), json!(context.seeds.generation()));
        }
        let checkpoint_steps = self.config.checkpoint_steps;
        let plan = Plan { steps, batch, adam: self.config.adam(), checkpoint_steps, identity };
        let train = || fit_all(&mut game, &roles, &turns, mix, &plan, context, self.device.inner());
        let fit = self.device.guard("training", train)?;
        let scale = game.scale;
        Ok(match fit {
            Fit::Ended(why) => Trained::Ended(why),
            Fit::Done(mut fitted) => Trained::Model(Arc::new(Wgan {
                config: self.config.clone(),
                device: self.device.clone(),
                weights: fitted.averages.remove(GENERATOR),
                critic: self.begins_at_previous().then(|| fitted.averages.remove(CRITIC)),
                network: networks.generator,
                shape: mix.shape(),
                scale,
                losses: fitted.losses,
            })),
        })
    }

    /// Weights of critic and generator to begin at, where those are the previous generation's.
    fn start(&self, shape: Shape, context: &Context<'_>) -> Result<[Option<Weights>; 2]> {
        let Some(previous) = context.previous.filter(|_| self.begins_at_previous()) else { return Ok([None, None]) };
        // Through its file, so that it makes no difference whether the model was just trained or read from disk.
        let mut blobs = MemoryBlobs::default();
        previous.save(&mut blobs)?;
        let previous = Wgan::load(&self.config, &self.device, &blobs)?;
        if previous.shape != shape {
            return Err(Error::Setting {
                key: "init",
                value: "\"previous\"".into(),
                why: format!(
                    "the previous model makes samples of shape {}, not {shape}; use \"scratch\"",
                    previous.shape
                ),
            });
        }
        Ok([previous.critic, Some(previous.weights)])
    }
}
