//! Convolution as products of rows, with its bias, an addition and its rectifier.

use super::super::scratch::Scratch;
use super::super::simd::{Level, Simd, simd};
use super::super::tile::{Columns, Product, Start, multiply, padded, panels};
use super::{Plane, Rectifier};

/// Values of the output that are finished before the next ones are begun: they stay in the second-level cache.
const BLOCK: usize = 1 << 15;
/// Values of weights that are passed over at once, by the same reason.
const WEIGHTS: usize = 1 << 16;

/// How a window moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Rows and columns.
    pub kernel: [usize; 2],
    /// Step.
    pub stride: usize,
    /// Rows and columns of zeros before the image ...
    pub before: [usize; 2],
    /// ... and after it.
    pub after: [usize; 2],
}

impl Window {
    /// `kernel` with the same padding on both sides.
    pub fn new(kernel: [usize; 2], stride: usize, padding: [usize; 2]) -> Self {
        Self { kernel, stride, before: padding, after: padding }
    }

    /// TensorFlow's SAME: the output has ceil(size / stride) pixels, and the odd one of padding is after the image.
    pub fn same(kernel: usize, stride: usize, size: [usize; 2]) -> Self {
        let all = size.map(|size| ((size.div_ceil(stride) - 1) * stride + kernel).saturating_sub(size));
        let before = all.map(|all| all / 2);
        Self { kernel: [kernel; 2], stride, before, after: [all[0] - before[0], all[1] - before[1]] }
    }

    /// Rows and columns of the output.
    ///
    /// # Panics
    /// If the window is larger than the image with its padding.
    pub fn out_size(&self, size: [usize; 2]) -> [usize; 2] {
        [0, 1].map(|axis| {
            let all = size[axis] + self.before[axis] + self.after[axis];
            all.checked_sub(self.kernel[axis]).expect("the window fits the image") / self.stride + 1
        })
    }
}

/// `y[i, j, o] = rectifier(bias[o] + sum over u, v, c of x[s i + u - p, s j + v - q, c] w[u, v, c, o])`, x being 0 beyond its border.
#[derive(Debug)]
pub struct Conv {
    window: Window,
    channels: [usize; 2],
    /// In panels.
    weights: Scratch,
    bias: Vec<f32>,
    rectifier: Rectifier,
    level: Level,
}

impl Conv {
    /// Weights `[kernel_height, kernel_width, c_in, c_out]` and a bias of `c_out`, for vectors of `level`.
    ///
    /// # Panics
    /// If lengths do not fit.
    pub fn new(
        level: Level,
        window: Window,
        channels: [usize; 2],
        weights: &[f32],
        bias: Vec<f32>,
        rectifier: Rectifier,
    ) -> Self {
        let depth = window.kernel[0] * window.kernel[1] * channels[0];
        assert_eq!(weights.len(), depth * channels[1], "the weights' length");
        assert_eq!(bias.len(), channels[1], "the bias's length");
        let weights = simd!(level, s => pack(s, weights, depth, channels[1]));
        Self { window, channels, weights, bias, rectifier, level }
    }

    /// How its window moves.
    pub fn window(&self) -> &Window {
        &self.window
    }

    /// Input and output channels.
    pub fn channels(&self) -> [usize; 2] {
        self.channels
    }

    /// The output in a plane of its own with `border` pixels of zeros on each side.
    pub fn apply(&self, x: &Plane, border: usize) -> Plane {
        let mut y = Plane::new(self.window.out_size(x.size()), self.channels[1], border);
        self.write(x, None, &mut y, 0);
        y
    }

    /// Writes the output to channels `first..` of `y`, with `add` (of the output's shape) added before the rectifier.
    ///
    /// # Panics
    /// If shapes do not fit, or the border of `x` is narrower than the padding.
    pub fn write(&self, x: &Plane, add: Option<&Plane>, y: &mut Plane, first: usize) {
        assert_eq!(x.channels(), self.channels[0], "input channels");
        assert!(x.has_border(self.window.before, self.window.after), "a border narrower than the padding");
        assert_eq!(y.size(), self.window.out_size(x.size()), "the output's size");
        assert!(first + self.channels[1] <= y.channels(), "output channels");
        assert!(add.is_none_or(|add| add.size() == y.size() && add.channels() == self.channels[1]), "the addition");
        simd!(self.level, s => self.rows(s, x, add, y, first));
    }

