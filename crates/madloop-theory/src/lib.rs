//! Self-consuming loops without samples: Gaussian loops by their sufficient statistics, categorical ones by their counts,
//! and the closed forms beside them.

mod blocks;
mod chain;
mod controls;
pub mod discrete;
mod error;
pub mod forms;
mod gaussian;
mod limit;
mod linalg;
mod plan;
mod roots;
mod samples;
mod second;
mod spectrum;
mod threshold;

pub use chain::{CurvePoint, curve, simulate};
pub use error::{Result, TheoryError};
pub use gaussian::{Estimate, GaussianLoop, GaussianMoments};
pub use limit::{Effort, Limit, check_limit, limit, limit_generations, limit_on};
pub use plan::{HalfLife, MOST_DIRECTIONS, Planned, Worth, half_life};
pub use samples::SampleCurve;
pub use spectrum::RealCovariance;
pub use threshold::{Threshold, threshold, threshold_on};
