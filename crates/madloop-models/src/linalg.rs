//! Small dense linear algebra in f64, at a constant parallel degree so that results do not depend on threads.

use faer::diag::Diag;
use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::evd::{ComputeEigenvectors, self_adjoint_evd, self_adjoint_evd_scratch};
use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, MatMut, MatRef, Par};
use madloop_core::Mix;
use rand::Rng;
use rand_distr::{Distribution, StandardNormal};
use rayon::prelude::*;

/// Mean `[d]` and scatter sum_i (x_i - mean)(x_i - mean)^T `[d, d]` of `n` rows.
pub(crate) struct Scatter {
    pub(crate) n: usize,
    pub(crate) mean: Vec<f64>,
    pub(crate) scatter: Vec<f64>,
}

/// A square root of a covariance: covariance = sum over rows of `rows[r] rows[r]^T`, `rows` is `[rank, dim]`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Factor {
    pub(crate) dim: usize,
    pub(crate) rows: Vec<f64>,
}

/// Rows of a chunk of the fixed partition over which sums run: it depends on n alone, never on threads.
fn chunk_rows(n: usize) -> usize {
    n.div_ceil(16).max(256)
}

/// Sums `map` over fixed chunks of rows, in order.
fn sum_chunks(n: usize, map: impl Fn(usize, usize) -> Vec<f64> + Sync) -> Vec<f64> {
    let chunk = chunk_rows(n);
    let parts: Vec<Vec<f64>> =
        (0..n.div_ceil(chunk)).into_par_iter().map(|i| map(i * chunk, ((i + 1) * chunk).min(n))).collect();
    let mut parts = parts.into_iter();
    let mut sum = parts.next().unwrap_or_default();
    for part in parts {
        for (sum, value) in sum.iter_mut().zip(part) {
            *sum += value;
        }
    }
    sum
}

/// Mean of the rows (`[d]`).
pub(crate) fn mean(mix: &Mix) -> Vec<f64> {
    let (n, d) = (mix.len(), mix.dim());
    let mut mean = sum_chunks(n, |start, end| {
        let (mut sum, mut row) = (vec![0.0; d], vec![0.0_f32; d]);
        for i in start..end {
            mix.copy_row(i, &mut row);
            sum.iter_mut().zip(&row).for_each(|(sum, &value)| *sum += f64::from(value));
        }
        sum
    });
    mean.iter_mut().for_each(|value| *value /= n as f64);
    mean
}

/// Rows `[start, end)` minus `mean`, `[end - start, d]`.
fn centred(mix: &Mix, mean: &[f64], start: usize, end: usize) -> Vec<f64> {
    let mut rows = vec![0.0; (end - start) * mix.dim()];
    mix.copy_rows_f64(start, &mut rows);
    for row in rows.chunks_exact_mut(mix.dim()) {
        row.iter_mut().zip(mean).for_each(|(value, mean)| *value -= mean);
    }
    rows
}

impl Scatter {
    /// Two passes over the mix, in f64.
    pub(crate) fn of(mix: &Mix) -> Self {
        let (n, d) = (mix.len(), mix.dim());
        let mean = mean(mix);
        let scatter = sum_chunks(n, |start, end| {
            let rows = centred(mix, &mean, start, end);
            gram(&rows, end - start, d, true)
        });
        Self { n, mean, scatter }
    }

    /// The scatter over n - 1 (0 when n = 1).
    pub(crate) fn covariance(&self) -> Vec<f64> {
        let divisor = (self.n.max(2) - 1) as f64;
        self.scatter.iter().map(|value| value / divisor).collect()
    }
}

