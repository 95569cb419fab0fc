//! Running an experiment: every cell on its own thread, in its own pool, into its own folder.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use madloop_core::{
    Cancel, Cell, CellEnd, ClassSchedule, FirstGeneration, Loop, Observer, Parts, Real, RealPool, Record, SamplingBias,
    Seeds, Stopwatch, Trainer, run_cell,
};
use madloop_theory::{GaussianLoop, SampleCurve, TheoryError};
use serde_json::{Value, json};

use crate::config::{CellConfig, Experiment, Swept};
use crate::data::{DataSet, Opening, open_with, some};
use crate::device::Device;
use crate::estimate::{Estimate, bytes_in_words, keep_in_words, machine_rate, seconds_in_words};
use crate::limits::LimitCell;
use crate::scoring::SetEvaluator;
use crate::store::{CellStore, Committed, RunDir};
use crate::{Error, Result, provenance};

/// How a run uses the machine.
#[derive(Debug, Clone, Copy)]
pub struct Workers {
    /// Cells run at once.
    pub jobs: usize,
    /// Threads of each.
    pub threads: usize,
}

impl Workers {
    /// Fills in what was not asked for: one cell a core, and the cores that are left over to each.
    pub fn new(jobs: Option<usize>, threads: Option<usize>, cells: usize) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let jobs = jobs.unwrap_or_else(|| (cores / threads.unwrap_or(1)).max(1)).min(cells.max(1));
        Self { jobs, threads: threads.unwrap_or_else(|| (cores / jobs).max(1)) }
    }
}

/// An experiment whose data are loaded and whose cells are checked, ready to run.
pub struct Session {
    swept: Swept,
    cells: Vec<Prepared>,
    provenance: Value,
    workers: Workers,
}

struct Prepared {
    config: CellConfig,
    cell: Cell,
    work: Work,
    /// What the cell costs from its first generation on.
    estimate: Estimate,
}

/// What a cell does.
enum Work {
    /// Trains, samples and scores.
    Loop { trainer: Box<dyn Trainer>, evaluator: Arc<SetEvaluator>, data: Arc<DataSet> },
    /// Is calculated.
    Limit(LimitCell),
}

/// Rewrites records.jsonl as cells finish, in at most a twentieth of the time: a rewrite reads every record of the run.
#[derive(Default)]
struct Rewrites {
    /// Since the last one ended, and how long it took.
    last: Option<(Stopwatch, f64)>,
}

impl Rewrites {
    fn rewrite(&mut self, run: &RunDir) -> Result<()> {
        if self.last.as_ref().is_some_and(|(since, took)| since.seconds() < 20.0 * took) {
            return Ok(());
        }
        let clock = Stopwatch::new();
        run.write_records()?;
        let took = clock.seconds();
        self.last = Some((Stopwatch::new(), took));
        Ok(())
    }
}

/// Values that cells with the same key share.
struct Shared<T>(BTreeMap<String, Arc<T>>);

impl<T> Shared<T> {
    fn get(&mut self, key: String, make: impl FnOnce() -> Result<T>) -> Result<Arc<T>> {
        if let Some(known) = self.0.get(&key) {
            return Ok(known.clone());
        }
        let made = Arc::new(make()?);
        self.0.insert(key, made.clone());
        Ok(made)
    }
}

