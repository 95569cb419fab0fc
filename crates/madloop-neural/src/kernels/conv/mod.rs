//! Two-dimensional convolution and its gradients.
//!
//! Images are `[batch, height, width, channels]` and weights `[kernel_height, kernel_width, c_in, c_out]`. With stride s and padding p
//!
//! `y[b, i, j, o] = bias[o] + sum over u, v, c of x[b, s i + u - p, s j + v - p, c] w[u, v, c, o]`,
//!
//! where x is 0 outside the image. Three ways to compute it, chosen by shape:
//! Winograd's transforms for 3x3 windows of stride 1 between at least 8 channels, dot products for few output channels, a direct sum otherwise.
//! Sums over images (gradients of weights) are cut into chunks that depend on the shape alone, so that no result depends on the
//! number of threads.

mod direct;
mod narrow;
mod places;
mod transform;
mod winograd;

use super::scratch::Scratch;
use super::simd::Level;

/// The shape of a convolution. Images are `[batch, height, width, c_in]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conv2d {
    /// Images.
    pub batch: usize,
    /// Rows of the input.
    pub height: usize,
    /// Columns of the input.
    pub width: usize,
    /// Channels of the input.
    pub c_in: usize,
    /// Channels of the output.
    pub c_out: usize,
    /// Rows and columns of the window.
    pub kernel: [usize; 2],
    /// Step of the window, at least 1.
    pub stride: usize,
    /// Rows and columns of zeros on each side, less than the window's.
    pub padding: usize,
    /// Never Winograd's transforms, whose rounding errors are some ten times those of a plain sum (3e-5 of the largest output in the tests).
    pub plain: bool,
}

/// What a result is added to.
#[derive(Clone, Copy, Debug)]
pub enum Onto<'a> {
    /// Nothing: the output's old values are lost.
    Nothing,
    /// The output's old values.
    Itself,
    /// These, of the output's shape.
    Values(&'a [f32]),
}

impl Conv2d {
    /// A square window whose padding keeps the image's size at stride 1.
    pub fn same(
        batch: usize,
        [height, width]: [usize; 2],
        [c_in, c_out]: [usize; 2],
        kernel: usize,
        stride: usize,
    ) -> Self {
        Self { batch, height, width, c_in, c_out, kernel: [kernel; 2], stride, padding: kernel / 2, plain: false }
    }

    /// Rows and columns of the output.
    ///
    /// # Panics
    /// If the window is larger than the image with its padding, or the stride is 0.
    pub fn out_size(&self) -> [usize; 2] {
        let out = |size: usize, kernel: usize| {
            let steps = (size + 2 * self.padding).checked_sub(kernel).expect("the window fits the image");
            steps / self.stride + 1
        };
        [out(self.height, self.kernel[0]), out(self.width, self.kernel[1])]
    }

    /// Numbers in the input.
    pub fn in_len(&self) -> usize {
        self.batch * self.in_image()
    }

    /// Numbers in the output.
    pub fn out_len(&self) -> usize {
        self.batch * self.out_image()
    }

    /// Numbers in the weights.
    pub fn weight_len(&self) -> usize {
        self.taps() * self.c_in * self.c_out
    }

    fn in_image(&self) -> usize {
        self.height * self.width * self.c_in
    }

    fn out_image(&self) -> usize {
        let [h, w] = self.out_size();
        h * w * self.c_out
    }

    fn taps(&self) -> usize {
        self.kernel[0] * self.kernel[1]
    }

    fn check(&self, x: usize, w: usize, y: usize) {
        assert!(self.stride > 0, "a stride of 0");
        assert!(
            self.kernel.iter().all(|&k| k > self.padding),
            "padding {} of a window of {:?}",
            self.padding,
            self.kernel
        );
        let fits = |size: usize, kernel: usize| size + 2 * self.padding >= kernel;
        assert!(
            fits(self.height, self.kernel[0]) && fits(self.width, self.kernel[1]),
            "a window larger than the image: {self:?}"
        );
        assert_eq!(x, self.in_len(), "the input's length, for {self:?}");
        assert_eq!(w, self.weight_len(), "the weights' length, for {self:?}");
        assert_eq!(y, self.out_len(), "the output's length, for {self:?}");
    }

    fn is_empty(&self) -> bool {
        self.in_len() == 0 || self.out_len() == 0
    }

    /// Images a job: enough jobs for all threads to end together.
    fn images_a_job(&self) -> usize {
        self.batch.div_ceil(4 * rayon::current_num_threads()).max(1)
    }

    /// The convolution whose output is this one's input gradient, for stride 1.
    fn reversed(&self) -> Self {
        let [height, width] = self.out_size();
        let padding = self.kernel[0] - 1 - self.padding;
        Self { height, width, c_in: self.c_out, c_out: self.c_in, padding, ..*self }
    }
}

