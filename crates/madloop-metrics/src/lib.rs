//! Distances between a real and a generated set: matrices in, numbers out.
//!
//! Every metric takes features (`[rows, dim]`, f32, one row a sample), sums in f64 and gives the same bits at any
//! number of threads. [`CATALOG`] names them all with range, direction and source; [`Reference`] prepares the
//! real set once and scores one generated set after the other.
//!
//! A collapsed or tiny set is an expected input. A metric that has no value there is a [`MetricsError`] that
//! is [undefined](MetricsError::is_undefined), with the reason and its numbers; nothing is clamped and
//! no value is NaN.

mod between;
mod bootstrap;
mod catalog;
mod cloud;
mod covariance;
mod error;
mod exp;
mod frechet;
mod gram;
mod inception_score;
mod infinity;
mod kid;
mod lambda_eff;
mod likelihood;
mod linalg;
mod manifold;
mod mmd;
mod modes;
mod moments;
mod pairs;
mod principal;
mod rank;
mod scatter;
mod score;
mod settings;
mod sinkhorn;
mod sliced;
mod spectrum;
mod spread;
mod subsets;
mod tail;
#[cfg(test)]
mod testing;
mod tiles;
mod transport;
mod tsne;
mod vendi;
mod wasserstein;
mod within;

pub use bootstrap::BOOTSTRAP_FROM;
pub use catalog::{CATALOG, Direction, Enough, Metric, Of, alias, find, nearest};
pub use covariance::{COVARIANCE_TOLERANCE, check_covariance};
pub use error::{MetricsError, Result};
pub use frechet::{frechet_distance, gaussian_w2_sq, w2_sq_to_standard};
pub use inception_score::{INCEPTION_SCORE_SPLITS, InceptionScore, inception_score};
pub use infinity::{FD_INFINITY_FROM, FD_INFINITY_POINTS, fd_infinity};
pub use kid::{Draws, KID_SUBSET_SIZE, KID_SUBSETS, Kid, KidSubsets, kid};
pub use lambda_eff::{LambdaEff, lambda_eff, lambda_eff_fresh};
pub use likelihood::LogLikelihood;
pub use manifold::{Manifold, manifold};
pub use mmd::{Bandwidth, MEDIAN_ROWS, Mmd, cmmd, mmd_rbf};
pub use modes::{Modes, modes};
pub use moments::Moments;
pub use rank::{RANK_TOLERANCE, effective_rank, effective_rank_of, numerical_rank, numerical_rank_of};
pub use scatter::{Scatter, ScatterBuilder};
pub use score::{Arrays, Reference};
pub use settings::{Inside, Settings};
pub use sinkhorn::{SINKHORN_BLUR, SINKHORN_SCALING, sinkhorn};
pub use sliced::{SLICED_PROJECTIONS, sliced_w2, sliced_w2_along};
pub use spectrum::{Spectrum, covariance_eigenvalues, spectrum};
pub use spread::{trace, trace_cov};
pub use tail::{TAIL_FROM, TailShare, tail_share};
pub use tsne::{Places, RealMap, Tsne};
pub use vendi::vendi;
pub use wasserstein::{W2_LIMIT, w2_sq};
