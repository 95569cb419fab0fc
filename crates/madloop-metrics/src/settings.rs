//! How metrics are computed, where tools differ.

use madloop_core::Seeds;

use crate::Result;
use crate::error::MetricsError;
use crate::kid::KidSubsets;

/// Whether a sample at exactly a ball's radius lies in the ball.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Inside {
    /// d <= r, as in Kynkaanniemi et al. 2019 and torch-fidelity.
    #[default]
    AtMost,
    /// d < r, as in prdc.
    Below,
}

impl Inside {
    /// The sign between distance and radius.
    pub fn symbol(self) -> &'static str {
        match self {
            Self::AtMost => "<=",
            Self::Below => "<",
        }
    }

    /// The largest squared distance that counts as inside of a squared radius; below 0 when none does.
    pub(crate) fn limit(self, squared_radius: f64) -> f64 {
        match self {
            Self::AtMost => squared_radius,
            Self::Below if squared_radius > 0.0 => squared_radius.next_down(),
            Self::Below => -1.0,
        }
    }
}

/// The choices behind the metrics.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// The neighbour whose distance is a ball's radius, for precision, recall, density and coverage.
    pub k: usize,
    /// What lies inside a ball.
    pub inside: Inside,
    /// The subsets of KID.
    pub kid: KidSubsets,
    /// Randomness of subsets and projections: the same for every set scored against a reference.
    pub seeds: Seeds,
    /// Generated samples that will be scored, if known: KID's subsets in the manner of another tool depend on
    /// it, and are then prepared with the reference.
    pub generated_rows: Option<usize>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { k: 5, inside: Inside::AtMost, kid: KidSubsets::default(), seeds: Seeds::new(0), generated_rows: None }
    }
}

impl Settings {
    /// Checks the settings that every metric may use.
    pub(crate) fn check(&self) -> Result<()> {
        if self.k == 0 {
            return Err(MetricsError::Setting { name: "k", value: 0.0, must: "1 or more (5 is usual)" });
        }
        Ok(())
    }
}
