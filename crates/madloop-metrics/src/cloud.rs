//! A set about a centre, and blocks of inner products of two such sets with a bound on their rounding.
//!
//! Products are made in f32 where the work is large and in f64 where it is small. Rows are shifted by the centre and scaled by
//! a power of two, so that no product overflows or loses digits to underflow, and are multiplied in slices
//! of [`DEPTH`] columns: the bits of a product depend on its two rows alone, not on the block that it is computed in,
//! and its rounding is that of `DEPTH` terms.

use std::ops::Range;

use faer::linalg::matmul::matmul;
use faer::traits::ComplexField;
use faer::{Accum, MatMut, MatRef, Par};
use madloop_core::Features;
use rayon::prelude::*;

use crate::exp::vectorised;
use crate::tiles::ranges;

/// Columns multiplied at a time.
pub(crate) const DEPTH: usize = 256;
/// Both sides of a product are filled up with zeros to a multiple of this many rows: thin products take other ways, in
/// which the sums have other bits.
const GRAIN: usize = 16;
/// Pairs looked at together.
pub(crate) const LANES: usize = 16;
/// Multiplications below which products are made in f64: a fraction of a second.
const SMALL: f64 = 2e9;

/// The number type of the products.
pub(crate) trait Precision: ComplexField + Copy + Default + Send + Sync + 'static {
    /// Half the distance from 1 to the next number.
    const ROUNDOFF: f64;
    fn wide(self) -> f64;
    /// (`value` - (`high` + `low`)) * `scale`, rounded twice at most beside the power of two.
    fn centred(value: f32, high: f32, low: f32, scale: f64) -> Self;
    fn one() -> Self;
}

impl Precision for f32 {
    const ROUNDOFF: f64 = f32::EPSILON as f64 / 2.0;
    #[inline(always)]
    fn wide(self) -> f64 {
        f64::from(self)
    }
    #[inline(always)]
    fn centred(value: f32, high: f32, low: f32, scale: f64) -> Self {
        ((value - high) - low) * scale as f32
    }
    fn one() -> Self {
        1.0
    }
}

impl Precision for f64 {
    const ROUNDOFF: f64 = f64::EPSILON / 2.0;
    #[inline(always)]
    fn wide(self) -> f64 {
        self
    }
    #[inline(always)]
    fn centred(value: f32, high: f32, low: f32, scale: f64) -> Self {
        (f64::from(value) - (f64::from(high) + f64::from(low))) * scale
    }
    fn one() -> Self {
        1.0
    }
}

/// Whether the products of the rows of two sets about a centre are made in f64: they are few, or of a size that f32 cannot square,
/// or, where kernels are summed (`cubed`), some rows are so much longer than the others that their rounding would drown those.
pub(crate) fn in_double(x: &Features, y: &Features, centre: &[f64], cubed: bool) -> bool {
    if x.rows as f64 * y.rows as f64 * x.dim as f64 <= SMALL {
        return true;
    }
    let (high, low) = split(centre);
    let mut norms = [norms(x, &high, &low), norms(y, &high, &low)].concat();
    let largest = norms.iter().copied().fold(0.0, f64::max);
    let middle = norms.len() / 2;
    let (_, &mut median, _) = norms.select_nth_unstable_by(middle, f64::total_cmp);
    largest > 0.0 && !(1e-30..1e30).contains(&largest) || cubed && largest > 1e5 * median
}

/// Rows and columns of a block of products; scratch memory is `(rows + columns) * d + rows * columns` numbers a thread at most.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Block {
    pub(crate) rows: usize,
    pub(crate) columns: usize,
}

impl Block {
    /// Blocks for `n` rows: few, since every band of rows copies all columns, but some for each thread.
    pub(crate) fn for_rows(n: usize) -> Self {
        let rows = (n / (4 * rayon::current_num_threads())).next_multiple_of(GRAIN);
        Self { rows: rows.clamp(2 * GRAIN, 1024), columns: 512 }
    }
}

/// A set about a centre.
pub(crate) struct Cloud<'a> {
    pub(crate) set: &'a Features,
    /// Centre: the sum of two f32 a column.
    high: Vec<f32>,
    low: Vec<f32>,
    /// Power of two by which differences to the centre are multiplied.
    scale: f64,
    /// Scaled squared norms of the rows, each lowered by the rounding that a product with this row can have.
    pub(crate) low_norms: Vec<f64>,
    /// What makes a lower bound an upper one, of each row.
    pub(crate) widths: Vec<f64>,
}

