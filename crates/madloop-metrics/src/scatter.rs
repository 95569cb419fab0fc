//! Mean and covariance of sets that never lie in memory whole: one pass over the rows, and exact merging of parts.

use std::ops::Range;

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use rayon::prelude::*;

use crate::tiles::ranges;
use crate::{MetricsError, Moments, Result};

/// Rows of one chunk: fixed, so that the result depends on the rows and their order alone.
const CHUNK: usize = 1024;
/// Values of the chunks that are centred at once, in f64 (one chunk at least).
const GROUP: usize = 1 << 22;
/// Columns of the widest block of a scatter matrix.
const BLOCK: usize = 128;

/// Count, mean and scatter matrix of n rows in R^d, in f64: all that is needed to add rows to a covariance.
///
/// m = (1/n) sum x_i; C = sum (x_i - m)(x_i - m)^T. Two sets a and b together have, exactly (Chan, Golub and LeVeque
/// 1979, "Updating formulae and a pairwise algorithm for computing sample variances", eq. 2.1),
///
/// n = n_a + n_b,  m = m_a + (n_b / n) t,  C = C_a + C_b + (n_a n_b / n) t t^T,  t = m_b - m_a,
///
/// so that what is left is rounding. The mean is kept in two f64, its value and what rounding cut off, since t is a small
/// difference of large numbers where a set lies far from 0. Identical rows give exactly C = 0.
#[derive(Debug, Clone, PartialEq)]
pub struct Scatter {
    n: u64,
    mean: Vec<f64>,
    rest: Vec<f64>,
    scatter: Vec<f64>,
}

impl Scatter {
    /// No rows in R^`dim`; takes `dim` * `dim` f64.
    ///
    /// # Errors
    /// `dim` = 0, or no memory for the matrix.
    pub fn empty(dim: usize) -> Result<Self> {
        if dim == 0 {
            return Err(MetricsError::BufferLength { what: "the features", values: 0, rows: 0, dim });
        }
        let mut scatter: Vec<f64> = Vec::new();
        let len = dim.checked_mul(dim).filter(|&len| scatter.try_reserve_exact(len).is_ok());
        let len = len.ok_or(MetricsError::NoMemory { dim })?;
        scatter.resize(len, 0.0);
        Ok(Self { n: 0, mean: vec![0.0; dim], rest: vec![0.0; dim], scatter })
    }

    /// What was kept of `n` rows: their mean (`[d]`, with what rounding cut off it, or zeros) and their covariance (`[d, d]`,
    /// divisor n - 1, symmetric; unused for n = 1, whose scatter is 0).
    ///
    /// # Errors
    /// n = 0, or lengths that disagree.
    pub fn from_covariance(n: u64, mean: Vec<f64>, rest: Vec<f64>, mut covariance: Vec<f64>) -> Result<Self> {
        let dim = mean.len();
        if dim == 0 || Some(covariance.len()) != dim.checked_mul(dim) {
            let what = "the covariance";
            return Err(MetricsError::BufferLength { what, values: covariance.len(), rows: dim, dim });
        }
        if rest.len() != dim {
            let what = "the rest of the mean";
            return Err(MetricsError::BufferLength { what, values: rest.len(), rows: 1, dim });
        }
        match n {
            0 => return Err(MetricsError::Setting { name: "n", value: 0.0, must: "at least 1" }),
            1 => covariance.fill(0.0),
            _ => covariance.iter_mut().for_each(|value| *value *= (n - 1) as f64),
        }
        Ok(Self { n, mean, rest, scatter: covariance })
    }

    /// Number of rows.
    pub fn n(&self) -> u64 {
        self.n
    }

    /// Number of dimensions d.
    pub fn dim(&self) -> usize {
        self.mean.len()
    }

    /// The mean (`[d]`, in units of the features; zeros for n = 0).
    pub fn mean(&self) -> &[f64] {
        &self.mean
    }

    /// What rounding to [`Self::mean`] cut off the mean (`[d]`).
    pub fn rest(&self) -> &[f64] {
        &self.rest
    }

    /// The scatter matrix (`[d, d]`, symmetric, squared units of the features).
    pub fn scatter(&self) -> &[f64] {
        &self.scatter
    }

