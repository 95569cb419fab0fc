//! The exponential function in a form that compilers vectorise.

/// Runs `work` compiled for the widest vectors of this machine that `pulp` knows.
///
/// Only the instructions differ: no two operations are fused and no sum is reordered, so that the bits are the same everywhere.
/// `work` is a closure with `#[inline(always)]`, and so is what it calls: else it runs as it was compiled.
#[inline(always)]
pub(crate) fn vectorised<R>(work: impl FnOnce() -> R) -> R {
    pulp::Arch::new().dispatch(work)
}

/// Below this the result is that at this: 3e-308 in place of 0.
const LOWEST: f64 = -708.0;
/// Adding it rounds to a whole number, which is then in the low bits.
const ROUND: f64 = 6_755_399_441_055_744.0; // 1.5 * 2^52
/// ln 2 in two parts, the first with zeros at its end so that its multiples are exact.
const LN2_HIGH: f64 = 6.931_471_803_691_238e-1;
const LN2_LOW: f64 = 1.908_214_929_270_587_7e-10;
/// 1 / i!, from i = 12 down to 0: on |r| <= ln 2 / 2 the next term is 2e-16.
const TAYLOR: [f64; 13] = [
    1.0 / 479_001_600.0,
    1.0 / 39_916_800.0,
    1.0 / 3_628_800.0,
    1.0 / 362_880.0,
    1.0 / 40_320.0,
    1.0 / 5040.0,
    1.0 / 720.0,
    1.0 / 120.0,
    1.0 / 24.0,
    1.0 / 6.0,
    0.5,
    1.0,
    1.0,
];

/// e^x for x <= 709, to 1e-15 of it; at least 3e-308.
#[inline(always)]
pub(crate) fn exp(x: f64) -> f64 {
    let x = if x > LOWEST { x } else { LOWEST };
    // x = k ln 2 + r
    let shifted = x * std::f64::consts::LOG2_E + ROUND;
    let k = shifted - ROUND;
    let r = x - k * LN2_HIGH - k * LN2_LOW;
    let mut p = TAYLOR[0];
    for c in &TAYLOR[1..] {
        p = p * r + c;
    }
    p * f64::from_bits(shifted.to_bits().wrapping_add(1023) << 52)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_exponential() {
        for i in -707_999..=709_000 {
            let x = f64::from(i) / 1000.0 + 1e-5 * f64::from(i % 7);
            let (fast, exact) = (exp(x.min(709.0)), x.min(709.0).exp());
            assert!((fast / exact - 1.0).abs() < 1e-15, "{x}: {fast} {exact}");
        }
        assert_eq!(exp(0.0), 1.0);
        for x in [-709.0, -1e300, f64::NEG_INFINITY] {
            assert!(exp(x) > 0.0 && exp(x) < 4e-308);
        }
    }

    #[test]
    fn vectors_have_the_bits_of_scalars() {
        let x: Vec<f64> = (0..1003).map(|i| -0.013 * f64::from(i)).collect();
        let mut out = vec![0.0; x.len()];
        vectorised(
            #[inline(always)]
            || out.iter_mut().zip(&x).for_each(|(out, &x)| *out = exp(x)),
        );
        assert!(out.iter().zip(&x).all(|(&out, &x)| out == exp(std::hint::black_box(x))));
    }
}
