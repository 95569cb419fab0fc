//! How a generation ended: collapse is a result, not an error.

use serde::{Deserialize, Serialize};

/// What became of one generation's model.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(tag = "outcome", content = "outcome_reason", rename_all = "lowercase")]
pub enum Outcome {
    /// A model like any other.
    #[default]
    Ok,
    /// A model that has lost a dimension or more (a singular covariance, a constant set); the loop goes on.
    Degenerate(String),
    /// No model could be made (a loss that is not a number); the cell ends here.
    Ended(String),
}

impl Outcome {
    /// `ok`, `degenerate` or `ended`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Degenerate(_) => "degenerate",
            Self::Ended(_) => "ended",
        }
    }

    /// Why, in words, unless all is well.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Ok => None,
            Self::Degenerate(why) | Self::Ended(why) => Some(why),
        }
    }

    /// Whether the cell ends with this generation.
    pub fn is_end(&self) -> bool {
        matches!(self, Self::Ended(_))
    }
}
