//! The `[map]` table: t-SNE maps of generations beside real samples.

use madloop_metrics::Tsne;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::schema::{Experiment, ScoreConfig};
use crate::{Error, Result};

/// t-SNE maps of the features that are scored: a generation's samples beside real ones (Figs. 5 and 7 of the paper). The maps of all
/// generations start from one map of the real samples, so that they can be compared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MapConfig {
    /// Generations that are mapped, each of which must be scored; 0 is held-out real data. By default all that are scored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<Vec<u32>>,
    /// Samples mapped, real and generated alike; by default 1000, or what is scored when that is less.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub n: Option<u64>,
    /// Neighbours that a sample effectively has.
    pub perplexity: f64,
    /// Steps of gradient descent.
    pub epochs: usize,
}

impl Default for MapConfig {
    fn default() -> Self {
        let Tsne { perplexity, epochs } = Tsne::default();
        Self { at: None, n: None, perplexity, epochs }
    }
}

impl MapConfig {
    /// Samples mapped of each set when `scored` are scored.
    pub fn rows(&self, scored: u64) -> Result<u64> {
        const USUAL: u64 = 1000;
        match self.n {
            Some(n) if n > scored => {
                let why = format!("{n} samples cannot be mapped when {scored} are scored; raise score.n or lower it");
                Err(Error::config("map.n", why))
            }
            n => Ok(n.unwrap_or(USUAL.min(scored))),
        }
    }

    /// Whether generation `t`, which is scored, is mapped.
    pub fn is_due(&self, t: u32) -> bool {
        self.at.as_ref().is_none_or(|at| at.contains(&t))
    }

    /// The settings of t-SNE.
    pub fn tsne(&self) -> Tsne {
        Tsne { perplexity: self.perplexity, epochs: self.epochs }
    }

    /// That generations to be mapped are scored, and there are steps.
    fn check(&self, score: &ScoreConfig) -> Result<()> {
        let schedule = score.schedule();
        if let Some(t) = self.at.iter().flatten().find(|&&t| !schedule.is_due(t)) {
            let why = format!("generation {t} is not scored, and maps show what is; name it in score.at, too");
            return Err(Error::config("map.at", why));
        }
        if self.epochs == 0 {
            return Err(Error::config("map.epochs", "0 steps move nothing; 1000 are customary"));
        }
        Ok(())
    }
}

/// Checks the `[map]` table of an experiment.
pub(super) fn check(experiment: &Experiment) -> Result<()> {
    match (&experiment.map, &experiment.theory) {
        (None, _) => Ok(()),
        (Some(_), Some(_)) => {
            Err(Error::config("[map]", "cells that are calculated have no samples to map; leave [map] or [theory] out"))
        }
        (Some(map), None) => map.check(&experiment.score),
    }
}
