//! Metrics of Inception's outputs: FID, sFID and the Inception Score.

use madloop_core::{Features, Scores};
use madloop_metrics::{Of, Reference, Settings};

use crate::Result;
use crate::config::FeatureName;
use crate::feature_map::{Outputs, Want};
use crate::scoring::metric_error;

const FRECHET: &str = "frechet_distance";
const SCORE: [&str; 2] = ["inception_score", "inception_score_std"];

/// Which of these metrics are asked for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Asked {
    fid: bool,
    sfid: bool,
    score: bool,
    /// All metrics asked for.
    all: Vec<String>,
}

impl Asked {
    pub(crate) fn new(metrics: &[String]) -> Self {
        let has = |name: &str| metrics.iter().any(|metric| metric == name);
        Self { fid: has("fid"), sfid: has("sfid"), score: SCORE.into_iter().any(has), all: metrics.to_vec() }
    }

    /// Why one of them cannot be had of other features, if any is asked for.
    pub(crate) fn refusal(&self, features: &FeatureName) -> Option<String> {
        let first = self.all.iter().find(|name| is_inceptions(name))?;
        (*features != FeatureName::Inception).then(|| {
            format!("{first} is of Inception's outputs, and the features are {features}; give --features inception (score.features)")
        })
    }

    /// What the network must say of the real set, and of the generated one.
    pub(crate) fn want(&self) -> [Want; 2] {
        [Want { spatial: self.sfid, logits: false }, Want { spatial: self.sfid, logits: self.score }]
    }

    /// The metrics that are made of features: the FID is their Frechet distance.
    pub(crate) fn of_features(&self) -> Vec<String> {
        let mut names: Vec<String> = self.all.iter().filter(|name| !is_inceptions(name)).cloned().collect();
        if self.fid && !names.iter().any(|name| name == FRECHET) {
            names.push(FRECHET.to_owned());
        }
        names
    }

    /// The real set's spatial features, prepared.
    pub(crate) fn spatial(&self, real: Option<Features>, settings: Settings) -> Result<Option<Reference>> {
        real.filter(|_| self.sfid)
            .map(|real| Reference::new(real, settings, &[FRECHET]).map_err(metric_error))
            .transpose()
    }

    /// Adds these metrics to the scores of [`Self::of_features`].
    pub(crate) fn finish(
        &self,
        scores: &mut Scores,
        spatial: Option<&Reference>,
        generated: &Outputs,
    ) -> madloop_core::Result<()> {
        if self.fid {
            copy(scores, scores.clone(), FRECHET, "fid");
            if !self.all.iter().any(|name| name == FRECHET) {
                scores.values.remove(FRECHET);
                scores.undefined.remove(FRECHET);
                scores.intervals.remove(FRECHET);
            }
        }
        if self.sfid {
            match (spatial, &generated.spatial) {
                (Some(reference), Some(generated)) => {
                    let found = reference.score(generated, &[FRECHET]).map_err(madloop_core::Error::other)?;
                    copy(scores, found, FRECHET, "sfid");
                }
                _ => scores.set("sfid", Err("the features have no spatial part".into())),
            }
        }
        if self.score {
            let found = generated.logits.as_ref().ok_or("the features have no classes".to_owned());
            let found =
                found.and_then(|logits| madloop_metrics::inception_score(logits).map_err(|error| error.to_string()));
            for (name, std) in SCORE.into_iter().zip([false, true]) {
                if self.all.iter().any(|asked| asked == name) {
                    scores.set(name, found.clone().map(|found| if std { found.std } else { found.mean }));
                }
            }
        }
        Ok(())
    }
}

/// Whether a metric is made of Inception's outputs.
pub(crate) fn is_inceptions(name: &str) -> bool {
    madloop_metrics::find(name).is_some_and(|metric| metric.of == Of::Inception)
}

/// Takes the value, or its absence, under another name.
fn copy(scores: &mut Scores, from: Scores, name: &str, to: &str) {
    match (from.values.get(name).copied().flatten(), from.undefined.get(name)) {
        (Some(value), _) => scores.set(to, Ok(value)),
        (None, Some(why)) => scores.set(to, Err(why.clone())),
        (None, None) => {}
    }
    if let Some(interval) = from.intervals.get(name) {
        scores.intervals.insert(to.to_owned(), interval.clone());
    }
}
