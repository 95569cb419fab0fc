//! The likelihood of held-out real samples under a model that knows its density.

use crate::{MetricsError, Result};

/// A mean with its 95 % interval, over samples drawn again.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LogLikelihood {
    /// The mean of ln p(x), in nats a sample.
    pub value: f64,
    /// Lower end: 1.96 standard errors below.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

impl LogLikelihood {
    /// The mean of `log_densities`, ln p(x) of each sample in nats.
    ///
    /// # Errors
    /// Undefined for fewer than 2 samples, and where the model gives one of them no density (ln p = -inf, or not a number).
    pub fn of(log_densities: &[f64]) -> Result<Self> {
        let n = log_densities.len();
        if n < 2 {
            return Err(MetricsError::TooFew { set: "real", n, needs: 2, why: "a mean with an interval needs two" });
        }
        if let Some(row) = log_densities.iter().position(|value| !value.is_finite()) {
            return Err(MetricsError::NoDensity { row, value: log_densities[row] });
        }
        let value = log_densities.iter().sum::<f64>() / n as f64;
        let variance = log_densities.iter().map(|l| (l - value).powi(2)).sum::<f64>() / (n - 1) as f64;
        let half = 1.96 * (variance / n as f64).sqrt();
        Ok(Self { value, low: value - half, high: value + half })
    }

    /// -ln p(x) / (d ln 2), in bits a dimension: what a sample of d numbers takes to write down. Its interval is turned around, as less is better.
    pub fn bits_per_dim(self, d: usize) -> Self {
        let bits = |nats: f64| -nats / (d as f64 * std::f64::consts::LN_2);
        Self { value: bits(self.value), low: bits(self.high), high: bits(self.low) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nats_and_bits() {
        let ln2 = std::f64::consts::LN_2;
        let found = LogLikelihood::of(&[-6.0 * ln2, -10.0 * ln2]).expect("two samples");
        assert!((found.value + 8.0 * ln2).abs() < 1e-12);
        // The deviation is sqrt(8) ln 2, the standard error 2 ln 2.
        assert!((found.high - found.value - 1.96 * 2.0 * ln2).abs() < 1e-12);
        let bits = found.bits_per_dim(4);
        assert!((bits.value - 2.0).abs() < 1e-12 && (bits.high - 2.0 - 1.96 * 2.0 / 4.0).abs() < 1e-12);
        assert!(bits.low < bits.value);
    }

    #[test]
    fn a_sample_without_density_is_named() {
        let error = LogLikelihood::of(&[0.0, f64::NEG_INFINITY]).expect_err("no density").to_string();
        assert!(error.contains("row 1") && error.contains("-inf"), "{error}");
        assert!(LogLikelihood::of(&[0.0]).is_err());
    }
}
