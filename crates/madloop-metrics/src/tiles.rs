//! Blocks of matrix products over f32 rows, in f64 and in a fixed order.

use std::ops::Range;

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use madloop_core::Features;

/// Sizes of a block product: scratch memory is `rows * columns + (rows + columns) * depth` f64 a thread.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tiles {
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    pub(crate) depth: usize,
}

impl Default for Tiles {
    fn default() -> Self {
        Self { rows: 128, columns: 256, depth: 512 }
    }
}

/// The ranges of length `size` (the last may be shorter) that make up `0..total`.
pub(crate) fn ranges(total: usize, size: usize) -> impl Iterator<Item = Range<usize>> + Clone {
    (0..total).step_by(size).map(move |start| start..(start + size).min(total))
}

/// Copies columns `columns` of rows `rows` into `out` (`[rows, columns]`, row-major), less `centre` if there is one.
pub(crate) fn centred(
    set: &Features,
    rows: Range<usize>,
    columns: Range<usize>,
    centre: Option<&[f64]>,
    out: &mut Vec<f64>,
) {
    out.clear();
    for row in rows {
        let row = &set.row(row)[columns.clone()];
        match centre {
            Some(centre) => out.extend(row.iter().zip(&centre[columns.clone()]).map(|(&v, &c)| f64::from(v) - c)),
            None => out.extend(row.iter().map(|&v| f64::from(v))),
        }
    }
}

/// Scratch memory of [`Scratch::products`], kept from tile to tile.
#[derive(Default)]
pub(crate) struct Scratch {
    left: Vec<f64>,
    right: Vec<f64>,
    out: Vec<f64>,
}

impl Scratch {
    /// `scale` times the inner products of rows `x_rows` and `y_rows` (`[x_rows, y_rows]`, row-major), each set
    /// less its centre.
    #[allow(clippy::too_many_arguments)]
    pub(crate) fn products(
        &mut self,
        (x, x_centre): (&Features, Option<&[f64]>),
        x_rows: Range<usize>,
        (y, y_centre): (&Features, Option<&[f64]>),
        y_rows: Range<usize>,
        scale: f64,
        depth: usize,
    ) -> &[f64] {
        let (rows, columns) = (x_rows.len(), y_rows.len());
        self.out.resize(rows * columns, 0.0);
        let mut accum = Accum::Replace;
        for span in ranges(x.dim, depth) {
            let k = span.len();
            // With one span the left side stays the same while the caller walks along a row of tiles, but
            // copying it again costs 1 / columns of the product.
            centred(x, x_rows.clone(), span.clone(), x_centre, &mut self.left);
            centred(y, y_rows.clone(), span, y_centre, &mut self.right);
            matmul(
                MatMut::from_column_major_slice_mut(&mut self.out, columns, rows),
                accum,
                MatRef::from_row_major_slice(&self.right, columns, k),
                MatRef::from_column_major_slice(&self.left, k, rows),
                scale,
                Par::Seq,
            );
            accum = Accum::Add;
        }
        &self.out
    }
}
