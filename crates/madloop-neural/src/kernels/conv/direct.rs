//! Convolution as it is written: every window, stride and padding.
//!
//! An image is copied into a border of zeros, so that its rows are the left factor of a product with one segment per tap (see
//! [`tile`](super::super::tile)): nothing is unfolded. The input gradient runs over the input's pixels in s x s phases: pixels of
//! one phase (their coordinates modulo the stride) are seen through the same taps, and are one product again.

use super::super::simd::{Level, Simd, simd};
use super::super::tile::{Columns, Product, Start, multiply, padded, panels};
use super::super::{scratch::Scratch, sum_parts};
use super::{Conv2d, Onto, prefill, transpose};
use rayon::prelude::*;

pub(super) fn forward(
    level: Level,
    shape: &Conv2d,
    x: &[f32],
    w: &[f32],
    bias: Option<&[f32]>,
    onto: Onto<'_>,
    y: &mut [f32],
) {
    let depth = shape.taps() * shape.c_in;
    let packed = simd!(level, s => pack(s, w, depth, shape.c_out));
    let (size, image) = (shape.in_image(), shape.out_image());
    y.par_chunks_mut(image).enumerate().with_min_len(shape.images_a_job().min(4)).for_each(|(i, y)| {
        prefill(onto, i * image, bias, shape.c_out, y);
        simd!(level, s => forward_image(s, shape, &x[i * size..][..size], &packed, y));
    });
}

/// `[depth, columns]` in panels, padded with zeros.
#[inline(always)]
pub(super) fn pack<S: Simd>(_: S, w: &[f32], depth: usize, columns: usize) -> Scratch {
    let mut packed = Scratch::zeros(depth * padded::<S>(columns));
    for (first, width) in panels::<S>(columns) {
        let n = width.min(columns - first);
        for (to, from) in packed[first * depth..][..width * depth].chunks_exact_mut(width).zip(w.chunks_exact(columns))
        {
            to[..n].copy_from_slice(&from[first..first + n]);
        }
    }
    packed
}

#[inline(always)]
fn forward_image<S: Simd>(s: S, shape: &Conv2d, x: &[f32], w: &[f32], y: &mut [f32]) {
    let (c, o, stride) = (shape.c_in, shape.c_out, shape.stride);
    let [rows, columns] = shape.out_size();
    let border = Border::of(shape, c);
    let x = border.around(x, shape.height, shape.width, c);
    let segments: Vec<_> = border.taps(shape).enumerate().map(|(tap, at)| (at, tap * c)).collect();
    let mut product = Product {
        a: &x,
        a_row: stride * c,
        a_step: 1,
        b: w,
        b_layout: Columns::Panels(shape.taps() * c),
        segments: &segments,
        depth: c,
    };
    if shape.taps() == 1 && stride == 1 && shape.padding == 0 {
        return multiply(s, &product, rows * columns, o, y, o, Start::There);
    }
    for (r, y) in y.chunks_exact_mut(columns * o).enumerate() {
        product.a = &x[r * stride * border.row..];
        multiply(s, &product, columns, o, y, o, Start::There);
    }
}

/// An image with zeros around it.
struct Border {
    before: usize,
    rows: usize,
    /// Numbers in a row.
    row: usize,
    /// Numbers in a pixel.
    pixel: usize,
}

impl Border {
    fn of(shape: &Conv2d, pixel: usize) -> Self {
        let before = shape.padding;
        Self { before, rows: shape.height + 2 * before, row: (shape.width + 2 * before) * pixel, pixel }
    }

    fn around(&self, x: &[f32], height: usize, width: usize, channels: usize) -> Scratch {
        let mut out = Scratch::zeros(self.rows * self.row);
        for r in 0..height {
            let to = &mut out[(r + self.before) * self.row + self.before * self.pixel..][..width * self.pixel];
            let from = &x[r * width * channels..][..width * channels];
            if channels == self.pixel {
                to.copy_from_slice(from);
            } else {
                for (to, from) in to.chunks_exact_mut(self.pixel).zip(from.chunks_exact(channels)) {
                    to[..channels].copy_from_slice(from);
                }
            }
        }
        out
    }

    /// Where each tap of the first window lies.
    fn taps(&self, shape: &Conv2d) -> impl Iterator<Item = usize> {
        let ([h, w], row, pixel) = (shape.kernel, self.row, self.pixel);
        (0..h).flat_map(move |u| (0..w).map(move |v| u * row + v * pixel))
    }
}

pub(super) fn input_gradient(level: Level, shape: &Conv2d, dy: &[f32], w: &[f32], onto: Onto<'_>, dx: &mut [f32]) {
    let (c, o) = (shape.c_in, shape.c_out);
    let mut swapped = Scratch::new(w.len());
    for (to, from) in swapped.chunks_exact_mut(c * o).zip(w.chunks_exact(c * o)) {
        transpose(from, c, o, to);
    }
    let packed = simd!(level, s => pack(s, &swapped, shape.taps() * o, c));
    let (size, image) = (shape.out_image(), shape.in_image());
    dx.par_chunks_mut(image).enumerate().with_min_len(shape.images_a_job().min(4)).for_each(|(i, dx)| {
        prefill(onto, i * image, None, c, dx);
        simd!(level, s => input_gradient_image(s, shape, &dy[i * size..][..size], &packed, dx));
    });
}

