//! What the tests of kernels share: numbers by address, comparison, and all ways to run a kernel.
#![allow(dead_code, reason = "each test binary uses some of it")]

use madloop_neural::kernels::{Level, with_level};

/// Numbers in (-1, 1) that depend on `seed` and their place alone.
pub(crate) fn numbers(n: usize, seed: u64) -> Vec<f32> {
    (0..n as u64)
        .map(|i| {
            // The finaliser of SplitMix64.
            let mut z = (seed.wrapping_mul(0x9E37_79B9) + i + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
            z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            ((z ^ (z >> 31)) >> 40) as f32 / (1u64 << 23) as f32 - 1.0
        })
        .collect()
}

/// Asserts |got - want| <= tolerance max |want| (at least tolerance) everywhere.
#[track_caller]
pub(crate) fn close(got: &[f32], want: &[f64], tolerance: f64, what: &str) {
    assert_eq!(got.len(), want.len(), "{what}");
    let scale = want.iter().fold(1.0_f64, |m, w| m.max(w.abs()));
    for (i, (&g, &w)) in got.iter().zip(want).enumerate() {
        let error = (f64::from(g) - w).abs();
        assert!(error <= tolerance * scale, "{what}: element {i} of {}: {g} for {w}, scale {scale}", want.len());
    }
}

/// Runs `work` at each level and asserts that one thread and four give the same bits; returns the results by level.
pub(crate) fn everywhere<R: PartialEq + std::fmt::Debug + Send>(work: impl Fn() -> R + Sync) -> Vec<(Level, R)> {
    let pool = |n| rayon::ThreadPoolBuilder::new().num_threads(n).build().expect("a pool of few threads");
    let (one, four) = (pool(1), pool(4));
    Level::available()
        .into_iter()
        .map(|level| {
            let single = one.install(|| with_level(level, &work));
            let several = four.install(|| with_level(level, &work));
            assert!(single == several, "the number of threads shows at {level:?}");
            (level, single)
        })
        .collect()
}

pub(crate) fn wide(x: &[f32]) -> Vec<f64> {
    x.iter().map(|&x| f64::from(x)).collect()
}
