//! Inner products of shifted and scaled rows, in f64 and in a fixed order.

use std::ops::Range;

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use madloop_core::Features;
use rayon::prelude::*;

use crate::tiles::ranges;

/// Rows of one partial sum: fixed, so that the result is the same at any number of threads.
const CHUNK: usize = 1024;
/// Side of a block of a Gram matrix.
const SIDE: usize = 128;
/// Features multiplied at a time.
const DEPTH: usize = 512;

/// Evenly spaced rows of a set, shifted and scaled: row i is (x_{floor(i n / len)} - centre) * scales_i; or so of every
/// other row of it.
#[derive(Clone, Copy)]
pub(crate) struct Rows<'a> {
    set: &'a Features,
    /// Rows start, start + step, ..., `of` of them, are to choose from.
    start: usize,
    step: usize,
    of: usize,
    len: usize,
    centre: Option<&'a [f64]>,
    scales: Option<&'a [f64]>,
}

impl<'a> Rows<'a> {
    /// All rows.
    pub(crate) fn all(set: &'a Features) -> Self {
        Self::evenly(set, set.rows)
    }

    /// At most `cap` rows, evenly spaced from row 0.
    pub(crate) fn evenly(set: &'a Features, cap: usize) -> Self {
        Self { set, start: 0, step: 1, of: set.rows, len: set.rows.min(cap), centre: None, scales: None }
    }

    /// At most `cap` rows, evenly spaced among the even rows (`half` = 0) or the odd ones (`half` = 1); of an odd number
    /// the last belongs to neither.
    pub(crate) fn of_half(set: &'a Features, half: usize, cap: usize) -> Self {
        let of = set.rows / 2;
        Self { start: half, step: 2, of, len: of.min(cap), ..Self::all(set) }
    }

    pub(crate) fn about(self, centre: &'a [f64]) -> Self {
        Self { centre: Some(centre), ..self }
    }

    pub(crate) fn scaled(self, scales: &'a [f64]) -> Self {
        Self { scales: Some(scales), ..self }
    }

    /// Whether these are the same raw rows.
    pub(crate) fn same_as(&self, other: &Self) -> bool {
        let rows = |of: &Self| (of.set.values.as_ptr(), of.start, of.step, of.of, of.len);
        rows(self) == rows(other)
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn dim(&self) -> usize {
        self.set.dim
    }

    /// Row `i`, neither shifted nor scaled.
    pub(crate) fn raw(&self, i: usize) -> &'a [f32] {
        let at = (i as u128 * self.of as u128 / self.len as u128) as usize;
        self.set.row(self.start + self.step * at)
    }

    /// The mean of the raw rows (`[d]`), of which there must be one; that of identical rows is exactly one of them.
    pub(crate) fn mean(&self) -> Vec<f64> {
        let first = self.raw(0);
        let chunks: Vec<_> = ranges(self.len, CHUNK).collect();
        let partials: Vec<Vec<f64>> = chunks
            .into_par_iter()
            .map(|rows| {
                let mut sum = vec![0.0; self.dim()];
                for row in rows {
                    for ((sum, &value), &first) in sum.iter_mut().zip(self.raw(row)).zip(first) {
                        *sum += f64::from(value) - f64::from(first);
                    }
                }
                sum
            })
            .collect();
        let mut mean: Vec<f64> = partials.into_iter().fold(vec![0.0; self.dim()], |mut total, partial| {
            total.iter_mut().zip(partial).for_each(|(total, partial)| *total += partial);
            total
        });
        let n = self.len as f64;
        mean.iter_mut().zip(first).for_each(|(mean, &first)| *mean = f64::from(first) + *mean / n);
        mean
    }

    /// The squared norms of the shifted and scaled rows (`[len]`).
    pub(crate) fn squared_norms(&self) -> Vec<f64> {
        let norm = |i: usize| {
            let scale = self.scales.map_or(1.0, |scales| scales[i]);
            let mut sum = 0.0;
            for (j, &value) in self.raw(i).iter().enumerate() {
                let value = (f64::from(value) - self.centre.map_or(0.0, |centre| centre[j])) * scale;
                sum += value * value;
            }
            sum
        };
        (0..self.len).into_par_iter().with_min_len(256).map(norm).collect()
    }

