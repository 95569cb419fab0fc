//! Self-consuming loops without samples: Gaussian loops by their sufficient statistics, categorical ones by their counts,
//! and the closed forms beside them.

pub mod discrete;
mod error;
pub mod forms;

pub use error::{Result, TheoryError};
