//! Training, shared by all neural families: batches, optimiser, averages, checkpoints, progress.
//!
//! A training step gives every network its updates, one network after the other; most families have one network and one update.

mod adam;
mod batches;
mod checkpoint;
mod input;

use std::collections::BTreeMap;
use std::sync::Arc;

use burn::tensor::{Device, Tensor};
use madloop_core::{Context, Mix, Progress};
use serde_json::Value;

use crate::params::{Layout, Weights, to_host};
use crate::{Result, ops};

pub(crate) use adam::Adam;
pub use adam::Decay;
pub(crate) use batches::{Batch, non_finite};
pub(crate) use input::{check_pixels, classes};

use batches::Batches;
use checkpoint::State;

/// What a family of one network trains: a loss a row.
pub(crate) trait Objective {
    /// The loss of each row of a batch, `[batch]`. Random numbers are addressed by the batch's examples.
    fn losses(&self, weights: &Weights, batch: &Batch) -> Tensor<1>;

    /// The parameters that training begins with, where they are not those drawn from the seeds: of those, and the first batch.
    fn begin(&self, _drawn: &dyn Fn() -> Weights, _first: &dyn Fn() -> Batch) -> Result<Option<Weights>> {
        Ok(None)
    }
}

/// What a family trains whose networks learn in turns, each from the others as they then are.
pub(crate) trait Game {
    /// The loss of each row of a batch in turn `turn`, `[batch]`. The weights of the network whose turn it is are tracked, the
    /// others' are constants. Random numbers are addressed by the turn and the batch's examples.
    ///
    /// # Errors
    /// Those of the device.
    fn losses(&mut self, turn: usize, networks: &[Weights], batch: &Batch) -> Result<Tensor<1>>;

    /// What the next losses depend on besides the networks, by name: running means and the like, which checkpoints keep.
    fn kept(&self) -> Result<Kept> {
        Ok(Kept::new())
    }

    /// Goes on from what [`Game::kept`] gave: all of its names, each with as many numbers.
    fn restore(&mut self, _kept: Kept) {}
}

/// Numbers that a game keeps beside its networks.
pub(crate) type Kept = BTreeMap<&'static str, Vec<f32>>;

/// A network of a training, and how it learns.
pub(crate) struct Role {
    /// Its name in messages and checkpoints; empty where it is the only one.
    pub(crate) name: &'static str,
    pub(crate) layout: Arc<Layout>,
    /// How it learns, where that is not as the plan has it.
    pub(crate) adam: Option<Adam>,
    /// Whether a moving average of its parameters is kept.
    pub(crate) averaged: bool,
    /// Its beginning, where that is not drawn from the seeds.
    pub(crate) start: Option<Weights>,
}

/// A part of a training step: updates of one network by one loss.
pub(crate) struct Turn {
    /// The network's place among the roles.
    pub(crate) role: usize,
    /// Updates a turn.
    pub(crate) updates: u64,
    /// The turn comes in every such step only, beginning with the first.
    pub(crate) every: u64,
    /// Samples of an update.
    pub(crate) batch: usize,
    /// Whether its loss looks at training samples; else its batches have examples alone.
    pub(crate) sees_samples: bool,
    /// Whether the moving average of the parameters, where there is one, follows these updates.
    pub(crate) averages: bool,
}

impl Turn {
    /// One update in every step.
    pub(crate) fn each_step(role: usize, batch: usize) -> Self {
        Self { role, updates: 1, every: 1, batch, sees_samples: true, averages: true }
    }

    /// Updates before step `step`, from 0.
    fn updates_before(&self, step: u64) -> u64 {
        step.div_ceil(self.every) * self.updates
    }
}

impl Role {
    /// Where a part of its state is in a checkpoint.
    fn prefix(&self, part: &str) -> String {
        if self.name.is_empty() { part.to_owned() } else { format!("{}/{part}", self.name) }
    }

    /// Whose loss it is, in a message.
    fn whose(&self) -> String {
        if self.name.is_empty() { "the loss".into() } else { format!("the {}'s loss", self.name) }
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
pub(crate) enum Fit<T = Fitted> {
    Done(T),
    /// The loss is not a number any more.
    Ended(String),
}

/// Trained parameters of one network.
pub(crate) struct Fitted {
    /// Their exponential moving average.
    pub(crate) average: Weights,
    /// The loss of each step.
    pub(crate) losses: Vec<f64>,
}

/// Trained parameters of several networks.
pub(crate) struct FittedAll {
    /// Of each network the average where one is kept, else the parameters.
    pub(crate) averages: Vec<Weights>,
    /// The mean loss of the first network in each step.
    pub(crate) losses: Vec<f64>,
}

/// Trains one network from the beginning, or from the checkpoint that `context.scratch` holds; the two give the same bits.
pub(crate) fn fit(
    objective: &dyn Objective,
    layout: &Arc<Layout>,
    mix: &Mix,
    plan: &Plan,
    context: &mut Context<'_>,
    device: &Device,
) -> Result<Fit> {
    struct Sole<'a>(&'a dyn Objective);
    impl Game for Sole<'_> {
        fn losses(&mut self, turn: usize, networks: &[Weights], batch: &Batch) -> Result<Tensor<1>> {
            Ok(self.0.losses(&networks[turn], batch))
        }
    }
    let first = || Batches::new(mix, context.seeds).get(0, plan.batch);
    let start = objective.begin(&|| Weights::initial(layout, context.seeds, device), &first)?;
    let layout = layout.clone();
    let averaged = plan.adam.ema > 0.0;
    let role = Role { name: "", layout, adam: None, averaged, start };
    let turn = Turn::each_step(0, plan.batch);
    Ok(match fit_all(&mut Sole(objective), &[role], &[turn], mix, plan, context, device)? {
        Fit::Ended(why) => Fit::Ended(why),
        Fit::Done(FittedAll { mut averages, losses }) => Fit::Done(Fitted { average: averages.remove(0), losses }),
    })
}

