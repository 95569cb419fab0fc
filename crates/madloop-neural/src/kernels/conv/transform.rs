//! The transforms of [`winograd`](super::winograd), vectorised over channels.

use super::super::scratch::Scratch;
use super::super::simd::Simd;
use super::super::tile::padded;
use super::Onto;
use super::places::{Pixels, Strided};
use super::winograd::{PLACES, Tiles, panel_places};

/// B' d: 6 to 6.
#[inline(always)]
fn b_t<S: Simd>(s: S, d: [S::V; 6]) -> [S::V; 6] {
    let (m5, m4, two, four) = (s.splat(-5.0), s.splat(-4.0), s.splat(2.0), s.splat(4.0));
    let even = s.fma(m4, d[2], d[4]);
    let odd = s.fma(m4, d[1], d[3]);
    let near = s.sub(d[4], d[2]);
    let far = s.mul(two, s.sub(d[3], d[1]));
    [
        s.fma(four, d[0], s.fma(m5, d[2], d[4])),
        s.add(even, odd),
        s.sub(even, odd),
        s.add(near, far),
        s.sub(near, far),
        s.fma(four, d[1], s.fma(m5, d[3], d[5])),
    ]
}

/// A' m: 6 to 4.
#[inline(always)]
fn a_t<S: Simd>(s: S, m: [S::V; 6]) -> [S::V; 4] {
    let (sum1, diff1) = (s.add(m[1], m[2]), s.sub(m[1], m[2]));
    let (sum2, diff2) = (s.add(m[3], m[4]), s.sub(m[3], m[4]));
    [
        s.add(s.add(m[0], sum1), sum2),
        s.fma(s.splat(2.0), diff2, diff1),
        s.fma(s.splat(4.0), sum2, sum1),
        s.add(s.fma(s.splat(8.0), diff2, diff1), m[5]),
    ]
}

/// A y: 4 to 6, the adjoint of [`a_t`].
#[inline(always)]
fn a<S: Simd>(s: S, y: [S::V; 4]) -> [S::V; 6] {
    let (even, odd) = (s.add(y[0], y[2]), s.add(y[1], y[3]));
    let four = s.splat(4.0);
    let even2 = s.fma(four, y[2], y[0]);
    let odd2 = s.mul(s.splat(2.0), s.fma(four, y[3], y[1]));
    [y[0], s.add(even, odd), s.sub(even, odd), s.add(even2, odd2), s.sub(even2, odd2), y[3]]
}

/// G g: 3 to 6.
#[inline(always)]
fn g<S: Simd>(s: S, g: [S::V; 3]) -> [S::V; 6] {
    let (sixth, quarter) = (s.splat(-1.0 / 6.0), s.splat(0.25));
    let outer = s.mul(sixth, s.add(g[0], g[2]));
    let middle = s.mul(sixth, g[1]);
    let outer2 = s.fma(s.splat(1.0 / 24.0), g[0], s.mul(s.splat(1.0 / 6.0), g[2]));
    let middle2 = s.mul(s.splat(1.0 / 12.0), g[1]);
    [
        s.mul(quarter, g[0]),
        s.add(outer, middle),
        s.sub(outer, middle),
        s.add(outer2, middle2),
        s.sub(outer2, middle2),
        g[2],
    ]
}

/// G' u: 6 to 3, the adjoint of [`g`].
#[inline(always)]
fn g_t<S: Simd>(s: S, u: [S::V; 6]) -> [S::V; 3] {
    let sixth = s.splat(-1.0 / 6.0);
    let (sum1, diff1) = (s.mul(sixth, s.add(u[1], u[2])), s.mul(sixth, s.sub(u[1], u[2])));
    let (sum2, diff2) = (s.add(u[3], u[4]), s.sub(u[3], u[4]));
    [
        s.fma(s.splat(0.25), u[0], s.fma(s.splat(1.0 / 24.0), sum2, sum1)),
        s.fma(s.splat(1.0 / 12.0), diff2, diff1),
        s.add(s.fma(s.splat(1.0 / 6.0), sum2, sum1), u[5]),
    ]
}

