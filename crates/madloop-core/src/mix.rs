//! The training set of one generation: a list of parts, never concatenated.

use std::sync::Arc;

use crate::{Error, Result, Samples, Shape};

/// Where the rows of a part come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// Real data; `fresh` when drawn for this generation.
    Real {
        /// Newly drawn for this generation.
        fresh: bool,
    },
    /// Made by the model of an earlier generation.
    Synthetic {
        /// That generation.
        generation: u32,
    },
}

/// Which rows of a set belong to a part.
#[derive(Debug, Clone)]
pub enum Rows {
    /// All of them.
    All,
    /// These, in this order.
    Indices(Arc<[u32]>),
}

/// Some rows of one set, with their provenance.
#[derive(Debug, Clone)]
pub struct Part {
    /// The set.
    pub samples: Samples,
    /// Which of its rows.
    pub rows: Rows,
    /// Where they come from.
    pub origin: Origin,
}

impl Part {
    /// All rows of `samples`.
    pub fn all(samples: Samples, origin: Origin) -> Self {
        Self { samples, rows: Rows::All, origin }
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        match &self.rows {
            Rows::All => self.samples.len(),
            Rows::Indices(indices) => indices.len(),
        }
    }

    /// Whether the part has no rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn row(&self, row: usize) -> usize {
        match &self.rows {
            Rows::All => row,
            Rows::Indices(indices) => indices[row] as usize,
        }
    }
}

/// The training set D^t. Trainers gather batches from it; 70,000 images a part are never copied into one.
#[derive(Debug, Clone)]
pub struct Mix {
    shape: Shape,
    parts: Vec<Part>,
    /// Row at which each part ends.
    ends: Vec<usize>,
}

impl Mix {
    /// Joins parts of one shape; empty parts are dropped.
    pub fn new(parts: Vec<Part>) -> Result<Self> {
        let parts: Vec<Part> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        let shape = match parts.first() {
            Some(part) => part.samples.shape(),
            None => {
                return Err(Error::LoopSetting {
                    key: "n_synthetic",
                    value: "0".into(),
                    why: "the training set is empty; ask for at least one real or synthetic sample".into(),
                });
            }
        };
        if let Some(part) = parts.iter().find(|part| part.samples.shape() != shape) {
            return Err(Error::ShapeMismatch { expected: shape, found: part.samples.shape() });
        }
        let ends = parts
            .iter()
            .scan(0, |end, part| {
                *end += part.len();
                Some(*end)
            })
            .collect();
        Ok(Self { shape, parts, ends })
    }

    /// A mix of one set, such as the first generation's real data.
    pub fn of(samples: Samples) -> Result<Self> {
        Self::new(vec![Part::all(samples, Origin::Real { fresh: true })])
    }

    /// Shape of one sample.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// Values in one sample.
    pub fn dim(&self) -> usize {
        self.shape.len()
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.ends.last().copied().unwrap_or(0)
    }

    /// Never true: a mix without rows cannot be made.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The parts, in order.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// Rows whose origin satisfies `which`.
    pub fn count(&self, which: impl Fn(Origin) -> bool) -> u64 {
        self.parts.iter().filter(|part| which(part.origin)).map(|part| part.len() as u64).sum()
    }

    /// Whether every row has a label.
    pub fn is_labelled(&self) -> bool {
        self.parts.iter().all(|part| part.samples.labels().is_some())
    }

    /// The label of a row, where there is one.
    pub fn label(&self, row: usize) -> Option<u32> {
        let (part, row) = self.locate(row);
        part.samples.labels().map(|labels| labels[row])
    }

    /// Copies a row as f32 (`[dim]`).
    pub fn copy_row(&self, row: usize, out: &mut [f32]) {
        let (part, row) = self.locate(row);
        part.samples.copy_row(row, out);
    }

