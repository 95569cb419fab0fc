//! The fully synthetic Gaussian loop: martingale means and the drift of the log-variance.

use madloop_core::SamplingBias;

use super::{at_least, not_negative};
use crate::Result;

const TWO_SAMPLES: &str = "at least 2: a covariance with divisor n - 1 needs two samples";

/// E||mu_t - mu_0||^2 of the fully synthetic loop at generation t.
///
/// (tr Sigma_0 / n) (1 - lambda^t) / (1 - lambda), and t tr Sigma_0 / n at lambda = 1. Every generation trains on n
/// samples, the first on real ones; divisor n - 1; any covariance, any dimension. Follows from
/// mu_t | past ~ N(mu_{t-1}, (lambda / n) Sigma_{t-1}) (arXiv:2307.01850 v1, section 3.1) and [`synthetic_trace`].
/// In squared units of the data. 0 at t = 0, the true law.
///
/// # Errors
/// n < 2, or a trace that is negative or not finite.
pub fn synthetic_mean_drift(trace: f64, n: u64, lambda: SamplingBias, t: u64) -> Result<f64> {
    let trace = not_negative("the trace of the covariance", trace)?;
    let n = at_least("n", n, 2, TWO_SAMPLES)?;
    Ok(trace / n * geometric_sum(lambda.lambda(), t))
}

/// E tr Sigma_t of the fully synthetic loop: lambda^(t-1) tr Sigma_0 for t >= 1, whatever n is.
///
/// At lambda = 1 the expectation stays constant although Sigma_t -> 0 almost surely: it is carried by ever rarer seeds, so
/// averages of simulations fall below it once t approaches n (use [`log_det_drift`] there). Divisor n - 1.
/// Since E\[Sigma_t | past\] = lambda Sigma_{t-1} (arXiv:2307.01850 v1, section 3.1), it holds for every entry of Sigma.
///
/// # Errors
/// A trace that is negative or not finite.
pub fn synthetic_trace(trace: f64, lambda: SamplingBias, t: u64) -> Result<f64> {
    let trace = not_negative("the trace of the covariance", trace)?;
    Ok(trace * power(lambda.lambda(), t.saturating_sub(1)))
}

/// E ln(sigma_t^2 / sigma_{t-1}^2) of the fully synthetic loop in one dimension, for t >= 2.
///
/// ln lambda + psi((n-1)/2) - ln((n-1)/2), psi the digamma function, as sigma_t^2 = lambda sigma_{t-1}^2 chi^2_{n-1} / (n-1).
/// Always negative, -1/n - O(n^-2) at lambda = 1; -infinity at lambda = 0. Generation 1 drifts as at lambda = 1.
///
/// # Errors
/// n < 2.
pub fn log_variance_drift(n: u64, lambda: SamplingBias) -> Result<f64> {
    log_det_drift(1, n, lambda)
}

/// E ln(det Sigma_t / det Sigma_{t-1}) of the fully synthetic loop in `dim` dimensions, for t >= 2.
///
/// d ln lambda + sum_{i=1..d} \[psi((n-i)/2) - ln((n-1)/2)\]: the mean log-determinant of a Wishart matrix of n - 1 degrees
/// of freedom over n - 1 (Muirhead 1982, "Aspects of Multivariate Statistical Theory", theorem 3.2.15). Independent of
/// Sigma_{t-1}, hence exact for any true covariance of full rank. Relative accuracy about 1e-13, also where n >> d and the
/// terms all but cancel; cost O(d).
///
/// # Errors
/// dim = 0, or n <= dim: the covariance is singular and has no log-determinant.
pub fn log_det_drift(dim: u64, n: u64, lambda: SamplingBias) -> Result<f64> {
    let d = at_least("dim", dim, 1, "at least 1")?;
    let n = at_least("n", n, dim.saturating_add(1).max(2), "more than dim: with fewer the covariance is singular")?;
    let unbiased: f64 = (1..=dim)
        .map(|i| {
            let i = i as f64;
            // psi(x_i) - ln(x_1), without the cancellation of two logarithms.
            digamma_less_ln((n - i) / 2.0) + (-(i - 1.0) / (n - 1.0)).ln_1p()
        })
        .sum();
    Ok(d * lambda.lambda().ln() + unbiased)
}

/// E ln(det Sigma_t / det Sigma_0): t steps of [`log_det_drift`], of which the first, on real data, has no lambda.
///
/// 0 at t = 0; -infinity for lambda = 0 and t >= 2.
///
/// # Errors
/// Those of [`log_det_drift`].
pub fn synthetic_log_det_change(dim: u64, n: u64, lambda: SamplingBias, t: u64) -> Result<f64> {
    let unbiased = log_det_drift(dim, n, SamplingBias::UNBIASED)?;
    let biased_steps = t.saturating_sub(1);
    let bias = if biased_steps == 0 { 0.0 } else { biased_steps as f64 * dim as f64 * lambda.lambda().ln() };
    Ok(t as f64 * unbiased + bias)
}

/// 1 + x + ... + x^(t-1) for x in \[0, 1\].
fn geometric_sum(x: f64, t: u64) -> f64 {
    if x == 1.0 {
        return t as f64;
    }
    if x == 0.0 {
        return if t == 0 { 0.0 } else { 1.0 };
    }
    // expm1 keeps the digits as x -> 1, where 1 - x^t and 1 - x both vanish.
    -(t as f64 * (x - 1.0).ln_1p()).exp_m1() / (1.0 - x)
}

/// x^t with 0^0 = 1.
fn power(x: f64, t: u64) -> f64 {
    x.powf(t as f64)
}

