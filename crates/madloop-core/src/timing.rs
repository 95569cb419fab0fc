//! How long the stages took. Times live apart from records, which are compared byte for byte.

use std::time::Instant;

use serde::{Deserialize, Serialize};

/// Seconds that the stages of one generation took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Timing {
    /// Training.
    pub train_seconds: f64,
    /// Sampling.
    pub sample_seconds: f64,
    /// Scoring.
    pub score_seconds: f64,
}

/// The only clock of the loop.
#[derive(Debug)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts it.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads a clock; times never enter a record")]
    #[expect(clippy::new_without_default, reason = "a default that reads the clock would surprise")]
    pub fn new() -> Self {
        Self(Instant::now())
    }

    /// Seconds since the start.
    pub fn seconds(&self) -> f64 {
        self.0.elapsed().as_secs_f64()
    }
}
