//! Denoising diffusion models.

mod config;
mod estimate;
mod generator;
mod sampler;
mod scale;
mod schedule;
#[cfg(test)]
mod tests;
mod trainer;

pub(crate) use scale::Scale;

pub use config::{DdpmConfig, NetworkKind};
pub use sampler::Sampler;
pub use schedule::NoiseSchedule;

/// The family's name.
const FAMILY: &str = "ddpm";
