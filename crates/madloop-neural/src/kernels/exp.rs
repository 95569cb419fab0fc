//! The exponential function, the logistic function, SiLU and the hyperbolic tangent on vectors.

use super::simd::{Level, Simd, simd};
use rayon::prelude::*;

/// Beyond it on either side a result is that at the bound: e^-87 is the last whole power above the subnormal numbers.
const BOUND: f32 = 87.0;
/// Adding it rounds to a whole number, which is then in the low bits.
const ROUND: f32 = 12_582_912.0; // 1.5 * 2^23
/// ln 2 in two parts, the first with zeros at its end so that its multiples are exact.
const LN2_HIGH: f32 = 0.693_359_4;
const LN2_LOW: f32 = -2.121_944_4e-4;
/// 1 / i! from i = 7 down to 0: on |r| <= ln 2 / 2 the next term is 5e-9.
const TAYLOR: [f32; 8] = [1.0 / 5040.0, 1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0];
/// Numbers a job.
const JOB: usize = 1 << 14;

/// e^x within 2 units in the last place for |x| <= 87, and that at the bound beyond. NaN stays NaN.
#[inline(always)]
pub(crate) fn exp<S: Simd>(s: S, x: S::V) -> S::V {
    // Where one is NaN, `min` and `max` give the second.
    let x = s.max(s.splat(-BOUND), s.min(s.splat(BOUND), x));
    let shifted = s.fma(x, s.splat(std::f32::consts::LOG2_E), s.splat(ROUND));
    let k = s.sub(shifted, s.splat(ROUND));
    let r = s.fma(k, s.splat(-LN2_LOW), s.fma(k, s.splat(-LN2_HIGH), x));
    let mut p = s.splat(TAYLOR[0]);
    for &c in &TAYLOR[1..] {
        p = s.fma(p, r, s.splat(c));
    }
    s.mul(p, s.power_of_two(shifted))
}

/// 1 / (1 + e^-x) within 3 units in the last place for |x| <= 87.
#[inline(always)]
pub(crate) fn sigmoid<S: Simd>(s: S, x: S::V) -> S::V {
    let one = s.splat(1.0);
    s.div(one, s.add(one, exp(s, s.sub(s.zero(), x))))
}

/// x sigmoid(x)
#[inline(always)]
pub(crate) fn silu<S: Simd>(s: S, x: S::V) -> S::V {
    s.mul(x, sigmoid(s, x))
}

/// d silu / dx = sigmoid(x) (1 + x (1 - sigmoid(x)))
#[inline(always)]
pub(crate) fn silu_slope<S: Simd>(s: S, x: S::V) -> S::V {
    let one = s.splat(1.0);
    let p = sigmoid(s, x);
    s.mul(p, s.fma(x, s.sub(one, p), one))
}

/// tanh x = 2 / (1 + e^-2x) - 1 within 4e-7.
#[inline(always)]
pub(crate) fn tanh<S: Simd>(s: S, x: S::V) -> S::V {
    s.fma(s.splat(2.0), sigmoid(s, s.add(x, x)), s.splat(-1.0))
}

/// y = f(x), where f is one of the vector functions above.
macro_rules! over_slices {
    ($(#[$doc:meta])* $name:ident, $f:ident) => {
        $(#[$doc])*
        ///
        /// # Panics
        /// If the lengths differ.
        pub fn $name(x: &[f32], y: &mut [f32]) {
            assert_eq!(x.len(), y.len(), "lengths of an elementwise function");
            let level = Level::current();
            y.par_chunks_mut(JOB).zip(x.par_chunks(JOB)).for_each(|(y, x)| {
                simd!(level, s => map(s, x, y, #[inline(always)] |x| $f(s, x)));
            });
        }
    };
}
over_slices!(
    /// y = e^x within 2 units in the last place for |x| <= 87, and that at the bound beyond.
    exp_of, exp
);
over_slices!(
    /// y = 1 / (1 + e^-x) within 3 units in the last place for |x| <= 87.
    sigmoid_of, sigmoid
);
over_slices!(
    /// y = x / (1 + e^-x)
    silu_of, silu
);
over_slices!(
    /// y = tanh x within 4e-7.
    tanh_of, tanh
);

#[inline(always)]
fn map<S: Simd>(s: S, x: &[f32], y: &mut [f32], f: impl Fn(S::V) -> S::V) {
    for (x, y) in x.chunks(S::LANES).zip(y.chunks_mut(S::LANES)) {
        s.store_part(y, f(s.load_part(x)));
    }
}

/// dx = dy silu'(x)
///
/// # Panics
/// If the lengths differ.
pub fn silu_gradient(x: &[f32], dy: &[f32], dx: &mut [f32]) {
    assert!(x.len() == dx.len() && dy.len() == dx.len(), "lengths of an elementwise gradient");
    let level = Level::current();
    dx.par_chunks_mut(JOB).zip(x.par_chunks(JOB).zip(dy.par_chunks(JOB))).for_each(|(dx, (x, dy))| {
        simd!(level, s => {
            for (dx, (x, dy)) in dx.chunks_mut(16).zip(x.chunks(16).zip(dy.chunks(16))) {
                let lanes = lanes_of(s);
                for (dx, (x, dy)) in dx.chunks_mut(lanes).zip(x.chunks(lanes).zip(dy.chunks(lanes))) {
                    s.store_part(dx, s.mul(s.load_part(dy), silu_slope(s, s.load_part(x))));
                }
            }
        });
    });
}

/// dx = dy (1 - y^2), y = tanh x
///
/// # Panics
/// If the lengths differ.
pub fn tanh_gradient(y: &[f32], dy: &[f32], dx: &mut [f32]) {
    assert!(y.len() == dx.len() && dy.len() == dx.len(), "lengths of an elementwise gradient");
    let level = Level::current();
    dx.par_chunks_mut(JOB).zip(y.par_chunks(JOB).zip(dy.par_chunks(JOB))).for_each(|(dx, (y, dy))| {
        simd!(level, s => {
            let _ = s;
            for (dx, (y, dy)) in dx.iter_mut().zip(y.iter().zip(dy)) {
                *dx = dy * (1.0 - y * y);
            }
        });
    });
}

#[inline(always)]
fn lanes_of<S: Simd>(_: S) -> usize {
    S::LANES
}

/// out = a + b
///
/// # Panics
/// If the lengths differ.
pub fn add(a: &[f32], b: &[f32], out: &mut [f32]) {
    assert!(a.len() == out.len() && b.len() == out.len(), "lengths of a sum");
    let level = Level::current();
    out.par_chunks_mut(JOB).zip(a.par_chunks(JOB).zip(b.par_chunks(JOB))).for_each(|(out, (a, b))| {
        simd!(level, s => {
            let _ = s;
            for (out, (a, b)) in out.iter_mut().zip(a.iter().zip(b)) {
                *out = a + b;
            }
        });
    });
}