impl Session {
    /// Loads the data, prepares the reference sets and checks every cell: what can fail fails here, before anything is written.
    pub fn prepare(swept: Swept, opening: Opening<'_>, workers: Workers, device: &Device) -> Result<Self> {
        let pool = pool(workers.threads.max(workers.jobs))?;
        let (mut sets, mut evaluators, mut firsts, mut curves) =
            (Shared(BTreeMap::new()), Shared(BTreeMap::new()), Shared(BTreeMap::new()), Shared(BTreeMap::new()));
        let rate = machine_rate();
        let mut cells = Vec::new();
        for config in &swept.cells {
            let experiment = &config.config;
            let mut cell = Cell {
                name: config.name.clone(),
                seed: config.seed,
                plan: experiment.plan.resolve()?,
                generations: experiment.generations,
                schedule: experiment.score.schedule(),
                template: template(config),
                latents: experiment.report.latents,
                first: firsts.get(config.first_generation_key()?, || Ok(FirstGeneration::default()))?,
            };
            let curve = |settings: &GaussianLoop| {
                let bad = |error: TheoryError| Error::config("[data]", error.to_string());
                let key = json!(experiment.data).to_string();
                curves.get(key, || SampleCurve::new(&settings.covariance).map_err(bad))
            };
            if let Some(limit) = LimitCell::new(config, curve)? {
                let estimate = Estimate { core_seconds: limit.work()? / rate, disk_bytes: 16384.0 };
                cells.push(Prepared { config: config.clone(), cell, work: Work::Limit(limit), estimate });
                continue;
            }
            let data_key = json!(experiment.data).to_string();
            let data: Arc<DataSet> = sets.get(data_key, || pool.install(|| open_with(&experiment.data, opening)))?;
            let trainer = experiment.model.trainer(device)?;
            check(config, &cell.plan, trainer.as_ref(), &data)?;
            let key = json!([experiment.data, experiment.model, experiment.score, experiment.map]).to_string();
            let evaluator =
                evaluators.get(key, || pool.install(|| SetEvaluator::new(experiment, &data, opening.dirs)))?;
            evaluator.feature_name().clone_into(&mut cell.template.fixed.features);
            let shape = data.real.shape();
            check_model(experiment, trainer.as_ref(), &cell.plan, &data, device)?;
            let estimate = Estimate::of_cell(config, &cell.plan, trainer.as_ref(), &evaluator, shape, rate);
            let work = Work::Loop { trainer, evaluator, data };
            cells.push(Prepared { config: config.clone(), cell, work, estimate });
        }
        let mut provenance = provenance::machine(workers.threads, workers.jobs);
        provenance["device"] = device.name().into();
        let features: BTreeMap<&str, Option<&str>> =
            evaluators.0.values().map(|one| (one.feature_name(), one.feature_sha256())).collect();
        provenance["features"] = json!(features);
        let inputs: BTreeMap<&str, _> =
            evaluators.0.values().filter_map(|one| Some((one.feature_name(), one.feature_input()?))).collect();
        if !inputs.is_empty() {
            provenance["features_input"] = json!(inputs);
        }
        provenance["data"] = sets.0.values().map(|set| provenance::data(set)).collect();
        Ok(Self { swept, cells, provenance, workers })
    }

    /// What is left to run in `out`: its cost, and the number of generations.
    fn left(&self, out: &Path) -> (Estimate, usize) {
        let mut left = (Estimate::default(), 0);
        for prepared in &self.cells {
            let all = prepared.cell.generations as usize;
            let missing = all - RunDir::done(out, &prepared.cell.name).min(all);
            left.0 = left.0.plus(prepared.estimate.times(missing as f64 / all as f64));
            left.1 += missing;
        }
        left
    }

    /// What the run into `out` will cost and keep, in a sentence.
    pub fn forecast(&self, out: &Path) -> String {
        let cores = (self.workers.jobs * self.workers.threads) as f64;
        let cells = self.cells.len();
        let (estimate, missing) = self.left(out);
        let limits = self.swept.base.theory.is_some();
        let what = match limits {
            true => format!("{cells} {}", if cells == 1 { "limit" } else { "limits" }),
            false => format!(
                "{cells} {} of {} generations",
                if cells == 1 { "cell" } else { "cells" },
                self.swept.base.generations
            ),
        };
        if missing == 0 {
            return format!("{what}: all of them are there");
        }
        let done = cells * self.swept.base.generations as usize - missing;
        let keeps = match limits {
            true => String::new(),
            false => format!("; keeps {}", keep_in_words(self.swept.base.store.keep)),
        };
        format!(
            "{what}{}: {} on {cores:.0} {}, {} of disk{keeps}",
            if done > 0 { format!(", {done} of them there") } else { String::new() },
            seconds_in_words(estimate.core_seconds / cores),
            if cores > 1.0 { "threads" } else { "thread" },
            bytes_in_words(estimate.disk_bytes),
        )
    }

