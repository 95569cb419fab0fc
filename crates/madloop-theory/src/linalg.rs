//! Factors of covariances in f64. Everything runs on the calling thread: replicates are what is parallel, so no bit depends on
//! the number of threads.

use faer::diag::{Diag, DiagRef};
use faer::dyn_stack::{MemBuffer, MemStack, StackReq};
use faer::linalg::cholesky::llt::factor::{cholesky_in_place, cholesky_in_place_scratch};
use faer::linalg::evd::tridiag::{tridiag_in_place, tridiag_in_place_scratch};
use faer::linalg::evd::tridiagonal_self_adjoint_evd;
use faer::linalg::matmul::triangular::{BlockStructure, matmul as triangular_matmul};
use faer::linalg::qr::no_pivoting::factor::{qr_in_place, qr_in_place_scratch, recommended_block_size};
use faer::{Accum, Mat, MatMut, MatRef, Par, prelude::*};

use crate::roots::sum_of_roots;

/// Smallest ratio of two pivots for which a Cholesky factor is as good as a QR one here: the smallest variance is then known
/// to about eps / RATIO^2 = 1e-8 of itself.
const PIVOT_RATIO: f64 = 1e-4;

/// F with Sigma = F F^T.
#[derive(Debug, Clone)]
pub(crate) struct Factor {
    /// `[d, r]`; lower triangular exactly when r = d.
    pub(crate) matrix: Mat<f64>,
}

impl Factor {
    /// The factor of diag(`variances`).
    pub(crate) fn diagonal(variances: &[f64]) -> Self {
        let d = variances.len();
        Self { matrix: Mat::from_fn(d, d, |i, j| if i == j { variances[i].sqrt() } else { 0.0 }) }
    }

    pub(crate) fn rank(&self) -> usize {
        self.matrix.ncols()
    }

    fn structure(&self) -> BlockStructure {
        if self.is_full() { BlockStructure::TriangularLower } else { BlockStructure::Rectangular }
    }

    /// Whether it has as many columns as rows.
    pub(crate) fn is_full(&self) -> bool {
        self.matrix.nrows() == self.matrix.ncols()
    }

    /// `scale` F T into `out` (`[d, c]`, zeros), T lower trapezoidal (`[r, c]`, c <= r).
    pub(crate) fn times_lower(&self, t: MatRef<'_, f64>, scale: f64, mut out: MatMut<'_, f64>) {
        let (d, c) = (self.matrix.nrows(), t.ncols());
        let par = Par::Seq;
        if self.is_full() && c == d {
            let lower = BlockStructure::TriangularLower;
            triangular_matmul(out, lower, Accum::Replace, self.matrix.as_ref(), lower, t, lower, scale, par);
            return;
        }
        // The square part of T is triangular, what is below it is dense.
        let (left, right) = self.matrix.as_ref().split_at_col(c);
        let (top, bottom) = t.split_at_row(c);
        let (full, lower) = (BlockStructure::Rectangular, BlockStructure::TriangularLower);
        triangular_matmul(out.as_mut(), full, Accum::Replace, left, full, top, lower, scale, par);
        triangular_matmul(out, full, Accum::Add, right, full, bottom, full, scale, par);
    }

    /// `scale` F z, added to `out` (`[d]`).
    pub(crate) fn add_times(&self, z: &[f64], scale: f64, out: &mut [f64]) {
        for (j, z) in z.iter().enumerate() {
            let first = if self.is_full() { j } else { 0 };
            let column = self.matrix.col(j).try_as_col_major().map(|column| column.as_slice()).unwrap_or_default();
            for (out, value) in out[first..].iter_mut().zip(&column[first..]) {
                *out += scale * z * value;
            }
        }
    }

    /// tr F F^T.
    pub(crate) fn trace(&self) -> f64 {
        self.matrix.col_iter().map(|column| column.iter().map(|value| value * value).sum::<f64>()).sum()
    }

    /// log det F F^T; `None` when it is singular.
    pub(crate) fn log_det(&self) -> Option<f64> {
        let d = self.matrix.nrows();
        let log: f64 = (0..self.rank()).map(|i| self.matrix[(i.min(d - 1), i)].abs().ln()).sum();
        (self.is_full() && log.is_finite()).then_some(2.0 * log)
    }

