//! In how many directions a set varies: effective and numerical rank.

use faer::MatRef;
use madloop_core::Features;

use crate::error::{check_rows, check_set};
use crate::gram::Rows;
use crate::linalg::eigenvalues;
use crate::{MetricsError, Result};

/// Eigenvalues below this share of the largest count as 0 in the metric `rank`.
pub const RANK_TOLERANCE: f64 = 1e-12;

/// The effective rank of the covariance of `set` (`[n, d]`), without units.
///
/// exp(-sum p_j ln p_j), p_j = l_j / sum l, over the eigenvalues l of the covariance (Roy & Vetterli 2007, "The effective
/// rank: a measure of effective dimensionality", EUSIPCO, definition 1; the singular values of a covariance are its
/// eigenvalues. RankMe, arXiv:2210.02885, takes the singular values of the centred or plain feature matrix, the roots,
/// instead). It falls to 1 as a loop collapses onto a line. Taken from the d x d covariance or the n x n Gram matrix of
/// the centred rows, whichever is smaller. Range \[1, min(n - 1, d)\] up to rounding; it does not depend on scale.
///
/// # Errors
/// Undefined for n < 2, values that are not finite or identical rows; an error when the buffer is not `[n, d]`.
pub fn effective_rank(set: &Features) -> Result<f64> {
    let spectrum = covariance_spectrum(set)?;
    effective_rank_of(&spectrum).ok_or(MetricsError::NoVariance { set: "generated", n: set.rows })
}

/// The numerical rank of the covariance of `set` (`[n, d]`): eigenvalues above `tolerance` times the largest.
///
/// Eigenvalues that are exactly 0 come out as large as 1e-15 of the largest: 1e-12 is a good tolerance for them. Range
/// 0..=min(n - 1, d); 0 for identical rows.
///
/// # Errors
/// Undefined for n < 2 or values that are not finite; an error when the buffer is not `[n, d]` or the tolerance is not
/// in \[0, 1).
pub fn numerical_rank(set: &Features, tolerance: f64) -> Result<usize> {
    if !(0.0..1.0).contains(&tolerance) {
        return Err(MetricsError::Setting {
            name: "the tolerance",
            value: tolerance,
            must: "at least 0 and less than 1",
        });
    }
    Ok(numerical_rank_of(&covariance_spectrum(set)?, tolerance))
}

/// exp(-sum p ln p), p = l / sum l, of nonnegative eigenvalues l in any order; `None` when they are all 0.
///
/// Eigenvalues that are not above 0 do not contribute, as p ln p -> 0. Range \[1, number of eigenvalues\] up to rounding.
pub fn effective_rank_of(eigenvalues: &[f64]) -> Option<f64> {
    let sum: f64 = eigenvalues.iter().filter(|&&value| value > 0.0).sum();
    if sum <= 0.0 || !sum.is_finite() {
        return None;
    }
    let entropy: f64 = eigenvalues.iter().filter(|&&value| value > 0.0).map(|value| plogp(value / sum)).sum();
    Some((-entropy).exp())
}

/// How many eigenvalues are above `tolerance` times the largest; 0 when none is above 0.
pub fn numerical_rank_of(eigenvalues: &[f64], tolerance: f64) -> usize {
    let largest = eigenvalues.iter().copied().fold(0.0, f64::max);
    eigenvalues.iter().filter(|&&value| value > 0.0 && value > tolerance * largest).count()
}

fn plogp(p: f64) -> f64 {
    // The quotient of two subnormal numbers can still be 0.
    if p > 0.0 { p * p.ln() } else { 0.0 }
}

/// Eigenvalues, ascending, of the covariance (divisor n - 1) of `set` (`[n, d]`), without those that are 0 for n < d.
pub(crate) fn covariance_spectrum(set: &Features) -> Result<Vec<f64>> {
    check_set(set, "generated")?;
    check_rows(set, "generated", 2, "a covariance has n - 1 degrees of freedom")?;
    let rows = Rows::all(set);
    let mean = rows.mean();
    let mut values = gram_spectrum(rows.about(&mean), "the covariance")?;
    values.iter_mut().for_each(|value| *value /= (set.rows - 1) as f64);
    Ok(values)
}

