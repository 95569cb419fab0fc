//! How much of a set lies in the tails of a standard normal coordinate.

use madloop_core::Features;

use crate::Result;
use crate::error::{check_rows, check_set};

/// Beyond it on either side lies 5 % of a standard normal law (4.9996 %).
pub const TAIL_FROM: f64 = 1.96;

/// A share with its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TailShare {
    /// The share. Range \[0, 1\].
    pub value: f64,
    /// Lower end of Wilson's interval.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// The share of samples (`[n, d]`) whose first coordinate x1 has |x1| > 1.96. Of a law under which x1 is N(0, 1), such as the Rosenbrock density
/// exp(-x1^2 / 2 - (x2 - x1^2)^2), it is 5 %. A share of the samples themselves, not of regions where the real density is low: those would count
/// junk between and beyond the modes as tails.
///
/// The interval is Wilson's (1927, doi:10.1080/01621459.1927.10502953), with z = 1.96:
/// (p + z^2 / (2 n) -+ z sqrt(p (1 - p) / n + z^2 / (4 n^2))) / (1 + z^2 / n).
///
/// # Errors
/// Undefined for n = 0 or values that are not finite.
pub fn tail_share(samples: &Features) -> Result<TailShare> {
    const Z: f64 = 1.96;
    check_set(samples, "generated")?;
    check_rows(samples, "generated", 1, "there is no sample to be in a tail")?;
    let n = samples.rows as f64;
    let beyond = (0..samples.rows).filter(|&row| f64::from(samples.row(row)[0]).abs() > TAIL_FROM).count() as f64;
    let p = beyond / n;
    let (middle, half) = (p + Z * Z / (2.0 * n), Z * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt());
    let whole = 1.0 + Z * Z / n;
    Ok(TailShare { value: p, low: ((middle - half) / whole).max(0.0), high: ((middle + half) / whole).min(1.0) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::gaussian;

    #[test]
    fn the_share_is_counted_in_the_first_coordinate() {
        let values = vec![-3.0, 0.0, 1.95, 9.0, 1.97, 0.0, 0.0, -9.0];
        let found = tail_share(&Features { rows: 4, dim: 2, values }).expect("four rows");
        assert_eq!(found.value, 0.5);
        // Wilson's interval of 2 of 4, by hand: 0.5 -+ 1.96 sqrt(1 / 16 + 1.96^2 / 64) / (1 + 1.96^2 / 4).
        let half = 1.96 * (0.0625_f64 + 1.96 * 1.96 / 64.0).sqrt() / (1.0 + 1.96 * 1.96 / 4.0);
        assert!((found.low - (0.5 - half)).abs() < 1e-12 && (found.high - (0.5 + half)).abs() < 1e-12);
        let none = tail_share(&Features { rows: 3, dim: 1, values: vec![0.0; 3] }).expect("three rows");
        assert!(none.value == 0.0 && none.low == 0.0 && none.high > 0.5);
        assert!(tail_share(&Features { rows: 0, dim: 1, values: vec![] }).is_err());
        assert!(tail_share(&Features { rows: 1, dim: 1, values: vec![f32::NAN] }).is_err());
    }

    #[test]
    fn a_normal_coordinate_has_five_per_cent() {
        // Fixed seed; over fresh seeds a deviation of 6 standard errors has a chance of 2e-9.
        let mut set = gaussian(3, 40_000, 2, 0.0);
        // The first coordinate's deviation is 0.8.
        set.values.iter_mut().for_each(|value| *value /= 0.8);
        let found = tail_share(&set).expect("rows");
        assert!((found.value - 0.049_996).abs() < 6.0 * (0.05 * 0.95 / 40_000.0_f64).sqrt(), "{found:?}");
        assert!(found.low < found.value && found.value < found.high);
    }
}
