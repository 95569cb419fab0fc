//! Resampled intervals: how far a score would move with other samples of the same two distributions.
//!
//! What an interval is about is the expected score of sets of these sizes, not its limit for endless samples: every
//! metric's own bias with n (see the catalogue) stays.

use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::cholesky::llt::factor::{cholesky_in_place, cholesky_in_place_scratch};
use faer::{MatMut, MatRef, Par};
use madloop_core::{Features, Interval, Scores, Seeds, Stream};
use rand_distr::{Distribution, Exp1};

use crate::catalog::{Metric, find};
use crate::frechet::{cross, root, squared_distance, trace_of, trace_of_root};
use crate::linalg::nuclear_norm;
use crate::moments::{Moments, mean, weighted_mean};
use crate::score::{Reference, feature_metric};
use crate::{MetricsError, Result};

/// The standard normal quantile of a two-sided interval of 95 %.
pub(crate) const NORMAL_95: f64 = 1.959_963_984_540_054;
/// Fewest replicates from which a deviation is estimated.
pub const BOOTSTRAP_FROM: usize = 10;
/// Randomness of replicates: weights of the real and the generated set use rows 2 r and 2 r + 1 of the
/// first stream, half-samples those of the second.
const WEIGHTS: Stream = Stream::named("bootstrap-weights");
const HALVES: Stream = Stream::named("bootstrap-halves");

/// How the interval of a metric is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scheme {
    /// Exponential weights (Rubin 1981, "The Bayesian bootstrap"): moments take them exactly, and no row is lost.
    Weights,
    /// Half of each set without replacement (m out of n with m = n / 2; the delete-half jackknife of Shao and Wu 1989). Balls,
    /// counts and ranks are not smooth in the weights, and a plain bootstrap's duplicates make every radius wrong.
    Halves,
}

impl Scheme {
    fn name(self) -> &'static str {
        match self {
            Self::Weights => "weighted bootstrap",
            Self::Halves => "half-sampling",
        }
    }
}

/// The scheme of a feature metric; `None` for one without an interval.
fn scheme(name: &str) -> Option<Scheme> {
    match name {
        // A spread over subsets is no estimate of anything at infinity; FD-infinity needs more samples than halves have.
        "kid_std" | "fd_infinity" => None,
        "frechet_distance" => Some(Scheme::Weights),
        _ => Some(Scheme::Halves),
    }
}

/// value -+ 1.96 `deviation`, kept within `range` (a value that rounding put outside stays inside its interval).
pub(crate) fn interval(value: f64, deviation: f64, range: (f64, f64), method: &'static str) -> Interval {
    let reach = NORMAL_95 * deviation;
    Interval {
        low: (value - reach).max(range.0).min(value),
        high: (value + reach).min(range.1).max(value),
        method: method.to_owned(),
    }
}

/// The standard deviation (divisor R - 1) of values that are not few.
fn deviation(values: &[f64]) -> Option<f64> {
    let count = values.len() as f64;
    if values.len() < BOOTSTRAP_FROM {
        return None;
    }
    let mean = values.iter().sum::<f64>() / count;
    Some((values.iter().map(|value| (value - mean) * (value - mean)).sum::<f64>() / (count - 1.0)).sqrt())
}