    /// Copies rows `[start, start + out.len() / dim)` as f64 (`[rows, dim]`), for moments in double precision.
    pub fn copy_rows_f64(&self, start: usize, out: &mut [f64]) {
        let mut buffer = vec![0.0; self.dim()];
        for (offset, out) in out.chunks_exact_mut(self.dim()).enumerate() {
            self.copy_row(start + offset, &mut buffer);
            for (out, &value) in out.iter_mut().zip(&buffer) {
                *out = f64::from(value);
            }
        }
    }

    /// At most `most` rows, evenly spaced over the mix: a set for each part that they come from.
    pub fn spread(&self, most: usize) -> Vec<Samples> {
        let (n, count) = (self.len(), self.len().min(most));
        let mut rows = (0..count).map(|at| (at as u128 * n as u128 / count as u128) as usize).peekable();
        let mut sets = Vec::new();
        for (part, &end) in self.parts.iter().zip(&self.ends) {
            let start = end - part.len();
            let mut of_part = Vec::new();
            while let Some(row) = rows.next_if(|&row| row < end) {
                of_part.push(part.row(row - start));
            }
            if !of_part.is_empty() {
                sets.push(part.samples.select(&of_part));
            }
        }
        sets
    }

    /// The rows of class `label` alone.
    pub fn of_class(&self, label: u32) -> Result<Self> {
        let parts = self.parts.iter().map(|part| {
            let labels = part.samples.labels().unwrap_or(&[]);
            let of_class = (0..part.len())
                .map(|row| part.row(row))
                .filter(|&row| labels.get(row) == Some(&label))
                .map(|row| row as u32);
            Part { rows: Rows::Indices(of_class.collect()), ..part.clone() }
        });
        Self::new(parts.collect())
    }

    fn locate(&self, row: usize) -> (&Part, usize) {
        let index = self.ends.partition_point(|&end| end <= row);
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        let part = &self.parts[index];
        (part, part.row(row - start))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(values: &[f32]) -> Samples {
        Samples::from_f32(Shape::vector(1), values.to_vec()).expect("rows of one")
    }

    #[test]
    fn rows_are_found_in_their_parts() {
        let real = set(&[0.0, 1.0, 2.0]).with_labels(vec![0, 1, 0]).expect("three");
        let synthetic = set(&[10.0, 11.0]).with_labels(vec![1, 0]).expect("two");
        let mix = Mix::new(vec![
            Part { samples: real, rows: Rows::Indices([2, 0].into()), origin: Origin::Real { fresh: false } },
            Part::all(set(&[]), Origin::Real { fresh: true }),
            Part::all(synthetic, Origin::Synthetic { generation: 3 }),
        ])
        .expect("one shape");
        let mut all = vec![0.0; 4];
        mix.copy_rows_f64(0, &mut all);
        assert_eq!(all, [2.0, 0.0, 10.0, 11.0]);
        assert_eq!(mix.label(2), Some(1));
        let spread = |most| mix.spread(most).iter().flat_map(Samples::to_f32).collect::<Vec<_>>();
        assert_eq!(spread(9), [2.0, 0.0, 10.0, 11.0]);
        assert_eq!(spread(2), [2.0, 10.0]);
        assert!(spread(0).is_empty());
        assert_eq!(mix.count(|origin| matches!(origin, Origin::Synthetic { .. })), 2);
        let class = mix.of_class(0).expect("class 0");
        let mut values = vec![0.0; 3];
        class.copy_rows_f64(0, &mut values);
        assert_eq!(values, [2.0, 0.0, 11.0]);
    }

    #[test]
    fn shapes_must_agree() {
        let other = Samples::from_f32(Shape::vector(2), vec![0.0; 2]).expect("one row");
        let parts =
            vec![Part::all(set(&[1.0]), Origin::Real { fresh: true }), Part::all(other, Origin::Real { fresh: true })];
        assert!(matches!(Mix::new(parts), Err(Error::ShapeMismatch { .. })));
        assert!(Mix::new(Vec::new()).unwrap_err().to_string().contains("empty"));
    }
}