    /// The rows of both, as if they had been one set: exact but for rounding, in any order.
    ///
    /// # Errors
    /// When the dimensions differ.
    pub fn merge(mut self, other: &Self) -> Result<Self> {
        if self.dim() != other.dim() {
            return Err(MetricsError::MergeDimensions { left: self.dim(), right: other.dim() });
        }
        let (delta, weight) = self.add_mean(other.n, &other.mean, &other.rest);
        let columns = self.scatter.par_chunks_exact_mut(delta.len()).zip(other.scatter.par_chunks_exact(delta.len()));
        columns.zip(&delta).for_each(|((column, other), &left)| {
            for ((value, &other), &right) in column.iter_mut().zip(other).zip(&delta) {
                // The product of the two differences first: it is the same on both sides of the diagonal.
                *value += other + weight * (left * right);
            }
        });
        Ok(self)
    }

    /// Mean and covariance with divisor n - 1.
    ///
    /// # Errors
    /// Undefined for n < 2.
    pub fn into_moments(mut self) -> Result<Moments> {
        let n = usize::try_from(self.n).unwrap_or(usize::MAX);
        if n < 2 {
            let why = "a covariance has n - 1 degrees of freedom";
            return Err(MetricsError::TooFew { set: "given", n, needs: 2, why });
        }
        let divisor = (self.n - 1) as f64;
        self.scatter.iter_mut().for_each(|value| *value /= divisor);
        Ok(Moments { n, mean: self.mean, covariance: self.scatter })
    }

    /// Moves count and mean to those of the rows here and `n` more; returns the difference of the two means and its
    /// weight n_a n_b / n.
    fn add_mean(&mut self, n: u64, mean: &[f64], rest: &[f64]) -> (Vec<f64>, f64) {
        let (left, right) = (self.n as f64, n as f64);
        self.n += n;
        if self.n == n {
            self.mean.copy_from_slice(mean);
            self.rest.copy_from_slice(rest);
            return (vec![0.0; mean.len()], 0.0);
        }
        let share = right / (left + right);
        let mut delta = Vec::with_capacity(mean.len());
        for (((own, own_rest), &mean), &rest) in self.mean.iter_mut().zip(&mut self.rest).zip(mean).zip(rest) {
            let difference = (mean - *own) + (rest - *own_rest);
            (*own, *own_rest) = two_sum(*own, *own_rest + share * difference);
            delta.push(difference);
        }
        (delta, left * share)
    }
}

/// Takes the rows of a set in any batches and gives their [`Scatter`].
///
/// Rows are summed in chunks of 1024, counted from the first row: each chunk is centred on its own mean, and chunks are merged
/// in their order. So the bits of the result depend neither on the batches nor on the number of threads.
#[derive(Debug, Clone)]
pub struct ScatterBuilder {
    total: Scatter,
    /// Rows of a chunk that is not full.
    waiting: Vec<f32>,
}

impl ScatterBuilder {
    /// For rows in R^`dim`; takes `dim` * `dim` f64, and a chunk of rows beside it.
    ///
    /// # Errors
    /// `dim` = 0, or no memory for the matrix.
    pub fn new(dim: usize) -> Result<Self> {
        Ok(Self { total: Scatter::empty(dim)?, waiting: Vec::new() })
    }

    /// Adds rows (`[any, d]`, row-major). Values that are not finite give moments that are not.
    ///
    /// # Errors
    /// When the values are not whole rows; nothing is added then.
    pub fn push(&mut self, mut rows: &[f32]) -> Result<()> {
        let dim = self.total.dim();
        if !rows.len().is_multiple_of(dim) {
            let what = "the rows";
            return Err(MetricsError::BufferLength { what, values: rows.len(), rows: rows.len() / dim, dim });
        }
        let chunk = CHUNK * dim;
        if !self.waiting.is_empty() {
            let (now, later) = rows.split_at(rows.len().min(chunk - self.waiting.len()));
            self.waiting.extend_from_slice(now);
            rows = later;
            if self.waiting.len() == chunk {
                let full = std::mem::take(&mut self.waiting);
                self.add(&full);
            }
        }
        let (whole, part) = rows.split_at(rows.len() / chunk * chunk);
        self.add(whole);
        self.waiting.extend_from_slice(part);
        Ok(())
    }