impl Reference {
    /// [`Self::score`] with intervals from `replicates` resamples of both sets: the Frechet distance by random weights
    /// of the rows, all others by halves drawn without replacement, whose deviation is that of the whole (the
    /// delete-half jackknife). A metric without a value in some resample keeps the interval that it has without them.
    ///
    /// # Errors
    /// As [`Self::score`], or fewer than [`BOOTSTRAP_FROM`] replicates.
    pub fn score_resampled(
        &self,
        generated: &Features,
        metrics: &[impl AsRef<str>],
        replicates: usize,
    ) -> Result<Scores> {
        if replicates < BOOTSTRAP_FROM {
            let (value, must) = (replicates as f64, "10 or more: a deviation is estimated from them (200 is usual)");
            return Err(MetricsError::Setting { name: "the number of bootstrap replicates", value, must });
        }
        let mut scores = self.score(generated, metrics)?;
        let defined = |metric: &&Metric| scores.values.get(metric.name).is_some_and(Option::is_some);
        let metrics = metrics.iter().map(|name| feature_metric(name.as_ref())).collect::<Result<Vec<_>>>()?;
        let of = |wanted: Scheme| {
            let metrics = metrics.iter().filter(|metric| defined(metric) && scheme(metric.name) == Some(wanted));
            metrics.map(|metric| metric.name).collect::<Vec<_>>()
        };
        let (by_weights, by_halves) = (of(Scheme::Weights), of(Scheme::Halves));
        let mut found: Vec<(&str, Scheme, Result<Vec<f64>>)> = Vec::new();
        for name in by_weights {
            let values = weighted_frechet(self.features(), generated, replicates, self.settings().seeds);
            found.push((name, Scheme::Weights, values));
        }
        if !by_halves.is_empty() {
            let values = halves(self, generated, &by_halves, replicates)?;
            found.extend(by_halves.iter().zip(values).map(|(name, values)| (*name, Scheme::Halves, values)));
        }
        for (name, scheme, values) in found {
            let deviation = values.ok().and_then(|values| deviation(&values)).filter(|&deviation| deviation > 0.0);
            if let (Some(deviation), Some(Some(value)), Some(metric)) =
                (deviation, scores.values.get(name).copied(), find(name))
            {
                let interval = interval(value, deviation, metric.range, scheme.name());
                scores.intervals.insert(name.to_owned(), interval);
            }
        }
        Ok(scores)
    }
}

/// Frechet distances under `replicates` random weightings of the rows of both checked sets.
fn weighted_frechet(real: &Features, generated: &Features, replicates: usize, seeds: Seeds) -> Result<Vec<f64>> {
    let weights = |set: &Features, row: u64| {
        let mut rng = seeds.rng(WEIGHTS, row);
        let weights: Vec<f64> = (0..set.rows).map(|_| Exp1.sample(&mut rng)).collect();
        let scale = set.rows as f64 / weights.iter().sum::<f64>();
        weights.into_iter().map(|weight| weight * scale).collect::<Vec<f64>>()
    };
    let dual = (real.rows.min(generated.rows) < real.dim).then(|| Dual::new(real, generated));
    (0..replicates as u64)
        .map(|replicate| {
            let (real_weights, generated_weights) =
                (weights(real, 2 * replicate), weights(generated, 2 * replicate + 1));
            match &dual {
                Some(dual) => dual.distance((real, &real_weights), (generated, &generated_weights)),
                None => {
                    let real = Moments::weighted(real, &real_weights);
                    distance(&real, &Moments::weighted(generated, &generated_weights))
                }
            }
        })
        .collect()
}

/// The Frechet distance of two Gaussians: as [`crate::gaussian_w2_sq`], by a Cholesky factor where there is one, which takes a
/// tenth of the time of eigenvectors.
fn distance(real: &Moments, generated: &Moments) -> Result<f64> {
    let d = real.mean.len();
    let (real_trace, trace) = (trace_of(&real.covariance, d), trace_of(&generated.covariance, d));
    let mut factor = real.covariance.clone();
    let mut memory = MemBuffer::new(cholesky_in_place_scratch::<f64>(d, Par::Seq, Default::default()));
    let stack = MemStack::new(&mut memory);
    let matrix = MatMut::from_column_major_slice_mut(&mut factor, d, d);
    let trace_root = if cholesky_in_place(matrix, Default::default(), Par::Seq, stack, Default::default()).is_ok() {
        // The lower triangle is the factor.
        for column in 1..d {
            factor[column * d..column * d + column].fill(0.0);
        }
        let factor = MatRef::from_column_major_slice(&factor, d, d);
        trace_of_root(factor, real_trace, &generated.covariance, trace)?
    } else {
        trace_of_root(root(&real.covariance, d)?.as_ref(), real_trace, &generated.covariance, trace)?
    };
    Ok(squared_distance(&real.mean, &generated.mean) + real_trace + trace - 2.0 * trace_root)
}

