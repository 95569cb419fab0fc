//! One cell on disk: a journal that commits each generation's folder once.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use madloop_core::{Blobs, Cancel, Commit, Entry, Journal, Loop, Observer, Record, State, Stopwatch, Timing, Trainer};

use super::files::{self, CHECK_OUTPUT, FolderBlobs};
use super::lock::Lock;
use super::samples;
use crate::config::KeepConfig;
use crate::report::{Bounds, picture};
use crate::{Error, Result};

const RECORD: &str = "record.json";
const TIMING: &str = "timing.json";
const PICTURE: &str = "grid.png";
const MODEL: &str = "model";
const SCRATCH: &str = "scratch";

/// A generation that is on disk.
pub type Committed<'a> = &'a (dyn Fn(&Record, &Timing) + Sync);

/// The journal of one cell.
pub struct CellStore<'a> {
    folder: PathBuf,
    keep: KeepConfig,
    commit_seconds: f64,
    on_commit: Committed<'a>,
    /// The window in which two-dimensional samples are shown.
    window: Option<Bounds>,
    lock: Lock,
    plan: Option<Loop>,
    /// Finished generations that are not yet on disk.
    pending: Vec<Entry>,
    pending_bytes: u64,
    /// Since the last commit; `None` before the first.
    since_commit: Option<Stopwatch>,
    /// Generations whose samples or model are on disk.
    heavy: BTreeSet<u32>,
}

impl<'a> CellStore<'a> {
    /// Opens the cell in `folder` (made if need be) and waits for its lock. `on_commit` is told of every generation that is on
    /// disk: first of those of earlier runs, then of each new one.
    pub fn open(
        folder: PathBuf,
        keep: KeepConfig,
        commit_seconds: f64,
        window: Option<Bounds>,
        on_commit: Committed<'a>,
        cancel: &Cancel,
        observer: &dyn Observer,
    ) -> Result<Self> {
        files::make_folder(&folder)?;
        let lock = Lock::wait(&folder, cancel, observer)?;
        let mut store = Self {
            folder,
            keep,
            commit_seconds,
            on_commit,
            window,
            lock,
            plan: None,
            pending: Vec::new(),
            pending_bytes: 0,
            since_commit: None,
            heavy: BTreeSet::new(),
        };
        store.clean()?;
        for generation in generations(&store.folder)? {
            let (record, timing) = read_generation(&generation_folder(&store.folder, generation))?;
            (store.on_commit)(&record, &timing);
        }
        Ok(store)
    }

    /// Removes what an interrupted worker left half-written, when no other worker can be writing.
    fn clean(&mut self) -> Result<()> {
        if !self.lock.is_exclusive() {
            return Ok(());
        }
        for entry in fs::read_dir(&self.folder).map_err(Error::io("read", &self.folder, CHECK_OUTPUT))? {
            let path = entry.map_err(Error::io("read", &self.folder, CHECK_OUTPUT))?.path();
            if path.extension().is_some_and(|extension| extension == "tmp") {
                files::remove(&path)?;
            }
        }
        Ok(())
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
            let beside = self.folder.join(format!(".gen-{:04}.{}.tmp", entry.record.generation, std::process::id()));
            files::remove(&beside)?;
            self.write_generation(&beside, entry, self.is_kept(entry.record.generation, last))?;
            written.push(beside);
        }
        files::sync(&written, &self.folder)?;
        let mut lost = false;
        for (entry, beside) in pending.iter().zip(&written) {
            let generation = entry.record.generation;
            let target = generation_folder(&self.folder, generation);
            // Renaming a folder onto one that holds anything fails, so a generation is never replaced.
            if lost || target.exists() || fs::rename(beside, &target).is_err() {
                if !target.exists() && !lost {
                    return Err(Error::io("create", &target, CHECK_OUTPUT)(std::io::Error::last_os_error()));
                }
                lost = true;
                files::remove(beside)?;
                continue;
            }
            if self.is_kept(generation, last) {
                self.heavy.insert(generation);
            }
        }
        files::sync_folder(&self.folder)?;
        self.since_commit = Some(Stopwatch::new());
        if lost {
            return Ok(Commit::Lost);
        }
        files::remove(&self.folder.join(SCRATCH))?;
        pending.iter().for_each(|entry| (self.on_commit)(&entry.record, &entry.timing));
        self.prune(last)?;
        Ok(Commit::Won)
    }

    fn write_generation(&self, folder: &Path, entry: &Entry, kept: bool) -> Result<()> {
        files::make_folder(folder)?;
        let encode =
            |value: serde_json::Result<String>| value.map(|text| text + "\n").map_err(madloop_core::Error::other);
        files::write(&folder.join(RECORD), encode(serde_json::to_string(&entry.record))?.as_bytes())?;
        files::write(&folder.join(TIMING), encode(serde_json::to_string(&entry.timing))?.as_bytes())?;
        let scored = entry.record.n_eval > 0;
        if let Some(png) = entry.draw.as_ref().filter(|_| scored).and_then(|draw| picture(draw, self.window)) {
            files::write(&folder.join(PICTURE), &png)?;
        }
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
            // The model goes first: samples without a model are whole, a model is never half there for resume.
            for name in [MODEL, samples::SAMPLES, samples::LABELS] {
                files::remove(&folder.join(name))?;
            }
        }
        Ok(())
    }
}

