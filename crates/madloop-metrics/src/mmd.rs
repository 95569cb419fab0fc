//! The squared maximum mean discrepancy with a Gaussian kernel.

use std::ops::Range;

use madloop_core::Features;
use rayon::prelude::*;

use crate::cloud::squared_distance;
use crate::error::{check_pair, check_rows};
use crate::exp::{exp, vectorised};
use crate::gram::{Block, Rows};
use crate::tiles::ranges;
use crate::{MetricsError, Result};

/// The most real samples whose pairs all count for [`Bandwidth::Median`].
pub const MEDIAN_ROWS: usize = 2000;
/// The bandwidth of [`cmmd`].
const CMMD_SIGMA: f64 = 10.0;
/// The factor of [`cmmd`].
const CMMD_SCALE: f64 = 1000.0;
/// Side of a block of the kernel matrix.
const SIDE: usize = 256;
/// Blocks whose sums are held at a time, at most.
const WAVE: usize = 256;
/// Interleaved sums of a row.
const LANES: usize = 8;

/// The bandwidth sigma of the kernel, in units of the features.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Bandwidth {
    /// As given: more than 0.
    Fixed(f64),
    /// The median distance of two different real samples (Gretton et al. 2012, section 8): over all pairs of at
    /// most 2000 samples; of a larger set, over those of the 2000 rows floor(i n / 2000).
    Median,
}

/// A squared maximum mean discrepancy.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Mmd {
    /// The unbiased estimate. Range \[-2, 2\]: equal distributions scatter around 0.
    pub squared: f64,
    /// The bandwidth used, in units of the features.
    pub sigma: f64,
    /// The standard error of `squared`.
    ///
    /// (4 var(a) / n + 4 var(b) / m)^{1/2}: the first-order (Hoeffding) variance of a U-statistic, with a_i = mean k(x_i, x') -
    /// mean k(x_i, y) over the other real and all generated samples, b_j likewise, and their sample variances (Serfling
    /// 1980, section 5.5; Gretton et al. 2012, section 6; Sutherland et al. 2017, arXiv:1611.04488). It holds where
    /// the distributions differ. Where they do not the estimate is degenerate and not normal, and this is too large by
    /// about 2^{1/2}.
    pub se: f64,
}

/// The unbiased squared maximum mean discrepancy of two sets (`[n, d]` and `[m, d]`), without units.
///
/// MMD^2 = E k(x, x') + E k(y, y') - 2 E k(x, y), k(x, y) = exp(-|x - y|^2 / (2 sigma^2)), the first two over pairs of
/// different samples (Gretton et al. 2012, "A kernel two-sample test", JMLR 13, lemma 6, equation 3). All pairs count:
/// (n + m)^2 d multiplications, O(n + m) memory beyond blocks.
///
/// # Errors
/// Undefined for n < 2, values that are not finite, or a median distance of 0; an error when the dimensions differ or
/// the bandwidth is not positive.
pub fn mmd_rbf(real: &Features, generated: &Features, bandwidth: Bandwidth) -> Result<Mmd> {
    const WHY: &str = "the unbiased estimate has pairs within the set";
    check_pair(real, generated)?;
    check_rows(real, "real", 2, WHY)?;
    check_rows(generated, "generated", 2, WHY)?;
    let sigma = match bandwidth {
        Bandwidth::Fixed(sigma) if sigma > 0.0 && sigma.is_finite() => sigma,
        Bandwidth::Fixed(value) => {
            return Err(MetricsError::Setting { name: "the bandwidth", value, must: "more than 0 and finite" });
        }
        Bandwidth::Median => median_distance(real)?,
    };
    let sums = Sums::new(real, generated, sigma);
    let (n, m) = (real.rows as f64, generated.rows as f64);
    let contrast = |within: &[f64], between: &[f64], own: f64, other: f64| -> Vec<f64> {
        within.iter().zip(between).map(|(within, between)| within / (own - 1.0) - between / other).collect()
    };
    let a = contrast(&sums.within_real, &sums.real_between, n, m);
    let b = contrast(&sums.within_generated, &sums.generated_between, m, n);
    let squared = a.iter().sum::<f64>() / n + b.iter().sum::<f64>() / m;
    let se = (4.0 * variance(&a) / n + 4.0 * variance(&b) / m).sqrt();
    Ok(Mmd { squared, sigma, se })
}

