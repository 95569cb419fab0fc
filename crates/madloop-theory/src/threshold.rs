//! How much synthetic data is safe.

use crate::gaussian::{check_count, check_lambda};
use crate::limit::{Chains, Effort, ROUNDS, Start};
use crate::samples::SampleCurve;
use crate::second::Stationary;
use crate::{Estimate, GaussianLoop, RealCovariance, Result, TheoryError};

/// Amounts of synthetic data beyond this count as without bound.
const LARGEST: f64 = 1e12;
/// Corrections of the root; each makes the last one's error about 10 times smaller.
const STEPS: u32 = 12;
/// Half-width of the 95 % interval that is aimed for, in multiples of the effort's relative standard error.
const INTERVAL: f64 = 6.0;

/// The largest admissible amount of synthetic data (n_e >= n_real).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Threshold {
    /// It, rounded down; 0 when any synthetic sample harms; `None` when no amount does.
    pub n_synthetic_max: Option<u64>,
    /// A 95 % interval of the point where n_e = n_real, from the standard error of the limit there.
    pub ci: Option<(f64, f64)>,
    /// No amount harms: lambda = 1, or a limit without synthetic diversity, dist = tr S, that is still no worse than n_real samples.
    pub unbounded: bool,
}

/// The threshold on N(0, I) in `dim` dimensions; see [`threshold_on`].
///
/// # Errors
/// As [`threshold_on`], and dim = 0.
pub fn threshold(dim: usize, n_real: u64, lambda: f64, effort: Effort) -> Result<Threshold> {
    let covariance = RealCovariance::Identity(dim);
    threshold_on(&SampleCurve::new(&covariance)?, &covariance, n_real, lambda, effort)
}

/// The largest n_synthetic with which the fresh-data loop (history 1) of `n_real` samples a generation has n_e >= n_real, that is
/// lim E dist <= E dist(G(n_real), P_r).
///
/// A Gaussian model with the exact stationary moments predicts the limit within a few percent, without noise. The root is
/// that of the prediction times a correction, simulated at the root itself and repeated until it stays put; every
/// simulation sees the same random numbers, so the correction changes smoothly. Limits are made more exact until the 95 %
/// interval reaches no more than 6 `effort.relative_se` of the root (of 1, below 1) to each side, or until a limit's own
/// effort is spent. When the limit crosses more than once the largest crossing is meant.
///
/// # Errors
/// n_real below 2, lambda outside \[0, 1\], a curve of other real data.
pub fn threshold_on(
    curve: &SampleCurve,
    covariance: &RealCovariance,
    n_real: u64,
    lambda: f64,
    effort: Effort,
) -> Result<Threshold> {
    check_lambda(lambda)?;
    check_count("n_real", n_real)?;
    effort.check()?;
    if n_real < 2 {
        let must = "at least 2: a covariance has n - 1 degrees of freedom";
        return Err(TheoryError::Setting { name: "n_real", value: n_real as f64, must });
    }
    if curve.spectrum() != covariance.spectrum()? {
        let value = curve.spectrum().len() as f64;
        return Err(TheoryError::Setting { name: "the rank of the curve", value, must: "of the same real covariance" });
    }
    let target = curve.at(n_real as f64).mean;
    if lambda == 1.0 || target >= curve.traces().first {
        return Ok(Threshold { n_synthetic_max: None, ci: None, unbounded: true });
    }
    let coarse = curve.coarse();
    let prediction = Prediction { curve: &coarse, n_real: n_real as f64, lambda };
    let simulate = |n_synthetic: f64, relative_se: f64| {
        let settings = GaussianLoop {
            covariance: covariance.clone(),
            ..GaussianLoop::fresh_data(1, n_real, n_synthetic as u64, lambda)
        };
        let mut chains = Chains::new(curve, &settings, effort.seed);
        loop {
            let Estimate { mean, se } = chains.round();
            if se <= relative_se * mean || chains.rounds >= ROUNDS {
                return (Estimate { mean, se }, se > relative_se * mean);
            }
        }
    };
    let target_se = curve.at(n_real as f64).se / target;
    // The correction is the log of what was measured over what was predicted there, reach the 95 % interval's.
    let (mut correction, mut reach) = (0.0, 0.0);
    let mut root = prediction.root(target, correction);
    let mut precision = effort.relative_se;
    let bounds = |correction: f64, reach: f64| {
        (prediction.root(target, correction + reach), prediction.root(target, correction - reach))
    };
    for _ in 0..STEPS {
        let (before, at) = (root, root.round().max(1.0));
        let (measured, exhausted) = simulate(at, precision);
        correction = (measured.mean / prediction.at(at)).ln();
        reach = 1.96 * (measured.se / measured.mean).hypot(target_se);
        root = prediction.root(target, correction);
        if root > LARGEST {
            break;
        }
        let (low, high) = bounds(correction, reach);
        let half = (high - low) / 2.0;
        let wide = half > INTERVAL * effort.relative_se * root.max(1.0);
        if wide && !exhausted {
            precision = (precision / 4.0).min(measured.se / measured.mean / 2.0);
        } else if (root - before).abs() <= 0.1 * half {
            break;
        }
    }
    if root > LARGEST {
        return Ok(Threshold { n_synthetic_max: None, ci: None, unbounded: true });
    }
    let (low, high) = bounds(correction, reach);
    Ok(Threshold { n_synthetic_max: Some(root.floor() as u64), ci: Some((low, high)), unbounded: false })
}

/// The threshold as predicted, without simulation: within a few percent of [`threshold_on`]. 0 when any amount harms, infinite
/// when none does.
///
/// # Errors
/// As [`threshold_on`].
pub(crate) fn predicted(coarse: &SampleCurve, n_real: u64, lambda: f64) -> Result<f64> {
    check_lambda(lambda)?;
    let target = coarse.w2_sq(n_real as f64)?.mean;
    if lambda == 1.0 {
        return Ok(f64::INFINITY);
    }
    let prediction = Prediction { curve: coarse, n_real: n_real as f64, lambda };
    let root = prediction.root(target, 0.0);
    Ok(if root > LARGEST { f64::INFINITY } else { root })
}

/// The limit as that of a Gaussian model with the loop's stationary moments.
struct Prediction<'a> {
    curve: &'a SampleCurve,
    n_real: f64,
    lambda: f64,
}

impl Prediction<'_> {
    fn at(&self, n_synthetic: f64) -> f64 {
        let exact = Stationary::of(self.curve.traces(), self.n_real, n_synthetic, self.lambda);
        Start::matching(self.curve.traces(), &exact, self.n_real).w2_sq(self.curve)
    }

    /// The largest amount, 0 at the least, at which the prediction times exp(`correction`) is no more than `target`.
    fn root(&self, target: f64, correction: f64) -> f64 {
        let admissible = |log: f64| self.at(log.exp()) * correction.exp() <= target;
        let step = 1.5_f64.ln();
        let mut high = LARGEST.ln() + step;
        let mut low = high - step;
        while low > 0.0 && !admissible(low) {
            (high, low) = (low, low - step);
        }
        if low <= 0.0 {
            if !admissible(0.0) {
                return 0.0;
            }
            low = 0.0;
        }
        while high - low > 1e-9 {
            let middle = f64::midpoint(low, high);
            if admissible(middle) { low = middle } else { high = middle }
        }
        low.exp()
    }
}
