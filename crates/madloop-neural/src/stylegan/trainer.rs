//! Training of discriminator and generator.

use std::sync::Arc;

use madloop_core::{Blobs, Context, Cost, Generator, Mix, SamplingBias, Shape, Trained, Trainer};
use serde_json::json;

use super::FAMILY;
use super::config::StyleGan2Config;
use super::losses::{Contest, DISCRIMINATOR, GENERATOR, Memory, Phase};
use super::model::StyleGan2;
use crate::Result;
use crate::backend::Device;
use crate::params::to_host;
use crate::scale::Scale;
use crate::train::{Fit, Plan, Role, Turn, check_pixels, fit_all, non_finite};

pub(crate) struct StyleGan2Trainer {
    pub(crate) config: StyleGan2Config,
    pub(crate) device: Device,
}

impl Trainer for StyleGan2Trainer {
    fn family(&self) -> &'static str {
        FAMILY
    }

    fn train(&self, mix: &Mix, context: &mut Context<'_>) -> madloop_core::Result<Trained> {
        Ok(self.train_model(mix, context)?)
    }

    fn load(&self, blobs: &dyn Blobs) -> madloop_core::Result<Arc<dyn Generator>> {
        Ok(Arc::new(StyleGan2::load(&self.config, &self.device, blobs)?))
    }

    fn check(&self, shape: Shape, _labelled: bool, _lambdas: &[SamplingBias]) -> madloop_core::Result<()> {
        self.config.networks(shape)?;
        Ok(self.device.probe()?)
    }

    fn value_bytes(&self) -> u64 {
        1
    }

    fn cost(&self, rows: u64, shape: Shape) -> Cost {
        // A shape that does not fit is refused by training itself, in words.
        let Ok(networks) = self.config.networks(shape) else { return Cost::default() };
        let discriminator = networks.discriminator.flops();
        let generator = networks.synthesis.flops() + networks.mapping.flops();
        let (of_discriminator, of_generator) =
            (networks.of_discriminator.len() as f64, networks.of_generator.len() as f64);
        // Passes forward count one and backward two: the discriminator's update makes images and judges two of each; the generator's
        // goes through the discriminator to the images. A penalty is a pass there and back, and a tangent with both products.
        let judge = generator + 6.0 * discriminator;
        let make = 3.0 * generator + 2.0 * discriminator;
        let (r1, path) = (self.r1().map_or(0.0, |every| 9.0 / every), self.path().map_or(0.0, |every| 4.5 / every));
        let row = judge + make + r1 * discriminator + path * generator;
        let step = self.config.batch as f64 * row + 20.0 * (of_discriminator + of_generator);
        // Costs are in operations of plain loops; the kernels do about six times as many in the same time.
        const KERNELS: f64 = 6.0;
        let channels = networks.channels;
        // Buffers of both updates stay: two images a row for the discriminator's, one through both networks for the generator's.
        let kept = networks.synthesis.kept(channels) + 3.0 * networks.discriminator.kept(channels);
        Cost {
            train: step * self.config.train_steps(rows) as f64 / KERNELS,
            sample_row: generator / KERNELS,
            model_bytes: 4.0 * of_generator,
            batch: self.config.batch as u64,
            step_bytes: 4.0 * (self.config.batch as f64 * kept + 4.0 * (of_discriminator + of_generator)),
        }
    }
}

impl StyleGan2Trainer {
    /// Steps between updates by R1, where there are any.
    fn r1(&self) -> Option<f64> {
        (self.config.r1_gamma != Some(0.0)).then_some(self.config.r1_every as f64)
    }

    fn path(&self) -> Option<f64> {
        (self.config.path_length_weight > 0.0).then_some(self.config.path_every as f64)
    }

    fn train_model(&self, mix: &Mix, context: &mut Context<'_>) -> Result<Trained> {
        if let Some(why) = non_finite(mix) {
            return Ok(Trained::Ended(why));
        }
        check_pixels(mix)?;
        let config = &self.config;
        let networks = config.networks(mix.shape())?;
        self.device.probe()?;
        let batch = config.batch;
        let made = |turn: Turn| Turn { sees_samples: false, ..turn };
        let mut parts = vec![(Phase::Judge, Turn::each_step(DISCRIMINATOR, batch))];
        if self.r1().is_some() {
            let turn = Turn { every: config.r1_every, averages: false, ..Turn::each_step(DISCRIMINATOR, batch) };
            parts.push((Phase::R1, turn));
        }
        if self.path().is_some() {
            let half = batch.div_ceil(2);
            let turn = Turn { every: config.path_every, averages: false, ..Turn::each_step(GENERATOR, half) };
            parts.push((Phase::PathLength, made(turn)));
        }
        // Last, so that the average of the generator follows all of the step.
        parts.push((Phase::Make, made(Turn::each_step(GENERATOR, batch))));
        let (phases, turns): (Vec<Phase>, Vec<Turn>) = parts.into_iter().unzip();
        let role = |name, layout: &Arc<_>, every: Option<f64>, averaged| Role {
            name,
            layout: Arc::clone(layout),
            adam: Some(config.adam(every.map(|every| every as u64))),
            averaged,
            start: None,
        };
        let roles = [
            role("discriminator", &networks.of_discriminator, self.r1(), false),
            role("generator", &networks.of_generator, self.path(), config.ema_kimg > 0.0),
        ];
        // Samples are u8 pixels, whatever the training set has.
        let scale = Scale { bytes: true, ..Scale::of(mix) };
        let mut game = Contest {
            networks: &networks,
            config,
            phases: &phases,
            scale: scale.clone(),
            gamma: config.gamma(networks.synthesis.side),
            seeds: context.seeds,
            device: &self.device,
            memory: Memory::new(config, &self.device),
        };
        let steps = config.train_steps(mix.len() as u64);
        let mut identity = config.training();
        if let Some(identity) = identity.as_object_mut() {
            identity.insert("steps".into(), json!(steps));
            identity.insert("samples".into(), json!(mix.len()));
            identity.insert("shape".into(), json!(mix.shape()));
            identity.insert("seed".into(), json!(context.seeds.seed()));
            identity.insert("generation".into(), json!(context.seeds.generation()));
        }
        let checkpoint_steps = config.checkpoint_steps;
        let plan = Plan { steps, batch, adam: config.adam(None), checkpoint_steps, identity };
        let train = || fit_all(&mut game, &roles, &turns, mix, &plan, context, self.device.inner());
        let fit = self.device.guard("training", train)?;
        let style = to_host(game.memory.style, "reading the mean of styles")?;
        Ok(match fit {
            Fit::Ended(why) => Trained::Ended(why),
            Fit::Done(mut fitted) => Trained::Model(Arc::new(StyleGan2 {
                config: config.clone(),
                device: self.device.clone(),
                weights: fitted.averages.remove(GENERATOR),
                mapping: networks.mapping,
                synthesis: networks.synthesis,
                style,
                shape: mix.shape(),
                scale,
                losses: fitted.losses,
            })),
        })
    }
}
