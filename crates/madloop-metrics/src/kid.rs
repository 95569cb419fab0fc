//! The kernel inception distance: an unbiased squared maximum mean discrepancy.

use madloop_core::{Features, Seeds, Stream};
use rayon::prelude::*;

use crate::error::{check_pair, check_rows};
use crate::tiles::{Scratch, ranges};
use crate::{MetricsError, Result};

/// Subsets drawn of each set.
pub const KID_SUBSETS: usize = 100;
/// Samples of a subset.
pub const KID_SUBSET_SIZE: usize = 1000;
/// The first row of [`Stream::SCORE`] that draws subsets; subset i uses row i for the real and the generated part.
const FIRST_ROW: u64 = 0;
/// Side of a block of the kernel matrix.
const SIDE: usize = 256;
/// Features multiplied at a time.
const DEPTH: usize = 512;

/// The kernel inception distance over subsets.
#[derive(Debug, Clone, PartialEq)]
pub struct Kid {
    /// Mean over the subsets. Range (-inf, inf): the estimate is unbiased, so that equal distributions scatter around 0.
    pub mean: f64,
    /// Standard deviation over the subsets (divisor: their number), or why there is none.
    pub std: Result<f64>,
}

/// The kernel inception distance of two sets of features (`[n_r, d]` and `[n_g, d]`), without units.
///
/// MMD^2 = E k(x, x') + E k(y, y') - 2 E k(x, y) with the kernel k(x, y) = (x.y / d + 1)^3, unbiased: the first two are
/// means over pairs of different samples. Mean and standard deviation over 100 subsets of 1000, drawn without
/// replacement by the addressed stream [`Stream::SCORE`] (Binkowski et al. 2018, arXiv:1801.01401). When the
/// smaller set has at most 1000 samples, all samples of both sets form the only subset. Range (-inf, inf).
///
/// # Errors
/// Undefined for n < 2 or values that are not finite; an error when the dimensions differ.
pub fn kid(real: &Features, generated: &Features, seeds: Seeds) -> Result<Kid> {
    check_pair(real, generated)?;
    KidReference::new(real)?.kid(real, generated, seeds)
}

/// What the kernel inception distance needs of the real set, computed once.
#[derive(Debug, Clone)]
pub(crate) struct KidReference {
    /// The real term, when all real samples are always used.
    within: Option<f64>,
}

impl KidReference {
    /// Prepares a checked set.
    pub(crate) fn new(real: &Features) -> Result<Self> {
        check_rows(real, "real", 2, "the unbiased estimate has pairs within the set")?;
        Ok(Self { within: (real.rows <= KID_SUBSET_SIZE).then(|| mean_within(real)) })
    }

    /// The distance of a checked set of the same dimension to the one prepared, which is given again.
    pub(crate) fn kid(&self, real: &Features, generated: &Features, seeds: Seeds) -> Result<Kid> {
        check_rows(generated, "generated", 2, "the unbiased estimate has pairs within the set")?;
        let n = real.rows.min(generated.rows);
        if n <= KID_SUBSET_SIZE {
            let within = self.within.unwrap_or_else(|| mean_within(real));
            let mean = within + mean_within(generated) - 2.0 * mean_between(real, generated);
            return Ok(Kid { mean, std: Err(MetricsError::OneSubset { n, size: KID_SUBSET_SIZE }) });
        }
        let values: Vec<_> = (0..KID_SUBSETS as u64)
            .into_par_iter()
            .map(|subset| {
                let mut rng = seeds.rng(Stream::SCORE, FIRST_ROW + subset);
                let mut draw = |set: &Features| {
                    let rows = rand::seq::index::sample(&mut rng, set.rows, KID_SUBSET_SIZE);
                    let values = rows.iter().flat_map(|row| set.row(row)).copied().collect();
                    Features { rows: KID_SUBSET_SIZE, dim: set.dim, values }
                };
                let (real, generated) = (draw(real), draw(generated));
                mean_within(&real) + mean_within(&generated) - 2.0 * mean_between(&real, &generated)
            })
            .collect();
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        let variance = values.iter().map(|value| (value - mean) * (value - mean)).sum::<f64>() / count;
        Ok(Kid { mean, std: Ok(variance.sqrt()) })
    }
}

