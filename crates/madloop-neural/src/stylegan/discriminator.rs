//! The discriminator: a number for each image, large for real ones.

use std::f64::consts::{FRAC_1_SQRT_2, SQRT_2};

use burn::tensor::Tensor;

use super::Channels;
use super::layers::{Conv, Dual, Linear};
use crate::ops;
use crate::params::{Declare, Weights};

/// Added to the variance over a group.
const EPS: f32 = 1e-8;

/// Residual blocks that halve the image until 4 x 4 pixels are left; then the deviation within groups as one more channel, a
/// convolution and two linear layers (Karras et al. 2019, arXiv:1912.04958, section 4.1 and figure 7c).
pub(crate) struct Discriminator {
    from_image: Conv,
    blocks: Vec<Block>,
    conv: Conv,
    hidden: Linear,
    out: Linear,
    /// Images of a group of which the deviation is taken.
    group: usize,
    side: usize,
    channels: usize,
}

struct Block {
    first: Conv,
    down: Conv,
    skip: Conv,
}

impl Discriminator {
    pub(crate) fn new(mut declare: Declare<'_>, [side, channels]: [usize; 2], of: Channels, group: usize) -> Self {
        let sizes = std::iter::successors(Some(side), |side| Some(side / 2)).take_while(|side| *side > 4);
        let block = |side: usize| {
            let mut declare = declare.at(format_args!("block.{side}"));
            let (wide, narrow) = (of.at(side / 2), of.at(side));
            Block {
                first: Conv::new(declare.at("first"), [narrow, narrow], 3, true),
                down: Conv::new(declare.at("down"), [narrow, wide], 3, true),
                skip: Conv::new(declare.at("skip"), [narrow, wide], 1, false),
            }
        };
        let blocks = sizes.map(block).collect();
        let (first, last) = (of.at(side), of.at(4));
        Self {
            blocks,
            from_image: Conv::new(declare.at("from_image"), [channels, first], 1, true),
            conv: Conv::new(declare.at("conv"), [last + 1, last], 3, true),
            hidden: Linear::new(declare.at("hidden"), [16 * last, last]),
            out: Linear::new(declare.at("out"), [last, 1]),
            group,
            side,
            channels,
        }
    }

    /// `[n, side, side, channels]` -> `[n]`; the number of images is a multiple of the group, and groups are of consecutive ones.
    pub(crate) fn forward(&self, weights: &Weights, x: Dual<4>) -> Dual<1> {
        let mut x = self.from_image.rectified(weights, x, SQRT_2);
        for block in &self.blocks {
            let h = block.first.rectified(weights, x.clone(), SQRT_2);
            // Both branches are scaled by the root of 1/2, so that their sum keeps the variance.
            let h = block.down.rectified_down(weights, h.map(ops::fold), 1.0);
            x = block.skip.onto(weights, h, x.map(ops::blur_down), FRAC_1_SQRT_2);
        }
        let x = self.conv.rectified(weights, with_deviation(x, self.group), SQRT_2);
        let [n, h, w, c] = x.value.dims();
        let x = self.hidden.rectified(weights, x.map(|x| x.reshape([n, h * w * c])));
        self.out.forward(weights, x).map(|x| x.reshape([n]))
    }

    /// Operations an image.
    pub(crate) fn flops(&self) -> f64 {
        let mut pixels = self.side * self.side;
        let mut flops = self.from_image.flops(pixels);
        for block in &self.blocks {
            flops += block.first.flops(pixels);
            pixels /= 4;
            flops += block.down.flops(pixels) + block.skip.flops(pixels);
        }
        flops + self.conv.flops(16) + self.hidden.flops + self.out.flops
    }

    /// About how many numbers a training step keeps for one image.
    pub(crate) fn kept(&self, of: Channels) -> f64 {
        let at = |side: usize| (side * side * of.at(side)) as f64;
        let block = |side: usize| 4.5 * at(side) + at(side / 2);
        let sizes = std::iter::successors(Some(self.side), |side| Some(side / 2)).take_while(|side| *side > 4);
        (self.side * self.side * self.channels) as f64 + sizes.map(block).sum::<f64>() + 4.0 * at(4)
    }
}

/// One more channel: in each group of consecutive images, the deviation of every pixel's channels over the group, averaged
/// (Karras et al. 2018, arXiv:1710.10196, section 3). Its tangent depends on the values too.
pub(crate) fn with_deviation(x: Dual<4>, group: usize) -> Dual<4> {
    let [n, h, w, c] = x.value.dims();
    let features = h * w * c;
    let grouped = |x: Tensor<4>| -> Tensor<3> { x.reshape([n / group, group, features]) };
    let centred = |x: Tensor<3>| x.clone() - x.mean_dim(1);
    let spread = |mean: Tensor<3>| -> Tensor<4> {
        let mean = mean.mean_dim(2).reshape([n / group, 1, 1, 1]); // [groups, 1, 1, 1]
        mean.expand([n / group, group, h * w, 1]).reshape([n, h, w, 1])
    };
    let from = centred(grouped(x.value.clone()));
    let deviation = ((from.clone() * from.clone()).mean_dim(1) + EPS).sqrt(); // [groups, 1, features]
    let tangent = x.tangent.map(|tangent| {
        let change = (from * centred(grouped(tangent.clone()))).mean_dim(1) / deviation.clone();
        Tensor::cat(vec![tangent, spread(change)], 3)
    });
    Dual { value: Tensor::cat(vec![x.value, spread(deviation)], 3), tangent }
}
