//! Mean and covariance of a set of features.

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use madloop_core::Features;
use rayon::prelude::*;

use crate::Result;
use crate::error::{check_rows, check_shape};
use crate::tiles::{centred, ranges};

/// Rows of one partial sum: fixed, so that the result is the same at any number of threads.
const CHUNK: usize = 2048;
/// Rows centred at a time.
const SLAB: usize = 256;
/// Columns of one block of a covariance.
const BLOCK: usize = 128;
/// From this dimension on a covariance is split by columns alone, since partial sums of d x d would not fit.
const WIDE: usize = 512;

/// Mean and covariance of n samples in R^d, in f64.
///
/// mu = (1/n) sum x_i; S = (1/(n-1)) sum (x_i - mu)(x_i - mu)^T, in two passes over the data. Identical
/// rows give exactly S = 0.
#[derive(Debug, Clone, PartialEq)]
pub struct Moments {
    /// Number of samples.
    pub n: usize,
    /// `[d]`, in units of the features.
    pub mean: Vec<f64>,
    /// `[d, d]`, symmetric, divisor n - 1.
    pub covariance: Vec<f64>,
}

impl Moments {
    /// The moments of `features` (`[n, d]`); takes d * d f64.
    ///
    /// # Errors
    /// Undefined for n < 2; an error when the buffer is not `[n, d]` with d >= 1. Values that are not finite
    /// give moments that are not.
    pub fn new(features: &Features) -> Result<Self> {
        check_shape(features, "the features")?;
        check_rows(features, "given", 2, "a covariance has n - 1 degrees of freedom")?;
        let mean = mean(features);
        let covariance = covariance(features, &mean, None);
        Ok(Self { n: features.rows, mean, covariance })
    }

    /// The moments of `features` whose row i counts `weights[i]` times, for weights >= 0 whose sum is n: m = (1/n) sum w_i x_i,
    /// S = (1/(n-1)) sum w_i (x_i - m)(x_i - m)^T.
    pub(crate) fn weighted(features: &Features, weights: &[f64]) -> Self {
        let mean = weighted_mean(features, weights);
        let covariance = covariance(features, &mean, Some(weights));
        Self { n: features.rows, mean, covariance }
    }
}

/// (1/n) sum w_i x_i (`[d]`), for weights whose sum is n.
pub(crate) fn weighted_mean(features: &Features, weights: &[f64]) -> Vec<f64> {
    let first = features.row(0);
    let partial = |rows: std::ops::Range<usize>| {
        let mut sum = vec![0.0; features.dim];
        for row in rows {
            for ((sum, &value), &first) in sum.iter_mut().zip(features.row(row)).zip(first) {
                *sum += weights[row] * (f64::from(value) - f64::from(first));
            }
        }
        sum
    };
    let sum = sum_in_order(features.rows, features.dim, partial);
    sum.iter().zip(first).map(|(sum, &first)| f64::from(first) + sum / features.rows as f64).collect()
}

/// The mean of at least one row (`[d]`).
///
/// Sums differences to row 0, which are exact: identical rows have exactly themselves as their mean.
pub(crate) fn mean(features: &Features) -> Vec<f64> {
    let first = features.row(0);
    let partial = |rows: std::ops::Range<usize>| {
        let mut sum = vec![0.0; features.dim];
        for row in rows {
            for ((sum, &value), &first) in sum.iter_mut().zip(features.row(row)).zip(first) {
                *sum += f64::from(value) - f64::from(first);
            }
        }
        sum
    };
    let sum = sum_in_order(features.rows, features.dim, partial);
    let n = features.rows as f64;
    sum.iter().zip(first).map(|(sum, &first)| f64::from(first) + sum / n).collect()
}

/// The variance of each column (`[d]`, divisor n - 1) of at least two rows.
pub(crate) fn variances(features: &Features, mean: &[f64]) -> Vec<f64> {
    let partial = |rows: std::ops::Range<usize>| {
        let mut sum = vec![0.0; features.dim];
        for row in rows {
            for ((sum, &value), &mean) in sum.iter_mut().zip(features.row(row)).zip(mean) {
                let difference = f64::from(value) - mean;
                *sum += difference * difference;
            }
        }
        sum
    };
    let mut sum = sum_in_order(features.rows, features.dim, partial);
    sum.iter_mut().for_each(|sum| *sum /= (features.rows - 1) as f64);
    sum
}

/// Sums `partial` over fixed chunks of rows, computed in parallel and added in order.
fn sum_in_order(
    rows: usize,
    len: usize,
    partial: impl Fn(std::ops::Range<usize>) -> Vec<f64> + Send + Sync,
) -> Vec<f64> {
    let chunks: Vec<_> = ranges(rows, CHUNK).collect();
    let partials: Vec<_> = chunks.into_par_iter().map(partial).collect();
    partials.into_iter().fold(vec![0.0; len], |mut total, partial| {
        total.iter_mut().zip(partial).for_each(|(total, partial)| *total += partial);
        total
    })
}

