//! Data and thread pools for the tests of this crate.

use madloop_core::{Features, Seeds, Stream};
use rand::Rng;
use rand_distr::{Distribution, StandardNormal};

/// Gaussian rows about (`shift`, ..., `shift`): column 0 has deviation 0.8, each other is 0.6 times its left
/// neighbour plus as much noise.
pub(crate) fn gaussian(seed: u64, rows: usize, dim: usize, shift: f32) -> Features {
    let mut values = Vec::with_capacity(rows * dim);
    for row in 0..rows {
        let mut rng = Seeds::new(seed).rng(Stream::named("test"), row as u64);
        let mut left = 0.0_f32;
        for _ in 0..dim {
            let normal: f32 = StandardNormal.sample(&mut rng);
            left = 0.8 * normal + 0.6 * left;
            values.push(left + shift);
        }
    }
    Features { rows, dim, values }
}

/// Rows of {0, 1/8, 1/4, 3/8}^dim: many duplicates and equal distances.
pub(crate) fn lattice(seed: u64, rows: usize, dim: usize) -> Features {
    let mut rng = Seeds::new(seed).rng(Stream::named("test"), 0);
    let values = (0..rows * dim).map(|_| (rng.next_u32() % 4) as f32 / 8.0).collect();
    Features { rows, dim, values }
}

/// Runs `work` in a pool of `threads` threads.
pub(crate) fn in_pool<T: Send>(threads: usize, work: impl FnOnce() -> T + Send) -> T {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool").install(work)
}
