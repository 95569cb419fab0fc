//! What a reader hands over: values that are still its own, so that a split needs no second copy.

use std::path::Path;
use std::sync::Arc;

use madloop_core::{Samples, Shape, Values};

use super::map::Mapped;
use super::split::reference_rows;
use crate::{Error, Result};

/// Values of a file just read.
pub(crate) enum Buffer {
    /// Pixels in memory.
    U8(Vec<u8>),
    /// Pixels in a mapped file.
    Mapped(Mapped),
    /// Numbers in memory, all finite.
    F32(Vec<f32>),
}

/// The samples of a file just read.
pub(crate) struct Loaded {
    /// Shape of one sample.
    pub(crate) shape: Shape,
    /// `[rows, shape.len()]`.
    pub(crate) buffer: Buffer,
    /// A label a row.
    pub(crate) labels: Option<Vec<u32>>,
}

impl Loaded {
    /// Number of samples.
    pub(crate) fn rows(&self) -> usize {
        let values = match &self.buffer {
            Buffer::U8(values) => values.len(),
            Buffer::Mapped(values) => values.as_ref().len(),
            Buffer::F32(values) => values.len(),
        };
        values / self.shape.len()
    }

    /// Adds labels, one a row.
    pub(crate) fn with_labels(mut self, path: &Path, labels: Vec<u32>) -> Result<Self> {
        if labels.len() != self.rows() {
            let why = format!("it holds {} labels for {} samples", labels.len(), self.rows());
            return Err(Error::bad_file(path, why, "give one label a sample, or remove the labels"));
        }
        self.labels = Some(labels);
        Ok(self)
    }

    /// The set as it is.
    pub(crate) fn into_samples(self) -> Result<Samples> {
        let values = match self.buffer {
            Buffer::U8(values) => Values::U8(Arc::new(values)),
            Buffer::Mapped(values) => Values::U8(Arc::new(values)),
            Buffer::F32(values) => Values::F32(Arc::new(values)),
        };
        let samples = Samples::from_values(self.shape, values)?;
        Ok(match self.labels {
            Some(labels) => samples.with_labels(labels)?,
            None => samples,
        })
    }

    /// The training pool and `n_reference` (at most all) held-back rows, each in the file's order.
    ///
    /// Values are rearranged in place, so no second copy is made; a mapped file is read into memory first.
    pub(crate) fn split(mut self, n_reference: usize) -> Result<(Samples, Samples)> {
        let n = self.rows();
        let held_back = reference_rows(self.labels.as_deref(), n, n_reference);
        let mut is_reference = vec![false; n];
        for &row in &held_back {
            is_reference[row] = true;
        }
        let pool: Vec<usize> = (0..n).filter(|&row| !is_reference[row]).collect();
        let n_pool = pool.len();
        let order: Vec<usize> = pool.into_iter().chain(held_back).collect();
        let dim = self.shape.len();
        if let Buffer::Mapped(map) = &self.buffer {
            let read = map.to_vec().map_err(Error::io("read", "the mapped file", "check that it is still there"))?;
            self.buffer = Buffer::U8(read);
        }
        match &mut self.buffer {
            // Read into memory above.
            Buffer::Mapped(_) => {}
            Buffer::U8(values) => rearrange(values, dim, &order),
            Buffer::F32(values) => rearrange(values, dim, &order),
        }
        if let Some(labels) = &mut self.labels {
            rearrange(labels, 1, &order);
        }
        let all = self.into_samples()?;
        Ok((all.slice(0..n_pool), all.slice(n_pool..n)))
    }
}

/// Puts row `order[i]` at place i for all i, cycle by cycle, in place. `order` is a permutation of the rows.
fn rearrange<T: Copy>(values: &mut [T], dim: usize, order: &[usize]) {
    let mut done = vec![false; order.len()];
    for start in 0..order.len() {
        if done[start] || order[start] == start {
            continue;
        }
        let first = values[start * dim..(start + 1) * dim].to_vec();
        let mut place = start;
        loop {
            done[place] = true;
            let from = order[place];
            if from == start {
                values[place * dim..(place + 1) * dim].copy_from_slice(&first);
                break;
            }
            values.copy_within(from * dim..(from + 1) * dim, place * dim);
            place = from;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_split_in_place_equals_a_selection() {
        let n = 101;
        let labels: Vec<u32> = (0..n).map(|row| (row * row % 3) as u32).collect();
        let values: Vec<f32> = (0..2 * n).map(|value| value as f32).collect();
        let held_back = reference_rows(Some(&labels), n, 20);
        let loaded = Loaded { shape: Shape::vector(2), buffer: Buffer::F32(values), labels: Some(labels.clone()) };
        let (pool, reference) = loaded.split(20).expect("101 rows");
        assert_eq!((pool.len(), reference.len()), (81, 20));
        let rows = |set: &Samples| set.to_f32().iter().step_by(2).map(|&v| v as usize / 2).collect::<Vec<_>>();
        assert_eq!(rows(&reference), held_back);
        assert_eq!(rows(&pool), (0..n).filter(|row| !held_back.contains(row)).collect::<Vec<_>>());
        for set in [&pool, &reference] {
            let expected: Vec<u32> = rows(set).iter().map(|&row| labels[row]).collect();
            assert_eq!(set.labels(), Some(&expected[..]));
        }
    }
}
