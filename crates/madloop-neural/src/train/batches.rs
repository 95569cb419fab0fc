//! Batches of a training set that is never concatenated.

use std::ops::Range;

use madloop_core::{Mix, Seeds, Stream};
use rayon::prelude::*;

use crate::random;

/// Some rows of the training set.
pub(crate) struct Batch {
    /// Values as the set has them (pixels from 0 to 1), `[rows, d]`; none in a batch without samples.
    pub(crate) values: Vec<f32>,
    /// Class of each row; none in a batch without samples.
    pub(crate) labels: Vec<Option<u32>>,
    /// The rows' places in the order in which all epochs together use the set: the addresses of what is random about them.
    pub(crate) examples: Range<u64>,
}

/// Batches in the order of training: example e is row `order_(e / n)[e % n]`, every epoch with an order of its own, so
/// that batches are whole and reach over the end of an epoch.
pub(crate) struct Batches<'a> {
    mix: &'a Mix,
    seeds: Seeds,
    /// An epoch and its order.
    order: Option<(u64, Vec<u32>)>,
}

impl<'a> Batches<'a> {
    const ORDER: Stream = Stream::named("neural/order");

    pub(crate) fn new(mix: &'a Mix, seeds: Seeds) -> Self {
        Self { mix, seeds, order: None }
    }

    /// Batch `at` of `batch` rows, counted from 0, without its samples.
    pub(crate) fn examples(at: u64, batch: usize) -> Batch {
        let first = at * batch as u64;
        Batch { values: Vec::new(), labels: Vec::new(), examples: first..first + batch as u64 }
    }

    /// Batch `at` of `batch` rows, counted from 0.
    pub(crate) fn get(&mut self, at: u64, batch: usize) -> Batch {
        let Batch { examples, .. } = Self::examples(at, batch);
        let rows: Vec<usize> = examples.clone().map(|example| self.row(example)).collect();
        let dim = self.mix.dim();
        let mut values = vec![0.0; rows.len() * dim];
        values.par_chunks_exact_mut(dim).zip(&rows).for_each(|(out, &row)| self.mix.copy_row(row, out));
        let labels = rows.iter().map(|&row| self.mix.label(row)).collect();
        Batch { values, labels, examples }
    }

    fn row(&mut self, example: u64) -> usize {
        let n = self.mix.len();
        let (epoch, at) = (example / n as u64, (example % n as u64) as usize);
        if self.order.as_ref().is_none_or(|(known, _)| *known != epoch) {
            let order = random::permutation(&mut self.seeds.rng(Self::ORDER, epoch), n);
            self.order = Some((epoch, order));
        }
        self.order.as_ref().map_or(0, |(_, order)| order[at] as usize)
    }
}

/// Where the training set has a value that no model can be trained on.
pub(crate) fn non_finite(mix: &Mix) -> Option<String> {
    let mut row = vec![0.0; mix.dim()];
    (0..mix.len()).find_map(|i| {
        mix.copy_row(i, &mut row);
        let column = row.iter().position(|value| !value.is_finite())?;
        Some(format!("sample {i} of the training set has the value {} in column {column}", row[column]))
    })
}

#[cfg(test)]
mod tests {
    use madloop_core::{Samples, Shape};

    use super::*;

    #[test]
    fn every_epoch_uses_every_row_once_in_its_own_order() {
        let set = Samples::from_f32(Shape::vector(1), (0..7).map(|v| v as f32).collect()).expect("seven");
        let mix = Mix::of(set).expect("one part");
        let mut batches = Batches::new(&mix, Seeds::new(4).at(1));
        let used: Vec<f32> = (0..14).flat_map(|step| batches.get(step, 3).values).collect();
        for epoch in used.chunks_exact(7) {
            let mut sorted = epoch.to_vec();
            sorted.sort_by(f32::total_cmp);
            assert_eq!(sorted, [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        }
        assert_ne!(used[..7], used[7..14]);
        // A batch in the middle is the same when it comes first.
        let alone = Batches::new(&mix, Seeds::new(4).at(1)).get(5, 3);
        assert_eq!(alone.values, used[15..18]);
        assert_eq!(alone.examples, 15..18);
    }
}