/// X^T X `[d, d]` (`of_columns`) or X X^T `[n, n]` of `x` `[n, d]`.
fn gram(x: &[f64], n: usize, d: usize, of_columns: bool) -> Vec<f64> {
    let size = if of_columns { d } else { n };
    let mut out = vec![0.0; size * size];
    if of_columns && d <= 8 {
        for row in x.chunks_exact(d) {
            for i in 0..d {
                for j in 0..d {
                    out[i * d + j] += row[i] * row[j];
                }
            }
        }
        return out;
    }
    let x = MatRef::from_row_major_slice(x, n, d);
    let target = MatMut::from_row_major_slice_mut(&mut out, size, size);
    if of_columns {
        matmul(target, Accum::Replace, x.transpose(), x, 1.0, Par::Seq);
    } else {
        matmul(target, Accum::Replace, x, x.transpose(), 1.0, Par::Seq);
    }
    out
}

/// Eigenvalues in nondecreasing order and the matrix whose columns are the eigenvectors; `None` if the matrix is not finite
/// or the iteration fails.
fn symmetric_eigen(matrix: &[f64], size: usize) -> Option<(Vec<f64>, Mat<f64>)> {
    if matrix.iter().any(|value| !value.is_finite()) {
        return None;
    }
    let par = if size < 256 { Par::Seq } else { Par::rayon(4) };
    let matrix = MatRef::from_row_major_slice(matrix, size, size).to_owned();
    let (mut values, mut vectors) = (Diag::<f64>::zeros(size), Mat::<f64>::zeros(size, size));
    let scratch = self_adjoint_evd_scratch::<f64>(size, ComputeEigenvectors::Yes, par, Default::default());
    self_adjoint_evd(
        matrix.as_ref(),
        values.as_mut(),
        Some(vectors.as_mut()),
        par,
        MemStack::new(&mut MemBuffer::new(scratch)),
        Default::default(),
    )
    .ok()?;
    Some((values.column_vector().iter().copied().collect(), vectors))
}

/// Raises the eigenvalues of a symmetric matrix that are below `floor` to it; a matrix without eigenvalues is left as it is.
pub(crate) fn raise_eigenvalues(matrix: &mut [f64], size: usize, floor: f64) {
    let Some((values, vectors)) = symmetric_eigen(matrix, size) else { return };
    for (r, value) in values.iter().enumerate().filter(|(_, value)| **value < floor) {
        for i in 0..size {
            for j in 0..size {
                matrix[i * size + j] += (floor - value) * vectors[(i, r)] * vectors[(j, r)];
            }
        }
    }
}

impl Factor {
    /// Its numerical rank: the number of rows.
    pub(crate) fn rank(&self) -> usize {
        self.rows.len() / self.dim
    }

    /// The factor of a symmetric positive semidefinite matrix `[dim, dim]`, by eigenvalues; those at rounding level
    /// (<= dim * eps * largest) count as zero.
    pub(crate) fn of_covariance(covariance: &[f64], dim: usize) -> Option<Self> {
        let (values, vectors) = symmetric_eigen(covariance, dim)?;
        let tiny = dim as f64 * f64::EPSILON * values.last().copied().unwrap_or(0.0);
        let mut rows = Vec::new();
        for (r, &value) in values.iter().enumerate().filter(|(_, value)| **value > tiny) {
            rows.extend((0..dim).map(|j| value.sqrt() * vectors[(j, r)]));
        }
        Some(Self { dim, rows })
    }

    /// The factor of the sample covariance (divisor n - 1) of a mix, with its mean. With n <= d it comes from the n x n
    /// Gram matrix of the centred rows, so that d x d is never formed. `None` if a value is not finite.
    pub(crate) fn of_mix(mix: &Mix) -> Option<(Vec<f64>, Self)> {
        let (n, d) = (mix.len(), mix.dim());
        if n > d {
            let scatter = Scatter::of(mix);
            let factor = Self::of_covariance(&scatter.covariance(), d)?;
            return Some((scatter.mean, factor));
        }
        let mean = mean(mix);
        let rows = centred(mix, &mean, 0, n);
        let (values, vectors) = symmetric_eigen(&gram(&rows, n, d, false), n)?;
        let tiny = n as f64 * f64::EPSILON * values.last().copied().unwrap_or(0.0);
        let kept: Vec<usize> = (0..n).filter(|&r| values[r] > tiny).collect();
        let divisor = (n.max(2) - 1) as f64;
        let mut factor = vec![0.0; kept.len() * d];
        // Row r: sigma_r v_r = X^T u_r, over sqrt(n - 1).
        for (out, &r) in factor.chunks_exact_mut(d).zip(&kept) {
            for (i, row) in rows.chunks_exact(d).enumerate() {
                let weight = vectors[(i, r)] / divisor.sqrt();
                out.iter_mut().zip(row).for_each(|(out, value)| *out += weight * value);
            }
        }
        Some((mean, Self { dim: d, rows: factor }))
    }

