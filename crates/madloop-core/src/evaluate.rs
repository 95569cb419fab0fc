//! Scoring: features of a real and a generated set, and the metrics between them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Cancel, Generator, Map, Mix, Result, Samples, SamplingBias, Seeds, Shape};

/// Features of a set, one row a sample (`[rows, dim]`, row-major f32).
#[derive(Debug, Clone, PartialEq)]
pub struct Features {
    /// Number of samples.
    pub rows: usize,
    /// Features of one sample.
    pub dim: usize,
    /// The values.
    pub values: Vec<f32>,
}

impl Features {
    /// Row `row`.
    pub fn row(&self, row: usize) -> &[f32] {
        &self.values[row * self.dim..(row + 1) * self.dim]
    }
}

/// Maps samples to features; the result never depends on how the samples are batched.
pub trait FeatureMap: Send + Sync {
    /// Its name, as in `score.features`.
    fn name(&self) -> &str;
    /// Features of one sample of shape `shape`.
    fn dim(&self, shape: Shape) -> usize;
    /// The features of all samples.
    fn features(&self, samples: &Samples) -> Result<Features>;
}

/// Metric values of one generation, by catalogue name.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Scores {
    /// Every metric asked for; `None` when it is undefined here.
    pub values: BTreeMap<String, Option<f64>>,
    /// Why a metric is undefined.
    pub undefined: BTreeMap<String, String>,
    /// 95 % intervals of the metrics that have one: of the value that other samples of the same size would give.
    pub intervals: BTreeMap<String, Interval>,
}

/// A 95 % interval.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// Lower end, in the units of the metric.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// How it was made.
    pub method: String,
}

impl Scores {
    /// Adds a metric; a value that is not finite is recorded as undefined, with its reason.
    pub fn set(&mut self, name: &str, value: Result<f64, String>) {
        match value {
            Ok(value) if value.is_finite() => {
                self.values.insert(name.to_owned(), Some(value));
            }
            Ok(value) => self.set(name, Err(format!("the value is {value}"))),
            Err(why) => {
                self.values.insert(name.to_owned(), None);
                self.undefined.insert(name.to_owned(), why);
            }
        }
    }
}

/// What an evaluator is given to score.
#[derive(Clone, Copy)]
pub struct Judged<'a> {
    /// The samples (real ones at generation 0).
    pub samples: &'a Samples,
    /// The model that made them; none at generation 0.
    pub model: Option<&'a dyn Generator>,
    /// What that model was trained on.
    pub training: Option<&'a Mix>,
    /// Randomness of the cell.
    pub seeds: Seeds,
    /// Set when the run should stop.
    pub cancel: &'a Cancel,
}

/// Scores generations against the reference set.
pub trait Evaluator: Send + Sync {
    /// Samples scored a generation, real and generated alike.
    fn rows(&self) -> u64;

    /// Sampling bias of the scored samples; `None` is the loop's.
    fn lambda(&self) -> Option<SamplingBias>;

    /// The real samples of the generation-0 record: as many, none of them in the reference.
    fn held_out(&self, seeds: Seeds) -> Result<Samples>;

    /// Scores one generation.
    fn score(&self, judged: Judged<'_>) -> Result<Scores>;

    /// A map of generation `t` beside real samples, where one is asked for.
    fn map(&self, _t: u32, _judged: Judged<'_>) -> Result<Option<Map>> {
        Ok(None)
    }
}
