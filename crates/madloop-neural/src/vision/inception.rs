//! Inception-v3 (C. Szegedy et al., arXiv:1512.00567) in the version of 2015-12-05, by which FID is defined.

use super::ExtractorError;
use super::tensors::{Tensors, transposed};
use crate::kernels::Level;
use crate::kernels::infer::{Conv, Plane, Pool, Rectifier, Window, global_mean, pool};

/// Values of an image's features.
pub(super) const DIM: usize = 2048;
/// Values of its spatial features: 17 x 17 pixels of 7 channels.
pub(super) const SPATIAL: usize = 17 * 17 * SPATIAL_CHANNELS;
const SPATIAL_CHANNELS: usize = 7;
/// Outputs of the classifier.
pub(super) const CLASSES: usize = 1008;
const EPSILON: f64 = 1e-3;

/// The network.
pub(super) struct Inception {
    level: Level,
    /// 1a, 2a, 2b; then 3b, 4a after a pooling.
    stem: [Conv; 5],
    blocks: Vec<Block>,
    classifier: Conv,
}

/// Branches whose outputs are one after the other along the channels.
struct Block {
    /// Mixed_5b and so on.
    name: &'static str,
    branches: Vec<Branch>,
    window: Window,
    channels: usize,
}

struct Branch {
    /// A pooling before the convolutions.
    pool: Option<Pool>,
    /// One after the other.
    convs: Vec<Conv>,
    /// Both of the last one's output, side by side.
    fork: Option<[Conv; 2]>,
}

