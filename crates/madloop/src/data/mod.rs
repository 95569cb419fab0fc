//! Real data: readers of files, exact samplers, and the catalogue of data sets.
//!
//! [`open`] turns the `[data]` table of an experiment ([`DataConfig`]) into a training pool and a reference that never trains
//! ([`DataSet`]). [`read_samples`] reads any file or folder of samples. [`list`], [`info`] and [`get`] are the catalogue of
//! sets with a name.
//!
//! Nothing read is trusted: sizes are checked before memory is asked for, names in archives may not lead out of them,
//! nothing is unpacked to disk, nothing pickled is run, and downloads count only once their checksums are right.

#![allow(clippy::disallowed_methods, reason = "this module reads files")]

mod archive;
mod array;
mod cache;
mod catalog;
mod config;
mod csv;
mod density;
mod digits;
mod download;
mod folder;
#[cfg(test)]
mod hostile;
mod idx;
#[cfg(test)]
mod image_files;
mod images;
mod jpeg;
mod limits;
mod loaded;
mod map;
mod names;
mod npy;
pub(crate) mod npz;
mod read;
mod resize;
mod safetensors;
mod set;
mod sources;
mod split;
mod stream;
pub(crate) mod weights;

pub use cache::ImageCache;
pub use catalog::{DataDir, Entry, Presence, info, list};
pub use config::{DataConfig, DataSource};
pub use download::get;
pub use images::ReadProgress;
pub(crate) use images::some;
pub(crate) use map::Mapped;
pub use read::{Color, Filter, ReadOptions, Resize, read_samples, read_samples_watched};
pub use set::{DataSet, Known, Opening, open, open_with};
pub use sources::{GRID25_SIGMA, Gaussian, Grid25, Rosenbrock, grid25_centres};
pub use stream::{RowSink, stream_samples};
