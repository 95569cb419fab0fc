//! Parts of a loop that write down what is asked of them.

use std::ops::Range;
use std::sync::{Arc, Mutex};

use madloop_core::*;

/// Calls in the order in which they came.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    pub(crate) fn add(&self, call: impl Into<String>) {
        self.0.lock().unwrap().push(call.into());
    }

    /// What was logged since the last call.
    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

/// The value of a row: 1000 x generation + row, so that every sample tells where it comes from; lambda below 1 adds a half.
pub(crate) fn value(generation: u32, row: u64, lambda: SamplingBias) -> f32 {
    (u64::from(generation) * 1000 + row) as f32 + if lambda.lambda() < 1.0 { 0.5 } else { 0.0 }
}

pub(crate) fn samples(values: Vec<f32>) -> Samples {
    Samples::from_f32(Shape::vector(1), values).unwrap()
}

pub(crate) struct MockModel {
    generation: u32,
    log: Log,
}

impl Generator for MockModel {
    fn sample(&self, rows: Range<u64>, lambda: SamplingBias, seeds: Seeds) -> Result<Samples> {
        assert_eq!(seeds.generation(), self.generation, "a model samples at its own address");
        self.log.add(format!("sample {} {rows:?} {}", self.generation, lambda.lambda()));
        Ok(samples(rows.map(|row| value(self.generation, row, lambda)).collect()))
    }
    fn save(&self, blobs: &mut dyn Blobs) -> Result<()> {
        blobs.put("generation", &self.generation.to_le_bytes())
    }
}

/// What training at some generation comes to.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Fate {
    Degenerate,
    Ended,
    Cancels,
    Fails,
}

pub(crate) struct MockTrainer {
    pub(crate) log: Log,
    pub(crate) fates: Vec<(u32, Fate)>,
    pub(crate) cancel: Cancel,
}

impl Trainer for MockTrainer {
    fn family(&self) -> &'static str {
        "mock"
    }
    fn train(&self, mix: &Mix, context: &mut Context<'_>) -> Result<Trained> {
        let t = context.seeds.generation();
        let parts: Vec<String> = mix.parts().iter().map(describe).collect();
        self.log.add(format!("train {t}: {}", parts.join(", ")));
        let model = Arc::new(MockModel { generation: t, log: self.log.clone() });
        match self.fates.iter().find(|(at, _)| *at == t).map(|(_, fate)| *fate) {
            None => Ok(Trained::Model(model)),
            Some(Fate::Degenerate) => Ok(Trained::Degenerate(model, "rank 0 of 1".into())),
            Some(Fate::Ended) => Ok(Trained::Ended("the loss is NaN".into())),
            Some(Fate::Fails) => Err(Error::other("no power")),
            Some(Fate::Cancels) => {
                self.cancel.request();
                Ok(Trained::Model(model))
            }
        }
    }
    fn load(&self, blobs: &dyn Blobs) -> Result<Arc<dyn Generator>> {
        let bytes = blobs.get("generation")?.unwrap();
        let generation = u32::from_le_bytes(bytes.try_into().unwrap());
        Ok(Arc::new(MockModel { generation, log: self.log.clone() }))
    }
    fn cost(&self, _rows: u64, _shape: Shape) -> Cost {
        Cost::default()
    }
}

/// Origin and first and last value of a part: real rows are negative positions, synthetic ones [`value`].
pub(crate) fn describe(part: &Part) -> String {
    let mix = Mix::new(vec![part.clone()]).unwrap();
    let mut all = vec![0.0; mix.len()];
    mix.copy_rows_f64(0, &mut all);
    let origin = match part.origin {
        Origin::Real { fresh: true } => "fresh".into(),
        Origin::Real { fresh: false } => "fixed".into(),
        Origin::Synthetic { generation } => format!("made by {generation}"),
    };
    assert!(all.windows(2).all(|pair| (pair[1] - pair[0]).abs() == 1.0), "{all:?} are not neighbours");
    format!("{origin} {}..={}", all[0], all[all.len() - 1])
}

pub(crate) struct MockEvaluator {
    pub(crate) log: Log,
    pub(crate) rows: u64,
    pub(crate) lambda: Option<SamplingBias>,
}

impl Evaluator for MockEvaluator {
    fn rows(&self) -> u64 {
        self.rows
    }
    fn lambda(&self) -> Option<SamplingBias> {
        self.lambda
    }
    fn held_out(&self, _seeds: Seeds) -> Result<Samples> {
        Ok(samples(vec![7.0; self.rows as usize]))
    }
    fn score(&self, judged: Judged<'_>) -> Result<Scores> {
        let (all, model) = (judged.samples.to_f32(), judged.model);
        let (first, last) = (all[0], all[all.len() - 1]);
        self.log.add(format!("score {}{first}..={last}", if model.is_some() { "" } else { "real " }));
        let mut scores = Scores::default();
        scores.set("first", Ok(f64::from(first)));
        Ok(scores)
    }
}

/// A journal that keeps everything, groups commits if asked to, and may lose some.
pub(crate) struct MockJournal {
    pub(crate) log: Log,
    pub(crate) inner: MemoryJournal,
    /// The first commit of these generations is lost to another worker, who commits it and one more.
    pub(crate) loses: Vec<u32>,
    /// How often the flush is lost.
    pub(crate) loses_flush: u32,
}

impl MockJournal {
    pub(crate) fn new(log: &Log) -> Self {
        Self { log: log.clone(), inner: MemoryJournal::default(), loses: Vec::new(), loses_flush: 0 }
    }
}

impl Journal for MockJournal {
    fn resume(&mut self, plan: &Loop, trainer: &dyn Trainer) -> Result<Option<State>> {
        self.log.add("resume");
        self.inner.resume(plan, trainer)
    }
    fn commit(&mut self, entry: Entry) -> Result<Commit> {
        let record = &entry.record;
        self.log.add(format!("commit {} {}", record.generation, record.outcome.name()));
        let before = self.loses.len();
        self.loses.retain(|t| *t != record.generation);
        self.inner.commit(entry)?;
        Ok(if self.loses.len() < before { Commit::Lost } else { Commit::Won })
    }
    fn flush(&mut self) -> Result<Commit> {
        self.log.add("flush");
        if self.loses_flush == 0 {
            return Ok(Commit::Won);
        }
        // The last generation was another's, and is gone with that worker.
        self.loses_flush -= 1;
        let record = self.inner.records.pop().unwrap();
        let state = self.inner.state.as_mut().unwrap();
        state.generation = record.generation - 1;
        let model = MockModel { generation: state.generation, log: self.log.clone() };
        state.models = [(state.generation, Arc::new(model) as Arc<dyn Generator>)].into();
        state.draws.clear();
        Ok(Commit::Lost)
    }
    fn scratch(&mut self, generation: u32) -> Result<Box<dyn Blobs>> {
        self.inner.scratch(generation)
    }
}

/// Logs the stages.
pub(crate) struct Stages(pub(crate) Log);

impl Observer for Stages {
    fn stage(&self, _cell: &str, generation: u32, stage: Stage) {
        self.0.add(format!("[{} {generation}]", stage.name()));
    }
}

/// Real data whose position p has the value -p - 1.
pub(crate) struct Positions;

impl Source for Positions {
    fn shape(&self) -> Shape {
        Shape::vector(1)
    }
    fn draw(&self, rows: Range<u64>, _stream: Stream, _seeds: Seeds) -> Samples {
        samples(rows.map(|row| -(row as f32) - 1.0).collect())
    }
}
