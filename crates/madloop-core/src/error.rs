//! What can go wrong in a loop, each with the value, the place and the remedy.

use crate::Shape;

/// The result of this crate's fallible functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of the loop. Collapse is not among them: that is an [`crate::Outcome`].
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A sampling bias outside its range.
    #[error("lambda is {0}; it must be a number from 0 (only the modes) to 1 (unbiased)")]
    SamplingBias(f64),
    /// A count of the loop that cannot be used.
    #[error("loop.{key} is {value}: {why}")]
    LoopSetting {
        /// The setting's name below `loop`.
        key: &'static str,
        /// Its value, as the user wrote it.
        value: String,
        /// What is wrong and what to do.
        why: String,
    },
    /// The real set is smaller than the first generation needs.
    #[error(
        "{key} = {wanted} is more than the {available} real samples of the training pool; \
         lower {key} to at most {available}"
    )]
    TooFewReal {
        /// The setting that asks for too much.
        key: &'static str,
        /// How many it asks for.
        wanted: u64,
        /// How many there are.
        available: u64,
    },
    /// Fresh real data runs out before the last generation.
    #[error(
        "fresh real data suffices for {suffices} generations, not {wanted}: {n_initial} + {n_real} a generation \
         from a pool of {available}; ask for at most {suffices} generations, lower loop.n_real, \
         or set loop.on_exhausted = \"reuse\" to draw the same samples again (it is recorded)"
    )]
    Exhausted {
        /// Generations that the pool can feed.
        suffices: u64,
        /// Generations asked for.
        wanted: u64,
        /// Real samples of generation 1.
        n_initial: u64,
        /// Fresh real samples of each later generation.
        n_real: u64,
        /// Samples in the pool.
        available: u64,
    },
    /// Two parts of one training set differ in shape.
    #[error("samples of shape {found} cannot be mixed with samples of shape {expected}")]
    ShapeMismatch {
        /// Shape of the first part.
        expected: Shape,
        /// Shape of the offending part.
        found: Shape,
    },
    /// A buffer whose length is not rows times the length of one sample.
    #[error(
        "a buffer of {values} values does not hold whole samples of shape {shape}{labels}; \
         check that every row has the same length and that there is one label a row"
    )]
    BufferLength {
        /// Values in the buffer.
        values: usize,
        /// Shape of one sample.
        shape: Shape,
        /// Text about the labels, or empty.
        labels: String,
    },
    /// A value that no sample may hold.
    #[error("row {row}, column {column} of {what} is {value}; every value must be finite")]
    NonFinite {
        /// Which set it is.
        what: String,
        /// Row of the value.
        row: usize,
        /// Column of the value.
        column: usize,
        /// The value.
        value: f32,
    },
    /// A saved model that is not whole.
    #[error("the saved {family} model is not usable: {why}; delete its generation and run again")]
    BadModel {
        /// Model family.
        family: &'static str,
        /// What is missing or wrong.
        why: String,
    },
    /// The run was asked to stop.
    #[error("stopped on request; run the same command again to go on from the last generation")]
    Cancelled,
    /// A part outside this crate failed.
    #[error("{stage} of generation {generation} failed: {source}")]
    Stage {
        /// Which stage of the loop.
        stage: &'static str,
        /// Which generation.
        generation: u32,
        /// Its own error.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// An error of another crate's part, carried whole.
    #[error(transparent)]
    Other(Box<dyn std::error::Error + Send + Sync>),
}

impl Error {
    /// Wraps another crate's error.
    pub fn other(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Other(source.into())
    }

    /// Whether values that are not numbers are what went wrong, in whichever stage.
    pub(crate) fn is_non_finite(&self) -> bool {
        match self {
            Self::NonFinite { .. } => true,
            Self::Stage { source, .. } => source.downcast_ref::<Self>().is_some_and(Self::is_non_finite),
            _ => false,
        }
    }

    /// Names the stage and generation in which `self` arose.
    pub(crate) fn in_stage(self, stage: &'static str, generation: u32) -> Self {
        match self {
            Self::Cancelled => Self::Cancelled,
            other => Self::Stage { stage, generation, source: Box::new(other) },
        }
    }
}
