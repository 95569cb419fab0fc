//! Vectors of f32 at three levels: AVX-512, AVX2 with FMA, and plain arrays that any compiler target vectorises.
//!
//! A kernel is written once, generic over [`Simd`], and compiled for each level by [`simd!`]. The level is chosen at run time from
//! what the machine has; [`with_level`](super::with_level) forces a lower one. Results differ between levels by rounding alone (the portable level
//! fuses no multiplication with its addition unless the target always can).
#![expect(unsafe_code, reason = "vector intrinsics; a token of a level exists only where its instructions do")]

pub(crate) use super::level::Level;

/// Operations on vectors of [`LANES`](Self::LANES) numbers. Everything that uses it is `#[inline(always)]` up to [`simd!`].
pub(crate) trait Simd: Copy + Send + Sync {
    /// Numbers in a vector.
    const LANES: usize;
    /// Vector registers, which bound the size of tiles.
    const REGISTERS: usize;
    /// A vector.
    type V: Copy;

    /// Compiles `work` for this level.
    fn run<R>(self, work: impl FnOnce() -> R) -> R;
    fn splat(self, x: f32) -> Self::V;
    /// # Safety
    /// `LANES` numbers can be read at `p`.
    unsafe fn load_at(self, p: *const f32) -> Self::V;
    /// # Safety
    /// `LANES` numbers can be written at `p`.
    unsafe fn store_at(self, p: *mut f32, v: Self::V);
    fn add(self, a: Self::V, b: Self::V) -> Self::V;
    fn sub(self, a: Self::V, b: Self::V) -> Self::V;
    fn mul(self, a: Self::V, b: Self::V) -> Self::V;
    fn div(self, a: Self::V, b: Self::V) -> Self::V;
    fn sqrt(self, a: Self::V) -> Self::V;
    /// The smaller; `b` where either is NaN.
    fn min(self, a: Self::V, b: Self::V) -> Self::V;
    /// The larger; `b` where either is NaN.
    fn max(self, a: Self::V, b: Self::V) -> Self::V;
    /// a b + c
    fn fma(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// 2^k, where `shifted` is k + 1.5 * 2^23 and -127 < k < 128.
    fn power_of_two(self, shifted: Self::V) -> Self::V;

    /// Asks for the cache line of `x[at]`, which may be beyond its end.
    #[inline(always)]
    fn prefetch(self, x: &[f32], at: usize) {
        // SAFETY: part of the baseline of x86-64; a wrong address is ignored.
        #[cfg(target_arch = "x86_64")]
        unsafe {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            _mm_prefetch::<_MM_HINT_T0>(x.as_ptr().wrapping_add(at).cast());
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = (x, at);
    }

    #[inline(always)]
    fn zero(self) -> Self::V {
        self.splat(0.0)
    }

    /// The first `LANES` numbers of `x`.
    #[inline(always)]
    fn load(self, x: &[f32]) -> Self::V {
        assert!(x.len() >= Self::LANES);
        // SAFETY: there are LANES numbers.
        unsafe { self.load_at(x.as_ptr()) }
    }

    /// Writes the first `LANES` numbers of `x`.
    #[inline(always)]
    fn store(self, x: &mut [f32], v: Self::V) {
        assert!(x.len() >= Self::LANES);
        // SAFETY: there is space for LANES numbers.
        unsafe { self.store_at(x.as_mut_ptr(), v) }
    }

    /// Up to `LANES` numbers of `x`, and zeros after them.
    #[inline(always)]
    fn load_part(self, x: &[f32]) -> Self::V {
        if x.len() >= Self::LANES {
            return self.load(x);
        }
        let mut all = [0.0; 16];
        for (to, &from) in all.iter_mut().zip(x) {
            *to = from;
        }
        self.load(&all)
    }

    /// Writes as many as there are in `x`, up to `LANES`.
    #[inline(always)]
    fn store_part(self, x: &mut [f32], v: Self::V) {
        if x.len() >= Self::LANES {
            return self.store(x, v);
        }
        let mut all = [0.0; 16];
        self.store(&mut all, v);
        for (to, &from) in x.iter_mut().zip(&all) {
            *to = from;
        }
    }

    /// The sum of the lanes, by halves.
    #[inline(always)]
    fn sum(self, v: Self::V) -> f32 {
        let mut all = [0.0_f32; 16];
        self.store(&mut all, v);
        let mut n = Self::LANES;
        while n > 1 {
            n /= 2;
            for i in 0..n {
                all[i] += all[i + n];
            }
        }
        all[0]
    }
}

/// `simd!(level, s => work)`: `work`, compiled for the level, with `s` its token.
macro_rules! simd {
    ($level:expr, $s:ident => $work:expr) => {{
        use $crate::kernels::simd::Simd as _;
        match $level {
            #[cfg(target_arch = "x86_64")]
            $crate::kernels::simd::Level::Avx512 => {
                let $s = $crate::kernels::simd::Avx512::new();
                $s.run(
                    #[inline(always)]
                    || $work,
                )
            }
            #[cfg(target_arch = "x86_64")]
            $crate::kernels::simd::Level::Avx2 => {
                let $s = $crate::kernels::simd::Avx2::new();
                $s.run(
                    #[inline(always)]
                    || $work,
                )
            }
            _ => {
                let $s = $crate::kernels::simd::Portable;
                $s.run(
                    #[inline(always)]
                    || $work,
                )
            }
        }
    }};
}
pub(crate) use simd;

/// Arrays of 8.
#[derive(Clone, Copy)]
pub(crate) struct Portable;

#[inline(always)]
fn each(f: impl Fn(usize) -> f32) -> [f32; 8] {
    let mut out = [0.0; 8];
    for (i, out) in out.iter_mut().enumerate() {
        *out = f(i);
    }
    out
}

impl Simd for Portable {
    const LANES: usize = 8;
    const REGISTERS: usize = 16;
    type V = [f32; 8];

    #[inline(always)]
    fn run<R>(self, work: impl FnOnce() -> R) -> R {
        work()
    }
    #[inline(always)]
    fn splat(self, x: f32) -> Self::V {
        [x; 8]
    }
    #[inline(always)]
    unsafe fn load_at(self, p: *const f32) -> Self::V {
        // SAFETY: the caller's promise; the read is unaligned.
        unsafe { p.cast::<[f32; 8]>().read_unaligned() }
    }
    #[inline(always)]
    unsafe fn store_at(self, p: *mut f32, v: Self::V) {
        // SAFETY: the caller's promise; the write is unaligned.
        unsafe { p.cast::<[f32; 8]>().write_unaligned(v) }
    }
    #[inline(always)]
    fn add(self, a: Self::V, b: Self::V) -> Self::V {
        each(|i| a[i] + b[i])
    }
    #[inline(always)]
    fn sub(self, a: Self::V, b: Self::V) -> Self::V {
        each(|i| a[i] - b[i])
    }
    #[inline(always)]
    fn mul(self, a: Self::V, b: Self::V) -> Self::V {
        each(|i| a[i] * b[i])
    }
    #[inline(always)]
    fn div(self, a: Self::V, b: Self::V) -> Self::V {
        each(|i| a[i] / b[i])
    }
    #[inline(always)]
    fn sqrt(self, a: Self::V) -> Self::V {
        each(|i| a[i].sqrt())
    }
    #[inline(always)]
    fn min(self, a: Self::V, b: Self::V) -> Self::V {
        each(|i| if a[i] < b[i] { a[i] } else { b[i] })
    }
    #[inline(always)]
    fn max(self, a: Self::V, b: Self::V) -> Self::V {
        each(|i| if a[i] > b[i] { a[i] } else { b[i] })
    }
    #[inline(always)]
    fn fma(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        // Without the instruction `mul_add` is a call of libm.
        if cfg!(any(target_feature = "fma", target_arch = "aarch64")) {
            each(|i| a[i].mul_add(b[i], c[i]))
        } else {
            each(|i| a[i] * b[i] + c[i])
        }
    }
    #[inline(always)]
    fn power_of_two(self, shifted: Self::V) -> Self::V {
        each(|i| f32::from_bits(shifted[i].to_bits().wrapping_add(127) << 23))
    }
}

#[cfg(target_arch = "x86_64")]
macro_rules! x86 {
    ($name:ident, $level:ident, $lanes:literal, $registers:literal, $v:ident, $features:literal, $splat:ident, $load:ident, $store:ident,
     $add:ident, $sub:ident, $mul:ident, $div:ident, $sqrt:ident, $min:ident, $max:ident, $fma:ident, $power:expr) => {
        /// A token: this machine has the level's instructions.
        #[derive(Clone, Copy)]
        pub(crate) struct $name(());

        impl $name {
            /// Panics on a machine without the level.
            #[inline(always)]
            pub(crate) fn new() -> Self {
                assert!(Level::$level.is_available(), concat!("this machine has no ", stringify!($level)));
                Self(())
            }
        }

        // SAFETY of every block: the token shows that the machine has the instructions.
        impl Simd for $name {
            const LANES: usize = $lanes;
            const REGISTERS: usize = $registers;
            type V = $v;

            #[inline(always)]
            fn run<R>(self, work: impl FnOnce() -> R) -> R {
                #[target_feature(enable = $features)]
                fn compiled<R>(work: impl FnOnce() -> R) -> R {
                    work()
                }
                unsafe { compiled(work) }
            }
            #[inline(always)]
            fn splat(self, x: f32) -> Self::V {
                unsafe { $splat(x) }
            }
            #[inline(always)]
            unsafe fn load_at(self, p: *const f32) -> Self::V {
                unsafe { $load(p) }
            }
            #[inline(always)]
            unsafe fn store_at(self, p: *mut f32, v: Self::V) {
                unsafe { $store(p, v) }
            }
            #[inline(always)]
            fn add(self, a: Self::V, b: Self::V) -> Self::V {
                unsafe { $add(a, b) }
            }
            #[inline(always)]
            fn sub(self, a: Self::V, b: Self::V) -> Self::V {
                unsafe { $sub(a, b) }
            }
            #[inline(always)]
            fn mul(self, a: Self::V, b: Self::V) -> Self::V {
                unsafe { $mul(a, b) }
            }
            #[inline(always)]
            fn div(self, a: Self::V, b: Self::V) -> Self::V {
                unsafe { $div(a, b) }
            }
            #[inline(always)]
            fn sqrt(self, a: Self::V) -> Self::V {
                unsafe { $sqrt(a) }
            }
            #[inline(always)]
            fn min(self, a: Self::V, b: Self::V) -> Self::V {
                unsafe { $min(a, b) }
            }
            #[inline(always)]
            fn max(self, a: Self::V, b: Self::V) -> Self::V {
                unsafe { $max(a, b) }
            }
            #[inline(always)]
            fn fma(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V {
                unsafe { $fma(a, b, c) }
            }
            #[inline(always)]
            fn power_of_two(self, shifted: Self::V) -> Self::V {
                unsafe { $power(shifted) }
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
pub(crate) use x86_levels::{Avx2, Avx512};
#[cfg(target_arch = "x86_64")]
mod x86_levels {
    use super::{Level, Simd};
    use std::arch::x86_64::*;

    #[inline(always)]
    unsafe fn power_256(shifted: __m256) -> __m256 {
        // SAFETY: as of the macro's methods.
        unsafe {
            let k = _mm256_add_epi32(_mm256_castps_si256(shifted), _mm256_set1_epi32(127));
            _mm256_castsi256_ps(_mm256_slli_epi32::<23>(k))
        }
    }
    #[inline(always)]
    unsafe fn power_512(shifted: __m512) -> __m512 {
        // SAFETY: as of the macro's methods.
        unsafe {
            let k = _mm512_add_epi32(_mm512_castps_si512(shifted), _mm512_set1_epi32(127));
            _mm512_castsi512_ps(_mm512_slli_epi32::<23>(k))
        }
    }
    x86!(
        Avx2,
        Avx2,
        8,
        16,
        __m256,
        "avx2,fma",
        _mm256_set1_ps,
        _mm256_loadu_ps,
        _mm256_storeu_ps,
        _mm256_add_ps,
        _mm256_sub_ps,
        _mm256_mul_ps,
        _mm256_div_ps,
        _mm256_sqrt_ps,
        _mm256_min_ps,
        _mm256_max_ps,
        _mm256_fmadd_ps,
        power_256
    );
    x86!(
        Avx512,
        Avx512,
        16,
        32,
        __m512,
        "avx512f,avx2,fma",
        _mm512_set1_ps,
        _mm512_loadu_ps,
        _mm512_storeu_ps,
        _mm512_add_ps,
        _mm512_sub_ps,
        _mm512_mul_ps,
        _mm512_div_ps,
        _mm512_sqrt_ps,
        _mm512_min_ps,
        _mm512_max_ps,
        _mm512_fmadd_ps,
        power_512
    );
}
