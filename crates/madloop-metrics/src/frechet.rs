//! The Frechet distance: squared 2-Wasserstein distance of two Gaussians, and of the Gaussians fitted to two sets.

use faer::{Mat, MatRef};
use madloop_core::Features;
use rayon::prelude::*;

use crate::error::{check_pair, check_rows};
use crate::linalg::{eigenvalues, eigenvectors, nuclear_norm, product, roots};
use crate::moments::{Moments, mean, variances};
use crate::score::Arrays;
use crate::tiles::{Scratch, Tiles, ranges};
use crate::{MetricsError, Result};

/// Why a Frechet distance needs two samples.
const WHY: &str = "a covariance has n - 1 degrees of freedom";

/// The Frechet distance of two sets of features (`[n_r, d]` and `[n_g, d]`), squared units of the features.
///
/// FD = |mu_r - mu_g|^2 + tr(S_r + S_g - 2 (S_r S_g)^{1/2}), covariances with divisor n - 1 (Heusel et al. 2017,
/// arXiv:1706.08500). With A A^T = S_r, the trace of the root is the sum of the roots of the eigenvalues of
/// A^T S_g A; when min(n_r, n_g) < d it is the nuclear norm of Y A, or of Y X^T, of the centred data X and Y,
/// each divided by (n - 1)^{1/2}, so that nothing of size d * d is made for n_r < d. Nothing is added to a
/// covariance, and directions that one lacks count as exactly none. Rounding is about 1e-13 of the traces, and up to
/// 1e-8 of their geometric mean where the sets vary in directions of which one nearly lacks what the other has. Range \[0, inf); rounding can give a value a little below 0, which is returned as it is.
///
/// # Errors
/// Undefined for n < 2 or values that are not finite; an error when the dimensions differ.
pub fn frechet_distance(real: &Features, generated: &Features) -> Result<f64> {
    check_pair(real, generated)?;
    FrechetReference::new(real)?.distance(real, generated)
}

/// What the Frechet distance needs of the real set, computed once.
#[derive(Debug, Clone)]
pub(crate) struct FrechetReference {
    mean: Vec<f64>,
    trace: f64,
    /// A with A A^T = S_r (`[d, d]`), when n_r >= d.
    root: Option<Mat<f64>>,
}

impl FrechetReference {
    /// Prepares a checked set.
    pub(crate) fn new(real: &Features) -> Result<Self> {
        check_rows(real, "real", 2, WHY)?;
        if real.rows < real.dim {
            let mean = mean(real);
            let trace = variances(real, &mean).iter().sum();
            return Ok(Self { mean, trace, root: None });
        }
        let moments = Moments::new(real)?;
        let trace = trace_of(&moments.covariance, real.dim);
        let root = root(&moments.covariance, real.dim)?;
        Ok(Self { mean: moments.mean, trace, root: Some(root) })
    }

    /// What was prepared, by name.
    pub(crate) fn arrays(&self, out: &mut Arrays) {
        out.insert("frechet.mean".into(), self.mean.clone());
        out.insert("frechet.trace".into(), vec![self.trace]);
        if let Some(root) = &self.root {
            let columns = (0..root.ncols()).flat_map(|column| root.col(column).iter().copied());
            out.insert("frechet.root".into(), columns.collect());
        }
    }

    /// The same, taken back; `None` when it is not there or not for `real`.
    pub(crate) fn from_arrays(real: &Features, arrays: &mut Arrays) -> Option<Self> {
        let d = real.dim;
        let mean = arrays.remove("frechet.mean").filter(|mean| mean.len() == d)?;
        let trace = *arrays.remove("frechet.trace")?.first()?;
        let root = match arrays.remove("frechet.root") {
            Some(root) if root.len().is_multiple_of(d) => {
                Some(Mat::from_fn(d, root.len() / d, |row, column| root[column * d + row]))
            }
            Some(_) => return None,
            None => None,
        };
        (root.is_some() == (real.rows >= d)).then_some(Self { mean, trace, root })
    }

    /// The distance of a checked set of the same dimension to the one prepared, which is given again.
    pub(crate) fn distance(&self, real: &Features, generated: &Features) -> Result<f64> {
        check_rows(generated, "generated", 2, WHY)?;
        match &self.root {
            Some(root) if generated.rows >= generated.dim => self.by_eigenvalues(root, &Moments::new(generated)?),
            _ => self.by_nuclear_norm(real, generated),
        }
    }

