//! The fresh data loop: exact first and second moments, their limit and how fast it is reached.

use madloop_core::SamplingBias;

use super::{at_least, not_negative};
use crate::Result;

/// First and second moments of a Gaussian loop: the mean's variance and the expected trace, in squared units of the data.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FreshMoments {
    /// V = E||mu_t - mu_0||^2.
    pub mean_variance: f64,
    /// tau = E tr Sigma_t.
    pub trace: f64,
}

/// The moment recursion of the fresh data loop with n_r fresh real samples and n_s of the previous model a generation.
///
/// With n = n_r + n_s, a = n_s / n and S = tr Sigma_r the trace of the true covariance (d for the paper's N(0, I_d)):
///
/// V' = (1-a)^2 S / n_r + a^2 V + (a lambda / n) tau
///
/// tau' = \[(n_r - n_r/n) S + (n_s - 1 + n_r/n) lambda tau + (n_r n_s / n) V\] / (n - 1)
///
/// Exact for every n_r >= 1, any dimension and any true covariance Sigma_r, with divisor n - 1: the pooled scatter is
/// that within both blocks plus (n_r n_s / n) times the outer product of the difference of their means (docs/theory.md).
/// The same holds entry by entry: E mu mu^T = (V/S) Sigma_r and E Sigma = (tau/S) Sigma_r.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FreshRecursion {
    // x' = matrix x + real S, x = (V, tau).
    matrix: [[f64; 2]; 2],
    real: [f64; 2],
}

impl FreshRecursion {
    /// The recursion of a loop; `n_synthetic` = 0 gives models of real data alone.
    ///
    /// # Errors
    /// n_real = 0 (the loop is fully synthetic and has no limit), or n_real + n_synthetic < 2.
    pub fn new(n_real: u64, n_synthetic: u64, lambda: SamplingBias) -> Result<Self> {
        let n_r = at_least("n_real", n_real, 1, "at least 1: without fresh data the loop is fully synthetic")?;
        let total = n_real.saturating_add(n_synthetic);
        let n = at_least("n_real + n_synthetic", total, 2, "at least 2: a covariance needs two samples")?;
        let (n_s, lambda) = (n_synthetic as f64, lambda.lambda());
        let a = n_s / n;
        let real = [n_r / (n * n), (n_r - n_r / n) / (n - 1.0)];
        let matrix = [[a * a, a * lambda / n], [n_r * a / (n - 1.0), lambda * (n_s - 1.0 + n_r / n) / (n - 1.0)]];
        Ok(Self { matrix, real })
    }

    /// The moments of the next generation, for a true covariance of trace `trace`.
    pub fn step(&self, moments: FreshMoments, trace: f64) -> FreshMoments {
        let [v, tau] = self.apply([moments.mean_variance, moments.trace]);
        FreshMoments { mean_variance: v + self.real[0] * trace, trace: tau + self.real[1] * trace }
    }

    /// The moments at generation t >= 1 (0 is taken for 1) when generation 1 has n_initial real samples: V = S / n_initial, tau = S.
    ///
    /// O(log t).
    ///
    /// # Errors
    /// n_initial < 2, or a trace that is negative or not finite.
    pub fn at(&self, t: u64, n_initial: u64, trace: f64) -> Result<FreshMoments> {
        let limit = self.fixed_point(trace)?;
        let n_initial = at_least("n_initial", n_initial, 2, "at least 2: a covariance needs two samples")?;
        let deviation = [trace / n_initial - limit.mean_variance, trace - limit.trace];
        let [v, tau] = Self { matrix: power(self.matrix, t.saturating_sub(1)), ..*self }.apply(deviation);
        Ok(FreshMoments { mean_variance: limit.mean_variance + v, trace: limit.trace + tau })
    }

    /// The limit of the moments, which no n_initial changes: the solution of (I - M) x = b S, by Cramer's rule.
    ///
    /// # Errors
    /// A trace that is negative or not finite.
    pub fn fixed_point(&self, trace: f64) -> Result<FreshMoments> {
        let trace = not_negative("the trace of the covariance", trace)?;
        let [[m, p], [q, r]] = self.matrix;
        let [b, c] = self.real;
        let det = (1.0 - m) * (1.0 - r) - p * q;
        let scale = trace / det;
        Ok(FreshMoments { mean_variance: scale * ((1.0 - r) * b + p * c), trace: scale * (q * b + (1.0 - m) * c) })
    }

    /// The factor by which the moments' distance from their limit shrinks in a generation, in the long run.
    ///
    /// The spectral radius of the recursion's matrix, in \[0, 1): close to a = n_s / n times the larger of a and lambda.
    /// ln(1/2) / ln(rate) generations halve the distance.
    pub fn contraction(&self) -> f64 {
        let [[m, p], [q, r]] = self.matrix;
        // Entries are not negative, so both eigenvalues are real and this one is the larger in size.
        0.5 * (m + r) + (0.25 * (m - r).powi(2) + p * q).sqrt()
    }

    fn apply(&self, [v, tau]: [f64; 2]) -> [f64; 2] {
        let [[m, p], [q, r]] = self.matrix;
        [m * v + p * tau, q * v + r * tau]
    }
}