    #[inline(always)]
    fn rows<S: Simd>(&self, s: S, x: &Plane, add: Option<&Plane>, y: &mut Plane, first: usize) {
        let ([height, width], [c, o]) = (y.size(), self.channels);
        let [up, across] = self.window.kernel;
        // A row of the window is one stretch of memory.
        let (depth, stride) = (across * c, self.window.stride);
        let segments: Vec<_> = (0..up).map(|u| (u * x.row_step(), u * depth)).collect();
        // Without borders, pixels of all rows are rows of one product.
        let merged = self.window.kernel == [1, 1] && stride == 1 && x.is_bare() && y.is_bare();
        let block = (BLOCK / (width * o)).clamp(1, height);
        for top in (0..height).step_by(block) {
            let rows = block.min(height - top);
            for row in top..top + rows {
                self.begin(add, y, row, first);
            }
            for (panel, wide) in panels::<S>(o) {
                let columns = wide.min(o - panel);
                let b = &self.weights[panel * up * depth..][..wide * up * depth];
                for some in segments.chunks((WEIGHTS / (wide * depth)).max(1)) {
                    let mut product = Product {
                        a: &[],
                        a_row: stride * c,
                        a_step: 1,
                        b,
                        b_layout: Columns::Panels(up * depth),
                        segments: some,
                        depth,
                    };
                    let step = y.channels();
                    for row in (top..top + rows).step_by(if merged { rows } else { 1 }) {
                        let pixels = if merged { rows * width } else { width };
                        product.a = &x.values()[x.at(row * stride, 0, self.window.before)..];
                        let to = y.at(row, 0, [0; 2]) + first + panel;
                        multiply(s, &product, pixels, columns, &mut y.values_mut()[to..], step, Start::There);
                    }
                }
            }
            if self.rectifier == Rectifier::None {
                continue;
            }
            let all = y.channels();
            for row in top..top + rows {
                if all == o {
                    self.rectifier.apply(y.row_mut(row));
                } else {
                    y.row_mut(row).chunks_exact_mut(all).for_each(|y| self.rectifier.apply(&mut y[first..first + o]));
                }
            }
        }
    }

    /// What the sums begin with.
    #[inline(always)]
    fn begin(&self, add: Option<&Plane>, y: &mut Plane, row: usize, first: usize) {
        let (all, o) = (y.channels(), self.channels[1]);
        let pixels = y.row_mut(row).chunks_exact_mut(all);
        match add {
            None => pixels.for_each(|y| y[first..first + o].copy_from_slice(&self.bias)),
            Some(add) => pixels.zip(add.row(row).chunks_exact(o)).for_each(|(y, add)| {
                for ((y, add), bias) in y[first..first + o].iter_mut().zip(add).zip(&self.bias) {
                    *y = add + bias;
                }
            }),
        }
    }

    /// The output of `x` (`[rows, c_in]`) as a dense layer, `[rows, c_out]`.
    ///
    /// # Panics
    /// If the window is not one pixel or lengths do not fit.
    pub fn dense(&self, x: &[f32]) -> Vec<f32> {
        let [c, o] = self.channels;
        assert_eq!((self.window.kernel, self.window.stride), ([1, 1], 1), "a dense layer's window");
        assert!(x.len().is_multiple_of(c), "rows of {c} values");
        let rows = x.len() / c;
        let mut y = self.bias.repeat(rows);
        simd!(self.level, s => {
            for (panel, wide) in panels_of(s, o) {
                let product = Product {
                    a: x,
                    a_row: c,
                    a_step: 1,
                    b: &self.weights[panel * c..][..wide * c],
                    b_layout: Columns::Panels(c),
                    segments: &[(0, 0)],
                    depth: c,
                };
                multiply(s, &product, rows, wide.min(o - panel), &mut y[panel..], o, Start::There);
            }
        });
        self.rectifier.apply(&mut y);
        y
    }
}

#[inline(always)]
fn panels_of<S: Simd>(_: S, columns: usize) -> impl Iterator<Item = (usize, usize)> {
    panels::<S>(columns)
}

/// `[depth, columns]` in panels, padded with zeros.
#[inline(always)]
fn pack<S: Simd>(_: S, w: &[f32], depth: usize, columns: usize) -> Scratch {
    let mut packed = Scratch::zeros(depth * padded::<S>(columns));
    for (first, width) in panels::<S>(columns) {
        let n = width.min(columns - first);
        let panel = packed[first * depth..][..width * depth].chunks_exact_mut(width);
        for (to, from) in panel.zip(w.chunks_exact(columns)) {
            to[..n].copy_from_slice(&from[first..first + n]);
        }
    }
    packed
}
