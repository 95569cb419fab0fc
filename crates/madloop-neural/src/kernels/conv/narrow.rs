//! Convolution to a few channels (images are 1 or 3): vectors along the input's channels, summed at the end.

use super::super::scratch::Scratch;
use super::super::simd::{Level, Simd, simd};
use super::super::tile::padded;
use super::{Conv2d, Onto, prefill};
use rayon::prelude::*;

/// Where the other kernels would leave most lanes idle.
pub(super) fn suits(shape: &Conv2d) -> bool {
    shape.c_out <= 4 && shape.c_in >= 8
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
    let (size, image) = (shape.in_image(), shape.out_image());
    let w = simd!(level, s => by_output(s, shape, w));
    y.par_chunks_mut(image).enumerate().with_min_len(shape.images_a_job().min(4)).for_each(|(i, y)| {
        prefill(onto, i * image, bias, shape.c_out, y);
        simd!(level, s => forward_image(s, shape, &x[i * size..][..size], &w, y));
    });
}

/// `[taps, c_out, c_in]`, the last padded with zeros.
#[inline(always)]
fn by_output<S: Simd>(_: S, shape: &Conv2d, w: &[f32]) -> Scratch {
    let (c, o, wide) = (shape.c_in, shape.c_out, padded::<S>(shape.c_in));
    let mut out = Scratch::zeros(shape.taps() * o * wide);
    for tap in 0..shape.taps() {
        for i in 0..c {
            for j in 0..o {
                out[(tap * o + j) * wide + i] = w[(tap * c + i) * o + j];
            }
        }
    }
    out
}

#[inline(always)]
fn forward_image<S: Simd>(s: S, shape: &Conv2d, x: &[f32], w: &[f32], y: &mut [f32]) {
    let (c, o, wide) = (shape.c_in, shape.c_out, padded::<S>(shape.c_in));
    let [rows, columns] = shape.out_size();
    for r in 0..rows {
        for q in 0..columns {
            let mut acc = [s.zero(); 4];
            for u in 0..shape.kernel[0] {
                let row = (r * shape.stride + u).wrapping_sub(shape.padding);
                if row >= shape.height {
                    continue;
                }
                for v in 0..shape.kernel[1] {
                    let column = (q * shape.stride + v).wrapping_sub(shape.padding);
                    if column >= shape.width {
                        continue;
                    }
                    let x = &x[(row * shape.width + column) * c..][..c];
                    let w = &w[(u * shape.kernel[1] + v) * o * wide..][..o * wide];
                    for (x, i) in x.chunks(S::LANES).zip((0..).step_by(S::LANES)) {
                        let x = s.load_part(x);
                        for (j, acc) in acc.iter_mut().enumerate().take(o) {
                            *acc = s.fma(x, s.load(&w[j * wide + i..]), *acc);
                        }
                    }
                }
            }
            let y = &mut y[(r * columns + q) * o..][..o];
            for (y, &acc) in y.iter_mut().zip(&acc) {
                *y += s.sum(acc);
            }
        }
    }
}
