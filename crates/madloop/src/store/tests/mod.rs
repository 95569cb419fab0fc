//! Crashes and races of a cell's journal.

#![allow(clippy::unwrap_used, reason = "tests")]

mod crash;
mod race;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};

use madloop_core::{
    Blobs, Cancel, Cell, CellEnd, Context, Cost, Evaluator, FirstGeneration, Generator, History, Journal, Judged, Loop,
    LoopKind, Mix, Observer, OnExhausted, Parts, Pool, Real, RealPool, Record, Result, Samples, SamplingBias,
    ScoreSchedule, Scores, Seeds, Shape, Silent, SyntheticCount, Timing, Trained, Trainer, run_cell,
};
use madloop_models::GaussianConfig;

use super::CellStore;
use super::lock::Lock;
use crate::config::KeepConfig;

const N: u64 = 12;

/// Scores the mean of the first column.
struct Mean;

impl Evaluator for Mean {
    fn rows(&self) -> u64 {
        N
    }
    fn lambda(&self) -> Option<SamplingBias> {
        None
    }
    fn held_out(&self, _seeds: Seeds) -> Result<Samples> {
        Ok(real())
    }
    fn score(&self, judged: Judged<'_>) -> Result<Scores> {
        let mut scores = Scores::default();
        scores.set("mean", Ok(judged.samples.to_f32().iter().step_by(3).map(|&v| f64::from(v)).sum()));
        Ok(scores)
    }
}

/// A Gaussian that cannot be trained at one generation.
struct Mortal {
    inner: Box<dyn Trainer>,
    dies_at: u32,
}

impl Trainer for Mortal {
    fn family(&self) -> &'static str {
        self.inner.family()
    }
    fn train(&self, mix: &Mix, context: &mut Context<'_>) -> Result<Trained> {
        match context.seeds.generation() == self.dies_at {
            true => Ok(Trained::Ended("its time had come".into())),
            false => self.inner.train(mix, context),
        }
    }
    fn load(&self, blobs: &dyn Blobs) -> Result<Arc<dyn Generator>> {
        self.inner.load(blobs)
    }
    fn cost(&self, rows: u64, shape: Shape) -> Cost {
        self.inner.cost(rows, shape)
    }
}

/// Vectors in R^3, so that no pictures take time.
fn real() -> Samples {
    Samples::from_f32(Shape::vector(3), (0..300).map(|v: u16| f32::from(v * v % 101) / 50.0 - 1.0).collect()).unwrap()
}

/// What a test varies.
#[derive(Clone, Copy)]
struct Setting {
    history: History,
    pool: Pool,
    keep: KeepConfig,
    generations: u32,
    dies_at: u32,
}

const LAST: KeepConfig = KeepConfig::Word(crate::config::KeepWord::Last);
const ALL: KeepConfig = KeepConfig::Word(crate::config::KeepWord::All);

fn settings() -> Vec<Setting> {
    let every_2 = KeepConfig::Every(2.try_into().unwrap());
    let redraw = |k| Setting { history: History::Last(k), pool: Pool::Redraw, keep: LAST, generations: 10, dies_at: 0 };
    vec![
        redraw(1),
        Setting { keep: every_2, ..redraw(1) },
        redraw(3),
        Setting { history: History::All, ..redraw(1) },
        Setting { pool: Pool::Accumulate, ..redraw(1) },
        Setting { keep: ALL, ..redraw(2) },
        Setting { dies_at: 9, ..redraw(3) },
    ]
}

impl Setting {
    fn run(&self, journal: &mut dyn Journal) -> Result<CellEnd> {
        let trainer = Mortal { inner: GaussianConfig::default().trainer(), dies_at: self.dies_at };
        let cell = Cell {
            name: "cell".into(),
            seed: 5,
            plan: Loop {
                kind: LoopKind::FullySynthetic,
                n_initial: N,
                n_real: 0,
                n_synthetic: N,
                lambda: SamplingBias::UNBIASED,
                history: self.history,
                pool: self.pool,
                synthetic_count: SyntheticCount::Total,
                on_exhausted: OnExhausted::Error,
            },
            generations: self.generations,
            schedule: ScoreSchedule::Every(1),
            template: Record::default(),
            latents: 0,
            first: Arc::new(FirstGeneration::default()),
        };
        let real = RealPool::new(Real::Finite(real()), Seeds::new(5), OnExhausted::Error);
        let parts = Parts {
            trainer: &trainer,
            evaluator: &Mean,
            real: &real,
            classes: None,
            observer: &Silent,
            cancel: &Cancel::default(),
        };
        run_cell(&cell, &parts, journal)
    }

    /// Runs in `folder` to the end.
    fn finish(&self, folder: &Path, commit_seconds: f64) -> CellEnd {
        let told = Told::default();
        let on_commit = |record: &Record, _: &Timing| told.add(record);
        let mut store = self.open(folder, commit_seconds, &on_commit, &Silent);
        let end = self.run(&mut store).unwrap();
        told.check(folder);
        end
    }

    fn open<'a>(
        &self,
        folder: &Path,
        commit_seconds: f64,
        on_commit: super::Committed<'a>,
        observer: &'a dyn Observer,
    ) -> CellStore<'a> {
        let folder = folder.to_owned();
        CellStore::open(folder, self.keep, commit_seconds, None, on_commit, &Cancel::default(), observer).unwrap()
    }

    fn open_without_lock<'a>(
        &self,
        folder: &Path,
        commit_seconds: f64,
        on_commit: super::Committed<'a>,
    ) -> CellStore<'a> {
        let lock = Lock::none();
        CellStore::with_lock(folder.to_owned(), self.keep, commit_seconds, None, on_commit, &Silent, lock).unwrap()
    }
}

/// The generations of which a journal told.
#[derive(Default)]
struct Told(Mutex<Vec<u32>>);

impl Told {
    fn add(&self, record: &Record) {
        self.0.lock().unwrap().push(record.generation);
    }

    /// That every generation on disk was told once, in order.
    fn check(&self, folder: &Path) {
        let there = super::generation::generations(folder).unwrap();
        assert_eq!(*self.0.lock().unwrap(), there);
    }
}

/// Hears warnings.
#[derive(Default)]
struct Warned(Mutex<Vec<String>>);

impl Observer for Warned {
    fn warn(&self, message: &str) {
        self.0.lock().unwrap().push(message.to_owned());
    }
}

/// All files but times and the lock, with their bytes.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    fn walk(root: &Path, at: &Path, found: &mut BTreeMap<String, Vec<u8>>) {
        for entry in fs::read_dir(at).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(root).unwrap().to_string_lossy().into_owned();
            if path.is_dir() {
                walk(root, &path, found);
            } else if !name.ends_with("timing.json") && name != "lock" {
                found.insert(name, fs::read(&path).unwrap());
            }
        }
    }
    let mut found = BTreeMap::new();
    walk(folder, folder, &mut found);
    found
}

#[track_caller]
fn assert_same(expected: &BTreeMap<String, Vec<u8>>, folder: &Path, what: &str) {
    let found = files(folder);
    assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>(), "{what}");
    for (name, bytes) in expected {
        assert!(found[name] == *bytes, "{what}: {name} differs");
    }
}

/// The files of an undisturbed run that commits one by one.
fn undisturbed(setting: &Setting) -> BTreeMap<String, Vec<u8>> {
    let folder = tempfile::tempdir().unwrap();
    setting.finish(folder.path(), 0.0);
    files(folder.path())
}
