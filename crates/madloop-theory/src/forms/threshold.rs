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

#[cfg(test)]
mod tests {
    use faer::linalg::solvers::Llt;
    use faer::{Mat, Side};
    use rand::RngExt;
    use rand_chacha::ChaCha8Rng;
    use rand_distr::{ChiSquared, StandardNormal};

    use super::*;
    use crate::forms::FreshRecursion;
    use crate::forms::testing::{mean_se, replicates};

    fn bias(lambda: f64) -> SamplingBias {
        SamplingBias::new(lambda).expect("in range")
    }

    fn normal(rng: &mut ChaCha8Rng) -> f64 {
        rng.sample(StandardNormal)
    }

    /// Scatter of n standard normal samples about their mean, by Bartlett's decomposition: L L^T.
    fn scatter(rng: &mut ChaCha8Rng, d: usize, n: u64) -> Mat<f64> {
        let l = Mat::from_fn(d, d, |i, j| match i.cmp(&j) {
            std::cmp::Ordering::Less => 0.0,
            std::cmp::Ordering::Equal => rng.sample(ChiSquared::new((n - 1) as f64 - i as f64).expect("n > d")).sqrt(),
            std::cmp::Ordering::Greater => normal(rng),
        });
        &l * l.transpose()
    }

    /// The loop on N(0, diag(spectrum)), in whitened coordinates.
    struct Case<'a> {
        spectrum: &'a [f64],
        lambda: f64,
        n_r: u64,
        n_s: u64,
    }

    impl Case<'_> {
        /// sum_ij x_ij y_ij s_i s_j / (2 (s_i + s_j)): the squared W2 of covariances that differ by little, to second order.
        fn form(&self, x: &Mat<f64>, y: &Mat<f64>) -> f64 {
            let s = self.spectrum;
            let term = |i: usize, j: usize| x[(i, j)] * y[(i, j)] * s[i] * s[j] / (2.0 * (s[i] + s[j]));
            (0..s.len()).map(|i| (0..s.len()).map(|j| term(i, j)).sum::<f64>()).sum()
        }

        /// Squared W2 between N(0, D^1/2 sigma D^1/2) and N(0, D).
        fn w2_sq(&self, sigma: &Mat<f64>) -> f64 {
            let s = self.spectrum;
            let product = Mat::from_fn(s.len(), s.len(), |i, j| s[i] * sigma[(i, j)] * s[j]);
            let roots: f64 =
                product.self_adjoint_eigenvalues(Side::Lower).expect("finite").iter().map(|v| v.max(0.0).sqrt()).sum();
            (0..s.len()).map(|i| s[i] * (sigma[(i, i)] + 1.0)).sum::<f64>() - 2.0 * roots
        }

        /// n_r^2 times (covariance part of the loop's W2^2 less that of its newest real block alone), of one run.
        ///
        /// Terms of known expectation 0 are taken off: forms of the new real block's error alone (less its mean), and its products
        /// with what is independent of it. They are what is noisy.
        fn difference(&self, rng: &mut ChaCha8Rng) -> f64 {
            let d = self.spectrum.len();
            let (n_r, n_s) = (self.n_r as f64, self.n_s as f64);
            let n = n_r + n_s;
            let identity = Mat::<f64>::identity(d, d);
            let mut mean = Mat::from_fn(d, 1, |_, _| normal(rng) / n_r.sqrt());
            let mut sigma = scatter(rng, d, self.n_r) / faer::Scale(n_r - 1.0);
            let mut result = 0.0;
            // a^5 is what is left of the start, below 1e-6.
            for t in 0..5 {
                let factor = Llt::new(sigma.as_ref(), Side::Lower).expect("full rank").L().to_owned();
                let real_mean = Mat::from_fn(d, 1, |_, _| normal(rng) / n_r.sqrt());
                let noise = Mat::from_fn(d, 1, |_, _| normal(rng) * (self.lambda / n_s).sqrt());
                let own_mean = &mean + &factor * noise;
                let real = scatter(rng, d, self.n_r) / faer::Scale(n_r - 1.0);
                let own = &factor * (scatter(rng, d, self.n_s) * faer::Scale(self.lambda)) * factor.transpose();
                let gap = &real_mean - &own_mean;
                let rest = (own + &gap * gap.transpose() * faer::Scale(n_r * n_s / n)) / faer::Scale(n - 1.0);
                let kept = (n_r - 1.0) / (n - 1.0);
                sigma = &real * faer::Scale(kept) + &rest;
                mean = (real_mean * faer::Scale(n_r) + own_mean * faer::Scale(n_s)) / faer::Scale(n);
                if t == 4 {
                    let error = &real - &identity;
                    let expected_rest = &identity * faer::Scale(n_s / n * self.lambda);
                    let shift = &identity * faer::Scale(kept + n_s / n * self.lambda - 1.0);
                    let crossed = 2.0 * kept * self.form(&error, &(&rest - &expected_rest + &shift));
                    let constant = self.spectrum.iter().sum::<f64>()
                        * (effective_dimension(self.spectrum).expect("valid") + 1.0)
                        / 4.0;
                    let own_form = self.form(&error, &error) - constant / (n_r - 1.0);
                    let slope = kept * kept - 1.0 + 1.5 * n_s / n * (1.0 - self.lambda);
                    result = self.w2_sq(&sigma) - self.w2_sq(&real) - crossed - slope * own_form;
                }
            }
            result * n_r * n_r
        }

        /// The threshold that the simulated difference at n_s implies, with its standard error.
        fn implied(&self, seed: u64, runs: u64) -> (f64, f64) {
            let trace: f64 = self.spectrum.iter().sum();
            let (mean, se) = mean_se(replicates(seed, runs, |rng| self.difference(rng)));
            let recursion = FreshRecursion::new(self.n_r, self.n_s, bias(self.lambda)).expect("valid");
            let of_mean = recursion.fixed_point(trace).expect("valid").mean_variance - trace / self.n_r as f64;
            let difference = mean + of_mean * (self.n_r as f64).powi(2);
            let scale = 4.0 / (trace * self.n_s as f64 * (1.0 - self.lambda).powi(2));
            (self.n_s as f64 - difference * scale, se * scale)
        }
    }

    /// Thresholds implied at n_r and 2 n_r, extrapolated to n_r -> infinity, are the closed form's.
    fn assert_threshold(spectrum: &[f64], lambda: f64, n_r: u64, share: f64, runs: u64) {
        let expected = threshold_large_n_real_spectrum(spectrum, bias(lambda)).expect("valid").expect("bounded");
        let at = |n_r, seed| Case { spectrum, lambda, n_r, n_s: (expected * share) as u64 }.implied(seed, runs);
        let ((near, near_se), (far, far_se)) = (at(n_r, 1), at(2 * n_r, 2));
        let (limit, se) = (2.0 * far - near, (4.0 * far_se * far_se + near_se * near_se).sqrt());
        println!(
            "d {} lambda {lambda}: {near} +- {near_se}, {far} +- {far_se} -> {limit} +- {se}, form {expected}",
            spectrum.len()
        );
        assert!(se < 0.02 * expected, "{se} is too coarse");
        assert!((limit - expected).abs() < 4.0 * se + 0.01 * expected, "{limit} +- {se} is not {expected}");
        assert!((far - expected).abs() < 0.1 * expected);
    }

    #[test]
    fn simulation_implies_the_threshold() {
        assert_threshold(&[1.0], 0.7, 4000, 1.0, 40_000);
        assert_threshold(&[1.0], 0.85, 30_000, 0.5, 40_000);
        assert_threshold(&[1.0; 10], 0.7, 10_000, 1.0, 4000);
        assert_threshold(&[1.0; 10], 0.2, 2000, 1.5, 10_000);
        assert_threshold(&[9.0, 3.0, 1.0, 0.3, 0.1], 0.7, 8000, 1.0, 8000);
    }

    #[test]
    fn simulation_implies_the_threshold_in_a_hundred_dimensions() {
        assert_threshold(&[1.0; 100], 0.7, 50_000, 1.0, 100);
        assert_threshold(&[1.0; 100], 0.85, 200_000, 1.0, 100);
    }

    #[test]
    fn the_formula_has_its_values() {
        let at = |dim, lambda| threshold_large_n_real(dim, bias(lambda)).expect("valid");
        // d = 100: (4 x 1.3 + 101 x 1.06) / 0.09 and (4 x 1.15 + 101 x 1.0525) / 0.0225.
        assert!((at(100, 0.7).expect("bounded") - 112.26 / 0.09).abs() < 1e-9);
        assert!((at(100, 0.85).expect("bounded") - 110.9025 / 0.0225).abs() < 1e-8);
        assert_eq!((at(1, 0.0), at(3, 1.0)), (Some(9.0), None));
        for d in [1, 50] {
            assert!((1..20).all(|i| at(d, f64::from(i) / 20.0) > at(d, f64::from(i - 1) / 20.0)));
        }
    }

    #[test]
    fn spectra_have_their_dimension() {
        assert!((effective_dimension(&[3.0; 7]).expect("valid") - 7.0).abs() < 1e-14);
        assert_eq!(effective_dimension(&[0.0, 5e-324, 0.0]), Ok(1.0));
        // (2 / 5) (2 + 1/2 + 2 x 4/5).
        assert!((effective_dimension(&[4.0, 1.0]).expect("valid") - 1.64).abs() < 1e-15);
        assert!((effective_dimension(&[1e-200, 4e-200]).expect("valid") - 1.64).abs() < 1e-15);
        let of = |spectrum: &[f64]| threshold_large_n_real_spectrum(spectrum, bias(0.5)).expect("valid");
        assert!(
            (of(&[2.0; 4]).expect("bounded") / threshold_large_n_real(4, bias(0.5)).expect("valid").expect("bounded")
                - 1.0)
                .abs()
                < 1e-14
        );
    }

    #[test]
    fn bad_settings_name_the_remedy() {
        assert!(threshold_large_n_real(0, bias(0.5)).expect_err("no dimension").to_string().contains("dim is 0"));
        for bad in [&[][..], &[0.0], &[1.0, f64::NAN], &[1.0, -1.0]] {
            assert!(effective_dimension(bad).is_err());
        }
    }
}
