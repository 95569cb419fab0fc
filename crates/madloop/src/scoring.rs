//! Feature map + metrics = evaluator: what a cell is scored with.

use std::ops::Range;
use std::sync::Arc;

use madloop_core::{
    Evaluator, FeatureMap, Features, Generator, Interval, Judged, Map, Mix, OnExhausted, Real, RealPool, Samples,
    SamplingBias, Scores, Seeds, Stream,
};
use madloop_metrics::{Metric, Of, Reference, Settings};

use crate::config::{Experiment, FeatureName, ModelConfig, ReferenceSplit, did_you_mean};
use crate::data::{DataConfig, DataDir, DataSet, DataSource, GRID25_SIGMA, Known, grid25_centres};
use crate::feature_map::{FeatureOptions, Mapping, feature_map, fitting};
use crate::inception::Asked;
use crate::likelihood::{HeldOutLikelihood, score_tail};
use crate::mapping::MapMaker;
use crate::report::Scene;
use crate::{Error, Result};

/// Samples scored unless `score.n` says otherwise or there are fewer.
const DEFAULT_N: u64 = 10_000;
/// Training samples that the audit of the sampler looks at.
const TRAINING_ROWS: usize = 5000;
/// Reference samples of sources that never run out; the same in every run.
const REFERENCE: Stream = Stream::named("reference");

/// That a metric of this name exists.
pub(crate) fn check_metric(name: &str) -> Result<&'static Metric> {
    madloop_metrics::find(name).ok_or_else(|| {
        let names = || madloop_metrics::CATALOG.iter().map(|metric| metric.name);
        let hint = match madloop_metrics::alias(name) {
            Some(metric) => format!(" (here it is called \"{}\")", metric.name),
            None => did_you_mean(name, names()),
        };
        let all: Vec<&str> = names().collect();
        Error::config("score.metrics", format!("there is no metric \"{name}\"{hint}; there are {}", all.join(", ")))
    })
}

/// The metrics of an experiment: those asked for, or those that suit its data and model.
pub fn metrics_of(experiment: &Experiment) -> Vec<String> {
    if let Some(metrics) = &experiment.score.metrics {
        return metrics.clone();
    }
    let mut names =
        vec!["frechet_distance", "precision", "recall", "density", "coverage", "kid", "sliced_w2", "trace_cov"];
    if matches!(experiment.model, ModelConfig::Gaussian(_)) && experiment.data.source == DataSource::Gaussian {
        names.splice(0..0, ["model_w2_sq", "model_trace_cov"]);
    }
    if experiment.data.source == DataSource::Grid25 {
        names.splice(0..0, ["modes_kept", "modes_hit", "high_quality_share", "mean_modal_variance"]);
    }
    if experiment.model.knows_density() {
        names.extend(["log_likelihood", "bits_per_dim"]);
    }
    if experiment.data.source == DataSource::Rosenbrock {
        names.push("tail_share");
    }
    names.into_iter().map(str::to_owned).collect()
}

/// The feature map of an experiment.
pub fn features_of(experiment: &Experiment) -> FeatureName {
    let vectors = |data: &DataConfig| {
        matches!(data.source, DataSource::Gaussian | DataSource::Grid25 | DataSource::Rosenbrock | DataSource::Path)
    };
    experiment.score.features.clone().unwrap_or(if vectors(&experiment.data) {
        FeatureName::None
    } else {
        FeatureName::Pixels
    })
}

/// Scores generations of one data set with one configuration; shared by the cells that agree in both.
pub struct SetEvaluator {
    n: u64,
    lambda: Option<SamplingBias>,
    features: Mapping,
    /// Metrics of features.
    metrics: Vec<String>,
    /// Metrics of Inception's outputs.
    inception: Asked,
    /// The real set's spatial features, if they are scored.
    spatial: Option<Reference>,
    /// Metrics of the model's parameters or of known modes.
    others: Vec<&'static Metric>,
    known: Option<Known>,
    reference: Reference,
    /// Where held-out real samples come from.
    held_out: HeldOut,
    scene: Option<Scene>,
    /// Real samples whose likelihood is asked for.
    likelihood: Option<HeldOutLikelihood>,
    /// Real samples that a classifier trained on generated ones is tested with, if that is asked for.
    downstream: Option<Samples>,
    map: Option<MapMaker>,
}

