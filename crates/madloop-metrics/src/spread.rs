//! Total variance of a set.

use madloop_core::Features;

use crate::error::{check_rows, check_set, check_shape};
use crate::moments::{mean, variances};
use crate::{MetricsError, Result};

/// The trace of the covariance of `features` (`[n, d]`): (1/(n-1)) sum |x_i - mu|^2, in squared units of the features.
///
/// The total variance: it falls to 0 as a loop collapses, and is exactly 0 for identical rows. Range \[0, inf).
///
/// # Errors
/// Undefined for n < 2 or values that are not finite; an error when the buffer is not `[n, d]`.
pub fn trace_cov(features: &Features) -> Result<f64> {
    check_shape(features, "the features")?;
    check_set(features, "generated")?;
    trace_cov_checked(features)
}

/// [`trace_cov`] of a checked set.
pub(crate) fn trace_cov_checked(features: &Features) -> Result<f64> {
    check_rows(features, "generated", 2, "a covariance has n - 1 degrees of freedom")?;
    Ok(variances(features, &mean(features)).iter().sum())
}

/// [`trace_cov`] of a checked set and its standard error, that of a mean of n squared distances to the mean:
/// s(|x_i - mu|^2) / n^{1/2}.
pub(crate) fn trace_cov_with_error(features: &Features) -> Result<(f64, f64)> {
    let value = trace_cov_checked(features)?;
    let mean = mean(features);
    let squares: Vec<f64> = (0..features.rows)
        .map(|row| features.row(row).iter().zip(&mean).map(|(&v, m)| (f64::from(v) - m) * (f64::from(v) - m)).sum())
        .collect();
    let n = features.rows as f64;
    let centre = squares.iter().sum::<f64>() / n;
    let variance = squares.iter().map(|square| (square - centre) * (square - centre)).sum::<f64>() / (n - 1.0);
    Ok((value, (variance / n).sqrt()))
}

/// The trace of a covariance (`[d, d]`), as of a model's own parameters.
///
/// # Errors
/// An error when the matrix is not `[d, d]` with d >= 1.
pub fn trace(covariance: &[f64], d: usize) -> Result<f64> {
    if d == 0 || covariance.len() != d * d {
        return Err(MetricsError::BufferLength { what: "a covariance", values: covariance.len(), rows: d, dim: d });
    }
    Ok(covariance.iter().step_by(d + 1).sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_sum_of_the_variances() {
        let set = Features { rows: 3, dim: 2, values: vec![1.0, 0.0, 2.0, 5.0, 3.0, 10.0] };
        assert_eq!(trace_cov(&set), Ok(1.0 + 25.0));
        let point = Features { rows: 3, dim: 2, values: vec![0.1; 6] };
        assert_eq!(trace_cov(&point), Ok(0.0));
        let one = Features { rows: 1, dim: 2, values: vec![0.1; 2] };
        assert!(trace_cov(&one).expect_err("one row").is_undefined());
        assert_eq!(trace(&[1.0, 7.0, 7.0, 2.0], 2), Ok(3.0));
        assert!(trace(&[1.0; 3], 2).is_err());
    }
}
