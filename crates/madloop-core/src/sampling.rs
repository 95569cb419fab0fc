//! The sampling bias lambda.

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// The sampling bias lambda in \[0, 1\] (PAPER.md section 1): 1 samples the model as it is, values
/// towards 0 trade diversity for quality until only the modes are left.
///
/// What lambda scales is the model family's affair: a Gaussian's covariance, a flow's latent
/// variance, a diffusion model's guidance w = (1 - lambda) / lambda.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct SamplingBias(f64);

impl SamplingBias {
    /// lambda = 1: samples are drawn as the model has them.
    pub const UNBIASED: Self = Self(1.0);

    /// Checks that lambda is a number in \[0, 1\].
    pub fn new(lambda: f64) -> Result<Self> {
        if (0.0..=1.0).contains(&lambda) { Ok(Self(lambda)) } else { Err(Error::SamplingBias(lambda)) }
    }

    /// lambda itself.
    pub fn lambda(self) -> f64 {
        self.0
    }

    /// sqrt(lambda): the factor of a deviation whose variance lambda scales.
    pub fn deviation_scale(self) -> f64 {
        self.0.sqrt()
    }
}

impl TryFrom<f64> for SamplingBias {
    type Error = Error;
    fn try_from(lambda: f64) -> Result<Self> {
        Self::new(lambda)
    }
}

impl From<SamplingBias> for f64 {
    fn from(bias: SamplingBias) -> f64 {
        bias.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lambda_is_checked() {
        for bad in [-0.01, 1.000_001, f64::NAN, f64::INFINITY] {
            assert!(SamplingBias::new(bad).unwrap_err().to_string().contains("from 0"));
        }
        for good in [0.0, 0.25, 1.0] {
            let bias = SamplingBias::new(good).expect("in range");
            assert_eq!(bias.lambda(), good);
            assert_eq!(bias.deviation_scale(), good.sqrt());
        }
    }
}