/// A convolution by name, output channels, window, stride.
type Spec = (&'static str, usize, [usize; 2], usize);

impl Inception {
    pub(super) fn load(tensors: &mut Tensors, level: Level) -> Result<Self, ExtractorError> {
        let mut loader = Loader { tensors, level };
        let stem = [
            loader.conv("Conv2d_1a_3x3", 3, 32, Window::new([3, 3], 2, [0; 2]))?,
            loader.conv("Conv2d_2a_3x3", 32, 32, Window::new([3, 3], 1, [0; 2]))?,
            loader.conv("Conv2d_2b_3x3", 32, 64, Window::new([3, 3], 1, [1; 2]))?,
            loader.conv("Conv2d_3b_1x1", 64, 80, Window::new([1, 1], 1, [0; 2]))?,
            loader.conv("Conv2d_4a_3x3", 80, 192, Window::new([3, 3], 1, [0; 2]))?,
        ];
        let blocks = vec![
            loader.first("Mixed_5b", 192, 32)?,
            loader.first("Mixed_5c", 256, 64)?,
            loader.first("Mixed_5d", 288, 64)?,
            loader.shrinking(
                "Mixed_6a",
                288,
                &[("branch3x3", 384, [3, 3], 2)],
                &[
                    ("branch3x3dbl_1", 64, [1, 1], 1),
                    ("branch3x3dbl_2", 96, [3, 3], 1),
                    ("branch3x3dbl_3", 96, [3, 3], 2),
                ],
            )?,
            loader.long("Mixed_6b", 128)?,
            loader.long("Mixed_6c", 160)?,
            loader.long("Mixed_6d", 160)?,
            loader.long("Mixed_6e", 192)?,
            loader.shrinking(
                "Mixed_7a",
                768,
                &[("branch3x3_1", 192, [1, 1], 1), ("branch3x3_2", 320, [3, 3], 2)],
                &[
                    ("branch7x7x3_1", 192, [1, 1], 1),
                    ("branch7x7x3_2", 192, [1, 7], 1),
                    ("branch7x7x3_3", 192, [7, 1], 1),
                    ("branch7x7x3_4", 192, [3, 3], 2),
                ],
            )?,
            loader.last("Mixed_7b", 1280, Pool::Mean)?,
            loader.last("Mixed_7c", DIM, Pool::Max)?,
        ];
        let weights = tensors.take("fc.weight", &[CLASSES, DIM])?;
        // Outputs are wanted without their bias.
        tensors.take("fc.bias", &[CLASSES])?;
        let weights = transposed(&weights, [CLASSES, DIM, 1, 1], |_| 1.0);
        let point = Window::new([1, 1], 1, [0; 2]);
        let bias = vec![0.0; CLASSES];
        let classifier = Conv::new(level, point, [DIM, CLASSES], &weights, bias, Rectifier::None);
        Ok(Self { level, stem, blocks, classifier })
    }

    /// Writes the features of one image of 299 x 299 pixels, and the spatial ones and outputs where there is room for them.
    pub(super) fn write(&self, input: &Plane, features: &mut [f32], spatial: &mut [f32], logits: &mut [f32]) {
        let [first, second, third, fourth, fifth] = &self.stem;
        let x = third.apply(&second.apply(&first.apply(input, 0), 1), 0);
        let x = fifth.apply(&fourth.apply(&self.halved(&x, 0), 0), 0);
        let mut x = self.halved(&x, 1);
        for block in &self.blocks {
            x = block.apply(&x, self.level);
            if block.name == "Mixed_6d" && !spatial.is_empty() {
                // Its first branch is what TensorFlow's graph calls mixed_6/conv.
                for row in 0..17 {
                    let pixels = x.row(row).chunks_exact(block.channels);
                    let to = spatial[row * 17 * SPATIAL_CHANNELS..].chunks_exact_mut(SPATIAL_CHANNELS);
                    to.zip(pixels).for_each(|(to, pixel)| to.copy_from_slice(&pixel[..SPATIAL_CHANNELS]));
                }
            }
        }
        features.copy_from_slice(&global_mean(&x));
        if !logits.is_empty() {
            logits.copy_from_slice(&self.classifier.dense(features));
        }
    }

    fn halved(&self, x: &Plane, border: usize) -> Plane {
        let window = Window::new([3, 3], 2, [0; 2]);
        let mut y = Plane::new(window.out_size(x.size()), x.channels(), border);
        pool(self.level, Pool::Max, &window, x, &mut y, 0);
        y
    }
}

impl Block {
    /// `x` has a border of one pixel, and so has the output.
    fn apply(&self, x: &Plane, level: Level) -> Plane {
        let mut y = Plane::new(self.window.out_size(x.size()), self.channels, 1);
        let mut first = 0;
        for branch in &self.branches {
            first += branch.write(x, level, &self.window, &mut y, first);
        }
        y
    }
}

impl Branch {
    /// Writes to channels `first..` and returns how many they are.
    fn write(&self, x: &Plane, level: Level, window: &Window, y: &mut Plane, first: usize) -> usize {
        let Some(how) = self.pool else {
            return self.convolved(x, y, first);
        };
        if self.convs.is_empty() {
            pool(level, how, window, x, y, first);
            return x.channels();
        }
        let mut pooled = Plane::new(y.size(), x.channels(), 0);
        pool(level, how, window, x, &mut pooled, 0);
        self.convolved(&pooled, y, first)
    }

    fn convolved(&self, x: &Plane, y: &mut Plane, first: usize) -> usize {
        let border = |conv: &Conv| conv.window().before.into_iter().max().unwrap_or(0);
        let mut own: Option<Plane> = None;
        for (at, conv) in self.convs.iter().enumerate() {
            let x = own.as_ref().unwrap_or(x);
            own = match (self.convs.get(at + 1), &self.fork) {
                (Some(next), _) => Some(conv.apply(x, border(next))),
                (None, Some(_)) => Some(conv.apply(x, 1)),
                (None, None) => {
                    conv.write(x, None, y, first);
                    return conv.channels()[1];
                }
            };
        }
        let (Some(x), Some([left, right])) = (own, &self.fork) else { return 0 };
        left.write(&x, None, y, first);
        right.write(&x, None, y, first + left.channels()[1]);
        left.channels()[1] + right.channels()[1]
    }
}

struct Loader<'a> {
    tensors: &'a mut Tensors,
    level: Level,
}

