//! Products of matrices, for linear layers and attention: faer's kernels on blocks that depend on the shape alone.

use super::{scratch::Scratch, sum_parts};
use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use rayon::prelude::*;

/// Rows a job.
const ROWS: usize = 128;

/// A matrix in rows, read as it is or transposed.
#[derive(Clone, Copy, Debug)]
pub struct Matrix<'a> {
    data: &'a [f32],
    /// Rows and columns as read, and as stored if not transposed.
    size: [usize; 2],
    transposed: bool,
}

impl<'a> Matrix<'a> {
    /// `rows` x `columns` numbers, row after row; for [`products`], as many such matrices as the batch has.
    pub fn new(data: &'a [f32], rows: usize, columns: usize) -> Self {
        Self { data, size: [rows, columns], transposed: false }
    }

    /// The transpose of this matrix.
    pub fn t(self) -> Self {
        Self { size: [self.size[1], self.size[0]], transposed: !self.transposed, ..self }
    }

    fn view(&self, i: usize) -> MatRef<'a, f32> {
        let [rows, columns] = self.size;
        let data = &self.data[i * rows * columns..][..rows * columns];
        if self.transposed {
            MatRef::from_row_major_slice(data, columns, rows).transpose()
        } else {
            MatRef::from_row_major_slice(data, rows, columns)
        }
    }
}

/// `out[i] = factor a[i] b[i]` for each pair of a batch, out `[batch, rows, columns]`.
///
/// # Panics
/// If lengths and sizes do not fit.
pub fn products(batch: usize, factor: f32, a: Matrix<'_>, b: Matrix<'_>, out: &mut [f32]) {
    let ([rows, depth], [again, columns]) = (a.size, b.size);
    assert_eq!(depth, again, "inner sizes of a product");
    assert_eq!(a.data.len(), batch * rows * depth, "the left factors' length");
    assert_eq!(b.data.len(), batch * depth * columns, "the right factors' length");
    assert_eq!(out.len(), batch * rows * columns, "the products' length");
    if out.is_empty() {
        return;
    }
    out.par_chunks_mut(rows * columns).enumerate().for_each(|(i, out)| {
        let out = MatMut::from_row_major_slice_mut(out, rows, columns);
        matmul(out, Accum::Replace, a.view(i), b.view(i), factor, Par::Seq);
    });
}

/// y = x w + bias, with x `[rows, c_in]`, w `[c_in, c_out]` and y `[rows, c_out]`.
///
/// # Panics
/// If lengths do not fit.
pub fn linear(x: &[f32], w: &[f32], bias: Option<&[f32]>, [c_in, c_out]: [usize; 2], y: &mut [f32]) {
    let rows = check(x.len(), w.len(), y.len(), [c_in, c_out]);
    assert!(bias.is_none_or(|b| b.len() == c_out), "the bias's length");
    if rows == 0 {
        return;
    }
    let w = MatRef::from_row_major_slice(w, c_in, c_out);
    y.par_chunks_mut(ROWS * c_out).zip(x.par_chunks(ROWS * c_in)).for_each(|(y, x)| {
        let n = y.len() / c_out;
        if let Some(bias) = bias {
            for y in y.chunks_exact_mut(c_out) {
                y.copy_from_slice(bias);
            }
        }
        let start = if bias.is_some() { Accum::Add } else { Accum::Replace };
        let y = MatMut::from_row_major_slice_mut(y, n, c_out);
        matmul(y, start, MatRef::from_row_major_slice(x, n, c_in), w, 1.0, Par::Seq);
    });
}

/// dx = dy w'
///
/// # Panics
/// If lengths do not fit.
pub fn linear_input_gradient(dy: &[f32], w: &[f32], [c_in, c_out]: [usize; 2], dx: &mut [f32]) {
    let rows = check(dx.len(), w.len(), dy.len(), [c_in, c_out]);
    if rows == 0 {
        return;
    }
    let w = MatRef::from_row_major_slice(w, c_in, c_out).transpose();
    dx.par_chunks_mut(ROWS * c_in).zip(dy.par_chunks(ROWS * c_out)).for_each(|(dx, dy)| {
        let n = dx.len() / c_in;
        let dx = MatMut::from_row_major_slice_mut(dx, n, c_in);
        matmul(dx, Accum::Replace, MatRef::from_row_major_slice(dy, n, c_out), w, 1.0, Par::Seq);
    });
}

/// dw = x' dy and db = sum of dy over rows.
///
/// # Panics
/// If lengths do not fit.
pub fn linear_weight_gradient(
    x: &[f32],
    dy: &[f32],
    [c_in, c_out]: [usize; 2],
    dw: &mut [f32],
    db: Option<&mut [f32]>,
) {
    let rows = check(x.len(), dw.len(), dy.len(), [c_in, c_out]);
    assert!(db.as_ref().is_none_or(|b| b.len() == c_out), "the bias gradient's length");
    if rows == 0 {
        dw.fill(0.0);
        if let Some(db) = db {
            db.fill(0.0);
        }
        return;
    }
    let block = rows.div_ceil(16).next_multiple_of(ROWS);
    let part = (c_in + 1) * c_out;
    let mut parts = Scratch::new(rows.div_ceil(block) * part);
    parts.par_chunks_mut(part).zip(x.par_chunks(block * c_in).zip(dy.par_chunks(block * c_out))).for_each(
        |(part, (x, dy))| {
            let n = x.len() / c_in;
            let (dw, db) = part.split_at_mut(c_in * c_out);
            let (x, rows) = (MatRef::from_row_major_slice(x, n, c_in), MatRef::from_row_major_slice(dy, n, c_out));
            matmul(
                MatMut::from_row_major_slice_mut(dw, c_in, c_out),
                Accum::Replace,
                x.transpose(),
                rows,
                1.0,
                Par::Seq,
            );
            db.fill(0.0);
            for dy in dy.chunks_exact(c_out) {
                for (db, dy) in db.iter_mut().zip(dy) {
                    *db += dy;
                }
            }
        },
    );
    sum_parts(&parts, part, 0, dw);
    if let Some(db) = db {
        sum_parts(&parts, part, c_in * c_out, db);
    }
}

/// The number of rows.
fn check(x: usize, w: usize, y: usize, [c_in, c_out]: [usize; 2]) -> usize {
    assert!(c_in > 0 && c_out > 0, "a linear layer of {c_in} to {c_out} channels");
    assert_eq!(w, c_in * c_out, "the weights' length");
    assert!(x.is_multiple_of(c_in) && x / c_in * c_out == y, "rows of {x} / {c_in} and {y} / {c_out} numbers");
    x / c_in
}
