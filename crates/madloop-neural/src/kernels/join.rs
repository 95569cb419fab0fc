//! Images side by side in their channels.

use rayon::prelude::*;

/// Numbers a job, at least.
const JOB: usize = 1 << 14;

/// Each pixel of the output is one of a and then one of b, of `[c_a, c_b]` channels.
///
/// # Panics
/// If lengths do not fit.
pub fn join([c_a, c_b]: [usize; 2], a: &[f32], b: &[f32], out: &mut [f32]) {
    let pixels = check([c_a, c_b], a.len(), b.len(), out.len());
    let (c, some) = (c_a + c_b, pixels_a_job(c_a + c_b, pixels));
    let parts = a.par_chunks(some * c_a).zip(b.par_chunks(some * c_b));
    out.par_chunks_mut(some * c).zip(parts).for_each(|(out, (a, b))| {
        for (out, (a, b)) in out.chunks_exact_mut(c).zip(a.chunks_exact(c_a).zip(b.chunks_exact(c_b))) {
            out[..c_a].copy_from_slice(a);
            out[c_a..].copy_from_slice(b);
        }
    });
}

/// The inverse of [`join`], and its gradient.
///
/// # Panics
/// As [`join`].
pub fn split([c_a, c_b]: [usize; 2], joined: &[f32], a: &mut [f32], b: &mut [f32]) {
    let pixels = check([c_a, c_b], a.len(), b.len(), joined.len());
    let (c, some) = (c_a + c_b, pixels_a_job(c_a + c_b, pixels));
    let parts = a.par_chunks_mut(some * c_a).zip(b.par_chunks_mut(some * c_b));
    joined.par_chunks(some * c).zip(parts).for_each(|(joined, (a, b))| {
        for (joined, (a, b)) in joined.chunks_exact(c).zip(a.chunks_exact_mut(c_a).zip(b.chunks_exact_mut(c_b))) {
            a.copy_from_slice(&joined[..c_a]);
            b.copy_from_slice(&joined[c_a..]);
        }
    });
}

fn pixels_a_job(channels: usize, pixels: usize) -> usize {
    JOB.div_ceil(channels).min(pixels.max(1))
}

/// The number of pixels.
fn check([c_a, c_b]: [usize; 2], a: usize, b: usize, joined: usize) -> usize {
    assert!(c_a > 0 && c_b > 0, "joined images of {c_a} and {c_b} channels");
    let pixels = a / c_a;
    assert!(a == pixels * c_a && b == pixels * c_b && joined == a + b, "{a} and {b} numbers joined to {joined}");
    pixels
}
