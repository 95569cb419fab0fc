//! Two sets on disk, compared.

use std::path::Path;

use madloop_core::{FeatureMap, Features, Samples, Scores, Seeds};
use madloop_metrics::{Moments, Of, Reference, Settings};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::config::FeatureName;
use crate::data::{ReadOptions, read_samples};
use crate::scoring::{Values, balanced, check_metric, metric_error};
use crate::{Error, Result, stats};

/// How two sets are compared.
#[derive(Debug, Clone)]
pub struct Options {
    /// Metrics by catalogue name.
    pub metrics: Vec<String>,
    /// Neighbours of precision, recall, density and coverage.
    pub k: usize,
    /// Samples of each set that are scored; all of them when `None`.
    pub n: Option<usize>,
    /// Seed of subsets and projections.
    pub seed: u64,
    /// `none` or `pixels`; whichever fits when `None`.
    pub features: Option<String>,
}

/// What a comparison found.
#[derive(Debug, Clone)]
pub struct Comparison {
    /// The metrics.
    pub scores: Scores,
    /// What was used.
    pub provenance: Value,
}

/// The metrics that two sets of features have.
pub fn feature_metrics() -> Vec<String> {
    madloop_metrics::CATALOG
        .iter()
        .filter(|metric| metric.of == Of::Features)
        .map(|metric| metric.name.to_owned())
        .collect()
}

/// A set to compare: samples, or the statistics that are left of them.
enum Set {
    Samples(Samples),
    Stats { mean: Vec<f64>, covariance: Vec<f64> },
}

/// Compares the generated set with the real one.
pub fn compare(real: &Path, generated: &Path, read: &ReadOptions, options: &Options) -> Result<Comparison> {
    for name in &options.metrics {
        let metric = check_metric(name).map_err(|error| match error {
            Error::Config { why, .. } => Error::config("--metrics", why),
            other => other,
        })?;
        if metric.of != Of::Features {
            let why = format!("{name} is known in loops only; leave it out, or see --metrics list");
            return Err(Error::config("--metrics", why));
        }
    }
    let sets = [load(real, read)?, load(generated, read)?];
    let mut scores = Scores::default();
    let seeds = Seeds::new(options.seed);
    let n = |set: &Samples| options.n.map_or(set.len(), |n| n.min(set.len()));
    let mut rows = [None, None];
    let mut map = Values(FeatureName::None);
    match &sets {
        [Set::Samples(real_set), Set::Samples(generated_set)] => {
            if real_set.shape() != generated_set.shape() {
                let why =
                    format!("each real sample is {}, each generated one {}", real_set.shape(), generated_set.shape());
                return Err(Error::bad_file(
                    generated,
                    why,
                    "give sets of one shape, or --resize and --color for images",
                ));
            }
            if let Some((path, set)) = [(real, real_set), (generated, generated_set)]
                .into_iter()
                .find(|(_, s)| options.n.is_some_and(|n| n > s.len()))
            {
                let why = format!("it holds {} samples, fewer than --n {}", set.len(), options.n.unwrap_or(0));
                return Err(Error::bad_file(path, why, "lower --n or leave it out"));
            }
            map = features_for(options, real_set)?;
            let settings =
                Settings { k: options.k, seeds, generated_rows: Some(n(generated_set)), ..Settings::default() };
            let features = |set: &Samples| map.features(&subset(set, n(set), seeds)?);
            let reference = Reference::new(features(real_set)?, settings, &options.metrics).map_err(metric_error)?;
            scores = reference.score(&features(generated_set)?, &options.metrics).map_err(metric_error)?;
            rows = [Some(n(real_set)), Some(n(generated_set))];
        }
        sets => {
            let moments = [moments(real, &sets[0], n)?, moments(generated, &sets[1], n)?];
            if moments[0].0.len() != moments[1].0.len() {
                let why = format!(
                    "the real set has {} dimensions, the generated set {}",
                    moments[0].0.len(),
                    moments[1].0.len()
                );
                return Err(Error::bad_file(generated, why, "give statistics of the same features"));
            }
            for name in &options.metrics {
                let value = match name.as_str() {
                    "frechet_distance" => {
                        let [(mean_r, cov_r), (mean_g, cov_g)] = &moments;
                        madloop_metrics::gaussian_w2_sq(mean_r, cov_r, mean_g, cov_g).map_err(|error| error.to_string())
                    }
                    "trace_cov" => {
                        madloop_metrics::trace(&moments[1].1, moments[1].0.len()).map_err(|error| error.to_string())
                    }
                    _ => Err("a statistics file holds mean and covariance only; give the samples".into()),
                };
                scores.set(name, value);
            }
        }
    }
    let file = |path: &Path, set: &Set, used: Option<usize>| json!({ "path": path.display().to_string(), "samples": used, "sha256": checksum(set) });
    let provenance = json!({
        "madloop": env!("CARGO_PKG_VERSION"),
        "real": file(real, &sets[0], rows[0]),
        "gen": file(generated, &sets[1], rows[1]),
        "features": map.name(),
        "k": options.k,
        "inside": "<=",
        "ddof": 1,
        "kid": kid_subsets(rows),
        "sliced_w2": { "projections": madloop_metrics::SLICED_PROJECTIONS, "p": 2 },
        "seed": options.seed,
    });
    Ok(Comparison { scores, provenance })
}