enum HeldOut {
    /// The pool (or the reference split, when the reference is drawn from the pool).
    Set(Samples),
    /// A source that never runs out.
    Source(Arc<dyn madloop_core::Source>),
}

impl SetEvaluator {
    /// Prepares the reference set; weights of feature maps are looked for in `dirs`.
    pub fn new(experiment: &Experiment, data: &DataSet, dirs: &DataDir) -> Result<Self> {
        let score = &experiment.score;
        let shape = data.real.shape();
        let asked = features_of(experiment);
        let asked = if score.features.is_some() { asked } else { fitting(shape) };
        let options = FeatureOptions {
            weights: score.weights.clone(),
            size: score.feature_size,
            resize: score.feature_resize,
            dirs: dirs.clone(),
        };
        if let Some(why) = Asked::new(&metrics_of(experiment)).refusal(&asked) {
            return Err(Error::config("score.metrics", why));
        }
        let features = feature_map(&asked, shape, "score.features", &options)?;
        let (reference, held_out, most) = splits(experiment, data)?;
        let needs_samples =
            metrics_of(experiment).iter().any(|name| check_metric(name).is_ok_and(|metric| metric.of != Of::Model));
        let n = if needs_samples { score.n } else { Some(0) };
        let n = n.unwrap_or_else(|| most.map_or(DEFAULT_N, |(most, _)| most.min(DEFAULT_N)));
        if let Some((most, what)) = most.filter(|(most, _)| n > *most) {
            let why = format!(
                "{n} samples are more than the {most} of {what}; the same number of real and generated samples is scored"
            );
            return Err(Error::config("score.n", why));
        }
        let fixed = Seeds::new(0);
        let reference = match reference {
            HeldOut::Source(source) => source.draw(0..n, REFERENCE, fixed),
            HeldOut::Set(set) => balanced(&set, n, fixed)?,
        };
        let (mut of_features, mut others, mut downstream) = (Vec::new(), Vec::new(), false);
        let mut of_likelihood = Vec::new();
        for name in metrics_of(experiment) {
            let metric = check_metric(&name)?;
            match metric.of {
                Of::Features | Of::Inception => of_features.push(name.clone()),
                Of::Model | Of::Modes | Of::Tail => others.push(metric),
                Of::Likelihood => of_likelihood.push(metric),
                Of::Downstream => downstream = true,
                // Always scored: see `audit`.
                Of::Training => {}
            }
        }
        let downstream = match downstream {
            false => None,
            true if reference.labels().is_none() => {
                let why = "downstream_accuracy needs labels, and the data have none; leave it out";
                return Err(Error::config("score.metrics", why));
            }
            true => Some(reference.clone()),
        };
        let map = experiment.map.as_ref().map(|map| MapMaker::new(map, &reference, n, &features)).transpose()?;
        let density = experiment.model.knows_density();
        let truth = data.distribution;
        let scene = crate::report::bounds(&reference).map(|window| Scene { window, truth, density });
        let likelihood = match of_likelihood.is_empty() {
            true => None,
            false => {
                let samples = match (&held_out, score.reference) {
                    // The reference trains: the other split does not.
                    (HeldOut::Set(test), ReferenceSplit::Train) => balanced(test, n, fixed)?,
                    _ => reference.clone(),
                };
                Some(HeldOutLikelihood { samples, metrics: of_likelihood })
            }
        };
        let settings = Settings { k: score.k, seeds: fixed, generated_rows: Some(n as usize), ..Settings::default() };
        let inception = Asked::new(&of_features);
        let metrics = inception.of_features();
        let real = features.outputs(&reference, inception.want()[0])?;
        let spatial = inception.spatial(real.spatial, settings)?;
        let reference = Reference::new(real.features, settings, &metrics).map_err(metric_error)?;
        let lambda = score.lambda.map(SamplingBias::new).transpose()?;
        Ok(Self {
            n,
            lambda,
            features,
            metrics,
            inception,
            spatial,
            others,
            known: data.distribution,
            reference,
            held_out,
            scene,
            likelihood,
            downstream,
            map,
        })
    }

    /// How two-dimensional samples are shown.
    pub fn scene(&self) -> Option<Scene> {
        self.scene
    }

    /// Features of one sample.
    pub fn dim(&self) -> usize {
        self.reference.features().dim
    }

