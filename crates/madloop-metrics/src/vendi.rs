//! The Vendi score: how many different samples a set holds.

use madloop_core::Features;

use crate::error::{check_rows, check_set};
use crate::gram::Rows;
use crate::rank::{effective_rank_of, gram_spectrum};
use crate::{MetricsError, Result};

/// The Vendi score of `set` (`[n, d]`), without units: the effective number of different samples, by cosine similarity.
///
/// exp(-sum l_j ln l_j) over the eigenvalues l of K / n, K_ij = x_i.x_j / (|x_i| |x_j|) (Friedman & Dieng 2022,
/// arXiv:2210.02410, definition 3.1). For d < n they are those of the d x d matrix X^T X / n of the normalised rows,
/// which has the same positive ones. The rows are not centred. The eigenvalues are divided by their sum, which is 1
/// but for rounding. Range \[1, min(n, d)\] up to rounding; 1 for parallel rows, n for orthogonal ones.
///
/// # Errors
/// Undefined for an empty set, values that are not finite, or a row of zeros, which has no direction; an error when the
/// buffer is not `[n, d]`.
pub fn vendi(set: &Features) -> Result<f64> {
    check_set(set, "generated")?;
    check_rows(set, "generated", 1, "there is nothing to count")?;
    let norms = Rows::all(set).squared_norms();
    if let Some(row) = norms.iter().position(|&norm| norm == 0.0) {
        return Err(MetricsError::ZeroRow { set: "generated", row });
    }
    let scales: Vec<f64> = norms.iter().map(|norm| 1.0 / norm.sqrt()).collect();
    let spectrum = gram_spectrum(Rows::all(set).scaled(&scales), "the similarity matrix")?;
    effective_rank_of(&spectrum).ok_or(MetricsError::NoVariance { set: "generated", n: set.rows })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{gaussian, in_pool};

    #[test]
    fn it_counts_directions() {
        let set = |dim: usize, values: &[f32]| Features { rows: values.len() / dim, dim, values: values.to_vec() };
        let score = |set: &Features| vendi(set).expect("defined");
        assert!((score(&set(2, &[1.0, 0.0, 0.0, 3.0])) - 2.0).abs() < 1e-14);
        assert!((score(&set(2, &[1.0, 2.0, 3.0, 6.0, 0.1, 0.2])) - 1.0).abs() < 1e-7);
        // Cosine c gives the eigenvalues (1 + c) / 2 and (1 - c) / 2.
        let c = 0.6_f64;
        let expected = -((1.0 + c) / 2.0 * ((1.0 + c) / 2.0).ln() + (1.0 - c) / 2.0 * ((1.0 - c) / 2.0).ln());
        for dim in [2, 5] {
            let mut values = vec![0.0; 2 * dim];
            (values[0], values[dim], values[dim + 1]) = (7.0, 3.0, 4.0);
            assert!((score(&set(dim, &values)) - expected.exp()).abs() < 1e-14);
        }
        // Opposite directions are parallel to a squared cosine: K = [[1, -1], [-1, 1]].
        assert!((score(&set(1, &[2.0, -5.0])) - 1.0).abs() < 1e-14);
    }

    #[test]
    fn repeats_and_scale_change_nothing() {
        let set = gaussian(1, 30, 12, 0.2);
        let thrice = Features { rows: 90, dim: 12, values: set.values.repeat(3) };
        let longer = Features { values: set.values.iter().map(|v| v * 8.0).collect(), ..set.clone() };
        let score = vendi(&set).expect("defined");
        assert!((vendi(&thrice).expect("defined") - score).abs() < 1e-12 && (1.0..=12.0).contains(&score));
        assert!((vendi(&longer).expect("defined") - score).abs() < 1e-12);
        // The dual route on the same directions.
        let wide = (0..30).flat_map(|i| set.row(i).iter().copied().chain([0.0; 40])).collect();
        let wide = Features { rows: 30, dim: 52, values: wide };
        assert!((vendi(&wide).expect("defined") - score).abs() < 1e-10);
        let of = |threads| in_pool(threads, || vendi(&set));
        assert_eq!(of(1), of(3));
    }

    #[test]
    fn a_row_of_zeros_is_named() {
        let set = Features { rows: 3, dim: 1, values: vec![1.0, 0.0, 0.0] };
        let error = vendi(&set).expect_err("no direction");
        assert!(error.is_undefined() && error.to_string().contains("row 1 of the generated"), "{error}");
        assert!(vendi(&Features { rows: 0, dim: 3, values: vec![] }).expect_err("empty").is_undefined());
        let huge = Features { rows: 3, dim: 2, values: vec![f32::MAX, 1e-38, 1e-44, 1e-45, 3.0, 0.0] };
        assert!((1.0..=2.0 + 1e-12).contains(&vendi(&huge).expect("defined")));
    }
}
