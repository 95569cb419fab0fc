//! The run directory: one folder a generation, committed once and for all; everything else is derived from them.

#![allow(clippy::disallowed_methods, reason = "the store is where files are written")]

mod cache;
mod cell;
mod files;
mod generation;
mod lock;
mod run;
mod samples;
#[cfg(test)]
mod tests;

pub(crate) use cache::{cache_folder, shrink, touch};
pub use cell::{CellStore, Committed};
pub(crate) use files::{make_folder, write_atomically, write_atomically_with};
pub use run::{RunDir, StoredGeneration};
