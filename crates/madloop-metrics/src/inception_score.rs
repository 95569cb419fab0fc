//! The Inception Score.

use madloop_core::Features;
use rand_mt::Mt;

use crate::error::check_set;
use crate::kid::numpy_choice;
use crate::{MetricsError, Result};

/// Parts of the set whose scores are averaged.
pub const INCEPTION_SCORE_SPLITS: usize = 10;
/// The seed of the shuffle before.
const SEED: u32 = 2020;

/// Mean and standard deviation over splits.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct InceptionScore {
    /// From 1 to the number of classes.
    pub mean: f64,
    /// Divisor: the number of splits.
    pub std: f64,
}

/// The Inception Score of generated samples by their unnormalised log probabilities (`[n, classes]`): the mean over 10 splits of
///
/// exp(1/m sum over samples i of sum over classes c of p_ic (ln p_ic - ln q_c)), q = 1/m sum over i of p_i,
///
/// m being the samples of the split (T. Salimans et al. 2016, arXiv:1606.03498). As torch-fidelity: rows are shuffled by NumPy's
/// `RandomState(2020).permutation`, split s holds rows s n / 10 to (s + 1) n / 10, and all is f64.
///
/// # Errors
/// Undefined for n < 10 or values that are not finite.
pub fn inception_score(logits: &Features) -> Result<InceptionScore> {
    check_set(logits, "generated")?;
    let n = logits.rows;
    if n < INCEPTION_SCORE_SPLITS {
        let why = "each of its 10 splits needs a sample";
        return Err(MetricsError::TooFew { set: "generated", n, needs: INCEPTION_SCORE_SPLITS, why });
    }
    let order = numpy_choice(&mut Mt::new(SEED), n, n);
    let scores: Vec<f64> = (0..INCEPTION_SCORE_SPLITS)
        .map(|split| {
            let rows = split * n / INCEPTION_SCORE_SPLITS..(split + 1) * n / INCEPTION_SCORE_SPLITS;
            of_split(logits, &order[rows])
        })
        .collect();
    let count = scores.len() as f64;
    let mean = scores.iter().sum::<f64>() / count;
    let variance = scores.iter().map(|score| (score - mean) * (score - mean)).sum::<f64>() / count;
    Ok(InceptionScore { mean, std: variance.sqrt() })
}

fn of_split(logits: &Features, rows: &[u32]) -> f64 {
    let log_probabilities = |row: u32| {
        let row = logits.row(row as usize);
        let most = row.iter().fold(f32::NEG_INFINITY, |most, &value| most.max(value));
        let above = |value: f32| f64::from(value) - f64::from(most);
        let log_sum = row.iter().map(|&value| above(value).exp()).sum::<f64>().ln();
        row.iter().map(|&value| above(value) - log_sum).collect::<Vec<f64>>()
    };
    let m = rows.len() as f64;
    let mut q = vec![0.0; logits.dim];
    // sum over c of p_ic ln p_ic, summed over i; the rest is -m sum over c of q_c ln q_c.
    let mut negative_entropy = 0.0;
    for &row in rows {
        for (q, log) in q.iter_mut().zip(log_probabilities(row)) {
            let p = log.exp();
            *q += p / m;
            negative_entropy += if p > 0.0 { p * log } else { 0.0 };
        }
    }
    let of_mean: f64 = q.iter().filter(|&&q| q > 0.0).map(|q| q * q.ln()).sum();
    (negative_entropy / m - of_mean).exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOLDEN: [(usize, usize, f64, f64); 3] = [
        (1000, 8, 2.487650200010664, 0.03376581213987206),
        (57, 30, 2.1682005134379545, 0.14530745865440609),
        (10, 3, 1.0, 3.510833468576701e-17),
    ];

    /// Values from -4 to 4 by formula.
    fn logits(rows: usize, dim: usize) -> Features {
        let value = |at: usize| ((at * at * 31 + at * 17) % 801) as f32 / 100.0 - 4.0;
        Features { rows, dim, values: (0..rows * dim).map(value).collect() }
    }

    #[test]
    fn it_is_that_of_torch_fidelity() {
        // torch-fidelity 0.4.0: isc_features_to_metric(values, 10, True, 2020).
        for (rows, dim, mean, std) in GOLDEN {
            let found = inception_score(&logits(rows, dim)).expect("defined");
            assert!((found.mean / mean - 1.0).abs() < 1e-12, "{} {mean}", found.mean);
            assert!((found.std - std).abs() < 1e-12, "{} {std}", found.std);
        }
    }

    #[test]
    fn its_ends_are_1_and_the_number_of_classes() {
        let same = Features { rows: 40, dim: 5, values: vec![0.3; 200] };
        assert!((inception_score(&same).expect("defined").mean - 1.0).abs() < 1e-12);
        let mut sure = Features { rows: 1000, dim: 4, values: vec![0.0; 4000] };
        (0..1000).for_each(|row| sure.values[row * 4 + row % 4] = 1e4);
        let found = inception_score(&sure).expect("defined").mean;
        assert!(found > 3.9 && found <= 4.0 + 1e-12, "{found}");
        let few = Features { rows: 9, dim: 2, values: vec![0.0; 18] };
        assert!(inception_score(&few).expect_err("too few").to_string().contains('9'));
    }
}
