//! The effective sampling bias: how a generated set's variance relates to its training set's.

use madloop_core::Features;

use crate::error::{check_dims, check_rows, check_set};
use crate::gram::Rows;
use crate::principal::{DUAL_ROWS, PRIMAL_ROWS, Projected, dual, primal};
use crate::{MetricsError, Result};

/// The 97.5 % point of the standard normal distribution.
const Z: f64 = 1.959_963_984_540_054;

/// A generated set's variance over its training set's.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LambdaEff {
    /// The geometric mean of the ratios of variances over the directions. Range \[0, inf).
    pub value: f64,
    /// Lower end of the 95 % interval, value exp(-1.96 `se_log`).
    pub low: f64,
    /// Upper end of the 95 % interval, value exp(1.96 `se_log`).
    pub high: f64,
    /// Standard error of ln `value`; 0 when the value is exactly 0, as it then is for any rows of such a generator.
    pub se_log: f64,
    /// Directions that carry 95 % of the training variance.
    pub directions: usize,
    /// Training rows whose variance was taken.
    pub training_rows: usize,
    /// Generated rows whose variance was taken.
    pub generated_rows: usize,
}

/// The sampling bias that `generated` (`[m, d]`) shows against the set its model was trained on (`[n, d]`): its audit.
///
/// lambda_eff = exp((1/k) sum_j ln(g_j / t_j)), t_j and g_j the variances (divisors n - 1 and m - 1, each about its own mean)
/// of the training and the generated rows along v_j, j = 1..k: the leading principal directions of the *training* set,
/// the fewest that carry 95 % of its variance. Both sets are measured along the same directions, since those of
/// the generated set would follow its own noise. A sampler that scales every covariance by lambda (the paper's bias: Alemohammad
/// et al. 2023, arXiv:2307.01850, section 2) has lambda_eff = lambda; 1 says that the sampler brings in nothing unasked.
///
/// # Interval
/// With z_ij the projection of row i less its mean, the influence of row i on ln t_j is z_ij^2 / t_j - 1, and on the mean
/// of the logarithms w_i - 1, w_i = (1/k) sum_j z_ij^2 / t_j. The delta method gives
/// `se_log`^2 = var(w) / n + var(w') / m, w' likewise of the generated rows and g_j. It supposes no Gaussian tails and
/// no independence of directions. That the v_j are estimated adds nothing to first order: an eigenvalue has the influence
/// of the variance along its fixed eigenvector, and turning v_j changes g_j by 2 v_j^T S_g dv_j, which vanishes where
/// S_g is a multiple of S_t. It is normal, so too narrow below about 50 rows or with very heavy tails.
///
/// # What remains for few rows
/// A training set varies more along its own leading directions than its population does: along direction j by about
/// (1/n) sum_{i != j} l_i / (l_j - l_i) of it, over the d eigenvalues l. A generator that reproduces its training set's
/// covariance shows none of this; one that draws from the population itself falls short of the training set by as
/// much, and so does lambda_eff, whose interval knows scatter only: little where the spectrum falls steeply (0.99 at
/// n = 1000, d = 2048 and 77 directions), much where it is flat (0.65 there with 723). Where all
/// directions count (k = d) the sum cancels, and the spread of sample eigenvalues leaves a ratio about (d - 1) / (2 n)
/// too large. [`lambda_eff_fresh`] is free of this for the second generator, and too large for the first: the truth
/// about a sampler lies between the two.
///
/// # Rows
/// For d <= min(n, 1000) directions are eigenvectors of the covariance of at most 2000 rows, and variances are those
/// of all rows, up to max(2000, 1.5e9 / (d k)) of each set. Else directions come from the Gram matrix of at most 1000
/// centred training rows, whose variance they also measure, against at most 1000 generated rows: O(1000^2 d) time and
/// no d x d matrix. Fewer rows than there are means row floor(i n / rows) for i = 0, 1, ... .
///
/// # Errors
/// Undefined for fewer than 2 rows, values that are not finite or a training set of identical rows; an error when the
/// dimensions differ. A generated variance of 0, to the rounding of a projection, in any direction gives the value 0.
pub fn lambda_eff(training: &Features, generated: &Features) -> Result<LambdaEff> {
    check(training, generated, 2, "a variance has n - 1 degrees of freedom")?;
    let of_training = |cap| Rows::evenly(training, cap);
    by_cheaper_route(of_training, of_training, generated, false)
}

