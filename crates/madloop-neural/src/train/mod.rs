//! Training, shared by all neural families: batches, optimiser, averages, checkpoints, progress.

mod adam;
mod batches;
mod checkpoint;
pub(crate) mod input;

use std::sync::Arc;

use burn::tensor::{Device, Tensor};
use madloop_core::{Context, Mix, Progress};
use serde_json::Value;

use crate::params::{Layout, Weights, to_host};
use crate::{Result, ops};

pub(crate) use adam::Adam;
pub use adam::Decay;
pub(crate) use batches::Batch;

use batches::Batches;
use checkpoint::State;

/// What a family trains: a loss a row.
pub(crate) trait Objective {
    /// The loss of each row of a batch, `[batch]`. Random numbers are addressed by the batch's examples.
    fn losses(&self, weights: &Weights, batch: &Batch) -> Tensor<1>;

    /// The parameters that training begins with, of those drawn and the first batch.
    fn begin(&self, drawn: Weights, _batch: &Batch) -> Result<Weights> {
        Ok(drawn)
    }
}

/// How long and how to train.
pub(crate) struct Plan {
    pub(crate) steps: u64,
    pub(crate) batch: usize,
    pub(crate) adam: Adam,
    /// Steps from one checkpoint to the next.
    pub(crate) checkpoint_steps: u64,
    /// Everything that the result depends on: a checkpoint of another identity is refused.
    pub(crate) identity: Value,
}

/// What training came to.
pub(crate) enum Fit {
    Done(Fitted),
    /// The loss is not a number any more.
    Ended(String),
}

/// Trained parameters.
pub(crate) struct Fitted {
    /// Their exponential moving average.
    pub(crate) average: Weights,
    /// The loss of each step.
    pub(crate) losses: Vec<f64>,
}

/// Trains from the beginning, or from the checkpoint that `context.scratch` holds; the two give the same bits.
pub(crate) fn fit(
    objective: &dyn Objective,
    layout: &Arc<Layout>,
    mix: &Mix,
    plan: &Plan,
    context: &mut Context<'_>,
    device: &Device,
) -> Result<Fit> {
    let mut batches = Batches::new(mix, plan.batch, context.seeds);
    let mut state = match State::load(context.scratch, &plan.identity, layout, device)? {
        Some(state) => state,
        None => State::initial(objective.begin(Weights::initial(layout, context.seeds, device), &batches.get(0))?),
    };
    while state.step() < plan.steps {
        if context.cancel.is_requested() {
            state.save(context.scratch, &plan.identity)?;
            context.cancel.check()?;
        }
        let step = state.step();
        let (loss, norm) = train_step(objective, &mut state, &batches.get(step), plan)?;
        if !(loss.is_finite() && norm.is_finite()) {
            return Ok(Fit::Ended(format!(
                "the loss is {loss} and its gradient's norm {norm} at step {} of {}; a lower model.learning_rate may \
                 keep it finite",
                step + 1,
                plan.steps
            )));
        }
        state.losses.push(loss);
        (context.progress)(Progress { done: state.step(), of: plan.steps, loss: Some(loss) });
        if state.step().is_multiple_of(plan.checkpoint_steps) && state.step() < plan.steps {
            state.save(context.scratch, &plan.identity)?;
        }
    }
    Ok(Fit::Done(Fitted { average: state.average, losses: state.losses }))
}

/// One step: the loss before it, and the norm of its gradient.
fn train_step(objective: &dyn Objective, state: &mut State, batch: &Batch, plan: &Plan) -> Result<(f64, f64)> {
    let tracked = state.weights.tracked();
    let losses = objective.losses(&tracked, batch);
    let mut gradients = losses.clone().mean().backward();
    let gradients = tracked.gradients(&mut gradients);
    drop(tracked);

    // One transfer for all that the host must know.
    let mut parts = vec![losses.without_autodiff()];
    parts.extend(gradients.iter().cloned().map(ops::sum_of_squares));
    let rows = parts[0].dims()[0];
    let host = to_host(Tensor::cat(parts, 0), "reading the loss")?;
    let sum = |values: &[f32]| values.iter().map(|&value| f64::from(value)).sum::<f64>();
    let (loss, norm) = (sum(&host[..rows]) / rows as f64, sum(&host[rows..]).sqrt());
    if loss.is_finite() && norm.is_finite() {
        plan.adam.step(state, gradients, norm, plan.steps)?;
    }
    Ok((loss, norm))
}
