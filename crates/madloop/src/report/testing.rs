//! Made-up records for tests.

use madloop_core::Record;

use super::{Direction, MetricInfo};

/// A record of the cell `kind-sN` at `generation` with the given metric values.
pub(crate) fn record(kind: &str, seed: u64, generation: u32, metrics: &[(&str, f64)]) -> Record {
    let mut record = Record::default();
    record.fixed.run = "test".into();
    record.fixed.cell = format!("{kind}-s{seed}");
    record.fixed.seed = seed;
    record.fixed.generation = generation;
    record.fixed.model = "ddpm".into();
    record.fixed.kind = kind.into();
    record.fixed.lambda = 1.0;
    record.fixed.score_lambda = 1.0;
    record.fixed.history = 1.into();
    for (name, value) in metrics {
        record.scores.set(name, Ok(*value));
    }
    record
}

/// Records of one metric: `values[0]` is generation 0.
pub(crate) fn cell(kind: &str, seed: u64, metric: &str, values: &[f64]) -> Vec<Record> {
    (0..).zip(values).map(|(t, &value)| record(kind, seed, t, &[(metric, value)])).collect()
}

/// A described metric.
pub(crate) fn info(name: &str, direction: Direction) -> MetricInfo {
    MetricInfo { direction, what: "What it is.".into(), ..MetricInfo::unknown(name) }
}
