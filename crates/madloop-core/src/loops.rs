//! The three loops of the paper, and what each generation's training set is made of.

use std::ops::{Range, RangeInclusive};

use rand::RngExt;
use serde::{Deserialize, Serialize};

use crate::{Error, Mix, Origin, Part, RealPool, Result, SamplingBias, Seeds, State, Stream};

/// Which real data later generations see (PAPER.md section 1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LoopKind {
    /// None: synthetic data alone.
    FullySynthetic,
    /// The first n_real samples of the initial set, the same in every generation.
    SyntheticAugmentation,
    /// n_real new samples in every generation.
    FreshData,
}

impl LoopKind {
    /// The name used in files, records and charts.
    pub fn name(self) -> &'static str {
        match self {
            Self::FullySynthetic => "fully-synthetic",
            Self::SyntheticAugmentation => "synthetic-augmentation",
            Self::FreshData => "fresh-data",
        }
    }
}

/// Which earlier models supply synthetic data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum History {
    /// The last K (1 is the paper's main setting).
    Last(u32),
    /// All of them.
    All,
}

/// What becomes of the synthetic samples of earlier generations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pool {
    /// They are replaced by new ones.
    #[default]
    Redraw,
    /// Every synthetic sample ever made is kept: n_synthetic more a generation (the paper's FFHQ augmentation).
    Accumulate,
}

/// What n_synthetic counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SyntheticCount {
    /// All synthetic rows; each comes from a model drawn uniformly from the history.
    #[default]
    Total,
    /// The rows of each model of the history.
    PerModel,
}

/// What happens when fresh real data runs out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnExhausted {
    /// The run is refused before it begins.
    #[default]
    Error,
    /// The pool is shuffled and used again; records say so.
    Reuse,
}

/// Synthetic rows that one model supplies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draw {
    /// Generation of the model.
    pub model: u32,
    /// Rows of that model's addressed draw.
    pub rows: Range<u64>,
}

/// A self-consuming loop: how D^t is composed. All counts are samples a generation.
#[derive(Debug, Clone, PartialEq)]
pub struct Loop {
    /// Which real data later generations see.
    pub kind: LoopKind,
    /// Real samples of generation 1.
    pub n_initial: u64,
    /// Real samples of later generations, fixed or fresh; not used by the fully synthetic loop.
    pub n_real: u64,
    /// Synthetic samples of later generations.
    pub n_synthetic: u64,
    /// Sampling bias of the samples that train.
    pub lambda: SamplingBias,
    /// Which models supply them.
    pub history: History,
    /// Whether earlier ones are kept.
    pub pool: Pool,
    /// What n_synthetic counts.
    pub synthetic_count: SyntheticCount,
    /// What happens when fresh real data runs out.
    pub on_exhausted: OnExhausted,
}

impl Loop {
    /// Checks counts against each other and against a pool of `available` real samples (`None`: never runs out).
    pub fn check(&self, available: Option<u64>, generations: u64) -> Result<()> {
        let setting = |key, value: String, why: &str| Err(Error::LoopSetting { key, value, why: why.into() });
        if self.n_initial == 0 {
            return setting("n_initial", "0".into(), "generation 1 trains on real samples; ask for at least 1");
        }
        if self.n_synthetic == 0 && (self.kind == LoopKind::FullySynthetic || self.n_real == 0) {
            return setting(
                "n_synthetic",
                "0".into(),
                "generation 2 would have no training sample; ask for at least 1",
            );
        }
        if self.history == History::Last(0) {
            return setting("history", "0".into(), "at least 1 earlier model must supply samples; use 1, K or \"all\"");
        }
        if let (Pool::Accumulate, History::Last(k @ 2..)) = (self.pool, self.history) {
            let why = "pool = \"accumulate\" keeps the samples of every model; leave history at 1 or \"all\", \
                       or use pool = \"redraw\"";
            return setting("history", k.to_string(), why);
        }
        if self.kind == LoopKind::SyntheticAugmentation && self.n_real > self.n_initial {
            let why = format!(
                "the fixed real set is the first n_real samples of the initial set of {}; raise loop.n_initial or lower it",
                self.n_initial
            );
            return setting("n_real", self.n_real.to_string(), &why);
        }
        let Some(available) = available else { return Ok(()) };
        if self.n_initial > available {
            return Err(Error::TooFewReal { key: "loop.n_initial", wanted: self.n_initial, available });
        }
        if self.kind == LoopKind::FreshData && self.n_real > available {
            return Err(Error::TooFewReal { key: "loop.n_real", wanted: self.n_real, available });
        }
        if self.on_exhausted == OnExhausted::Error {
            let suffices = self.fresh_generations(available);
            if suffices < generations {
                return Err(Error::Exhausted {
                    suffices,
                    wanted: generations,
                    n_initial: self.n_initial,
                    n_real: self.n_real,
                    available,
                });
            }
        }
        Ok(())
    }