    /// tr(Sigma + S - 2 (S^{1/2} Sigma S^{1/2})^{1/2}) for S = diag(`roots`^2), squared W2 of the centred Gaussians. Where it is
    /// small beside the traces, and S = s I, it is sum (s^{1/2} - sigma_i^{1/2})^2, which keeps its digits however near the two are.
    pub(crate) fn spread(&self, roots: &[f64]) -> f64 {
        let s = roots[0];
        let (diagonal, below) = tridiagonal(self.gram(roots).as_mut());
        if roots.iter().all(|&root| root == s) {
            return s * s * isotropic_spread(&diagonal, &below, s.powi(4), roots.len());
        }
        let real: f64 = roots.iter().map(|root| root * root).sum();
        let sum = sum_of_roots(&diagonal, &below).unwrap_or_else(|| {
            tridiagonal_eigenvalues(&diagonal, &below).iter().map(|value| value.max(0.0).sqrt()).sum()
        });
        (self.trace() + real - 2.0 * sum).max(0.0)
    }

    /// The lower half of A F F^T A, or of F^T A^2 F where that is smaller, A = diag(`roots`).
    fn gram(&self, roots: &[f64]) -> Mat<f64> {
        let (d, r) = self.matrix.shape();
        let scaled = Mat::from_fn(d, r, |i, j| roots[i] * self.matrix[(i, j)]);
        let mut gram = Mat::zeros(d.min(r), d.min(r));
        if gram.nrows() == 0 {
            return gram;
        }
        let (lower, full) = (BlockStructure::TriangularLower, BlockStructure::Rectangular);
        let (structure, y) = (self.structure(), scaled.as_ref());
        let (lhs, rhs) = if r < d { (y.transpose(), y) } else { (y, y.transpose()) };
        let (ls, rs) = if r < d { (full, full) } else { (structure, structure.transpose()) };
        triangular_matmul(gram.as_mut(), lower, Accum::Replace, lhs, ls, rhs, rs, 1.0, Par::Seq);
        gram
    }

    /// tr (F F^T)^2.
    pub(crate) fn squared_trace(&self) -> f64 {
        let (d, r) = self.matrix.shape();
        let y = self.matrix.as_ref();
        let (lower, full) = (BlockStructure::TriangularLower, BlockStructure::Rectangular);
        let mut gram = Mat::zeros(d.min(r), d.min(r));
        let (lhs, rhs) = if r < d { (y.transpose(), y) } else { (y, y.transpose()) };
        let (ls, rs) = if r < d { (full, full) } else { (lower, BlockStructure::TriangularUpper) };
        triangular_matmul(gram.as_mut(), lower, Accum::Replace, lhs, ls, rhs, rs, 1.0, Par::Seq);
        let mut sum = 0.0;
        for (j, column) in gram.col_iter().enumerate() {
            let below: f64 = column.iter().skip(j + 1).map(|value| value * value).sum();
            sum += 2.0 * below + column[j] * column[j];
        }
        sum
    }
}

/// The factor of C C^T for the columns C (`[d, c]`): C itself when c < d, else lower triangular.
pub(crate) fn compress(columns: Mat<f64>, triangular: bool) -> Factor {
    let (d, c) = columns.shape();
    if c < d || (c == d && triangular) {
        return Factor { matrix: columns };
    }
    let lower = BlockStructure::TriangularLower;
    let full = BlockStructure::Rectangular;
    let mut gram = Mat::zeros(d, d);
    let y = columns.as_ref();
    triangular_matmul(gram.as_mut(), lower, Accum::Replace, y, full, y.transpose(), full, 1.0, Par::Seq);
    let mut memory = MemBuffer::new(cholesky_in_place_scratch::<f64>(d, Par::Seq, Default::default()));
    let stack = MemStack::new(&mut memory);
    if cholesky_in_place(gram.as_mut(), Default::default(), Par::Seq, stack, Default::default()).is_ok() {
        let pivots = (0..d).map(|i| gram[(i, i)]);
        let (smallest, largest) = pivots.fold((f64::INFINITY, 0.0), |(s, l): (f64, f64), p| (s.min(p), l.max(p)));
        if smallest > PIVOT_RATIO * largest {
            // The decomposition leaves scratch above the diagonal.
            for j in 1..d {
                gram.col_mut(j).subrows_mut(0, j).fill(0.0);
            }
            return Factor { matrix: gram };
        }
    }
    by_qr(&columns)
}