impl Loader<'_> {
    fn conv(&mut self, name: &str, c_in: usize, c_out: usize, window: Window) -> Result<Conv, ExtractorError> {
        let [height, width] = window.kernel;
        let (conv, norm) = (format!("{name}.conv"), format!("{name}.bn"));
        let (weights, bias) = self.tensors.take_normed(&conv, &norm, [c_out, c_in, height, width], EPSILON)?;
        Ok(Conv::new(self.level, window, [c_in, c_out], &weights, bias, Rectifier::Relu))
    }

    /// Convolutions one after the other; those of stride 1 keep the size, those of stride 2 have no padding.
    fn chain(&mut self, block: &str, mut c_in: usize, specs: &[Spec]) -> Result<Vec<Conv>, ExtractorError> {
        let mut convs = Vec::new();
        for &(name, c_out, kernel, stride) in specs {
            let padding = if stride == 1 { kernel.map(|side| side / 2) } else { [0; 2] };
            convs.push(self.conv(&format!("{block}.{name}"), c_in, c_out, Window::new(kernel, stride, padding))?);
            c_in = c_out;
        }
        Ok(convs)
    }

    fn branch(
        &mut self,
        block: &str,
        c_in: usize,
        pool: Option<Pool>,
        specs: &[Spec],
    ) -> Result<Branch, ExtractorError> {
        Ok(Branch { pool, convs: self.chain(block, c_in, specs)?, fork: None })
    }

    /// Channels of a block are those of its branches.
    fn block(name: &'static str, c_in: usize, stride: usize, branches: Vec<Branch>) -> Block {
        let of = |branch: &Branch| match (&branch.fork, branch.convs.last()) {
            (Some(fork), _) => fork.iter().map(|conv| conv.channels()[1]).sum(),
            (None, Some(conv)) => conv.channels()[1],
            (None, None) => c_in,
        };
        let channels = branches.iter().map(of).sum();
        let padding = if stride == 1 { [1; 2] } else { [0; 2] };
        Block { name, branches, window: Window::new([3, 3], stride, padding), channels }
    }

    /// Mixed_5b to 5d.
    fn first(&mut self, name: &'static str, c_in: usize, pooled: usize) -> Result<Block, ExtractorError> {
        let branches = vec![
            self.branch(name, c_in, None, &[("branch1x1", 64, [1, 1], 1)])?,
            self.branch(name, c_in, None, &[("branch5x5_1", 48, [1, 1], 1), ("branch5x5_2", 64, [5, 5], 1)])?,
            self.branch(
                name,
                c_in,
                None,
                &[
                    ("branch3x3dbl_1", 64, [1, 1], 1),
                    ("branch3x3dbl_2", 96, [3, 3], 1),
                    ("branch3x3dbl_3", 96, [3, 3], 1),
                ],
            )?,
            self.branch(name, c_in, Some(Pool::Mean), &[("branch_pool", pooled, [1, 1], 1)])?,
        ];
        Ok(Self::block(name, c_in, 1, branches))
    }

    /// Mixed_6a and 7a, which halve the size.
    fn shrinking(
        &mut self,
        name: &'static str,
        c_in: usize,
        short: &[Spec],
        long: &[Spec],
    ) -> Result<Block, ExtractorError> {
        let branches = vec![
            self.branch(name, c_in, None, short)?,
            self.branch(name, c_in, None, long)?,
            Branch { pool: Some(Pool::Max), convs: Vec::new(), fork: None },
        ];
        Ok(Self::block(name, c_in, 2, branches))
    }

    /// Mixed_6b to 6e.
    fn long(&mut self, name: &'static str, c: usize) -> Result<Block, ExtractorError> {
        const IN: usize = 768;
        let branches = vec![
            self.branch(name, IN, None, &[("branch1x1", 192, [1, 1], 1)])?,
            self.branch(
                name,
                IN,
                None,
                &[("branch7x7_1", c, [1, 1], 1), ("branch7x7_2", c, [1, 7], 1), ("branch7x7_3", 192, [7, 1], 1)],
            )?,
            self.branch(
                name,
                IN,
                None,
                &[
                    ("branch7x7dbl_1", c, [1, 1], 1),
                    ("branch7x7dbl_2", c, [7, 1], 1),
                    ("branch7x7dbl_3", c, [1, 7], 1),
                    ("branch7x7dbl_4", c, [7, 1], 1),
                    ("branch7x7dbl_5", 192, [1, 7], 1),
                ],
            )?,
            self.branch(name, IN, Some(Pool::Mean), &[("branch_pool", 192, [1, 1], 1)])?,
        ];
        Ok(Self::block(name, IN, 1, branches))
    }

    /// Mixed_7b, and 7c with the maximum where the paper has a mean.
    fn last(&mut self, name: &'static str, c_in: usize, pool: Pool) -> Result<Block, ExtractorError> {
        let mut forked = |specs: &[Spec], [left, right]: [&'static str; 2]| -> Result<Branch, ExtractorError> {
            let convs = self.chain(name, c_in, specs)?;
            let mut one = |fork: &str, kernel: [usize; 2]| {
                let window = Window::new(kernel, 1, kernel.map(|side| side / 2));
                self.conv(&format!("{name}.{fork}"), 384, 384, window)
            };
            Ok(Branch { pool: None, convs, fork: Some([one(left, [1, 3])?, one(right, [3, 1])?]) })
        };
        let wide = forked(&[("branch3x3_1", 384, [1, 1], 1)], ["branch3x3_2a", "branch3x3_2b"])?;
        let double = forked(
            &[("branch3x3dbl_1", 448, [1, 1], 1), ("branch3x3dbl_2", 384, [3, 3], 1)],
            ["branch3x3dbl_3a", "branch3x3dbl_3b"],
        )?;
        let branches = vec![
            self.branch(name, c_in, None, &[("branch1x1", 320, [1, 1], 1)])?,
            wide,
            double,
            self.branch(name, c_in, Some(pool), &[("branch_pool", 192, [1, 1], 1)])?,
        ];
        Ok(Self::block(name, c_in, 1, branches))
    }
}
