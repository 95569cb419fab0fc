//! Which vector instructions the kernels use.

use std::cell::Cell;

/// A set of vector instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Arrays of 8 numbers, for any machine.
    Portable,
    /// Vectors of 8: AVX2 and FMA.
    Avx2,
    /// Vectors of 16: AVX-512F.
    Avx512,
}

thread_local!(static FORCED: Cell<Option<Level>> = const { Cell::new(None) });

impl Level {
    /// The levels of this machine, lowest first.
    pub fn available() -> Vec<Self> {
        [Self::Portable, Self::Avx2, Self::Avx512].into_iter().filter(|l| l.is_available()).collect()
    }

    pub(super) fn is_available(self) -> bool {
        match self {
            Self::Portable => true,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => is_x86_feature_detected!("avx512f") && Self::Avx2.is_available(),
            #[cfg(not(target_arch = "x86_64"))]
            _ => false,
        }
    }

    /// The level that kernels called by this thread run at.
    pub fn current() -> Self {
        FORCED.get().unwrap_or_else(|| {
            [Self::Avx512, Self::Avx2].into_iter().find(|l| l.is_available()).unwrap_or(Self::Portable)
        })
    }
}

/// Runs `work` with the kernels that it calls from this thread at `level`, or at the best below it that the machine has.
pub fn with_level<R>(level: Level, work: impl FnOnce() -> R) -> R {
    struct Restore(Option<Level>);
    impl Drop for Restore {
        fn drop(&mut self) {
            FORCED.set(self.0);
        }
    }
    let best = Level::available().into_iter().rfind(|&l| l <= level);
    let _restore = Restore(FORCED.replace(best));
    work()
}