fn power(mut base: [[f64; 2]; 2], mut exponent: u64) -> [[f64; 2]; 2] {
    let times =
        |x: [[f64; 2]; 2], y: [[f64; 2]; 2]| [0, 1].map(|i| [0, 1].map(|j| x[i][0] * y[0][j] + x[i][1] * y[1][j]));
    let mut product = [[1.0, 0.0], [0.0, 1.0]];
    while exponent > 0 {
        if exponent & 1 == 1 {
            product = times(product, base);
        }
        base = times(base, base);
        exponent >>= 1;
    }
    product
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::forms::testing::{assert_mean, fit, normals, replicates};

    fn recursion(n_real: u64, n_synthetic: u64, lambda: f64) -> FreshRecursion {
        FreshRecursion::new(n_real, n_synthetic, SamplingBias::new(lambda).expect("in range")).expect("valid")
    }

    /// Means and variances (per axis) of the loop by plain draws, the axes of a diagonal covariance being independent.
    fn simulated(seed: u64, n_real: usize, n_synthetic: usize, lambda: f64, t: u64) -> Vec<(f64, f64)> {
        let axes = [4.0, 0.25];
        replicates(seed, 40_000, |rng| {
            let (mut mean_square, mut trace) = (0.0, 0.0);
            for real in axes {
                let (mut mean, scatter) = fit(&normals(rng, 4, 0.0, real));
                let mut variance = scatter / 3.0;
                for _ in 1..t {
                    let mut set = normals(rng, n_real, 0.0, real);
                    set.extend(normals(rng, n_synthetic, mean, lambda * variance));
                    let (m, scatter) = fit(&set);
                    (mean, variance) = (m, scatter / (set.len() - 1) as f64);
                }
                mean_square += mean * mean;
                trace += variance;
            }
            (mean_square, trace)
        })
    }

    #[test]
    fn moments_follow_the_loop_of_plain_draws() {
        for (seed, n_r, n_s, lambda) in [(1, 3, 5, 1.0), (2, 1, 4, 0.7), (3, 5, 2, 0.4)] {
            let recursion = recursion(n_r, n_s, lambda);
            for t in [2, 4] {
                let runs = simulated(seed, n_r as usize, n_s as usize, lambda, t);
                let expected = recursion.at(t, 4, 4.25).expect("valid");
                assert_mean(runs.iter().map(|run| run.0), expected.mean_variance, 0.02);
                assert_mean(runs.iter().map(|run| run.1), expected.trace, 0.02);
            }
        }
    }

    #[test]
    fn the_limit_is_that_of_plain_draws() {
        let (n_r, n_s, lambda) = (4, 6, 0.8);
        let runs = simulated(4, n_r, n_s, lambda, 30);
        let limit = recursion(n_r as u64, n_s as u64, lambda).fixed_point(4.25).expect("valid");
        assert_mean(runs.iter().map(|run| run.0), limit.mean_variance, 0.02);
        assert_mean(runs.iter().map(|run| run.1), limit.trace, 0.02);
    }

    #[test]
    fn unbiased_large_loops_gain_what_the_mean_predicts() {
        // n_e / n_r = 1 + rho / (1 + rho) as n grows.
        let limit = recursion(1_000_000, 10_000_000, 1.0).fixed_point(1.0).expect("valid");
        assert!((1e-6 / limit.mean_variance / (1.0 + 10.0 / 11.0) - 1.0).abs() < 1e-5);
        let alone = recursion(50, 0, 0.3).fixed_point(2.0).expect("valid");
        assert!((alone.mean_variance - 0.04).abs() < 1e-16 && (alone.trace - 2.0).abs() < 1e-15);
    }

    proptest! {
        #[test]
        fn closed_form_and_steps_agree(n_real in 1_u64..500, n_synthetic in 1_u64..5000, lambda in 0.0..=1.0_f64) {
            let recursion = recursion(n_real, n_synthetic, lambda);
            let limit = recursion.fixed_point(3.0).expect("valid");
            let again = recursion.step(limit, 3.0);
            prop_assert!((again.mean_variance / limit.mean_variance - 1.0).abs() < 1e-12);
            prop_assert!((again.trace / limit.trace - 1.0).abs() < 1e-12);
            let mut moments = FreshMoments { mean_variance: 0.3, trace: 3.0 };
            for t in 1..20 {
                let closed = recursion.at(t, 10, 3.0).expect("valid");
                prop_assert!((closed.mean_variance - moments.mean_variance).abs() < 1e-12 * 3.0);
                prop_assert!((closed.trace - moments.trace).abs() < 1e-12 * 3.0);
                moments = recursion.step(moments, 3.0);
            }
            let rate = recursion.contraction();
            prop_assert!((0.0..1.0).contains(&rate), "{rate}");
            // Far from the start the distance shrinks by exactly that rate.
            let far = |t| recursion.at(t, 10, 3.0).expect("valid").mean_variance - limit.mean_variance;
            if rate > 0.3 && far(40).abs() > 1e-6 {
                prop_assert!((far(41) / far(40) / rate - 1.0).abs() < 0.1);
            }
        }
    }

    #[test]
    fn bad_settings_name_the_remedy() {
        let error = FreshRecursion::new(0, 5, SamplingBias::UNBIASED).expect_err("no real data").to_string();
        assert!(error.contains("n_real is 0") && error.contains("at least 1"), "{error}");
        assert!(FreshRecursion::new(1, 0, SamplingBias::UNBIASED).is_err());
        assert!(recursion(5, 5, 1.0).at(3, 1, 1.0).is_err());
        assert!(recursion(5, 5, 1.0).fixed_point(f64::INFINITY).is_err());
    }
}