/// The squared maximum mean discrepancy by CMMD's convention, of CLIP embeddings (`[n, d]` and `[m, d]`).
///
/// 1000 times the biased estimate (all pairs, each sample with itself too; Gretton et al. 2012, equation 5), sigma = 10
/// (Jayasumana et al. 2024, arXiv:2401.09603). CMMD's embeddings have length 1; rows are taken as they are given here.
/// Range \[0, 2000\]; rounding can give a value about 1e-12 below 0.
///
/// # Errors
/// Undefined for an empty set or values that are not finite; an error when the dimensions differ.
pub fn cmmd(real: &Features, generated: &Features) -> Result<f64> {
    check_pair(real, generated)?;
    check_rows(real, "real", 1, "it has no mean kernel")?;
    check_rows(generated, "generated", 1, "it has no mean kernel")?;
    let sums = Sums::new(real, generated, CMMD_SIGMA);
    let (n, m) = (real.rows as f64, generated.rows as f64);
    // k(x, x) = 1.
    let total = |within: &[f64]| within.iter().sum::<f64>() + within.len() as f64;
    let between = sums.real_between.iter().sum::<f64>();
    let squared =
        total(&sums.within_real) / (n * n) + total(&sums.within_generated) / (m * m) - 2.0 * between / (n * m);
    Ok(CMMD_SCALE * squared)
}

/// The sample variance (divisor: one less than their number).
fn variance(values: &[f64]) -> f64 {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    values.iter().map(|value| (value - mean) * (value - mean)).sum::<f64>() / (n - 1.0)
}

/// The median distance of different rows among at most [`MEDIAN_ROWS`]; two middle ones are averaged.
fn median_distance(real: &Features) -> Result<f64> {
    let rows = Rows::evenly(real, MEDIAN_ROWS);
    let mut squares: Vec<f64> = (0..rows.len())
        .into_par_iter()
        .flat_map_iter(|i| {
            let mut squares = vec![0.0; i];
            let x = rows.raw(i);
            vectorised(
                #[inline(always)]
                || squares.iter_mut().enumerate().for_each(|(j, square)| *square = squared_distance(x, rows.raw(j))),
            );
            squares
        })
        .collect();
    let middle = squares.len() / 2;
    let even = squares.len().is_multiple_of(2);
    let (below, upper, _) = squares.select_nth_unstable_by(middle, f64::total_cmp);
    let upper = upper.sqrt();
    let median = if even { 0.5 * (below.iter().copied().fold(0.0, f64::max).sqrt() + upper) } else { upper };
    if median > 0.0 { Ok(median) } else { Err(MetricsError::NoBandwidth { n: rows.len() }) }
}

/// Sums of the kernel of each sample with all others of a set.
struct Sums {
    /// With the other real samples (`[n]`).
    within_real: Vec<f64>,
    /// With the other generated samples (`[m]`).
    within_generated: Vec<f64>,
    /// Of real with all generated samples (`[n]`).
    real_between: Vec<f64>,
    /// Of generated with all real samples (`[m]`).
    generated_between: Vec<f64>,
}

impl Sums {
    fn new(real: &Features, generated: &Features, sigma: f64) -> Self {
        // Distances do not depend on the centre; products about it lose fewer digits.
        let centre = Rows::all(real).mean();
        let side = |set| {
            let rows = Rows::all(set).about(&centre);
            (rows, rows.squared_norms())
        };
        let ((x, x_norms), (y, y_norms)) = (side(real), side(generated));
        let kernel = Kernel { factor: -0.5 / (sigma * sigma) };
        let (x, y) = ((x, x_norms.as_slice()), (y, y_norms.as_slice()));
        let (real_between, generated_between) = kernel.between(x, y);
        Self { within_real: kernel.within(x), within_generated: kernel.within(y), real_between, generated_between }
    }
}

