//! Self-consuming loops without samples: Gaussian loops by their sufficient statistics, categorical ones by their counts,
//! and the closed forms beside them.

mod blocks;
mod chain;
mod controls;
mod error;
mod gaussian;
mod limit;
mod linalg;
mod samples;
mod second;
mod spectrum;
mod threshold;

pub use chain::{CurvePoint, curve, simulate};
pub use error::{Result, TheoryError};
pub use gaussian::{Estimate, GaussianLoop, GaussianMoments};
pub use limit::{Effort, Limit, limit, limit_on};
pub use samples::SampleCurve;
pub use spectrum::RealCovariance;
pub use threshold::{Threshold, threshold, threshold_on};