    /// Files of the data that were left out because they cannot be read, in a sentence a set.
    pub fn left_out(&self) -> Vec<String> {
        let mut seen = BTreeSet::new();
        let sets = self.cells.iter().filter_map(|prepared| match &prepared.work {
            Work::Loop { data, .. } => Some(data),
            Work::Limit(_) => None,
        });
        let told = |data: &&Arc<DataSet>| !data.left_out.is_empty() && seen.insert(data.name.clone());
        let sets: Vec<&Arc<DataSet>> = sets.filter(told).collect();
        let sentence = |data: &&Arc<DataSet>| {
            let (n, some) = (data.left_out.len(), some(data.left_out.iter().cloned()));
            format!("{}: {n} {} left out: {some}", data.name, if n == 1 { "file is" } else { "files are" })
        };
        sets.iter().map(sentence).collect()
    }

    /// The number of cells.
    pub fn n_cells(&self) -> usize {
        self.cells.len()
    }

    /// Runs all cells into `out`, going on with what is there. Every generation that is on disk is told to `on_commit`.
    pub fn run(
        &self,
        out: &Path,
        cancel: &Cancel,
        observer: &dyn Observer,
        on_commit: Committed<'_>,
    ) -> Result<RunDir> {
        self.check_space(out)?;
        let run = RunDir::create(out, &self.swept, &self.provenance)?;
        let next = AtomicUsize::new(0);
        let failure: Mutex<Option<Error>> = Mutex::new(None);
        let records = Mutex::new(Rewrites::default());
        std::thread::scope(|scope| {
            let worker = || {
                while let Some(prepared) = self.cells.get(next.fetch_add(1, Ordering::SeqCst)) {
                    let result = self
                        .run_one(prepared, &run, cancel, observer, on_commit)
                        .and_then(|_| records.lock().unwrap_or_else(PoisonError::into_inner).rewrite(&run));
                    if let Err(error) = result {
                        let mut first = failure.lock().unwrap_or_else(PoisonError::into_inner);
                        first.get_or_insert(error);
                        // No other cell begins; those that run are finished. The same command goes on from there.
                        next.store(self.cells.len(), Ordering::SeqCst);
                    }
                }
            };
            for _ in 0..self.workers.jobs {
                scope.spawn(worker);
            }
        });
        let failure = failure.into_inner().unwrap_or_else(PoisonError::into_inner);
        run.write_records()?;
        run.remove_leftovers()?;
        match failure {
            Some(error) => Err(error),
            None => Ok(run),
        }
    }

    fn run_one(
        &self,
        prepared: &Prepared,
        run: &RunDir,
        cancel: &Cancel,
        observer: &dyn Observer,
        on_commit: Committed<'_>,
    ) -> Result<CellEnd> {
        cancel.check()?;
        let Prepared { config, cell, work, .. } = prepared;
        let store = &config.config.store;
        let folder: PathBuf = run.cell(&cell.name);
        let scene = match work {
            Work::Loop { evaluator, .. } => evaluator.scene(),
            Work::Limit(_) => None,
        };
        let mut journal =
            CellStore::open(folder, store.keep, store.commit_seconds, scene, on_commit, cancel, observer)?;
        // The cell's own pool: nothing of another cell runs in it.
        let own = pool(self.workers.threads)?;
        let (trainer, evaluator, data) = match work {
            Work::Limit(limit) => return Ok(own.install(|| limit.run(cell, &mut journal, observer, cancel))?),
            Work::Loop { trainer, evaluator, data } => (trainer, evaluator, data),
        };
        let real = RealPool::new(data.real.clone(), Seeds::new(cell.seed), cell.plan.on_exhausted);
        let classes = match &data.real {
            Real::Finite(pool) => ClassSchedule::of(pool),
            Real::Infinite(_) => None,
        };
        let parts = Parts {
            trainer: trainer.as_ref(),
            evaluator: evaluator.as_ref(),
            real: &real,
            classes: classes.as_ref(),
            observer,
            cancel,
        };
        Ok(own.install(|| run_cell(cell, &parts, &mut journal))?)
    }

