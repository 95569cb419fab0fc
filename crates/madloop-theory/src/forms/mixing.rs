//! How real and synthetic data are best mixed: several models, weights, stability of retraining.

use super::{at_least, not_negative, positive};
use crate::{Result, TheoryError};

/// n_e / n_r of the fresh data loop at lambda = 1 when synthetic samples come uniformly from the K previous models.
///
/// 1 + rho K / (K + rho), rho = n_s / n_r: by the variance of the mean alone, as n_r -> infinity. The means are an
/// autoregression of order K with equal coefficients a / K, a = rho / (1 + rho), and innovations of variance tr Sigma / n,
/// n = n_r + n_s. All its autocorrelations up to lag K equal a / (K - a (K - 1)), so
/// V = (tr Sigma / n) / (1 - a^2 / (K - a (K - 1))), which is tr Sigma / n_e (PAPER.md section 2; the setting of
/// arXiv:2307.01850 v1, Fig. 30). Concave in K, 1 + rho at most. n_e by the full squared W2 is a little larger at small K.
///
/// # Errors
/// rho negative or not finite, or K = 0.
pub fn history_effective_ratio(rho: f64, k: u64) -> Result<f64> {
    let rho = not_negative("rho = n_synthetic / n_real", rho)?;
    let k = at_least("the history K", k, 1, "at least 1: a model that supplies samples")?;
    Ok(1.0 + rho * (k / (k + rho)))
}

/// The weight of real data that minimises the mean's variance in the weighted fresh data loop at lambda = 1.
///
/// w* = (sqrt(k^2 + 4 k) - k) / 2 with k = n_real / n_synthetic; synthetic data weighs 1 - w* (He et al., arXiv:2502.18049; at
/// k = 1 the reciprocal of the golden ratio). Minimises [`weighted_fresh_mean_variance`]. In (0, 1), increasing in k;
/// always above the plain share n_r / n = k / (1 + k): real data deserves more than its count.
///
/// # Errors
/// A ratio that is not finite or not above 0.
pub fn weighted_fresh_optimum(ratio: f64) -> Result<f64> {
    let k = positive("k = n_real / n_synthetic", ratio)?;
    // The conjugate form, without the cancellation at large k.
    Ok(2.0 / (1.0 + (1.0 + 4.0 / k).sqrt()))
}

/// The limit of E||mu_t - mu_0||^2 / tr Sigma for mu_t = w (mean of n_real fresh) + (1 - w) (mean of n_synthetic drawn from model t-1).
///
/// \[w^2 / n_real + (1-w)^2 / n_synthetic\] / \[1 - (1-w)^2\], for models that keep the true covariance: lambda = 1, to leading
/// order in 1/n (He et al., arXiv:2502.18049). w = n_real / n gives the unweighted loop.
///
/// # Errors
/// w outside (0, 1], n_real = 0 or n_synthetic = 0.
pub fn weighted_fresh_mean_variance(w: f64, n_real: u64, n_synthetic: u64) -> Result<f64> {
    if !(w > 0.0 && w <= 1.0) {
        return Err(TheoryError::Setting {
            name: "the weight w of real data",
            value: w,
            must: "above 0, or the mean drifts for ever, and at most 1",
        });
    }
    let n_r = at_least("n_real", n_real, 1, "at least 1")?;
    let n_s = at_least("n_synthetic", n_synthetic, 1, "at least 1")?;
    Ok((w * w / n_r + (1.0 - w).powi(2) / n_s) / (w * (2.0 - w)))
}

/// The bound rate = lambda c / (1 - lambda c), c = 1 + epsilon L / alpha, on how an error of the parameters passes through one retraining.
///
/// `mix` is lambda = n_synthetic / n_real (not the sampling bias), `epsilon` the distance (Wasserstein) of the best model
/// from the data, `lipschitz` L the Lipschitz constant in x of the log-likelihood's Hessian, `alpha` > 0 its strong concavity
/// at the optimum. Iterative retraining started close to the optimum stays close, at this linear rate or faster, if it is below 1, which is
/// lambda (1 + epsilon L / alpha) < 1/2 (Bertrand et al., arXiv:2310.00429, theorem 1). Sufficient, not necessary; infinite
/// samples. Infinity where lambda c >= 1: the bound then says nothing.
///
/// # Errors
/// A mix, epsilon or L that is negative or not finite, or an alpha that is not above 0.
pub fn retraining_rate_bound(mix: f64, epsilon: f64, lipschitz: f64, alpha: f64) -> Result<f64> {
    let x = not_negative("the mix n_synthetic / n_real", mix)? * amplification(epsilon, lipschitz, alpha)?;
    Ok(if x < 1.0 { x / (1.0 - x) } else { f64::INFINITY })
}

/// The mix n_synthetic / n_real below which retraining is stable: 1 / (2 (1 + epsilon L / alpha)), at most 1/2.
///
/// The condition of [`retraining_rate_bound`] solved for the mix (Bertrand et al., arXiv:2310.00429).
///
/// # Errors
/// An epsilon or L that is negative or not finite, or an alpha that is not above 0.
pub fn retraining_max_mix(epsilon: f64, lipschitz: f64, alpha: f64) -> Result<f64> {
    Ok(0.5 / amplification(epsilon, lipschitz, alpha)?)
}

fn amplification(epsilon: f64, lipschitz: f64, alpha: f64) -> Result<f64> {
    let epsilon = not_negative("epsilon", epsilon)?;
    let lipschitz = not_negative("the Lipschitz constant L", lipschitz)?;
    Ok(1.0 + epsilon * lipschitz / positive("the concavity alpha", alpha)?)
}