impl Journal for CellStore<'_> {
    fn resume(&mut self, plan: &Loop, trainer: &dyn Trainer) -> madloop_core::Result<Option<State>> {
        self.plan = Some(plan.clone());
        self.pending.clear();
        self.pending_bytes = 0;
        let all = generations(&self.folder)?;
        let Some(&newest) = all.last() else { return Ok(None) };
        let (record, _) = read_generation(&generation_folder(&self.folder, newest))?;
        let ended = record.outcome.is_end();
        let last = if ended { newest - 1 } else { newest };
        self.heavy = all.iter().copied().filter(|&t| is_heavy(&generation_folder(&self.folder, t))).collect();
        self.prune(last)?;
        let mut state = State { generation: newest, ended, ..State::default() };
        if ended {
            return Ok(Some(state));
        }
        for t in plan.needed_models(last).filter(|&t| t > 0) {
            let folder = generation_folder(&self.folder, t).join(MODEL);
            let load = |blobs: &dyn Blobs| trainer.load(blobs);
            let model = load(&FolderBlobs::new(folder.clone())).map_err(|error| {
                Error::bad_file(
                    &folder,
                    error.to_string(),
                    "the cell cannot go on; delete the cell's folder to run it again",
                )
            })?;
            state.models.insert(t, model);
        }
        for t in plan.needed_draws(last) {
            state.draws.insert(t, samples::read(&generation_folder(&self.folder, t))?);
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
            if !needed && !ended && !self.keep.keeps(t) && waiting.record.n_eval == 0 {
                (waiting.draw, waiting.model) = (None, None);
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

    fn flush(&mut self) -> madloop_core::Result<Commit> {
        Ok(self.commit_pending()?)
    }

    fn scratch(&mut self, _generation: u32) -> madloop_core::Result<Box<dyn Blobs>> {
        Ok(Box::new(FolderBlobs::durable(self.folder.join(SCRATCH))))
    }
}

/// `gen-0001` and so on.
pub(crate) fn generation_folder(cell: &Path, generation: u32) -> PathBuf {
    cell.join(format!("gen-{generation:04}"))
}

fn is_heavy(folder: &Path) -> bool {
    [MODEL, samples::SAMPLES].iter().any(|name| folder.join(name).exists())
}

/// The generations of a cell from 0 on, without a gap.
pub(crate) fn generations(cell: &Path) -> Result<Vec<u32>> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(cell).map_err(Error::io("read", cell, CHECK_OUTPUT))? {
        let name = entry.map_err(Error::io("read", cell, CHECK_OUTPUT))?.file_name();
        found.extend(name.to_str().and_then(|name| name.strip_prefix("gen-")?.parse::<u32>().ok()));
    }
    Ok(found.into_iter().zip(0..).take_while(|(found, expected)| found == expected).map(|(t, _)| t).collect())
}

/// Remedy for a generation that cannot be read.
pub(super) const DAMAGED: &str = "delete the folder of its cell and run again";

/// Record and timing of a generation's folder.
pub(crate) fn read_generation(folder: &Path) -> Result<(Record, Timing)> {
    let read = |name: &str| {
        let path = folder.join(name);
        fs::read_to_string(&path).map_err(Error::io("read", &path, DAMAGED))
    };
    let damaged = |name: &str, error: serde_json::Error| Error::bad_file(folder.join(name), error.to_string(), DAMAGED);
    let record = serde_json::from_str(&read(RECORD)?).map_err(|error| damaged(RECORD, error))?;
    let timing = serde_json::from_str(&read(TIMING)?).map_err(|error| damaged(TIMING, error))?;
    Ok((record, timing))
}

/// The picture of a generation's folder, if it has one.
pub(crate) fn read_picture(folder: &Path) -> Option<Arc<[u8]>> {
    fs::read(folder.join(PICTURE)).ok().map(Into::into)
}
