//! The report and the figures of a run: records in, one self-contained page and publication figures out.
//!
//! One direction: [`settings`] groups the records, a plot is laid out once, and both the page and the figure files draw it.

mod axis;
mod chart;
mod curve;
mod figures;
mod gallery;
mod html;
mod label;
mod meaning;
mod picture;
mod plot;
mod series;
mod tables;
#[cfg(test)]
mod testing;
mod text;
mod view;

pub use figures::write_figures;
pub use html::html;
pub use meaning::meaning;
pub use picture::{Bounds, bounds, picture};
pub use series::{Cell, Point, Series, Setting, SummaryRow, settings, summary};
pub use view::{Direction, MetricInfo, Picture, RunView};
