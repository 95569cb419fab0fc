//! Loops that keep every sample ever made: training on all of them, or on a fixed budget drawn from them.

use madloop_core::SamplingBias;

use super::{at_least, not_negative};
use crate::Result;

/// What the scatter of m samples is divided by to fit a covariance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Divisor {
    /// m: maximum likelihood.
    Samples,
    /// m - 1: unbiased for independent samples.
    SamplesLessOne,
}

const GENERATION: &str = "at least 1: generation 0 is the true law";
const TWO_SAMPLES: &str = "at least 2: a covariance needs two samples";

/// E Sigma_t = ratio x Sigma_0 of the accumulating loop at generation t >= 1: the ratio.
///
/// Generation 1 trains on n real samples; generation s on all n s: those and n of every earlier model. With divisor n s
/// the ratio is (1 - 1/n) prod_{s=2..t} \[1 - 1/s + (lambda/s)(1 - 1/(n s))\], which at lambda = 1 is
/// prod_{s=1..t} (1 - 1/(n s^2)) (Kazdan et al., arXiv:2410.16713). With divisor n s - 1 it is
/// prod_{s=2..t} \[n (s-1) - 1 + lambda (n - 1/s)\] / (n s - 1). Any dimension and covariance; exact; O(t).
/// Derivation in docs/theory.md.
///
/// # Errors
/// n < 2 or t = 0.
pub fn accumulate_covariance_ratio(n: u64, lambda: SamplingBias, divisor: Divisor, t: u64) -> Result<f64> {
    Ok(accumulate(n, lambda, divisor, t)?.0)
}

/// E||mu_t - mu_0||^2 of the accumulating loop at generation t >= 1, for a true covariance of trace `trace`.
///
/// (tr Sigma_0 / n) \[1 + lambda sum_{s=2..t} c_{s-1} / s^2\] with c of [`accumulate_covariance_ratio`]: the newest block is
/// 1/s of the pool and its mean has variance lambda Sigma_{s-1} / n about mu_{s-1}. Stays below
/// (tr Sigma_0 / n) pi^2 / 6 for ever with divisor n, while replacing gives t tr Sigma_0 / n at lambda = 1. Exact; O(t).
///
/// # Errors
/// n < 2, t = 0, or a trace that is negative or not finite.
pub fn accumulate_mean_drift(trace: f64, n: u64, lambda: SamplingBias, divisor: Divisor, t: u64) -> Result<f64> {
    let trace = not_negative("the trace of the covariance", trace)?;
    Ok(trace / n as f64 * accumulate(n, lambda, divisor, t)?.1)
}

/// The limit of [`accumulate_covariance_ratio`] for t -> infinity at lambda = 1 with divisor n s.
///
/// prod_{s>=1} (1 - 1/(n s^2)) = sin(pi / sqrt n) / (pi / sqrt n), by Euler's product for the sine: about 1 - pi^2 / (6 n).
/// For lambda < 1 the limit is 0: the pool's variance falls as t^-(1 - lambda), up to a constant.
///
/// # Errors
/// n < 2.
pub fn accumulate_covariance_limit(n: u64) -> Result<f64> {
    let x = std::f64::consts::PI / at_least("n", n, 2, TWO_SAMPLES)?.sqrt();
    Ok(x.sin() / x)
}

/// E Sigma_t = ratio x Sigma_0 of the accumulate-subsample loop at generation t >= 1: the ratio.
///
/// As [`accumulate_covariance_ratio`], but every model is trained on a fixed budget of n samples drawn without replacement
/// from the pool of n t (Kazdan et al., arXiv:2410.16713). With c = 1 (divisor n - 1) or 1 - 1/n (divisor n) the ratio is
///
/// c prod_{s=2..t} \[n (s-1) - 1 + (n-1) lambda c + (s-2)/s + lambda c (s-1)/s\] / (n s - 1),
///
/// which at lambda = 1 is c prod \[1 - (3 - 1/n) / (s (n s - 1))\] with divisor n: it converges above 0. With divisor n - 1 it is
/// prod \[1 + (1 - 3/s) / (n s - 1)\], which grows for ever, as t^(1/n): the model of a subsample is unbiased, and its
/// mean's error adds to the pool's variance. Any dimension and covariance; exact; O(t). Derived in docs/theory.md.
///
/// # Errors
/// n < 2 or t = 0.
pub fn subsample_covariance_ratio(n: u64, lambda: SamplingBias, divisor: Divisor, t: u64) -> Result<f64> {
    let n = at_least("n", n, 2, TWO_SAMPLES)?;
    at_least("t", t, 1, GENERATION)?;
    let lambda = lambda.lambda();
    let c = match divisor {
        Divisor::Samples => 1.0 - 1.0 / n,
        Divisor::SamplesLessOne => 1.0,
    };
    let step = |s: u64| {
        let s = s as f64;
        let within = n * (s - 1.0) - 1.0 + (n - 1.0) * lambda * c;
        (within + (s - 2.0) / s + lambda * c * (s - 1.0) / s) / (n * s - 1.0)
    };
    Ok(c * (2..=t).map(step).product::<f64>())
}

/// The covariance ratio at t, and n E||mu_t - mu_0||^2 / tr Sigma_0.
fn accumulate(n: u64, lambda: SamplingBias, divisor: Divisor, t: u64) -> Result<(f64, f64)> {
    let n = at_least("n", n, 2, TWO_SAMPLES)?;
    at_least("t", t, 1, GENERATION)?;
    let lambda = lambda.lambda();
    let mut ratio = match divisor {
        Divisor::Samples => 1.0 - 1.0 / n,
        Divisor::SamplesLessOne => 1.0,
    };
    let mut drift = 1.0;
    for s in 2..=t {
        let s = s as f64;
        drift += lambda * ratio / (s * s);
        ratio *= match divisor {
            Divisor::Samples => 1.0 - 1.0 / s + lambda / s * (1.0 - 1.0 / (n * s)),
            Divisor::SamplesLessOne => (n * (s - 1.0) - 1.0 + lambda * (n - 1.0 / s)) / (n * s - 1.0),
        };
    }
    Ok((ratio, drift))
}

