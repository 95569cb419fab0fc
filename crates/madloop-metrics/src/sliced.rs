//! The sliced Wasserstein distance.

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use madloop_core::{Features, Seeds, Stream};
use rand_distr::{Distribution, StandardNormal};
use rayon::prelude::*;

use crate::error::{check_pair, check_rows};
use crate::tiles::{centred, ranges};
use crate::wasserstein::w2_sq_sorted;
use crate::{MetricsError, Result};

/// Directions onto which the sets are projected.
pub const SLICED_PROJECTIONS: usize = 50;
/// The first row of [`Stream::SCORE`] that draws directions; direction p uses row `FIRST_ROW + p`.
const FIRST_ROW: u64 = 1 << 32;
/// Rows projected at a time.
const SLAB: usize = 256;

/// The sliced 2-Wasserstein distance of two sets of features (`[n_r, d]` and `[n_g, d]`), in units of the features.
///
/// SW_2 = ((1/L) sum_l W_2^2(theta_l . x, theta_l . y))^{1/2} over L = 50 directions theta, uniform on the sphere
/// and drawn by the addressed stream [`Stream::SCORE`] (Bonneel et al. 2015, doi:10.1007/s10851-014-0506-3;
/// the root, as in POT). In one dimension W_2^2 is the exact integral of (F^{-1}(u) - G^{-1}(u))^2, also when the sets differ
/// in size. Range \[0, inf); 0 for equal sets.
///
/// # Errors
/// Undefined for an empty set or values that are not finite; an error when the dimensions differ.
pub fn sliced_w2(real: &Features, generated: &Features, seeds: Seeds) -> Result<f64> {
    check_pair(real, generated)?;
    sliced_w2_checked(real, generated, seeds)
}

/// [`sliced_w2`] along given `projections` (`[L, d]`, one direction after the other, used as they are: of length 1 in the
/// definition), such as those of another program.
///
/// # Errors
/// As [`sliced_w2`]; an error when the projections are not `[L, d]` with L >= 1, or not finite.
pub fn sliced_w2_along(real: &Features, generated: &Features, projections: &[f64]) -> Result<f64> {
    check_pair(real, generated)?;
    let (d, values) = (real.dim, projections.len());
    if values == 0 || values % d != 0 {
        let rows = values.div_ceil(d).max(1);
        return Err(MetricsError::BufferLength { what: "the projections", values, rows, dim: d });
    }
    if let Some(&value) = projections.iter().find(|value| !value.is_finite()) {
        return Err(MetricsError::Setting { name: "a component of a projection", value, must: "finite" });
    }
    along(real, generated, projections)
}

/// [`sliced_w2`] of checked sets of one dimension.
pub(crate) fn sliced_w2_checked(real: &Features, generated: &Features, seeds: Seeds) -> Result<f64> {
    let directions: Vec<f64> =
        (0..SLICED_PROJECTIONS as u64).into_par_iter().flat_map_iter(|p| direction(real.dim, seeds, p)).collect();
    along(real, generated, &directions)
}

/// [`sliced_w2_along`] of checked sets and directions.
fn along(real: &Features, generated: &Features, directions: &[f64]) -> Result<f64> {
    check_rows(real, "real", 1, "it has no quantiles")?;
    check_rows(generated, "generated", 1, "it has no quantiles")?;
    let mut projected = [project(real, directions), project(generated, directions)];
    for (set, rows) in projected.iter_mut().zip([real.rows, generated.rows]) {
        set.par_chunks_mut(rows).for_each(|values| values.sort_unstable_by(f64::total_cmp));
    }
    let [x, y] = projected;
    let squares: Vec<f64> =
        x.par_chunks(real.rows).zip(y.par_chunks(generated.rows)).map(|(x, y)| w2_sq_sorted(x, y)).collect();
    Ok((squares.iter().sum::<f64>() / squares.len() as f64).sqrt())
}

/// Direction `p` (`[d]`), of length 1.
fn direction(dim: usize, seeds: Seeds, p: u64) -> Vec<f64> {
    let mut rng = seeds.rng(Stream::SCORE, FIRST_ROW + p);
    let normal: Vec<f64> = (0..dim).map(|_| StandardNormal.sample(&mut rng)).collect();
    let length = normal.iter().map(|v| v * v).sum::<f64>().sqrt();
    normal.into_iter().map(|v| v / length).collect()
}