    /// Columns `columns` of rows `rows` (`[rows, columns]`, row-major).
    pub(crate) fn copy(&self, rows: Range<usize>, columns: Range<usize>, out: &mut Vec<f64>) {
        out.clear();
        for i in rows {
            let row = &self.raw(i)[columns.clone()];
            let scale = self.scales.map_or(1.0, |scales| scales[i]);
            match self.centre {
                Some(centre) => {
                    out.extend(row.iter().zip(&centre[columns.clone()]).map(|(&v, &c)| (f64::from(v) - c) * scale));
                }
                None => out.extend(row.iter().map(|&v| f64::from(v) * scale)),
            }
        }
    }

    /// X X^T (`[len, len]`, symmetric).
    pub(crate) fn gram(&self) -> Vec<f64> {
        let n = self.len;
        let blocks: Vec<_> = ranges(n, SIDE)
            .flat_map(|rows| ranges(n, SIDE).skip(rows.start / SIDE).map(move |columns| (rows.clone(), columns)))
            .collect();
        let tiles: Vec<Vec<f64>> = blocks
            .par_iter()
            .map_init(Block::default, |block, (rows, columns)| {
                block.products(*self, rows.clone(), *self, columns.clone()).to_vec()
            })
            .collect();
        mirrored(n, blocks.into_iter().zip(tiles))
    }

    /// X^T X (`[d, d]`, symmetric).
    pub(crate) fn second_moments(&self) -> Vec<f64> {
        let d = self.dim();
        // Small matrices are split by rows, large ones, whose partial sums would not fit, by blocks alone.
        let chunk = if d < DEPTH { CHUNK } else { self.len.max(1) };
        let parts: Vec<_> = ranges(self.len, chunk)
            .flat_map(|rows| {
                ranges(d, SIDE).flat_map(move |i| {
                    let rows = rows.clone();
                    ranges(d, SIDE).skip(i.start / SIDE).map(move |j| (rows.clone(), i.clone(), j))
                })
            })
            .collect();
        let tiles: Vec<Vec<f64>> = parts
            .par_iter()
            .map_init(Block::default, |block, (rows, i, j)| {
                let mut out = vec![0.0; i.len() * j.len()];
                for span in ranges(rows.len(), DEPTH) {
                    let span = rows.start + span.start..rows.start + span.end;
                    self.copy(span.clone(), i.clone(), &mut block.left);
                    self.copy(span.clone(), j.clone(), &mut block.right);
                    matmul(
                        MatMut::from_column_major_slice_mut(&mut out, j.len(), i.len()),
                        Accum::Add,
                        MatRef::from_row_major_slice(&block.right, span.len(), j.len()).transpose(),
                        MatRef::from_row_major_slice(&block.left, span.len(), i.len()),
                        1.0,
                        Par::Seq,
                    );
                }
                out
            })
            .collect();
        mirrored(d, parts.into_iter().map(|(_, i, j)| (i, j)).zip(tiles))
    }
}

/// The symmetric matrix that blocks on and above the diagonal add up to.
fn mirrored(n: usize, blocks: impl Iterator<Item = ((Range<usize>, Range<usize>), Vec<f64>)>) -> Vec<f64> {
    let mut out = vec![0.0; n * n];
    for ((rows, columns), tile) in blocks {
        for (i, tile) in rows.zip(tile.chunks_exact(columns.len())) {
            for (out, value) in out[i * n..][columns.clone()].iter_mut().zip(tile) {
                *out += value;
            }
        }
    }
    for i in 0..n {
        for j in 0..i {
            out[i * n + j] = out[j * n + i];
        }
    }
    out
}

/// Scratch memory of a block of products, kept from block to block.
#[derive(Default)]
pub(crate) struct Block {
    left: Vec<f64>,
    right: Vec<f64>,
    out: Vec<f64>,
}

