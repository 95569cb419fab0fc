//! Layers: parameters and the operation that they enter.

use burn::tensor::Tensor;

use crate::ops;
use crate::params::{Declare, Handle, Init, Weights};

/// x W + b.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Linear {
    weight: Handle,
    bias: Option<Handle>,
    pub(crate) flops: f64,
}

impl Linear {
    pub(crate) fn new(mut declare: Declare<'_>, input: usize, output: usize, init: Init) -> Self {
        Self {
            weight: declare.param("weight", &[input, output], init),
            bias: Some(declare.param("bias", &[output], Init::Zeros)),
            flops: 2.0 * (input * output) as f64,
        }
    }

    pub(crate) fn without_bias(mut declare: Declare<'_>, input: usize, output: usize, init: Init) -> Self {
        let flops = 2.0 * (input * output) as f64;
        Self { weight: declare.param("weight", &[input, output], init), bias: None, flops }
    }

    pub(crate) fn forward(self, weights: &Weights, x: Tensor<2>) -> Tensor<2> {
        ops::linear(x, weights.get(self.weight), self.bias.map(|bias| weights.get(bias)))
    }

    /// The derivative of [`Linear::forward`] along `tangent`, a change of x.
    pub(crate) fn along(self, weights: &Weights, tangent: Tensor<2>) -> Tensor<2> {
        ops::linear(tangent, weights.get(self.weight), None)
    }
}

/// A convolution with a zero border that keeps the size, or halves it (stride 2).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Conv {
    weight: Handle,
    bias: Handle,
    stride: usize,
    /// Operations a pixel of the output.
    flops: f64,
}

impl Conv {
    pub(crate) fn new(
        mut declare: Declare<'_>,
        [input, output]: [usize; 2],
        kernel: usize,
        stride: usize,
        init: Init,
    ) -> Self {
        Self {
            weight: declare.param("weight", &[kernel, kernel, input, output], init),
            bias: declare.param("bias", &[output], Init::Zeros),
            stride,
            flops: 2.0 * (kernel * kernel * input * output) as f64,
        }
    }

    /// 3x3 with a Kaiming beginning.
    pub(crate) fn three(declare: Declare<'_>, channels: [usize; 2]) -> Self {
        Self::new(declare, channels, 3, 1, Init::kaiming(9 * channels[0]))
    }

    pub(crate) fn forward(self, weights: &Weights, x: Tensor<4>) -> Tensor<4> {
        ops::conv2d(x, weights.get(self.weight), Some(weights.get(self.bias)), self.stride)
    }

    /// The derivative of [`Conv::forward`] along `tangent`, a change of x.
    pub(crate) fn along(self, weights: &Weights, tangent: Tensor<4>) -> Tensor<4> {
        ops::conv2d(tangent, weights.get(self.weight), None, self.stride)
    }

    /// `other` plus the convolution of x.
    pub(crate) fn forward_onto(self, weights: &Weights, other: Tensor<4>, x: Tensor<4>) -> Tensor<4> {
        ops::conv2d_onto(other, x, weights.get(self.weight), weights.get(self.bias), self.stride)
    }

    /// Operations for an output of `pixels`.
    pub(crate) fn flops(self, pixels: usize) -> f64 {
        self.flops * pixels as f64
    }
}

/// Group normalisation and SiLU; channels are a multiple of 8.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Norm {
    gain: Handle,
    bias: Handle,
    groups: usize,
}

impl Norm {
    /// At least 4 channels a group: the mean of a group is lost, and with it what an embedding adds to all of them.
    fn groups(channels: usize) -> usize {
        (channels / 4).min(8)
    }

    pub(crate) fn new(mut declare: Declare<'_>, channels: usize) -> Self {
        Self {
            gain: declare.param("gain", &[channels], Init::Ones),
            bias: declare.param("bias", &[channels], Init::Zeros),
            groups: Self::groups(channels),
        }
    }

    pub(crate) fn forward(self, weights: &Weights, x: Tensor<4>) -> Tensor<4> {
        ops::group_norm_silu(x, weights.get(self.gain), weights.get(self.bias), self.groups)
    }
}
