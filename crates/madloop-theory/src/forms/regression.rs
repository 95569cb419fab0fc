//! Linear regression retrained on its own labels: replacing them grows the error, accumulating them bounds it.

use super::{at_least, positive};
use crate::{Result, TheoryError};

/// The expected excess test error of least squares on real labels alone: sigma^2 d / (T - d - 1).
///
/// T samples of d Gaussian features x ~ N(0, Sigma) of any covariance of full rank, labels y = w.x + N(0, sigma^2); excess
/// error E (w_hat.x - w.x)^2 on new x, in squared units of y. From E (X^T X)^-1 = Sigma^-1 / (T - d - 1).
///
/// # Errors
/// dim = 0, samples <= dim + 1 (the expectation is infinite), a noise variance that is not above 0.
pub fn regression_error(dim: u64, samples: u64, noise_variance: f64) -> Result<f64> {
    let d = at_least("dim", dim, 1, "at least 1")?;
    let must = "at least dim + 2: with fewer the expected error is infinite";
    let t = at_least("samples", samples, dim.saturating_add(2), must)?;
    Ok(positive("the noise variance", noise_variance)? * d / (t - d - 1.0))
}

/// The expected excess error after `t` fits when each replaces the labels by those of the last: t sigma^2 d / (T - d - 1).
///
/// Fit 1 has real labels; fit s labels T samples by fit s - 1 plus new noise of the same variance. Linear in t (Mobahi et al.;
/// Dohmatob et al., arXiv:2402.07712; Gerstgrasser et al., arXiv:2404.01413). Exact, whether features are drawn anew or kept.
///
/// # Errors
/// t = 0, and those of [`regression_error`].
pub fn regression_replace_error(dim: u64, samples: u64, noise_variance: f64, t: u64) -> Result<f64> {
    Ok(fits(t)? * regression_error(dim, samples, noise_variance)?)
}

/// The expected excess error after `t` fits when labels accumulate: sigma^2 d / (T - d - 1) sum_{s=1..t} 1/s^2.
///
/// Fit s trains on s T samples: the real ones and T labelled by each earlier fit plus new noise, on the same T feature
/// vectors. Then w_s = w_{s-1} + (X^T X)^-1 X^T e_s / s, which gives the sum exactly (Gerstgrasser et al., arXiv:2404.01413).
///
/// # Errors
/// t = 0, and those of [`regression_error`].
pub fn regression_accumulate_error(dim: u64, samples: u64, noise_variance: f64, t: u64) -> Result<f64> {
    fits(t)?;
    // The rest of the series beyond m is 1/m - 1/(2 m^2) + 1/(6 m^3) - ...: a long sum is taken from its end.
    const SUMMED: u64 = 10_000;
    let sum: f64 = if t <= SUMMED {
        (1..=t).rev().map(|s| (s as f64).powi(-2)).sum()
    } else {
        let x = 1.0 / t as f64;
        SERIES - x * (1.0 - x * (0.5 - x / 6.0))
    };
    Ok(sum * regression_error(dim, samples, noise_variance)?)
}

/// What accumulation never exceeds: sigma^2 d / (T - d - 1) pi^2 / 6 (Gerstgrasser et al., arXiv:2404.01413), its limit too.
///
/// # Errors
/// Those of [`regression_error`].
pub fn regression_accumulate_bound(dim: u64, samples: u64, noise_variance: f64) -> Result<f64> {
    Ok(SERIES * regression_error(dim, samples, noise_variance)?)
}

/// pi^2 / 6, the sum of 1/s^2.
const SERIES: f64 = std::f64::consts::PI * std::f64::consts::PI / 6.0;

fn fits(t: u64) -> Result<f64> {
    if t == 0 {
        return Err(TheoryError::Setting { name: "t", value: 0.0, must: "at least 1: fit 1 is that of real labels" });
    }
    Ok(t as f64)
}

#[cfg(test)]
mod tests {
    use faer::Mat;
    use faer::linalg::solvers::Solve;

    use super::*;
    use crate::forms::testing::{assert_mean, normals, replicates};

    const D: usize = 3;
    const T: usize = 12;
    const NOISE: f64 = 0.5;

    /// Excess error of the last fit, by plain draws and normal equations; the true weights are 0, the features standard.
    fn simulated(seed: u64, fits: u64, accumulate: bool) -> Vec<f64> {
        replicates(seed, 20_000, |rng| {
            let x = Mat::from_fn(T, D, |_, _| normals(rng, 1, 0.0, 1.0)[0]);
            let mut weights = Mat::<f64>::zeros(D, 1);
            let mut rows: Vec<(usize, f64)> = Vec::new();
            for _ in 0..fits {
                if !accumulate {
                    rows.clear();
                }
                let noise = normals(rng, T, 0.0, NOISE);
                let fitted = &x * &weights;
                rows.extend((0..T).map(|i| (i, fitted[(i, 0)] + noise[i])));
                let gram = Mat::from_fn(D, D, |j, k| rows.iter().map(|&(i, _)| x[(i, j)] * x[(i, k)]).sum::<f64>());
                let target = Mat::from_fn(D, 1, |j, _| rows.iter().map(|&(i, y)| x[(i, j)] * y).sum::<f64>());
                weights = gram.llt(faer::Side::Lower).expect("full rank").solve(&target);
            }
            (0..D).map(|j| weights[(j, 0)].powi(2)).sum()
        })
    }

    #[test]
    fn errors_follow_plain_draws() {
        let (d, t) = (D as u64, T as u64);
        assert_mean(simulated(1, 1, false), regression_error(d, t, NOISE).expect("valid"), 0.01);
        assert_mean(simulated(2, 6, false), regression_replace_error(d, t, NOISE, 6).expect("valid"), 0.01);
        assert_mean(simulated(3, 6, true), regression_accumulate_error(d, t, NOISE, 6).expect("valid"), 0.01);
    }

    #[test]
    fn accumulation_approaches_its_bound() {
        let at = |t| regression_accumulate_error(5, 20, 2.0, t).expect("valid");
        let bound = regression_accumulate_bound(5, 20, 2.0).expect("valid");
        assert!(at(1) < at(2) && at(10_000) < at(10_001) && at(1_000_000) < bound);
        assert!((at(10_001) - at(10_000) - 10.0 / 14.0 * 10_001_f64.powi(-2)).abs() < 1e-15);
        assert!((at(1_000_000_000) / bound - 1.0).abs() < 1e-9);
    }

    #[test]
    fn bad_settings_name_the_remedy() {
        let error = regression_error(5, 6, 1.0).expect_err("too few").to_string();
        assert!(error.contains("samples is 6") && error.contains("dim + 2"), "{error}");
        assert!(regression_error(0, 6, 1.0).is_err() && regression_error(2, 6, 0.0).is_err());
        assert!(regression_replace_error(2, 6, 1.0, 0).is_err() && regression_accumulate_error(2, 6, 1.0, 0).is_err());
    }
}
