//! Whether a matrix that came from elsewhere is a covariance.

use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::cholesky::llt::factor::{cholesky_in_place, cholesky_in_place_scratch};
use faer::{MatMut, MatRef, Par};

use crate::linalg::eigenvalues;
use crate::{MetricsError, Result};

/// What rounding may do to a covariance that was made or stored in f32, relative to its largest entry.
pub const COVARIANCE_TOLERANCE: f64 = 1e-6;

/// Makes `matrix` (`[d, d]`, finite) exactly symmetric, and checks that it is a covariance: symmetric, and positive
/// semidefinite, each but for rounding.
///
/// With a the largest |entry| and e = [`COVARIANCE_TOLERANCE`] a, entries across the diagonal may differ by e (their mean is taken)
/// and eigenvalues may lie down to -e d^(1/2), the reach of rounding errors of size e that are independent; they stay
/// as they are. The test is one Cholesky factorisation of the matrix with e d^(1/2) added to its diagonal, in a copy: d^3 / 3
/// multiplications.
///
/// # Errors
/// [`MetricsError::NotSymmetric`] with the largest difference and its place; [`MetricsError::NotPositive`] with the smallest
/// eigenvalue; an error when the length is not d * d.
pub fn check_covariance(what: &'static str, matrix: &mut [f64], d: usize) -> Result<()> {
    if d == 0 || Some(matrix.len()) != d.checked_mul(d) {
        return Err(MetricsError::BufferLength { what, values: matrix.len(), rows: d, dim: d });
    }
    let largest = matrix.iter().fold(0.0_f64, |largest, value| largest.max(value.abs()));
    let tolerance = COVARIANCE_TOLERANCE * largest;
    let mut worst = (0.0, 0, 0);
    for i in 0..d {
        for j in 0..i {
            let (low, high) = (matrix[i * d + j], matrix[j * d + i]);
            // Halves: the difference of two finite numbers may be infinite.
            let apart = (low / 2.0 - high / 2.0).abs();
            if apart > worst.0 {
                worst = (apart, j, i);
            }
            let mean = if low == high { low } else { low / 2.0 + high / 2.0 };
            (matrix[i * d + j], matrix[j * d + i]) = (mean, mean);
        }
    }
    let (half, row, column) = worst;
    if half > tolerance / 2.0 {
        return Err(MetricsError::NotSymmetric { what, difference: 2.0 * half, row, column, largest });
    }
    if largest > 0.0 && !is_positive(matrix, d, largest)? {
        let smallest = eigenvalues(MatRef::from_column_major_slice(matrix, d, d))?.into_iter().fold(0.0, f64::min);
        return Err(MetricsError::NotPositive { what, eigenvalue: smallest, largest });
    }
    Ok(())
}

/// Whether the symmetric `matrix` has no eigenvalue below -e d^(1/2).
fn is_positive(matrix: &[f64], d: usize, largest: f64) -> Result<bool> {
    let mut copy: Vec<f64> = Vec::new();
    copy.try_reserve_exact(matrix.len()).map_err(|_| MetricsError::NoMemory { dim: d })?;
    // Scaled to a largest entry of 1, so that no square overflows.
    copy.extend(matrix.iter().map(|value| value / largest));
    let shift = COVARIANCE_TOLERANCE * (d as f64).sqrt();
    copy.iter_mut().step_by(d + 1).for_each(|value| *value += shift);
    let mut memory = MemBuffer::new(cholesky_in_place_scratch::<f64>(d, Par::Seq, Default::default()));
    let copy = MatMut::from_column_major_slice_mut(&mut copy, d, d);
    let stack = MemStack::new(&mut memory);
    Ok(cholesky_in_place(copy, Default::default(), Par::Seq, stack, Default::default()).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Moments;
    use crate::testing::gaussian;

    #[test]
    fn covariances_pass_also_singular_ones_and_those_of_f32() {
        for (n, d) in [(2, 1), (50, 7), (20, 90), (300, 200)] {
            let moments = Moments::new(&gaussian(1, n, d, 0.0)).expect("rows");
            let mut exact = moments.covariance.clone();
            check_covariance("sigma", &mut exact, d).expect("a covariance");
            assert_eq!(exact, moments.covariance);
            let mut rounded: Vec<f64> = exact.iter().map(|&value| f64::from(value as f32)).collect();
            check_covariance("sigma", &mut rounded, d).expect("a covariance in f32");
        }
        check_covariance("sigma", &mut [0.0; 4], 2).expect("no spread");
        check_covariance("sigma", &mut [1e300, 0.0, 0.0, 1e300], 2).expect("a large spread");
        check_covariance("sigma", &mut [1.0, 0.0, 0.0, -1e-12], 2).expect("rounding");
        let mut nearly = [1.0, 0.5 + 1e-8, 0.5, 1.0];
        check_covariance("sigma", &mut nearly, 2).expect("rounding");
        assert_eq!(nearly[1], nearly[2]);
    }

    #[test]
    fn other_matrices_are_told_with_their_numbers() {
        let message = |matrix: &mut [f64], d| check_covariance("sigma", matrix, d).unwrap_err().to_string();
        let error = message(&mut [1.0, 0.5, 0.2, 0.5, 1.0, 0.0, 0.1, 0.0, 1.0], 3);
        assert!(error.contains("[0, 2]") && error.contains("1e-1"), "{error}");
        let error = message(&mut [1.0, 2.0, 2.0, 1.0], 2);
        assert!(error.contains("eigenvalue -1e0") || error.contains("eigenvalue -9.99"), "{error}");
        assert!(message(&mut [-1.0], 1).contains("eigenvalue -1e0"));
        assert!(message(&mut [0.0; 3], 2).contains("3 values"));
        assert!(message(&mut [0.0, 1.5e308, -1.5e308, 0.0], 2).contains("not symmetric"));
    }
}