#[cfg(test)]
mod tests {
    use rand::seq::index;

    use super::*;
    use crate::forms::testing::{assert_mean, fit, normals, replicates};

    const DIVISORS: [Divisor; 2] = [Divisor::Samples, Divisor::SamplesLessOne];

    fn bias(lambda: f64) -> SamplingBias {
        SamplingBias::new(lambda).expect("in range")
    }

    fn variance(scatter: f64, samples: usize, divisor: Divisor) -> f64 {
        match divisor {
            Divisor::Samples => scatter / samples as f64,
            Divisor::SamplesLessOne => scatter / (samples - 1) as f64,
        }
    }

    /// (mu_t^2, sigma_t^2) by plain draws, on the whole pool or on a subsample of n.
    fn simulated(seed: u64, n: usize, lambda: f64, divisor: Divisor, t: u64, subsample: bool) -> Vec<(f64, f64)> {
        replicates(seed, 60_000, |rng| {
            let mut pool = normals(rng, n, 0.0, 1.0);
            let mut model = (0.0, 0.0);
            for s in 1..=t {
                if s > 1 {
                    pool.extend(normals(rng, n, model.0, lambda * model.1));
                }
                let set: Vec<f64> = if subsample {
                    index::sample(rng, pool.len(), n).into_iter().map(|i| pool[i]).collect()
                } else {
                    pool.clone()
                };
                let (mean, scatter) = fit(&set);
                model = (mean, variance(scatter, set.len(), divisor));
            }
            (model.0 * model.0, model.1)
        })
    }

    #[test]
    fn accumulation_follows_plain_draws() {
        for (seed, divisor) in DIVISORS.into_iter().enumerate() {
            for lambda in [1.0, 0.6] {
                let runs = simulated(seed as u64, 3, lambda, divisor, 5, false);
                let ratio = accumulate_covariance_ratio(3, bias(lambda), divisor, 5).expect("valid");
                assert_mean(runs.iter().map(|run| run.1), ratio, 0.01);
                let drift = accumulate_mean_drift(1.0, 3, bias(lambda), divisor, 5).expect("valid");
                assert_mean(runs.iter().map(|run| run.0), drift, 0.01);
            }
        }
    }

    #[test]
    fn subsampling_follows_plain_draws() {
        for (seed, divisor) in DIVISORS.into_iter().enumerate() {
            for (lambda, t) in [(1.0, 6), (0.5, 4)] {
                let runs = simulated(10 + seed as u64, 3, lambda, divisor, t, true);
                let ratio = subsample_covariance_ratio(3, bias(lambda), divisor, t).expect("valid");
                assert_mean(runs.iter().map(|run| run.1), ratio, 0.01);
            }
        }
    }

    #[test]
    fn products_have_their_short_forms() {
        let product = |n: f64| (1..=40).map(|s| 1.0 - 1.0 / (n * f64::from(s * s))).product::<f64>();
        let ratio = accumulate_covariance_ratio(7, bias(1.0), Divisor::Samples, 40).expect("valid");
        assert!((ratio - product(7.0)).abs() < 1e-14);
        let short = 6.0 / 7.0
            * (2..=40).map(f64::from).map(|s| 1.0 - (3.0 - 1.0 / 7.0) / (s * (7.0 * s - 1.0))).product::<f64>();
        let ratio = subsample_covariance_ratio(7, bias(1.0), Divisor::Samples, 40).expect("valid");
        assert!((ratio - short).abs() < 1e-14);
        let short = (2..=40).map(f64::from).map(|s| 1.0 + (1.0 - 3.0 / s) / (7.0 * s - 1.0)).product::<f64>();
        let ratio = subsample_covariance_ratio(7, bias(1.0), Divisor::SamplesLessOne, 40).expect("valid");
        assert!((ratio - short).abs() < 1e-13);
    }

    #[test]
    fn accumulation_is_bounded() {
        for n in [2, 10, 1000] {
            let at = accumulate_covariance_ratio(n, bias(1.0), Divisor::Samples, 100_000).expect("valid");
            let limit = accumulate_covariance_limit(n).expect("valid");
            assert!(at > limit && at / limit - 1.0 < 1e-5, "{at} {limit}");
            let drift = accumulate_mean_drift(1.0, n, bias(1.0), Divisor::Samples, 100_000).expect("valid");
            assert!(drift * n as f64 <= std::f64::consts::PI.powi(2) / 6.0);
        }
        // lambda < 1 empties the pool as t^-(1 - lambda).
        let at = |t| accumulate_covariance_ratio(1000, bias(0.5), Divisor::Samples, t).expect("valid");
        assert!((at(40_000) / at(10_000) - 0.5).abs() < 1e-3);
    }

    #[test]
    fn bad_settings_name_the_remedy() {
        let error = accumulate_covariance_ratio(1, bias(1.0), Divisor::Samples, 3).expect_err("n = 1").to_string();
        assert!(error.contains("n is 1") && error.contains("at least 2"), "{error}");
        assert!(subsample_covariance_ratio(5, bias(1.0), Divisor::Samples, 0).is_err());
        assert!(accumulate_mean_drift(-1.0, 5, bias(1.0), Divisor::Samples, 1).is_err());
        assert!(accumulate_covariance_limit(0).is_err());
    }
}
