//! Plain simulations that the tests hold formulas against.

use madloop_core::{Seeds, Stream};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;
use rayon::prelude::*;

/// The value of `one` over addressed replicates; a test on 4 standard errors fails for 1 in 16,000 fresh seeds.
pub(crate) fn replicates<T: Send>(seed: u64, count: u64, one: impl Fn(&mut ChaCha8Rng) -> T + Sync) -> Vec<T> {
    let stream = Stream::named("theory-test");
    (0..count).into_par_iter().map(|row| one(&mut Seeds::new(seed).rng(stream, row))).collect()
}

/// Mean and standard error.
pub(crate) fn mean_se(values: impl IntoIterator<Item = f64>) -> (f64, f64) {
    let values: Vec<f64> = values.into_iter().collect();
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0);
    (mean, (variance / n).sqrt())
}

/// Asserts that the mean of `values` is `expected` within 4 standard errors, and that these are below `precision` of it.
#[track_caller]
pub(crate) fn assert_mean(values: impl IntoIterator<Item = f64>, expected: f64, precision: f64) {
    let (mean, se) = mean_se(values);
    assert!(se <= precision * expected.abs(), "{mean} +- {se} is too coarse to test {expected}");
    assert!((mean - expected).abs() < 4.0 * se, "{mean} +- {se} is not {expected}");
}

/// n draws of N(mean, variance).
pub(crate) fn normals(rng: &mut ChaCha8Rng, n: usize, mean: f64, variance: f64) -> Vec<f64> {
    (0..n).map(|_| mean + variance.sqrt() * rng.sample::<f64, _>(StandardNormal)).collect()
}

/// Sample mean and scatter about it.
pub(crate) fn fit(values: &[f64]) -> (f64, f64) {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    (mean, values.iter().map(|v| (v - mean).powi(2)).sum())
}
