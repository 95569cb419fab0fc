//! Networks: a prediction of the shape of x from x, a noise level and a class.

mod embed;
mod layers;
mod mlp;
mod unet;

use burn::tensor::Tensor;

pub(crate) use embed::{Condition, one_hot};
pub(crate) use layers::{Conv, Linear, Norm};
pub(crate) use mlp::Mlp;
pub(crate) use unet::{Unet, UnetSettings};

use crate::params::{Declare, Layout, Weights};

/// A network that maps x `[n, d]` (images as height, width, channel) to `[n, d]`.
pub(crate) enum Network {
    Mlp(Mlp),
    Unet(Box<Unet>),
}

impl Network {
    pub(crate) fn forward(&self, weights: &Weights, x: Tensor<2>, condition: &Condition<'_>) -> Tensor<2> {
        match self {
            Self::Mlp(net) => net.forward(weights, x, condition),
            Self::Unet(net) => net.forward(weights, x, condition),
        }
    }

    /// About how many floating-point operations one row takes.
    pub(crate) fn flops(&self) -> f64 {
        match self {
            Self::Mlp(net) => net.flops(),
            Self::Unet(net) => net.flops(),
        }
    }

    /// About how many numbers a training step keeps for one row: what the backward pass needs of the forward pass.
    pub(crate) fn kept(&self) -> f64 {
        match self {
            Self::Mlp(net) => net.kept(),
            Self::Unet(net) => net.kept(),
        }
    }

    /// Rows that are drawn together: enough to fill the processor, few enough to stay in its caches.
    pub(crate) fn block(&self) -> usize {
        match self {
            Self::Mlp(_) => 256,
            Self::Unet(_) => 64,
        }
    }

    /// A network and its parameters.
    pub(crate) fn declare(build: impl FnOnce(&mut Declare<'_>) -> Self) -> (Self, Layout) {
        let mut layout = Layout::default();
        let network = build(&mut Declare::new(&mut layout));
        (network, layout)
    }
}