    /// Generations that a pool of `available` real samples can feed without using one twice.
    pub fn fresh_generations(&self, available: u64) -> u64 {
        if self.kind != LoopKind::FreshData || self.n_real == 0 {
            return u64::MAX;
        }
        available.checked_sub(self.n_initial).map_or(0, |rest| 1 + rest / self.n_real)
    }

    /// Positions of the real samples of generation `generation` in the seed's order, and whether they are new.
    pub fn real_positions(&self, generation: u32) -> (Range<u64>, bool) {
        match (generation, self.kind) {
            (0 | 1, _) => (0..self.n_initial, true),
            (_, LoopKind::FullySynthetic) => (0..0, false),
            (_, LoopKind::SyntheticAugmentation) => (0..self.n_real, false),
            (_, LoopKind::FreshData) => {
                let start = self.n_initial + u64::from(generation - 2) * self.n_real;
                (start..start + self.n_real, true)
            }
        }
    }

    /// Which rows of which models train generation `generation`.
    ///
    /// Redrawn rows of model g for generation t begin at (t - 1 - g) * n_synthetic, so no two generations train on the same
    /// row; with history 1 they are the rows \[0, n_synthetic) that scoring sees too.
    pub fn synthetic_draws(&self, generation: u32, seeds: Seeds) -> Vec<Draw> {
        if generation < 2 || self.n_synthetic == 0 {
            return Vec::new();
        }
        if self.pool == Pool::Accumulate {
            return (1..generation).map(|model| Draw { model, rows: 0..self.n_synthetic }).collect();
        }
        let models = self.history_of(generation);
        let counts = match self.synthetic_count {
            SyntheticCount::PerModel => vec![self.n_synthetic; models.clone().count()],
            SyntheticCount::Total if models.clone().count() == 1 => vec![self.n_synthetic],
            SyntheticCount::Total => {
                let mut counts = vec![0; models.clone().count()];
                for row in 0..self.n_synthetic {
                    let mut rng = seeds.at(generation).rng(Stream::HISTORY, row);
                    counts[rng.random_range(0..models.clone().count())] += 1;
                }
                counts
            }
        };
        let draw = |(model, count): (u32, u64)| {
            let start = u64::from(generation - 1 - model) * self.n_synthetic;
            Draw { model, rows: start..start + count }
        };
        models.zip(counts).map(draw).filter(|draw| !draw.rows.is_empty()).collect()
    }

    /// The models whose own new rows generation `generation` draws.
    fn history_of(&self, generation: u32) -> RangeInclusive<u32> {
        let last = generation - 1;
        match self.history {
            History::Last(k) => last.saturating_sub(k - 1).max(1)..=last,
            History::All => 1..=last,
        }
    }

    /// Models that generations after `generation` may sample, so that the journal keeps them.
    pub fn needed_models(&self, generation: u32) -> RangeInclusive<u32> {
        match self.pool {
            Pool::Redraw => self.history_of(generation + 1),
            Pool::Accumulate => generation..=generation,
        }
    }

    /// Draws that generations after `generation` train on as they are, so that the journal keeps them.
    #[expect(clippy::reversed_empty_ranges, reason = "the redrawing loop needs none")]
    pub fn needed_draws(&self, generation: u32) -> RangeInclusive<u32> {
        match self.pool {
            Pool::Redraw => 1..=0,
            Pool::Accumulate => 1..=generation,
        }
    }