    /// The distance of a Gaussian of the same dimension; `real` is the set prepared.
    pub(crate) fn distance_to(&self, real: &Features, moments: &Moments) -> Result<f64> {
        let d = self.mean.len();
        let Some(root) = &self.root else {
            // X B, of the centred data X and B B^T = S_g.
            let trace = trace_of(&moments.covariance, d);
            let b = self::root(&moments.covariance, d)?;
            let mut x = Vec::new();
            crate::tiles::centred(real, 0..real.rows, 0..d, Some(&self.mean), &mut x);
            let x = MatRef::from_column_major_slice(&x, d, real.rows);
            let trace_root = if b.ncols() == 0 {
                0.0
            } else {
                let cross = product(b.transpose(), x);
                let cross = MatRef::from_column_major_slice(&cross, b.ncols(), real.rows);
                nuclear_norm(cross)? / ((real.rows - 1) as f64).sqrt()
            };
            return Ok(squared_distance(&self.mean, &moments.mean) + self.trace + trace - 2.0 * trace_root);
        };
        self.by_eigenvalues(root, moments)
    }

    fn by_eigenvalues(&self, root: &Mat<f64>, moments: &Moments) -> Result<f64> {
        let trace = trace_of(&moments.covariance, self.mean.len());
        let trace_root = trace_of_root(root.as_ref(), self.trace, &moments.covariance, trace)?;
        Ok(squared_distance(&self.mean, &moments.mean) + self.trace + trace - 2.0 * trace_root)
    }

    fn by_nuclear_norm(&self, real: &Features, generated: &Features) -> Result<f64> {
        let d = generated.dim;
        let mean = mean(generated);
        let trace: f64 = variances(generated, &mean).iter().sum();
        let degrees = (generated.rows - 1) as f64;
        let trace_root = match &self.root {
            // Y A, transposed.
            Some(root) => {
                let mut y = Vec::new();
                crate::tiles::centred(generated, 0..generated.rows, 0..d, Some(&mean), &mut y);
                let y = MatRef::from_column_major_slice(&y, d, generated.rows);
                let matrix = product(root.transpose(), y);
                let matrix = MatRef::from_column_major_slice(&matrix, root.ncols(), generated.rows);
                nuclear_norm(matrix)? / degrees.sqrt()
            }
            None => {
                let matrix = cross(real, &self.mean, generated, &mean);
                let matrix = MatRef::from_row_major_slice(&matrix, generated.rows, real.rows);
                nuclear_norm(matrix)? / (degrees.sqrt() * ((real.rows - 1) as f64).sqrt())
            }
        };
        Ok(squared_distance(&self.mean, &mean) + self.trace + trace - 2.0 * trace_root)
    }
}

/// Y X^T of the centred sets (`[n_g, n_r]`, row-major).
pub(crate) fn cross(real: &Features, real_mean: &[f64], generated: &Features, mean: &[f64]) -> Vec<f64> {
    let tiles = Tiles::default();
    let mut out = vec![0.0; generated.rows * real.rows];
    let bands = ranges(generated.rows, tiles.rows).collect::<Vec<_>>();
    out.par_chunks_mut(tiles.rows * real.rows).zip(bands).for_each_init(Scratch::default, |scratch, (out, band)| {
        for columns in ranges(real.rows, tiles.columns) {
            let (y, x) = ((generated, Some(mean)), (real, Some(real_mean)));
            let tile = scratch.products(y, band.clone(), x, columns.clone(), 1.0, tiles.depth);
            for (out, tile) in out.chunks_exact_mut(real.rows).zip(tile.chunks_exact(columns.len())) {
                out[columns.clone()].copy_from_slice(tile);
            }
        }
    });
    out
}

/// A (`[d, r]`) with A A^T = `covariance`: A = D V L^{1/2}, with the deviations D and the eigenvectors V and eigenvalues L of the
/// correlations, so that columns of small scale beside large ones keep their digits. Directions that the correlations lack,
/// whose eigenvalues are nothing but rounding, are left out: their roots would be about 1e-8 of the largest.
pub(crate) fn root(covariance: &[f64], d: usize) -> Result<Mat<f64>> {
    let deviation = |i: usize| covariance[i * d + i].max(0.0).sqrt();
    let deviations: Vec<f64> = (0..d).map(deviation).collect();
    let correlations: Vec<f64> = (0..d * d)
        .map(|at| {
            let scale = deviations[at / d] * deviations[at % d];
            // A constant column has no covariance; anything else there says that this is no covariance, and is kept to be found.
            if scale > 0.0 { covariance[at] / scale } else { covariance[at] }
        })
        .collect();
    let (values, vectors) = eigenvectors(MatRef::from_column_major_slice(&correlations, d, d))?;
    let lacking = lacking(&values);
    let roots = roots("the covariance", values, trace_of(&correlations, d))?;
    Ok(Mat::from_fn(d, d - lacking, |row, column| {
        let scale = if deviations[row] > 0.0 { deviations[row] } else { 1.0 };
        scale * vectors[(row, lacking + column)] * roots[lacking + column]
    }))
}