#[cfg(test)]
mod tests {
    use rand::RngExt;
    use rand_distr::{ChiSquared, StandardNormal};

    use super::*;
    use crate::forms::testing::{assert_mean, normals, replicates};

    #[test]
    fn several_models_give_what_their_autoregression_says() {
        // The loop by block statistics in one dimension: means, chi-square scatters, uniform choice of the model.
        let (n_r, rho) = (1000_u64, 5_u64);
        for (seed, k) in [(1, 1_usize), (2, 4)] {
            let expected = history_effective_ratio(rho as f64, k as u64).expect("valid");
            let squares = replicates(seed, 20_000, |rng| {
                let mut models = vec![(0.0, 1.0); k];
                for t in 0..60_usize {
                    let mut left = rho * n_r;
                    let mut blocks = vec![(n_r, 0.0, 1.0)];
                    for (i, &(mean, variance)) in models.iter().enumerate() {
                        let share = rand_distr::Binomial::new(left, 1.0 / (k - i) as f64).expect("share");
                        let count = rng.sample(share);
                        left -= count;
                        blocks.push((count, mean, variance));
                    }
                    let (mut n, mut sum, mut squares) = (0.0, 0.0, 0.0);
                    for (count, mean, variance) in blocks {
                        let count_f = count as f64;
                        let m = mean + (variance / count_f).sqrt() * rng.sample::<f64, _>(StandardNormal);
                        let scatter = variance * rng.sample(ChiSquared::new(count_f - 1.0).expect("two samples"));
                        (n, sum, squares) = (n + count_f, sum + count_f * m, squares + scatter + count_f * m * m);
                    }
                    models[t % k] = (sum / n, (squares - sum * sum / n) / (n - 1.0));
                }
                models[59 % k].0.powi(2) * n_r as f64
            });
            assert_mean(squares, 1.0 / expected, 0.012);
        }
    }

    #[test]
    fn more_models_help_up_to_all_the_data() {
        let ratio = |k| history_effective_ratio(10.0, k).expect("valid");
        assert!((ratio(1) - 21.0 / 11.0).abs() < 1e-15 && (ratio(100) - 1.0 - 1000.0 / 110.0).abs() < 1e-14);
        assert!(ratio(u64::MAX) <= 11.0 && (1..50).all(|k| ratio(k + 1) > ratio(k)));
        assert_eq!(history_effective_ratio(0.0, 3), Ok(1.0));
    }

    #[test]
    fn the_optimal_weight_is_the_minimum() {
        for (k, expected) in [(0.25, 0.390_388_2), (1.0, 0.618_033_99), (4.0, 0.828_427_12)] {
            assert!((weighted_fresh_optimum(k).expect("valid") - expected).abs() < 1e-7);
        }
        for (n_r, n_s) in [(100, 100), (100, 900), (500, 20)] {
            let k = n_r as f64 / n_s as f64;
            let w = weighted_fresh_optimum(k).expect("valid");
            let at = |w| weighted_fresh_mean_variance(w, n_r, n_s).expect("valid");
            assert!(at(w) < at(w * 1.01) && at(w) < at(w * 0.99) && w > k / (1.0 + k));
            // The minimum is w / n_real.
            assert!((at(w) * n_r as f64 / w - 1.0).abs() < 1e-12);
        }
        assert!((weighted_fresh_optimum(1e18).expect("valid") - 1.0).abs() < 1e-15);
    }

    #[test]
    fn weighted_means_follow_plain_draws() {
        let (w, n_r, n_s) = (0.4, 8, 12);
        let squares = replicates(5, 40_000, |rng| {
            let mut mean = 0.0;
            for _ in 0..12 {
                let average = |values: Vec<f64>| values.iter().sum::<f64>() / values.len() as f64;
                let (real, own) = (average(normals(rng, n_r, 0.0, 1.0)), average(normals(rng, n_s, mean, 1.0)));
                mean = w * real + (1.0 - w) * own;
            }
            mean * mean
        });
        assert_mean(squares, weighted_fresh_mean_variance(w, 8, 12).expect("valid"), 0.01);
    }

    #[test]
    fn retraining_contracts_within_its_bound() {
        let max = retraining_max_mix(0.1, 5.0, 0.5).expect("valid");
        assert_eq!(max, 0.25);
        assert!((retraining_rate_bound(max, 0.1, 5.0, 0.5).expect("valid") - 1.0).abs() < 1e-14);
        assert_eq!(retraining_rate_bound(0.5, 0.1, 5.0, 0.5), Ok(f64::INFINITY));
        // The mean of a Gaussian that it fits perfectly: theta' = (theta* + mix theta) / (1 + mix), c = 1.
        let (mix, mut theta) = (0.3_f64, 1.0_f64);
        let rate = retraining_rate_bound(mix, 0.0, 5.0, 1.0).expect("valid");
        for t in 1..20 {
            theta = mix * theta / (1.0 + mix);
            assert!(theta <= rate.powi(t));
        }
    }

    #[test]
    fn bad_settings_name_the_remedy() {
        let error = history_effective_ratio(1.0, 0).expect_err("no model").to_string();
        assert!(error.contains("K is 0"), "{error}");
        assert!(history_effective_ratio(-1.0, 1).is_err() && weighted_fresh_optimum(0.0).is_err());
        assert!(weighted_fresh_mean_variance(0.0, 1, 1).is_err() && weighted_fresh_mean_variance(0.5, 1, 0).is_err());
        assert!(retraining_max_mix(0.1, 1.0, 0.0).is_err() && retraining_rate_bound(-0.1, 0.0, 0.0, 1.0).is_err());
    }
}
