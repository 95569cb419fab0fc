//! Cells that are calculated instead of run: the limit of a Gaussian fresh-data loop.

use std::sync::Arc;

use madloop_core::{
    Cancel, Cell, CellEnd, Commit, Entry, History, Interval, Journal, Observer, Outcome, Record, Stopwatch, Timing,
};
use madloop_theory::{Effort, Estimate, GaussianLoop, SampleCurve, limit_generations, limit_on};
use serde_json::Value;

use crate::config::{CellConfig, gaussian_loop};
use crate::report::{Direction, MetricInfo};
use crate::store::CellStore;
use crate::{Error, Result};

/// How records say that they are of a limit.
pub(crate) const LIMIT: &str = "limit";
const W2_SQ: &str = "model_w2_sq";
const N_E: &str = "n_e";
const RATIO: &str = "n_e_over_n_r";

/// The metrics of limits as a reader sees them, beside those of the catalogue.
pub(crate) fn metric_infos() -> [MetricInfo; 2] {
    let info = |name: &str, title: &str, what: &str| MetricInfo {
        name: name.into(),
        title: title.into(),
        what: what.into(),
        direction: Direction::Higher,
    };
    [
        info(
            RATIO,
            "n_e / n_r",
            "effective sample size over the fresh real samples of a generation: above 1, synthetic data helps",
        ),
        info(N_E, "n_e", "real samples with which one model alone is as good as the loop in the limit"),
    ]
}

/// A limit to be calculated.
pub(crate) struct LimitCell {
    settings: GaussianLoop,
    effort: Effort,
    curve: Arc<SampleCurve>,
}

impl LimitCell {
    /// The limit that `cell` asks for; cells of the same real data share their `curve`.
    pub(crate) fn new(
        cell: &CellConfig,
        curve: impl FnOnce(&GaussianLoop) -> Result<Arc<SampleCurve>>,
    ) -> Result<Option<Self>> {
        let Some(theory) = &cell.config.theory else { return Ok(None) };
        let settings = gaussian_loop(&cell.config)?;
        let curve = curve(&settings)?;
        Ok(Some(Self { settings, effort: theory.effort(cell.seed), curve }))
    }

    /// About how many operations it takes.
    pub(crate) fn work(&self) -> Result<f64> {
        let d = self.settings.covariance.dim() as f64;
        let generations = limit_generations(&self.settings).map_err(bad)?;
        // A generation draws a block from each model that it has samples of.
        let blocks = match self.settings.history {
            History::Last(models) => f64::from(models).min(self.settings.n_synthetic as f64),
            History::All => 1.0,
        };
        Ok(generations * blocks * (12.0 * d * d * d + 2e4 * d) + 1e8)
    }

    /// Calculates and commits it: generation 0 is what the fresh real samples alone would give, generation 1 the limit.
    pub(crate) fn run(
        &self,
        cell: &Cell,
        journal: &mut CellStore<'_>,
        observer: &dyn Observer,
        cancel: &Cancel,
    ) -> madloop_core::Result<CellEnd> {
        if journal.committed()? >= Some(1) {
            observer.cell_finished(&cell.name);
            return Ok(CellEnd::Done);
        }
        cancel.check()?;
        observer.cell_started(&cell.name, 0, 1);
        let clock = Stopwatch::new();
        let other = madloop_core::Error::other;
        let n_real = self.settings.n_real;
        let alone = self.curve.w2_sq(n_real as f64).map_err(other)?;
        let limit = limit_on(&self.curve, &self.settings, self.effort).map_err(other)?;
        let ratio = Estimate { mean: limit.n_e_over_n_r, se: limit.n_e_se / n_real as f64 };
        let of = |mean, se| Estimate { mean, se };
        let zero = [(W2_SQ, alone), (N_E, of(n_real as f64, 0.0)), (RATIO, of(1.0, 0.0))];
        let found = [(W2_SQ, of(limit.w2_sq, limit.w2_sq_se)), (N_E, of(limit.n_e, limit.n_e_se)), (RATIO, ratio)];
        for (generation, values) in [(0, zero), (1, found)] {
            let seconds = if generation == 1 { clock.seconds() } else { 0.0 };
            let timing = Timing { score_seconds: seconds, ..Timing::default() };
            let record = self.record(cell, generation, &values);
            observer.generation_done(&record, &timing);
            let entry = Entry { record, timing, model: None, draw: None, latents: None, map: None };
            // Whoever is first, the numbers are the same.
            let (Commit::Won | Commit::Lost) = journal.commit(entry)?;
        }
        journal.flush()?;
        observer.cell_finished(&cell.name);
        Ok(CellEnd::Done)
    }

    fn record(&self, cell: &Cell, generation: u32, values: &[(&str, Estimate)]) -> Record {
        let mut record = Record { outcome: Outcome::Ok, ..cell.template.clone() };
        let settings = &self.settings;
        let fixed = &mut record.fixed;
        fixed.schema_version = madloop_core::SCHEMA_VERSION;
        fixed.quantity = Some(LIMIT.to_owned());
        fixed.cell = cell.name.clone();
        fixed.seed = cell.seed;
        fixed.generation = generation;
        fixed.model = "gaussian".to_owned();
        fixed.kind = settings.kind.name().to_owned();
        (fixed.lambda, fixed.score_lambda) = (settings.lambda, settings.lambda);
        fixed.history = match settings.history {
            History::Last(models) => Value::from(models),
            History::All => Value::from("all"),
        };
        (fixed.n_real, fixed.n_fresh) = (settings.n_real, settings.n_real);
        fixed.n_synthetic = if generation == 0 { 0 } else { settings.n_synthetic };
        for (name, Estimate { mean, se }) in values {
            record.scores.set(name, Ok(*mean));
            if *se > 0.0 {
                let reach = 1.96 * se;
                let interval = Interval { low: mean - reach, high: mean + reach, method: "simulation".into() };
                record.scores.intervals.insert((*name).to_owned(), interval);
            }
        }
        record
    }
}

fn bad(error: madloop_theory::TheoryError) -> Error {
    Error::config("[loop]", error.to_string())
}
