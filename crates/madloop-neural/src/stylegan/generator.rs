//! The generator: a mapping of latents to styles, and a synthesis of images from styles.

use burn::tensor::Tensor;

use super::Channels;
use super::layers::{Dual, Linear};
use crate::ops;
use crate::params::{Declare, Handle, Init, Weights};

/// Added under the roots of normalisations.
const EPS: f32 = 1e-8;
/// By how much slower the mapping learns than the rest.
const MAPPING_RATE: f64 = 0.01;

/// z `[n, latent]` -> w `[n, latent]`: z is normalised to the mean square 1, then rectified linear layers (Karras et al. 2018b,
/// arXiv:1812.04948, section 2 and appendix C).
pub(crate) struct Mapping {
    layers: Vec<Linear>,
}

impl Mapping {
    pub(crate) fn new(mut declare: Declare<'_>, latent: usize, layers: usize) -> Self {
        let layer = |at: usize| {
            Linear::with(declare.at(format_args!("layer.{at}")), [latent, latent], Init::Zeros, MAPPING_RATE)
        };
        Self { layers: (0..layers).map(layer).collect() }
    }

    pub(crate) fn forward(&self, weights: &Weights, z: Tensor<2>) -> Tensor<2> {
        let z = z.clone() / ((z.clone() * z).mean_dim(1) + EPS).sqrt();
        self.layers.iter().fold(Dual::from(z), |x, layer| layer.rectified(weights, x)).value
    }

    pub(crate) fn flops(&self) -> f64 {
        self.layers.iter().map(|layer| layer.flops).sum()
    }
}

/// Styles `[n, latent]` of every layer, and noise, to images `[n, side, side, channels]` (Karras et al. 2019, arXiv:1912.04958, sections 2.2
/// and 4.1: weight demodulation, output skips).
pub(crate) struct Synthesis {
    start: Handle,
    /// From 4 pixels a side on: layers, and the map to the image.
    blocks: Vec<Block>,
    pub(crate) side: usize,
    pub(crate) channels: usize,
}

struct Block {
    up: Option<StyledConv>,
    conv: StyledConv,
    to_image: ToImage,
}

impl Synthesis {
    pub(crate) fn new(mut declare: Declare<'_>, [side, channels]: [usize; 2], of: Channels, latent: usize) -> Self {
        let start = declare.param("start", &[1, 4, 4, of.at(4)], Init::Normal { std: 1.0 });
        let sizes = std::iter::successors(Some(4), |side| Some(side * 2)).take_while(|size| *size <= side);
        let block = |size: usize| {
            let mut declare = declare.at(format_args!("block.{size}"));
            let wide = of.at(size);
            let up =
                |mut declare: Declare<'_>| StyledConv::new(declare.at("up"), [of.at(size / 2), wide], latent, true);
            Block {
                up: (size > 4).then(|| up(declare.all())),
                conv: StyledConv::new(declare.at("conv"), [wide, wide], latent, false),
                to_image: ToImage::new(declare.at("to_image"), [wide, channels], latent),
            }
        };
        let blocks = sizes.map(block).collect();
        Self { start, blocks, side, channels }
    }

    /// How many styles an image has: one a layer, the image of a size taking that of the next layer.
    pub(crate) fn styles(&self) -> usize {
        2 * self.blocks.len()
    }

    /// Sides of the noise images, in the order of the layers that take them.
    pub(crate) fn noise_sides(&self) -> Vec<usize> {
        let sizes = self.blocks.iter().enumerate().map(|(at, block)| (4 << at, 1 + usize::from(block.up.is_some())));
        sizes.flat_map(|(side, count)| std::iter::repeat_n(side, count)).collect()
    }

    /// `styles` are [`Synthesis::styles`] times `[n, latent]`; `noise` is of N(0, 1), `[n, side, side]` for each of the noise sides.
    pub(crate) fn forward(&self, weights: &Weights, styles: &[Dual<2>], noise: &[Tensor<3>]) -> Dual<4> {
        let [n, _] = styles[0].value.dims();
        let mut x: Dual<4> = weights.get::<4>(self.start).repeat_dim(0, n).into();
        let mut image: Option<Dual<4>> = None;
        let mut at = 0;
        for block in &self.blocks {
            if let Some(up) = &block.up {
                x = up.forward(weights, x, &styles[at], noise[at].clone());
                at += 1;
            }
            x = block.conv.forward(weights, x, &styles[at], noise[at].clone());
            at += 1;
            image = Some(block.to_image.forward(weights, image, x.clone(), &styles[at]));
        }
        // There is always a block.
        image.unwrap_or(x)
    }

    pub(crate) fn flops(&self) -> f64 {
        let block = |(at, block): (usize, &Block)| {
            let pixels = 16.0 * f64::from(4_u32.pow(at as u32));
            let up = block.up.as_ref().map_or(0.0, |up| up.flops * pixels / 4.0);
            up + (block.conv.flops + block.to_image.flops) * pixels
        };
        self.blocks.iter().enumerate().map(block).sum()
    }

