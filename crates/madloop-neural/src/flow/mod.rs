//! Normalizing flows: invertible networks with an exact likelihood.

mod config;
mod domain;
mod generator;
mod network;
mod step;
#[cfg(test)]
mod tests;
mod trainer;

pub use config::FlowConfig;

/// The family's name.
const FAMILY: &str = "flow";