impl<'a> Cloud<'a> {
    /// `set` about `centre` (`[d]`, to 48 bits), scaled for products with its own rows.
    pub(crate) fn new<T: Precision>(set: &'a Features, centre: &[f64]) -> Self {
        let (high, low) = split(centre);
        let norms = norms(set, &high, &low);
        let scale = scale_of(norms.iter().copied().fold(0.0, f64::max));
        Self::scaled::<T>(set, (high, low), scale, norms)
    }

    /// Two sets about one centre, scaled for products with each other's rows.
    pub(crate) fn pair<T: Precision>(x: &'a Features, y: &'a Features, centre: &[f64]) -> (Self, Self) {
        let (high, low) = split(centre);
        let (x_norms, y_norms) = (norms(x, &high, &low), norms(y, &high, &low));
        let scale = scale_of(x_norms.iter().chain(&y_norms).copied().fold(0.0, f64::max));
        let x = Self::scaled::<T>(x, (high.clone(), low.clone()), scale, x_norms);
        (x, Self::scaled::<T>(y, (high, low), scale, y_norms))
    }

    fn scaled<T: Precision>(set: &'a Features, (high, low): (Vec<f32>, Vec<f32>), scale: f64, norms: Vec<f64>) -> Self {
        // A product of two rows errs by at most (terms of a slice + slices + 4 roundings of the centred values) roundoffs
        // times |x||y| <= (|x|^2 + |y|^2) / 2, and enters twice; in f64, norms and direct sums of d terms err by
        // (4 d + 16) roundoffs of their size. What underflows is below 2^-80 of the largest norm.
        let terms = (set.dim.min(DEPTH) + set.dim.div_ceil(DEPTH) + 8) as f64;
        let error = terms * T::ROUNDOFF * 1.01 + (8 * set.dim + 32) as f64 * f64::EPSILON;
        let underflow = set.dim as f64 * 2f64.powi(-80);
        let scaled = norms.into_iter().map(|norm| norm * scale * scale);
        let (low_norms, widths) =
            scaled.map(|norm| ((1.0 - error) * norm - underflow, 2.0 * (error * norm + underflow))).unzip();
        Self { set, high, low, scale, low_norms, widths }
    }

    /// Turns a squared distance into the units of the bounds.
    pub(crate) fn square_of_scale(&self) -> f64 {
        self.scale * self.scale
    }

    /// For each row (c . (x - c) + |c|^2 / 2) / d + 1/2: the terms of two rows and [`Self::kernel_factor`] times their
    /// product make x.y / d + 1.
    pub(crate) fn kernel_terms(&self) -> Vec<f64> {
        let d = self.set.dim as f64;
        let centre: Vec<f64> = centre(&self.high, &self.low).collect();
        let half: f64 = centre.iter().map(|c| c * c).sum::<f64>() / 2.0;
        let term = |row: usize| {
            vectorised(
                #[inline(always)]
                || (sum_of(self.set.row(row), &self.high, &self.low, |x, c| x * c) + half) / d + 0.5,
            )
        };
        (0..self.set.rows).into_par_iter().with_min_len(64).map(term).collect()
    }

    /// What a product of the scaled rows is multiplied by to make x.y / d of the centred ones.
    pub(crate) fn kernel_factor(&self) -> f64 {
        1.0 / (self.square_of_scale() * self.set.dim as f64)
    }

    /// Copies columns `columns` of rows `rows` (`[rows, columns]`, row-major), centred and scaled, to
    /// the end of `out`, and fills up with rows of zeros.
    fn extend<T: Precision>(&self, rows: Range<usize>, columns: Range<usize>, out: &mut Vec<T>) {
        let (high, low) = (&self.high[columns.clone()], &self.low[columns.clone()]);
        let width = columns.len();
        let start = out.len();
        out.resize(start + rows.len().next_multiple_of(GRAIN) * width, T::default());
        vectorised(
            #[inline(always)]
            || {
                for (out, row) in out[start..].chunks_exact_mut(width).zip(rows) {
                    let row = &self.set.row(row)[columns.clone()];
                    for (((out, &value), &high), &low) in out.iter_mut().zip(row).zip(high).zip(low) {
                        *out = T::centred(value, high, low, self.scale);
                    }
                }
            },
        );
    }
}

/// Each number as the sum of two f32.
fn split(centre: &[f64]) -> (Vec<f32>, Vec<f32>) {
    centre.iter().map(|&c| (c as f32, (c - f64::from(c as f32)) as f32)).unzip()
}