    /// The covariance itself, `[dim, dim]`.
    pub(crate) fn covariance(&self) -> Vec<f64> {
        gram(&self.rows, self.rank(), self.dim, true)
    }

    /// Adds `scale` * a draw from N(0, covariance) to each row of `out` (`[rngs.len(), dim]`). Every row's arithmetic is the
    /// same whatever the number of rows.
    pub(crate) fn add_normal<R: Rng>(&self, rngs: &mut [R], scale: f64, out: &mut [f64]) {
        let rank = self.rank();
        let mut normals = vec![0.0; rngs.len() * rank];
        for (rng, normals) in rngs.iter_mut().zip(normals.chunks_exact_mut(rank.max(1))) {
            normals.fill_with(|| scale * Distribution::<f64>::sample(&StandardNormal, rng));
        }
        for (r, row) in self.rows.chunks_exact(self.dim).enumerate() {
            for (i, out) in out.chunks_exact_mut(self.dim).enumerate() {
                let weight = normals[i * rank + r];
                out.iter_mut().zip(row).for_each(|(out, value)| *out += weight * value);
            }
        }
    }
}

/// What a covariance of this rank means, if it is singular.
pub(crate) fn singular(rank: usize, dim: usize, n: usize) -> Option<String> {
    match rank {
        _ if rank == dim => None,
        0 => Some(format!("zero variance: all {n} samples are equal")),
        _ => Some(format!("the covariance is singular: rank {rank} of {dim} (n = {n})")),
    }
}

#[cfg(test)]
mod tests {
    use madloop_core::{Samples, Seeds, Shape, Stream};
    use proptest::prelude::*;

    use super::*;

    fn mix(n: usize, d: usize, seed: u64) -> Mix {
        let mut rng = Seeds::new(seed).rng(Stream::TRAIN, 0);
        let values = (0..n * d).map(|_| Distribution::<f64>::sample(&StandardNormal, &mut rng) as f32).collect();
        Samples::from_f32(Shape::vector(d), values).and_then(Mix::of).expect("whole rows")
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn both_routes_give_the_sample_covariance(n in 2_usize..40, d in 1_usize..40, seed: u64) {
            let mix = mix(n, d, seed);
            let (mean, factor) = Factor::of_mix(&mix).expect("finite");
            prop_assert_eq!(factor.rank(), d.min(n - 1));
            let mut rows = vec![0.0; n * d];
            mix.copy_rows_f64(0, &mut rows);
            let covariance = factor.covariance();
            for i in 0..d {
                let column = |j: usize| rows.iter().skip(j).step_by(d).copied();
                prop_assert!((mean[i] - column(i).sum::<f64>() / n as f64).abs() < 1e-12);
                for j in 0..d {
                    let products = column(i).zip(column(j)).map(|(a, b)| (a - mean[i]) * (b - mean[j]));
                    let direct = products.sum::<f64>() / (n - 1) as f64;
                    prop_assert!((covariance[i * d + j] - direct).abs() < 1e-11, "{} {}", covariance[i * d + j], direct);
                }
            }
        }
    }

    #[test]
    fn chunked_sums_do_not_depend_on_threads() {
        let mix = mix(9000, 3, 5);
        let in_pool = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
            pool.install(|| Scatter::of(&mix).scatter)
        };
        assert_eq!(in_pool(1), in_pool(7));
    }
}
