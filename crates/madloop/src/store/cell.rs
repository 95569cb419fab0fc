//! One cell on disk: a journal that commits each generation's folder once.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use madloop_core::{
    Blobs, Cancel, Commit, Entry, Journal, Loop, MemoryBlobs, Observer, Record, Samples, State, Stopwatch, Timing,
    Trainer,
};

use super::files::{self, CHECK_OUTPUT, FolderBlobs};
use super::generation::{self, DAMAGED, MODEL, generation_folder, generations, is_heavy, numbered, read_generation};
use super::lock::Lock;
use super::samples;
use crate::config::KeepConfig;
use crate::report::Scene;
use crate::{Error, Result};

const SCRATCH: &str = "scratch";

/// A generation that is on disk.
pub type Committed<'a> = &'a (dyn Fn(&Record, &Timing) + Sync);

/// The journal of one cell.
///
/// Generations are committed in groups. The folders of a group are written beside, made durable, and renamed into place from the
/// newest to the oldest. What lies beyond a gap is not seen, so a group appears whole with its last rename, and the newest
/// generation that is seen always has what the loop needs of it and of those before it. This holds for any number of
/// workers, with or without locks, since nothing that is in place is ever replaced.
pub struct CellStore<'a> {
    folder: PathBuf,
    keep: KeepConfig,
    commit_seconds: f64,
    on_commit: Committed<'a>,
    observer: &'a dyn Observer,
    /// How two-dimensional samples are shown.
    scene: Option<Scene>,
    lock: Lock,
    plan: Option<Loop>,
    /// Finished generations that are not yet on disk.
    pending: Vec<Entry>,
    pending_bytes: u64,
    /// Since the last commit; `None` before the first.
    since_commit: Option<Stopwatch>,
    /// Generations whose samples or model are on disk.
    heavy: BTreeSet<u32>,
    /// Those of them whose draw a loop may still hold in memory.
    unsettled: BTreeSet<u32>,
    /// Generations below this one were told to `on_commit`.
    told: u32,
    /// Renames after which a test's crash comes.
    #[cfg(test)]
    pub(super) crash_after: Option<usize>,
}

impl<'a> CellStore<'a> {
    /// Opens the cell in `folder` (made if need be) and waits for its lock. `on_commit` is told once of every generation that is
    /// on disk: when the cell is resumed of those of earlier runs, then of each new one.
    pub fn open(
        folder: PathBuf,
        keep: KeepConfig,
        commit_seconds: f64,
        scene: Option<Scene>,
        on_commit: Committed<'a>,
        cancel: &Cancel,
        observer: &'a dyn Observer,
    ) -> Result<Self> {
        files::make_folder(&folder)?;
        folder.parent().map_or(Ok(()), files::sync_folder)?;
        let lock = Lock::wait(&folder, cancel, observer)?;
        Self::with_lock(folder, keep, commit_seconds, scene, on_commit, observer, lock)
    }

    pub(super) fn with_lock(
        folder: PathBuf,
        keep: KeepConfig,
        commit_seconds: f64,
        scene: Option<Scene>,
        on_commit: Committed<'a>,
        observer: &'a dyn Observer,
        lock: Lock,
    ) -> Result<Self> {
        let store = Self {
            folder,
            keep,
            commit_seconds,
            on_commit,
            observer,
            scene,
            lock,
            plan: None,
            pending: Vec::new(),
            pending_bytes: 0,
            since_commit: None,
            heavy: BTreeSet::new(),
            unsettled: BTreeSet::new(),
            told: 0,
            #[cfg(test)]
            crash_after: None,
        };
        // What an interrupted worker left half-written goes, when no other worker can be writing.
        if store.lock.is_exclusive() {
            files::remove_leftovers(&store.folder)?;
        }
        Ok(store)
    }

    /// The newest generation that is on disk, for cells that need no models to go on; all are told of.
    pub(crate) fn committed(&mut self) -> Result<Option<u32>> {
        let newest = generations(&self.folder)?.last().copied();
        for generation in newest.map_or(0..0, |newest| self.told..newest + 1) {
            let (record, timing) = self.read(generation)?;
            self.tell(&record, &timing);
        }
        Ok(newest)
    }

    /// Whether samples and model of `generation` are kept when `last` is the newest generation.
    fn is_kept(&self, generation: u32, last: u32) -> bool {
        let needed = self.plan.as_ref().is_some_and(|plan| {
            plan.needed_models(last).contains(&generation) || plan.needed_draws(last).contains(&generation)
        });
        generation > 0 && (generation == last || needed || self.keep.keeps(generation))
    }

