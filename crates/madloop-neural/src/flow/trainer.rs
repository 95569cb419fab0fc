//! Training of flows by the likelihood.

use std::sync::Arc;

use burn::tensor::Tensor;
use madloop_core::{Blobs, Context, Cost, Generator, Mix, SamplingBias, Seeds, Shape, Stream, Trained, Trainer};
use serde_json::json;

use super::FAMILY;
use super::config::FlowConfig;
use super::domain::Domain;
use super::generator::Flow;
use super::network::Network;
use crate::backend::Device;
use crate::nets::one_hot;
use crate::params::{Weights, flat, matrix};
use crate::train::{Batch, Fit, Objective, Plan, check_pixels, classes, fit, non_finite};
use crate::{Result, ops};

pub(super) struct FlowTrainer {
    pub(super) config: FlowConfig,
    pub(super) device: Device,
}

impl Trainer for FlowTrainer {
    fn family(&self) -> &'static str {
        FAMILY
    }

    fn train(&self, mix: &Mix, context: &mut Context<'_>) -> madloop_core::Result<Trained> {
        Ok(self.train_model(mix, context)?)
    }

    fn load(&self, blobs: &dyn Blobs) -> madloop_core::Result<Arc<dyn Generator>> {
        Ok(Arc::new(Flow::load(&self.config, &self.device, blobs)?))
    }

    fn check(&self, shape: Shape, labelled: bool, _lambdas: &[SamplingBias]) -> madloop_core::Result<()> {
        self.config.network(shape, usize::from(labelled))?;
        Ok(self.device.probe()?)
    }

    fn cost(&self, rows: u64, shape: Shape) -> Cost {
        // A shape that does not fit is refused by training itself, in words.
        let Ok((network, layout)) = self.config.network(shape, 0) else { return Cost::default() };
        let steps = self.config.train_steps(rows) as f64;
        let seen = steps * self.config.batch as f64;
        // Costs are in operations of plain loops; the kernels do about six times as many in the same time. Beside them a small step
        // spends its time on calls, as long as about 200,000 operations take.
        const KERNELS: f64 = 6.0;
        let calls = 2e5 * network.len() as f64 * steps;
        Cost {
            // The backward pass computes two products for each one of the forward pass.
            train: (3.0 * network.flops() * seen + 20.0 * layout.len() as f64 * steps) / KERNELS + calls,
            sample_row: network.flops() / KERNELS,
            model_bytes: 4.0 * layout.len() as f64,
            ..Cost::default()
        }
    }
}

impl FlowTrainer {
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
        let domain = Domain::of(mix, self.config.grey_levels);
        let degenerate = domain.degenerate(mix);
        let objective = Likelihood {
            network: &network,
            domain: &domain,
            trace_worth: network.trace_worth(self.device.inner()),
            n_classes,
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
        let fitted = match self.device.guard("training", train)? {
            Fit::Ended(why) => return Ok(Trained::Ended(why)),
            Fit::Done(fitted) => fitted,
        };
        let about = (self.config.clone(), self.device.clone(), mix.shape());
        let model = Arc::new(Flow::new(about, network, fitted.average, classes, domain, fitted.losses)?);
        Ok(match degenerate {
            None => Trained::Model(model),
            Some(why) => Trained::Degenerate(model, why),
        })
    }
}

/// -ln p(x | c) / d of each row in nats, p the density of the samples; of pixels the bound of their probability. The noise of
/// pixels is addressed by example, so that it depends neither on batches nor on threads.
struct Likelihood<'a> {
    network: &'a Network,
    domain: &'a Domain,
    trace_worth: Tensor<1>,
    n_classes: usize,
    seeds: Seeds,
    device: &'a Device,
}

impl Likelihood<'_> {
    const NOISE: Stream = Stream::named("neural/flow/noise");

    /// What the network sees of a batch, what that gains, and the classes.
    fn seen(&self, batch: &Batch) -> (Tensor<2>, Tensor<1>, Option<Tensor<2>>) {
        let dim = self.network.dim();
        let mut values = batch.values.clone();
        let gained = self.domain.to_network(&mut values, dim, self.seeds, Self::NOISE, batch.examples.start);
        let gained = gained.into_iter().map(|value| value as f32).collect();
        let device = self.device.inner();
        let classes = (self.n_classes > 0).then(|| one_hot(&batch.labels, self.n_classes, device));
        (matrix(values, dim, device), flat(gained, device), classes)
    }
}

impl Objective for Likelihood<'_> {
    fn losses(&self, weights: &Weights, batch: &Batch) -> Tensor<1> {
        let (x, gained, classes) = self.seen(batch);
        let (z, log_det) = self.network.forward(weights, &self.trace_worth, x, classes.as_ref());
        let dim = self.network.dim();
        let zero = z.clone().without_autodiff().zeros_like();
        // ln N(z; 0, I) / d = -|z|^2 / (2 d) - ln(2 pi) / 2
        let latent = ops::squared_error(z, zero) * 0.5 + 0.5 * std::f64::consts::TAU.ln();
        latent - (log_det + gained) / dim as f64
    }

    fn begin(&self, drawn: &dyn Fn() -> Weights, first: &dyn Fn() -> Batch) -> Result<Option<Weights>> {
        let (x, _, classes) = self.seen(&first());
        Ok(Some(self.network.normalise(drawn(), x, classes.as_ref(), self.device.inner())?))
    }
}
