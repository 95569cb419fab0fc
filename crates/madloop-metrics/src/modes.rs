//! Modes of a mixture whose centres are known.

use madloop_core::Features;

use crate::error::{check_rows, check_set};
use crate::{MetricsError, Result};

/// How far from its centre, in sigmas, a sample still belongs to a mode.
const REACH: f64 = 3.0;
/// A mode is kept with at least this share of the samples that an even split would give it.
const KEPT_SHARE: f64 = 0.1;

/// What a generated set keeps of K known modes. A sample belongs to its nearest centre (the first of several), and
/// is *near* when that is at most 3 sigma away.
#[derive(Debug, Clone, PartialEq)]
pub struct Modes {
    /// Modes with at least max(1, 0.1 n / K) near samples. Range 0..=K.
    pub kept: usize,
    /// Modes with at least 1 near sample. Range 0..=K, at least `kept`.
    pub hit: usize,
    /// Share of near samples. Range \[0, 1\].
    pub high_quality_share: f64,
    /// The mean over modes with at least 2 near samples of their variance per dimension:
    /// (1 / (d (m - 1))) sum |x - mean of the mode's near samples|^2, in squared units of the samples. Range
    /// \[0, 18 sigma^2\].
    ///
    /// Samples between the modes are left to `high_quality_share`: one of them would outweigh a whole mode. The
    /// cut at 3 sigma takes a little off a Gaussian: 0.949 sigma^2 remains in d = 2.
    pub mean_modal_variance: Result<f64>,
}

/// Compares `samples` (`[n, d]`) with modes at `centres` (`[K, d]`, row-major) of standard deviation `sigma` per dimension,
/// in units of the samples (the 25-Gaussian grid is of Dumoulin et al. 2016, arXiv:1606.00704; high-quality samples as
/// in Azadi et al. 2018, arXiv:1810.06758, with 3 sigma).
///
/// # Errors
/// Undefined for n = 0 or values that are not finite; an error when there is no centre, the centres are not
/// `[K, d]`, or sigma is not positive.
pub fn modes(samples: &Features, centres: &[f64], sigma: f64) -> Result<Modes> {
    check_set(samples, "generated")?;
    check_rows(samples, "generated", 1, "there is nothing to assign to a mode")?;
    let d = samples.dim;
    let k = centres.len() / d;
    if k == 0 || centres.len() != k * d {
        return Err(MetricsError::BufferLength { what: "the centres", values: centres.len(), rows: k, dim: d });
    }
    if !(sigma > 0.0 && sigma.is_finite()) {
        return Err(MetricsError::Setting { name: "sigma", value: sigma, must: "more than 0 and finite" });
    }
    if let Some(&value) = centres.iter().find(|value| !value.is_finite()) {
        return Err(MetricsError::Setting { name: "a centre", value, must: "finite" });
    }
    let near = near_samples(samples, centres, REACH * sigma);
    let counts: Vec<usize> = near.iter().map(Vec::len).collect();
    let enough = (KEPT_SHARE * samples.rows as f64 / k as f64).max(1.0);
    let variances: Vec<f64> =
        near.iter().filter(|rows| rows.len() >= 2).map(|rows| variance_per_dimension(samples, rows)).collect();
    Ok(Modes {
        kept: counts.iter().filter(|&&count| count as f64 >= enough).count(),
        hit: counts.iter().filter(|&&count| count > 0).count(),
        high_quality_share: counts.iter().sum::<usize>() as f64 / samples.rows as f64,
        mean_modal_variance: match variances.len() {
            0 => Err(MetricsError::NoModalVariance { modes: k }),
            hit => Ok(variances.iter().sum::<f64>() / hit as f64),
        },
    })
}

/// The rows near each centre.
fn near_samples(samples: &Features, centres: &[f64], reach: f64) -> Vec<Vec<usize>> {
    let d = samples.dim;
    let mut near = vec![Vec::new(); centres.len() / d];
    for row in 0..samples.rows {
        let x = samples.row(row);
        let mut nearest = (f64::INFINITY, 0);
        for (mode, centre) in centres.chunks_exact(d).enumerate() {
            let d2: f64 = x.iter().zip(centre).map(|(&x, c)| (f64::from(x) - c) * (f64::from(x) - c)).sum();
            if d2 < nearest.0 {
                nearest = (d2, mode);
            }
        }
        if nearest.0.sqrt() <= reach {
            near[nearest.1].push(row);
        }
    }
    near
}

