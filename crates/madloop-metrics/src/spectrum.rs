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