/// B' d B of tile `t`, to matrix row `to` of all places.
#[inline(always)]
pub(super) fn input<S: Simd>(
    s: S,
    tiles: &Tiles,
    x: &[f32],
    t: usize,
    zeros: &[f32],
    v: &mut Strided<'_, PLACES>,
    to: usize,
) {
    let shape = &tiles.shape;
    let c = shape.c_in;
    foresee(s, tiles, t + 1, x, [shape.height, shape.width, c], 2, 5);
    let (image, y, x0) = place(tiles, t);
    let mut pixels = Pixels::<PLACES>::new(&zeros[..c]);
    for i in 0..6 {
        let row = (y + i).wrapping_sub(shape.padding);
        for j in 0..6 {
            let column = (x0 + j).wrapping_sub(shape.padding);
            if row < shape.height && column < shape.width {
                pixels.set(6 * i + j, x, ((image * shape.height + row) * shape.width + column) * c);
            }
        }
    }
    let whole = c / S::LANES * S::LANES;
    for first in (0..whole).step_by(S::LANES) {
        input_vector::<S, true>(s, &pixels, first, v, to + first);
    }
    if whole < c {
        input_vector::<S, false>(s, &pixels, whole, v, to + whole);
    }
}

#[inline(always)]
fn input_vector<S: Simd, const WHOLE: bool>(
    s: S,
    pixels: &Pixels<'_, PLACES>,
    first: usize,
    v: &mut Strided<'_, PLACES>,
    at: usize,
) {
    let mut half = [[s.zero(); 6]; 6];
    for j in 0..6 {
        let mut d = [s.zero(); 6];
        for (i, d) in d.iter_mut().enumerate() {
            *d = pixels.load::<S, WHOLE>(s, 6 * i + j, first);
        }
        for (half, d) in half.iter_mut().zip(b_t(s, d)) {
            half[j] = d;
        }
    }
    for (i, &half) in half.iter().enumerate() {
        for (j, d) in b_t(s, half).into_iter().enumerate() {
            v.store(s, 6 * i + j, at, d);
        }
    }
}

/// Asks for what tile `t` of an image `[.., rows, columns, channels]` adds to its left neighbour: memory is far, and rows of a patch
/// are too short for the processor to foresee the next.
#[inline(always)]
fn foresee<S: Simd>(
    s: S,
    tiles: &Tiles,
    t: usize,
    x: &[f32],
    [rows, columns, channels]: [usize; 3],
    ahead: usize,
    height: usize,
) {
    let (image, y, x0) = place(tiles, t);
    for i in 0..height {
        let from = ((image * rows + y + i) * columns + x0 + ahead) * channels;
        for line in (0..4 * channels).step_by(16) {
            s.prefetch(x, from + line);
        }
    }
}

/// Image, row and column of a tile's first output.
#[inline(always)]
fn place(tiles: &Tiles, t: usize) -> (usize, usize, usize) {
    let (image, t) = (t / tiles.per_image(), t % tiles.per_image());
    (image, t / tiles.grid[1] * 4, t % tiles.grid[1] * 4)
}

/// A' m A of tile `t`, from matrix row `from` of all places, with the bias to its pixels of `y`.
#[inline(always)]
#[expect(clippy::too_many_arguments, reason = "a strided operand and what is added")]
pub(super) fn output<S: Simd>(
    s: S,
    tiles: &Tiles,
    m: &Strided<'_, PLACES>,
    from: usize,
    bias: &[f32],
    onto: Onto<'_>,
    t: usize,
    y: &mut [f32],
) {
    let o = tiles.shape.c_out;
    foresee(s, tiles, t + 1, y, [tiles.out[0], tiles.out[1], o], 0, 4);
    let (image, row, column) = place(tiles, t);
    let first_pixel = (image * tiles.out[0] + row) * tiles.out[1] + column;
    let (rows, columns) = ((tiles.out[0] - row).min(4), (tiles.out[1] - column).min(4));
    for first in (0..o).step_by(S::LANES) {
        let n = S::LANES.min(o - first);
        let mut half = [[s.zero(); 6]; 4];
        for j in 0..6 {
            let mut column = [s.zero(); 6];
            for (i, column) in column.iter_mut().enumerate() {
                *column = m.load(s, 6 * i + j, from + first);
            }
            for (half, value) in half.iter_mut().zip(a_t(s, column)) {
                half[j] = value;
            }
        }
        let bias = s.load(&bias[first..]);
        for (i, &half) in half.iter().enumerate().take(rows) {
            let start = (first_pixel + i * tiles.out[1]) * o + first;
            for (j, value) in a_t(s, half).into_iter().enumerate().take(columns) {
                let at = start + j * o..start + j * o + n;
                let value = s.add(value, bias);
                let value = match onto {
                    Onto::Nothing => value,
                    Onto::Itself => s.add(value, s.load_part(&y[at.clone()])),
                    Onto::Values(values) => s.add(value, s.load_part(&values[at.clone()])),
                };
                s.store_part(&mut y[at], value);
            }
        }
    }
}