/// [`lambda_eff`] with directions from the even training rows and their variance from the odd ones, which took no part in
/// the choice of directions.
///
/// Without first-order bias, whatever n and d, for a generator whose covariance is lambda times that of the population; too large
/// for one that reproduces its training set's own covariance, whose even rows stand out along their directions. Each
/// mean of logarithms is freed of its bias to second order, -(1/k) sum_j var(z_ij^2 / t_j) / (2 n), since n / 2 odd rows
/// meet m generated ones. Rows, range and interval are as there, with n / 2 in place of n.
///
/// # Errors
/// As [`lambda_eff`]; undefined for fewer than 4 training rows.
pub fn lambda_eff_fresh(training: &Features, generated: &Features) -> Result<LambdaEff> {
    check(training, generated, 4, "each half has a variance")?;
    by_cheaper_route(|cap| Rows::of_half(training, 0, cap), |cap| Rows::of_half(training, 1, cap), generated, true)
}

fn check(training: &Features, generated: &Features, needs: usize, why: &'static str) -> Result<()> {
    check_set(training, "training")?;
    check_set(generated, "generated")?;
    check_dims(training, generated)?;
    check_rows(training, "training", needs, why)?;
    check_rows(generated, "generated", 2, "a variance has n - 1 degrees of freedom")
}

/// Directions from the rows `seen`, variances from the rows `measured`, each at most as many as it is asked for.
fn by_cheaper_route<'a>(
    seen: impl Fn(usize) -> Rows<'a>,
    measured: impl Fn(usize) -> Rows<'a>,
    generated: &Features,
    unbiased: bool,
) -> Result<LambdaEff> {
    let (training, generated) = if generated.dim <= seen(DUAL_ROWS).len() {
        primal(seen(PRIMAL_ROWS), measured, generated)?
    } else {
        dual(seen(DUAL_ROWS), measured(DUAL_ROWS), generated)?
    };
    if training.mean_log.is_none() {
        return Err(MetricsError::NoVariance { set: "training", n: training.rows });
    }
    Ok(compare(&training, &generated, unbiased))
}

