//! The generator network: a sample of each latent.

use burn::tensor::Tensor;
use madloop_core::Shape;

use super::SLOPE;
use crate::nets::{Conv, Linear, Norm};
use crate::ops;
use crate::params::{Declare, Init, Weights};
use crate::{Error, Result};

/// Latents `[n, latent]` to rows `[n, d]` as the networks see them.
pub(crate) struct Generator {
    body: Body,
    /// Whether values end in \[-1, 1\], the range of pixels.
    bounded: bool,
}

enum Body {
    Mlp { layers: Vec<Linear>, last: Linear },
    Dcgan { input: Linear, size: [usize; 3], norm: Norm, doubles: Vec<(Conv, Norm)>, last: Conv, side: [usize; 2] },
}

impl Generator {
    /// `depth` rectified layers of `width`, and a linear one.
    pub(crate) fn mlp(mut declare: Declare<'_>, latent: usize, shape: Shape, width: usize, depth: usize) -> Self {
        let layer = |at| {
            let input = if at == 0 { latent } else { width };
            Linear::new(declare.at(format_args!("layer.{at}")), input, width, Init::kaiming(input))
        };
        let layers = (0..depth).map(layer).collect();
        let last = Linear::new(declare.at("last"), width, shape.len(), Init::xavier(width, shape.len()));
        Self { body: Body::Mlp { layers, last }, bounded: shape.is_image() }
    }

    /// How often the sides of images of this size can be halved with 4 pixels left, or why that is not once.
    ///
    /// # Errors
    /// A vector, or an image whose sides are odd or below 8.
    pub(crate) fn check(shape: Shape) -> Result<([usize; 3], usize)> {
        let wrong = |why| Error::SampleShape { network: "dcgan", shape, why };
        let Shape::Image { channels, height, width } = shape else {
            return Err(wrong("it needs images; use model.network = \"mlp\" for vectors".into()));
        };
        let even = height.trailing_zeros().min(width.trailing_zeros()) as usize;
        let doublings = (0..=even).rev().find(|&times| height.min(width) >> times >= 4).unwrap_or(0);
        if doublings == 0 {
            let why = format!(
                "its images grow by doubling from at least 4 pixels a side, and {height} x {width} is no such size; \
                 use images whose sides are even and 8 at least, or model.network = \"mlp\""
            );
            return Err(wrong(why));
        }
        Ok(([height, width, channels], doublings))
    }

    /// A linear map to a small image, doubled and convolved to the full size with half the channels each time. Doubling and a plain
    /// convolution stand for the transposed convolution of Radford et al. 2016, against its checkerboards (Odena et al. 2016).
    pub(crate) fn dcgan(
        mut declare: Declare<'_>,
        latent: usize,
        [height, width, channels]: [usize; 3],
        doublings: usize,
        base: usize,
    ) -> Self {
        let of = |times: usize| base << times;
        let size = [height >> doublings, width >> doublings, of(doublings)];
        let features = size.iter().product();
        let input = Linear::new(declare.at("input"), latent, features, Init::kaiming(latent));
        let norm = Norm::new(declare.at("norm"), of(doublings));
        let double = |times: usize| {
            let mut declare = declare.at(format_args!("double.{}", doublings - 1 - times));
            (Conv::three(declare.all(), [of(times + 1), of(times)]), Norm::new(declare.at("norm"), of(times)))
        };
        let doubles = (0..doublings).rev().map(double).collect();
        let last = Conv::new(declare.at("last"), [base, channels], 3, 1, Init::xavier(9 * base, 9 * channels));
        let side = [height, width];
        Self { body: Body::Dcgan { input, size, norm, doubles, last, side }, bounded: true }
    }

    pub(crate) fn forward(&self, weights: &Weights, z: Tensor<2>) -> Tensor<2> {
        let [n, _] = z.dims();
        let y = match &self.body {
            Body::Mlp { layers, last } => {
                let h = layers.iter().fold(z, |h, layer| ops::leaky(layer.forward(weights, h), SLOPE));
                last.forward(weights, h)
            }
            Body::Dcgan { input, size: [height, width, channels], norm, doubles, last, .. } => {
                let h = input.forward(weights, z).reshape([n, *height, *width, *channels]);
                let h = doubles.iter().fold(norm.forward(weights, h), |h, (conv, norm)| {
                    norm.forward(weights, conv.forward(weights, ops::upsample(h)))
                });
                let y = last.forward(weights, h);
                let [_, height, width, channels] = y.dims();
                y.reshape([n, height * width * channels])
            }
        };
        if self.bounded { ops::tanh(y) } else { y }
    }

    /// Operations a row.
    pub(crate) fn flops(&self) -> f64 {
        match &self.body {
            Body::Mlp { layers, last } => layers.iter().map(|layer| layer.flops).sum::<f64>() + last.flops,
            Body::Dcgan { input, doubles, last, side: [height, width], .. } => {
                let pixels = |left: usize| (height >> left) * (width >> left);
                let count = doubles.len();
                let convs = doubles.iter().enumerate().map(|(at, (conv, _))| conv.flops(pixels(count - 1 - at)));
                input.flops + convs.sum::<f64>() + last.flops(pixels(0))
            }
        }
    }

    /// Rows that are drawn together: enough to fill the processor, few enough to stay in its caches.
    pub(crate) fn block(&self) -> usize {
        match self.body {
            Body::Mlp { .. } => 256,
            Body::Dcgan { .. } => 64,
        }
    }
}
