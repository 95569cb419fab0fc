//! Vectors at many places at once, with one check of the range for all of them: the transforms do little else than load and store.
#![expect(unsafe_code, reason = "the range is checked once for all places")]

use super::super::simd::Simd;
use std::marker::PhantomData;

/// N pixels of the same number of channels, anywhere in memory.
pub(super) struct Pixels<'a, const N: usize> {
    starts: [*const f32; N],
    channels: usize,
    data: PhantomData<&'a [f32]>,
}

impl<'a, const N: usize> Pixels<'a, N> {
    /// All of them `zeros`.
    #[inline(always)]
    pub(super) fn new(zeros: &'a [f32]) -> Self {
        Self { starts: [zeros.as_ptr(); N], channels: zeros.len(), data: PhantomData }
    }

    /// Sets pixel `i` to the numbers of `x` from `at`.
    #[inline(always)]
    pub(super) fn set(&mut self, i: usize, x: &'a [f32], at: usize) {
        self.starts[i] = x[at..at + self.channels].as_ptr();
    }

    /// The channels of pixel `i` from `first`; `WHOLE` says that there are as many as lanes, else zeros follow the last.
    #[inline(always)]
    pub(super) fn load<S: Simd, const WHOLE: bool>(&self, s: S, i: usize, first: usize) -> S::V {
        if WHOLE {
            assert!(first + S::LANES <= self.channels);
            // SAFETY: each start is that of a slice of `channels` numbers, which lives as long as `self`.
            unsafe { s.load_at(self.starts[i].add(first)) }
        } else {
            // SAFETY: as above.
            s.load_part(unsafe { &std::slice::from_raw_parts(self.starts[i], self.channels)[first..] })
        }
    }
}

/// The same place in each of N matrices, one after the other in memory.
pub(super) struct Strided<'a, const N: usize> {
    data: &'a mut [f32],
    stride: usize,
}

impl<'a, const N: usize> Strided<'a, N> {
    /// Matrices that start `stride` numbers apart.
    #[inline(always)]
    pub(super) fn new(data: &'a mut [f32], stride: usize) -> Self {
        assert!(stride < usize::MAX / (2 * N));
        Self { data, stride }
    }

    #[inline(always)]
    fn check<S: Simd>(&self, i: usize, at: usize) {
        assert!(i < N);
        assert!(at < usize::MAX / 4 && (N - 1) * self.stride + at + S::LANES <= self.data.len());
    }

    /// The vector at `at` of matrix `i`.
    #[inline(always)]
    pub(super) fn load<S: Simd>(&self, s: S, i: usize, at: usize) -> S::V {
        self.check::<S>(i, at);
        // SAFETY: the check is for the last matrix, and no matrix is after it.
        unsafe { s.load_at(self.data.as_ptr().add(i * self.stride + at)) }
    }

    /// Writes it.
    #[inline(always)]
    pub(super) fn store<S: Simd>(&mut self, s: S, i: usize, at: usize, v: S::V) {
        self.check::<S>(i, at);
        // SAFETY: as of `load`.
        unsafe { s.store_at(self.data.as_mut_ptr().add(i * self.stride + at), v) }
    }
}
