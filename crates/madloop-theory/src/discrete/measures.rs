//! Diversity of a categorical model, and temperature.

use madloop_core::SamplingBias;

use crate::Result;

/// Heterozygosity (Gini-Simpson index) 1 - sum p^2: the probability that two samples differ. In \[0, 1 - 1/v\].
///
/// `probabilities` (`[v]`) sum to 1; summed as sum p (1 - p), which is exactly 0 for a single category.
pub fn heterozygosity(probabilities: &[f64]) -> f64 {
    probabilities.iter().map(|p| p * (1.0 - p)).sum()
}

/// The distribution sampled under the bias lambda: p_i^(1/lambda) / sum_j p_j^(1/lambda), lambda in \[0, 1\].
///
/// lambda is the temperature: 1 leaves the model as it is, smaller values favour the frequent. lambda = 0 is the limit
/// lambda -> 0: only the mode is left, categories that share it in equal parts. (An extension of madloop to the paper's
/// lambda, chosen like temperature sampling of language models.) `probabilities` need not be normalised.
///
/// # Errors
/// A probability that is negative or not finite, or none above 0.
pub fn temper(probabilities: &[f64], lambda: SamplingBias) -> Result<Vec<f64>> {
    Ok(tempered(&super::normalized(probabilities)?, lambda))
}

/// [`temper`] of a distribution known to be one; the result is normalised up to rounding.
pub(super) fn tempered(probabilities: &[f64], lambda: SamplingBias) -> Vec<f64> {
    let lambda = lambda.lambda();
    if lambda == 1.0 {
        return probabilities.to_vec();
    }
    let mode = probabilities.iter().copied().fold(0.0, f64::max);
    let weight = |p: &f64| {
        if lambda == 0.0 { f64::from(u8::from(*p == mode)) } else { (p / mode).powf(1.0 / lambda) }
    };
    let weights: Vec<f64> = probabilities.iter().map(weight).collect();
    let sum: f64 = weights.iter().sum();
    weights.into_iter().map(|weight| weight / sum).collect()
}

/// How diverse a categorical model is, alone and beside the true distribution.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Diversity {
    /// 1 - sum p^2, see [`heterozygosity`].
    pub heterozygosity: f64,
    /// Heterozygosity over that of the true distribution; NaN if that has a single category.
    pub relative: f64,
    /// Shannon entropy -sum p ln p, nats.
    pub entropy: f64,
    /// Categories of positive probability.
    pub kept: u64,
    /// True probability of the categories that the model has lost, in \[0, 1\].
    pub lost_mass: f64,
    /// KL(model || truth) = sum p ln(p / pi), nats. The other direction is infinite once a category is lost. Infinite
    /// here if the model holds what the truth does not.
    pub kl: f64,
    /// Total variation, sum |p - pi| / 2, in \[0, 1\].
    pub total_variation: f64,
}

impl Diversity {
    /// Measures `model` (`[v]`) beside `truth` (`[v]`), both summing to 1.
    pub(super) fn of(model: &[f64], truth: &[f64], true_heterozygosity: f64) -> Self {
        let (mut heterozygosity, mut entropy, mut lost_mass, mut kl, mut distance) = (0.0, 0.0, 0.0, 0.0, 0.0);
        let mut kept = 0;
        for (&p, &pi) in model.iter().zip(truth) {
            if p > 0.0 {
                let log = p.ln();
                kept += 1;
                heterozygosity += p * (1.0 - p);
                entropy -= p * log;
                kl += p * (log - pi.ln());
                distance += (p - pi).abs();
            } else {
                lost_mass += pi;
                distance += pi;
            }
        }
        let relative = if true_heterozygosity > 0.0 { heterozygosity / true_heterozygosity } else { f64::NAN };
        // Rounding may leave -1e-17 where the value is 0.
        let (entropy, kl) = (f64::max(entropy, 0.0), f64::max(kl, 0.0));
        Self { heterozygosity, relative, entropy, kept, lost_mass, kl, total_variation: distance / 2.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bias(lambda: f64) -> SamplingBias {
        SamplingBias::new(lambda).expect("in range")
    }

    #[test]
    fn temperature_favours_the_frequent() {
        let p = [0.5, 0.25, 0.25, 0.0];
        assert_eq!(temper(&p, bias(1.0)), Ok(p.to_vec()));
        // Squares: 4 : 1 : 1.
        let halved = temper(&p, bias(0.5)).expect("valid");
        assert!((halved[0] - 2.0 / 3.0).abs() < 1e-15 && (halved[1] - 1.0 / 6.0).abs() < 1e-15);
        assert_eq!(halved[3], 0.0);
        assert_eq!(temper(&p, bias(0.0)), Ok(vec![1.0, 0.0, 0.0, 0.0]));
        assert_eq!(temper(&[2.0, 2.0, 1.0], bias(0.0)), Ok(vec![0.5, 0.5, 0.0]));
        // 1e-3^(1/1e-3) underflows; the mode does not.
        assert_eq!(temper(&[0.999, 0.001], bias(1e-3)), Ok(vec![1.0, 0.0]));
        assert!(temper(&[0.0, 0.0], bias(0.5)).is_err() && temper(&[f64::INFINITY], bias(0.5)).is_err());
    }

    #[test]
    fn measures_have_their_values() {
        let (model, truth) = ([0.5, 0.5, 0.0], [0.25, 0.5, 0.25]);
        let measured = Diversity::of(&model, &truth, heterozygosity(&truth));
        let ln2 = std::f64::consts::LN_2;
        assert_eq!((measured.heterozygosity, measured.relative), (0.5, 0.8));
        assert!((measured.entropy - ln2).abs() < 1e-15 && (measured.kl - 0.5 * ln2).abs() < 1e-15);
        assert_eq!((measured.kept, measured.lost_mass, measured.total_variation), (2, 0.25, 0.25));
        let point = Diversity::of(&[1.0, 0.0], &[1.0, 0.0], 0.0);
        assert!(point.relative.is_nan());
        assert_eq!((point.entropy, point.kl, point.heterozygosity), (0.0, 0.0, 0.0));
        assert_eq!(Diversity::of(&[0.5, 0.5], &[1.0, 0.0], 0.0).kl, f64::INFINITY);
        assert_eq!(heterozygosity(&[0.5, 0.25, 0.25]), 0.625);
    }
}
