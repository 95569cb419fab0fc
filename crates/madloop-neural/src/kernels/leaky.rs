//! The leaky rectifier: x above 0, slope x elsewhere.

use super::simd::{Level, simd};
use rayon::prelude::*;

/// Numbers a job.
const JOB: usize = 1 << 14;

/// `y = x` where x > 0 and slope x elsewhere; NaN stays NaN.
///
/// # Panics
/// If the lengths differ.
pub fn leaky(slope: f32, x: &[f32], y: &mut [f32]) {
    gate(slope, x, x, y);
}

/// `out = x` where gate > 0 and slope x elsewhere. With the rectifier's output as the gate (its sign is that of the input where
/// slope > 0, and 0 counts as below) this is the rectifier's derivative along x, and its gradient where x is the output's.
///
/// # Panics
/// If the lengths differ.
pub fn gate(slope: f32, gate: &[f32], x: &[f32], out: &mut [f32]) {
    assert!(gate.len() == out.len() && x.len() == out.len(), "lengths of a rectifier");
    let level = Level::current();
    out.par_chunks_mut(JOB).zip(gate.par_chunks(JOB).zip(x.par_chunks(JOB))).for_each(|(out, (gate, x))| {
        simd!(level, s => {
            let _ = s;
            for (out, (gate, x)) in out.iter_mut().zip(gate.iter().zip(x)) {
                *out = if *gate > 0.0 { *x } else { slope * x };
            }
        });
    });
}