/// y = conv(x, w) + bias, added `onto` something.
///
/// # Panics
/// If a length does not fit the shape.
pub fn forward(shape: &Conv2d, x: &[f32], w: &[f32], bias: Option<&[f32]>, onto: Onto<'_>, y: &mut [f32]) {
    shape.check(x.len(), w.len(), y.len());
    assert!(bias.is_none_or(|b| b.len() == shape.c_out), "the bias's length, for {shape:?}");
    if let Onto::Values(values) = onto {
        assert_eq!(values.len(), y.len(), "what the output is added to, for {shape:?}");
    }
    if shape.is_empty() {
        return;
    }
    let level = Level::current();
    if winograd::suits(shape) {
        winograd::forward(level, shape, x, w, bias, onto, y);
    } else if narrow::suits(shape) {
        narrow::forward(level, shape, x, w, bias, onto, y);
    } else {
        direct::forward(level, shape, x, w, bias, onto, y);
    }
}

/// `dx[b, i, j, c]` = sum of dy w over the outputs that saw `x[b, i, j, c]`, added `onto` something.
///
/// # Panics
/// If a length does not fit the shape.
pub fn input_gradient(shape: &Conv2d, dy: &[f32], w: &[f32], onto: Onto<'_>, dx: &mut [f32]) {
    shape.check(dx.len(), w.len(), dy.len());
    if let Onto::Values(values) = onto {
        assert_eq!(values.len(), dx.len(), "what the gradient is added to, for {shape:?}");
    }
    if shape.is_empty() {
        return;
    }
    let level = Level::current();
    if shape.stride == 1 && shape.kernel[0] == shape.kernel[1] {
        let back = shape.reversed();
        if winograd::suits(&back) || narrow::suits(&back) {
            let turned = turned(shape, w);
            return if winograd::suits(&back) {
                winograd::forward(level, &back, dy, &turned, None, onto, dx);
            } else {
                narrow::forward(level, &back, dy, &turned, None, onto, dx);
            };
        }
    }
    direct::input_gradient(level, shape, dy, w, onto, dx);
}

/// `dw[u, v, c, o]` = sum of x dy over all positions, and `db[o]` = sum of dy.
///
/// # Panics
/// If a length does not fit the shape.
pub fn weight_gradient(shape: &Conv2d, x: &[f32], dy: &[f32], dw: &mut [f32], db: Option<&mut [f32]>) {
    shape.check(x.len(), dw.len(), dy.len());
    assert!(db.as_ref().is_none_or(|b| b.len() == shape.c_out), "the bias gradient's length, for {shape:?}");
    if shape.is_empty() {
        dw.fill(0.0);
        if let Some(db) = db {
            db.fill(0.0);
        }
        return;
    }
    let level = Level::current();
    if winograd::suits(shape) {
        winograd::weight_gradient(level, shape, x, dy, dw, db);
    } else {
        direct::weight_gradient(level, shape, x, dy, dw, db);
    }
}

/// The weights `[taps, c_out, c_in]` of [`Conv2d::reversed`]: turned by half a circle, channels exchanged.
fn turned(shape: &Conv2d, w: &[f32]) -> Scratch {
    let (taps, c, o) = (shape.taps(), shape.c_in, shape.c_out);
    let mut out = Scratch::new(w.len());
    for tap in 0..taps {
        transpose(&w[tap * c * o..][..c * o], c, o, &mut out[(taps - 1 - tap) * c * o..][..c * o]);
    }
    out
}

/// `[rows, columns]` to `[columns, rows]`, in squares that stay in cache.
fn transpose(from: &[f32], rows: usize, columns: usize, to: &mut [f32]) {
    const SIDE: usize = 16;
    for r in (0..rows).step_by(SIDE) {
        for c in (0..columns).step_by(SIDE) {
            for j in c..columns.min(c + SIDE) {
                for i in r..rows.min(r + SIDE) {
                    to[j * rows + i] = from[i * columns + j];
                }
            }
        }
    }
}

/// Fills an image with what its result is added to. Then every kernel has one case: it adds.
fn prefill(onto: Onto<'_>, first: usize, bias: Option<&[f32]>, channels: usize, y: &mut [f32]) {
    match onto {
        Onto::Nothing => y.fill(0.0),
        Onto::Itself => {}
        Onto::Values(values) => y.copy_from_slice(&values[first..first + y.len()]),
    }
    if let Some(bias) = bias {
        for pixel in y.chunks_exact_mut(channels) {
            for (y, bias) in pixel.iter_mut().zip(bias) {
                *y += bias;
            }
        }
    }
}
