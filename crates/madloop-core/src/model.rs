//! Trainers and generators: the seams behind which every model family stands.

use std::ops::Range;
use std::sync::Arc;

use crate::{Blobs, Context, Mix, Result, Samples, SamplingBias, Seeds, Shape, Watch};

/// Makes a generator from a training set, from scratch unless it says otherwise.
pub trait Trainer: Send + Sync {
    /// The model family's name, such as `gaussian`.
    fn family(&self) -> &'static str;

    /// Trains on `mix`. Randomness comes from `context.seeds` alone; collapse is a [`Trained`], not an error.
    fn train(&self, mix: &Mix, context: &mut Context<'_>) -> Result<Trained>;

    /// Reads back what [`Generator::save`] wrote; the two sample identical bits.
    fn load(&self, blobs: &dyn Blobs) -> Result<Arc<dyn Generator>>;

    /// Whether samples of `shape`, with class labels or without, can be trained on and drawn with each of `lambdas`: what training and
    /// sampling would refuse is refused before a run begins.
    fn check(&self, _shape: Shape, _labelled: bool, _lambdas: &[SamplingBias]) -> Result<()> {
        Ok(())
    }

    /// Whether training begins at the model of the generation before ([`Context::previous`]) instead of from scratch, which is the
    /// paper's definition of a self-consuming loop.
    fn begins_at_previous(&self) -> bool {
        false
    }

    /// Bytes of a value of its samples: of f32, or 1 where they are u8 pixels.
    fn value_bytes(&self) -> u64 {
        4
    }

    /// About what training on `rows` samples costs.
    fn cost(&self, rows: u64, shape: Shape) -> Cost;
}

/// A trained model.
pub trait Generator: Send + Sync {
    /// Rows `rows` of the draw addressed by `seeds`; row r depends on r, lambda and the seeds alone.
    fn sample(&self, rows: Range<u64>, lambda: SamplingBias, seeds: Seeds) -> Result<Samples>;

    /// As [`Generator::sample`]; families that take long over it tell of rows that are done, and stop when asked to.
    fn sample_watched(
        &self,
        rows: Range<u64>,
        lambda: SamplingBias,
        seeds: Seeds,
        _watch: Watch<'_>,
    ) -> Result<Samples> {
        self.sample(rows, lambda, seeds)
    }

    /// Writes the whole model.
    fn save(&self, blobs: &mut dyn Blobs) -> Result<()>;

    /// The model's own mean and covariance, where it is one Gaussian.
    fn gaussian(&self) -> Option<GaussianParameters> {
        None
    }

    /// ln p(x) of every sample in nats, of families that know their density; with labels, of x given its class. p is a density in the units
    /// of the samples; of pixels it is a probability, or a lower bound of it. What is random about it (noise added to pixels)
    /// comes from `seeds`.
    fn log_likelihood(&self, _samples: &Samples, _seeds: Seeds) -> Result<Option<Vec<f64>>> {
        Ok(None)
    }

    /// The loss of every training step, of families that have one.
    fn losses(&self) -> &[f64] {
        &[]
    }

    /// The name of the sampler, where the family has several.
    fn sampler(&self) -> Option<(String, u32)> {
        None
    }
}

/// Parameters of a Gaussian in R^d.
#[derive(Debug, Clone, PartialEq)]
pub struct GaussianParameters {
    /// `[d]`.
    pub mean: Vec<f64>,
    /// `[d, d]`, symmetric.
    pub covariance: Vec<f64>,
}

/// What training came to.
#[derive(Clone)]
pub enum Trained {
    /// A model.
    Model(Arc<dyn Generator>),
    /// A model that has lost a dimension or more, and how; the loop goes on with it.
    Degenerate(Arc<dyn Generator>, String),
    /// No model, and why; the cell ends.
    Ended(String),
}

/// A rough price of a model, for the estimate before a run.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Cost {
    /// Floating-point operations of training.
    pub train: f64,
    /// Floating-point operations of drawing one sample.
    pub sample_row: f64,
    /// Bytes of a saved model.
    pub model_bytes: f64,
    /// Samples of a training step, and bytes of memory that the step takes, about; 0 where it does not depend on a batch.
    pub batch: u64,
    /// See [`Cost::batch`].
    pub step_bytes: f64,
}