    /// D^t: the training set of generation `generation`.
    pub fn mix(&self, generation: u32, real: &RealPool, state: &State, seeds: Seeds) -> Result<Mix> {
        let (positions, fresh) = self.real_positions(generation);
        let mut parts = if positions.is_empty() { Vec::new() } else { real.parts(positions, fresh)? };
        for draw in self.synthetic_draws(generation, seeds) {
            let origin = Origin::Synthetic { generation: draw.model };
            parts.push(Part::all(state.samples(&draw, self.lambda, seeds)?, origin));
        }
        Mix::new(parts)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fresh() -> Loop {
        Loop {
            kind: LoopKind::FreshData,
            n_initial: 120,
            n_real: 120,
            n_synthetic: 120,
            lambda: SamplingBias::UNBIASED,
            history: History::Last(1),
            pool: Pool::Redraw,
            synthetic_count: SyntheticCount::Total,
            on_exhausted: OnExhausted::Error,
        }
    }

    #[test]
    fn exhaustion_says_how_far_the_pool_goes() {
        assert!(fresh().check(Some(1297), 10).is_ok());
        let error = fresh().check(Some(1297), 11).unwrap_err().to_string();
        assert!(error.contains("suffices for 10 generations, not 11"), "{error}");
        assert!(error.contains("on_exhausted"), "{error}");
        assert!(Loop { on_exhausted: OnExhausted::Reuse, ..fresh() }.check(Some(1297), 99).is_ok());
        assert!(fresh().check(None, 1_000_000).is_ok());
    }

    #[test]
    fn settings_that_cannot_work_are_refused() {
        let bad = [
            (Loop { n_initial: 0, ..fresh() }, "n_initial is 0"),
            (Loop { n_initial: 2000, ..fresh() }, "2000 is more than the 1297"),
            (Loop { n_real: 2000, ..fresh() }, "n_real = 2000 is more than the 1297"),
            (Loop { kind: LoopKind::FullySynthetic, n_synthetic: 0, ..fresh() }, "n_synthetic is 0"),
            (Loop { kind: LoopKind::SyntheticAugmentation, n_real: 121, ..fresh() }, "n_real is 121"),
            (Loop { history: History::Last(0), ..fresh() }, "history is 0"),
            (Loop { history: History::Last(3), pool: Pool::Accumulate, ..fresh() }, "history is 3"),
        ];
        for (plan, message) in bad {
            let error = plan.check(Some(1297), 2).unwrap_err().to_string();
            assert!(error.contains(message), "{error} lacks {message}");
        }
    }

    proptest! {
        #[test]
        fn draws_add_up_and_never_repeat(
            k in 1_u32..6, all: bool, per_model: bool, n_synthetic in 1_u64..200, last in 2_u32..12, seed: u64,
        ) {
            let plan = Loop {
                n_synthetic,
                history: if all { History::All } else { History::Last(k) },
                synthetic_count: if per_model { SyntheticCount::PerModel } else { SyntheticCount::Total },
                ..fresh()
            };
            let mut used = std::collections::HashSet::new();
            for t in 2..=last {
                let draws = plan.synthetic_draws(t, Seeds::new(seed));
                let models = if all { t - 1 } else { k.min(t - 1) };
                let expected = if per_model { n_synthetic * u64::from(models) } else { n_synthetic };
                prop_assert_eq!(draws.iter().map(|d| d.rows.end - d.rows.start).sum::<u64>(), expected);
                for draw in draws {
                    prop_assert!(plan.needed_models(t - 1).contains(&draw.model));
                    prop_assert!(draw.model < t && draw.model + models >= t);
                    for row in draw.rows {
                        prop_assert!(used.insert((draw.model, row)), "row {} of model {} twice", row, draw.model);
                    }
                }
            }
        }

        #[test]
        fn fresh_positions_never_overlap(n_initial in 1_u64..50, n_real in 1_u64..50, last in 2_u32..20) {
            let plan = Loop { n_initial, n_real, ..fresh() };
            let mut next = 0;
            for t in 1..=last {
                let (positions, fresh) = plan.real_positions(t);
                prop_assert!(fresh);
                prop_assert_eq!(positions.start, next);
                next = positions.end;
            }
            prop_assert_eq!(plan.fresh_generations(next), u64::from(last));
            prop_assert_eq!(plan.fresh_generations(next - 1), u64::from(last - 1));
        }
    }

    #[test]
    fn accumulation_keeps_every_draw() {
        let plan = Loop { pool: Pool::Accumulate, ..fresh() };
        let draws = plan.synthetic_draws(4, Seeds::new(0));
        assert_eq!(draws.iter().map(|draw| draw.model).collect::<Vec<_>>(), [1, 2, 3]);
        assert!(draws.iter().all(|draw| draw.rows == (0..120)));
        assert_eq!(plan.needed_draws(4), 1..=4);
    }
}
