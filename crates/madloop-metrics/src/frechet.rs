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
#[path = "frechet_tests.rs"]
mod tests;