/// How KID was sampled: 100 subsets of 1000, or all pairs of small sets.
fn kid_subsets(rows: [Option<usize>; 2]) -> Value {
    match rows.into_iter().flatten().min() {
        Some(n) if n > madloop_metrics::KID_SUBSET_SIZE => {
            json!({ "subsets": madloop_metrics::KID_SUBSETS, "subset_size": madloop_metrics::KID_SUBSET_SIZE })
        }
        _ => json!({ "subsets": 1, "subset_size": "all" }),
    }
}

fn features_for(options: &Options, set: &Samples) -> Result<Values> {
    let fits = if set.shape().is_image() { FeatureName::Pixels } else { FeatureName::None };
    match options.features.as_deref() {
        Some(asked) if asked != fits.name() => Err(Error::config(
            "--features",
            format!("{asked} does not suit samples of {}; use {}", set.shape(), fits.name()),
        )),
        _ => Ok(Values(fits)),
    }
}

/// `n` rows of a set, drawn by the seed; all rows stay in their order.
fn subset(set: &Samples, n: usize, seeds: Seeds) -> madloop_core::Result<Samples> {
    if n == set.len() { Ok(set.clone()) } else { balanced(set, n as u64, seeds) }
}

fn moments(path: &Path, set: &Set, n: impl Fn(&Samples) -> usize) -> Result<(Vec<f64>, Vec<f64>)> {
    match set {
        Set::Stats { mean, covariance } => Ok((mean.clone(), covariance.clone())),
        Set::Samples(samples) => {
            let moments = Moments::new(&all_values(&samples.slice(0..n(samples))))
                .map_err(|error| Error::bad_file(path, error.to_string(), "give more samples"))?;
            Ok((moments.mean, moments.covariance))
        }
    }
}

fn all_values(samples: &Samples) -> Features {
    Features { rows: samples.len(), dim: samples.dim(), values: samples.to_f32() }
}

fn checksum(set: &Set) -> String {
    let mut hash = Sha256::new();
    match set {
        Set::Stats { mean, covariance } => {
            mean.iter().chain(covariance).for_each(|value| hash.update(value.to_le_bytes()))
        }
        Set::Samples(samples) => match (samples.as_u8(), samples.as_f32()) {
            (Some(pixels), _) => hash.update(pixels),
            (_, values) => values.into_iter().flatten().for_each(|value| hash.update(value.to_le_bytes())),
        },
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Samples, unless the file is an .npz with `mu` and `sigma`.
fn load(path: &Path, read: &ReadOptions) -> Result<Set> {
    if path.extension().is_some_and(|extension| extension == "npz")
        && let Some(stats) = stats::read(path)?
    {
        if stats.n == Some(1) {
            let why = "it holds the statistics of n = 1 sample, which has no covariance";
            return Err(Error::bad_file(path, why, "merge it with others first: madloop stats merge"));
        }
        return Ok(Set::Stats { mean: stats.mean, covariance: stats.covariance });
    }
    Ok(Set::Samples(read_samples(path, read)?))
}