    /// That the run fits the disk, before its first generation.
    fn check_space(&self, out: &Path) -> Result<()> {
        let mut at = std::path::absolute(out).map_err(Error::io("find", out, "give another folder with --out"))?;
        while !at.exists() && at.pop() {}
        let stat = rustix::fs::statvfs(&at).map_err(|error| {
            Error::io("read the free space of", &at, "give another folder with --out")(error.into())
        })?;
        let available = stat.f_bavail as f64 * stat.f_frsize as f64;
        let needed = self.left(out).0.disk_bytes;
        if needed > available {
            return Err(Error::NoSpace {
                path: at,
                available: bytes_in_words(available),
                needed: bytes_in_words(needed),
            });
        }
        Ok(())
    }
}

fn pool(threads: usize) -> Result<rayon::ThreadPool> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
    pool.map_err(|error| Error::config("--threads", format!("{threads} threads cannot be started: {error}")))
}

/// What depends on the data: counts, labels.
fn check(config: &CellConfig, plan: &Loop, trainer: &dyn Trainer, data: &DataSet) -> Result<()> {
    plan.check(data.real.available(), u64::from(config.config.generations))?;
    crate::estimate::check_memory(config, plan, trainer, &data.real)?;
    if config.config.model.is_per_class() {
        let labelled = matches!(&data.real, Real::Finite(pool) if pool.labels().is_some());
        if !labelled {
            let why = format!("{} has no class labels; use per_class = false or a labelled data set", data.name);
            return Err(Error::config("model.per_class", why));
        }
    }
    Ok(())
}

/// What the model family refuses, before anything is written.
fn check_model(
    experiment: &Experiment,
    trainer: &dyn Trainer,
    plan: &Loop,
    data: &DataSet,
    device: &Device,
) -> Result<()> {
    let labelled = matches!(&data.real, Real::Finite(pool) if pool.labels().is_some());
    let scored = experiment.score.lambda.map(SamplingBias::new).transpose()?;
    let lambdas: Vec<SamplingBias> = [plan.lambda].into_iter().chain(scored).collect();
    let refused = trainer.check(data.real.shape(), labelled, &lambdas);
    refused.map_err(|error| Error::config(format!("data {} and [model]", data.name), error.to_string()))?;
    // A device has memory of its own, and its driver says when that is full.
    if device.is_cpu() { crate::estimate::check_batch(trainer.cost(plan.n_initial, data.real.shape())) } else { Ok(()) }
}

/// What all records of a cell have in common.
fn template(config: &CellConfig) -> Record {
    let mut record = Record { params: config.params.clone(), ..Record::default() };
    record.fixed.run = config.config.name.clone();
    record.fixed.k = config.config.score.k as u32;
    record.fixed.reference = match config.config.score.reference {
        crate::config::ReferenceSplit::Test => "test".into(),
        crate::config::ReferenceSplit::Train => "train".into(),
    };
    record
}

impl Swept {
    /// The resolved experiment as TOML, sweep included.
    pub fn to_toml(&self) -> Result<String> {
        let config = |error: toml::ser::Error| Error::config("the resolved experiment", error.to_string());
        let mut table = toml::Table::try_from(&self.base).map_err(config)?;
        if let Some(sweep) = self.sweep.to_toml() {
            table.insert("sweep".into(), toml::Value::Table(sweep));
        }
        toml::to_string(&table).map_err(config)
    }
}