/// R^T of C^T = Q R, which keeps variances that a Gram matrix would lose to rounding.
fn by_qr(columns: &Mat<f64>) -> Factor {
    let (d, c) = columns.shape();
    let mut transposed = columns.transpose().to_owned();
    let block = recommended_block_size::<f64>(c, d);
    let mut coefficients = Mat::zeros(block, d);
    let mut memory = MemBuffer::new(qr_in_place_scratch::<f64>(c, d, block, Par::Seq, Default::default()));
    let stack = MemStack::new(&mut memory);
    qr_in_place(transposed.as_mut(), coefficients.as_mut(), Par::Seq, stack, Default::default());
    // Pivots that are rounding are 0: blocks may all lie in one subspace, however many rows they have.
    let largest = (0..d).fold(0.0_f64, |largest, i| largest.max(transposed[(i, i)].abs()));
    let rounding = 16.0 * (c as f64).sqrt() * f64::EPSILON * largest;
    let entry = |i: usize, j: usize| match transposed[(j, i)] {
        value if j < i || value.abs() > rounding => value,
        _ => 0.0,
    };
    Factor { matrix: Mat::from_fn(d, d, |i, j| if j <= i { entry(i, j) } else { 0.0 }) }
}

/// Diagonal and subdiagonal of the tridiagonal matrix with the eigenvalues of the symmetric `a` (`[d, d]`, its lower half, which is
/// overwritten).
fn tridiagonal(mut a: MatMut<'_, f64>) -> (Vec<f64>, Vec<f64>) {
    let d = a.nrows();
    if d > 1 {
        let mut householder = Mat::zeros(recommended_block_size::<f64>(d, d), d - 1);
        let mut memory = MemBuffer::new(tridiag_in_place_scratch::<f64>(d, Par::Seq, Default::default()));
        let stack = MemStack::new(&mut memory);
        tridiag_in_place(a.rb_mut(), householder.as_mut(), Par::Seq, stack, Default::default());
    }
    ((0..d).map(|i| a[(i, i)]).collect(), (1..d).map(|i| a[(i, i - 1)]).collect())
}

/// sum_i (1 - (x_i / unit)^{1/2})^2 over the eigenvalues x of a tridiagonal matrix and zeros that make them `dim`: from the
/// sum of the roots, or, where little would be left of the difference, from each.
pub(crate) fn isotropic_spread(diagonal: &[f64], below: &[f64], unit: f64, dim: usize) -> f64 {
    const NEAR: f64 = 1e-5;
    let trace = diagonal.iter().sum::<f64>() / unit;
    let spread = sum_of_roots(diagonal, below).map(|sum| trace + dim as f64 - 2.0 * sum / unit.sqrt());
    if let Some(spread) = spread.filter(|&spread| spread > NEAR * dim as f64) {
        return spread;
    }
    let values = tridiagonal_eigenvalues(diagonal, below);
    let apart = |value: &f64| (1.0 - (value.max(0.0) / unit).sqrt()).powi(2);
    values.iter().map(apart).sum::<f64>() + (dim - values.len()) as f64
}

/// Eigenvalues of the symmetric `a` (`[d, d]`, its lower half), ascending; NaN in the case, never seen, that they do not converge
/// or are not finite.
pub(crate) fn eigenvalues(a: MatRef<'_, f64>) -> Vec<f64> {
    let (diagonal, below) = tridiagonal(a.to_owned().as_mut());
    tridiagonal_eigenvalues(&diagonal, &below)
}

/// Eigenvalues of the symmetric tridiagonal matrix with this diagonal (`[d]`) and subdiagonal (`[d - 1]` or longer).
pub(crate) fn tridiagonal_eigenvalues(diagonal: &[f64], below: &[f64]) -> Vec<f64> {
    let d = diagonal.len();
    let mut values = Diag::<f64>::zeros(d);
    let mut memory = MemBuffer::new(StackReq::all_of(&[StackReq::new::<f64>(4 * d + 64); 2]));
    let (diagonal, below) = (DiagRef::from_slice(diagonal), DiagRef::from_slice(below));
    let (stack, default) = (MemStack::new(&mut memory), Default::default());
    let done = tridiagonal_self_adjoint_evd(diagonal, below, values.as_mut(), None, Par::Seq, stack, default);
    if done.is_err() {
        return vec![f64::NAN; d];
    }
    values.column_vector().iter().copied().collect()
}
