//! Variances of two sets along the principal directions of one of them.

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use madloop_core::Features;
use rayon::prelude::*;

use crate::gram::{Block, Rows};
use crate::linalg::eigenvectors;
use crate::tiles::ranges;
use crate::{MetricsError, Result};

/// The share of the training variance that the directions carry.
const SHARE: f64 = 0.95;
/// The most training rows that directions are taken from in the primal route.
pub(crate) const PRIMAL_ROWS: usize = 2000;
/// The most rows of each set in the dual route, and the largest dimension of the primal one.
pub(crate) const DUAL_ROWS: usize = 1000;
/// Multiplications that the projections of one set may take in the primal route, beyond [`PRIMAL_ROWS`] rows.
const WORK: usize = 1_500_000_000;
/// Rows projected at a time.
const SLAB: usize = 128;
/// The rows of a set along the directions.
pub(crate) struct Projected {
    pub(crate) rows: usize,
    /// The mean of ln variance over the directions; none when a variance is 0.
    pub(crate) mean_log: Option<f64>,
    pub(crate) directions: usize,
    /// Standard error of `mean_log`.
    pub(crate) se: f64,
    /// Bias of `mean_log`, to second order.
    pub(crate) bias: f64,
}

/// By eigenvectors of the covariance.
pub(crate) fn primal<'a>(
    seen: Rows<'_>,
    measured: impl Fn(usize) -> Rows<'a>,
    generated: &Features,
) -> Result<(Projected, Projected)> {
    let d = seen.dim();
    let mean = seen.mean();
    let covariance = seen.about(&mean).second_moments();
    let (values, vectors) = eigenvectors(MatRef::from_column_major_slice(&covariance, d, d))?;
    let k = leading(&values).ok_or(MetricsError::NoVariance { set: "training", n: seen.len() })?;
    // Columns of the largest eigenvalues.
    let directions = vectors.as_ref().subcols(d - k, k);
    let project = |rows: Rows<'_>| {
        let mean = rows.mean();
        let rows = rows.about(&mean);
        let slabs: Vec<_> = ranges(rows.len(), SLAB).collect();
        let parts: Vec<Vec<f64>> = slabs
            .into_par_iter()
            .map_init(Vec::new, |slab, part| {
                let count = part.len();
                rows.copy(part, 0..d, slab);
                times(MatRef::from_row_major_slice(slab, count, d), directions)
            })
            .collect();
        Projected::new(parts.concat(), rows, k)
    };
    let cap = (WORK / (d * k)).max(PRIMAL_ROWS);
    Ok((project(measured(cap)), project(Rows::evenly(generated, cap))))
}

/// By eigenvectors u_j of the Gram matrix X X^T of centred rows: v_j = X^T u_j / s_j, s_j^2 its eigenvalues, and v_j is
/// never made.
pub(crate) fn dual(seen: Rows<'_>, measured: Rows<'_>, generated: &Features) -> Result<(Projected, Projected)> {
    let mean = seen.mean();
    let seen = seen.about(&mean);
    let n = seen.len();
    let gram = seen.gram();
    let (values, vectors) = eigenvectors(MatRef::from_column_major_slice(&gram, n, n))?;
    let k = leading(&values).ok_or(MetricsError::NoVariance { set: "training", n })?;
    let scales: Vec<f64> = values[n - k..].iter().map(|value| value.sqrt()).collect();
    let directions = vectors.as_ref().subcols(n - k, k);
    let project = |rows: Rows<'_>| {
        let mean = rows.mean();
        let rows = rows.about(&mean);
        let slabs: Vec<_> = ranges(rows.len(), SLAB).collect();
        let parts: Vec<Vec<f64>> = slabs
            .into_par_iter()
            .map_init(Block::default, |block, part| {
                let count = part.len();
                let products = block.products(rows, part, seen, 0..n);
                let mut z = times(MatRef::from_row_major_slice(products, count, n), directions);
                z.chunks_exact_mut(k).for_each(|z| z.iter_mut().zip(&scales).for_each(|(z, s)| *z /= s));
                z
            })
            .collect();
        Projected::new(parts.concat(), rows, k)
    };
    let training = if measured.same_as(&seen) {
        let along = (0..n).flat_map(|i| scales.iter().enumerate().map(move |(j, s)| directions[(i, j)] * s)).collect();
        Projected::new(along, seen, k)
    } else {
        project(measured)
    };
    Ok((training, project(Rows::evenly(generated, DUAL_ROWS))))
}