    /// Writes the pending generations beside, makes them durable and renames them into place.
    fn commit_pending(&mut self) -> Result<Commit> {
        let pending = std::mem::take(&mut self.pending);
        self.pending_bytes = 0;
        let Some(newest) = pending.last() else { return Ok(Commit::Won) };
        // After a generation that ended the cell, the last whole one stays.
        let last = newest.record.generation - u32::from(newest.record.outcome.is_end());
        let mut written = Vec::new();
        for entry in &pending {
            let generation = entry.record.generation;
            let beside = files::make_beside(&generation_folder(&self.folder, generation))?;
            self.write_generation(&beside, entry, self.is_kept(generation, last))?;
            written.push(beside);
        }
        files::sync(&written, &self.folder)?;
        let mut outcome = Commit::Won;
        // The newest comes first, so that the group is seen whole or not at all.
        for (entry, beside) in pending.iter().zip(&written).rev() {
            self.crash_here()?;
            let generation = entry.record.generation;
            let target = generation_folder(&self.folder, generation);
            match fs::rename(beside, &target) {
                Ok(()) if self.is_kept(generation, last) => {
                    self.heavy.insert(generation);
                    self.unsettled.insert(generation);
                }
                Ok(()) => {}
                // A folder that holds anything is never replaced: another worker was first, with the same results.
                Err(error) if matches!(error.kind(), ErrorKind::DirectoryNotEmpty | ErrorKind::AlreadyExists) => {
                    outcome = Commit::Lost;
                    files::remove(beside)?;
                }
                Err(error) => return Err(Error::io("create", &target, CHECK_OUTPUT)(error)),
            }
        }
        files::sync_folder(&self.folder)?;
        self.since_commit = Some(Stopwatch::new());
        if outcome == Commit::Won {
            // Training of the next generation may have left a checkpoint already.
            let scratch = self.folder.join(SCRATCH);
            files::remove_all_but(&scratch, &scratch_name(newest.record.generation + 1))?;
            // It goes where it is empty, and stays otherwise.
            let _ = fs::remove_dir(&scratch);
            pending.iter().for_each(|entry| self.tell(&entry.record, &entry.timing));
            self.prune(last)?;
        }
        Ok(outcome)
    }

    /// Where a test's crash comes.
    fn crash_here(&mut self) -> Result<()> {
        #[cfg(test)]
        if let Some(left) = &mut self.crash_after {
            *left = left.checked_sub(1).ok_or_else(|| Error::NoSpace {
                path: self.folder.clone(),
                available: "a crash".into(),
                needed: "none".into(),
            })?;
        }
        Ok(())
    }

    /// Tells of a generation that is on disk, once.
    fn tell(&mut self, record: &Record, timing: &Timing) {
        if record.generation >= self.told {
            (self.on_commit)(record, timing);
            self.told = record.generation + 1;
        }
    }

    fn write_generation(&self, folder: &Path, entry: &Entry, kept: bool) -> Result<()> {
        files::make_folder(folder)?;
        generation::write(folder, entry, self.scene.as_ref())?;
        if kept {
            if let Some(model) = &entry.model {
                model.save(&mut FolderBlobs::new(folder.join(MODEL)))?;
            }
            if let Some(draw) = &entry.draw {
                samples::write(folder, draw)?;
            }
        }
        Ok(())
    }

    /// Removes samples and models that are kept no longer.
    fn prune(&mut self, last: u32) -> Result<()> {
        let heavy = std::mem::take(&mut self.heavy);
        for generation in heavy {
            if self.is_kept(generation, last) {
                self.heavy.insert(generation);
                continue;
            }
            let folder = generation_folder(&self.folder, generation);
            // In one step each, so that a model is never half there; the model goes first, since samples without one are whole.
            files::remove_at_once(&folder.join(MODEL), &self.folder)?;
            files::remove(&folder.join(samples::SAMPLES))?;
            files::remove(&folder.join(samples::LABELS))?;
        }
        Ok(())
    }

    /// The generation to go on from: the newest, or if models or samples that the loop needs were lost with it (a folder
    /// deleted by hand, a power cut), the newest that has all. Those after it are removed, to be made again.
    fn go_back(&self, plan: &Loop) -> Result<Option<u32>> {
        let seen = generations(&self.folder)?;
        if !self.lock.is_exclusive() {
            return Ok(seen.last().copied());
        }
        let is_there = |t: u32, name: &str| generation_folder(&self.folder, t).join(name).exists();
        let is_whole = |t: u32| {
            plan.needed_models(t).filter(|&t| t > 0).all(|t| is_there(t, MODEL))
                && plan.needed_draws(t).all(|t| is_there(t, samples::SAMPLES))
        };
        let base = match seen.last() {
            Some(&newest) if !self.read(newest)?.0.outcome.is_end() => (0..=newest).rev().find(|&t| is_whole(t)),
            newest => newest.copied(),
        };
        if base != seen.last().copied() {
            let (folder, from) = (self.folder.display(), base.map_or(0, |t| t + 1));
            self.observer.warn(&format!(
                "{folder}: what generation {from} needs of those before it is not there; going back to make it again"
            ));
        }
        // From the newest down, so that there is never a gap below a generation that stays.
        for generation in numbered(&self.folder)?.into_iter().rev().filter(|&t| base.is_none_or(|base| t > base)) {
            files::remove_at_once(&generation_folder(&self.folder, generation), &self.folder)?;
        }
        Ok(base)
    }