/// How many of the ascending eigenvalues of a positive semidefinite matrix are rounding: at most 4 d^{1/2} eps of the largest.
fn lacking(values: &[f64]) -> usize {
    let largest = values.last().copied().unwrap_or(0.0);
    let rounding = 4.0 * (values.len() as f64).sqrt() * f64::EPSILON * largest;
    values.partition_point(|&value| value <= rounding)
}

/// tr (A A^T S)^{1/2}, A `[d, r]`: from the eigenvalues of A^T S A, or, when some of those are rounding, whose roots
/// would not be small, as the nuclear norm of A^T B with B B^T = S.
pub(crate) fn trace_of_root(a: MatRef<'_, f64>, a_trace: f64, covariance: &[f64], trace: f64) -> Result<f64> {
    let (d, r) = a.shape();
    if r == 0 {
        return Ok(0.0);
    }
    let half = product(MatRef::from_column_major_slice(covariance, d, d), a);
    let whole = product(a.transpose(), MatRef::from_column_major_slice(&half, d, r));
    let values = eigenvalues(MatRef::from_column_major_slice(&whole, r, r))?;
    if lacking(&values) > 0 {
        let b = root(covariance, d)?;
        let cross = product(a.transpose(), b.as_ref());
        return if b.ncols() == 0 {
            Ok(0.0)
        } else {
            nuclear_norm(MatRef::from_column_major_slice(&cross, r, b.ncols()))
        };
    }
    Ok(roots("the product of the covariances", values, a_trace * trace)?.iter().sum())
}

pub(crate) fn trace_of(covariance: &[f64], d: usize) -> f64 {
    covariance.iter().step_by(d + 1).sum()
}

pub(crate) fn squared_distance(x: &[f64], y: &[f64]) -> f64 {
    x.iter().zip(y).map(|(x, y)| (x - y) * (x - y)).sum()
}

/// The squared 2-Wasserstein distance of N(mean_a, covariance_a) and N(mean_b, covariance_b): means `[d]`,
/// covariances `[d, d]`, squared units of the samples.
///
/// W_2^2 = |mu_a - mu_b|^2 + tr(S_a + S_b - 2 (S_a S_b)^{1/2}) (Dowson and Landau 1982,
/// doi:10.1016/0047-259X(82)90077-X). Range \[0, inf), up to rounding. Singular covariances are welcome.
///
/// # Errors
/// An error when the lengths disagree; undefined when a matrix has a negative eigenvalue beyond rounding.
pub fn gaussian_w2_sq(mean_a: &[f64], covariance_a: &[f64], mean_b: &[f64], covariance_b: &[f64]) -> Result<f64> {
    check_gaussian(mean_a, covariance_a)?;
    check_gaussian(mean_b, covariance_b)?;
    let d = mean_a.len();
    if d != mean_b.len() {
        return Err(MetricsError::DimensionMismatch { real: d, generated: mean_b.len() });
    }
    let (trace_a, trace_b) = (trace_of(covariance_a, d), trace_of(covariance_b, d));
    let trace_root = trace_of_root(root(covariance_a, d)?.as_ref(), trace_a, covariance_b, trace_b)?;
    Ok(squared_distance(mean_a, mean_b) + trace_a + trace_b - 2.0 * trace_root)
}

/// The squared 2-Wasserstein distance of N(mean, covariance) and N(0, I): mean `[d]`, covariance `[d, d]`.
///
/// W_2^2 = |mu|^2 + tr(S + I - 2 S^{1/2}) = |mu|^2 + sum (1 - s_i^{1/2})^2 over the eigenvalues s_i of S, which keeps
/// all digits near S = I and at S = 0 (where it is |mu|^2 + d). Range \[0, inf), never below 0.
///
/// # Errors
/// As [`gaussian_w2_sq`].
pub fn w2_sq_to_standard(mean: &[f64], covariance: &[f64]) -> Result<f64> {
    check_gaussian(mean, covariance)?;
    let d = mean.len();
    let values = eigenvalues(MatRef::from_column_major_slice(covariance, d, d))?;
    let roots = roots("the covariance", values, trace_of(covariance, d))?;
    let spread: f64 = roots.iter().map(|root| (1.0 - root) * (1.0 - root)).sum();
    Ok(mean.iter().map(|mean| mean * mean).sum::<f64>() + spread)
}

