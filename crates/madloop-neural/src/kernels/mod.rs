//! CPU kernels of the training hot path: slices in, slices out.
//!
//! Images are `[batch, height, width, channels]`, all numbers `f32`. Every kernel comes with its gradients, runs on the current
//! rayon pool, and gives the same bits whatever the number of threads: sums are cut into chunks by shape and added in order.
//! Vectors are chosen at run time, see [`Level`].

pub mod adam;
pub mod blur;
pub mod conv;
pub mod coupling;
pub mod exp;
pub mod infer;
pub mod join;
pub mod leaky;
mod level;
pub mod lu;
pub mod matmul;
pub mod norm;
pub mod resample;
mod scratch;
mod simd;
pub mod style;
mod tile;

pub use level::{Level, with_level};
pub use scratch::Scratch;

use rayon::prelude::*;

/// Sums over consecutive parts of length `part`, from each `out.len()` numbers starting at `first`, in order.
fn sum_parts(parts: &[f32], part: usize, first: usize, out: &mut [f32]) {
    const BLOCK: usize = 4096;
    out.par_chunks_mut(BLOCK).enumerate().for_each(|(i, out)| {
        let at = first + i * BLOCK;
        out.copy_from_slice(&parts[at..at + out.len()]);
        for more in parts.chunks_exact(part).skip(1) {
            for (out, x) in out.iter_mut().zip(&more[at..]) {
                *out += x;
            }
        }
    });
}
