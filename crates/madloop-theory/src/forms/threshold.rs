//! How much synthetic data the fresh data loop bears when real data is plentiful.

use madloop_core::SamplingBias;

use super::{at_least, positive};
use crate::{Result, TheoryError};

/// The limit, as n_real -> infinity, of the n_synthetic beyond which synthetic data hurts the fresh data loop on N(0, I_d).
///
/// s* = \[4 (2 - lambda) + (d + 1) (1/2 + 3 lambda/2 - lambda^2)\] / (1 - lambda)^2
///
/// For n_synthetic = s held fixed, E W2^2 of the loop's limit less that of one model on n_real samples is
/// d s (1 - lambda)^2 (s - s*) / (4 n_real^2) + O(n_real^-3): below s* the effective sample size n_e exceeds n_real, above
/// it falls short. `None` at lambda = 1, where every amount helps. The largest admissible count is the integer below s*.
/// Applies where n_real >> d and n_real >> (1 - lambda) s*; the finite-n_real threshold differs by a relative
/// O((d + s*) / n_real). dist = squared W2 of arXiv:2307.01850 v1, section 4; derived step by step in docs/theory.md.
///
/// # Errors
/// dim = 0.
pub fn threshold_large_n_real(dim: u64, lambda: SamplingBias) -> Result<Option<f64>> {
    Ok(threshold(at_least("dim", dim, 1, "at least 1")?, lambda))
}

/// [`threshold_large_n_real`] on N(0, Sigma_r) of any covariance, by its eigenvalues: d becomes [`effective_dimension`].
///
/// Depends on the spectrum's shape, not its scale. Zero eigenvalues are left out, as a model has no variance there to lose.
///
/// # Errors
/// Those of [`effective_dimension`].
pub fn threshold_large_n_real_spectrum(eigenvalues: &[f64], lambda: SamplingBias) -> Result<Option<f64>> {
    Ok(threshold(effective_dimension(eigenvalues)?, lambda))
}

/// The dimension that a covariance has for [`threshold_large_n_real`]: (2 / tr Sigma) sum_ij s_i s_j / (s_i + s_j).
///
/// Over all pairs of positive eigenvalues s, i = j too. d for s = const; in \[1, d\]; independent of scale and order. One plain model on
/// n samples is at E W2^2 = (tr Sigma / n) (5 + d_eff) / 4 + O(n^-2) from its source, d_eff being this number. O(d^2).
///
/// # Errors
/// An eigenvalue that is negative or not finite, or none above 0.
pub fn effective_dimension(eigenvalues: &[f64]) -> Result<f64> {
    if let Some(&value) = eigenvalues.iter().find(|value| !(**value >= 0.0 && value.is_finite())) {
        return Err(TheoryError::Setting { name: "an eigenvalue", value, must: "a finite number of at least 0" });
    }
    let largest = positive("the largest eigenvalue", eigenvalues.iter().copied().fold(0.0, f64::max))?;
    // Relative to the largest, so that no product under- or overflows.
    let s: Vec<f64> = eigenvalues.iter().map(|value| value / largest).filter(|&value| value > 0.0).collect();
    let pairs: f64 = s.iter().map(|x| s.iter().map(|y| x * (y / (x + y))).sum::<f64>()).sum();
    Ok(2.0 * pairs / s.iter().sum::<f64>())
}

fn threshold(dimension: f64, lambda: SamplingBias) -> Option<f64> {
    let lambda = lambda.lambda();
    let gain = 4.0 * (2.0 - lambda) + (dimension + 1.0) * (0.5 + lambda * (1.5 - lambda));
    (lambda < 1.0).then(|| gain / (1.0 - lambda).powi(2))
}
