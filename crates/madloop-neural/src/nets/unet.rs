//! A U-Net: residual convolutions down to a low resolution and up again, with the image at each level carried across.

use burn::tensor::Tensor;
use madloop_core::Shape;

use crate::nets::Condition;
use crate::nets::embed::Embedding;
use crate::nets::layers::{Conv, Linear, Norm};
use crate::ops;
use crate::params::{Declare, Init, Weights};
use crate::{Error, Result};

/// Width of the embedding in units of the base channels.
const EMBEDDING: usize = 4;

/// What a U-Net is made of.
pub(crate) struct UnetSettings<'a> {
    pub(crate) base: usize,
    /// Channels of each level in units of the base; between two levels the image is halved.
    pub(crate) multipliers: &'a [usize],
    /// Residual blocks a level, down and up alike.
    pub(crate) blocks: usize,
    /// Attention at the lowest level.
    pub(crate) attention: bool,
}

/// The network of Ho et al. 2020 (appendix B) with one connection across a level.
pub(crate) struct Unet {
    size: [usize; 3],
    embedding: Embedding,
    input: Conv,
    down: Vec<Level>,
    middle: (Block, Option<Attention>, Block),
    up: Vec<Level>,
    norm: Norm,
    output: Conv,
}

/// Blocks of one resolution, and the convolution to (down) or from (up) the next lower one.
struct Level {
    blocks: Vec<Block>,
    resize: Option<Conv>,
    pixels: usize,
}

struct Block {
    norms: [Norm; 2],
    convs: [Conv; 2],
    shift: Linear,
    /// Where the channels change.
    across: Option<Conv>,
}

struct Attention {
    norm: Norm,
    query: Linear,
    key: Linear,
    value: Linear,
    output: Linear,
}

impl Unet {
    /// # Errors
    /// A vector, or an image that cannot be halved as often as there are levels below the first.
    pub(crate) fn check(shape: Shape, multipliers: &[usize]) -> Result<[usize; 3]> {
        let halvings = multipliers.len() - 1;
        let wrong = |why| Error::SampleShape { network: "unet", shape, why };
        let Shape::Image { channels, height, width } = shape else {
            return Err(wrong("it needs images; use model.network = \"mlp\" for vectors".into()));
        };
        let often = height.trailing_zeros().min(width.trailing_zeros()) as usize;
        if often < halvings {
            return Err(wrong(format!(
                "{height} x {width} can be halved {often} times and model.multipliers has {} levels; give it at most \
                 {} entries, use images whose sides are multiples of {}, or model.network = \"mlp\"",
                multipliers.len(),
                often + 1,
                1_usize << halvings
            )));
        }
        Ok([height, width, channels])
    }

    pub(crate) fn new(
        mut declare: Declare<'_>,
        size: [usize; 3],
        settings: &UnetSettings<'_>,
        n_classes: usize,
    ) -> Self {
        let [height, width, channels] = size;
        let of_level = |level: usize| settings.base * settings.multipliers[level];
        let pixels = |level: usize| (height >> level) * (width >> level);
        let embed = EMBEDDING * settings.base;
        let embedding = Embedding::new(declare.at("embedding"), embed, n_classes);
        let input = Conv::three(declare.at("input"), [channels, settings.base]);
        let lowest = settings.multipliers.len() - 1;

        let mut now = settings.base;
        let mut down = Vec::new();
        for level in 0..=lowest {
            let mut declare = declare.at(format_args!("down.{level}"));
            let mut blocks = Vec::new();
            for at in 0..settings.blocks {
                blocks.push(Block::new(declare.at(at), [now, of_level(level)], embed));
                now = of_level(level);
            }
            let init = Init::kaiming(9 * now);
            let resize = (level < lowest).then(|| Conv::new(declare.at("halve"), [now, now], 3, 2, init));
            down.push(Level { blocks, resize, pixels: pixels(level) });
        }
        let first = Block::new(declare.at("middle.0"), [now, now], embed);
        let attention = settings.attention.then(|| Attention::new(declare.at("attention"), now));
        let middle = (first, attention, Block::new(declare.at("middle.1"), [now, now], embed));

        let mut up = Vec::new();
        for level in (0..=lowest).rev() {
            let mut declare = declare.at(format_args!("up.{level}"));
            let resize = (level < lowest).then(|| {
                let channels = [now, of_level(level)];
                now = of_level(level);
                Conv::three(declare.at("double"), channels)
            });
            let mut blocks = Vec::new();
            for at in 0..settings.blocks {
                // The first block also sees the way down.
                let seen = if at == 0 { now + of_level(level) } else { now };
                blocks.push(Block::new(declare.at(at), [seen, of_level(level)], embed));
                now = of_level(level);
            }
            up.push(Level { blocks, resize, pixels: pixels(level) });
        }
        let norm = Norm::new(declare.at("norm"), now);
        let output = Conv::new(declare.at("output"), [now, channels], 3, 1, Init::Zeros);
        Self { size, embedding, input, down, middle, up, norm, output }
    }

