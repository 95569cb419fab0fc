//! Data, configuration, store, scoring and reports around the self-consuming loop of `madloop-core`.

pub mod data;
mod error;
pub mod report;

pub use error::{Error, Result};
