//! The exact 2-Wasserstein distance of two sets.

use madloop_core::Features;
use rayon::prelude::*;

use crate::cloud::squared_distance;
use crate::error::{check_pair, check_rows};
use crate::exp::vectorised;
use crate::moments::{mean, variances};
use crate::transport::coupling;
use crate::{MetricsError, Result};

/// The most samples of either set that [`w2_sq`] takes in more than one dimension: about 10 s.
pub const W2_LIMIT: usize = 5000;

/// The squared 2-Wasserstein distance of two sets (`[n, d]` and `[m, d]`), in squared units of the features.
///
/// W_2^2 = min over couplings P of sum P_ij |x_i - y_j|^2, samples weighing 1 / n and 1 / m (Peyre & Cuturi 2019,
/// arXiv:1803.00567, chapter 2). Exact: for d = 1 by sorting, at any n; else by the network simplex for n and m
/// up to 5000, the cost being summed over the coupling found. Takes n m f64 for d > 1. It is biased: two draws of n from
/// one distribution are about n^{-2/d} apart. Range \[0, inf); 0 for equal sets.
///
/// # Errors
/// Undefined for an empty set, values that are not finite, or more than 5000 samples in d > 1; an error when the
/// dimensions differ.
pub fn w2_sq(real: &Features, generated: &Features) -> Result<f64> {
    check_pair(real, generated)?;
    check_rows(real, "real", 1, "it has no mass to move")?;
    check_rows(generated, "generated", 1, "it has no mass to move")?;
    let (n, m) = (real.rows, generated.rows);
    if real.dim == 1 {
        let sorted = |set: &Features| {
            let mut values: Vec<f64> = set.values.iter().map(|&value| f64::from(value)).collect();
            values.par_sort_unstable_by(f64::total_cmp);
            values
        };
        return Ok(w2_sq_sorted(&sorted(real), &sorted(generated)));
    }
    if n.max(m) > W2_LIMIT {
        let remedy = "score fewer samples, or use sinkhorn or sliced_w2";
        return Err(MetricsError::TooMany { what: "exact transport", n, m, limit: W2_LIMIT, remedy });
    }
    let mut costs = vec![0.0; n * m];
    costs.par_chunks_mut(m).enumerate().for_each(|(i, costs)| {
        vectorised(
            #[inline(always)]
            || {
                for (j, cost) in costs.iter_mut().enumerate() {
                    *cost = squared_distance(real.row(i), generated.row(j));
                }
            },
        );
    });
    // Sorted by the widest column, the start is the optimum in that dimension alone.
    let widest = widest_column(real);
    let order = |set: &Features| {
        let mut rows: Vec<usize> = (0..set.rows).collect();
        rows.sort_by(|&a, &b| set.row(a)[widest].total_cmp(&set.row(b)[widest]));
        rows
    };
    let coupling = coupling(&costs, &order(real), &order(generated));
    let sum: f64 = coupling.flows.iter().map(|&(i, j, mass)| mass as f64 * costs[i * m + j]).sum();
    Ok(sum / coupling.total as f64)
}

/// The column of the largest variance, the first of several.
fn widest_column(set: &Features) -> usize {
    if set.rows < 2 {
        return 0;
    }
    let variances = variances(set, &mean(set));
    variances.iter().enumerate().fold(0, |widest, (j, &variance)| if variance > variances[widest] { j } else { widest })
}