impl Block {
    /// The inner products of rows `x_rows` of `x` and `y_rows` of `y` (`[x_rows, y_rows]`, row-major).
    pub(crate) fn products(
        &mut self,
        x: Rows<'_>,
        x_rows: Range<usize>,
        y: Rows<'_>,
        y_rows: Range<usize>,
    ) -> &mut [f64] {
        let (rows, columns) = (x_rows.len(), y_rows.len());
        self.out.resize(rows * columns, 0.0);
        let mut accum = Accum::Replace;
        for span in ranges(x.dim(), DEPTH) {
            let k = span.len();
            x.copy(x_rows.clone(), span.clone(), &mut self.left);
            y.copy(y_rows.clone(), span, &mut self.right);
            matmul(
                MatMut::from_column_major_slice_mut(&mut self.out, columns, rows),
                accum,
                MatRef::from_row_major_slice(&self.right, columns, k),
                MatRef::from_column_major_slice(&self.left, k, rows),
                1.0,
                Par::Seq,
            );
            accum = Accum::Add;
        }
        &mut self.out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{gaussian, in_pool};

    #[test]
    fn they_are_the_textbook_sums() {
        for (n, d) in [(1, 1), (5, 3), (1300, 7), (40, 600), (150, 150)] {
            let set = gaussian(1, n, d, 1.0);
            let scales: Vec<f64> = (0..n).map(|i| 1.0 / (1.0 + i as f64)).collect();
            let plain = Rows::all(&set);
            let mean = plain.mean();
            let rows = plain.about(&mean).scaled(&scales);
            let at = |i: usize, j: usize| (f64::from(set.row(i)[j]) - mean[j]) * scales[i];
            let (gram, moments, norms) = (rows.gram(), rows.second_moments(), rows.squared_norms());
            for (i, k) in [(0, 0), (n / 2, n - 1), (n - 1, n / 3)] {
                let expected: f64 = (0..d).map(|j| at(i, j) * at(k, j)).sum();
                assert!((gram[i * n + k] - expected).abs() < 1e-12, "{n} x {d}: {i}, {k}");
            }
            assert!((norms[n - 1] - gram[n * n - 1]).abs() < 1e-12);
            for (i, k) in [(0, 0), (d / 2, d - 1), (d - 1, d / 3)] {
                let expected: f64 = (0..n).map(|row| at(row, i) * at(row, k)).sum();
                assert!((moments[i * d + k] - expected).abs() < 1e-12, "{n} x {d}: {i}, {k}");
            }
            let expected = (0..n).map(|i| f64::from(set.row(i)[d - 1])).sum::<f64>() / n as f64;
            assert!((mean[d - 1] - expected).abs() < 1e-13);
        }
    }

    #[test]
    fn spaced_rows_start_at_the_first() {
        let set = Features { rows: 10, dim: 1, values: (0..10).map(|v| v as f32).collect() };
        let rows = Rows::evenly(&set, 4);
        assert_eq!((0..4).map(|i| rows.raw(i)[0]).collect::<Vec<_>>(), [0.0, 2.0, 5.0, 7.0]);
        assert_eq!(rows.mean(), [3.5]);
        assert_eq!(Rows::evenly(&set, 99).len(), 10);
        let odd = Rows::of_half(&set, 1, 99);
        assert_eq!((0..odd.len()).map(|i| odd.raw(i)[0]).collect::<Vec<_>>(), [1.0, 3.0, 5.0, 7.0, 9.0]);
        let even = Rows::of_half(&set, 0, 3);
        assert_eq!((0..3).map(|i| even.raw(i)[0]).collect::<Vec<_>>(), [0.0, 2.0, 6.0]);
    }

    #[test]
    fn threads_change_no_bit() {
        for (n, d) in [(2500, 20), (300, 530)] {
            let set = gaussian(2, n, d, 0.0);
            let of = |threads| in_pool(threads, || (Rows::all(&set).gram(), Rows::all(&set).second_moments()));
            assert_eq!(of(1), of(3));
        }
    }

    #[test]
    fn differences_are_exact_at_zero() {
        let set = gaussian(3, 2, 19, 5.0);
        assert_eq!(crate::cloud::squared_distance(set.row(0), set.row(0)), 0.0);
        let expected: f64 =
            set.row(0).iter().zip(set.row(1)).map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2)).sum();
        assert!((crate::cloud::squared_distance(set.row(0), set.row(1)) - expected).abs() < 1e-13);
    }
}
