//! The eigenvalues of a population's covariance, estimated from few samples.

use faer::MatRef;
use madloop_core::Features;

use crate::covariance::check_covariance;
use crate::error::{check_rows, check_set};
use crate::gram::Rows;
use crate::linalg::{eigenvalues, roots};
use crate::moments::{Moments, mean};
use crate::{MetricsError, Result};

/// Eigenvalues of a covariance estimated by linear shrinkage.
#[derive(Debug, Clone, PartialEq)]
pub struct Spectrum {
    /// Of every column that varies, falling, in squared units of the features; each above 0 unless d = 1 column varies alone.
    pub eigenvalues: Vec<f64>,
    /// rho in \[0, 1\].
    pub shrinkage: f64,
    /// Columns that are constant and left out.
    pub constant: usize,
}

/// The spectrum of `features` (`[n, d]`): eigenvalues (1 - rho) l_i + rho m of the covariance S shrunk towards m I, m = tr S / d.
///
/// rho = min(1, b^2 / |S - m I|^2), b^2 = (sum_k |x_k - mean|^4 - n |S|^2) / n^2, norms of Frobenius, S with divisor n:
/// the share that minimises the expected squared error to the population's covariance (Ledoit & Wolf 2004, J. Multivariate
/// Analysis 88:365). It needs no eigenvectors; for n > d it goes to 0 as 1/n, for n <= d it lifts the d - n + 1 eigenvalues of
/// S that are 0 only for want of samples. Columns without variance are left out: a model has none to lose there.
///
/// O(n d min(n, d)) time, min(n, d)^2 memory.
///
/// # Errors
/// Fewer than 2 rows; values that are not finite; no column that varies.
pub fn spectrum(features: &Features) -> Result<Spectrum> {
    check_set(features, "real")?;
    check_rows(features, "real", 2, "a covariance has n - 1 degrees of freedom")?;
    let (features, constant) = varying(features)?;
    let (n, d) = (features.rows, features.dim);
    let centre = mean(&features);
    let divisor = n as f64;
    let mut values = if d <= n {
        let mut covariance = Moments::new(&features)?.covariance;
        let scale = (divisor - 1.0) / divisor;
        covariance.iter_mut().for_each(|value| *value *= scale);
        eigenvalues(MatRef::from_column_major_slice(&covariance, d, d))?
    } else {
        let mut products = Rows::all(&features).about(&centre).gram();
        products.iter_mut().for_each(|value| *value /= divisor);
        let mut values = eigenvalues(MatRef::from_column_major_slice(&products, n, n))?;
        // One of the n is 0 since rows are centred; it and the d - n others are no part of the sample's rank.
        values.resize(d, 0.0);
        values
    };
    // What rounding puts below 0 is 0.
    values.iter_mut().for_each(|value| *value = value.max(0.0));
    values.sort_by(|a, b| b.total_cmp(a));
    let middle = values.iter().sum::<f64>() / d as f64;
    let apart: f64 = values.iter().map(|value| (value - middle).powi(2)).sum();
    let squares: f64 = values.iter().map(|value| value * value).sum();
    let fourth: f64 = (0..n).map(|row| length_sq(features.row(row), &centre).powi(2)).sum();
    let noise = ((fourth - divisor * squares) / (divisor * divisor)).max(0.0);
    let shrinkage = if apart > 0.0 { (noise / apart).min(1.0) } else { 1.0 };
    let unbiased = divisor / (divisor - 1.0);
    values.iter_mut().for_each(|value| *value = ((1.0 - shrinkage) * *value + shrinkage * middle) * unbiased);
    Ok(Spectrum { eigenvalues: values, shrinkage, constant })
}

fn length_sq(row: &[f32], centre: &[f64]) -> f64 {
    row.iter().zip(centre).map(|(&value, &centre)| (f64::from(value) - centre).powi(2)).sum()
}

/// The columns that vary, and how many do not.
fn varying(features: &Features) -> Result<(Features, usize)> {
    let first = features.row(0);
    let mut varies = vec![false; features.dim];
    for row in 1..features.rows {
        for ((varies, value), first) in varies.iter_mut().zip(features.row(row)).zip(first) {
            *varies |= value != first;
        }
    }
    let kept: Vec<usize> = (0..features.dim).filter(|&column| varies[column]).collect();
    if kept.is_empty() {
        return Err(MetricsError::NoVariance { set: "real", n: features.rows });
    }
    if kept.len() == features.dim {
        return Ok((features.clone(), 0));
    }
    let values = (0..features.rows).flat_map(|row| kept.iter().map(move |&column| features.row(row)[column])).collect();
    let constant = features.dim - kept.len();
    Ok((Features { rows: features.rows, dim: kept.len(), values }, constant))
}

