//! Journals commit generations once and for all; blobs are the named byte strings of a model.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::{Generator, Loop, Map, Record, Result, Samples, State, Timing, Trainer};

/// Named byte strings: a saved model, or a trainer's checkpoint.
pub trait Blobs {
    /// Writes `name` whole, replacing what was there.
    fn put(&mut self, name: &str, bytes: &[u8]) -> Result<()>;
    /// Reads `name`; `None` when it was never written.
    fn get(&self, name: &str) -> Result<Option<Vec<u8>>>;
}

/// Blobs in memory.
#[derive(Debug, Clone, Default)]
pub struct MemoryBlobs(pub BTreeMap<String, Vec<u8>>);

impl Blobs for MemoryBlobs {
    fn put(&mut self, name: &str, bytes: &[u8]) -> Result<()> {
        self.0.insert(name.to_owned(), bytes.to_vec());
        Ok(())
    }
    fn get(&self, name: &str) -> Result<Option<Vec<u8>>> {
        Ok(self.0.get(name).cloned())
    }
}

/// A finished generation on its way to the journal.
#[derive(Clone)]
pub struct Entry {
    /// Its record.
    pub record: Record,
    /// How long it took.
    pub timing: Timing,
    /// Its model, unless the cell ended or this is generation 0.
    pub model: Option<Arc<dyn Generator>>,
    /// Its draw (real samples at generation 0), for training and for pictures.
    pub draw: Option<Samples>,
    /// Samples of the latents that all generations share, where some were asked for.
    pub latents: Option<Samples>,
    /// Its map, where one was asked for.
    pub map: Option<Map>,
}

/// Whose generation was committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Commit {
    /// Ours.
    Won,
    /// Another worker's, who was first; ours was discarded.
    Lost,
}

/// Remembers a cell's generations.
pub trait Journal {
    /// What was committed, if anything was, as the state to go on from.
    fn resume(&mut self, plan: &Loop, trainer: &dyn Trainer) -> Result<Option<State>>;

    /// Commits a generation. A journal may group commits; [`Journal::flush`] ends the group.
    fn commit(&mut self, entry: Entry) -> Result<Commit>;

    /// Puts what the journal holds on disk in the place of draws in memory: the same values, which then cost none.
    fn settle(&mut self, _draws: &mut BTreeMap<u32, Samples>) -> Result<()> {
        Ok(())
    }

    /// Makes all commits durable.
    fn flush(&mut self) -> Result<Commit>;

    /// Space for checkpoints inside training of `generation`; it is emptied when that generation is committed.
    fn scratch(&mut self, generation: u32) -> Result<Box<dyn Blobs>>;
}

/// A journal in memory, for tests, benches and callers that keep nothing.
#[derive(Default)]
pub struct MemoryJournal {
    /// All records, in order.
    pub records: Vec<Record>,
    /// The state after the last of them.
    pub state: Option<State>,
    plan: Option<Loop>,
}

impl Journal for MemoryJournal {
    fn resume(&mut self, plan: &Loop, _trainer: &dyn Trainer) -> Result<Option<State>> {
        self.plan = Some(plan.clone());
        Ok(self.state.clone())
    }

    fn commit(&mut self, entry: Entry) -> Result<Commit> {
        let generation = entry.record.generation;
        let state = self.state.get_or_insert_default();
        state.generation = generation;
        state.ended = entry.record.outcome.is_end();
        if let (Some(plan), Some(model)) = (&self.plan, entry.model) {
            state.advance(plan, generation, model, entry.draw);
        }
        self.records.push(entry.record);
        Ok(Commit::Won)
    }

    fn flush(&mut self) -> Result<Commit> {
        Ok(Commit::Won)
    }

    fn scratch(&mut self, _generation: u32) -> Result<Box<dyn Blobs>> {
        Ok(Box::new(MemoryBlobs::default()))
    }
}
