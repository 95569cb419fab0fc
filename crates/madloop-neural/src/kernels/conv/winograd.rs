//! Winograd's F(4x4, 3x3): a 3x3 convolution of stride 1 with a quarter of the multiplications.
//!
//! Each 4x4 tile of the output is A' [(G g G') . (B' d B)] A, where d is the 6x6 patch that it sees and g the window (S. Winograd,
//! Arithmetic complexity of computations, 1980; A. Lavin and S. Gray, arXiv:1509.09308; points 0, +-1, +-2). At each of the 36
//! places of the patch, the sum over channels is a product of matrices [tiles, `c_in`] [`c_in`, `c_out`]. The weight gradient is the
//! adjoint of the same formula: dg = G' (sum over tiles of (B' d B) . (A dy A')) G.
//!
//! Rounding: the transforms' coefficients reach 8, and errors are some ten times those of a direct sum: at most 3e-5 of the largest
//! output in the tests, at every level of vectors.

use super::super::simd::{Level, Simd, simd};
use super::super::tile::{Columns, Product, Start, multiply, padded, panels};
use super::super::{scratch::Scratch, sum_parts};
use super::places::Strided;
use super::transform::{gradient_of_output, gradient_of_weights, input, output, weights};
use super::{Conv2d, Onto};
use rayon::prelude::*;

/// Places in a patch.
pub(super) const PLACES: usize = 36;

/// Where it pays.
pub(super) fn suits(shape: &Conv2d) -> bool {
    let [h, w] = shape.out_size();
    !shape.plain && shape.kernel == [3, 3] && shape.stride == 1 && shape.c_in.min(shape.c_out) >= 8 && h.min(w) >= 3
}

/// How images are cut into 4x4 tiles of the output.
pub(super) struct Tiles {
    pub(super) shape: Conv2d,
    pub(super) out: [usize; 2],
    pub(super) grid: [usize; 2],
}

impl Tiles {
    fn new(shape: &Conv2d) -> Self {
        let out = shape.out_size();
        Self { shape: *shape, out, grid: out.map(|n| n.div_ceil(4)) }
    }

    pub(super) fn per_image(&self) -> usize {
        self.grid[0] * self.grid[1]
    }

    /// Tiles whose transforms are held at once, of `all`: their patches should stay in a core's second-level cache, and whole
    /// tiles of the product (6 or 12 rows) waste least.
    fn block(&self, all: usize) -> usize {
        const MOST: usize = 48;
        all.div_ceil(all.div_ceil(MOST)).next_multiple_of(12)
    }
}

/// A stride between places: not a multiple of 4096 bytes, at which all places would share the same few lines of the cache.
pub(super) fn spread(tiles: usize, channels: usize) -> usize {
    tiles * channels + 16
}

pub(super) fn forward(
    level: Level,
    shape: &Conv2d,
    x: &[f32],
    w: &[f32],
    bias: Option<&[f32]>,
    onto: Onto<'_>,
    y: &mut [f32],
) {
    let tiles = Tiles::new(shape);
    let (u, bias) = simd!(level, s => {
        let mut all = Scratch::zeros(padded_of(s, shape.c_out));
        if let Some(bias) = bias {
            all[..bias.len()].copy_from_slice(bias);
        }
        (weights(s, w, shape.c_in, shape.c_out), all)
    });
    let images = shape.images_a_job();
    let size = images * shape.in_image();
    let values = images * shape.out_image();
    y.par_chunks_mut(values).enumerate().for_each(|(i, y)| {
        let x = &x[i * size..x.len().min((i + 1) * size)];
        let onto = match onto {
            Onto::Values(v) => Onto::Values(&v[i * values..][..y.len()]),
            other => other,
        };
        simd!(level, s => forward_images(s, &tiles, x, &u, &bias, onto, y));
    });
}

#[inline(always)]
fn padded_of<S: Simd>(_: S, n: usize) -> usize {
    padded::<S>(n)
}

