//! The critic: a number for each sample, and the derivative of that number along a direction.

use burn::tensor::Tensor;

use super::SLOPE;
use crate::nets::{Conv, Linear};
use crate::ops;
use crate::params::{Declare, Init, Weights};

/// Rectified layers, and a linear one to the number. Rows are flat between layers (images as height, width, channel).
pub(crate) struct Critic {
    layers: Vec<Layer>,
    last: Linear,
}

#[derive(Clone, Copy)]
enum Layer {
    Linear(Linear),
    /// A convolution of stride 2 and what it reads: height, width and channels.
    Halve(Conv, [usize; 3]),
}

/// Windows of the convolutions, as in Radford et al. 2016.
const WINDOW: usize = 5;

impl Critic {
    /// `depth` layers of `width`.
    pub(crate) fn mlp(mut declare: Declare<'_>, dim: usize, width: usize, depth: usize) -> Self {
        let layer = |at| {
            let input = if at == 0 { dim } else { width };
            Layer::Linear(Linear::new(declare.at(format_args!("layer.{at}")), input, width, Init::kaiming(input)))
        };
        let layers = (0..depth).map(layer).collect();
        Self { layers, last: Linear::new(declare.at("last"), width, 1, Init::xavier(width, 1)) }
    }

    /// Convolutions of stride 2 until 4 pixels a side are left, two at least, of `base`, 2 `base`, 4 `base` ... channels.
    pub(crate) fn dcgan(mut declare: Declare<'_>, [mut height, mut width, channels]: [usize; 3], base: usize) -> Self {
        let (mut layers, mut input) = (Vec::new(), channels);
        while layers.len() < 2 || height.max(width) > 4 {
            let output = base << layers.len();
            let init = Init::kaiming(WINDOW * WINDOW * input);
            let conv = Conv::new(declare.at(format_args!("layer.{}", layers.len())), [input, output], WINDOW, 2, init);
            layers.push(Layer::Halve(conv, [height, width, input]));
            (height, width, input) = (height.div_ceil(2), width.div_ceil(2), output);
        }
        let features = height * width * input;
        Self { layers, last: Linear::new(declare.at("last"), features, 1, Init::xavier(features, 1)) }
    }

    /// `[n, d]` -> `[n]`.
    pub(crate) fn forward(&self, weights: &Weights, x: Tensor<2>) -> Tensor<1> {
        self.forward_with(weights, x, |_| {})
    }

    /// [`Critic::forward`], and what each rectifier gave, as constants.
    pub(crate) fn forward_and_keep(&self, weights: &Weights, x: Tensor<2>) -> (Tensor<1>, Vec<Tensor<2>>) {
        let mut kept = Vec::new();
        let y = self.forward_with(weights, x, |h| kept.push(h.clone().without_autodiff()));
        (y, kept)
    }

    fn forward_with(&self, weights: &Weights, mut x: Tensor<2>, mut see: impl FnMut(&Tensor<2>)) -> Tensor<1> {
        for layer in &self.layers {
            x = ops::leaky(
                layer.map(x, |linear, x| linear.forward(weights, x), |conv, x| conv.forward(weights, x)),
                SLOPE,
            );
            see(&x);
        }
        flat(self.last.forward(weights, x))
    }

    /// The derivative of [`Critic::forward`] along `direction` where the rectifiers gave `kept`: `[n, d]` -> `[n]`.
    pub(crate) fn along(&self, weights: &Weights, kept: Vec<Tensor<2>>, direction: Tensor<2>) -> Tensor<1> {
        let mut tangent = direction;
        for (layer, y) in self.layers.iter().zip(kept) {
            tangent = layer.map(tangent, |linear, t| linear.along(weights, t), |conv, t| conv.along(weights, t));
            tangent = ops::leaky_along(y, tangent, SLOPE);
        }
        flat(self.last.along(weights, tangent))
    }

    /// Operations a row.
    pub(crate) fn flops(&self) -> f64 {
        let of = |layer: &Layer| match *layer {
            Layer::Linear(linear) => linear.flops,
            Layer::Halve(conv, [height, width, _]) => conv.flops(height.div_ceil(2) * width.div_ceil(2)),
        };
        self.layers.iter().map(of).sum::<f64>() + self.last.flops
    }
}

impl Layer {
    /// Applies a linear map or a convolution to flat rows.
    fn map(
        self,
        x: Tensor<2>,
        linear: impl Fn(Linear, Tensor<2>) -> Tensor<2>,
        conv: impl Fn(Conv, Tensor<4>) -> Tensor<4>,
    ) -> Tensor<2> {
        match self {
            Self::Linear(layer) => linear(layer, x),
            Self::Halve(layer, [height, width, channels]) => {
                let [n, _] = x.dims();
                let y = conv(layer, x.reshape([n, height, width, channels]));
                let [_, height, width, channels] = y.dims();
                y.reshape([n, height * width * channels])
            }
        }
    }
}

/// `[n, 1]` -> `[n]`.
fn flat(y: Tensor<2>) -> Tensor<1> {
    let [n, _] = y.dims();
    y.reshape([n])
}
