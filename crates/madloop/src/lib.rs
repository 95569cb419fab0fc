//! Data, configuration, store, scoring and reports around the self-consuming loop of `madloop-core`.

pub mod comparison;
pub mod config;
pub mod data;
pub mod device;
mod error;
mod estimate;
mod feature_map;
pub mod features;
mod inception;
mod likelihood;
mod limits;
mod mapping;
pub mod plan;
mod present;
mod provenance;
pub mod report;
pub mod scoring;
mod session;
pub mod stats;
pub mod store;

pub use error::{Error, Result};
pub use estimate::{Estimate, bytes_in_words, seconds_in_words};
pub use feature_map::FeatureOptions;
pub use present::{metric_infos, report_run, view, write_report};
pub use session::{Session, Workers};
