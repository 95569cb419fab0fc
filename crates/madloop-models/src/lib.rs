//! Light model families: Gaussian, Gaussian mixture and kernel density, closed-form where possible.
//!
//! Each family is a few hundred lines behind [`madloop_core::Trainer`]; `light.rs` holds what they share: per-class
//! models, saving, row-addressed sampling and the outcomes of collapse.

mod gaussian;
mod gmm;
mod kde;
mod light;
mod linalg;
mod tensors;

pub use gaussian::GaussianConfig;
pub use gmm::{Covariance, GmmConfig};
pub use kde::{Bandwidth, KdeConfig};