/// A dy A' of tile `t`, to matrix row `to` of all places.
#[inline(always)]
pub(super) fn gradient_of_output<S: Simd>(
    s: S,
    tiles: &Tiles,
    dy: &[f32],
    t: usize,
    zeros: &[f32],
    z: &mut Strided<'_, PLACES>,
    to: usize,
) {
    let o = tiles.shape.c_out;
    let (image, row, column) = place(tiles, t);
    let first_pixel = (image * tiles.out[0] + row) * tiles.out[1] + column;
    foresee(s, tiles, t + 1, dy, [tiles.out[0], tiles.out[1], o], 0, 4);
    let mut pixels = Pixels::<16>::new(&zeros[..o]);
    for i in 0..(tiles.out[0] - row).min(4) {
        for j in 0..(tiles.out[1] - column).min(4) {
            pixels.set(4 * i + j, dy, (first_pixel + i * tiles.out[1] + j) * o);
        }
    }
    let whole = o / S::LANES * S::LANES;
    for first in (0..whole).step_by(S::LANES) {
        gradient_vector::<S, true>(s, &pixels, first, z, to + first);
    }
    if whole < o {
        gradient_vector::<S, false>(s, &pixels, whole, z, to + whole);
    }
}

#[inline(always)]
fn gradient_vector<S: Simd, const WHOLE: bool>(
    s: S,
    pixels: &Pixels<'_, 16>,
    first: usize,
    z: &mut Strided<'_, PLACES>,
    at: usize,
) {
    let mut half = [[s.zero(); 4]; 6];
    for j in 0..4 {
        let mut d = [s.zero(); 4];
        for (i, d) in d.iter_mut().enumerate() {
            *d = pixels.load::<S, WHOLE>(s, 4 * i + j, first);
        }
        for (half, d) in half.iter_mut().zip(a(s, d)) {
            half[j] = d;
        }
    }
    for (i, &half) in half.iter().enumerate() {
        for (j, d) in a(s, half).into_iter().enumerate() {
            z.store(s, 6 * i + j, at, d);
        }
    }
}

/// G g G' of all weights `[9, c_in, c_out]`: 36 matrices in panels.
#[inline(always)]
pub(super) fn weights<S: Simd>(s: S, w: &[f32], c_in: usize, c_out: usize) -> Scratch {
    let stride = c_in * padded::<S>(c_out);
    let mut u = Scratch::new(PLACES * stride);
    for (from, to) in panel_places::<S>(c_in, c_out) {
        let n = S::LANES.min(c_out - from % c_out);
        let mut half = [[s.zero(); 3]; 6];
        for j in 0..3 {
            let mut column = [s.zero(); 3];
            for (i, column) in column.iter_mut().enumerate() {
                *column = s.load_part(&w[(3 * i + j) * c_in * c_out + from..][..n]);
            }
            for (half, value) in half.iter_mut().zip(g(s, column)) {
                half[j] = value;
            }
        }
        for (i, &half) in half.iter().enumerate() {
            for (j, value) in g(s, half).into_iter().enumerate() {
                s.store(&mut u[(6 * i + j) * stride + to..], value);
            }
        }
    }
    u
}

/// G' du G: from 36 matrices `[c_in, padded c_out]` to the weights' gradient `[9, c_in, c_out]`.
#[inline(always)]
pub(super) fn gradient_of_weights<S: Simd>(s: S, du: &[f32], c_in: usize, c_out: usize, dw: &mut [f32]) {
    let wide = padded::<S>(c_out);
    let stride = c_in * wide;
    for c in 0..c_in {
        for first in (0..c_out).step_by(S::LANES) {
            let n = S::LANES.min(c_out - first);
            let mut half = [[s.zero(); 6]; 3];
            for j in 0..6 {
                let mut column = [s.zero(); 6];
                for (i, column) in column.iter_mut().enumerate() {
                    *column = s.load(&du[(6 * i + j) * stride + c * wide + first..]);
                }
                for (half, value) in half.iter_mut().zip(g_t(s, column)) {
                    half[j] = value;
                }
            }
            for (i, &half) in half.iter().enumerate() {
                for (j, value) in g_t(s, half).into_iter().enumerate() {
                    s.store_part(&mut dw[((3 * i + j) * c_in + c) * c_out + first..][..n], value);
                }
            }
        }
    }
}