    /// About how many numbers a training step keeps for one image.
    pub(crate) fn kept(&self, of: Channels) -> f64 {
        let at = |side: usize| (side * side * of.at(side)) as f64;
        (0..self.blocks.len()).map(|level| 7.0 * at(4 << level)).sum()
    }
}

/// A modulated and demodulated 3x3 convolution, noise, bias and rectifier:
///
/// y = sqrt(2) r(d conv(s x) + strength noise + bias), s = A w + 1 at the beginning, d = (sum over taps and inputs of (s W)^2 + 1e-8)^(-1/2)
///
/// of each image and output channel. Scaling what comes in and what goes out is the same as scaling the weights of each image
/// (equations 1 and 3 of the paper), and all images share one convolution.
struct StyledConv {
    style: Linear,
    weight: Handle,
    strength: Handle,
    bias: Handle,
    gain: f64,
    up: bool,
    /// Operations a pixel: of the output, or where that is of twice the size of the input.
    flops: f64,
}

impl StyledConv {
    fn new(mut declare: Declare<'_>, [input, output]: [usize; 2], latent: usize, up: bool) -> Self {
        Self {
            style: Linear::with(declare.at("style"), [latent, input], Init::Ones, 1.0),
            weight: declare.param("weight", &[3, 3, input, output], Init::Normal { std: 1.0 }),
            strength: declare.param("strength", &[1], Init::Zeros),
            bias: declare.param("bias", &[output], Init::Zeros),
            gain: ((9 * input) as f64).sqrt().recip(),
            up,
            flops: 18.0 * (input * output) as f64,
        }
    }

    fn forward(&self, weights: &Weights, x: Dual<4>, style: &Dual<2>, noise: Tensor<3>) -> Dual<4> {
        let weight = weights.get::<4>(self.weight);
        let [_, _, input, output] = weight.dims();
        let gain = self.gain;
        let style = self.style.forward(weights, style.clone()).map(|style| style * gain); // [n, input]
        let squares = weight.clone().reshape([9, input * output]);
        let squares: Tensor<2> = (squares.clone() * squares).sum_dim(0).reshape([input, output]);
        let power = ops::linear(style.value.clone() * style.value.clone(), squares.clone(), None);
        let demodulation = (power + EPS).sqrt().recip(); // [n, output]
        // d' = -d^3 (s s') W^2
        let change = style.tangent.clone().map(|tangent| {
            let power = ops::linear(style.value.clone() * tangent, squares, None);
            let d = demodulation.clone();
            d.clone() * d.clone() * d * power * -1.0
        });
        let x = x.modulate(style);
        let y = match self.up {
            true => {
                let weight = ops::up_weight(weight);
                x.map(|x| ops::unfold(ops::conv2d(x, weight.clone(), None, 1)))
            }
            false => x.map(|x| ops::conv2d(x, weight.clone(), None, 1)),
        };
        let (strength, bias) = (weights.get::<1>(self.strength), weights.get::<1>(self.bias));
        let Some(tangent) = y.tangent else {
            return ops::activate(y.value, demodulation, noise, strength, bias).into();
        };
        let value = ops::activate(y.value.clone(), demodulation.clone(), noise, strength, bias);
        let y = Dual::new(y.value, tangent).modulate(Dual { value: demodulation, tangent: change });
        let tangent = y.tangent.map(|tangent| {
            ops::leaky_along(value.clone().without_autodiff(), tangent, super::SLOPE) * std::f32::consts::SQRT_2
        });
        Dual { value, tangent }
    }
}

/// A modulated 1x1 convolution to the image's channels, added to the image so far at twice its size.
struct ToImage {
    style: Linear,
    weight: Handle,
    bias: Handle,
    gain: f64,
    flops: f64,
}

impl ToImage {
    fn new(mut declare: Declare<'_>, [input, output]: [usize; 2], latent: usize) -> Self {
        Self {
            style: Linear::with(declare.at("style"), [latent, input], Init::Ones, 1.0),
            weight: declare.param("weight", &[1, 1, input, output], Init::Normal { std: 1.0 }),
            bias: declare.param("bias", &[output], Init::Zeros),
            gain: (input as f64).sqrt().recip(),
            flops: 2.0 * (input * output) as f64,
        }
    }

    fn forward(&self, weights: &Weights, image: Option<Dual<4>>, x: Dual<4>, style: &Dual<2>) -> Dual<4> {
        let gain = self.gain;
        let style = self.style.forward(weights, style.clone()).map(|style| style * gain);
        let (weight, bias) = (weights.get::<4>(self.weight), weights.get::<1>(self.bias));
        let y = x.modulate(style).affine(
            |x| ops::conv2d(x, weight.clone(), Some(bias), 1),
            |tangent| ops::conv2d(tangent, weight.clone(), None, 1),
        );
        match image {
            None => y,
            Some(image) => y.plus(image.map(ops::blur_up)),
        }
    }
}