    pub(crate) fn forward(&self, weights: &Weights, x: Tensor<2>, condition: &Condition<'_>) -> Tensor<2> {
        let [n, dim] = x.dims();
        let [height, width, channels] = self.size;
        let embedding = self.embedding.forward(weights, condition, &x.device());
        let mut h = self.input.forward(weights, x.reshape([n, height, width, channels]));
        let mut across = Vec::new();
        for level in &self.down {
            for block in &level.blocks {
                h = block.forward(weights, h, &embedding);
            }
            across.push(h.clone());
            if let Some(halve) = level.resize {
                h = halve.forward(weights, h);
            }
        }
        let (first, attention, second) = &self.middle;
        h = first.forward(weights, h, &embedding);
        if let Some(attention) = attention {
            h = attention.forward(weights, h);
        }
        h = second.forward(weights, h, &embedding);
        for level in &self.up {
            if let Some(double) = level.resize {
                h = double.forward(weights, ops::upsample(h));
            }
            if let Some(other) = across.pop() {
                h = ops::join(h, other);
            }
            for block in &level.blocks {
                h = block.forward(weights, h, &embedding);
            }
        }
        self.output.forward(weights, self.norm.forward(weights, h)).reshape([n, dim])
    }

    pub(crate) fn flops(&self) -> f64 {
        let first = self.down.first().map_or(0, |level| level.pixels);
        let of_level = |level: &Level| {
            let resize = level.resize.map_or(0.0, |conv| conv.flops(level.pixels));
            resize + level.blocks.iter().map(|block| block.flops(level.pixels)).sum::<f64>()
        };
        let levels: f64 = self.down.iter().chain(&self.up).map(of_level).sum();
        let low = self.down.last().map_or(0, |level| level.pixels);
        let (a, attention, b) = &self.middle;
        let middle = a.flops(low) + b.flops(low) + attention.as_ref().map_or(0.0, |attention| attention.flops(low));
        self.embedding.flops() + self.input.flops(first) + levels + middle + self.output.flops(first)
    }

    pub(crate) fn kept(&self) -> f64 {
        let of_level = |level: &Level| level.blocks.iter().map(|block| block.kept(level.pixels)).sum::<f64>();
        let levels: f64 = self.down.iter().chain(&self.up).map(of_level).sum();
        let low = self.down.last().map_or(0, |level| level.pixels);
        let (a, attention, b) = &self.middle;
        levels + a.kept(low) + b.kept(low) + attention.as_ref().map_or(0.0, |attention| attention.kept(low))
    }
}

impl Block {
    fn new(mut declare: Declare<'_>, [input, output]: [usize; 2], embed: usize) -> Self {
        Self {
            norms: [Norm::new(declare.at("norm.0"), input), Norm::new(declare.at("norm.1"), output)],
            convs: [
                Conv::three(declare.at("conv.0"), [input, output]),
                // Blocks begin as the identity.
                Conv::new(declare.at("conv.1"), [output, output], 3, 1, Init::Zeros),
            ],
            shift: Linear::new(declare.at("shift"), embed, output, Init::xavier(embed, output)),
            across: (input != output)
                .then(|| Conv::new(declare.at("across"), [input, output], 1, 1, Init::xavier(input, output))),
        }
    }

    fn forward(&self, weights: &Weights, x: Tensor<4>, embedding: &Tensor<2>) -> Tensor<4> {
        let h = self.convs[0].forward(weights, self.norms[0].forward(weights, x.clone()));
        let h = ops::add_per_image(h, self.shift.forward(weights, embedding.clone()));
        let h = self.norms[1].forward(weights, h);
        let x = match self.across {
            None => x,
            Some(across) => across.forward(weights, x),
        };
        self.convs[1].forward_onto(weights, x, h)
    }

    fn flops(&self, pixels: usize) -> f64 {
        let convs = self.convs.iter().chain(&self.across).map(|conv| conv.flops(pixels)).sum::<f64>();
        convs + self.shift.flops
    }

    /// Input, both convolutions' outputs, what is normalised before each, and the sum.
    fn kept(&self, pixels: usize) -> f64 {
        // A 3x3 convolution takes 18 operations a pixel, an input and an output channel.
        let output = (self.convs[1].flops(1) / 18.0).sqrt();
        let input = self.convs[0].flops(1) / (18.0 * output);
        (2.0 * input + 4.0 * output) * pixels as f64
    }
}

impl Attention {
    fn new(mut declare: Declare<'_>, channels: usize) -> Self {
        let norm = Norm::new(declare.at("norm"), channels);
        let init = Init::xavier(channels, channels);
        Self {
            norm,
            query: Linear::new(declare.at("query"), channels, channels, init),
            // A shift of all keys cancels in the softmax.
            key: Linear::without_bias(declare.at("key"), channels, channels, init),
            value: Linear::new(declare.at("value"), channels, channels, init),
            output: Linear::new(declare.at("output"), channels, channels, Init::Zeros),
        }
    }

    fn forward(&self, weights: &Weights, x: Tensor<4>) -> Tensor<4> {
        let [n, height, width, c] = x.dims();
        let flat = self.norm.forward(weights, x.clone()).reshape([n * height * width, c]);
        let map = |linear: Linear| linear.forward(weights, flat.clone()).reshape([n, height * width, c]);
        let attended = ops::attend(map(self.query), map(self.key), map(self.value));
        let out = self.output.forward(weights, attended.reshape([n * height * width, c]));
        x + out.reshape([n, height, width, c])
    }

    fn flops(&self, pixels: usize) -> f64 {
        4.0 * self.query.flops * pixels as f64 + 2.0 * self.query.flops.sqrt() * (pixels * pixels) as f64
    }

    /// Six maps of the pixels, and the weights of each pixel for each, before and after the softmax.
    fn kept(&self, pixels: usize) -> f64 {
        6.0 * (self.query.flops / 2.0).sqrt() * pixels as f64 + 2.0 * (pixels * pixels) as f64
    }
}