/// exp(factor |x - y|^2).
struct Kernel {
    factor: f64,
}

/// Rows and their squared norms.
type Side<'a> = (Rows<'a>, &'a [f64]);

impl Kernel {
    /// Sums over the other rows (`[n]`).
    fn within(&self, x: Side<'_>) -> Vec<f64> {
        let n = x.0.len();
        let mut sums = vec![0.0; n];
        // Blocks above the diagonal stand for those below it, too.
        let pairs = ranges(n, SIDE)
            .flat_map(|rows| ranges(n, SIDE).skip(rows.start / SIDE).map(move |columns| (rows.clone(), columns)));
        self.in_waves((x, x, true), pairs, |rows, columns, by_row, by_column| {
            add(&mut sums[rows.clone()], &by_row);
            if rows != columns {
                add(&mut sums[columns], &by_column);
            }
        });
        sums
    }

    /// Sums of each row of x over y (`[n]`) and of each row of y over x (`[m]`).
    fn between(&self, x: Side<'_>, y: Side<'_>) -> (Vec<f64>, Vec<f64>) {
        let (n, m) = (x.0.len(), y.0.len());
        let (mut of_x, mut of_y) = (vec![0.0; n], vec![0.0; m]);
        let pairs = ranges(n, SIDE).flat_map(|rows| ranges(m, SIDE).map(move |columns| (rows.clone(), columns)));
        self.in_waves((x, y, false), pairs, |rows, columns, by_row, by_column| {
            add(&mut of_x[rows], &by_row);
            add(&mut of_y[columns], &by_column);
        });
        (of_x, of_y)
    }

    /// The row and column sums of blocks, computed in parallel a wave at a time and handed over in order.
    fn in_waves(
        &self,
        (x, y, same): (Side<'_>, Side<'_>, bool),
        mut pairs: impl Iterator<Item = (Range<usize>, Range<usize>)>,
        mut give: impl FnMut(Range<usize>, Range<usize>, Vec<f64>, Vec<f64>),
    ) {
        loop {
            let wave: Vec<_> = pairs.by_ref().take(WAVE).collect();
            if wave.is_empty() {
                return;
            }
            let sums: Vec<_> = wave
                .par_iter()
                .map_init(Block::default, |block, (rows, columns)| {
                    let tile = block.products(x.0, rows.clone(), y.0, columns.clone());
                    let norms = (&x.1[rows.clone()], &y.1[columns.clone()]);
                    vectorised(
                        #[inline(always)]
                        || self.block_sums(tile, norms, same && rows == columns),
                    )
                })
                .collect();
            for ((rows, columns), (by_row, by_column)) in wave.into_iter().zip(sums) {
                give(rows, columns, by_row, by_column);
            }
        }
    }

    /// Row and column sums of the kernel of a block, from its products; without the diagonal where that is a sample
    /// with itself.
    #[inline(always)]
    fn block_sums(&self, tile: &mut [f64], (x, y): (&[f64], &[f64]), diagonal: bool) -> (Vec<f64>, Vec<f64>) {
        let (mut by_row, mut by_column) = (vec![0.0; x.len()], vec![0.0; y.len()]);
        for (i, (products, &x)) in tile.chunks_exact_mut(y.len()).zip(x).enumerate() {
            for (product, &y) in products.iter_mut().zip(y) {
                // Rounding can put equal rows at a squared distance a little below 0.
                let square = x + y - 2.0 * *product;
                *product = exp(self.factor * if square > 0.0 { square } else { 0.0 });
            }
            if diagonal {
                products[i] = 0.0;
            }
            for (sum, &value) in by_column.iter_mut().zip(products.iter()) {
                *sum += value;
            }
            let mut lanes = [0.0; LANES];
            let chunks = products.chunks_exact(LANES);
            let rest: f64 = chunks.remainder().iter().sum();
            for chunk in chunks {
                for (lane, value) in lanes.iter_mut().zip(chunk) {
                    *lane += value;
                }
            }
            by_row[i] = lanes.iter().sum::<f64>() + rest;
        }
        (by_row, by_column)
    }
}

