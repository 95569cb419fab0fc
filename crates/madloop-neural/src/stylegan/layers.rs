//! Values with their change along a direction, and layers of equalised learning rate.

use std::f64::consts::SQRT_2;

use burn::tensor::Tensor;

use super::SLOPE;
use crate::ops;
use crate::params::{Declare, Handle, Init, Weights};

/// A value, and where one is followed its derivative along a direction. Both are composed of operations with first derivatives.
#[derive(Clone)]
pub(crate) struct Dual<const D: usize> {
    pub(crate) value: Tensor<D>,
    pub(crate) tangent: Option<Tensor<D>>,
}

impl<const D: usize> From<Tensor<D>> for Dual<D> {
    fn from(value: Tensor<D>) -> Self {
        Self { value, tangent: None }
    }
}

impl<const D: usize> Dual<D> {
    pub(crate) fn new(value: Tensor<D>, tangent: Tensor<D>) -> Self {
        Self { value, tangent: Some(tangent) }
    }

    /// A linear map.
    pub(crate) fn map<const E: usize>(self, linear: impl Fn(Tensor<D>) -> Tensor<E>) -> Dual<E> {
        Dual { tangent: self.tangent.map(&linear), value: linear(self.value) }
    }

    /// A map that is linear but for a constant, and the map without it.
    pub(crate) fn affine<const E: usize>(
        self,
        map: impl FnOnce(Tensor<D>) -> Tensor<E>,
        linear: impl FnOnce(Tensor<D>) -> Tensor<E>,
    ) -> Dual<E> {
        Dual { tangent: self.tangent.map(linear), value: map(self.value) }
    }

    /// The leaky rectifier.
    pub(crate) fn leaky(self) -> Self {
        let value = ops::leaky(self.value, SLOPE);
        let tangent = self.tangent.map(|tangent| ops::leaky_along(value.clone().without_autodiff(), tangent, SLOPE));
        Self { value, tangent }
    }

    pub(crate) fn plus(self, other: Self) -> Self {
        Self { value: self.value + other.value, tangent: sum(self.tangent, other.tangent) }
    }
}

impl Dual<4> {
    /// Every channel by its factor.
    pub(crate) fn modulate(self, scale: Dual<2>) -> Self {
        let first = self.tangent.map(|tangent| ops::modulate(tangent, scale.value.clone()));
        let second = scale.tangent.map(|tangent| ops::modulate(self.value.clone(), tangent));
        Self { value: ops::modulate(self.value, scale.value), tangent: sum(first, second) }
    }
}

fn sum<const D: usize>(a: Option<Tensor<D>>, b: Option<Tensor<D>>) -> Option<Tensor<D>> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a + b),
        (a, b) => a.or(b),
    }
}

/// x W g + b r, W from N(0, 1) / r, g = r / sqrt(inputs): the step of Adam changes all layers alike, and r slows the layer down
/// (equalised learning rate; Karras et al. 2018, arXiv:1710.10196, section 4.1).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Linear {
    weight: Handle,
    bias: Handle,
    gain: f64,
    rate: f64,
    pub(crate) flops: f64,
}

impl Linear {
    pub(crate) fn new(declare: Declare<'_>, sizes: [usize; 2]) -> Self {
        Self::with(declare, sizes, Init::Zeros, 1.0)
    }

    pub(crate) fn with(mut declare: Declare<'_>, [input, output]: [usize; 2], bias: Init, rate: f64) -> Self {
        Self {
            weight: declare.param("weight", &[input, output], Init::Normal { std: 1.0 / rate }),
            bias: declare.param("bias", &[output], bias),
            gain: rate / (input as f64).sqrt(),
            rate,
            flops: 2.0 * (input * output) as f64,
        }
    }

    pub(crate) fn forward(self, weights: &Weights, x: Dual<2>) -> Dual<2> {
        self.scaled(weights, x, 1.0)
    }

    /// The layer and a rectifier that keeps the variance: sqrt(2) r(...).
    pub(crate) fn rectified(self, weights: &Weights, x: Dual<2>) -> Dual<2> {
        self.scaled(weights, x, SQRT_2).leaky()
    }

    fn scaled(self, weights: &Weights, x: Dual<2>, by: f64) -> Dual<2> {
        let (weight, gain) = (weights.get::<2>(self.weight), by * self.gain);
        let bias = weights.get::<1>(self.bias) * (by * self.rate);
        // The rows are fewer than the weights.
        x.affine(
            |x| ops::linear(x * gain, weight.clone(), Some(bias)),
            |tangent| ops::linear(tangent * gain, weight.clone(), None),
        )
    }
}

/// A convolution of equalised learning rate.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Conv {
    weight: Handle,
    bias: Option<Handle>,
    gain: f64,
    /// Operations a pixel of the output.
    flops: f64,
}

impl Conv {
    pub(crate) fn new(mut declare: Declare<'_>, [input, output]: [usize; 2], kernel: usize, biased: bool) -> Self {
        Self {
            weight: declare.param("weight", &[kernel, kernel, input, output], Init::Normal { std: 1.0 }),
            bias: biased.then(|| declare.param("bias", &[output], Init::Zeros)),
            gain: ((kernel * kernel * input) as f64).sqrt().recip(),
            flops: 2.0 * (kernel * kernel * input * output) as f64,
        }
    }

    /// `by` r(conv(x)).
    pub(crate) fn rectified(self, weights: &Weights, x: Dual<4>, by: f64) -> Dual<4> {
        let weight = weights.get::<4>(self.weight) * (by * self.gain);
        self.apply(weights, weight, x, by)
    }

    /// The same of an image that is filtered and of half the size, given [`ops::fold`]ed.
    pub(crate) fn rectified_down(self, weights: &Weights, folded: Dual<4>, by: f64) -> Dual<4> {
        let weight = ops::down_weight(weights.get::<4>(self.weight) * (by * self.gain));
        self.apply(weights, weight, folded, by)
    }

    fn apply(self, weights: &Weights, weight: Tensor<4>, x: Dual<4>, by: f64) -> Dual<4> {
        let bias = self.bias.map(|bias| weights.get::<1>(bias) * by);
        x.affine(|x| ops::conv2d(x, weight.clone(), bias, 1), |tangent| ops::conv2d(tangent, weight.clone(), None, 1))
            .leaky()
    }

    /// `other` + `by` conv(x), without bias and rectifier.
    pub(crate) fn onto(self, weights: &Weights, other: Dual<4>, x: Dual<4>, by: f64) -> Dual<4> {
        let weight = weights.get::<4>(self.weight) * (by * self.gain);
        let [.., output] = weight.dims();
        let zero = Tensor::zeros([output], &weight.device().without_autodiff());
        let onto = |other, x| ops::conv2d_onto(other, x, weight.clone(), zero.clone(), 1);
        let tangent = other.tangent.zip(x.tangent).map(|(other, x)| onto(other, x));
        Dual { value: onto(other.value, x.value), tangent }
    }

    /// Operations for an output of `pixels`.
    pub(crate) fn flops(self, pixels: usize) -> f64 {
        self.flops * pixels as f64
    }
}