fn compare(training: &Projected, generated: &Projected, unbiased: bool) -> LambdaEff {
    let bias = if unbiased { generated.bias - training.bias } else { 0.0 };
    let (value, se_log) = match (training.mean_log, generated.mean_log) {
        (Some(t), Some(g)) => ((g - t - bias).exp(), training.se.hypot(generated.se)),
        _ => (0.0, 0.0),
    };
    LambdaEff {
        value,
        low: value * (-Z * se_log).exp(),
        high: value * (Z * se_log).exp(),
        se_log,
        directions: training.directions,
        training_rows: training.rows,
        generated_rows: generated.rows,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linalg::eigenvectors;
    use crate::principal::leading;
    use crate::testing::{gaussian, in_pool};
    use faer::MatRef;
    use rayon::prelude::*;

    fn scaled(set: &Features, factor: f32) -> Features {
        Features { values: set.values.iter().map(|value| value * factor).collect(), ..set.clone() }
    }

    /// Rows with every coordinate w.e^t (e standard normal, by row), t a normal number: heavy tails that all directions share.
    fn heavy(seed: u64, rows: usize, dim: usize) -> Features {
        let (set, lengths) = (gaussian(seed, rows, dim, 0.0), gaussian(seed + 77_777, rows, 1, 0.0));
        let values = set.values.chunks_exact(dim).zip(&lengths.values);
        Features {
            values: values.flat_map(|(row, t)| row.iter().map(|v| v * (0.5 * t).exp()).collect::<Vec<_>>()).collect(),
            ..set
        }
    }

    /// Rows stretched to deviations 1, 1/2, 1/3, ...
    fn decaying(seed: u64, rows: usize, dim: usize) -> Features {
        let mut set = gaussian(seed, rows, dim, 1.0);
        set.values
            .chunks_exact_mut(dim)
            .for_each(|row| row.iter_mut().enumerate().for_each(|(j, v)| *v /= (j + 1) as f32));
        set
    }

    #[test]
    fn a_scaled_training_set_is_at_its_square() {
        // By both routes, at a power of two, so that rows scale exactly; a shift does not matter.
        for (n, d) in [(300, 1), (300, 6), (2500, 20), (30, 200), (1300, 1200)] {
            let training = gaussian(1, n, d, 0.0);
            let found = lambda_eff(&training, &scaled(&training, 0.5)).expect("varies");
            assert!((found.value - 0.25).abs() < 1e-12, "{n} x {d}: {found:?}");
            assert!(found.low < 0.25 && 0.25 < found.high);
            let itself = lambda_eff(&training, &training).expect("varies").value;
            assert!((itself - 1.0).abs() < 1e-13, "{itself}");
        }
    }

    #[test]
    fn directions_carry_95_percent() {
        // Axes of variances 96 and 4: the second does not count.
        let set = |b: f32| Features { rows: 4, dim: 2, values: vec![9.8, b, -9.8, b, 9.8, -b, -9.8, -b] };
        let found = lambda_eff(&set(2.0), &set(0.1)).expect("varies");
        assert_eq!((found.directions, found.training_rows, found.generated_rows), (1, 4, 4));
        assert!((found.value - 1.0).abs() < 1e-14);
    }

    #[test]
    fn it_is_the_geometric_mean_by_definition() {
        let (training, generated) = (gaussian(2, 90, 3, 0.0), gaussian(3, 70, 3, 2.0));
        let found = lambda_eff(&training, &generated).expect("varies");
        let moments = |set| crate::Moments::new(set).expect("rows");
        let (t, g) = (moments(&training).covariance, moments(&generated).covariance);
        let (values, v) = eigenvectors(MatRef::from_column_major_slice(&t, 3, 3)).expect("converges");
        let k = leading(&values).expect("varies");
        let along = |s: &[f64], j: usize| {
            (0..3).map(|a| (0..3).map(|b| v[(a, j)] * s[a * 3 + b] * v[(b, j)]).sum::<f64>()).sum::<f64>()
        };
        let mean = (3 - k..3).map(|j| (along(&g, j) / along(&t, j)).ln()).sum::<f64>() / k as f64;
        assert_eq!(found.directions, k);
        assert!((found.value - mean.exp()).abs() < 1e-13, "{found:?} {mean}");
        // The dual route on the same rows, with columns that do not vary.
        let wide = |set: &Features| {
            let values = (0..set.rows).flat_map(|i| set.row(i).iter().copied().chain([3.0; 97])).collect();
            Features { rows: set.rows, dim: 100, values }
        };
        let other = lambda_eff(&wide(&training), &wide(&generated)).expect("varies");
        assert!((found.value - other.value).abs() < 1e-12 && (found.se_log - other.se_log).abs() < 1e-12);
    }

    /// How many of `draws` intervals cover `truth`, and how far the mean of the logarithms is from it in standard errors.
    fn coverage(
        of: fn(&Features, &Features) -> Result<LambdaEff>,
        draws: u64,
        truth: f64,
        pair: impl Fn(u64) -> (Features, Features) + Sync,
    ) -> (f64, f64) {
        let found: Vec<LambdaEff> = (0..draws)
            .into_par_iter()
            .map(|draw| {
                let (training, generated) = pair(draw);
                of(&training, &generated).expect("varies")
            })
            .collect();
        let covered = found.iter().filter(|found| found.low <= truth && truth <= found.high).count();
        let bias = found.iter().map(|found| (found.value / truth).ln() / found.se_log).sum::<f64>() / draws as f64;
        (covered as f64 / draws as f64, bias)
    }

    #[test]
    fn the_interval_covers_the_truth() {
        // 5 standard deviations of a share of 800 draws at 95 %: 0.0385, two-sided probability 6e-7; the bias that
        // remains at these n costs the rest.
        let within = |share: f64| (0.95 - 0.045..=0.95 + 0.0385).contains(&share);
        let gaussians = |n, m, d, lambda: f32| {
            let draw = move |i: u64| (decaying(2 * i, n, d), scaled(&decaying(2 * i + 1, m, d), lambda.sqrt()));
            coverage(lambda_eff, 800, f64::from(lambda.sqrt()).powi(2), draw)
        };
        for (n, m, d, lambda) in [(400, 400, 1, 1.0), (400, 700, 4, 0.84), (1500, 500, 6, 1.0), (60, 2000, 2, 0.5)] {
            let (share, bias) = gaussians(n, m, d, lambda);
            assert!(within(share), "{n} {m} {d}: {share}, bias {bias}");
        }
        let (share, bias) = coverage(lambda_eff, 800, 1.0, |i| (heavy(2 * i, 1500, 3), heavy(2 * i + 1, 1500, 3)));
        assert!(within(share), "heavy tails: {share}, bias {bias}");
    }

    #[test]
    fn fresh_rows_have_no_favourite_directions() {
        // Far fewer rows than an eigenvalue needs, by both routes: the training set stands out along its own
        // directions, its other rows do not.
        for (n, d, dual) in [(240, 60, false), (120, 150, true)] {
            let pair = |i: u64| (gaussian(2 * i, n, d, 0.0), gaussian(2 * i + 1, 300, d, 0.0));
            let (own, own_bias) = coverage(lambda_eff, 60, 1.0, pair);
            let (fresh, bias) = coverage(lambda_eff_fresh, 400, 1.0, pair);
            // 5 standard deviations of a share of 400 draws: 0.0545; of a mean of 400: 0.25.
            assert!((0.95 - 0.06..=1.0).contains(&fresh) && bias.abs() < 0.5, "{n} x {d}: {fresh}, bias {bias}");
            assert!(!dual || (own == 0.0 && own_bias < -3.0), "{n} x {d}: {own}, bias {own_bias}");
        }
        // A generator that repeats its training set has more variance than the odd rows along the even ones' directions.
        let training = gaussian(3, 120, 150, 0.0);
        let [own, fresh] = [lambda_eff, lambda_eff_fresh].map(|of| of(&training, &training).expect("varies"));
        assert!((own.value - 1.0).abs() < 1e-13 && fresh.low > 1.0, "{own:?} {fresh:?}");
        assert_eq!((fresh.training_rows, fresh.generated_rows), (60, 120));
        let three = gaussian(3, 3, 2, 0.0);
        assert!(lambda_eff_fresh(&three, &training).expect_err("dimensions").to_string().contains("dimensions"));
        assert!(lambda_eff_fresh(&three, &three).expect_err("few").is_undefined());
    }

    #[test]
    fn collapse_is_zero_or_undefined() {
        let training = gaussian(4, 50, 3, 0.0);
        let point = Features { rows: 20, dim: 3, values: [0.1, 0.2, -7.3].repeat(20) };
        let found = lambda_eff(&training, &point).expect("a value");
        assert_eq!((found.value, found.low, found.high, found.se_log), (0.0, 0.0, 0.0, 0.0));
        // A line: no variance across it but for rounding.
        let line = Features { rows: 20, dim: 3, values: (0..20).flat_map(|i| [i as f32, 0.0, 0.0]).collect() };
        let axes = Features {
            rows: 6,
            dim: 3,
            values: [1, 0, 0, -1, 0, 0, 0, 1, 0, 0, -1, 0, 0, 0, 1, 0, 0, -1].map(|v| v as f32).to_vec(),
        };
        assert_eq!(lambda_eff(&axes, &line).expect("a value").value, 0.0);
        let error = lambda_eff(&point, &training).expect_err("no variance");
        assert!(error.is_undefined() && error.to_string().contains("20 training"), "{error}");
        let wide = Features { rows: 5, dim: 12, values: vec![0.3; 60] };
        assert!(lambda_eff(&wide, &gaussian(1, 9, 12, 0.0)).expect_err("no variance").is_undefined());
        assert_eq!(lambda_eff(&gaussian(1, 9, 12, 0.0), &wide).expect("a value").value, 0.0);
        let one = Features { rows: 1, dim: 3, values: vec![0.0; 3] };
        assert!(lambda_eff(&training, &one).expect_err("one row").is_undefined());
        assert!(!lambda_eff(&training, &wide).expect_err("dimensions").is_undefined());
    }

    #[test]
    fn many_rows_and_columns_are_capped() {
        let training = gaussian(5, 2300, 1100, 0.0);
        let found = lambda_eff(&training, &gaussian(6, 1200, 1100, 0.0)).expect("varies");
        assert_eq!((found.training_rows, found.generated_rows), (1000, 1000));
        let tall = gaussian(7, 5000, 2, 0.0);
        assert_eq!(lambda_eff(&tall, &tall).expect("varies").training_rows, 5000);
    }

    #[test]
    fn threads_change_no_bit() {
        for (n, d) in [(700, 12), (150, 300)] {
            let (x, y) = (gaussian(8, n, d, 0.0), gaussian(9, n, d, 0.1));
            let of = |threads| in_pool(threads, || lambda_eff(&x, &y));
            assert_eq!(of(1), of(3));
        }
    }
}