/// psi(x) - ln x for x > 0: upward recurrence, then the asymptotic series (Abramowitz & Stegun 6.3.5, 6.3.18).
fn digamma_less_ln(x: f64) -> f64 {
    const SERIES_FROM: f64 = 24.0;
    let (mut y, mut reciprocals) = (x, 0.0);
    while y < SERIES_FROM {
        reciprocals += 1.0 / y;
        y += 1.0;
    }
    let z = 1.0 / (y * y);
    let series = z * (1.0 / 12.0 - z * (1.0 / 120.0 - z * (1.0 / 252.0 - z * (1.0 / 240.0 - z / 132.0))));
    -0.5 / y - series - reciprocals + (y / x).ln()
}

#[cfg(test)]
mod tests {
    use faer::Mat;

    use super::*;
    use crate::forms::testing::{assert_mean, fit, normals, replicates};

    fn bias(lambda: f64) -> SamplingBias {
        SamplingBias::new(lambda).expect("in range")
    }

    #[test]
    fn digamma_has_its_known_values() {
        let euler = 0.577_215_664_901_532_9;
        let psi = |x: f64| digamma_less_ln(x) + x.ln();
        assert!((psi(1.0) + euler).abs() < 1e-14);
        assert!((psi(0.5) + euler + 2.0 * std::f64::consts::LN_2).abs() < 1e-14);
        assert!((psi(11.0) + euler - (1..=10).map(|k| 1.0 / f64::from(k)).sum::<f64>()).abs() < 1e-14);
        // Far out the difference is -1/(2x) - 1/(12 x^2); subtracting logarithms would leave no digit.
        let x = 1e15;
        assert!((digamma_less_ln(x) * 2.0 * x + 1.0).abs() < 1e-13);
    }

    #[test]
    fn means_follow_the_loop_of_plain_draws() {
        let (n, last) = (20, 3);
        for (seed, lambda) in [(1, 1.0), (2, 0.6)] {
            let runs = replicates(seed, 60_000, |rng| {
                let (mut mean, mut variance) = (0.0, 2.5);
                for t in 1..=last {
                    let scale = if t == 1 { 1.0 } else { lambda };
                    let (m, scatter) = fit(&normals(rng, n, mean, scale * variance));
                    (mean, variance) = (m, scatter / (n - 1) as f64);
                }
                (mean * mean, variance)
            });
            let drift = synthetic_mean_drift(2.5, 20, bias(lambda), last).expect("valid");
            assert_mean(runs.iter().map(|run| run.0), drift, 0.01);
            assert_mean(runs.iter().map(|run| run.1), synthetic_trace(2.5, bias(lambda), last).expect("valid"), 0.01);
        }
    }

    #[test]
    fn log_determinants_follow_the_loop_of_plain_draws() {
        let (d, n, lambda) = (3_usize, 6_usize, 0.8);
        let runs = replicates(3, 20_000, |rng| {
            // Sigma = F F^T; samples are F z.
            let mut factor = Mat::<f64>::identity(d, d);
            for t in 1..=2 {
                let scale: f64 = if t == 1 { 1.0 } else { lambda };
                let z = Mat::from_fn(d, n, |_, _| normals(rng, 1, 0.0, scale)[0]);
                let x = &factor * &z;
                let mean = Mat::from_fn(d, 1, |i, _| (0..n).map(|k| x[(i, k)]).sum::<f64>() / n as f64);
                let centred = Mat::from_fn(d, n, |i, k| x[(i, k)] - mean[(i, 0)]);
                let sigma = Mat::from_fn(d, d, |i, j| {
                    (0..n).map(|k| centred[(i, k)] * centred[(j, k)]).sum::<f64>() / (n - 1) as f64
                });
                factor = sigma.llt(faer::Side::Lower).expect("full rank").L().to_owned();
            }
            (0..d).map(|i| 2.0 * factor[(i, i)].ln()).sum()
        });
        let expected = synthetic_log_det_change(3, 6, bias(lambda), 2).expect("valid");
        assert_mean(runs, expected, 0.01);
    }

    #[test]
    fn limits_of_lambda_and_n() {
        let mean = |lambda, t| synthetic_mean_drift(1.0, 10, bias(lambda), t).expect("valid");
        assert_eq!((mean(1.0, 50), mean(0.0, 50), mean(0.5, 0), mean(0.3, 1)), (5.0, 0.1, 0.0, 0.1));
        assert!((mean(1.0 - 1e-12, 50) - 5.0).abs() < 1e-9);
        assert!((mean(0.5, 3) - 0.175).abs() < 1e-15);
        assert_eq!(synthetic_trace(2.0, bias(0.0), 1), Ok(2.0));
        assert_eq!(synthetic_trace(2.0, bias(0.5), 3), Ok(0.5));
        assert!((log_variance_drift(1_000_000, bias(1.0)).expect("valid") * 1e6 + 1.0).abs() < 1e-5);
        assert_eq!(log_variance_drift(5, bias(0.0)), Ok(f64::NEG_INFINITY));
        // n = 3: sigma^2 is exponential, and E ln of it is -gamma.
        assert!((log_variance_drift(3, bias(1.0)).expect("valid") + 0.577_215_664_901_532_9).abs() < 1e-14);
    }

    #[test]
    fn bad_settings_name_the_remedy() {
        let error = log_det_drift(5, 5, bias(1.0)).expect_err("singular").to_string();
        assert!(error.contains("n is 5") && error.contains("more than dim"), "{error}");
        assert!(log_det_drift(0, 5, bias(1.0)).is_err() && log_variance_drift(1, bias(1.0)).is_err());
        assert!(synthetic_mean_drift(f64::NAN, 5, bias(1.0), 1).is_err());
        assert!(synthetic_mean_drift(1.0, 1, bias(1.0), 1).is_err());
        assert!(synthetic_trace(-1.0, bias(1.0), 1).is_err());
    }
}
