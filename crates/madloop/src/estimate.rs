//! About how long a run will take and how much it will keep.

use madloop_core::{Loop, LoopKind, Real, Stopwatch, Trainer};

use crate::config::{CellConfig, KeepConfig, KeepWord};
use crate::scoring::{SetEvaluator, metrics_of};
use crate::{Error, Result};

/// An estimate before a run.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Estimate {
    /// Seconds of computing on one core.
    pub core_seconds: f64,
    /// Bytes that the run will hold on disk at most.
    pub disk_bytes: f64,
}

impl Estimate {
    /// What all generations of one cell cost, at `rate` floating-point operations a second.
    pub(crate) fn of_cell(
        cell: &CellConfig,
        plan: &Loop,
        trainer: &dyn Trainer,
        evaluator: &SetEvaluator,
        shape: madloop_core::Shape,
        rate: f64,
    ) -> Self {
        let config = &cell.config;
        let n_score = madloop_core::Evaluator::rows(evaluator) as f64;
        let scored = f64::from((1..=config.generations).filter(|&t| config.score.schedule().is_due(t)).count() as u32);
        let scoring = scoring_cost(&metrics_of(config), n_score, evaluator.dim() as f64);
        let (mut work, mut kept) = ((scored + 1.0) * scoring, 0.0);
        for t in 1..=config.generations {
            let rows = rows_of(plan, t);
            let cost = trainer.cost(rows, shape);
            let is_scored = config.score.schedule().is_due(t);
            let drawn = (plan.n_synthetic as f64).max(if is_scored { n_score } else { 0.0 });
            work += cost.train + drawn * cost.sample_row;
            let needed = plan.needed_models(config.generations).contains(&t)
                || plan.needed_draws(config.generations).contains(&t);
            if t == config.generations || needed || config.store.keep.keeps(t) {
                kept += drawn * (shape.len() as u64 * trainer.value_bytes()) as f64 + cost.model_bytes;
            }
            kept += 8192.0;
        }
        Self { core_seconds: work / rate + 0.001 * f64::from(config.generations), disk_bytes: kept }
    }

    /// This share of it.
    pub(crate) fn times(self, share: f64) -> Self {
        Self { core_seconds: share * self.core_seconds, disk_bytes: share * self.disk_bytes }
    }

    pub(crate) fn plus(self, other: Self) -> Self {
        Self { core_seconds: self.core_seconds + other.core_seconds, disk_bytes: self.disk_bytes + other.disk_bytes }
    }
}

/// That no set of samples is larger than this machine's memory, before any is drawn. Real sets from files are there already.
pub(crate) fn check_memory(cell: &CellConfig, plan: &Loop, trainer: &dyn Trainer, real: &Real) -> Result<()> {
    let Some(memory) = machine_memory() else { return Ok(()) };
    let shape = real.shape();
    let made = trainer.value_bytes();
    let drawn = if matches!(real, Real::Finite(_)) { 0 } else { 4 };
    let counts = [
        ("loop.n_initial", plan.n_initial, drawn),
        ("loop.n_real", if plan.kind == LoopKind::FullySynthetic { 0 } else { plan.n_real }, drawn),
        ("loop.n_synthetic", plan.n_synthetic, made),
        ("score.n", cell.config.score.n.unwrap_or(0), made),
    ];
    for (key, count, width) in counts {
        let bytes = count as f64 * shape.len() as f64 * width as f64;
        if bytes > memory {
            let why = format!(
                "{count} samples ({shape} each) take {} of memory, and this machine has {}; lower {key}",
                bytes_in_words(bytes),
                bytes_in_words(memory)
            );
            return Err(Error::config(key, why));
        }
    }
    Ok(())
}

/// That a training step fits this machine's memory; the largest batch that does, if not.
pub(crate) fn check_batch(cost: madloop_core::Cost) -> Result<()> {
    let Some(memory) = machine_memory().filter(|memory| cost.step_bytes > *memory) else { return Ok(()) };
    let batch = (cost.batch as f64 * memory / cost.step_bytes / 2.0) as u64;
    let remedy = match batch {
        0 => "use a smaller network or smaller images".to_owned(),
        batch => format!("try model.batch = {batch}"),
    };
    let why = format!(
        "a training step of {} samples takes about {} of memory, and this machine has {}; {remedy}",
        cost.batch,
        bytes_in_words(cost.step_bytes),
        bytes_in_words(memory)
    );
    Err(Error::config("model.batch", why))
}