/// The eigenvalues of a covariance matrix (`[d, d]`, symmetric), falling; those that rounding puts below 0 are 0.
///
/// # Errors
/// A matrix that is not a covariance: not symmetric, with values that are not finite, or with negative eigenvalues.
pub fn covariance_eigenvalues(covariance: &[f64], d: usize) -> Result<Vec<f64>> {
    let mut matrix = covariance.to_vec();
    check_covariance("the covariance", &mut matrix, d)?;
    let mut values = eigenvalues(MatRef::from_column_major_slice(&matrix, d, d))?;
    let scale = values.iter().fold(0.0_f64, |scale, value| scale.max(value.abs()));
    values = roots("the covariance", values, scale)?.into_iter().map(|root| root * root).collect();
    values.sort_by(|a, b| b.total_cmp(a));
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// x_ij = ((7 i^2 + 3 j^2 + 5 i j) mod 11) / 2.
    fn table(rows: usize, dim: usize) -> Features {
        let value = |i: usize, j: usize| ((7 * i * i + 3 * j * j + 5 * i * j) % 11) as f32 / 2.0;
        let values = (0..rows * dim).map(|at| value(at / dim, at % dim)).collect();
        Features { rows, dim, values }
    }

    /// sklearn.covariance.ledoit_wolf of scikit-learn 1.9.1; its eigenvalues times n / (n - 1).
    #[test]
    fn shrinkage_is_that_of_scikit_learn() {
        let few = spectrum(&table(4, 6)).expect("varies");
        assert!((few.shrinkage - 0.584_525_607_708_112_5).abs() < 1e-12, "{}", few.shrinkage);
        let expected = [
            3.517_986_612_913_528_4,
            2.264_779_648_627_117_2,
            1.324_094_749_758_207_4,
            0.978_268_551_789_272_4,
            0.978_268_551_789_272_3,
            0.978_268_551_789_271_1,
        ];
        for (value, expected) in few.eigenvalues.iter().zip(expected) {
            assert!((value / expected - 1.0).abs() < 1e-12, "{value} {expected}");
        }
        let round = spectrum(&table(6, 4)).expect("varies");
        assert_eq!(round.shrinkage, 1.0);
        assert!(round.eigenvalues.iter().all(|value| (value / 2.047_916_666_666_666_6 - 1.0).abs() < 1e-12));
    }

    #[test]
    fn many_rows_need_no_shrinkage_and_constant_columns_are_left_out() {
        let (rows, dim) = (4000, 3);
        let noise = |at: usize| ((at * 2_654_435_761) % 10_007) as f32 / 10_007.0;
        let value = |i: usize, j: usize| [10.0 * noise(3 * i + 1), 7.0, noise(3 * i + 2)][j];
        let values = (0..rows * dim).map(|at| value(at / dim, at % dim)).collect();
        let found = spectrum(&Features { rows, dim, values }).expect("varies");
        assert_eq!((found.eigenvalues.len(), found.constant), (2, 1));
        assert!(found.shrinkage < 0.01, "{}", found.shrinkage);
        assert!((found.eigenvalues[0] / (100.0 / 12.0) - 1.0).abs() < 0.05, "{:?}", found.eigenvalues);
    }

    #[test]
    fn what_has_no_spectrum_says_why() {
        let constant = Features { rows: 3, dim: 2, values: vec![1.0; 6] };
        assert!(matches!(spectrum(&constant), Err(MetricsError::NoVariance { .. })));
        let nan = Features { rows: 2, dim: 1, values: vec![1.0, f32::NAN] };
        assert!(matches!(spectrum(&nan), Err(MetricsError::NonFinite { row: 1, column: 0, .. })));
        assert!(spectrum(&Features { rows: 1, dim: 1, values: vec![1.0] }).is_err());
        assert!(covariance_eigenvalues(&[1.0, 2.0, 2.0, 1.0], 2).is_err());
        assert_eq!(covariance_eigenvalues(&[2.0, 0.0, 0.0, 5.0], 2).expect("a covariance"), [5.0, 2.0]);
    }
}
