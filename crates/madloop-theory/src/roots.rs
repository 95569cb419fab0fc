//! The sum of the roots of a tridiagonal matrix's eigenvalues, without its eigenvalues.

/// Shifts that are tried at once for a lower bound of the eigenvalues; each is half the one before.
const SHIFTS: usize = 16;
/// Quadrature nodes that are summed at once.
const LANES: usize = 8;
/// -ln of the error that the quadrature may have, relative to each root: 2e-16.
const DIGITS: f64 = 36.0;

/// sum_i x_i^{1/2} over the eigenvalues x of the symmetric tridiagonal T with this diagonal (`[d]`) and subdiagonal (`[d - 1]` or
/// longer); `None` when T is not positive definite with eigenvalues within a factor of about 2^15.
///
/// x^{1/2} = (1/pi) int_0^pi tau^{1/2} x / (x cos^2(h) + tau sin^2(h)) dtheta, h = theta/2, tau = (m M)^{1/2} for eigenvalues in
/// \[m, M\]. The integrand is periodic and analytic, so the midpoint rule with N nodes errs by about
/// ((k - 1) / (k + 1))^{2 N} of it, k = (M/m)^{1/4}. Each node asks for sum_i x_i / (x_i + t), t = tau tan^2(h): with the
/// pivots p_i = T_ii + t - T_{i,i-1}^2 / p_{i-1} it is the sum of g_i = (T_ii - c_i (2 - g_{i-1})) / p_i, c_i = T_{i,i-1}^2 /
/// p_{i-1}, the logarithmic derivative of det(T + t) by t taken from d. O(d N), where eigenvalues take O(d^2) in sequence.
pub(crate) fn sum_of_roots(diagonal: &[f64], below: &[f64]) -> Option<f64> {
    let d = diagonal.len();
    let squares: Vec<f64> = std::iter::once(0.0).chain(below.iter().take(d.saturating_sub(1)).map(|b| b * b)).collect();
    let reach = |i: usize| squares.get(i).map_or(0.0, |square| square.sqrt());
    let largest = (0..d).map(|i| diagonal[i] + reach(i) + reach(i + 1)).fold(0.0, f64::max);
    if !largest.is_finite() || largest <= f64::MIN_POSITIVE {
        return None;
    }
    let smallest = lower_bound(diagonal, &squares, largest)?;
    let k = (largest / smallest).sqrt().sqrt();
    let nodes = (DIGITS / (2.0 * ((k + 1.0) / (k - 1.0)).ln())).ceil().max(1.0) as usize;
    let nodes = nodes.next_multiple_of(LANES);
    let tau = (largest * smallest).sqrt();
    let mut sum = 0.0;
    for first in (0..nodes).step_by(LANES) {
        let tangent = |lane: usize| {
            let theta = (first as f64 + lane as f64 + 0.5) * std::f64::consts::PI / nodes as f64;
            (theta / 2.0).tan().powi(2)
        };
        let squared: [f64; LANES] = std::array::from_fn(tangent);
        let shares = shares(diagonal, &squares, squared.map(|tangent| tau * tangent));
        sum += squared.iter().zip(shares).map(|(tangent, share)| (1.0 + tangent) * share).sum::<f64>();
    }
    Some(tau.sqrt() / nodes as f64 * sum)
}

/// sum_i x_i / (x_i + t) for each t.
fn shares(diagonal: &[f64], squares: &[f64], t: [f64; LANES]) -> [f64; LANES] {
    let (mut inverse, mut g, mut sum) = ([1.0; LANES], [0.0; LANES], [0.0; LANES]);
    for (a, square) in diagonal.iter().zip(squares) {
        for lane in 0..LANES {
            let c = square * inverse[lane];
            inverse[lane] = 1.0 / (a + t[lane] - c);
            g[lane] = (a - c * (2.0 - g[lane])) * inverse[lane];
            sum[lane] += g[lane];
        }
    }
    sum
}

/// The largest of the shifts largest / 2^k, k = 1 to 16, below all eigenvalues, by the signs of the pivots (Sturm).
fn lower_bound(diagonal: &[f64], squares: &[f64], largest: f64) -> Option<f64> {
    let shifts: [f64; SHIFTS] = std::array::from_fn(|k| largest / (2u64 << k) as f64);
    let (mut pivot, mut least) = ([1.0_f64; SHIFTS], [f64::INFINITY; SHIFTS]);
    for (a, square) in diagonal.iter().zip(squares) {
        for lane in 0..SHIFTS {
            pivot[lane] = a - shifts[lane] - square / pivot[lane];
            // A pivot of 0 or below, or NaN, is remembered.
            least[lane] = if pivot[lane] > 0.0 { least[lane].min(pivot[lane]) } else { f64::NEG_INFINITY };
            pivot[lane] = pivot[lane].max(f64::MIN_POSITIVE);
        }
    }
    shifts.into_iter().zip(least).find(|(_, least)| *least > 0.0).map(|(shift, _)| shift)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linalg::tridiagonal_eigenvalues;

    proptest::proptest! {
        #[test]
        fn the_roots_are_those_of_the_eigenvalues(
            entries in proptest::collection::vec((0.1..10.0f64, 0.0..0.99f64), 1..60),
            scale in proptest::sample::select(vec![1e-30, 1.0, 1e20]),
        ) {
            // L L^T of a bidiagonal L is positive definite.
            let l: Vec<(f64, f64)> = entries.iter().map(|(a, b)| (a * a, a * b)).collect();
            let d = l.len();
            let diagonal: Vec<f64> =
                (0..d).map(|i| scale * (l[i].0.powi(2) + if i > 0 { l[i].1.powi(2) } else { 0.0 })).collect();
            let below: Vec<f64> = (1..d).map(|i| scale * l[i].1 * l[i - 1].0).collect();
            let values = tridiagonal_eigenvalues(&diagonal, &below);
            let expected: f64 = values.iter().map(|value| value.max(0.0).sqrt()).sum();
            if let Some(sum) = sum_of_roots(&diagonal, &below) {
                proptest::prop_assert!((sum / expected - 1.0).abs() < 1e-11, "{} {}", sum, expected);
            } else {
                let (low, high) = (values[0], values[d - 1]);
                proptest::prop_assert!(high / low > 1e4, "{} {}", low, high);
            }
        }
    }

    #[test]
    fn the_root_of_the_identity_is_itself() {
        for d in [1, 2, 100] {
            let sum = sum_of_roots(&vec![4.0; d], &vec![0.0; d]).expect("definite");
            assert!((sum / (2.0 * d as f64) - 1.0).abs() < 1e-14, "{sum}");
        }
    }

    #[test]
    fn indefinite_matrices_have_none() {
        assert_eq!(sum_of_roots(&[1.0, 1.0], &[2.0]), None);
        assert_eq!(sum_of_roots(&[0.0, 0.0], &[0.0]), None);
        assert_eq!(sum_of_roots(&[f64::NAN, 1.0], &[0.0]), None);
        assert_eq!(sum_of_roots(&[1e-9, 1.0], &[0.0]), None);
    }
}