    /// Number of rows so far.
    pub fn n(&self) -> u64 {
        self.total.n + (self.waiting.len() / self.total.dim()) as u64
    }

    /// All rows so far.
    pub fn finish(mut self) -> Scatter {
        let last = std::mem::take(&mut self.waiting);
        self.add(&last);
        // The blocks hold the lower triangle and a little more.
        let d = self.total.dim();
        for column in 0..d {
            for row in column + 1..d {
                self.total.scatter[row * d + column] = self.total.scatter[column * d + row];
            }
        }
        self.total
    }

    /// Adds chunks, of which the last may be shorter.
    fn add(&mut self, rows: &[f32]) {
        let d = self.total.dim();
        let group = (GROUP / (CHUNK * d)).max(1) * CHUNK * d;
        for rows in rows.chunks(group) {
            let mut chunks: Vec<Chunk> = rows.par_chunks(CHUNK * d).map(|rows| Chunk::new(rows, d)).collect();
            for chunk in &mut chunks {
                // The term of the two means is one more row of the product.
                let (delta, weight) = self.total.add_mean(chunk.n, &chunk.mean, &chunk.rest);
                chunk.centred.extend(delta.iter().map(|delta| weight.sqrt() * delta));
            }
            let block = block(d);
            let blocks: Vec<Range<usize>> = ranges(d, block).collect();
            self.total.scatter.par_chunks_mut(block * d).zip(blocks).for_each(|(out, columns)| {
                let (start, tall) = (columns.start, d - columns.start);
                let mut out = MatMut::from_column_major_slice_mut(out, d, columns.len()).subrows_mut(start, tall);
                for chunk in &chunks {
                    let slab = MatRef::from_row_major_slice(&chunk.centred, chunk.n as usize + 1, d);
                    let (left, right) = (slab.subcols(start, tall), slab.subcols(start, columns.len()));
                    matmul(out.as_mut(), Accum::Add, left.transpose(), right, 1.0, Par::Seq);
                }
            });
        }
    }
}

/// A chunk of rows, less its mean.
struct Chunk {
    n: u64,
    mean: Vec<f64>,
    rest: Vec<f64>,
    /// `[n, d]`, row-major; one more row is added.
    centred: Vec<f64>,
}

impl Chunk {
    fn new(rows: &[f32], dim: usize) -> Self {
        let n = rows.len() / dim;
        // Differences to row 0 are exact, or as good: identical rows have exactly themselves as their mean.
        let first = &rows[..dim];
        let mut from_first = vec![0.0; dim];
        for row in rows.chunks_exact(dim) {
            for ((sum, &value), &first) in from_first.iter_mut().zip(row).zip(first) {
                *sum += f64::from(value) - f64::from(first);
            }
        }
        from_first.iter_mut().for_each(|sum| *sum /= n as f64);
        let mut centred = Vec::with_capacity((n + 1) * dim);
        for row in rows.chunks_exact(dim) {
            let values = row.iter().zip(first).zip(&from_first);
            centred.extend(values.map(|((&value, &first), mean)| (f64::from(value) - f64::from(first)) - mean));
        }
        let (mean, rest) = first.iter().zip(&from_first).map(|(&first, &mean)| two_sum(f64::from(first), mean)).unzip();
        Self { n: n as u64, mean, rest, centred }
    }
}

/// Columns of a block: about eight blocks a matrix, so that narrow ones use several threads too.
fn block(dim: usize) -> usize {
    dim.div_ceil(8).next_multiple_of(16).min(BLOCK)
}

/// a + b rounded, and what rounding cut off (Knuth, The Art of Computer Programming 2, 4.2.2, theorem B).
fn two_sum(a: f64, b: f64) -> (f64, f64) {
    let sum = a + b;
    let from_b = sum - a;
    (sum, (a - (sum - from_b)) + (b - from_b))
}

#[cfg(test)]
#[path = "scatter_tests.rs"]
mod tests;
