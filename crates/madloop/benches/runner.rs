//! What the store adds to a generation: 200 generations of a small Gaussian, on disk and in memory.

#![allow(clippy::unwrap_used, missing_docs, reason = "a bench")]

use std::sync::Arc;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use madloop::config::{KeepConfig, KeepWord};
use madloop::store::CellStore;
use madloop_core::*;
use madloop_models::GaussianConfig;

const GENERATIONS: u32 = 200;

/// Scores nothing.
struct NoMetrics;

impl Evaluator for NoMetrics {
    fn rows(&self) -> u64 {
        10
    }
    fn lambda(&self) -> Option<SamplingBias> {
        None
    }
    fn held_out(&self, _seeds: Seeds) -> Result<Samples> {
        Ok(real())
    }
    fn score(&self, _judged: Judged<'_>) -> Result<Scores> {
        Ok(Scores::default())
    }
}

fn real() -> Samples {
    Samples::from_f32(Shape::vector(2), (0..20).map(|v: u16| f32::from(v * v % 11)).collect()).unwrap()
}

fn run(journal: &mut dyn Journal, schedule: ScoreSchedule) {
    let plan = Loop {
        kind: LoopKind::FullySynthetic,
        n_initial: 10,
        n_real: 0,
        n_synthetic: 10,
        lambda: SamplingBias::UNBIASED,
        history: History::Last(1),
        pool: Pool::Redraw,
        synthetic_count: SyntheticCount::Total,
        on_exhausted: OnExhausted::Error,
    };
    let cell = Cell {
        name: "cell".into(),
        seed: 0,
        plan,
        generations: GENERATIONS,
        schedule,
        template: Record::default(),
        latents: 0,
        first: Arc::new(FirstGeneration::default()),
    };
    let trainer = GaussianConfig::default().trainer();
    let parts = Parts {
        trainer: trainer.as_ref(),
        evaluator: &NoMetrics,
        real: &RealPool::new(Real::Finite(real()), Seeds::new(0), OnExhausted::Error),
        classes: None,
        observer: &Silent,
        cancel: &Cancel::default(),
    };
    run_cell(&cell, &parts, journal).unwrap();
}

fn runner(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("200 generations");
    group.sample_size(10);
    group.bench_function("in memory", |bencher| {
        bencher.iter(|| run(&mut MemoryJournal::default(), ScoreSchedule::At(Vec::new())));
    });
    // Every generation that is scored has a picture.
    let schedules = [("on disk", ScoreSchedule::At(Vec::new())), ("on disk, with pictures", ScoreSchedule::Every(1))];
    for (name, schedule) in schedules {
        group.bench_function(name, |bencher| {
            let run = |folder: &tempfile::TempDir| {
                let (path, keep) = (folder.path().to_owned(), KeepConfig::Word(KeepWord::Last));
                let cancel = Cancel::default();
                let mut store = CellStore::open(path, keep, 1.0, None, &|_, _| {}, &cancel, &Silent).unwrap();
                run(&mut store, schedule.clone());
            };
            bencher.iter_batched_ref(|| tempfile::tempdir().unwrap(), |folder| run(folder), BatchSize::PerIteration);
        });
    }
    group.finish();
}

criterion_group!(benches, runner);
criterion_main!(benches);
