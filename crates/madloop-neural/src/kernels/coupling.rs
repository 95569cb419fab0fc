//! Affine couplings of flows: part of each row is scaled and shifted by what a network made of the other part.
//!
//! A row x of c numbers is (a, b), b its last k; its `raw` row of 2 k numbers is (r, t). The coupling gives (a, s b + t) with
//! ln s = 4 sigmoid(r) - 2: 0 with slope 1 at r = 0, and within (-2, 2), so that a coupling can be inverted in f32.

use rayon::prelude::*;

use super::Scratch;
use super::exp::{exp_of, sigmoid_of};

/// Numbers a job, about.
const JOB: usize = 1 << 14;

/// Length c of a row, and k of its part that is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Split {
    /// Numbers a row.
    pub all: usize,
    /// Of these the last that are changed: from 1 to `all`.
    pub changed: usize,
}

impl Split {
    /// The number of rows.
    fn rows(self, x: usize, raw: usize, y: usize) -> usize {
        let Self { all, changed } = self;
        assert!(changed > 0 && changed <= all, "a coupling that changes {changed} of {all} numbers");
        let rows = x / all;
        assert!(x == rows * all && y == x && raw == 2 * rows * changed, "{x}, {raw} and {y} numbers of a coupling");
        rows
    }

    fn rows_a_job(self) -> usize {
        JOB.div_ceil(self.all)
    }
}

/// ln s of every changed number, `[rows, k]`.
fn log_scales(raw: &[f32], k: usize) -> Scratch {
    let (mut r, mut out) = (Scratch::new(raw.len() / 2), Scratch::new(raw.len() / 2));
    let some = JOB.div_ceil(k);
    r.par_chunks_mut(some * k).zip(raw.par_chunks(2 * some * k)).for_each(|(r, raw)| {
        for (r, raw) in r.chunks_exact_mut(k).zip(raw.chunks_exact(2 * k)) {
            r.copy_from_slice(&raw[..k]);
        }
    });
    sigmoid_of(&r, &mut out);
    out.par_chunks_mut(JOB).for_each(|out| out.iter_mut().for_each(|v| *v = 4.0 * *v - 2.0));
    out
}

/// s = e^(sign ln s).
fn scales(raw: &[f32], k: usize, sign: f32) -> Scratch {
    let mut logs = log_scales(raw, k);
    if sign < 0.0 {
        logs.par_chunks_mut(JOB).for_each(|logs| logs.iter_mut().for_each(|v| *v = -*v));
    }
    let mut out = Scratch::new(logs.len());
    exp_of(&logs, &mut out);
    out
}

/// d ln s / d r = 4 sigmoid(r) (1 - sigmoid(r)).
#[inline(always)]
fn slope(log_scale: f32) -> f32 {
    0.25 * (2.0 + log_scale) * (2.0 - log_scale)
}

/// y = (a, s b + t).
///
/// # Panics
/// If lengths do not fit, here and below.
pub fn couple(split: Split, x: &[f32], raw: &[f32], y: &mut [f32]) {
    let scale = scales(raw, split.changed, 1.0);
    each(split, x, raw, &scale, y, |b, s, t| b * s + t);
}

/// The inverse of [`couple`]: x = (a, (b - t) / s).
pub fn uncouple(split: Split, y: &[f32], raw: &[f32], x: &mut [f32]) {
    let scale = scales(raw, split.changed, -1.0);
    each(split, y, raw, &scale, x, |b, s, t| (b - t) * s);
}

fn each(split: Split, x: &[f32], raw: &[f32], scale: &[f32], y: &mut [f32], f: impl Fn(f32, f32, f32) -> f32 + Sync) {
    split.rows(x.len(), raw.len(), y.len());
    let (Split { all, changed: k }, some) = (split, split.rows_a_job());
    let inputs = x.par_chunks(some * all).zip(raw.par_chunks(2 * some * k).zip(scale.par_chunks(some * k)));
    y.par_chunks_mut(some * all).zip(inputs).for_each(|(y, (x, (raw, scale)))| {
        let rows = x.chunks_exact(all).zip(raw.chunks_exact(2 * k).zip(scale.chunks_exact(k)));
        for (y, (x, (raw, scale))) in y.chunks_exact_mut(all).zip(rows) {
            let (kept, out) = y.split_at_mut(all - k);
            kept.copy_from_slice(&x[..all - k]);
            for (i, out) in out.iter_mut().enumerate() {
                *out = f(x[all - k + i], scale[i], raw[k + i]);
            }
        }
    });
}

/// Gradients of [`couple`]: of x in `dx`, of `raw` in `draw`.
pub fn couple_gradient(split: Split, x: &[f32], raw: &[f32], dy: &[f32], dx: &mut [f32], draw: &mut [f32]) {
    split.rows(x.len(), raw.len(), dy.len());
    assert!(dx.len() == x.len() && draw.len() == raw.len(), "lengths of a coupling's gradients");
    let (Split { all, changed: k }, some) = (split, split.rows_a_job());
    let logs = log_scales(raw, k);
    let mut scale = Scratch::new(logs.len());
    exp_of(&logs, &mut scale);
    let inputs =
        (x.par_chunks(some * all), dy.par_chunks(some * all), logs.par_chunks(some * k), scale.par_chunks(some * k));
    let outputs = (dx.par_chunks_mut(some * all), draw.par_chunks_mut(2 * some * k));
    (inputs, outputs).into_par_iter().for_each(|((x, dy, logs, scale), (dx, draw))| {
        for row in 0..x.len() / all {
            let (at, of) = (row * all, row * k);
            let kept = all - k;
            dx[at..at + kept].copy_from_slice(&dy[at..at + kept]);
            for i in 0..k {
                let (b, d, s) = (x[at + kept + i], dy[at + kept + i], scale[of + i]);
                dx[at + kept + i] = d * s;
                draw[2 * of + i] = d * b * s * slope(logs[of + i]);
                draw[2 * of + k + i] = d;
            }
        }
    });
}

/// The sum of ln s over the changed numbers of every `out.len()`-th part of the rows: of each sample's pixels.
pub fn log_det(k: usize, raw: &[f32], out: &mut [f32]) {
    let part = parts(k, raw.len(), out.len());
    let logs = log_scales(raw, k);
    out.par_iter_mut().with_min_len(64).zip(logs.par_chunks(part)).for_each(|(out, logs)| {
        *out = logs.iter().map(|&v| f64::from(v)).sum::<f64>() as f32;
    });
}

/// The gradient of [`log_det`] in `draw`.
pub fn log_det_gradient(k: usize, raw: &[f32], d: &[f32], draw: &mut [f32]) {
    let part = parts(k, raw.len(), d.len());
    assert_eq!(draw.len(), raw.len(), "lengths of a log-determinant's gradient");
    let logs = log_scales(raw, k);
    draw.par_chunks_mut(2 * part).zip(logs.par_chunks(part).zip(d)).with_min_len(64).for_each(|(draw, (logs, &d))| {
        for (draw, logs) in draw.chunks_exact_mut(2 * k).zip(logs.chunks_exact(k)) {
            for i in 0..k {
                draw[i] = d * slope(logs[i]);
            }
            draw[k..].fill(0.0);
        }
    });
}

/// Numbers ln s of a sample.
fn parts(k: usize, raw: usize, samples: usize) -> usize {
    assert!(
        k > 0 && samples > 0 && raw.is_multiple_of(2 * k * samples),
        "{raw} numbers of {samples} samples, {k} a row"
    );
    raw / 2 / samples
}
