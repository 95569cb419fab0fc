//! The `[report]` table.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the page shows beside its charts.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ReportConfig {
    /// Generations whose samples are drawn side by side as one figure, real data before them, as papers show them. Those that are not
    /// scored have no picture and are left out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub samples: Vec<u32>,
    /// Latents, the same in every scored generation, whose samples are drawn side by side; 0 for none, 32 at most. They never train.
    #[serde(skip_serializing_if = "is_zero")]
    pub latents: u64,
}

fn is_zero(latents: &u64) -> bool {
    *latents == 0
}

impl ReportConfig {
    pub(crate) fn is_empty(&self) -> bool {
        self.samples.is_empty() && self.latents == 0
    }
}
