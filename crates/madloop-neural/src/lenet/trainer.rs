//! Training of a LeNet on labelled samples.

use std::sync::Arc;

use burn::tensor::Tensor;
use burn::tensor::activation::log_softmax;
use madloop_core::{Cancel, Context, MemoryBlobs, Mix, Progress, Samples, Seeds, Shape, Stream};
use rand::RngExt;
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::file::MAX_CLASSES;
use super::network::{Architecture, Network};
use super::{Lenet, LenetError};
use crate::backend::Device;
use crate::params::{Weights, matrix};
use crate::train::{Adam, Batch, Decay, Fit, Objective, Plan, fit};

/// How a LeNet is trained: Adam with a rate that falls linearly to 0, on the cross-entropy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LenetConfig {
    /// How often training goes through the set, from 1.
    pub epochs: u64,
    /// Images a step, from 1.
    pub batch: usize,
    /// Adam's rate at the beginning, above 0.
    pub learning_rate: f64,
    /// Each image is moved by up to so many pixels along both sides, newly in every epoch, the edge's pixels repeated; 0 for not
    /// at all, at most 8. Vectors are not moved.
    pub shift: usize,
}

impl Default for LenetConfig {
    /// That of the reference network.
    fn default() -> Self {
        Self { epochs: 24, batch: 128, learning_rate: 2e-3, shift: 2 }
    }
}

/// Longest gradient.
const CLIP: f64 = 5.0;
const EMA: f64 = 0.999;
const MAX_SHIFT: usize = 8;
const MAX_BATCH: usize = 1_000_000;
const MAX_EPOCHS: u64 = 1_000_000;

impl LenetConfig {
    /// Optimiser steps for a set of `rows`.
    pub fn steps(&self, rows: usize) -> u64 {
        (u128::from(self.epochs) * rows as u128).div_ceil(self.batch.max(1) as u128).min(u128::from(u64::MAX)) as u64
    }

    fn check(&self) -> Result<(), LenetError> {
        let wrong = |key, value: String, range| Err(LenetError::Setting { key, value, range });
        if !(1..=MAX_EPOCHS).contains(&self.epochs) {
            return wrong("epochs", self.epochs.to_string(), "give 1 to 1,000,000");
        }
        if !(1..=MAX_BATCH).contains(&self.batch) {
            return wrong("batch", self.batch.to_string(), "give 1 to 1,000,000");
        }
        if !(self.learning_rate.is_finite() && self.learning_rate > 0.0) {
            return wrong("learning_rate", self.learning_rate.to_string(), "give a number above 0, such as 0.002");
        }
        if self.shift > MAX_SHIFT {
            return wrong("shift", self.shift.to_string(), "give 0 to 8 pixels");
        }
        Ok(())
    }
}

/// Trains a classifier of the classes 0, 1, ..., largest label. `progress` is told how much is done.
///
/// The moving average of the weights is what is kept. The result depends on the samples, the settings and `seeds` alone, not on the
/// number of threads; on another kind of processor the last bits of sums may differ.
///
/// # Errors
/// [`LenetError::Shape`], [`LenetError::Labels`] where labels are missing, are all one class or reach 10,000,
/// [`LenetError::Setting`], [`LenetError::Ended`], a value that is not finite, or the request to stop.
pub fn train_lenet(
    samples: &Samples,
    config: &LenetConfig,
    seeds: Seeds,
    cancel: &Cancel,
    progress: &dyn Fn(Progress),
) -> Result<Lenet, LenetError> {
    config.check()?;
    let classes = classes(samples).map_err(|why| LenetError::Labels { what: "the training set", why })?;
    let architecture = Architecture::new(samples.shape(), classes)?;
    samples.check_finite("the training set of LeNet")?;
    let (network, layout) = architecture.declare();
    let mix = Mix::of(samples.clone())?;
    let normal = normal(samples, architecture.columns());
    let device = Device::cpu();
    let objective =
        CrossEntropy { network: &network, architecture, normal: &normal, shift: config.shift, seeds, device };
    let training = identity(config, samples, seeds);
    let plan = Plan {
        steps: config.steps(samples.len()),
        batch: config.batch,
        adam: Adam { rate: config.learning_rate, decay: Decay::Linear, betas: Adam::BETAS, clip: CLIP, ema: EMA },
        // Minutes of work: not worth a checkpoint.
        checkpoint_steps: u64::MAX,
        identity: training.clone(),
    };
    let mut scratch = MemoryBlobs::default();
    let mut context = Context { seeds, classes: None, previous: None, scratch: &mut scratch, cancel, progress };
    match fit(&objective, &Arc::new(layout), &mix, &plan, &mut context, objective.device.inner())? {
        Fit::Ended(why) => Err(LenetError::Ended(why)),
        Fit::Done(fitted) => Lenet::trained(architecture, normal, &fitted.average, training),
    }
}

