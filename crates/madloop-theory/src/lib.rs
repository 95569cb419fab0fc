//! Self-consuming loops without samples: Gaussian loops by their sufficient statistics, categorical ones by their counts,
//! and the closed forms beside them.

mod blocks;
mod chain;
mod error;
mod gaussian;
mod linalg;
mod spectrum;

pub use chain::{CurvePoint, curve, simulate};
pub use error::{Result, TheoryError};
pub use gaussian::{Estimate, GaussianLoop, GaussianMoments};
pub use spectrum::RealCovariance;
