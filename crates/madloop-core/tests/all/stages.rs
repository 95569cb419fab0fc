//! The order of the stages, what each of them sees, and how a cell ends.

use std::sync::Arc;

use madloop_core::*;

use crate::mocks::*;

/// A cell with mock parts.
pub(crate) struct Lab {
    pub(crate) log: Log,
    pub(crate) cell: Cell,
    pub(crate) trainer: MockTrainer,
    pub(crate) evaluator: MockEvaluator,
    pub(crate) journal: MockJournal,
}

impl Lab {
    /// 5 real samples at first, then 2 real and 3 synthetic ones; 4 are scored.
    pub(crate) fn new(kind: LoopKind) -> Self {
        let log = Log::default();
        let plan = Loop {
            kind,
            n_initial: 5,
            n_real: 2,
            n_synthetic: 3,
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
            generations: 3,
            schedule: ScoreSchedule::Every(1),
            template: Record::default(),
            latents: 0,
            first: Arc::new(FirstGeneration::default()),
        };
        Self {
            trainer: MockTrainer { log: log.clone(), fates: Vec::new(), cancel: Cancel::default() },
            evaluator: MockEvaluator { log: log.clone(), rows: 4, lambda: None },
            journal: MockJournal::new(&log),
            cell,
            log,
        }
    }

    pub(crate) fn run(&mut self) -> Result<CellEnd> {
        let real = Real::Infinite(Arc::new(Positions));
        let real = RealPool::new(real, Seeds::new(0), OnExhausted::Error);
        let observer = Stages(self.log.clone());
        let parts = Parts {
            trainer: &self.trainer,
            evaluator: &self.evaluator,
            real: &real,
            classes: None,
            observer: &observer,
            cancel: &self.trainer.cancel,
        };
        run_cell(&self.cell, &parts, &mut self.journal)
    }

    /// Calls that begin with `word`, after a run.
    pub(crate) fn calls(&self, word: &str) -> Vec<String> {
        self.log.take().into_iter().filter(|call| call.starts_with(word)).collect()
    }

    fn generations(&self) -> Vec<u32> {
        self.journal.inner.records.iter().map(|record| record.generation).collect()
    }
}

#[test]
fn the_stages_come_in_the_papers_order() {
    let mut lab = Lab::new(LoopKind::FullySynthetic);
    lab.cell.generations = 2;
    assert_eq!(lab.run().unwrap(), CellEnd::Done);
    assert_eq!(
        lab.log.take(),
        [
            "resume",
            "score real 7..=7",
            "commit 0 ok",
            "[mix 1]",
            "[train 1]",
            "train 1: fresh -1..=-5",
            "[sample 1]",
            "sample 1 0..4 1",
            "[score 1]",
            "score 1000..=1003",
            "[commit 1]",
            "commit 1 ok",
            // One draw is scored, rows [0, 4), and trained on, rows [0, 3).
            "[mix 2]",
            "[train 2]",
            "train 2: made by 1 1000..=1002",
            "[sample 2]",
            "sample 2 0..4 1",
            "[score 2]",
            "score 2000..=2003",
            "[commit 2]",
            "commit 2 ok",
            "flush",
        ]
    );
    let records = &lab.journal.inner.records;
    assert_eq!(records[2].metric("first"), Some(2000.0));
    let counts = |r: &Record| (r.n_real, r.n_fresh, r.n_synthetic, r.n_eval);
    assert_eq!(records.iter().map(counts).collect::<Vec<_>>(), [(0, 0, 0, 4), (5, 5, 0, 4), (0, 0, 3, 4)]);
}

#[test]
fn a_larger_training_draw_is_the_same_draw() {
    let mut lab = Lab::new(LoopKind::FullySynthetic);
    lab.evaluator.rows = 2;
    lab.run().unwrap();
    let calls = lab.log.take();
    assert!(calls.contains(&"sample 1 0..3 1".into()) && calls.contains(&"score 1000..=1001".into()), "{calls:?}");
    assert!(calls.contains(&"train 2: made by 1 1000..=1002".into()), "{calls:?}");
}

#[test]
fn generations_that_are_not_scored_sample_what_trains() {
    let mut lab = Lab::new(LoopKind::FullySynthetic);
    lab.cell.schedule = ScoreSchedule::At(vec![2]);
    lab.run().unwrap();
    assert_eq!(lab.calls("sample"), ["sample 1 0..3 1", "sample 2 0..4 1", "sample 3 0..3 1"]);
    let n_eval: Vec<u64> = lab.journal.inner.records.iter().map(|record| record.n_eval).collect();
    assert_eq!(n_eval, [4, 0, 4, 0]);
}

