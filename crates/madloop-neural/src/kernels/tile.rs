//! The one multiplication behind every convolution: small tiles of a product, held in registers.
#![expect(unsafe_code, reason = "the innermost loop reads through pointers whose range is checked once per product")]

use super::simd::Simd;

/// A product of matrices in which the inner dimension is a list of segments:
/// `out[p][o]` = sum over segments (i, j) and k < depth of `a[i + p a_row + k a_step] * b[j + column(o) + k b_step]`.
///
/// One of `a_row` and `a_step` is 1. In a convolution the segments are the taps of its window and k is the input channel;
/// in its weight gradient they are rows of an image and k is the pixel.
pub(crate) struct Product<'a> {
    pub(crate) a: &'a [f32],
    pub(crate) a_row: usize,
    pub(crate) a_step: usize,
    pub(crate) b: &'a [f32],
    pub(crate) b_layout: Columns,
    pub(crate) segments: &'a [(usize, usize)],
    pub(crate) depth: usize,
}

/// How the right-hand matrix lies in memory. Its columns are padded to whole vectors in both.
#[derive(Clone, Copy)]
pub(crate) enum Columns {
    /// Rows of this stride.
    Rows(usize),
    /// Panels as wide as a tile (see [`panels`]), each with this many rows.
    Panels(usize),
}

/// What a product is added to.
#[derive(Clone, Copy)]
pub(crate) enum Start {
    Zero,
    /// What is there.
    There,
}

/// Vectors in the widest tile.
pub(crate) const fn widest<S: Simd>() -> usize {
    if S::REGISTERS >= 32 { 4 } else { 2 }
}

/// `columns` up to whole vectors.
pub(crate) const fn padded<S: Simd>(columns: usize) -> usize {
    columns.next_multiple_of(S::LANES)
}

/// The panels (first column, width) that `columns` columns are cut into.
pub(crate) fn panels<S: Simd>(columns: usize) -> impl Iterator<Item = (usize, usize)> {
    let (all, width) = (padded::<S>(columns), widest::<S>() * S::LANES);
    (0..all).step_by(width).map(move |first| (first, width.min(all - first)))
}

/// Writes `rows` x `columns` of the product to `out`, whose rows have the stride `stride`.
///
/// Every output is one chain of additions in the order of segments and k, wherever the tiles' borders fall.
///
/// # Panics
/// If an operand is too short.
#[inline(never)]
pub(crate) fn multiply<S: Simd>(
    s: S,
    product: &Product<'_>,
    rows: usize,
    columns: usize,
    out: &mut [f32],
    stride: usize,
    start: Start,
) {
    s.run(
        #[inline(always)]
        || multiply_inlined(s, product, rows, columns, out, stride, start),
    );
}

#[inline(always)]
fn multiply_inlined<S: Simd>(
    s: S,
    product: &Product<'_>,
    rows: usize,
    columns: usize,
    out: &mut [f32],
    stride: usize,
    start: Start,
) {
    if rows == 0 || columns == 0 {
        return;
    }
    check::<S>(product, rows, columns, out.len(), stride);
    for (first, width) in panels::<S>(columns) {
        let mut block = Block { p: product, first, columns, out: &mut *out, stride, start };
        // Tiles as tall as registers allow, then smaller ones for what is left.
        match (widest::<S>(), width / S::LANES) {
            (4, 4) => down::<S, 4, 6>(s, &mut block, rows),
            (4, 3) => down::<S, 3, 8>(s, &mut block, rows),
            (4, 2) => down::<S, 2, 12>(s, &mut block, rows),
            (_, 2) => down::<S, 2, 6>(s, &mut block, rows),
            _ => down::<S, 1, 12>(s, &mut block, rows),
        }
    }
}

/// All that the loops below rely on.
fn check<S: Simd>(p: &Product<'_>, rows: usize, columns: usize, out: usize, stride: usize) {
    assert!(p.a_row == 1 || p.a_step == 1, "one stride of the left factor must be 1");
    let last = p.depth.saturating_sub(1);
    let row = |l: Columns| match l {
        Columns::Rows(stride) => (padded::<S>(columns), stride),
        Columns::Panels(depth) => (depth * padded::<S>(columns), 0),
    };
    for &(i, j) in p.segments {
        assert!(i + (rows - 1) * p.a_row + last * p.a_step < p.a.len(), "the left factor is too short");
        let (width, step) = row(p.b_layout);
        assert!(
            matches!(p.b_layout, Columns::Rows(_)) || j + p.depth <= width / padded::<S>(columns),
            "a segment past its panel"
        );
        let j = if matches!(p.b_layout, Columns::Rows(_)) { j } else { 0 };
        assert!(j + last * step + width <= p.b.len(), "the right factor is too short");
    }
    assert!((rows - 1) * stride + columns <= out, "the output is too short");
}

