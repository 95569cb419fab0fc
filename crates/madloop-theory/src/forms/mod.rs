//! Closed forms of Gaussian self-consuming loops, each with its validity and source.
//!
//! Conventions: generation 0 is the true law, generation 1 is trained on real data alone, and the sampling bias lambda
//! scales the covariance that generations from 2 on sample. Gaussian models are fitted by sample mean and covariance.
//! Formulas are exact expectations unless they say otherwise.

mod accumulate;
mod fresh;
mod mixing;
mod regression;
mod synthetic;
#[cfg(test)]
pub(crate) mod testing;
mod threshold;

pub use accumulate::{
    Divisor, accumulate_covariance_limit, accumulate_covariance_ratio, accumulate_mean_drift,
    subsample_covariance_ratio,
};
pub use fresh::{FreshMoments, FreshRecursion};
pub use mixing::{
    history_effective_ratio, retraining_max_mix, retraining_rate_bound, weighted_fresh_mean_variance,
    weighted_fresh_optimum,
};
pub use regression::{
    regression_accumulate_bound, regression_accumulate_error, regression_error, regression_replace_error,
};
pub use synthetic::{
    log_det_drift, log_variance_drift, synthetic_log_det_change, synthetic_mean_drift, synthetic_trace,
};
pub use threshold::{effective_dimension, threshold_large_n_real, threshold_large_n_real_spectrum};

use crate::{Result, TheoryError};

/// An integer setting that must be at least `least`, as f64.
fn at_least(name: &'static str, value: u64, least: u64, must: &'static str) -> Result<f64> {
    if value < least { Err(TheoryError::Setting { name, value: value as f64, must }) } else { Ok(value as f64) }
}

/// A real setting that must be finite and not negative.
fn not_negative(name: &'static str, value: f64) -> Result<f64> {
    if value >= 0.0 && value.is_finite() {
        Ok(value)
    } else {
        Err(TheoryError::Setting { name, value, must: "a finite number of at least 0" })
    }
}

/// A real setting that must be finite and above 0.
fn positive(name: &'static str, value: f64) -> Result<f64> {
    if value > 0.0 && value.is_finite() {
        Ok(value)
    } else {
        Err(TheoryError::Setting { name, value, must: "a finite number above 0" })
    }
}
