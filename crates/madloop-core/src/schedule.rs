//! Deterministic schedules: which class a synthetic row has, which generations are scored.

use std::sync::Arc;

use crate::{Mix, Samples};

/// Assigns a class to every row so that each prefix follows the classes' proportions as closely as
/// whole rows can (n / C a class when they are equal). Independent of batch size by construction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClassSchedule {
    table: Arc<[u32]>,
}

impl ClassSchedule {
    /// The schedule whose proportions are `counts[class]` (at least one must be positive).
    ///
    /// Row r goes to the class whose share lags most behind count / total * (r + 1); the schedule repeats
    /// after total / gcd(counts) rows.
    pub fn from_counts(counts: &[u64]) -> Self {
        fn gcd(a: u64, b: u64) -> u64 {
            if b == 0 { a } else { gcd(b, a % b) }
        }
        let divisor = counts.iter().copied().fold(0, gcd).max(1);
        let counts: Vec<i128> = counts.iter().map(|&count| i128::from(count / divisor)).collect();
        let total: i128 = counts.iter().sum();
        let mut given = vec![0_i128; counts.len()];
        let table = (0..total).map(|row| {
            let lag = |class: usize| counts[class] * (row + 1) - given[class] * total;
            // The first of the classes that lag most; classes of no rows never lag.
            let class = (0..counts.len()).rev().max_by_key(|&class| lag(class)).unwrap_or(0);
            given[class] += 1;
            class as u32
        });
        Self { table: table.collect() }
    }

    /// The schedule of a set's labels, if it has any.
    pub fn of(samples: &Samples) -> Option<Self> {
        let labels = samples.labels()?;
        Self::of_labels(labels.iter().copied())
    }

    /// The schedule of a training set's labels, if every row has one.
    pub fn of_mix(mix: &Mix) -> Option<Self> {
        if !mix.is_labelled() {
            return None;
        }
        Self::of_labels((0..mix.len()).filter_map(|row| mix.label(row)))
    }

    fn of_labels(labels: impl Iterator<Item = u32>) -> Option<Self> {
        let mut counts = Vec::new();
        for label in labels {
            let label = label as usize;
            if counts.len() <= label {
                counts.resize(label + 1, 0);
            }
            counts[label] += 1;
        }
        (!counts.is_empty()).then(|| Self::from_counts(&counts))
    }

    /// A schedule from its own table, as a saved model holds it.
    pub fn from_table(table: Vec<u32>) -> Self {
        Self { table: table.into() }
    }

    /// The classes of one period.
    pub fn table(&self) -> &[u32] {
        &self.table
    }

    /// The class of a row.
    pub fn class(&self, row: u64) -> u32 {
        self.table[(row % self.table.len() as u64) as usize]
    }

    /// One more than the largest class.
    pub fn n_classes(&self) -> u32 {
        self.table.iter().max().map_or(0, |&class| class + 1)
    }
}

/// Which generations are scored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ScoreSchedule {
    /// Every N-th, beginning with the first.
    Every(u32),
    /// These alone.
    At(Vec<u32>),
}

impl ScoreSchedule {
    /// Whether generation `generation` of `last` is scored. Generation 0 always is.
    /// It does not depend on which generation is the last, so that a run that grows scores what a longer one would have.
    pub fn is_due(&self, generation: u32) -> bool {
        match self {
            Self::Every(n) => generation == 0 || (generation - 1).is_multiple_of((*n).max(1)),
            Self::At(list) => generation == 0 || list.contains(&generation),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn equal_classes_take_turns() {
        let schedule = ClassSchedule::from_counts(&[50, 50, 50]);
        let classes: Vec<u32> = (0..7).map(|row| schedule.class(row)).collect();
        assert_eq!(classes, [0, 1, 2, 0, 1, 2, 0]);
    }

    proptest! {
        #[test]
        fn every_prefix_follows_the_proportions(counts in prop::collection::vec(0_u64..60, 1..12), n in 1_u64..500) {
            prop_assume!(counts.iter().sum::<u64>() > 0);
            let schedule = ClassSchedule::from_counts(&counts);
            let total: u64 = counts.iter().sum();
            for (class, &count) in counts.iter().enumerate() {
                let given = (0..n).filter(|&row| schedule.class(row) == class as u32).count() as f64;
                let share = count as f64 / total as f64 * n as f64;
                prop_assert!((given - share).abs() <= counts.len() as f64, "{given} against {share}");
                prop_assert!(count > 0 || given == 0.0);
            }
        }
    }

    #[test]
    fn every_nth_generation_is_scored() {
        let every = ScoreSchedule::Every(4);
        let due: Vec<u32> = (0..=10).filter(|&t| every.is_due(t)).collect();
        assert_eq!(due, [0, 1, 5, 9]);
        let at = ScoreSchedule::At(vec![1, 200]);
        assert!(at.is_due(200) && at.is_due(0) && !at.is_due(2));
    }
}
