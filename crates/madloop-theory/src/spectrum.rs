//! The covariance of the real data. A Gaussian loop started at N(0, S) is equivariant under rotation, so only the eigenvalues
//! of S matter to everything that is reported.

use faer::MatRef;

use crate::linalg::eigenvalues;
use crate::{Result, TheoryError};

/// The covariance S of the real data P_r = N(0, S).
#[derive(Debug, Clone, PartialEq)]
pub enum RealCovariance {
    /// The identity in this many dimensions, the paper's.
    Identity(usize),
    /// diag(variances), each above 0.
    Diagonal(Vec<f64>),
    /// Any symmetric positive semidefinite matrix (`[dim, dim]`, either order). Directions without variance are left out: no
    /// model ever has any there.
    Full {
        /// Rows and columns.
        dim: usize,
        /// dim * dim values.
        values: Vec<f64>,
    },
}

impl RealCovariance {
    /// Dimension d.
    pub fn dim(&self) -> usize {
        match self {
            Self::Identity(dim) | Self::Full { dim, .. } => *dim,
            Self::Diagonal(variances) => variances.len(),
        }
    }

    /// The eigenvalues of S above 0, descending; those below 4 d eps of the largest are rounding and count as 0.
    ///
    /// # Errors
    /// Dimension 0 or above 2^20, a wrong number of values, a value that is not finite, a variance that is not above 0, an
    /// asymmetric matrix or one with a negative eigenvalue.
    pub fn spectrum(&self) -> Result<Vec<f64>> {
        let error = |name, value, must| Err(TheoryError::Setting { name, value, must });
        let dim = self.dim();
        if dim == 0 || dim > 1 << 20 {
            return error("dim", dim as f64, "from 1 to 1048576");
        }
        match self {
            Self::Identity(_) => Ok(vec![1.0; dim]),
            Self::Diagonal(variances) => {
                if let Some(&bad) = variances.iter().find(|v| !(v.is_finite() && **v > 0.0)) {
                    return error("a variance of the real data", bad, "finite and above 0; drop constant features");
                }
                let mut sorted = variances.clone();
                sorted.sort_by(|a, b| b.total_cmp(a));
                Ok(sorted)
            }
            Self::Full { values, .. } => {
                if values.len() != dim * dim {
                    return error("the length of the real covariance", values.len() as f64, "dim * dim");
                }
                if let Some(&bad) = values.iter().find(|v| !v.is_finite()) {
                    return error("a real covariance", bad, "finite; drop the features that make it so");
                }
                let largest = values.iter().fold(0.0_f64, |m, v| m.max(v.abs()));
                for i in 0..dim {
                    for j in 0..i {
                        let gap = values[i * dim + j] - values[j * dim + i];
                        if gap.abs() > 1e-9 * largest {
                            return error(
                                "an asymmetry of the real covariance",
                                gap,
                                "0; average it with its transpose",
                            );
                        }
                    }
                }
                let mut all = eigenvalues(MatRef::from_column_major_slice(values, dim, dim));
                all.reverse();
                let rounding = 4.0 * dim as f64 * f64::EPSILON * all[0].max(0.0);
                if let Some(&bad) = all.iter().find(|&&v| v.is_nan() || v < -16.0 * rounding.max(f64::MIN_POSITIVE)) {
                    return error("an eigenvalue of the real covariance", bad, "at least 0");
                }
                all.retain(|&value| value > rounding);
                if all.is_empty() {
                    return error("the trace of the real covariance", 0.0, "above 0; the real data is constant");
                }
                Ok(all)
            }
        }
    }
}
