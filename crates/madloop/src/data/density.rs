//! Densities of the known laws, and the regions that hold a given share of them.

use super::set::Known;
use super::sources::{GRID25_SIGMA, grid25_centres};

const LN_TAU: f64 = 1.837_877_066_409_345_3;

impl Known {
    /// ln p(x) in nats, p the density in the units of the samples:
    /// -(|x|^2 + d ln 2 pi) / 2; the mixture's; and -(x1^2 / 2 + (x2 - x1^2)^2) - ln(pi sqrt 2).
    pub fn log_density(self, x: &[f32]) -> f64 {
        let square = |v: f32| f64::from(v).powi(2);
        match self {
            Self::StandardGaussian { dim } => -0.5 * (x.iter().map(|&v| square(v)).sum::<f64>() + dim as f64 * LN_TAU),
            Self::Rosenbrock => {
                let (x1, x2) = (f64::from(x[0]), f64::from(x[1]));
                -(0.5 * x1 * x1 + (x2 - x1 * x1).powi(2)) + self.greatest()
            }
            Self::Grid25 => {
                let exponent = |centre: [f64; 2]| {
                    let from = |axis: usize| (f64::from(x[axis]) - centre[axis]) / GRID25_SIGMA;
                    -0.5 * (from(0).powi(2) + from(1).powi(2))
                };
                let exponents = grid25_centres().map(exponent);
                let most = exponents.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                self.greatest() + most + exponents.iter().map(|e| (e - most).exp()).sum::<f64>().ln()
            }
        }
    }

    /// ln of the greatest density (of the grid: of one mode alone, which is the same to 1e-21).
    fn greatest(self) -> f64 {
        match self {
            Self::StandardGaussian { dim } => -0.5 * dim as f64 * LN_TAU,
            Self::Rosenbrock => -LN_TAU + 0.5 * std::f64::consts::LN_2,
            Self::Grid25 => -LN_TAU - 2.0 * GRID25_SIGMA.ln() - 25.0_f64.ln(),
        }
    }

    /// ln p on the border of the region of highest density that holds `share` of a two-dimensional law; `None` in other dimensions.
    ///
    /// ln of the greatest density over p is (u^2 + v^2) / 2 with u, v independent and standard normal, that is exponential with mean 1: so the border is
    /// where it is -ln(1 - share). Of the grid this holds for each mode (they are 10 sigma apart).
    pub fn contour(self, share: f64) -> Option<f64> {
        match self {
            Self::StandardGaussian { dim } if dim != 2 => None,
            known => Some(known.greatest() + (1.0 - share).ln()),
        }
    }
}

#[cfg(test)]
mod tests {
    use madloop_core::{Seeds, Stream};

    use super::*;

    const ALL: [Known; 3] = [Known::StandardGaussian { dim: 2 }, Known::Grid25, Known::Rosenbrock];

    #[test]
    fn densities_integrate_to_one() {
        for known in ALL {
            // The midpoint rule on a smooth density that vanishes at the border is exact far beyond 1e-6.
            let (step, mut sum) = (0.02_f64, 0.0);
            for i in 0..1000 {
                for j in 0..2000 {
                    let x = [(f64::from(i) - 499.5) * step, (f64::from(j) - 499.5) * step];
                    sum += known.log_density(&x.map(|v| v as f32)).exp() * step * step;
                }
            }
            assert!((sum - 1.0).abs() < 1e-5, "{known:?}: {sum}");
        }
    }

    #[test]
    fn contours_hold_their_share() {
        for known in ALL {
            let n = 40_000;
            let set = known.source().draw(0..n, Stream::REAL, Seeds::new(3)).to_f32();
            for share in [0.5, 0.9, 0.99] {
                let border = known.contour(share).expect("two dimensions");
                let inside = set.chunks_exact(2).filter(|x| known.log_density(x) >= border).count() as f64 / n as f64;
                // Fixed seed; 6 standard errors.
                assert!(
                    (inside - share).abs() < 6.0 * (share * (1.0 - share) / n as f64).sqrt(),
                    "{known:?}: {inside}"
                );
            }
        }
        assert_eq!(Known::StandardGaussian { dim: 3 }.contour(0.5), None);
    }

    #[test]
    fn the_rosenbrock_law_has_its_entropy() {
        // E -ln p = ln(2 pi) - ln(2) / 2 + 1: the mean of an exponential is 1.
        let set = Known::Rosenbrock.source().draw(0..40_000, Stream::REAL, Seeds::new(3)).to_f32();
        let mean = set.chunks_exact(2).map(|x| -Known::Rosenbrock.log_density(x)).sum::<f64>() / 40_000.0;
        assert!((mean - (LN_TAU - 0.5 * 2.0_f64.ln() + 1.0)).abs() < 6.0 / 200.0, "{mean}");
    }
}