#[test]
fn another_lambda_of_the_score_samples_apart() {
    let mut lab = Lab::new(LoopKind::FullySynthetic);
    lab.evaluator.lambda = Some(SamplingBias::new(0.5).unwrap());
    lab.cell.generations = 2;
    lab.run().unwrap();
    let calls = lab.log.take();
    let of = |word: &str| calls.iter().filter(|call| call.starts_with(word)).cloned().collect::<Vec<_>>();
    assert_eq!(of("sample"), ["sample 1 0..3 1", "sample 1 0..4 0.5", "sample 2 0..3 1", "sample 2 0..4 0.5"]);
    assert_eq!(of("score"), ["score real 7..=7", "score 1000.5..=1003.5", "score 2000.5..=2003.5"]);
    assert_eq!(of("train 2"), ["train 2: made by 1 1000..=1002"]);
    assert_eq!(lab.journal.inner.records[1].score_lambda, 0.5);
}

#[test]
fn an_end_is_a_record_and_the_last() {
    let mut lab = Lab::new(LoopKind::FullySynthetic);
    lab.trainer.fates = vec![(1, Fate::Degenerate), (2, Fate::Ended)];
    assert_eq!(lab.run().unwrap(), CellEnd::Ended);
    let outcomes: Vec<_> = lab.journal.inner.records.iter().map(|record| record.outcome.clone()).collect();
    let expected = [Outcome::Ok, Outcome::Degenerate("rank 0 of 1".into()), Outcome::Ended("the loss is NaN".into())];
    assert_eq!(outcomes, expected);
    assert_eq!(lab.journal.inner.records[2].n_synthetic, 3);
    assert_eq!(lab.log.take().last().unwrap(), "flush");
    // It stays ended.
    assert_eq!(lab.run().unwrap(), CellEnd::Ended);
    assert_eq!(lab.log.take(), ["resume", "flush"]);
}

#[test]
fn a_stop_comes_between_generations_after_a_flush() {
    let mut lab = Lab::new(LoopKind::FullySynthetic);
    lab.trainer.fates = vec![(2, Fate::Cancels)];
    assert!(matches!(lab.run().unwrap_err(), Error::Cancelled));
    let calls = lab.log.take();
    assert_eq!(calls[calls.len() - 2..], ["commit 2 ok", "flush"]);
    assert_eq!(lab.generations(), [0, 1, 2]);
    // The same cell goes on from there, with what it was to train on.
    lab.trainer.cancel = Cancel::default();
    assert_eq!(lab.run().unwrap(), CellEnd::Done);
    assert_eq!(lab.calls("train"), ["train 3: made by 2 2000..=2002"]);
}

#[test]
fn what_is_done_is_flushed_before_an_error() {
    let mut lab = Lab::new(LoopKind::FullySynthetic);
    lab.trainer.fates = vec![(3, Fate::Fails)];
    let error = lab.run().unwrap_err().to_string();
    assert_eq!(error, "training of generation 3 failed: no power");
    assert_eq!(lab.log.take().last().unwrap(), "flush");
    assert_eq!(lab.generations(), [0, 1, 2]);
}

#[test]
fn a_lost_generation_is_reloaded() {
    for lost in 0..=3 {
        let mut lab = Lab::new(LoopKind::FullySynthetic);
        lab.journal.loses = vec![lost];
        assert_eq!(lab.run().unwrap(), CellEnd::Done);
        let calls = lab.log.take();
        let at = calls.iter().position(|call| *call == format!("commit {lost} ok")).unwrap();
        let next = calls[at + 1..].iter().find(|call| *call != "flush").unwrap();
        assert_eq!(next, "resume");
        assert_eq!(lab.generations(), [0, 1, 2, 3]);
    }
    let mut lab = Lab::new(LoopKind::FullySynthetic);
    lab.trainer.fates = vec![(2, Fate::Ended)];
    lab.journal.loses = vec![2];
    assert_eq!(lab.run().unwrap(), CellEnd::Ended);
    assert_eq!(lab.calls("resume").len(), 2);
}

#[test]
fn a_lost_flush_does_not_end_the_cell() {
    let mut lab = Lab::new(LoopKind::FullySynthetic);
    lab.journal.loses_flush = 1;
    assert_eq!(lab.run().unwrap(), CellEnd::Done);
    assert_eq!(lab.generations(), [0, 1, 2, 3]);
    assert_eq!(lab.calls("commit 3").len(), 2);
}

#[test]
fn cells_that_share_generation_1_train_it_once() {
    let mut one = Lab::new(LoopKind::FullySynthetic);
    let mut two = Lab::new(LoopKind::FreshData);
    two.cell.first = one.cell.first.clone();
    one.run().unwrap();
    two.run().unwrap();
    assert_eq!(one.calls("train 1").len(), 1);
    let calls = two.log.take();
    assert!(!calls.iter().any(|call| call.starts_with("train 1")), "{calls:?}");
    assert!(calls.contains(&"train 2: fresh -6..=-7, made by 1 1000..=1002".into()), "{calls:?}");
    // A failure is not shared.
    let (mut bad, mut good) = (Lab::new(LoopKind::FullySynthetic), Lab::new(LoopKind::FullySynthetic));
    bad.trainer.fates = vec![(1, Fate::Fails)];
    good.cell.first = bad.cell.first.clone();
    assert!(bad.run().is_err());
    good.run().unwrap();
    assert_eq!(good.calls("train 1").len(), 1);
}
