//! Adam's update of one parameter, its moments and its average in one pass over memory.

use rayon::prelude::*;

/// The numbers of one step; what they mean is said at `train::Adam`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Update {
    /// Multiplies the gradient.
    pub(crate) scale: f32,
    pub(crate) beta: [f32; 2],
    /// rate_s / (1 - b1^s).
    pub(crate) rate: f32,
    /// 1 / sqrt(1 - b2^s).
    pub(crate) root: f32,
    pub(crate) eps: f32,
    /// Share of the average that stays.
    pub(crate) keep: f32,
}

/// A parameter and what Adam keeps of it, `[n]` each.
pub(super) struct Slices<'a> {
    pub(super) weights: &'a mut [f32],
    pub(super) first: &'a mut [f32],
    pub(super) second: &'a mut [f32],
    pub(super) average: &'a mut [f32],
    pub(super) gradient: &'a [f32],
}

/// Values that one thread takes at a time; the result does not depend on it.
const CHUNK: usize = 16 * 1024;

pub(super) fn update(by: Update, of: Slices<'_>) {
    let moments = of.first.par_chunks_mut(CHUNK).zip(of.second.par_chunks_mut(CHUNK));
    let parameters = of.weights.par_chunks_mut(CHUNK).zip(of.average.par_chunks_mut(CHUNK));
    parameters.zip(moments).zip(of.gradient.par_chunks(CHUNK)).for_each(|(((w, e), (m, v)), g)| {
        for ((((w, e), m), v), g) in w.iter_mut().zip(e).zip(m).zip(v).zip(g) {
            let g = g * by.scale;
            *m = by.beta[0] * *m + (1.0 - by.beta[0]) * g;
            *v = by.beta[1] * *v + (1.0 - by.beta[1]) * g * g;
            *w -= by.rate * *m / (v.sqrt() * by.root + by.eps);
            *e = by.keep * *e + (1.0 - by.keep) * *w;
        }
    });
}