/// Trains several networks in turns, as [`fit`] trains one. A step takes its turns in their order.
pub(crate) fn fit_all(
    game: &mut dyn Game,
    roles: &[Role],
    turns: &[Turn],
    mix: &Mix,
    plan: &Plan,
    context: &mut Context<'_>,
    device: &Device,
) -> Result<Fit<FittedAll>> {
    let mut state = match State::load(roles, game, context.scratch, &plan.identity, device)? {
        Some(state) => state,
        None => State::initial(roles, context.seeds, device),
    };
    let mut batches = Batches::new(mix, context.seeds);
    while state.step() < plan.steps {
        if context.cancel.is_requested() {
            state.save(roles, game, context.scratch, &plan.identity)?;
            context.cancel.check()?;
        }
        let loss = match train_step(game, roles, turns, &mut state, &mut batches, plan)? {
            Ok(loss) => loss,
            Err(why) => return Ok(Fit::Ended(why)),
        };
        state.losses.push(loss);
        (context.progress)(Progress { done: state.step(), of: plan.steps, loss: Some(loss) });
        // The last step is kept, too, where training is long: sampling may take longer.
        let is_last = state.step() == plan.steps && plan.steps >= plan.checkpoint_steps;
        if state.step().is_multiple_of(plan.checkpoint_steps) || is_last {
            state.save(roles, game, context.scratch, &plan.identity)?;
        }
    }
    let averages = state.learners.into_iter().map(checkpoint::Learner::averaged).collect();
    Ok(Fit::Done(FittedAll { averages, losses: state.losses }))
}

/// One step: the mean loss of the first turn before its updates, or why training cannot go on.
fn train_step(
    game: &mut dyn Game,
    roles: &[Role],
    turns: &[Turn],
    state: &mut State,
    batches: &mut Batches<'_>,
    plan: &Plan,
) -> Result<Result<f64, String>> {
    let step = state.step();
    let mut leading = 0.0;
    for (at, turn) in turns.iter().enumerate().filter(|(_, turn)| step.is_multiple_of(turn.every)) {
        let role = &roles[turn.role];
        // Updates of the network before this turn, and in the whole training.
        let others = || turns.iter().enumerate().filter(|(_, other)| other.role == turn.role);
        let before = others().map(|(place, other)| other.updates_before(step + u64::from(place < at))).sum::<u64>();
        let all = others().map(|(_, other)| other.updates_before(plan.steps)).sum();
        for now in 0..turn.updates {
            let number = step * turn.updates + now;
            let batch = match turn.sees_samples {
                true => batches.get(number, turn.batch),
                false => Batches::examples(number, turn.batch),
            };
            let (loss, norm) = update(game, (at, turn), role, state, &batch, plan, [before + now, all])?;
            if !(loss.is_finite() && norm.is_finite()) {
                return Ok(Err(format!(
                    "{} is {loss} and its gradient's norm {norm} at step {} of {}; a lower learning_rate may \
                     keep it finite",
                    role.whose(),
                    step + 1,
                    plan.steps
                )));
            }
            if at == 0 {
                leading += loss / turn.updates as f64;
            }
        }
    }
    Ok(Ok(leading))
}

/// One update of one network: the loss before it, and the norm of its gradient.
fn update(
    game: &mut dyn Game,
    (at, turn): (usize, &Turn),
    role: &Role,
    state: &mut State,
    batch: &Batch,
    plan: &Plan,
    [number, of]: [u64; 2],
) -> Result<(f64, f64)> {
    let track = |(other, learner): (usize, &checkpoint::Learner)| match other == turn.role {
        true => learner.weights.tracked(),
        false => learner.weights.clone(),
    };
    let networks: Vec<Weights> = state.learners.iter().enumerate().map(track).collect();
    let losses = game.losses(at, &networks, batch)?;
    let mut gradients = losses.clone().mean().backward();
    let gradients = networks[turn.role].gradients(&mut gradients);
    // Nobody else holds the weights now, so that they are updated in place.
    drop(networks);

    // One transfer for all that the host must know.
    let mut parts = vec![losses.without_autodiff()];
    parts.extend(gradients.iter().cloned().map(ops::sum_of_squares));
    let rows = parts[0].dims()[0];
    let host = to_host(Tensor::cat(parts, 0), "reading the loss")?;
    let sum = |values: &[f32]| values.iter().map(|&value| f64::from(value)).sum::<f64>();
    let (loss, norm) = (sum(&host[..rows]) / rows as f64, sum(&host[rows..]).sqrt());
    if loss.is_finite() && norm.is_finite() {
        let adam = role.adam.as_ref().unwrap_or(&plan.adam);
        adam.step(&mut state.learners[turn.role], gradients, norm, [number, of], turn.averages)?;
    }
    Ok((loss, norm))
}