fn add(sums: &mut [f64], values: &[f64]) {
    sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{gaussian, in_pool, lattice};

    fn kernel(x: &[f32], y: &[f32], sigma: f64) -> f64 {
        (-squared_distance(x, y) / (2.0 * sigma * sigma)).exp()
    }

    fn brute_force(x: &Features, y: &Features, sigma: f64) -> f64 {
        let within = |x: &Features| {
            let pairs = (0..x.rows).flat_map(|i| (0..x.rows).filter(move |&j| j != i).map(move |j| (i, j)));
            let sum: f64 = pairs.map(|(i, j)| kernel(x.row(i), x.row(j), sigma)).sum();
            sum / (x.rows * (x.rows - 1)) as f64
        };
        let between: f64 = (0..x.rows)
            .flat_map(|i| (0..y.rows).map(move |j| (i, j)))
            .map(|(i, j)| kernel(x.row(i), y.row(j), sigma))
            .sum();
        within(x) + within(y) - 2.0 * between / (x.rows * y.rows) as f64
    }

    #[test]
    fn it_is_the_direct_sum() {
        for (n, m, d, shift) in [(2, 2, 1, 0.0), (300, 517, 3, 0.3), (40, 260, 600, 40.0), (700, 300, 2, 1e3)] {
            let (x, y) = (gaussian(1, n, d, shift), gaussian(2, m, d, shift + 0.2));
            for sigma in [0.7, 3.0] {
                let mmd = mmd_rbf(&x, &y, Bandwidth::Fixed(sigma)).expect("defined");
                assert_eq!(mmd.sigma, sigma);
                let expected = brute_force(&x, &y, sigma);
                assert!((mmd.squared - expected).abs() < 1e-12, "{n} {m} {d}: {} {expected}", mmd.squared);
            }
        }
    }

    #[test]
    fn gaussians_have_a_closed_form() {
        // E k(x, y) = (s / (s + v))^{d/2} exp(-|delta|^2 / (2 (s + v))), s = sigma^2, v the sum of both variances.
        let (n, sigma) = (2000, 1.5_f64);
        let (x, y) = (gaussian(5, n, 1, 0.0), gaussian(6, n, 1, 0.5));
        let s = sigma * sigma;
        let spread = s + 2.0 * 0.64;
        let expected = 2.0 * (s / spread).sqrt() * (1.0 - (-0.25 / (2.0 * spread)).exp());
        let mmd = mmd_rbf(&x, &y, Bandwidth::Fixed(sigma)).expect("defined");
        assert!((mmd.squared - expected).abs() < 5.0 * mmd.se, "{mmd:?} {expected}");
        assert!(mmd.se < 0.2 * expected);
    }

    #[test]
    fn the_standard_error_is_that_of_repeated_draws() {
        let draws = |shift: f32| -> Vec<Mmd> {
            (0..400)
                .map(|i| {
                    let (x, y) = (gaussian(100 + 2 * i, 80, 2, 0.0), gaussian(101 + 2 * i, 120, 2, shift));
                    mmd_rbf(&x, &y, Bandwidth::Fixed(1.0)).expect("defined")
                })
                .collect()
        };
        let spread = |draws: &[Mmd]| variance(&draws.iter().map(|mmd| mmd.squared).collect::<Vec<_>>()).sqrt();
        let stated = |draws: &[Mmd]| (draws.iter().map(|mmd| mmd.se * mmd.se).sum::<f64>() / 400.0).sqrt();
        let apart = draws(1.0);
        // The spread of 400 draws is known to 1 / 800^{1/2} = 3.5 %.
        let ratio = stated(&apart) / spread(&apart);
        assert!((ratio - 1.0).abs() < 0.2, "{ratio}");
        let same = draws(0.0);
        let ratio = stated(&same) / spread(&same);
        assert!((ratio / 2.0_f64.sqrt() - 1.0).abs() < 0.25, "{ratio}");
        let mean = same.iter().map(|mmd| mmd.squared).sum::<f64>() / 400.0;
        assert!(mean.abs() < 6.0 * spread(&same) / 20.0, "unbiased: {mean}");
    }

    #[test]
    fn cmmd_is_the_biased_estimate() {
        let (x, y) = (gaussian(1, 30, 4, 0.0), gaussian(2, 41, 4, 3.0));
        let mean = |x: &Features, y: &Features| {
            let pairs = (0..x.rows).flat_map(|i| (0..y.rows).map(move |j| (i, j)));
            pairs.map(|(i, j)| kernel(x.row(i), y.row(j), 10.0)).sum::<f64>() / (x.rows * y.rows) as f64
        };
        let expected = 1000.0 * (mean(&x, &x) + mean(&y, &y) - 2.0 * mean(&x, &y));
        let value = cmmd(&x, &y).expect("defined");
        assert!((value - expected).abs() < 1e-10 * expected, "{value} {expected}");
        assert!(cmmd(&x, &x).expect("defined").abs() < 1e-9);
        let point = |value: f32| Features { rows: 1, dim: 1, values: vec![value] };
        let expected = 2000.0 * (1.0 - (-0.5_f64).exp());
        assert!((cmmd(&point(3.0), &point(13.0)).expect("defined") - expected).abs() < 1e-10);
    }

    #[test]
    fn the_median_is_that_of_distances() {
        let set = |values: &[f32]| Features { rows: values.len(), dim: 1, values: values.to_vec() };
        // Distances 1, 3, 4, then 1, 3, 4, 6, 7, 10.
        assert_eq!(median_distance(&set(&[0.0, 1.0, 4.0])), Ok(3.0));
        assert_eq!(median_distance(&set(&[0.0, 1.0, 4.0, -6.0])), Ok(5.0));
        let large = lattice(1, 2500, 3);
        let spaced = (0..2000).flat_map(|i| large.row(i * 5 / 4)).copied().collect();
        assert_eq!(median_distance(&large), median_distance(&Features { rows: 2000, dim: 3, values: spaced }));
        let collapsed = set(&[1.0, 1.0, 1.0, 1.0, 2.0]);
        let error = mmd_rbf(&collapsed, &collapsed, Bandwidth::Median).expect_err("no distance");
        assert!(error.is_undefined() && error.to_string().contains("n = 5"), "{error}");
    }

    #[test]
    fn misuse_and_small_sets_are_errors() {
        let x = gaussian(1, 5, 2, 0.0);
        for sigma in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(!mmd_rbf(&x, &x, Bandwidth::Fixed(sigma)).expect_err("not a bandwidth").is_undefined());
        }
        let one = Features { rows: 1, dim: 2, values: vec![0.0; 2] };
        assert!(mmd_rbf(&x, &one, Bandwidth::Median).expect_err("no pairs").is_undefined());
        let far = Features { rows: 2, dim: 2, values: vec![f32::MAX; 4] };
        let value = mmd_rbf(&x, &far, Bandwidth::Median).expect("defined").squared;
        assert!(value > 1.0 && value <= 2.0, "{value}");
    }

    #[test]
    fn threads_change_no_bit() {
        let (x, y) = (gaussian(3, 600, 4, 0.0), gaussian(4, 900, 4, 0.5));
        let of = |threads| in_pool(threads, || (mmd_rbf(&x, &y, Bandwidth::Median), cmmd(&x, &y)));
        assert_eq!(of(1), of(3));
        let swapped = mmd_rbf(&y, &x, Bandwidth::Fixed(1.0)).expect("defined").squared;
        assert!((mmd_rbf(&x, &y, Bandwidth::Fixed(1.0)).expect("defined").squared - swapped).abs() < 1e-13);
    }
}