/// Eigenvalues, ascending, of X^T X or X X^T, whichever is smaller; what rounding has put below 0 is 0.
pub(crate) fn gram_spectrum(rows: Rows<'_>, what: &'static str) -> Result<Vec<f64>> {
    let (n, d) = (rows.len(), rows.dim());
    let (side, matrix) = if d < n { (d, rows.second_moments()) } else { (n, rows.gram()) };
    let trace: f64 = matrix.iter().step_by(side + 1).sum();
    let values = eigenvalues(MatRef::from_column_major_slice(&matrix, side, side))?;
    let rounding = 64.0 * n.max(d) as f64 * f64::EPSILON * trace;
    match values.iter().find(|value| value.is_nan() || **value < -rounding) {
        Some(&eigenvalue) => Err(MetricsError::NotPositive { what, eigenvalue, largest: trace }),
        None => Ok(values.into_iter().map(|value| value.max(0.0)).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{gaussian, in_pool};

    #[test]
    fn spectra_have_their_entropy() {
        assert_eq!(effective_rank_of(&[0.0, 3.0]), Some(1.0));
        assert!((effective_rank_of(&[2.0; 5]).expect("positive") - 5.0).abs() < 1e-14);
        let expected = (-(0.75_f64 * 0.75_f64.ln() + 0.25 * 0.25_f64.ln())).exp();
        assert!((effective_rank_of(&[3.0, 0.0, 1.0]).expect("positive") - expected).abs() < 1e-15);
        assert_eq!((effective_rank_of(&[0.0; 3]), effective_rank_of(&[])), (None, None));
        assert_eq!((numerical_rank_of(&[0.0, 1e-13, 0.5, 1.0], 1e-12), numerical_rank_of(&[0.0; 3], 0.0)), (2, 0));
        assert_eq!(numerical_rank_of(&[0.4, 0.5, 1.0], 0.5), 1);
    }

    #[test]
    fn it_is_that_of_known_covariances() {
        // Variances in the ratio 4 : 1 along the axes.
        let set = Features { rows: 4, dim: 2, values: vec![2.0, 1.0, -2.0, 1.0, 2.0, -1.0, -2.0, -1.0] };
        let expected = (-(0.8_f64 * 0.8_f64.ln() + 0.2 * 0.2_f64.ln())).exp();
        assert!((effective_rank(&set).expect("varies") - expected).abs() < 1e-14);
        assert_eq!(numerical_rank(&set, 1e-12), Ok(2));
        // A line in 50 dimensions, by the dual and by the primal route.
        for n in [4, 80] {
            let values = (0..n).flat_map(|i| (0..50).map(move |j| (i * j) as f32)).collect();
            let line = Features { rows: n, dim: 50, values };
            assert!((effective_rank(&line).expect("varies") - 1.0).abs() < 1e-12);
            assert_eq!(numerical_rank(&line, 1e-12), Ok(1));
        }
    }

    #[test]
    fn both_routes_agree() {
        // Columns of zeros move a set to the dual route and change nothing.
        let narrow = gaussian(1, 60, 8, 3.0);
        let values = (0..60).flat_map(|i| narrow.row(i).iter().copied().chain([0.5; 92])).collect();
        let wide = Features { rows: 60, dim: 100, values };
        let (a, b) = (effective_rank(&narrow).expect("varies"), effective_rank(&wide).expect("varies"));
        assert!((a - b).abs() < 1e-10, "{a} {b}");
        assert_eq!((numerical_rank(&narrow, 1e-12), numerical_rank(&wide, 1e-12)), (Ok(8), Ok(8)));
        let of = |threads| in_pool(threads, || effective_rank(&wide));
        assert_eq!(of(1), of(3));
    }

    #[test]
    fn a_point_has_no_rank() {
        let point = Features { rows: 5, dim: 2, values: vec![0.1; 10] };
        let error = effective_rank(&point).expect_err("identical rows");
        assert!(error.is_undefined() && error.to_string().contains("5 generated"), "{error}");
        assert_eq!(numerical_rank(&point, 1e-12), Ok(0));
        assert!(!numerical_rank(&point, 1.0).expect_err("out of range").is_undefined());
        let one = Features { rows: 1, dim: 2, values: vec![0.1; 2] };
        assert!(effective_rank(&one).expect_err("one row").is_undefined());
    }
}