/// The covariance (`[d, d]`, divisor n - 1) of at least two rows, each taken as often as its weight says.
fn covariance(features: &Features, mean: &[f64], weights: Option<&[f64]>) -> Vec<f64> {
    let d = features.dim;
    let chunk = if d < WIDE { CHUNK } else { features.rows };
    let mut covariance = vec![0.0; d * d];
    // Column block J holds rows J.start.. of it: the lower triangle and a little more.
    let blocks: Vec<_> =
        ranges(features.rows, chunk).flat_map(|rows| ranges(d, BLOCK).map(move |j| (rows.clone(), j))).collect();
    let partials: Vec<_> = blocks
        .par_iter()
        .map(|(rows, columns)| {
            let tall = d - columns.start;
            let mut out = vec![0.0; tall * columns.len()];
            let mut slab = Vec::new();
            for part in ranges(rows.len(), SLAB) {
                let part = rows.start + part.start..rows.start + part.end;
                let n = part.len();
                centred(features, part.clone(), columns.start..d, Some(mean), &mut slab);
                if let Some(weights) = weights {
                    for (row, weight) in slab.chunks_exact_mut(tall).zip(&weights[part]) {
                        row.iter_mut().for_each(|value| *value *= weight.sqrt());
                    }
                }
                let slab = MatRef::from_row_major_slice(&slab, n, tall);
                let out = MatMut::from_column_major_slice_mut(&mut out, tall, columns.len());
                matmul(out, Accum::Add, slab.transpose(), slab.subcols(0, columns.len()), 1.0, Par::Seq);
            }
            out
        })
        .collect();
    for ((_, columns), partial) in blocks.iter().zip(partials) {
        for (column, partial) in columns.clone().zip(partial.chunks_exact(d - columns.start)) {
            for (row, &value) in (columns.start..d).zip(partial).skip(column - columns.start) {
                covariance[column * d + row] += value;
            }
        }
    }
    let divisor = (features.rows - 1) as f64;
    for i in 0..d {
        for j in i..d {
            covariance[i * d + j] /= divisor;
            covariance[j * d + i] = covariance[i * d + j];
        }
    }
    covariance
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{gaussian, in_pool};

    #[test]
    fn they_are_the_textbook_sums() {
        for (n, d) in [(2, 1), (7, 3), (2500, 5), (300, 150), (20, 600)] {
            let set = gaussian(1, n, d, 0.5);
            let moments = Moments::new(&set).expect("two rows or more");
            for a in [0, d / 2, d - 1] {
                let mean_of = |a: usize| (0..n).map(|i| f64::from(set.row(i)[a])).sum::<f64>() / n as f64;
                assert!((moments.mean[a] - mean_of(a)).abs() < 1e-13);
                for b in [0, d / 3, d - 1] {
                    let sum: f64 = (0..n)
                        .map(|i| (f64::from(set.row(i)[a]) - mean_of(a)) * (f64::from(set.row(i)[b]) - mean_of(b)))
                        .sum();
                    let expected = sum / (n - 1) as f64;
                    assert!((moments.covariance[a * d + b] - expected).abs() < 1e-12, "{n} x {d}: {a}, {b}");
                    assert_eq!(moments.covariance[a * d + b], moments.covariance[b * d + a]);
                }
            }
            let variances = variances(&set, &moments.mean);
            assert!((variances[d - 1] - moments.covariance[d * d - 1]).abs() < 1e-12);
        }
    }

    #[test]
    fn identical_rows_have_exactly_no_spread() {
        let row = [0.1_f32, -3.7e6, 1e-20];
        let set = Features { rows: 10_001, dim: 3, values: row.repeat(10_001) };
        let moments = Moments::new(&set).expect("two rows or more");
        assert_eq!(moments.mean, row.map(f64::from));
        assert_eq!(moments.covariance, [0.0; 9]);
    }

    #[test]
    fn threads_change_no_bit() {
        for (n, d) in [(5000, 40), (700, 530)] {
            let set = gaussian(2, n, d, 0.0);
            let one = in_pool(1, || Moments::new(&set).expect("two rows or more"));
            let three = in_pool(3, || Moments::new(&set).expect("two rows or more"));
            assert_eq!(one, three);
        }
    }

    #[test]
    fn one_sample_has_no_covariance() {
        let set = Features { rows: 1, dim: 2, values: vec![0.0; 2] };
        let error = Moments::new(&set).expect_err("one row");
        assert!(error.is_undefined() && error.to_string().contains("n = 1"), "{error}");
    }
}