/// The squared 2-Wasserstein distance of two ascending lists: the integral of the squared difference of
/// their quantile functions.
pub(crate) fn w2_sq_sorted(x: &[f64], y: &[f64]) -> f64 {
    let (n, m) = (x.len(), y.len());
    if n == m {
        return x.iter().zip(y).map(|(x, y)| (x - y) * (x - y)).sum::<f64>() / n as f64;
    }
    // Mass in units of 1 / (n m): x_i ends at (i + 1) m, y_j at (j + 1) n.
    let (n, m) = (n as u128, m as u128);
    let (mut i, mut j, mut at, mut sum) = (0, 0, 0_u128, 0.0);
    while i < x.len() && j < y.len() {
        let (x_end, y_end) = ((i as u128 + 1) * m, (j as u128 + 1) * n);
        let end = x_end.min(y_end);
        sum += (end - at) as f64 * (x[i] - y[j]) * (x[i] - y[j]);
        at = end;
        i += usize::from(x_end == end);
        j += usize::from(y_end == end);
    }
    sum / (n as f64 * m as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{gaussian, in_pool, lattice};

    #[test]
    fn unequal_lists_are_coupled_by_quantiles() {
        assert_eq!(w2_sq_sorted(&[0.0, 1.0], &[2.0, 4.0]), (4.0 + 9.0) / 2.0);
        // Thirds: 0 -> 1, then half of each side of 3, then 3 -> 5: by sixths.
        let (x, y) = ([0.0, 3.0], [1.0, 2.0, 5.0]);
        let expected = (2.0 * 1.0 + 1.0 * 4.0 + 1.0 * 1.0 + 2.0 * 4.0) / 6.0;
        assert!((w2_sq_sorted(&x, &y) - expected).abs() < 1e-15);
        // Repeating every value changes nothing.
        let twice = [0.0, 0.0, 3.0, 3.0];
        assert!((w2_sq_sorted(&twice, &y) - expected).abs() < 1e-15);
    }

    #[test]
    fn one_dimension_agrees_with_transport() {
        for (n, m) in [(1, 1), (7, 7), (12, 30), (31, 17)] {
            let (x, y) = (lattice(1, n, 1), gaussian(2, m, 1, 0.3));
            // A second column of zeros takes the other route.
            let flat = |set: &Features| {
                let values = set.values.iter().flat_map(|&v| [v, 0.0]).collect();
                Features { rows: set.rows, dim: 2, values }
            };
            let (sorted, transported) =
                (w2_sq(&x, &y).expect("defined"), w2_sq(&flat(&x), &flat(&y)).expect("defined"));
            assert!((sorted - transported).abs() < 1e-14 * (1.0 + sorted), "{sorted} {transported}");
        }
    }

    #[test]
    fn a_shift_costs_its_square() {
        let x = gaussian(3, 150, 4, 0.0);
        let y = Features { values: x.values.iter().rev().copied().collect(), ..x.clone() };
        // Rows in another order, shifted by a whole number: exact in f32 when the values are.
        let x = Features { values: x.values.iter().map(|v| (v * 64.0).round() / 64.0).collect(), ..x };
        let order: Vec<f32> = (0..150).flat_map(|i| x.row(i * 7 % 150)).map(|v| v + 2.0).collect();
        let shifted = Features { values: order, ..x.clone() };
        assert_eq!(w2_sq(&x, &shifted), Ok(16.0));
        assert_eq!(w2_sq(&x, &x), Ok(0.0));
        let (there, back) = (w2_sq(&x, &y).expect("defined"), w2_sq(&y, &x).expect("defined"));
        assert!((there - back).abs() < 1e-14 * there);
        // A set and its rows doubled are the same distribution.
        let twice = Features { rows: 300, dim: 4, values: x.values.repeat(2) };
        assert_eq!(w2_sq(&x, &twice), Ok(0.0));
    }

    #[test]
    fn points_are_at_their_mean_square() {
        let x = gaussian(4, 60, 3, 0.0);
        let point = Features { rows: 7, dim: 3, values: [1.0, -2.0, 0.5].repeat(7) };
        let expected = (0..60).map(|i| squared_distance(x.row(i), point.row(0))).sum::<f64>() / 60.0;
        assert!((w2_sq(&x, &point).expect("defined") - expected).abs() < 1e-13);
    }

    #[test]
    fn gaussians_are_near_their_closed_form() {
        // N(0, S) against N(s, S): |s|^2 = 4.5. The distance of the sample means alone scatters by
        // 2 |s| (tr S (1 / n + 1 / m) / 2)^{1/2} = 0.2.
        let (x, y) = (gaussian(5, 700, 2, 0.0), gaussian(6, 500, 2, 1.5));
        let bias = w2_sq(&x, &gaussian(7, 500, 2, 0.0)).expect("defined");
        let value = w2_sq(&x, &y).expect("defined");
        assert!(bias < 0.05 && (value - 4.5).abs() < 1.0, "{value} {bias}");
        // Never less than the distance of the means, and above it by no more than the sets' shapes differ.
        let mean =
            |set: &Features, j: usize| (0..set.rows).map(|i| f64::from(set.row(i)[j])).sum::<f64>() / set.rows as f64;
        let means: f64 = (0..2).map(|j| (mean(&x, j) - mean(&y, j)).powi(2)).sum();
        assert!(value >= means && value - means < 0.05, "{value} {means}");
    }

    #[test]
    fn sizes_out_of_reach_name_what_to_use() {
        let large = Features { rows: W2_LIMIT + 1, dim: 2, values: vec![0.0; 2 * W2_LIMIT + 2] };
        let error = w2_sq(&gaussian(1, 3, 2, 0.0), &large).expect_err("too many");
        assert!(
            error.is_undefined()
                && error.to_string().contains("n = 3 real and 5001")
                && error.to_string().contains("sinkhorn")
        );
        let empty = Features { rows: 0, dim: 2, values: vec![] };
        assert!(w2_sq(&empty, &large).expect_err("empty").is_undefined());
        let line = Features { dim: 1, rows: 2 * W2_LIMIT + 2, ..large };
        assert_eq!(w2_sq(&line, &Features { rows: 1, dim: 1, values: vec![3.0] }), Ok(9.0));
    }

    #[test]
    fn threads_change_no_bit() {
        let (x, y) = (gaussian(8, 90, 5, 0.0), gaussian(9, 70, 5, 0.1));
        let of = |threads| in_pool(threads, || w2_sq(&x, &y));
        assert_eq!(of(1), of(3));
    }
}
