//! A small convolutional classifier, LeNet-5 by shape (LeCun, Bottou, Bengio and Haffner 1998, figure 2), and its penultimate
//! layer as a feature map.

mod downstream;
mod error;
mod file;
mod forward;
mod network;
mod trainer;

use madloop_core::{FeatureMap, Features, Samples, Shape};
use rayon::prelude::*;
use serde_json::Value;

pub use downstream::downstream_accuracy;
pub use error::LenetError;
pub use trainer::{LenetConfig, train_lenet};

use crate::params::Weights;
use forward::{Answer, Forward};
use network::{Architecture, DENSE};

/// A trained classifier of images with sides of 8 to 64 pixels and 1 or 3 channels, or of vectors.
///
/// conv 5x5 (6) with a border of 2, max pooling 2x2, ReLU; conv 5x5 (16), max pooling 2x2, ReLU; dense 120, ReLU; dense 84,
/// ReLU; dense, one output a class. The second convolution has no border where it is given at least 8 pixels (sides from
/// 16), along each side by itself, and one of 2 otherwise; pooling leaves a last odd row or column out. At 28x28x1 with 10
/// classes these are LeNet-5's layers and 61,706 parameters. Vectors go to the dense layers at once.
///
/// The input is standardised: (v - mean) / deviation with constants in the weights file, one pair a channel (or a
/// vector's dimension), those of the training set. Pixels are from 0 to 1 (u8: v / 255), and floats beyond that are
/// taken as they are.
///
/// The **features** are the 84 values of the penultimate layer before its ReLU, as f32: the Fréchet distance compares normal
/// laws, and rectified values have a mass at 0, which makes covariances singular. They do not depend on the batch, the
/// number of threads, or the processor: sums are taken in one order without fused products.
pub struct Lenet {
    name: String,
    architecture: Architecture,
    /// Mean and deviation of the input.
    normal: [Vec<f32>; 2],
    weights: Weights,
    forward: Forward,
    made_by: Value,
    bytes: Vec<u8>,
    sha256: String,
}

impl Lenet {
    /// The shape of the samples that it takes.
    pub fn shape(&self) -> Shape {
        self.architecture.shape
    }

    /// Number of classes; they are 0, 1, ...
    pub fn classes(&self) -> usize {
        self.architecture.classes
    }

    /// What its file says about its making: `format`, `architecture`, `shape`, `classes`, `features`, `normalisation`,
    /// `training`, and `command` where it is known.
    pub fn about(&self) -> &Value {
        &self.made_by
    }

    /// The class with the largest output, of each sample (the first of them where two are equal).
    ///
    /// # Errors
    /// [`LenetError::OtherShape`], [`LenetError::NotFinite`], or a value that is not finite.
    pub fn classify(&self, samples: &Samples) -> Result<Vec<u32>, LenetError> {
        let largest = |logits: &[f32]| {
            let first = |best: usize, at: usize| if logits[at] > logits[best] { at } else { best };
            (0..logits.len()).fold(0, first) as u32
        };
        Ok(self.answers(samples)?.iter().map(|answer| largest(&answer.logits)).collect())
    }

    /// The share of samples whose class is their label, from 0 to 1.
    ///
    /// # Errors
    /// Those of [`Lenet::classify`], and [`LenetError::Labels`] where there are no labels or no samples.
    pub fn accuracy(&self, samples: &Samples) -> Result<f64, LenetError> {
        let what = "the test set";
        let labels = samples
            .labels()
            .ok_or_else(|| LenetError::Labels { what, why: "it has no labels; use a labelled data set".into() })?;
        if labels.is_empty() {
            return Err(LenetError::Labels { what, why: "it is empty; give at least one sample".into() });
        }
        let found = self.classify(samples)?;
        Ok(found.iter().zip(labels).filter(|(found, label)| found == label).count() as f64 / labels.len() as f64)
    }

    fn answers(&self, samples: &Samples) -> Result<Vec<Answer>, LenetError> {
        let (wanted, found) = (self.shape(), samples.shape());
        if found != wanted {
            let (name, remedy) = (self.name.clone(), remedy(wanted, found));
            return Err(LenetError::OtherShape { name, wanted, found, remedy });
        }
        samples.check_finite("the set whose LeNet features are wanted")?;
        let answer = |row: usize| {
            let mut values = vec![0.0; samples.dim()];
            samples.copy_row(row, &mut values);
            let answer = self.forward.answer(&values);
            if answer.features.iter().chain(&answer.logits).all(|value| value.is_finite()) {
                return Ok(answer);
            }
            let largest = values.iter().fold(0.0_f32, |most, value| most.max(value.abs()));
            Err(LenetError::NotFinite { name: self.name.clone(), row, largest })
        };
        (0..samples.len()).into_par_iter().map(answer).collect()
    }
}

/// How samples get the shape that is wanted.
fn remedy(wanted: Shape, found: Shape) -> String {
    match (wanted, found) {
        (Shape::Image { channels, height, width }, Shape::Image { .. }) => {
            let side = if height == width { height.to_string() } else { format!("{height}x{width}") };
            let color = if channels == 1 { "grey" } else { "rgb" };
            format!(
                "read them with --resize {side} --color {color}, or use features trained on their shape (lenet:FILE)"
            )
        }
        _ => "use features trained on their shape (lenet:FILE)".into(),
    }
}

impl FeatureMap for Lenet {
    /// `lenet` of [`Lenet::mnist`], otherwise `lenet:FILE`.
    fn name(&self) -> &str {
        &self.name
    }

    /// 84, whatever the shape.
    fn dim(&self, _shape: Shape) -> usize {
        DENSE[1]
    }

    fn features(&self, samples: &Samples) -> madloop_core::Result<Features> {
        let answers = self.answers(samples)?;
        let values = answers.iter().flat_map(|answer| answer.features).collect();
        Ok(Features { rows: samples.len(), dim: DENSE[1], values })
    }
}
