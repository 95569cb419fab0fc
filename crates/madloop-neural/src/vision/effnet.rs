//! EfficientNet-Lite0 (M. Tan and Q. Le, arXiv:1905.11946; the Lite variants: R. Liu, 2020): no squeeze and excitation, ReLU6.

use super::ExtractorError;
use super::tensors::Tensors;
use crate::kernels::Level;
use crate::kernels::infer::{Conv, Depthwise, Plane, Rectifier, Window, global_mean};

/// Values of an image's features.
pub(super) const DIM: usize = 1280;
const EPSILON: f64 = 1e-3;
/// Repeats, window, stride of the first, expansion, channels in and out.
const STAGES: [[usize; 6]; 7] = [
    [1, 3, 1, 1, 32, 16],
    [2, 3, 2, 6, 16, 24],
    [2, 5, 2, 6, 24, 40],
    [3, 3, 2, 6, 40, 80],
    [3, 5, 1, 6, 80, 112],
    [4, 5, 2, 6, 112, 192],
    [1, 3, 1, 6, 192, 320],
];

/// The network for one size of images.
pub(super) struct Effnet {
    stem: Conv,
    blocks: Vec<Block>,
    head: Conv,
}

/// Expansion, depthwise convolution, projection; the input is added where it has the output's shape.
struct Block {
    expand: Option<Conv>,
    depthwise: Depthwise,
    project: Conv,
    skip: bool,
}

impl Effnet {
    /// For images of `side` pixels, a multiple of 32.
    pub(super) fn load(tensors: &mut Tensors, side: usize, level: Level) -> Result<Self, ExtractorError> {
        let mut size = [side; 2];
        let window = Window::same(3, 2, size);
        let (weights, bias) = tensors.take_normed("_conv_stem", "_bn0", [32, 3, 3, 3], EPSILON)?;
        let stem = Conv::new(level, window, [3, 32], &weights, bias, Rectifier::Relu6);
        size = window.out_size(size);
        let mut blocks = Vec::new();
        for [repeats, kernel, first_stride, expansion, c_in, c_out] in STAGES {
            for repeat in 0..repeats {
                let (stride, c) = if repeat == 0 { (first_stride, c_in) } else { (1, c_out) };
                let shape = [kernel, stride, expansion, c, c_out];
                let block = Block::load(tensors, blocks.len(), shape, size, level)?;
                size = block.depthwise.window().out_size(size);
                blocks.push(block);
            }
        }
        let (weights, bias) = tensors.take_normed("_conv_head", "_bn1", [DIM, 320, 1, 1], EPSILON)?;
        let head = Conv::new(level, Window::new([1, 1], 1, [0; 2]), [320, DIM], &weights, bias, Rectifier::Relu6);
        // The classifier is not used; a file without it is not this network's all the same.
        tensors.take("_fc.weight", &[1000, DIM])?;
        tensors.take("_fc.bias", &[1000])?;
        Ok(Self { stem, blocks, head })
    }

    /// An image that is to be filled.
    pub(super) fn input(&self, side: usize) -> Plane {
        let window = self.stem.window();
        Plane::bordered([side; 2], 3, window.before, window.after)
    }

    /// The mean over pixels after the head: 1280 values.
    pub(super) fn features(&self, input: &Plane) -> Vec<f32> {
        let first = self.blocks[0].depthwise.window();
        let size = self.stem.window().out_size(input.size());
        let mut x = Plane::bordered(size, self.stem.channels()[1], first.before, first.after);
        self.stem.write(input, None, &mut x, 0);
        for block in &self.blocks {
            x = block.apply(x);
        }
        global_mean(&self.head.apply(&x, 0))
    }
}

impl Block {
    fn load(
        tensors: &mut Tensors,
        index: usize,
        [kernel, stride, expansion, c_in, c_out]: [usize; 5],
        size: [usize; 2],
        level: Level,
    ) -> Result<Self, ExtractorError> {
        let path = |name: &str| format!("_blocks.{index}.{name}");
        let point = Window::new([1, 1], 1, [0; 2]);
        let wide = expansion * c_in;
        let expand = match expansion {
            1 => None,
            _ => {
                let shape = [wide, c_in, 1, 1];
                let (weights, bias) = tensors.take_normed(&path("_expand_conv"), &path("_bn0"), shape, EPSILON)?;
                Some(Conv::new(level, point, [c_in, wide], &weights, bias, Rectifier::Relu6))
            }
        };
        let shape = [wide, 1, kernel, kernel];
        let (weights, bias) = tensors.take_normed(&path("_depthwise_conv"), &path("_bn1"), shape, EPSILON)?;
        let window = Window::same(kernel, stride, size);
        let depthwise = Depthwise::new(level, window, weights, bias, Rectifier::Relu6);
        let shape = [c_out, wide, 1, 1];
        let (weights, bias) = tensors.take_normed(&path("_project_conv"), &path("_bn2"), shape, EPSILON)?;
        let project = Conv::new(level, point, [wide, c_out], &weights, bias, Rectifier::None);
        Ok(Self { expand, depthwise, project, skip: stride == 1 && c_in == c_out })
    }

    fn apply(&self, x: Plane) -> Plane {
        let window = self.depthwise.window();
        let wide = self.expand.as_ref().map(|expand| {
            let mut wide = Plane::bordered(x.size(), expand.channels()[1], window.before, window.after);
            expand.write(&x, None, &mut wide, 0);
            wide
        });
        let seen = self.depthwise.apply(wide.as_ref().unwrap_or(&x));
        let mut y = Plane::new(seen.size(), self.project.channels()[1], 0);
        self.project.write(&seen, self.skip.then_some(&x), &mut y, 0);
        y
    }
}
