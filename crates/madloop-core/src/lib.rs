//! The self-consuming loop itself: samples, seeds, mixes, the seams between the parts, and the
//! runner that reads as the paper's loop.
//!
//! This crate performs no I/O and knows no tensor library. Everything that is expensive or
//! external stands behind one of five traits, each called once a generation:
//! [`Trainer`], [`Generator`], [`Evaluator`], [`Journal`] and [`Observer`].

mod context;
mod error;
mod evaluate;
mod journal;
mod loops;
mod map;
mod mix;
mod model;
mod outcome;
mod real;
mod record;
mod runner;
mod samples;
mod sampling;
mod schedule;
mod seeds;
mod state;
mod timing;

pub use context::{Cancel, Context, Observer, Progress, Silent, Stage, Watch};
pub use error::{Error, Result};
pub use evaluate::{Evaluator, FeatureMap, Features, Interval, Judged, Scores};
pub use journal::{Blobs, Commit, Entry, Journal, MemoryBlobs, MemoryJournal};
pub use loops::{Draw, History, Loop, LoopKind, OnExhausted, Pool, SyntheticCount};
pub use map::{Map, Points};
pub use mix::{Mix, Origin, Part, Rows};
pub use model::{Cost, GaussianParameters, Generator, Trained, Trainer};
pub use outcome::Outcome;
pub use real::{Real, RealPool, Source};
pub use record::{Record, SCHEMA_VERSION};
pub use runner::{Cell, CellEnd, FirstGeneration, Parts, run_cell};
pub use samples::{F32Buffer, Samples, Shape, U8Buffer, Values};
pub use sampling::SamplingBias;
pub use schedule::{ClassSchedule, ScoreSchedule};
pub use seeds::{Seeds, Stream};
pub use state::State;
pub use timing::{Stopwatch, Timing};