/// A panel of the output.
struct Block<'a, 'b> {
    p: &'a Product<'b>,
    first: usize,
    columns: usize,
    out: &'a mut [f32],
    stride: usize,
    start: Start,
}

#[inline(always)]
fn down<S: Simd, const V: usize, const P: usize>(s: S, block: &mut Block<'_, '_>, rows: usize) {
    let mut r = 0;
    while r < rows {
        r += match rows - r {
            n if n >= P => tile::<S, V, P>(s, block, r),
            n if P > 6 && n >= 6 => tile::<S, V, 6>(s, block, r),
            n if n >= 4 => tile::<S, V, 4>(s, block, r),
            n if n >= 2 => tile::<S, V, 2>(s, block, r),
            _ => tile::<S, V, 1>(s, block, r),
        }
    }
}

/// Rows `r` to `r + P`, and P itself.
#[inline(always)]
fn tile<S: Simd, const V: usize, const P: usize>(s: S, block: &mut Block<'_, '_>, r: usize) -> usize {
    let p = block.p;
    let mut acc = [[s.zero(); V]; P];
    if matches!(block.start, Start::There) {
        for (i, acc) in acc.iter_mut().enumerate() {
            for (v, acc) in acc.iter_mut().enumerate() {
                let (from, to) = block.place::<S>(r + i, v);
                *acc = s.load_part(&block.out[from..to]);
            }
        }
    }
    let (first, step) = match p.b_layout {
        Columns::Rows(stride) => (block.first, stride),
        Columns::Panels(depth) => (block.first * depth, V * S::LANES),
    };
    for &(i, j) in p.segments {
        let j = if matches!(p.b_layout, Columns::Rows(_)) { j } else { j * step };
        // SAFETY: `check` has compared the last element of both operands with their lengths.
        unsafe {
            let (a, b) = (p.a.as_ptr().add(i + r * p.a_row), p.b.as_ptr().add(j + first));
            if p.a_step == 1 {
                segment::<S, V, P>(s, &mut acc, a, p.a_row, 1, b, step, p.depth);
            } else {
                segment::<S, V, P>(s, &mut acc, a, 1, p.a_step, b, step, p.depth);
            }
        }
    }
    for (i, acc) in acc.iter().enumerate() {
        for (v, &acc) in acc.iter().enumerate() {
            let (from, to) = block.place::<S>(r + i, v);
            s.store_part(&mut block.out[from..to], acc);
        }
    }
    P
}

impl Block<'_, '_> {
    /// Where a vector of the output lies, less what is beyond its last column.
    #[inline(always)]
    fn place<S: Simd>(&self, row: usize, v: usize) -> (usize, usize) {
        let column = self.first + v * S::LANES;
        let from = row * self.stride + column;
        (from, from + S::LANES.min(self.columns - column))
    }
}

/// # Safety
/// For all p < P, k < depth, v < V: `a[p a_row + k a_step]` and the vector at `b[k b_step + v LANES]` can be read.
#[inline(always)]
#[expect(clippy::too_many_arguments, reason = "strides of two operands")]
unsafe fn segment<S: Simd, const V: usize, const P: usize>(
    s: S,
    acc: &mut [[S::V; V]; P],
    a: *const f32,
    a_row: usize,
    a_step: usize,
    b: *const f32,
    b_step: usize,
    depth: usize,
) {
    let mut sum = *acc;
    for k in 0..depth {
        // SAFETY: the caller's promise.
        unsafe {
            let mut w = [s.zero(); V];
            for (v, w) in w.iter_mut().enumerate() {
                *w = s.load_at(b.add(k * b_step + v * S::LANES));
            }
            for (p, sum) in sum.iter_mut().enumerate() {
                let x = s.splat(*a.add(p * a_row + k * a_step));
                for (v, sum) in sum.iter_mut().enumerate() {
                    *sum = s.fma(x, w[v], *sum);
                }
            }
        }
    }
    *acc = sum;
}
