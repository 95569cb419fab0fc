//! Denoising diffusion models.

mod config;
mod estimate;
mod generator;
mod sampler;
mod schedule;
#[cfg(test)]
mod tests;
mod trainer;

pub use config::{DdpmConfig, NetworkKind, Weighting};
pub use sampler::Sampler;
pub use schedule::NoiseSchedule;

/// The family's name.
const FAMILY: &str = "ddpm";