    /// Name of the feature map.
    pub fn feature_name(&self) -> &str {
        self.features.name()
    }

    /// SHA-256 of the feature map's weights, where it has any.
    pub fn feature_sha256(&self) -> Option<&str> {
        self.features.sha256.as_deref()
    }

    /// What the feature map does to images, where it does something.
    pub fn feature_input(&self) -> Option<&serde_json::Value> {
        self.features.input.as_ref()
    }

    fn score_model(&self, name: &str, model: Option<&dyn Generator>) -> Result<f64, String> {
        let model = match (model, self.known) {
            (Some(model), _) => model,
            // Generation 0: the real distribution itself.
            (None, Some(Known::StandardGaussian { .. })) if name == "model_w2_sq" => return Ok(0.0),
            (None, Some(Known::StandardGaussian { dim })) => return Ok(dim as f64),
            (None, _) => return Err("generation 0 is real data and has no model".into()),
        };
        let gaussian = model.gaussian().ok_or("the model is not one Gaussian")?;
        if name == "model_trace_cov" {
            return madloop_metrics::trace(&gaussian.covariance, gaussian.mean.len())
                .map_err(|error| error.to_string());
        }
        match self.known {
            Some(Known::StandardGaussian { .. }) => {
                madloop_metrics::w2_sq_to_standard(&gaussian.mean, &gaussian.covariance)
                    .map_err(|error| error.to_string())
            }
            _ => Err("the real distribution is not a known Gaussian (data.source = \"gaussian\" is)".into()),
        }
    }

    fn score_modes(&self, features: &Features, scores: &mut Scores, asked: &[&'static Metric]) {
        let modes = match self.known {
            Some(Known::Grid25) => {
                let centres = grid25_centres().concat();
                madloop_metrics::modes(features, &centres, GRID25_SIGMA).map_err(|error| error.to_string())
            }
            _ => Err("the modes of the real distribution are not known (data.source = \"grid25\" has them)".to_owned()),
        };
        for metric in asked {
            let value = modes.clone().and_then(|modes| match metric.name {
                "modes_kept" => Ok(modes.kept as f64),
                "modes_hit" => Ok(modes.hit as f64),
                "high_quality_share" => Ok(modes.high_quality_share),
                _ => modes.mean_modal_variance.map_err(|error| error.to_string()),
            });
            scores.set(metric.name, value);
        }
    }
}

impl Evaluator for SetEvaluator {
    fn rows(&self) -> u64 {
        self.n
    }

    fn lambda(&self) -> Option<SamplingBias> {
        self.lambda
    }

    fn held_out(&self, seeds: Seeds) -> madloop_core::Result<Samples> {
        match &self.held_out {
            HeldOut::Source(source) => Ok(source.draw(0..self.n, Stream::BASELINE, seeds)),
            HeldOut::Set(set) => balanced(set, self.n, seeds),
        }
    }

    fn score(&self, judged: Judged<'_>) -> madloop_core::Result<Scores> {
        let outputs = self.features.outputs(judged.samples, self.inception.want()[1])?;
        let mut scores = self.reference.score(&outputs.features, &self.metrics).map_err(madloop_core::Error::other)?;
        self.inception.finish(&mut scores, self.spatial.as_ref(), &outputs)?;
        let features = outputs.features;
        let of = |what: Of| self.others.iter().copied().filter(|metric| metric.of == what).collect::<Vec<_>>();
        let (of_model, of_modes) = (of(Of::Model), of(Of::Modes));
        for metric in of_model {
            scores.set(metric.name, self.score_model(metric.name, judged.model));
        }
        if !of_modes.is_empty() {
            self.score_modes(&features, &mut scores, &of_modes);
        }
        if !of(Of::Tail).is_empty() {
            score_tail(&mut scores, &features, self.known);
        }
        if let Some(likelihood) = &self.likelihood {
            likelihood.score(&mut scores, judged.model, self.known, judged.seeds)?;
        }
        if let Some(test) = &self.downstream {
            scores.set("downstream_accuracy", downstream_accuracy(test, judged)?);
        }
        match judged.training {
            Some(training) if features.rows > 0 => {
                audit(&mut scores, &spread_features(&self.features, training)?, &features);
            }
            Some(_) => scores.set("lambda_eff", Err("no samples are scored (score.n is 0)".into())),
            None => scores.set("lambda_eff", Err("generation 0 is real data: no model was trained".into())),
        }
        Ok(scores)
    }

