//! The self-consuming loop: train -> sample -> score -> record -> mix, generation after generation.

use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;

use crate::{
    Cancel, ClassSchedule, Commit, Context, Entry, Evaluator, History, Journal, Judged, Loop, Mix, Observer, Origin,
    Outcome, RealPool, Record, Result, Samples, SamplingBias, ScoreSchedule, Seeds, Stage, State, Stopwatch, Timing,
    Trained, Trainer, Watch,
};

/// One loop: one configuration and one seed.
pub struct Cell {
    /// Name of the cell, for progress and records.
    pub name: String,
    /// Its seed.
    pub seed: u64,
    /// How training sets are composed.
    pub plan: Loop,
    /// The last generation.
    pub generations: u32,
    /// Which generations are scored.
    pub schedule: ScoreSchedule,
    /// What all its records have in common.
    pub template: Record,
    /// Latents whose samples every scored generation draws for the report, the same in each; 0 for none.
    pub latents: u64,
    /// Generation 1, shared with the cells of the same data, model, seed and n_initial.
    pub first: Arc<FirstGeneration>,
}

/// The parts that a cell is run with.
pub struct Parts<'a> {
    /// Data -> generator.
    pub trainer: &'a dyn Trainer,
    /// Samples -> metrics.
    pub evaluator: &'a dyn Evaluator,
    /// Real samples in the seed's order.
    pub real: &'a RealPool,
    /// Class proportions of the real data.
    pub classes: Option<&'a ClassSchedule>,
    /// Who watches.
    pub observer: &'a dyn Observer,
    /// Set when the run should stop.
    pub cancel: &'a Cancel,
}

/// How a cell came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CellEnd {
    /// All generations are done.
    Done,
    /// The last model could not be trained: the cell ended early.
    Ended,
}

/// The model of generation 1, trained by whichever cell comes first.
#[derive(Default)]
pub struct FirstGeneration(Mutex<Option<Trained>>);

/// Runs one cell to its end, going on from where its journal stands.
pub fn run_cell(cell: &Cell, parts: &Parts<'_>, journal: &mut dyn Journal) -> Result<CellEnd> {
    cell.plan.check(parts.real.real().available(), u64::from(cell.generations))?;
    let seeds = Seeds::new(cell.seed);
    let mut state = match journal.resume(&cell.plan, parts.trainer)? {
        Some(state) => state,
        None => baseline(cell, parts, journal, seeds)?,
    };
    parts.observer.cell_started(&cell.name, state.generation, cell.generations);
    loop {
        let mut end = Ok(Commit::Won);
        while state.generation < cell.generations && !state.ended && matches!(end, Ok(Commit::Won)) {
            end = generation(cell, parts, journal, seeds, &mut state);
        }
        // Whatever comes next, what is done is made durable.
        let flushed = journal.flush();
        match (end?, flushed?) {
            (Commit::Won, Commit::Won) => break,
            _ => state = reload(cell, parts, journal, state)?,
        }
    }
    parts.observer.cell_finished(&cell.name);
    Ok(if state.ended { CellEnd::Ended } else { CellEnd::Done })
}

/// The next generation: mix -> train -> sample -> score -> commit.
fn generation(
    cell: &Cell,
    parts: &Parts<'_>,
    journal: &mut dyn Journal,
    seeds: Seeds,
    state: &mut State,
) -> Result<Commit> {
    parts.cancel.check()?;
    let t = state.generation + 1;
    let at = seeds.at(t);
    let stage = |stage| parts.observer.stage(&cell.name, t, stage);
    let mut timing = Timing::default();

    stage(Stage::Mix);
    let mix = cell.plan.mix(t, parts.real, state, seeds).map_err(|e| e.in_stage("mixing", t))?;

    stage(Stage::Train);
    let clock = Stopwatch::new();
    let trained = train(cell, parts, journal, &mix, at, state).map_err(|e| e.in_stage("training", t))?;
    timing.train_seconds = clock.seconds();

    let (outcome, model) = match trained {
        Trained::Model(model) => (Outcome::Ok, model),
        Trained::Degenerate(model, why) => (Outcome::Degenerate(why), model),
        Trained::Ended(why) => return end(cell, parts, journal, state, (t, &mix, timing, why)),
    };
    let mut record = record(cell, parts, t, Some(&mix), outcome);
    (record.fixed.sampler, record.fixed.steps) = model.sampler().unzip();

    stage(Stage::Sample);
    let clock = Stopwatch::new();
    let scored = cell.schedule.is_due(t);
    let n_score = if scored { parts.evaluator.rows() } else { 0 };
    let lambda = cell.plan.lambda;
    let score_lambda = parts.evaluator.lambda().unwrap_or(lambda);
    let watch = Watch { cancel: parts.cancel, progress: &|progress| parts.observer.progress(&cell.name, progress) };
    let sample = |rows, lambda: SamplingBias| {
        model.sample_watched(0..rows, lambda, at, watch).map_err(|e| e.in_stage("sampling", t))
    };
    let rows = cell.plan.n_synthetic.max(if score_lambda == lambda { n_score } else { 0 });
    let drawn = sample(rows, lambda).and_then(|draw| {
        let judged = if score_lambda == lambda { head(&draw, n_score) } else { sample(n_score, score_lambda)? };
        Ok((draw, judged))
    });
    let (draw, judged) = match drawn {
        // The loop has come to its end, as with a loss that is not a number.
        Err(error) if error.is_non_finite() => {
            return end(cell, parts, journal, state, (t, &mix, timing, error.to_string()));
        }
        drawn => drawn?,
    };
    // Addressed by generation 0, which draws no samples of a model: the same latents in every generation.
    let latents = match scored && cell.latents > 0 {
        true => model.sample_watched(0..cell.latents, lambda, seeds.at(0), watch).map(Some),
        false => Ok(None),
    };
    let latents = latents.map_err(|e| e.in_stage("sampling", t))?;
    timing.sample_seconds = clock.seconds();

    let mut map = None;
    if scored {
        stage(Stage::Score);
        let clock = Stopwatch::new();
        let model = Some(model.as_ref());
        let judged = Judged { samples: &judged, model, training: Some(&mix), seeds, cancel: parts.cancel };
        record.scores = parts.evaluator.score(judged).map_err(|e| e.in_stage("scoring", t))?;
        map = parts.evaluator.map(t, judged).map_err(|e| e.in_stage("mapping", t))?;
        record.fixed.n_eval = n_score;
        timing.score_seconds = clock.seconds();
    }

    stage(Stage::Commit);
    parts.observer.generation_done(&record, &timing);
    let entry = Entry { record, timing, model: Some(model.clone()), draw: Some(draw.clone()), latents, map };
    let commit = journal.commit(entry)?;
    state.advance(&cell.plan, t, model, Some(draw));
    journal.settle(&mut state.draws)?;
    Ok(commit)
}