/// `rows` times `directions`, row-major.
fn times(rows: MatRef<'_, f64>, directions: MatRef<'_, f64>) -> Vec<f64> {
    let (n, k) = (rows.nrows(), directions.ncols());
    let mut out = vec![0.0; n * k];
    let to = MatMut::from_row_major_slice_mut(&mut out, n, k);
    matmul(to, Accum::Replace, rows, directions, 1.0, Par::Seq);
    out
}

/// How many of the largest of ascending `values` make up [`SHARE`] of their sum; none when nothing is above 0.
pub(crate) fn leading(values: &[f64]) -> Option<usize> {
    let sum: f64 = values.iter().filter(|&&value| value > 0.0).sum();
    if sum <= 0.0 {
        return None;
    }
    let mut carried = 0.0;
    let reaches = |value: &f64| {
        carried += value;
        carried >= SHARE * sum
    };
    values.iter().rev().position(reaches).map(|last| last + 1)
}

impl Projected {
    /// `z` (`[rows, k]`) are the projections of `rows`, which are about their mean.
    fn new(z: Vec<f64>, rows: Rows<'_>, k: usize) -> Self {
        let n = rows.len();
        let mut squares = vec![0.0; k];
        for z in z.chunks_exact(k) {
            squares.iter_mut().zip(z).for_each(|(sum, z)| *sum += z * z);
        }
        let variances: Vec<f64> = squares.iter().map(|sum| sum / (n - 1) as f64).collect();
        // A projection of d terms errs by at most d eps of the row's length.
        let rounding = rows.dim().max(n) as f64 * f64::EPSILON;
        let total = rows.squared_norms().iter().sum::<f64>() / (n - 1) as f64;
        if variances.iter().any(|&variance| variance <= rounding * rounding * total) {
            return Self { rows: n, mean_log: None, directions: k, se: 0.0, bias: 0.0 };
        }
        let mean_log = variances.iter().map(|variance| variance.ln()).sum::<f64>() / k as f64;
        let mut fourth = 0.0;
        let mut influence = |z: &[f64]| {
            let mut sum = 0.0;
            for (z, variance) in z.iter().zip(&variances) {
                let square = z * z / variance;
                sum += square;
                fourth += square * square;
            }
            sum / k as f64
        };
        let influences: Vec<f64> = z.chunks_exact(k).map(&mut influence).collect();
        let mean = influences.iter().sum::<f64>() / n as f64;
        let spread = influences.iter().map(|w| (w - mean) * (w - mean)).sum::<f64>() / (n - 1) as f64;
        // E ln s^2 = ln sigma^2 - var(z^2 / sigma^2) / (2 n) + O(1 / n^2), here in the mean over the directions.
        let bias = -0.5 * (fourth / (n * k) as f64 - 1.0) / n as f64;
        Self { rows: n, mean_log: Some(mean_log), directions: k, se: (spread / n as f64).sqrt(), bias }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directions_carry_their_share() {
        assert_eq!(leading(&[5.0, 95.0]), Some(1));
        assert_eq!(leading(&[5.1, 94.9]), Some(2));
        assert_eq!((leading(&[0.0, -1e-20]), leading(&[-1e-20, 0.0, 1.0])), (None, Some(1)));
    }

    #[test]
    fn projections_have_known_moments() {
        // One direction: variances 10 / 3 of -2, -1, 1, 2; z^2 / t = 1.2, 0.3, 0.3, 1.2.
        let set = Features { rows: 4, dim: 1, values: vec![-2.0, -1.0, 1.0, 2.0] };
        let found = Projected::new(vec![-2.0, -1.0, 1.0, 2.0], Rows::all(&set), 1);
        assert!((found.mean_log.expect("varies") - (10.0_f64 / 3.0).ln()).abs() < 1e-15);
        assert!((found.se - (4.0 * 0.45_f64.powi(2) / 3.0 / 4.0).sqrt()).abs() < 1e-15);
        assert!((found.bias - -0.5 * (2.0 * (1.44 + 0.09) / 4.0 - 1.0) / 4.0).abs() < 1e-15);
    }
}
