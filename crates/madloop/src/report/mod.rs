//! The report and the figures of a run: records in, one self-contained page and publication figures out.
//!
//! One direction: [`settings`] groups the records, a plot is laid out once, and both the page and the figure files draw it.

mod axis;
mod canvas;
mod chart;
mod curve;
mod density;
mod figures;
mod gallery;
mod html;
mod label;
mod latents;
mod limits;
mod maps;
mod meaning;
mod panels;
mod picture;
mod plot;
mod series;
mod sweep;
mod tables;
#[cfg(test)]
mod testing;
mod text;
mod view;

pub(crate) use canvas::write as write_drawing;
pub use density::Scene;
pub use figures::{write_charts, write_figures};
pub use html::html;
pub(crate) use html::{document, part};
pub(crate) use latents::write as write_latents;
pub use limits::{are_limits, table as limit_table};
pub use maps::write_maps;
pub use meaning::meaning;
pub(crate) use panels::write as write_panels;
pub(crate) use picture::strip;
pub use picture::{Bounds, bounds, picture, picture_in};
pub use series::{Cell, Point, Series, Setting, SummaryRow, settings, summary};
pub use sweep::{ChartTable, chart_tables};
pub(crate) use sweep::{Map, Sweep, figure};
pub(crate) use tables::plain as plain_table;
pub(crate) use text::{escape, number};
pub use view::{Direction, LossCurve, MapView, MetricInfo, Picture, RunView};
