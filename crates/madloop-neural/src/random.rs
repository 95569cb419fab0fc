//! Random values in host memory, each from an addressed stream.

use rand::{Rng, RngExt};
use rand_distr::{Distribution, StandardNormal};

/// Fills `out` with N(0, 1).
pub(crate) fn fill_normal(rng: &mut impl Rng, out: &mut [f32]) {
    for out in out {
        // Drawn in f64, so that the tails are those of f64 and not of a 24-bit uniform.
        *out = Distribution::<f64>::sample(&StandardNormal, rng) as f32;
    }
}

/// A permutation of 0..n, each equally likely (Fisher and Yates).
pub(crate) fn permutation(rng: &mut impl Rng, n: usize) -> Vec<u32> {
    let mut order: Vec<u32> = (0..n as u32).collect();
    for last in (1..n).rev() {
        order.swap(last, rng.random_range(0..=last as u64) as usize);
    }
    order
}
