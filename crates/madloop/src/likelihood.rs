//! Metrics of held-out real samples under a model, and of the tails of a known law.

use madloop_core::{Features, Generator, Interval, Samples, Scores, Seeds};
use madloop_metrics::{LogLikelihood, Metric};

use crate::data::Known;

/// Real samples that never train, and what is asked of them.
pub(crate) struct HeldOutLikelihood {
    pub(crate) samples: Samples,
    pub(crate) metrics: Vec<&'static Metric>,
}

impl HeldOutLikelihood {
    /// Adds the metrics of `model`, or of the real law itself (generation 0).
    pub(crate) fn score(
        &self,
        scores: &mut Scores,
        model: Option<&dyn Generator>,
        known: Option<Known>,
        seeds: Seeds,
    ) -> madloop_core::Result<()> {
        let found = match self.log_densities(model, known, seeds)? {
            Ok(values) => LogLikelihood::of(&values).map_err(|why| why.to_string()),
            Err(why) => Err(why.to_owned()),
        };
        for metric in &self.metrics {
            let found = found.clone().map(|found| match metric.name {
                "bits_per_dim" => found.bits_per_dim(self.samples.dim()),
                _ => found,
            });
            if let Ok(LogLikelihood { low, high, .. }) = found {
                let interval = Interval { low, high, method: "standard error".into() };
                scores.intervals.insert(metric.name.to_owned(), interval);
            }
            scores.set(metric.name, found.map(|found| found.value));
        }
        Ok(())
    }

    fn log_densities(
        &self,
        model: Option<&dyn Generator>,
        known: Option<Known>,
        seeds: Seeds,
    ) -> madloop_core::Result<Result<Vec<f64>, &'static str>> {
        match (model, known) {
            (Some(model), _) => Ok(model
                .log_likelihood(&self.samples, seeds)?
                .ok_or("this model family does not know its density (model.family = \"flow\" does)")),
            (None, Some(known)) => {
                let values = self.samples.to_f32();
                Ok(Ok(values.chunks_exact(self.samples.dim()).map(|x| known.log_density(x)).collect()))
            }
            (None, None) => {
                Ok(Err("generation 0 is real data and has no model, and the density of the real data is not known"))
            }
        }
    }
}

/// Adds `tail_share` with its interval.
pub(crate) fn score_tail(scores: &mut Scores, features: &Features, known: Option<Known>) {
    let found = match known {
        Some(Known::Rosenbrock | Known::StandardGaussian { .. }) => {
            madloop_metrics::tail_share(features).map_err(|why| why.to_string())
        }
        _ => Err("no coordinate of the real law is known to be standard normal (data.source = \"rosenbrock\" and \"gaussian\" have one)".to_owned()),
    };
    if let Ok(found) = found {
        let interval = Interval { low: found.low, high: found.high, method: "Wilson".into() };
        scores.intervals.insert("tail_share".into(), interval);
    }
    scores.set("tail_share", found.map(|found| found.value));
}