fn variance_per_dimension(samples: &Features, rows: &[usize]) -> f64 {
    let (d, m) = (samples.dim, rows.len() as f64);
    // Differences to the first row are exact.
    let first = samples.row(rows[0]);
    let mut mean = vec![0.0; d];
    for &row in rows {
        for ((mean, &x), &first) in mean.iter_mut().zip(samples.row(row)).zip(first) {
            *mean += (f64::from(x) - f64::from(first)) / m;
        }
    }
    let mut sum = 0.0;
    for &row in rows {
        for ((mean, &x), &first) in mean.iter().zip(samples.row(row)).zip(first) {
            let difference = f64::from(x) - f64::from(first) - mean;
            sum += difference * difference;
        }
    }
    sum / (d as f64 * (m - 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::gaussian;

    const CENTRES: [f64; 6] = [0.0, 0.0, 4.0, 0.0, 0.0, 4.0];

    #[test]
    fn modes_are_counted_by_their_near_samples() {
        // 38 at mode 0, 2 at mode 1 (one exactly 3 sigma off), 0 at mode 2, 1 nowhere.
        let mut values = [[0.1_f32, 0.0], [-0.1, 0.0]].concat().repeat(19);
        values.extend([4.0, 0.0, 4.75, 0.0, 2.0, 2.0]);
        let set = Features { rows: 41, dim: 2, values };
        let found = modes(&set, &CENTRES, 0.25).expect("finite");
        // 0.1 * 41 / 3 = 1.37 samples are enough.
        assert_eq!((found.kept, found.hit), (2, 2));
        assert_eq!(found.high_quality_share, 40.0 / 41.0);
        let first = 38.0 * f64::from(0.1_f32).powi(2) / (2.0 * 37.0);
        let second = 0.75_f64.powi(2) / 2.0 / 2.0;
        assert!((found.mean_modal_variance.expect("two samples") - (first + second) / 2.0).abs() < 1e-15);
        let fewer = modes(&set, &CENTRES, 0.2).expect("finite");
        assert_eq!((fewer.kept, fewer.hit), (1, 2));
    }

    #[test]
    fn a_perfect_generator_keeps_all() {
        let noise = gaussian(1, 60_000, 1, 0.0).values;
        let values = noise.iter().enumerate().map(|(at, v)| 0.25 * v + CENTRES[at % 6] as f32).collect();
        let found = modes(&Features { rows: 30_000, dim: 2, values }, &CENTRES, 0.2).expect("finite");
        assert_eq!((found.kept, found.hit), (3, 3));
        // Within 3 sigma in the plane: 1 - e^{-4.5}, standard error 6e-4.
        assert!((found.high_quality_share - (1.0 - (-4.5_f64).exp())).abs() < 4e-3);
        // 0.9494 sigma^2; standard error about 0.5 %.
        assert!((found.mean_modal_variance.expect("defined") / 0.04 - 0.9494).abs() < 0.03);
    }

    #[test]
    fn collapse_is_defined_or_has_a_reason() {
        let at = |value: f32, rows| Features { rows, dim: 2, values: vec![value; 2 * rows] };
        let point = modes(&at(0.0, 10), &CENTRES, 0.1).expect("finite");
        assert_eq!((point.kept, point.hit, point.mean_modal_variance), (1, 1, Ok(0.0)));
        let lost = modes(&at(9.0, 10), &CENTRES, 0.1).expect("finite");
        assert_eq!((lost.kept, lost.hit, lost.high_quality_share), (0, 0, 0.0));
        assert!(lost.mean_modal_variance.expect_err("no sample").is_undefined());
        assert!(modes(&at(0.0, 0), &CENTRES, 0.1).expect_err("empty").is_undefined());
        assert!(!modes(&at(0.0, 1), &[], 0.1).expect_err("no centre").is_undefined());
        assert!(!modes(&at(0.0, 1), &CENTRES, 0.0).expect_err("no sigma").is_undefined());
    }
}
