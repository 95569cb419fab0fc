//! The network's shape, its parameters, and its forward pass in training.

use burn::tensor::Tensor;
use burn::tensor::activation::relu;
use madloop_core::Shape;

use super::error::LenetError;
use crate::nets::{Conv, Linear};
use crate::params::{Declare, Init, Layout, Weights};

/// Channels of the two convolutions.
pub(crate) const CHANNELS: [usize; 2] = [6, 16];
/// Side of their kernels.
pub(crate) const KERNEL: usize = 5;
/// Width of the two dense layers; the second is the penultimate layer.
pub(crate) const DENSE: [usize; 2] = [120, 84];
/// Sides of the images that the rule below is made for.
const SIDES: std::ops::RangeInclusive<usize> = 8..=64;
/// More dimensions than this are hardly a vector's.
const MAX_DIM: usize = 65_536;
/// The second convolution does without a border where it is given at least this many pixels.
const BORDERLESS: usize = 8;

/// What a network is made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Architecture {
    pub(crate) shape: Shape,
    pub(crate) classes: usize,
}

/// How one side of an image shrinks: s -> s / 2 by the first pooling; 5 x 5 without a border where s / 2 >= 8 (with a
/// border of zeros below, since little would be left); / 2 by the second pooling. A last odd row or column is not pooled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Side {
    pub(crate) input: usize,
    /// After the first pooling.
    pub(crate) half: usize,
    /// The second convolution's border: 2 or 0 pixels.
    pub(crate) border: usize,
    /// After the second pooling.
    pub(crate) quarter: usize,
}

impl Side {
    fn new(input: usize) -> Self {
        let half = input / 2;
        let border = if half < BORDERLESS { KERNEL / 2 } else { 0 };
        Self { input, half, border, quarter: (half + 2 * border - (KERNEL - 1)) / 2 }
    }
}

impl Architecture {
    /// # Errors
    /// [`LenetError::Shape`] where no network is made for the shape.
    pub(crate) fn new(shape: Shape, classes: usize) -> Result<Self, LenetError> {
        let known = match shape {
            Shape::Vector { dim } => (1..=MAX_DIM).contains(&dim),
            Shape::Image { channels, height, width } => {
                matches!(channels, 1 | 3) && SIDES.contains(&height) && SIDES.contains(&width)
            }
        };
        if known { Ok(Self { shape, classes }) } else { Err(LenetError::Shape(shape)) }
    }

    /// Height and width, of images.
    pub(crate) fn sides(self) -> Option<[Side; 2]> {
        match self.shape {
            Shape::Vector { .. } => None,
            Shape::Image { height, width, .. } => Some([Side::new(height), Side::new(width)]),
        }
    }

    /// Values along the last axis, each with a standardisation of its own: channels, or a vector's dimensions.
    pub(crate) fn columns(self) -> usize {
        match self.shape {
            Shape::Vector { dim } => dim,
            Shape::Image { channels, .. } => channels,
        }
    }

    /// Values that enter the first dense layer.
    pub(crate) fn flat(self) -> usize {
        self.sides().map_or(self.shape.len(), |[y, x]| y.quarter * x.quarter * CHANNELS[1])
    }

    /// Its layers and their parameters.
    pub(crate) fn declare(self) -> (Network, Layout) {
        let mut layout = Layout::default();
        let mut declare = Declare::new(&mut layout);
        let mut conv = |at: usize, input: usize| {
            let init = Init::kaiming(KERNEL * KERNEL * input);
            Conv::new(declare.at(format_args!("conv.{at}")), [input, CHANNELS[at]], KERNEL, 1, init)
        };
        let convs = self.sides().map(|_| [conv(0, self.columns()), conv(1, CHANNELS[0])]);
        let mut dense = |at: usize, input: usize| {
            Linear::new(declare.at(format_args!("dense.{at}")), input, DENSE[at], Init::kaiming(input))
        };
        let dense = [dense(0, self.flat()), dense(1, DENSE[0])];
        let output = Linear::new(declare.at("output"), DENSE[1], self.classes, Init::xavier(DENSE[1], self.classes));
        (Network { architecture: self, convs, dense, output }, layout)
    }
}