#[inline(always)]
fn input_gradient_image<S: Simd>(s: S, shape: &Conv2d, dy: &[f32], w: &[f32], dx: &mut [f32]) {
    let (c, o, stride) = (shape.c_in, shape.c_out, shape.stride);
    let [rows, columns] = shape.out_size();
    // Taps reach from (kernel - 1) / stride outputs before a pixel to padding / stride after it.
    let before = (shape.kernel[0].max(shape.kernel[1]) - 1).div_ceil(stride);
    let all = |out: usize, size: usize| before + out.max(size.div_ceil(stride) + shape.padding.div_ceil(stride) + 1);
    let border = Border { before, rows: all(rows, shape.height), row: all(columns, shape.width) * o, pixel: o };
    let dy = border.around(dy, rows, columns, o);
    let taps_of = |phase: usize, kernel: usize| {
        let at = phase + shape.padding;
        (0..kernel).filter(move |u| (at + kernel * stride - u).is_multiple_of(stride)).map(move |u| {
            // The output that sees this pixel through tap u, relative to pixel / stride: u = at modulo stride.
            (u, before + at / stride - (u - at % stride) / stride)
        })
    };
    for fy in 0..stride.min(shape.height) {
        for fx in 0..stride.min(shape.width) {
            let segments: Vec<_> = taps_of(fy, shape.kernel[0])
                .flat_map(|(u, y)| taps_of(fx, shape.kernel[1]).map(move |(v, x)| (u, y, v, x)))
                .map(|(u, y, v, x)| (y * border.row + x * o, (u * shape.kernel[1] + v) * o))
                .collect();
            let n = (shape.width - fx).div_ceil(stride);
            for (m, r) in (fy..shape.height).step_by(stride).enumerate() {
                let product = Product {
                    a: &dy[m * border.row..],
                    a_row: o,
                    a_step: 1,
                    b: w,
                    b_layout: Columns::Panels(shape.taps() * o),
                    segments: &segments,
                    depth: o,
                };
                multiply(s, &product, n, c, &mut dx[(r * shape.width + fx) * c..], stride * c, Start::There);
            }
        }
    }
}

pub(super) fn weight_gradient(
    level: Level,
    shape: &Conv2d,
    x: &[f32],
    dy: &[f32],
    dw: &mut [f32],
    db: Option<&mut [f32]>,
) {
    // Enough chunks for many threads, each with enough images to pay for its own sum.
    let images = shape.batch.div_ceil(16);
    let part = shape.weight_len() + shape.c_out;
    let mut parts = Scratch::new(shape.batch.div_ceil(images) * part);
    parts
        .par_chunks_mut(part)
        .zip(x.par_chunks(images * shape.in_image()).zip(dy.par_chunks(images * shape.out_image())))
        .for_each(|(part, (x, dy))| {
            let (dw, db) = part.split_at_mut(shape.weight_len());
            simd!(level, s => weight_gradient_chunk(s, shape, x, dy, dw, db));
        });
    sum_parts(&parts, part, 0, dw);
    if let Some(db) = db {
        sum_parts(&parts, part, shape.weight_len(), db);
    }
}

#[inline(always)]
fn weight_gradient_chunk<S: Simd>(s: S, shape: &Conv2d, x: &[f32], dy: &[f32], dw: &mut [f32], db: &mut [f32]) {
    let (c, o, stride) = (shape.c_in, shape.c_out, shape.stride);
    let [rows, columns] = shape.out_size();
    // The vectors run along the side with more channels.
    let across = c > o && o < S::LANES;
    let (x_pixel, dy_pixel) = if across { (padded::<S>(c), o) } else { (c, padded::<S>(o)) };
    let (tall, wide) = if across { (o, x_pixel) } else { (c, dy_pixel) };
    let border = Border::of(shape, x_pixel);
    let plain = Border { before: 0, rows, row: columns * dy_pixel, pixel: dy_pixel };
    let mut sums = Scratch::zeros(shape.taps() * tall * wide);
    db.fill(0.0);
    for (x, dy) in x.chunks_exact(shape.in_image()).zip(dy.chunks_exact(shape.out_image())) {
        column_sums(dy, db);
        let x = border.around(x, shape.height, shape.width, c);
        let copy = (dy_pixel != o).then(|| plain.around(dy, rows, columns, o));
        let dy = copy.as_deref().unwrap_or(dy);
        for (at, sums) in border.taps(shape).zip(sums.chunks_exact_mut(tall * wide)) {
            let x_rows = (0..rows).map(|r| at + r * stride * border.row);
            let dy_rows = (0..rows).map(|r| r * plain.row);
            let segments: Vec<_> = if across { dy_rows.zip(x_rows).collect() } else { x_rows.zip(dy_rows).collect() };
            let (x_step, dy_step) = (stride * x_pixel, dy_pixel);
            let (a, a_step, b, b_step) = if across { (dy, dy_step, &*x, x_step) } else { (&*x, x_step, dy, dy_step) };
            let product = Product {
                a,
                a_row: 1,
                a_step,
                b,
                b_layout: Columns::Rows(b_step),
                segments: &segments,
                depth: columns,
            };
            multiply(s, &product, tall, wide, sums, wide, Start::There);
        }
    }
    for (dw, sums) in dw.chunks_exact_mut(c * o).zip(sums.chunks_exact(tall * wide)) {
        for ci in 0..c {
            for oi in 0..o {
                dw[ci * o + oi] = sums[if across { oi * wide + ci } else { ci * wide + oi }];
            }
        }
    }
}

/// Adds the sum over an image's pixels to `sums`. The image is summed apart first: shorter chains round less.
#[inline(always)]
fn column_sums(image: &[f32], sums: &mut [f32]) {
    let mut own = Scratch::zeros(sums.len());
    for pixel in image.chunks_exact(sums.len()) {
        for (own, x) in own.iter_mut().zip(pixel) {
            *own += x;
        }
    }
    for (sum, own) in sums.iter_mut().zip(&*own) {
        *sum += own;
    }
}
