//! x s(x) with s(x) = 1 / (1 + e^-x), and its derivative s + x s (1 - s).

use rayon::prelude::*;

/// Values that one thread takes at a time; the result does not depend on it.
const CHUNK: usize = 16 * 1024;

pub(super) fn logistic(x: f32) -> f32 {
    (1.0 + (-x).exp()).recip()
}

/// y = x s(x).
pub(super) fn forward(x: &[f32], y: &mut [f32]) {
    y.par_chunks_mut(CHUNK).zip(x.par_chunks(CHUNK)).for_each(|(y, x)| {
        y.iter_mut().zip(x).for_each(|(y, &x)| *y = x * logistic(x));
    });
}

/// dx = dy (s + x s (1 - s)).
pub(super) fn backward(x: &[f32], dy: &[f32], dx: &mut [f32]) {
    let chunks = dx.par_chunks_mut(CHUNK).zip(x.par_chunks(CHUNK)).zip(dy.par_chunks(CHUNK));
    chunks.for_each(|((dx, x), dy)| {
        dx.iter_mut().zip(x).zip(dy).for_each(|((dx, &x), &dy)| {
            let s = logistic(x);
            *dx = dy * (s + x * s * (1.0 - s));
        });
    });
}