    fn map(&self, t: u32, judged: Judged<'_>) -> madloop_core::Result<Option<Map>> {
        match self.map.as_ref().filter(|map| map.is_due(t)) {
            Some(map) => map.beside(judged.samples, &self.features),
            None => Ok(None),
        }
    }
}

/// The accuracy on `test` of a classifier trained on the samples.
#[cfg(feature = "neural")]
fn downstream_accuracy(test: &Samples, judged: Judged<'_>) -> madloop_core::Result<Result<f64, String>> {
    let Judged { samples, seeds, cancel, .. } = judged;
    let config = madloop_neural::LenetConfig::downstream(samples);
    Ok(madloop_neural::downstream_accuracy(samples, test, &config, seeds, cancel)?)
}

#[cfg(not(feature = "neural"))]
fn downstream_accuracy(_: &Samples, _: Judged<'_>) -> madloop_core::Result<Result<f64, String>> {
    Ok(Err("this build was made without neural families, and the classifier is one".into()))
}

/// Adds `lambda_eff` with its interval: the sampling bias that a model's samples really have against what it was trained on.
pub(crate) fn audit(scores: &mut Scores, training: &Features, generated: &Features) {
    let found = madloop_metrics::lambda_eff(training, generated);
    if let Ok(found) = &found {
        let interval = Interval { low: found.low, high: found.high, method: "delta method".into() };
        scores.intervals.insert("lambda_eff".into(), interval);
    }
    scores.set("lambda_eff", found.map(|found| found.value).map_err(|why| why.to_string()));
}

/// Features of at most [`TRAINING_ROWS`] rows of a training set, evenly spaced.
fn spread_features(map: &dyn FeatureMap, training: &Mix) -> madloop_core::Result<Features> {
    let mut all: Option<Features> = None;
    for set in training.spread(TRAINING_ROWS) {
        let features = map.features(&set)?;
        match &mut all {
            None => all = Some(features),
            Some(all) => {
                all.rows += features.rows;
                all.values.extend(features.values);
            }
        }
    }
    Ok(all.unwrap_or(Features { rows: 0, dim: 1, values: Vec::new() }))
}

/// The reference, the held-out real data, and the most samples that both allow with what limits them.
type Splits = (HeldOut, HeldOut, Option<(u64, &'static str)>);

fn splits(experiment: &Experiment, data: &DataSet) -> Result<Splits> {
    let pool = match &data.real {
        Real::Infinite(source) => return Ok((HeldOut::Source(source.clone()), HeldOut::Source(source.clone()), None)),
        Real::Finite(pool) => pool.clone(),
    };
    let Some(test) = data.reference.clone().filter(|test| !test.is_empty()) else {
        let why = "the data hold back no reference samples; give data.n_reference or data.reference";
        return Err(Error::config("score.reference", why));
    };
    let most = if test.len() <= pool.len() {
        (test.len() as u64, "the reference split")
    } else {
        (pool.len() as u64, "the training pool")
    };
    Ok(match experiment.score.reference {
        ReferenceSplit::Test => (HeldOut::Set(test), HeldOut::Set(pool), Some(most)),
        ReferenceSplit::Train => (HeldOut::Set(pool), HeldOut::Set(test), Some(most)),
    })
}

/// `n` samples of a set, following its class proportions, the same for the same seeds.
pub(crate) fn balanced(set: &Samples, n: u64, seeds: Seeds) -> madloop_core::Result<Samples> {
    let Range { start, end } = 0..n;
    let parts = RealPool::new(Real::Finite(set.clone()), seeds, OnExhausted::Error).parts(start..end, false)?;
    let rows: Vec<usize> = parts
        .iter()
        .flat_map(|part| match &part.rows {
            madloop_core::Rows::All => (0..part.len()).collect::<Vec<_>>(),
            madloop_core::Rows::Indices(rows) => rows.iter().map(|&row| row as usize).collect(),
        })
        .collect();
    Ok(set.select(&rows))
}

pub(crate) fn metric_error(error: madloop_metrics::MetricsError) -> Error {
    Error::config("[score]", error.to_string())
}
