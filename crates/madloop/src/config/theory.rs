//! The `[theory]` table: cells that are calculated instead of run.

use madloop_core::LoopKind;
use madloop_theory::{Effort, GaussianLoop, RealCovariance};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::schema::{Experiment, ModelConfig};
use crate::data::DataSource;
use crate::{Error, Result};

/// What is calculated by the theory of Gaussian loops, from sufficient statistics, at a cost that does not depend on how many
/// samples there are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TheoryConfig {
    /// "limit": where the fresh-data loop settles, and what it is worth in real samples.
    pub quantity: Quantity,
    /// Standard error of n_e over n_e at which a calculation stops.
    #[serde(default = "one_percent")]
    pub relative_se: f64,
}

/// What is calculated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Quantity {
    /// The limit of the fresh-data loop.
    Limit,
}

fn one_percent() -> f64 {
    0.01
}

impl TheoryConfig {
    /// How exactly.
    pub fn effort(&self, seed: u64) -> Effort {
        Effort { relative_se: self.relative_se, seed }
    }
}

/// The Gaussian loop of an experiment with a `[theory]` table.
pub(crate) fn gaussian_loop(experiment: &Experiment) -> Result<GaussianLoop> {
    let bad = |key: &str, why: String| Err(Error::config(key, why));
    let plain = matches!(&experiment.model, ModelConfig::Gaussian(config) if !config.per_class);
    if !plain {
        return bad("model.family", "theory is of Gaussian models; use family = \"gaussian\" without per_class".into());
    }
    let (DataSource::Gaussian, Some(dim)) = (experiment.data.source, experiment.data.dim) else {
        return bad("data.source", "theory is of Gaussian data; use source = \"gaussian\" and dim".into());
    };
    if experiment.generations != 1 {
        return bad("generations", format!("it is {}, and a limit has none; leave it out", experiment.generations));
    }
    let plan = experiment.plan.resolve()?;
    if plan.kind != LoopKind::FreshData {
        return bad("loop.kind", format!("the {} loop has no limit; use fresh-data", plan.kind.name()));
    }
    let settings = GaussianLoop::from_plan(&plan, RealCovariance::Identity(dim));
    if let Some(theory) = &experiment.theory {
        let (low, high) = (1e-4, 0.5);
        if !(low..=high).contains(&theory.relative_se) {
            return bad("theory.relative_se", format!("{} must be from {low} to {high}", theory.relative_se));
        }
    }
    madloop_theory::check_limit(&settings).map_err(|error| Error::config("[loop]", error.to_string()))?;
    Ok(settings)
}