/// The mean kernel over pairs of different samples of one set.
fn mean_within(set: &Features) -> f64 {
    // Blocks above the diagonal stand for those below it, too.
    let blocks: Vec<_> = ranges(set.rows, SIDE)
        .flat_map(|rows| ranges(set.rows, SIDE).skip(rows.start / SIDE).map(move |columns| (rows.clone(), columns)))
        .collect();
    let sums: Vec<f64> = blocks
        .into_par_iter()
        .map_init(Scratch::default, |scratch, (rows, columns)| {
            let scale = 1.0 / set.dim as f64;
            let tile = scratch.products((set, None), rows.clone(), (set, None), columns.clone(), scale, DEPTH);
            if rows != columns {
                return 2.0 * sum_of_kernel(tile);
            }
            let mut sum = 0.0;
            for (i, row) in tile.chunks_exact(columns.len()).enumerate() {
                sum += 2.0 * sum_of_kernel(&row[i + 1..]);
            }
            sum
        })
        .collect();
    let n = set.rows as f64;
    sums.iter().sum::<f64>() / (n * (n - 1.0))
}

/// The mean kernel over pairs of a sample of each set.
fn mean_between(x: &Features, y: &Features) -> f64 {
    let blocks: Vec<_> = ranges(x.rows, SIDE)
        .flat_map(|rows| ranges(y.rows, SIDE).map(move |columns| (rows.clone(), columns)))
        .collect();
    let sums: Vec<f64> = blocks
        .into_par_iter()
        .map_init(Scratch::default, |scratch, (rows, columns)| {
            let scale = 1.0 / x.dim as f64;
            sum_of_kernel(scratch.products((x, None), rows, (y, None), columns, scale, DEPTH))
        })
        .collect();
    sums.iter().sum::<f64>() / (x.rows as f64 * y.rows as f64)
}

/// The sum of (v + 1)^3, in eight interleaved sums.
fn sum_of_kernel(products: &[f64]) -> f64 {
    let cube = |v: f64| (v + 1.0) * (v + 1.0) * (v + 1.0);
    let mut sums = [0.0; 8];
    let chunks = products.chunks_exact(8);
    let rest: f64 = chunks.remainder().iter().map(|&v| cube(v)).sum();
    for chunk in chunks {
        for (sum, &v) in sums.iter_mut().zip(chunk) {
            *sum += cube(v);
        }
    }
    sums.iter().sum::<f64>() + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::score::testing::{gaussian, in_pool};

    fn brute_force(x: &Features, y: &Features) -> f64 {
        let kernel = |a: &[f32], b: &[f32]| {
            let dot: f64 = a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum();
            (dot / a.len() as f64 + 1.0).powi(3)
        };
        let pairs = |x: &Features, y: &Features, same: bool| {
            let mut sum = 0.0;
            for i in 0..x.rows {
                for j in (0..y.rows).filter(|&j| !same || i != j) {
                    sum += kernel(x.row(i), y.row(j));
                }
            }
            sum
        };
        let (m, n) = (x.rows as f64, y.rows as f64);
        pairs(x, x, true) / (m * (m - 1.0)) + pairs(y, y, true) / (n * (n - 1.0)) - 2.0 * pairs(x, y, false) / (m * n)
    }

    #[test]
    fn it_is_the_direct_sum() {
        for (m, n, d) in [(2, 2, 1), (300, 517, 3), (40, 260, 600)] {
            let (x, y) = (gaussian(1, m, d, 0.0), gaussian(2, n, d, 0.2));
            let kid = kid(&x, &y, Seeds::new(0)).expect("defined");
            let expected = brute_force(&x, &y);
            assert!((kid.mean - expected).abs() < 1e-12 * expected.abs().max(1.0), "{} {expected}", kid.mean);
            assert!(kid.std.expect_err("one subset").to_string().contains(&format!("n = {}", m.min(n))));
        }
    }

    #[test]
    fn subsets_follow_the_seed_alone() {
        let (x, y) = (gaussian(3, 1300, 4, 0.0), gaussian(4, 1200, 4, 0.5));
        let of = |seed, threads| in_pool(threads, || kid(&x, &y, Seeds::new(seed)).expect("defined"));
        assert_eq!(of(0, 1), of(0, 3));
        assert_ne!(of(0, 2).mean, of(1, 2).mean);
        let (subsets, whole) = (of(0, 2), brute_force(&x, &y));
        let std = subsets.std.expect("100 subsets");
        // The subsets overlap; the mean of 100 still lies well within one deviation of the whole.
        assert!(std > 0.0 && (subsets.mean - whole).abs() < std, "{} {whole} {std}", subsets.mean);
    }

    #[test]
    fn collapsed_sets_have_a_value() {
        let point = |value: f32| Features { rows: 20, dim: 2, values: vec![value; 40] };
        let kid = |x: &Features, y: &Features| kid(x, y, Seeds::new(0)).expect("defined").mean;
        assert!(kid(&point(1.0), &point(1.0)).abs() < 1e-13);
        // 8 + 1 - 2: k(1, 1) = (1 + 1)^3, k(0, .) = 1.
        assert!((kid(&point(1.0), &point(0.0)) - 7.0).abs() < 1e-13);
    }
}