    fn read(&self, generation: u32) -> Result<(Record, Timing)> {
        read_generation(&generation_folder(&self.folder, generation))
    }

    /// The state after generation `newest`.
    fn restore(&mut self, newest: u32, plan: &Loop, trainer: &dyn Trainer) -> Result<State> {
        let ended = self.read(newest)?.0.outcome.is_end();
        let last = if ended { newest - 1 } else { newest };
        self.heavy = (0..=newest).filter(|&t| is_heavy(&generation_folder(&self.folder, t))).collect();
        self.prune(last)?;
        let mut state = State { generation: newest, ended, ..State::default() };
        if ended {
            return Ok(state);
        }
        for t in plan.needed_models(last).filter(|&t| t > 0) {
            let folder = generation_folder(&self.folder, t);
            let model = trainer
                .load(&FolderBlobs::new(folder.join(MODEL)))
                .map_err(|error| Error::bad_file(folder.join(MODEL), error.to_string(), DAMAGED))?;
            state.models.insert(t, model);
        }
        for t in plan.needed_draws(last) {
            state.draws.insert(t, samples::read(&generation_folder(&self.folder, t))?);
        }
        Ok(state)
    }
}

impl Journal for CellStore<'_> {
    fn resume(&mut self, plan: &Loop, trainer: &dyn Trainer) -> madloop_core::Result<Option<State>> {
        self.plan = Some(plan.clone());
        self.pending.clear();
        self.pending_bytes = 0;
        let state = loop {
            let Some(newest) = self.go_back(plan)? else { return Ok(None) };
            match self.restore(newest, plan, trainer) {
                Ok(state) => break state,
                // Where there are no locks, another worker may have gone on and removed what was to be read.
                Err(_) if generations(&self.folder)?.last() != Some(&newest) => {}
                Err(error) => return Err(error.into()),
            }
        };
        if self.lock.is_exclusive() {
            // Checkpoints of generations that are committed.
            files::remove_all_but(&self.folder.join(SCRATCH), &scratch_name(state.generation + 1))?;
        }
        for generation in self.told..=state.generation {
            let (record, timing) = self.read(generation)?;
            self.tell(&record, &timing);
        }
        Ok(Some(state))
    }

    fn commit(&mut self, mut entry: Entry) -> madloop_core::Result<Commit> {
        const MANY_BYTES: u64 = 64 << 20;
        let ended = entry.record.outcome.is_end();
        let generation = entry.record.generation;
        // What a group need not write it need not hold either.
        for waiting in &mut self.pending {
            let t = waiting.record.generation;
            let needed = self.plan.as_ref().is_some_and(|plan| {
                plan.needed_models(generation).contains(&t) || plan.needed_draws(generation).contains(&t)
            });
            if needed || ended || self.keep.keeps(t) {
                continue;
            }
            // A picture is still to be made of what was scored, and of its model's density; its losses are still to be written.
            let scored = waiting.record.n_eval > 0;
            if !(scored && self.scene.is_some_and(|scene| scene.density)) {
                waiting.model.take_if(|model| model.losses().is_empty());
            }
            if !scored {
                self.pending_bytes -= waiting.draw.take().map_or(0, |draw| draw.bytes());
            }
        }
        if entry.record.n_eval == 0 && self.plan.as_ref().is_some_and(|plan| plan.n_synthetic == 0) {
            entry.draw = None;
        }
        self.pending_bytes += entry.draw.as_ref().map_or(0, madloop_core::Samples::bytes);
        self.pending.push(entry);
        let due = match &self.since_commit {
            None => true,
            Some(since) => since.seconds() >= self.commit_seconds,
        };
        if due || ended || self.pending_bytes > MANY_BYTES { Ok(self.commit_pending()?) } else { Ok(Commit::Won) }
    }

    fn settle(&mut self, draws: &mut BTreeMap<u32, Samples>) -> madloop_core::Result<()> {
        /// Smaller draws stay in memory, but for tests.
        const LEAST_BYTES: u64 = if cfg!(test) { 1 } else { 1 << 20 };
        for generation in std::mem::take(&mut self.unsettled) {
            if let Some(draw) = draws.get_mut(&generation).filter(|draw| draw.bytes() >= LEAST_BYTES)
                && self.heavy.contains(&generation)
                // Where there are no locks another worker may have removed them; those in memory are the same.
                && let Ok(kept) = samples::read(&generation_folder(&self.folder, generation))
            {
                *draw = kept;
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> madloop_core::Result<Commit> {
        Ok(self.commit_pending()?)
    }

    fn scratch(&mut self, generation: u32) -> madloop_core::Result<Box<dyn Blobs>> {
        // Two workers must not write one checkpoint: where there are no locks it does not outlive the process.
        Ok(match self.lock.is_exclusive() {
            true => Box::new(FolderBlobs::durable(self.folder.join(SCRATCH).join(scratch_name(generation)))),
            false => Box::new(MemoryBlobs::default()),
        })
    }
}

/// A generation's own checkpoints: no other generation may go on from them.
fn scratch_name(generation: u32) -> String {
    format!("{generation:04}")
}