fn check_gaussian(mean: &[f64], covariance: &[f64]) -> Result<()> {
    let d = mean.len();
    if d == 0 || covariance.len() != d * d {
        let values = covariance.len();
        return Err(MetricsError::BufferLength { what: "a covariance", values, rows: d, dim: d });
    }
    match mean.iter().chain(covariance).find(|value| !value.is_finite()) {
        None => Ok(()),
        Some(&value) => Err(MetricsError::NotPositive {
            what: "a Gaussian's parameters",
            eigenvalue: value,
            largest: f64::INFINITY,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{gaussian, in_pool};

    fn close(a: f64, b: f64, relative: f64) -> bool {
        (a - b).abs() <= relative * a.abs().max(b.abs())
    }

    #[test]
    fn gaussians_with_commuting_covariances_have_a_closed_form() {
        let (a, b) = ([4.0, 0.0, 0.0, 9.0], [1.0, 0.0, 0.0, 16.0]);
        let value = gaussian_w2_sq(&[1.0, 2.0], &a, &[0.0, 0.0], &b).expect("covariances");
        assert!(close(value, 5.0 + 1.0 + 1.0, 1e-14), "{value}");
        // The same, turned by 30 degrees.
        let turn = |c: [f64; 4]| {
            let (cos, sin) = (0.75_f64.sqrt(), 0.5);
            let (p, q) = (c[0], c[3]);
            let off = (p - q) * cos * sin;
            [p * cos * cos + q * sin * sin, off, off, p * sin * sin + q * cos * cos]
        };
        let value = gaussian_w2_sq(&[1.0, 2.0], &turn(a), &[0.0, 0.0], &turn(b)).expect("covariances");
        assert!(close(value, 7.0, 1e-13), "{value}");
        let value = gaussian_w2_sq(&[3.0], &[4.0], &[1.0], &[0.25]).expect("variances");
        assert!(close(value, 4.0 + 2.25, 1e-15), "{value}");
    }

    #[test]
    fn two_by_two_covariances_that_do_not_commute() {
        // tr (AB)^{1/2} = (tr AB + 2 (det AB)^{1/2})^{1/2} for 2 x 2.
        let (a, b) = ([2.0, 0.7, 0.7, 1.0], [1.5, -0.6, -0.6, 3.0]);
        let trace_ab: f64 = a[0] * b[0] + 2.0 * a[1] * b[1] + a[3] * b[3];
        let det = |m: [f64; 4]| m[0] * m[3] - m[1] * m[2];
        let expected = 3.0 + 4.5 - 2.0 * (trace_ab + 2.0 * (det(a) * det(b)).sqrt()).sqrt();
        let value = gaussian_w2_sq(&[0.0; 2], &a, &[0.0; 2], &b).expect("covariances");
        assert!(close(value, expected, 1e-13), "{value} {expected}");
    }

    #[test]
    fn the_distance_to_the_standard_gaussian() {
        let value = w2_sq_to_standard(&[0.5, 0.0], &[0.25, 0.0, 0.0, 4.0]).expect("covariance");
        assert!(close(value, 0.25 + 0.25 + 1.0, 1e-15), "{value}");
        assert_eq!(w2_sq_to_standard(&[0.0; 3], &[0.0; 9]).expect("covariance"), 3.0);
        let correlated = [1.3, 0.4, 0.4, 0.2];
        let general = gaussian_w2_sq(&[1.0, -1.0], &correlated, &[0.0; 2], &[1.0, 0.0, 0.0, 1.0]).expect("covariances");
        let special = w2_sq_to_standard(&[1.0, -1.0], &correlated).expect("covariance");
        assert!(close(general, special, 1e-13));
        assert!(w2_sq_to_standard(&[0.0; 2], &[1.0, 2.0, 2.0, 1.0]).expect_err("indefinite").is_undefined());
        assert!(!w2_sq_to_standard(&[0.0; 2], &[1.0]).expect_err("too short").is_undefined());
        assert!(w2_sq_to_standard(&[f64::NAN], &[1.0]).is_err());
    }

    #[test]
    fn one_dimension_is_the_difference_of_means_and_deviations() {
        let set = |values: &[f32]| Features { rows: values.len(), dim: 1, values: values.to_vec() };
        // Means 2 and 0, variances 4 and 1.
        let (a, b) = (set(&[0.0, 2.0, 4.0]), set(&[-1.0, 0.0, 1.0]));
        assert!(close(frechet_distance(&a, &b).expect("defined"), 4.0 + 1.0, 1e-14));
    }

    #[test]
    fn the_routes_agree() {
        // n >= d, so that all three routes are possible.
        for (n_r, n_g, d) in [(50, 40, 6), (30, 30, 30), (300, 200, 64), (9, 7, 7)] {
            let (real, generated) = (gaussian(3, n_r, d, 0.0), gaussian(4, n_g, d, 0.3));
            let whole = FrechetReference::new(&real).expect("prepared");
            let rows = FrechetReference { root: None, ..whole.clone() };
            let root = whole.root.as_ref().expect("n >= d");
            let by_eigenvalues = whole.by_eigenvalues(root, &Moments::new(&generated).expect("rows")).expect("defined");
            for other in [&whole, &rows] {
                let by_norm = other.by_nuclear_norm(&real, &generated).expect("defined");
                assert!(close(by_eigenvalues, by_norm, 1e-8), "{by_eigenvalues} {by_norm}");
            }
        }
    }

    #[test]
    fn a_point_is_at_the_trace_of_the_other() {
        let real = gaussian(5, 80, 7, 0.0);
        let moments = Moments::new(&real).expect("moments");
        let point = Features { rows: 30, dim: 7, values: vec![0.5; 210] };
        let expected = trace_of(&moments.covariance, 7) + squared_distance(&moments.mean, &[0.5; 7]);
        assert!(close(frechet_distance(&real, &point).expect("defined"), expected, 1e-14));
        assert!(close(frechet_distance(&point, &real).expect("defined"), expected, 1e-14));
        let two = Features { rows: 2, dim: 7, values: vec![0.5; 14] };
        assert!(close(frechet_distance(&real, &two).expect("defined"), expected, 1e-14));
        assert!(close(frechet_distance(&two, &real).expect("defined"), expected, 1e-14));
        assert_eq!(frechet_distance(&two, &point).expect("defined"), 0.0);
    }

    #[test]
    fn orthogonal_supports_do_not_overlap() {
        // Rank-deficient: one set varies along x only, the other along y only.
        let axis = |a: usize| Features {
            rows: 40,
            dim: 2,
            values: (0..40).flat_map(|i| if a == 0 { [i as f32, 0.0] } else { [19.5, i as f32 - 19.5] }).collect(),
        };
        let variance = (0..40).map(|i| (f64::from(i) - 19.5).powi(2)).sum::<f64>() / 39.0;
        let value = frechet_distance(&axis(0), &axis(1)).expect("defined");
        assert!(close(value, 2.0 * variance, 1e-12), "{value}");
    }

    #[test]
    fn images_of_49152_values_need_no_square_matrix() {
        // d * d would be 19 GB. Both sets vary in the first three columns only.
        let (n, d) = (40, 49_152);
        let wide = |seed, shift: f32| {
            let narrow = gaussian(seed, n, 3, shift);
            let mut values = vec![0.25_f32; n * d];
            for (row, values) in values.chunks_exact_mut(d).enumerate() {
                values[..3].copy_from_slice(narrow.row(row));
            }
            (narrow, Features { rows: n, dim: d, values })
        };
        let ((narrow_r, wide_r), (narrow_g, wide_g)) = (wide(6, 0.0), wide(7, 1.0));
        let expected = frechet_distance(&narrow_r, &narrow_g).expect("defined");
        let value = frechet_distance(&wide_r, &wide_g).expect("defined");
        assert!(close(value, expected, 1e-9), "{value} {expected}");
    }

    #[test]
    fn a_column_of_another_scale_hides_no_other() {
        // The same long column in both sets adds nothing; the others are of twice the deviation.
        let (n, d) = (400, 10);
        let narrow = gaussian(31, n, d, 0.0);
        let with = |scale: f32, long: f32| {
            let mut set = narrow.clone();
            for (i, row) in set.values.chunks_exact_mut(d).enumerate() {
                row.iter_mut().for_each(|value| *value *= scale);
                row[0] = long * ((i * 7919 % n) as f32 / n as f32 - 0.5);
            }
            set
        };
        let expected = frechet_distance(&with(1.0, 1.0), &with(2.0, 1.0)).expect("defined");
        let value = frechet_distance(&with(1.0, 1e5), &with(2.0, 1e5)).expect("defined");
        assert!(close(value, expected, 1e-3), "{value} {expected}");
    }

    #[test]
    fn threads_change_no_bit() {
        for (n, d) in [(400, 300), (200, 300), (700, 600), (600, 900)] {
            let (real, generated) = (gaussian(8, n, d, 0.0), gaussian(9, n, d, 0.1));
            let one = in_pool(1, || frechet_distance(&real, &generated));
            assert_eq!(one, in_pool(3, || frechet_distance(&real, &generated)));
        }
    }
}
