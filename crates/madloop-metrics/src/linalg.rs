//! Decompositions and products in f64 whose bits do not depend on the number of threads.
//!
//! Decompositions run on one thread, or, when large, at a constant parallel degree, which fixes how the work is split whatever
//! the pool; products are split into fixed column blocks.

use faer::diag::Diag;
use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::evd::{ComputeEigenvectors, self_adjoint_evd, self_adjoint_evd_scratch};
use faer::linalg::matmul::matmul;
use faer::linalg::svd::{ComputeSvdVectors, svd, svd_scratch};
use faer::{Accum, Mat, MatMut, MatRef, Par};
use rayon::prelude::*;

use crate::{MetricsError, Result};

/// Columns of one block of a product.
const BLOCK: usize = 128;

/// The parallel degree of a decomposition of this size.
fn degree(size: usize) -> Par {
    if size < 512 { Par::Seq } else { Par::rayon(4) }
}

/// Eigenvalues of the symmetric `a` (`[d, d]`), ascending.
pub(crate) fn eigenvalues(a: MatRef<'_, f64>) -> Result<Vec<f64>> {
    let d = a.nrows();
    let mut values = Diag::<f64>::zeros(d);
    let compute = ComputeEigenvectors::No;
    let par = degree(d);
    let mut memory = MemBuffer::new(self_adjoint_evd_scratch::<f64>(d, compute, par, Default::default()));
    self_adjoint_evd(a, values.as_mut(), None, par, MemStack::new(&mut memory), Default::default())
        .map_err(|_| MetricsError::NoConvergence { what: "eigenvalues", rows: d, columns: d })?;
    Ok(values.column_vector().iter().copied().collect())
}

/// Eigenvalues, ascending, and eigenvectors, as columns, of the symmetric `a` (`[d, d]`).
pub(crate) fn eigenvectors(a: MatRef<'_, f64>) -> Result<(Vec<f64>, Mat<f64>)> {
    let d = a.nrows();
    let mut values = Diag::<f64>::zeros(d);
    let mut vectors = Mat::<f64>::zeros(d, d);
    let compute = ComputeEigenvectors::Yes;
    let par = degree(d);
    let mut memory = MemBuffer::new(self_adjoint_evd_scratch::<f64>(d, compute, par, Default::default()));
    let stack = MemStack::new(&mut memory);
    self_adjoint_evd(a, values.as_mut(), Some(vectors.as_mut()), par, stack, Default::default())
        .map_err(|_| MetricsError::NoConvergence { what: "eigenvectors", rows: d, columns: d })?;
    Ok((values.column_vector().iter().copied().collect(), vectors))
}

/// The sum of the singular values of `a`.
pub(crate) fn nuclear_norm(a: MatRef<'_, f64>) -> Result<f64> {
    let (rows, columns) = a.shape();
    let mut values = Diag::<f64>::zeros(rows.min(columns));
    let (no, par) = (ComputeSvdVectors::No, degree(rows.min(columns)));
    let mut memory = MemBuffer::new(svd_scratch::<f64>(rows, columns, no, no, par, Default::default()));
    svd(a, values.as_mut(), None, None, par, MemStack::new(&mut memory), Default::default())
        .map_err(|_| MetricsError::NoConvergence { what: "singular values", rows, columns })?;
    Ok(values.column_vector().iter().sum())
}

/// `lhs * rhs` (`[m, n]`, column-major).
pub(crate) fn product(lhs: MatRef<'_, f64>, rhs: MatRef<'_, f64>) -> Vec<f64> {
    let (m, n) = (lhs.nrows(), rhs.ncols());
    let mut out = vec![0.0; m * n];
    if m > 0 {
        out.par_chunks_mut(m * BLOCK).enumerate().for_each(|(block, out)| {
            let columns = out.len() / m;
            let rhs = rhs.subcols(block * BLOCK, columns);
            let out = MatMut::from_column_major_slice_mut(out, m, columns);
            matmul(out, Accum::Replace, lhs, rhs, 1.0, Par::Seq);
        });
    }
    out
}

/// The roots of the eigenvalues of a positive semidefinite matrix that was computed with rounding of
/// about d eps `scale`.
///
/// Exact eigenvalues are not negative. Those that rounding has put at most 64 d eps `scale` below 0
/// count as the 0 they stand for; a more negative one means that the matrix is not a covariance, and is an error.
pub(crate) fn roots(what: &'static str, mut eigenvalues: Vec<f64>, scale: f64) -> Result<Vec<f64>> {
    let rounding = 64.0 * eigenvalues.len() as f64 * f64::EPSILON * scale;
    for value in &mut eigenvalues {
        if *value < -rounding || value.is_nan() {
            return Err(MetricsError::NotPositive { what, eigenvalue: *value, largest: scale });
        }
        *value = value.max(0.0).sqrt();
    }
    Ok(eigenvalues)
}