/// Inner products of the rows of two sets about their own means, from which every weighting of them follows.
struct Dual {
    /// Y X^T (`[n_g, n_r]`, row-major).
    products: Vec<f64>,
}

impl Dual {
    fn new(real: &Features, generated: &Features) -> Self {
        Self { products: cross(real, &mean(real), generated, &mean(generated)) }
    }

    fn distance(&self, real: (&Features, &[f64]), generated: (&Features, &[f64])) -> Result<f64> {
        let (n, m) = (real.0.rows, generated.0.rows);
        let (u, v) = (real.1, generated.1);
        // Centred on the weighted means: less the weighted means of rows and columns, plus that of all.
        let row_means: Vec<f64> = self.products.chunks_exact(n).map(|row| dot(row, u) / n as f64).collect();
        let mut column_means = vec![0.0; n];
        for (row, weight) in self.products.chunks_exact(n).zip(v) {
            column_means.iter_mut().zip(row).for_each(|(mean, value)| *mean += weight / m as f64 * value);
        }
        let whole = dot(&row_means, v) / m as f64;
        let mut centred = Vec::with_capacity(n * m);
        for ((row, row_mean), weight) in self.products.chunks_exact(n).zip(&row_means).zip(v) {
            let values = row.iter().zip(&column_means).zip(u);
            centred.extend(values.map(|((value, column_mean), other)| {
                (value - row_mean - column_mean + whole) * (weight * other).sqrt()
            }));
        }
        let degrees = ((n - 1) as f64).sqrt() * ((m - 1) as f64).sqrt();
        let trace_root = nuclear_norm(MatRef::from_row_major_slice(&centred, m, n))? / degrees;
        let ((real_mean, real_trace), (mean, trace)) = (spread(real), spread(generated));
        Ok(squared_distance(&real_mean, &mean) + real_trace + trace - 2.0 * trace_root)
    }
}

/// Weighted mean and total variance.
fn spread((set, weights): (&Features, &[f64])) -> (Vec<f64>, f64) {
    let mean = weighted_mean(set, weights);
    let square = |row: usize| -> f64 {
        let row: &[f32] = set.row(row);
        row.iter().zip(&mean).map(|(&v, &m)| (f64::from(v) - m) * (f64::from(v) - m)).sum()
    };
    let trace = weights.iter().enumerate().map(|(row, weight)| weight * square(row)).sum::<f64>();
    (mean, trace / (set.rows - 1) as f64)
}

fn dot(x: &[f64], y: &[f64]) -> f64 {
    x.iter().zip(y).map(|(x, y)| x * y).sum()
}

/// Scores of `replicates` pairs of halves, a list a metric; a metric without a value in some half has none here.
fn halves(
    reference: &Reference,
    generated: &Features,
    metrics: &[&'static str],
    replicates: usize,
) -> Result<Vec<Result<Vec<f64>>>> {
    let settings = *reference.settings();
    let mut values: Vec<Result<Vec<f64>>> = metrics.iter().map(|_| Ok(Vec::with_capacity(replicates))).collect();
    for replicate in 0..replicates as u64 {
        let half = |set: &Features, row: u64| {
            let mut rng = settings.seeds.rng(HALVES, row);
            let mut rows = rand::seq::index::sample(&mut rng, set.rows, set.rows / 2).into_vec();
            rows.sort_unstable();
            let values = rows.iter().flat_map(|&row| set.row(row)).copied().collect();
            Features { rows: rows.len(), dim: set.dim, values }
        };
        let real = half(reference.features(), 2 * replicate);
        let part = half(generated, 2 * replicate + 1);
        let halves = crate::Settings { generated_rows: Some(part.rows), ..settings };
        let scores = Reference::new(real, halves, metrics)?.score(&part, metrics)?;
        for (name, values) in metrics.iter().zip(&mut values) {
            match (scores.values.get(*name).copied().flatten(), values.as_mut()) {
                (Some(value), Ok(values)) => values.push(value),
                (None, Ok(_)) => {
                    let why = scores.undefined.get(*name).cloned().unwrap_or_default();
                    *values = Err(MetricsError::NoHalf { why });
                }
                _ => {}
            }
        }
    }
    Ok(values)
}
