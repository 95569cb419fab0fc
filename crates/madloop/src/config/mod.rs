//! Experiments: from TOML, presets and overrides to the resolved configuration of every cell.

mod cells;
mod chart;
mod check;
mod features;
mod map;
mod names;
mod presets;
mod raw;
mod report;
mod schema;
mod theory;
mod values;

pub use cells::{CellConfig, Swept};
pub use chart::ChartConfig;
pub use features::{FeatureName, FeatureResize};
pub use map::MapConfig;
pub(crate) use names::did_you_mean;
pub use names::nearest;
pub use presets::{Preset, presets};
pub(crate) use raw::flatten;
pub use raw::{Overrides, Scale, load};
pub use report::ReportConfig;
pub use schema::{
    Experiment, HistoryConfig, KeepConfig, KeepWord, LoopConfig, ModelConfig, ReferenceSplit, ScoreConfig, StoreConfig,
    json_schema,
};
pub(crate) use theory::gaussian_loop;
pub use theory::{Quantity, TheoryConfig};