#[inline(always)]
fn forward_images<S: Simd>(s: S, tiles: &Tiles, x: &[f32], u: &[f32], bias: &[f32], onto: Onto<'_>, y: &mut [f32]) {
    let (c, o) = (padded::<S>(tiles.shape.c_in), padded::<S>(tiles.shape.c_out));
    let all = x.len() / tiles.shape.in_image() * tiles.per_image();
    let block = tiles.block(all);
    let (v_place, m_place) = (spread(block, c), spread(block, o));
    let mut v = Scratch::new(PLACES * v_place);
    let mut m = Scratch::new(PLACES * m_place);
    let zeros = Scratch::zeros(c);
    for first in (0..all).step_by(block) {
        let n = block.min(all - first);
        let mut places = Strided::new(&mut v, v_place);
        for t in 0..n {
            input(s, tiles, x, first + t, &zeros, &mut places, t * c);
        }
        for place in 0..PLACES {
            let product = Product {
                a: &v[place * v_place..],
                a_row: c,
                a_step: 1,
                b: &u[place * tiles.shape.c_in * o..],
                b_layout: Columns::Panels(tiles.shape.c_in),
                segments: &[(0, 0)],
                depth: tiles.shape.c_in,
            };
            multiply(s, &product, n, o, &mut m[place * m_place..], o, Start::Zero);
        }
        let places = Strided::new(&mut m, m_place);
        for t in 0..n {
            output(s, tiles, &places, t * o, bias, onto, first + t, y);
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
    let tiles = Tiles::new(shape);
    // A chunk's sums are 4 times as large as the gradient: many tiles must share them.
    let chunks = (shape.batch * tiles.per_image() / 256).clamp(1, 16);
    let images = shape.batch.div_ceil(chunks);
    let part = shape.weight_len() + shape.c_out;
    let mut parts = Scratch::new(shape.batch.div_ceil(images) * part);
    parts
        .par_chunks_mut(part)
        .zip(x.par_chunks(images * shape.in_image()).zip(dy.par_chunks(images * shape.out_image())))
        .for_each(|(part, (x, dy))| {
            let (dw, db) = part.split_at_mut(shape.weight_len());
            simd!(level, s => weight_gradient_images(s, &tiles, x, dy, dw, db));
        });
    sum_parts(&parts, part, 0, dw);
    if let Some(db) = db {
        sum_parts(&parts, part, shape.weight_len(), db);
    }
}

#[inline(always)]
fn weight_gradient_images<S: Simd>(s: S, tiles: &Tiles, x: &[f32], dy: &[f32], dw: &mut [f32], db: &mut [f32]) {
    let (c_in, c_out) = (tiles.shape.c_in, tiles.shape.c_out);
    let (c, o) = (padded::<S>(c_in), padded::<S>(c_out));
    let all = x.len() / tiles.shape.in_image() * tiles.per_image();
    let block = tiles.block(all);
    let (v_place, z_place) = (spread(block, c), spread(block, o));
    let mut v = Scratch::new(PLACES * v_place);
    let mut z = Scratch::new(PLACES * z_place);
    let mut du = Scratch::zeros(PLACES * c_in * o);
    let zeros = Scratch::zeros(c.max(o));
    db.fill(0.0);
    for first in (0..all).step_by(block) {
        let n = block.min(all - first);
        let (mut v_places, mut z_places) = (Strided::new(&mut v, v_place), Strided::new(&mut z, z_place));
        for t in 0..n {
            input(s, tiles, x, first + t, &zeros, &mut v_places, t * c);
            gradient_of_output(s, tiles, dy, first + t, &zeros, &mut z_places, t * o);
        }
        for (place, du) in du.chunks_exact_mut(c_in * o).enumerate() {
            let product = Product {
                a: &v[place * v_place..],
                a_row: 1,
                a_step: c,
                b: &z[place * z_place..],
                b_layout: Columns::Rows(o),
                segments: &[(0, 0)],
                depth: n,
            };
            multiply(s, &product, c_in, o, du, o, Start::There);
        }
        // At the point 1 of both axes, the transform of a tile is its sum.
        for sums in z[7 * z_place..].chunks_exact(o).take(n) {
            for (db, sum) in db.iter_mut().zip(sums) {
                *db += sum;
            }
        }
    }
    gradient_of_weights(s, &du, c_in, c_out, dw);
}

/// Where the weights of a place lie: panel, row, column in it.
#[inline(always)]
pub(super) fn panel_places<S: Simd>(c_in: usize, c_out: usize) -> impl Iterator<Item = (usize, usize)> {
    panels::<S>(c_out).flat_map(move |(first, width)| {
        (0..c_in).flat_map(move |c| {
            (0..width).step_by(S::LANES).map(move |i| (c * c_out + first + i, first * c_in + c * width + i))
        })
    })
}