/// Layers of an [`Architecture`].
pub(crate) struct Network {
    architecture: Architecture,
    convs: Option<[Conv; 2]>,
    dense: [Linear; 2],
    output: Linear,
}

impl Network {
    /// Logits of standardised samples: `[n, d]` (images as height, width, channel) -> `[n, classes]`.
    pub(crate) fn forward(&self, weights: &Weights, x: Tensor<2>) -> Tensor<2> {
        let x = self.convolved(weights, x);
        let x = relu(self.dense[0].forward(weights, x));
        let x = relu(self.dense[1].forward(weights, x));
        self.output.forward(weights, x)
    }

    fn convolved(&self, weights: &Weights, x: Tensor<2>) -> Tensor<2> {
        let (Some([first, second]), Some([y, x_side])) = (self.convs, self.architecture.sides()) else { return x };
        let [n, _] = x.dims();
        let x = x.reshape([n, y.input, x_side.input, self.architecture.columns()]);
        let x = relu(max_pool(first.forward(weights, x)));
        // The layer keeps the size; what lies outside the borderless convolution is cut off.
        let cut = |side: Side| KERNEL / 2 - side.border..side.half - (KERNEL / 2 - side.border);
        let x = second.forward(weights, x).slice([0..n, cut(y), cut(x_side), 0..CHANNELS[1]]);
        relu(max_pool(x)).reshape([n, self.architecture.flat()])
    }
}

/// The largest of each 2 x 2 pixels: `[n, h, w, c]` -> `[n, h / 2, w / 2, c]`.
fn max_pool(x: Tensor<4>) -> Tensor<4> {
    let [n, h, w, c] = x.dims();
    let (half_h, half_w) = (h / 2, w / 2);
    let x = x.slice([0..n, 0..2 * half_h, 0..2 * half_w, 0..c]);
    // Neighbouring rows, then neighbouring columns, as pairs along an axis.
    let x = larger_of_pairs(x.reshape([n * half_h, 2, 2 * half_w * c]));
    let x = larger_of_pairs(x.reshape([n * half_h * half_w, 2, c]));
    x.reshape([n, half_h, half_w, c])
}

/// `[n, 2, d]` -> `[n, 1, d]`.
fn larger_of_pairs(x: Tensor<3>) -> Tensor<3> {
    let [n, _, d] = x.dims();
    let half = |at: usize| x.clone().slice([0..n, at..at + 1, 0..d]);
    half(0).max_pair(half(1))
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, TensorData};

    use super::*;

    #[test]
    fn the_rule_gives_lenet_5_at_28_and_something_from_8_to_64() {
        let of = |height, width, channels| Architecture::new(Shape::Image { channels, height, width }, 10);
        let mnist = of(28, 28, 1).expect("in range");
        assert_eq!((mnist.flat(), mnist.declare().1.len()), (400, 61_706));
        for (side, quarter) in [(8, 2), (9, 2), (15, 3), (16, 2), (32, 6), (63, 13), (64, 14)] {
            let [y, _] = of(side, 8, 3).expect("in range").sides().expect("an image");
            assert_eq!(y.quarter, quarter, "{side}");
        }
        for (height, width, channels) in [(7, 28, 1), (28, 65, 1), (28, 28, 2), (28, 28, 4)] {
            let error = of(height, width, channels).expect_err("out of range").to_string();
            assert!(error.contains(&format!("{height}x{width}x{channels}")) && error.contains("--resize"), "{error}");
        }
    }

    #[test]
    fn pooling_takes_the_largest_and_leaves_the_odd_column_out() {
        let values: Vec<f32> = vec![1., -1., 5., -7., 99., 99., 3., -2., 2., -4., 99., 99.];
        let x = Tensor::<4>::from_data(TensorData::new(values, [1, 2, 3, 2]), &Device::flex());
        let y: Vec<f32> = max_pool(x).into_data().iter::<f32>().collect();
        assert_eq!(y, [5., -1.]);
    }
}