fn centre<'a>(high: &'a [f32], low: &'a [f32]) -> impl Iterator<Item = f64> + 'a {
    high.iter().zip(low).map(|(&high, &low)| f64::from(high) + f64::from(low))
}

/// Squared norms of the differences to the centre (`[n]`).
fn norms(set: &Features, high: &[f32], low: &[f32]) -> Vec<f64> {
    let norm = |row| {
        vectorised(
            #[inline(always)]
            || sum_of(set.row(row), high, low, |x, _| x * x),
        )
    };
    (0..set.rows).into_par_iter().with_min_len(64).map(norm).collect()
}

/// The sum of `term`(x - c, c) over the columns, in eight interleaved sums.
#[inline(always)]
fn sum_of(row: &[f32], high: &[f32], low: &[f32], term: impl Fn(f64, f64) -> f64) -> f64 {
    let of = |value: f32, high: f32, low: f32| {
        let centre = f64::from(high) + f64::from(low);
        term(f64::from(value) - centre, centre)
    };
    let mut sums = [0.0; 8];
    let (rows, highs, lows) = (row.chunks_exact(8), high.chunks_exact(8), low.chunks_exact(8));
    let rest = rows.remainder().iter().zip(highs.remainder()).zip(lows.remainder());
    let rest: f64 = rest.map(|((&value, &high), &low)| of(value, high, low)).sum();
    for ((row, high), low) in rows.zip(highs).zip(lows) {
        for (lane, sum) in sums.iter_mut().enumerate() {
            *sum += of(row[lane], high[lane], low[lane]);
        }
    }
    sums.iter().sum::<f64>() + rest
}

/// The power of two that makes rows whose largest squared norm is `largest` about 1 long.
fn scale_of(largest: f64) -> f64 {
    if largest > 0.0 { 2f64.powi(-(largest.log2() / 2.0).round() as i32) } else { 1.0 }
}

/// The left side of products: rows of a cloud, copied once for a whole row of blocks.
#[derive(Default)]
pub(crate) struct Band<T> {
    slices: Vec<T>,
    rows: usize,
}

impl<T: Precision> Band<T> {
    /// Takes rows `rows` of `cloud`.
    pub(crate) fn load(&mut self, cloud: &Cloud<'_>, rows: Range<usize>) {
        self.slices.clear();
        self.rows = rows.len().next_multiple_of(GRAIN);
        for columns in ranges(cloud.set.dim, DEPTH) {
            cloud.extend(rows.clone(), columns, &mut self.slices);
        }
    }
}

/// Scratch memory of products, kept from block to block.
#[derive(Default)]
pub(crate) struct Products<T> {
    right: Vec<T>,
    out: Vec<T>,
}

impl<T: Precision> Products<T> {
    /// Inner products of the band's rows with rows `columns` of `right`, a slice a row of the band.
    pub(crate) fn of(
        &mut self,
        band: &Band<T>,
        right: &Cloud<'_>,
        columns: Range<usize>,
    ) -> impl Iterator<Item = &[T]> + use<'_, T> {
        let width = columns.len().next_multiple_of(GRAIN);
        self.out.resize(band.rows * width, T::default());
        let mut accum = Accum::Replace;
        let mut start = 0;
        for span in ranges(right.set.dim, DEPTH) {
            let k = span.len();
            let left = &band.slices[start..start + band.rows * k];
            start += left.len();
            self.right.clear();
            right.extend(columns.clone(), span, &mut self.right);
            matmul(
                MatMut::from_column_major_slice_mut(&mut self.out, width, band.rows),
                accum,
                MatRef::from_row_major_slice(&self.right, width, k),
                MatRef::from_column_major_slice(left, k, band.rows),
                T::one(),
                Par::Seq,
            );
            accum = Accum::Add;
        }
        self.out.chunks_exact(width).map(move |row| &row[..columns.len()])
    }
}

/// |x - y|^2, summed directly in f64: exact zero for equal rows and symmetric in its arguments.
#[inline(always)]
pub(crate) fn squared_distance(x: &[f32], y: &[f32]) -> f64 {
    let square = |(&x, &y): (&f32, &f32)| {
        let difference = f64::from(x) - f64::from(y);
        difference * difference
    };
    let mut sums = [0.0; 8];
    let (xs, ys) = (x.chunks_exact(8), y.chunks_exact(8));
    let rest: f64 = xs.remainder().iter().zip(ys.remainder()).map(square).sum();
    for (x, y) in xs.zip(ys) {
        for (sum, pair) in sums.iter_mut().zip(x.iter().zip(y)) {
            *sum += square(pair);
        }
    }
    sums.iter().sum::<f64>() + rest
}
