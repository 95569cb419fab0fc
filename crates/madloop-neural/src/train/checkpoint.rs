//! The whole state of a training, and its file.

use std::sync::Arc;

use burn::tensor::Device;
use madloop_core::{Blobs, Seeds};
use serde_json::Value;

use super::{Game, Role};
use crate::Result;
use crate::file::{Kind, TensorFile};
use crate::params::{Layout, Weights};

/// The state of all networks of a training, and the losses so far (one a step).
pub(crate) struct State {
    pub(crate) learners: Vec<Learner>,
    pub(crate) losses: Vec<f64>,
}

/// Parameters of a network, Adam's moments, and the moving average where there is one.
pub(crate) struct Learner {
    pub(crate) weights: Weights,
    pub(crate) first: Weights,
    pub(crate) second: Weights,
    pub(crate) average: Option<Weights>,
}

const FILE: Kind = Kind {
    name: "checkpoint.safetensors",
    remedy: "delete the generation's scratch folder to train it from its beginning, or restore the setting",
};
const STEP: &str = "step";
const LOSSES: &str = "losses";
const PARTS: [&str; 3] = ["weights/", "adam.first/", "adam.second/"];
const AVERAGE: &str = "average/";
/// What the game keeps.
const GAME: &str = "game/";

impl Learner {
    fn initial(role: &Role, seeds: Seeds, device: &Device) -> Self {
        let layout = &role.layout;
        let weights = role.start.clone().unwrap_or_else(|| Weights::initial(layout, seeds, device));
        let zeros = || Weights::zeros(layout, device);
        Self { average: role.averaged.then(|| weights.clone()), weights, first: zeros(), second: zeros() }
    }

    /// What samples are drawn with.
    pub(crate) fn averaged(self) -> Weights {
        self.average.unwrap_or(self.weights)
    }
}

impl State {
    /// The beginning of a training.
    pub(crate) fn initial(roles: &[Role], seeds: Seeds, device: &Device) -> Self {
        let learners = roles.iter().map(|role| Learner::initial(role, seeds, device)).collect();
        Self { learners, losses: Vec::new() }
    }

    /// Steps done.
    pub(crate) fn step(&self) -> u64 {
        self.losses.len() as u64
    }

    /// Writes everything, under the names of the networks and their parameters.
    pub(crate) fn save(&self, roles: &[Role], game: &dyn Game, blobs: &mut dyn Blobs, identity: &Value) -> Result<()> {
        let mut file = TensorFile::new(FILE, identity.clone());
        for (role, learner) in roles.iter().zip(&self.learners) {
            let parts = PARTS.into_iter().zip([&learner.weights, &learner.first, &learner.second]);
            for (part, weights) in parts.chain(learner.average.iter().map(|average| (AVERAGE, average))) {
                file.put_weights(&role.prefix(part), weights)?;
            }
        }
        for (name, values) in game.kept()? {
            file.put_f32(&format!("{GAME}{name}"), &values);
        }
        file.put_u64(STEP, &[self.step()]);
        file.put_f64(LOSSES, &self.losses);
        file.save(blobs)
    }

    /// Reads what [`State::save`] wrote, into the game too; `None` when there is nothing.
    ///
    /// # Errors
    /// A file that is damaged, of another identity, or whose tensors are not exactly those of the networks and the game.
    pub(crate) fn load(
        roles: &[Role],
        game: &mut dyn Game,
        blobs: &dyn Blobs,
        identity: &Value,
        device: &Device,
    ) -> Result<Option<Self>> {
        let Some(mut file) = TensorFile::load(FILE, blobs)? else { return Ok(None) };
        file.check_made_by(identity)?;
        let mut learners = Vec::new();
        for role in roles {
            let mut take = |part: &str, layout: &Arc<Layout>| file.take_weights(&role.prefix(part), layout, device);
            let [weights, first, second] = PARTS.map(|part| take(part, &role.layout));
            let average = role.averaged.then(|| take(AVERAGE, &role.layout)).transpose()?;
            learners.push(Learner { weights: weights?, first: first?, second: second?, average });
        }
        let mut kept = game.kept()?;
        for (name, values) in &mut kept {
            let found = file.take_f32(&format!("{GAME}{name}"))?;
            if found.len() != values.len() {
                return Err(file.bad(format!("{GAME}{name} has {} numbers instead of {}", found.len(), values.len())));
            }
            *values = found;
        }
        let losses = file.take_f64(LOSSES)?;
        let step = file.take_u64(STEP)?;
        if step != [losses.len() as u64] {
            return Err(file.bad(format!("it is of step {step:?} and has {} losses", losses.len())));
        }
        file.finish()?;
        game.restore(kept);
        Ok(Some(Self { learners, losses }))
    }
}
