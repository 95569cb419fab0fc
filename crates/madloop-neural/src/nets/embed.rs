//! The embedding of noise level and class that every block of a network sees.

use burn::tensor::{Device, Tensor};

use crate::nets::layers::Linear;
use crate::ops;
use crate::params::{Declare, Init, Weights, matrix};

/// Features of the noise level: half of them sines, half cosines.
const FEATURES: usize = 64;
/// The slowest of them turns once in 2 pi times as many time steps.
const SLOWEST: f64 = 10_000.0;

/// What a network is told about each row.
pub(crate) struct Condition<'a> {
    /// Noise level as an index of the schedule, from 0 to T - 1; a real number between two steps.
    pub(crate) times: &'a [f64],
    /// Class of each row; none where the network is to predict without one.
    pub(crate) classes: &'a [Option<u32>],
}

/// Sinusoids of the noise level (Vaswani et al. 2017, section 3.5) through two linear maps, plus a vector a class.
#[derive(Debug, Clone)]
pub(crate) struct Embedding {
    first: Linear,
    second: Linear,
    /// A row a class; no class is the zero row.
    class: Option<Linear>,
    n_classes: usize,
}

impl Embedding {
    pub(crate) fn new(mut declare: Declare<'_>, width: usize, n_classes: usize) -> Self {
        let first = Linear::new(declare.at("time.0"), FEATURES, width, Init::kaiming(FEATURES));
        let second = Linear::new(declare.at("time.1"), width, width, Init::xavier(width, width));
        // One entry of the one-hot row is 1, so that the sum has the deviation of one weight.
        let one_hot = Init::Normal { std: 1.0 };
        let class = (n_classes > 0).then(|| Linear::without_bias(declare.at("class"), n_classes, width, one_hot));
        Self { first, second, class, n_classes }
    }

    /// `[n, width]`, after a SiLU.
    pub(crate) fn forward(&self, weights: &Weights, condition: &Condition<'_>, device: &Device) -> Tensor<2> {
        let features = matrix(sinusoids(condition.times), FEATURES, device);
        let hidden = ops::silu(self.first.forward(weights, features));
        let mut embedding = self.second.forward(weights, hidden);
        if let Some(class) = self.class {
            embedding = embedding + class.forward(weights, one_hot(condition.classes, self.n_classes, device));
        }
        ops::silu(embedding)
    }

    pub(crate) fn flops(&self) -> f64 {
        self.first.flops + self.second.flops + self.class.map_or(0.0, |class| class.flops)
    }
}

fn sinusoids(times: &[f64]) -> Vec<f32> {
    const HALF: usize = FEATURES / 2;
    let frequencies: [f64; HALF] = std::array::from_fn(|i| SLOWEST.powf(-(i as f64) / HALF as f64));
    let mut out = Vec::with_capacity(times.len() * FEATURES);
    for time in times {
        out.extend(frequencies.iter().map(|frequency| (time * frequency).sin() as f32));
        out.extend(frequencies.iter().map(|frequency| (time * frequency).cos() as f32));
    }
    out
}

/// Rows of the identity, as a matrix product has a gradient that is summed in a fixed order.
pub(crate) fn one_hot(classes: &[Option<u32>], n_classes: usize, device: &Device) -> Tensor<2> {
    let mut out = vec![0.0; classes.len() * n_classes];
    for (row, class) in classes.iter().enumerate() {
        if let Some(class) = class {
            out[row * n_classes + *class as usize] = 1.0;
        }
    }
    matrix(out, n_classes, device)
}