/// Bytes of memory of this machine, where the system tells.
#[expect(clippy::disallowed_methods, reason = "the system tells its memory in a file")]
fn machine_memory() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let kilobytes: f64 =
        text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?.split_whitespace().next()?.parse().ok()?;
    Some(1024.0 * kilobytes)
}

/// Training samples of generation `t`.
fn rows_of(plan: &Loop, t: u32) -> u64 {
    let (real, _) = plan.real_positions(t);
    let synthetic: u64 = match plan.pool {
        madloop_core::Pool::Accumulate => u64::from(t - 1) * plan.n_synthetic,
        madloop_core::Pool::Redraw if t < 2 => 0,
        madloop_core::Pool::Redraw => match (plan.synthetic_count, plan.history) {
            (madloop_core::SyntheticCount::PerModel, madloop_core::History::Last(k)) => {
                plan.n_synthetic * u64::from(k.min(t - 1))
            }
            (madloop_core::SyntheticCount::PerModel, madloop_core::History::All) => plan.n_synthetic * u64::from(t - 1),
            _ => plan.n_synthetic,
        },
    };
    real.end - real.start + synthetic
}

/// Floating-point operations of scoring n samples in d dimensions.
fn scoring_cost(metrics: &[String], n: f64, d: f64) -> f64 {
    let asked = |names: &[&str]| metrics.iter().any(|metric| names.contains(&metric.as_str()));
    let mut cost = 0.0;
    if asked(&["precision", "recall", "density", "coverage"]) {
        cost += 2.0 * n * n * (2.0 * d + 20.0);
    }
    if asked(&["kid", "kid_std"]) {
        cost += if n > 1000.0 { 100.0 * 3e6 * (2.0 * d + 8.0) } else { 3.0 * n * n * (2.0 * d + 8.0) };
    }
    if asked(&["frechet_distance"]) {
        cost += 2.0 * n * d * d.min(n) + 25.0 * d.min(n).powi(3);
    }
    if asked(&["sliced_w2"]) {
        cost += 50.0 * n * (2.0 * d + 60.0);
    }
    cost
}

/// Floating-point operations a second that plain loops reach on one core of this machine.
pub(crate) fn machine_rate() -> f64 {
    let values: Vec<f64> = (0..4096).map(|i| f64::from(i) * 1e-3).collect();
    let clock = Stopwatch::new();
    let (mut rounds, mut sums) = (0, [0.0_f64; 8]);
    while clock.seconds() < 0.004 {
        for chunk in values.as_chunks::<8>().0 {
            for lane in 0..8 {
                sums[lane] += chunk[lane] * chunk[lane];
            }
        }
        rounds += 1;
    }
    std::hint::black_box(sums);
    f64::from(rounds) * 2.0 * values.len() as f64 / clock.seconds()
}

/// What `store.keep` holds, in words.
pub(crate) fn keep_in_words(keep: KeepConfig) -> String {
    match keep {
        KeepConfig::Word(KeepWord::All) => "samples and models of every generation".into(),
        KeepConfig::Word(KeepWord::Last) => {
            "samples and model of the last generation (and what the history needs)".into()
        }
        KeepConfig::Every(n) => format!("samples and models of every {n}th generation and the last"),
    }
}

/// `under a second`, `about 3 s`, `about 4 min`, `about 2.5 h`, `about 3 days`.
pub fn seconds_in_words(seconds: f64) -> String {
    match seconds {
        s if s < 1.0 => "under a second".into(),
        s if s < 90.0 => format!("about {s:.0} s"),
        s if s < 5400.0 => format!("about {:.0} min", s / 60.0),
        s if s < 172_800.0 => format!("about {:.1} h", s / 3600.0),
        s => format!("about {:.0} days", s / 86_400.0),
    }
}

/// `12 kB`, `3.4 MB`, `1.2 GB`.
pub fn bytes_in_words(bytes: f64) -> String {
    let units = ["B", "kB", "MB", "GB", "TB", "PB"];
    let (mut value, mut unit) = (bytes, 0);
    while value >= 1000.0 && unit + 1 < units.len() {
        value /= 1000.0;
        unit += 1;
    }
    if value < 10.0 && unit > 0 { format!("{value:.1} {}", units[unit]) } else { format!("{value:.0} {}", units[unit]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_read_well() {
        assert_eq!(seconds_in_words(0.2), "under a second");
        assert_eq!(seconds_in_words(45.4), "about 45 s");
        assert_eq!(seconds_in_words(9000.0), "about 2.5 h");
        assert_eq!(bytes_in_words(999.0), "999 B");
        assert_eq!(bytes_in_words(3_400_000.0), "3.4 MB");
        assert_eq!(bytes_in_words(4.2e13), "42 TB");
    }
}