fn identity(config: &LenetConfig, samples: &Samples, seeds: Seeds) -> Value {
    json!({
        "epochs": config.epochs,
        "batch": config.batch,
        "learning_rate": config.learning_rate,
        "shift": config.shift,
        "decay": "linear",
        "clip": CLIP,
        "ema": EMA,
        "samples": samples.len(),
        "seed": seeds.seed(),
        "generation": seeds.generation(),
    })
}

/// Classes of a labelled set, or why it cannot be trained on.
pub(super) fn classes(samples: &Samples) -> Result<usize, String> {
    let labels = samples.labels().ok_or("it has no labels; use a labelled data set")?;
    let largest = labels.iter().max().ok_or("it is empty; give at least two samples of different classes")?;
    let other = labels.iter().find(|label| *label != largest);
    other.ok_or_else(|| format!("all its samples are of class {largest}; give at least two classes"))?;
    let classes = *largest as usize + 1;
    if classes > MAX_CLASSES {
        return Err(format!("its largest label is {largest}; classes are numbered 0 to {}", MAX_CLASSES - 1));
    }
    Ok(classes)
}

/// Mean and standard deviation of each column (the last axis); 1 for the deviation of a constant.
fn normal(samples: &Samples, columns: usize) -> [Vec<f32>; 2] {
    let mut row = vec![0.0; samples.dim()];
    let per_column = (samples.len() * samples.dim() / columns) as f64;
    let mut average = |of: &dyn Fn(usize, f64) -> f64| {
        let mut sums = vec![0.0; columns];
        for at in 0..samples.len() {
            samples.copy_row(at, &mut row);
            for values in row.chunks_exact(columns) {
                for (column, (sum, &value)) in sums.iter_mut().zip(values).enumerate() {
                    *sum += of(column, f64::from(value));
                }
            }
        }
        sums.iter().map(|sum| sum / per_column).collect::<Vec<f64>>()
    };
    let mean = average(&|_, value| value);
    let variance = average(&|column, value| (value - mean[column]).powi(2));
    let deviation = |variance: &f64| if *variance > 1e-12 { variance.sqrt() as f32 } else { 1.0 };
    [mean.iter().map(|&mean| mean as f32).collect(), variance.iter().map(deviation).collect()]
}

/// The negative logarithm of the softmax at the label, of images moved a little, the move addressed by example.
struct CrossEntropy<'a> {
    network: &'a Network,
    architecture: Architecture,
    normal: &'a [Vec<f32>; 2],
    shift: usize,
    seeds: Seeds,
    device: Device,
}

impl CrossEntropy<'_> {
    const SHIFT: Stream = Stream::named("neural/lenet/shift");

    /// Copies a sample, moved and standardised.
    fn prepare(&self, example: u64, sample: &[f32], out: &mut [f32]) {
        match self.architecture.shape {
            Shape::Image { channels, height, width } if self.shift > 0 => {
                let mut rng = self.seeds.rng(Self::SHIFT, example);
                let mut draw = || rng.random_range(0..=2 * self.shift as u64) as usize;
                let (down, right) = (draw(), draw());
                // Pixel i comes from i + move - shift, at the edge where that lies outside.
                let from = |at: usize, by: usize, side: usize| (at + by).saturating_sub(self.shift).min(side - 1);
                for (at, pixel) in out.chunks_exact_mut(channels).enumerate() {
                    let (row, column) = (from(at / width, down, height), from(at % width, right, width));
                    let start = (row * width + column) * channels;
                    pixel.copy_from_slice(&sample[start..start + channels]);
                }
            }
            _ => out.copy_from_slice(sample),
        }
        let [mean, deviation] = self.normal;
        let columns = mean.iter().zip(deviation).cycle();
        out.iter_mut().zip(columns).for_each(|(value, (mean, deviation))| *value = (*value - mean) / deviation);
    }
}

impl Objective for CrossEntropy<'_> {
    fn losses(&self, weights: &Weights, batch: &Batch) -> Tensor<1> {
        let (rows, dim, classes) = (batch.labels.len(), self.architecture.shape.len(), self.architecture.classes);
        let mut values = vec![0.0; batch.values.len()];
        let work = values.par_chunks_exact_mut(dim).zip(batch.values.par_chunks_exact(dim)).enumerate();
        work.for_each(|(row, (out, sample))| self.prepare(batch.examples.start + row as u64, sample, out));
        let mut chosen = vec![0.0; rows * classes];
        for (chosen, label) in chosen.chunks_exact_mut(classes).zip(&batch.labels) {
            if let Some(label) = label {
                chosen[*label as usize] = -1.0;
            }
        }
        let logits = self.network.forward(weights, matrix(values, dim, self.device.inner()));
        let chosen = matrix(chosen, classes, self.device.inner());
        (log_softmax(logits, 1) * chosen).sum_dim(1).reshape([rows])
    }
}
