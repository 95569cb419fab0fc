//! What the runner hands to a stage, and who may watch.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::{Blobs, ClassSchedule, Error, Generator, Record, Result, Seeds, Timing};

/// A request to stop, shared by everything that runs.
#[derive(Debug, Clone, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// A request over a flag that a signal handler sets.
    pub fn new(flag: Arc<AtomicBool>) -> Self {
        Self(flag)
    }

    /// Asks for the stop.
    pub fn request(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    /// Whether it was asked for.
    pub fn is_requested(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }

    /// [`Error::Cancelled`] once it was asked for.
    pub fn check(&self) -> Result<()> {
        if self.is_requested() { Err(Error::Cancelled) } else { Ok(()) }
    }
}

/// A stage of a generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Composing the training set.
    Mix,
    /// Training.
    Train,
    /// Sampling.
    Sample,
    /// Scoring.
    Score,
    /// Writing.
    Commit,
}

impl Stage {
    /// The stage in a word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mix => "mix",
            Self::Train => "train",
            Self::Sample => "sample",
            Self::Score => "score",
            Self::Commit => "commit",
        }
    }
}

/// Watches a run; it cannot change it.
pub trait Observer: Send + Sync {
    /// A cell begins, or goes on after generation `from`, towards generation `to`.
    fn cell_started(&self, _cell: &str, _from: u32, _to: u32) {}
    /// A stage begins.
    fn stage(&self, _cell: &str, _generation: u32, _stage: Stage) {}
    /// How far training or sampling has come.
    fn progress(&self, _cell: &str, _progress: Progress) {}
    /// A generation is done.
    fn generation_done(&self, _record: &Record, _timing: &Timing) {}
    /// A cell is done or has stopped.
    fn cell_finished(&self, _cell: &str) {}
    /// Something that the user should know.
    fn warn(&self, _message: &str) {}
}

/// How far training or sampling has come.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    /// Steps (or classes, or rows) done.
    pub done: u64,
    /// Of so many.
    pub of: u64,
    /// The loss of the last training step, of families that have one.
    pub loss: Option<f64>,
}

/// Who watches a sampling, and may stop it.
#[derive(Clone, Copy)]
pub struct Watch<'a> {
    /// Set when it should stop.
    pub cancel: &'a Cancel,
    /// Told how many rows are done.
    pub progress: &'a dyn Fn(Progress),
}

/// An observer that says nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Observer for Silent {}

/// What a trainer may use.
pub struct Context<'a> {
    /// Randomness of this generation.
    pub seeds: Seeds,
    /// Class proportions of the real data, if it is labelled; synthetic labels follow them.
    pub classes: Option<&'a ClassSchedule>,
    /// The model of the generation before, for trainers that begin at it; `None` at generation 1 and for all others.
    pub previous: Option<&'a dyn Generator>,
    /// Space for checkpoints inside the stage.
    pub scratch: &'a mut dyn Blobs,
    /// Set when the run should stop.
    pub cancel: &'a Cancel,
    /// Told how far training has come.
    pub progress: &'a dyn Fn(Progress),
}