/// Inner products of all rows with all directions (`[directions, rows]`).
fn project(set: &Features, directions: &[f64]) -> Vec<f64> {
    let count = directions.len() / set.dim;
    let slabs: Vec<_> = ranges(set.rows, SLAB).collect();
    let blocks: Vec<Vec<f64>> = slabs
        .par_iter()
        .map_init(Vec::new, |slab, rows| {
            centred(set, rows.clone(), 0..set.dim, None, slab);
            let mut out = vec![0.0; count * rows.len()];
            matmul(
                MatMut::from_column_major_slice_mut(&mut out, rows.len(), count),
                Accum::Replace,
                MatRef::from_row_major_slice(slab, rows.len(), set.dim),
                MatRef::from_column_major_slice(directions, set.dim, count),
                1.0,
                Par::Seq,
            );
            out
        })
        .collect();
    let mut projected = vec![0.0; count * set.rows];
    for (rows, block) in slabs.iter().zip(blocks) {
        for (out, block) in projected.chunks_exact_mut(set.rows).zip(block.chunks_exact(rows.len())) {
            out[rows.clone()].copy_from_slice(block);
        }
    }
    projected
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{gaussian, in_pool};

    #[test]
    fn one_dimension_has_one_direction() {
        let set = |values: &[f32]| Features { rows: values.len(), dim: 1, values: values.to_vec() };
        let value = sliced_w2(&set(&[5.0, 1.0]), &set(&[2.0, 2.0]), Seeds::new(0)).expect("defined");
        assert!((value - 5.0_f64.sqrt()).abs() < 1e-15);
    }

    #[test]
    fn a_shift_is_seen_by_its_mean_square_projection() {
        // W_2^2 along theta is (theta . v)^2, whose mean over the sphere is |v|^2 / d.
        let (n, d) = (400, 3);
        let real = gaussian(1, n, d, 0.0);
        let shifted = Features { values: real.values.iter().map(|v| v + 2.0).collect(), ..real };
        let squares: Vec<f64> =
            (0..200).map(|seed| sliced_w2(&real, &shifted, Seeds::new(seed)).expect("defined").powi(2)).collect();
        let mean = squares.iter().sum::<f64>() / 200.0;
        // (theta . v)^2 = 12 cos^2, standard deviation 12 (4/45)^{1/2} = 3.6 a direction, over 10,000 directions: 0.036.
        assert!((mean - 4.0).abs() < 6.0 * 0.036, "{mean}");
        assert_eq!(sliced_w2(&real, &real, Seeds::new(0)), Ok(0.0));
    }

    #[test]
    fn directions_are_unit_vectors_of_their_address() {
        let theta = direction(5, Seeds::new(1), 3);
        assert!((theta.iter().map(|v| v * v).sum::<f64>() - 1.0).abs() < 1e-15);
        assert_ne!(theta, direction(5, Seeds::new(1).at(1), 3));
        let (x, y) = (gaussian(2, 700, 9, 0.0), gaussian(3, 500, 9, 0.0));
        let of = |threads| in_pool(threads, || sliced_w2(&x, &y, Seeds::new(4)));
        assert_eq!(of(1), of(3));
    }
    #[test]
    fn given_projections_are_used_as_they_are() {
        let (x, y) = (gaussian(2, 70, 3, 0.0), gaussian(3, 50, 3, 0.3));
        let drawn: Vec<f64> = (0..SLICED_PROJECTIONS as u64).flat_map(|p| direction(3, Seeds::new(4), p)).collect();
        assert_eq!(sliced_w2_along(&x, &y, &drawn), sliced_w2(&x, &y, Seeds::new(4)));
        for (wrong, part) in [(vec![], "0 values"), (vec![1.0; 4], "2 rows of 3"), (vec![f64::NAN; 3], "finite")] {
            let error = sliced_w2_along(&x, &y, &wrong).expect_err("no projections");
            assert!(!error.is_undefined() && error.to_string().contains(part), "{error}");
        }
    }
}