/// Commits generation `t` as the one that ended the cell, with the reason.
fn end(
    cell: &Cell,
    parts: &Parts<'_>,
    journal: &mut dyn Journal,
    state: &mut State,
    (t, mix, timing, why): (u32, &Mix, Timing, String),
) -> Result<Commit> {
    let record = record(cell, parts, t, Some(mix), Outcome::Ended(why));
    parts.observer.generation_done(&record, &timing);
    let commit = journal.commit(Entry { record, timing, model: None, draw: None, latents: None, map: None })?;
    (state.generation, state.ended) = (t, true);
    Ok(commit)
}

/// Generation 0: held-out real samples against the reference, the baseline of every chart.
fn baseline(cell: &Cell, parts: &Parts<'_>, journal: &mut dyn Journal, seeds: Seeds) -> Result<State> {
    let clock = Stopwatch::new();
    let held_out = parts.evaluator.held_out(seeds)?;
    let mut record = record(cell, parts, 0, None, Outcome::Ok);
    let judged = Judged { samples: &held_out, model: None, training: None, seeds, cancel: parts.cancel };
    record.scores = parts.evaluator.score(judged).map_err(|e| e.in_stage("scoring", 0))?;
    let map = parts.evaluator.map(0, judged).map_err(|e| e.in_stage("mapping", 0))?;
    record.fixed.n_eval = held_out.len() as u64;
    let timing = Timing { score_seconds: clock.seconds(), ..Timing::default() };
    parts.observer.generation_done(&record, &timing);
    match journal.commit(Entry { record, timing, model: None, draw: Some(held_out), latents: None, map })? {
        Commit::Won => Ok(State::default()),
        Commit::Lost => reload(cell, parts, journal, State::default()),
    }
}

/// Another worker was first: go on from what it committed.
fn reload(cell: &Cell, parts: &Parts<'_>, journal: &mut dyn Journal, ours: State) -> Result<State> {
    Ok(journal.resume(&cell.plan, parts.trainer)?.unwrap_or(ours))
}

fn train(
    cell: &Cell,
    parts: &Parts<'_>,
    journal: &mut dyn Journal,
    mix: &Mix,
    seeds: Seeds,
    state: &State,
) -> Result<Trained> {
    let t = seeds.generation();
    let previous = state.models.get(&(t - 1)).filter(|_| parts.trainer.begins_at_previous());
    let mut scratch = journal.scratch(t)?;
    let mut context = Context {
        seeds,
        classes: parts.classes,
        previous: previous.map(AsRef::as_ref),
        scratch: scratch.as_mut(),
        cancel: parts.cancel,
        progress: &|progress| parts.observer.progress(&cell.name, progress),
    };
    if t > 1 {
        return parts.trainer.train(mix, &mut context);
    }
    let mut first = cell.first.0.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(trained) = &*first {
        return Ok(trained.clone());
    }
    let trained = parts.trainer.train(mix, &mut context)?;
    *first = Some(trained.clone());
    Ok(trained)
}

fn record(cell: &Cell, parts: &Parts<'_>, generation: u32, mix: Option<&Mix>, outcome: Outcome) -> Record {
    let mut record = Record { outcome, ..cell.template.clone() };
    let count = |which: fn(Origin) -> bool| mix.map_or(0, |mix| mix.count(which));
    record.fixed.schema_version = crate::SCHEMA_VERSION;
    record.fixed.cell = cell.name.clone();
    record.fixed.seed = cell.seed;
    record.fixed.generation = generation;
    record.fixed.model = parts.trainer.family().to_owned();
    record.fixed.init = parts.trainer.begins_at_previous().then(|| "previous".to_owned());
    record.fixed.kind = cell.plan.kind.name().to_owned();
    record.fixed.lambda = cell.plan.lambda.lambda();
    record.fixed.score_lambda = parts.evaluator.lambda().unwrap_or(cell.plan.lambda).lambda();
    record.fixed.history = match cell.plan.history {
        History::Last(k) => Value::from(k),
        History::All => Value::from("all"),
    };
    record.fixed.n_real = count(|origin| matches!(origin, Origin::Real { .. }));
    record.fixed.n_fresh = count(|origin| matches!(origin, Origin::Real { fresh: true }));
    record.fixed.n_synthetic = count(|origin| matches!(origin, Origin::Synthetic { .. }));
    let (positions, fresh) = cell.plan.real_positions(generation);
    let available = parts.real.real().available().unwrap_or(u64::MAX);
    record.fixed.reused = fresh && positions.end > available;
    record
}

fn head(samples: &Samples, rows: u64) -> Samples {
    samples.slice(0..rows as usize)
}
