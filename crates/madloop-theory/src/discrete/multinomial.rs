//! Multinomial draws in O(v), whatever the number of samples.

use madloop_core::{Seeds, Stream};
use rand::{Rng, RngExt};
use rand_distr::Binomial;
use rayon::prelude::*;

use crate::{Result, TheoryError};

/// The most samples of one draw, 2^53: counts up to here are exact as f64.
pub const MAX_SAMPLES: u64 = 1 << 53;

/// Categories that share one stream of random numbers; a constant, as it is part of what a seed means.
const BLOCK: usize = 8192;

/// Counts of n samples from the distribution proportional to `weights` (`[v]`), under one address.
///
/// The conditional binomial method: the count of a category is binomial among those left, with its weight's share of the weight left. It
/// is taken between blocks of 8192 categories first, then within each, in parallel: O(v) binomials of O(1) each (Devroye
/// 1986, "Non-Uniform Random Variate Generation", XI.1.4). `row` < 2^32 addresses the draw within the seed, generation
/// and stream; counts are the same on any number of threads. Categories of weight 0 never occur. The counts sum to n.
///
/// # Errors
/// A weight that is negative or not finite, weights that are all 0, n above 2^53, row of 2^32 or more.
pub fn multinomial(weights: &[f64], n: u64, seeds: Seeds, stream: Stream, row: u64) -> Result<Vec<u64>> {
    if row >= 1 << 32 {
        return Err(TheoryError::Setting { name: "the row", value: row as f64, must: "below 2^32" });
    }
    if n > MAX_SAMPLES {
        return Err(TheoryError::Setting { name: "n", value: n as f64, must: "at most 2^53 = 9007199254740992" });
    }
    let weights = super::normalized(weights)?;
    let mut counts = vec![0; weights.len()];
    draw(&weights, n, seeds, stream, row, &mut counts);
    Ok(counts)
}

/// [`multinomial`] of checked settings, added to `counts`.
pub(super) fn draw(weights: &[f64], n: u64, seeds: Seeds, stream: Stream, row: u64, counts: &mut [u64]) {
    let address = |block: usize| seeds.rng(stream, row << 32 | block as u64);
    if weights.len() <= BLOCK {
        return split(weights, n, &mut address(0), counts);
    }
    let masses: Vec<f64> = weights.par_chunks(BLOCK).map(|block| block.iter().sum()).collect();
    let mut shares = vec![0; masses.len()];
    split(&masses, n, &mut address(0), &mut shares);
    let blocks = counts.par_chunks_mut(BLOCK).zip(weights.par_chunks(BLOCK)).zip(shares).enumerate();
    blocks.for_each(|(i, ((counts, weights), share))| split(weights, share, &mut address(i + 1), counts));
}

/// The conditional binomial method, from the last category to the first: what is left then is a sum of plain prefixes.
fn split(weights: &[f64], mut n: u64, rng: &mut impl Rng, counts: &mut [u64]) {
    let prefixes: Vec<f64> = weights
        .iter()
        .scan(0.0, |sum, weight| {
            *sum += weight;
            Some(*sum)
        })
        .collect();
    for i in (0..weights.len()).rev() {
        if n == 0 {
            return;
        }
        if weights[i] > 0.0 {
            // The share is 1 for the first category that has any weight: it takes what is left. Rounding cannot make
            // a share exceed 1, since sums of numbers that are not negative never fall below a term.
            let count = match Binomial::new(n, weights[i] / prefixes[i]) {
                Ok(binomial) => rng.sample(binomial),
                Err(_) => 0,
            };
            counts[i] += count;
            n -= count;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: Stream = Stream::named("multinomial-test");

    fn of(weights: &[f64], n: u64, row: u64) -> Vec<u64> {
        multinomial(weights, n, Seeds::new(1), STREAM, row).expect("valid")
    }

    #[test]
    fn counts_sum_to_n_and_spare_the_impossible() {
        for n in [0, 1, 7, 1_000_000_000, MAX_SAMPLES] {
            let counts = of(&[0.0, 2.0, 0.0, 1.0, 1e-300, 0.0], n, 0);
            assert_eq!(counts.iter().sum::<u64>(), n);
            assert_eq!((counts[0], counts[2], counts[5]), (0, 0, 0));
        }
        let wide: Vec<f64> = (0..50_000).map(|i| if i % 3 == 0 { 0.0 } else { 1.0 / f64::from(i) }).collect();
        let counts = of(&wide, 123_456_789, 0);
        assert_eq!(counts.iter().sum::<u64>(), 123_456_789);
        assert!(counts.iter().step_by(3).all(|&count| count == 0));
        assert_eq!(of(&[1e308, 1e308], 10, 0).iter().sum::<u64>(), 10);
    }

    #[test]
    fn counts_have_multinomial_moments() {
        // More categories than a block; chi-square of v - 1 degrees of freedom has mean v - 1 and variance about 2 (v - 1).
        let v = 20_000;
        let weights: Vec<f64> = (1..=v).map(|i| 1.0 / f64::from(i)).collect();
        let sum: f64 = weights.iter().sum();
        let n = 10_000_000_000_u64;
        let counts = of(&weights, n, 3);
        let terms = counts.iter().zip(&weights).map(|(&count, weight)| {
            let expected = n as f64 * weight / sum;
            (count as f64 - expected).powi(2) / expected
        });
        let chi_square: f64 = terms.sum();
        let freedom = f64::from(v - 1);
        assert!((chi_square - freedom).abs() < 4.0 * (2.0 * freedom).sqrt(), "{chi_square}");
        // Covariance of two categories, n = 5: -n p q; variances n p (1 - p).
        let p = [0.5, 0.2, 0.3];
        let draws: Vec<Vec<u64>> = (0..50_000).map(|row| of(&p, 5, row)).collect();
        for i in 0..3 {
            for j in 0..3 {
                let product = |counts: &Vec<u64>| (counts[i] as f64 - 5.0 * p[i]) * (counts[j] as f64 - 5.0 * p[j]);
                let expected = 5.0 * p[i] * (f64::from(u8::from(i == j)) - p[j]);
                crate::forms::testing::assert_mean(draws.iter().map(product), expected, 0.03);
            }
        }
    }

    #[test]
    fn threads_do_not_matter() {
        let weights: Vec<f64> = (1..30_000).map(f64::from).collect();
        let on = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
            pool.install(|| of(&weights, 1_000_000, 0))
        };
        assert_eq!(on(1), on(3));
        assert_ne!(of(&weights, 1_000_000, 0), of(&weights, 1_000_000, 1));
    }

    #[test]
    fn bad_settings_name_the_remedy() {
        let error =
            |weights: &[f64], n, row| multinomial(weights, n, Seeds::new(0), STREAM, row).expect_err("bad").to_string();
        assert!(error(&[1.0, -0.5], 1, 0).contains("a probability is -0.5"));
        assert!(error(&[0.0], 1, 0).contains("at least one category") && error(&[], 1, 0).contains("category"));
        assert!(error(&[f64::NAN], 1, 0).contains("NaN"));
        assert!(error(&[1.0], MAX_SAMPLES + 1, 0).contains("2^53") && error(&[1.0], 1, 1 << 32).contains("2^32"));
    }
}
