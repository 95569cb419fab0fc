//! Depthwise convolution: every channel with a window of its own.

use super::super::simd::{Level, Simd, simd};
use super::{Plane, Rectifier, Window};

/// Pixels that share a load of weights.
const PIXELS: usize = 4;

/// `y[i, j, c] = rectifier(bias[c] + sum over u, v of x[s i + u - p, s j + v - q, c] w[u, v, c])`
#[derive(Debug)]
pub struct Depthwise {
    window: Window,
    /// `[kernel_height, kernel_width, channels]`
    weights: Vec<f32>,
    bias: Vec<f32>,
    rectifier: Rectifier,
    level: Level,
}

impl Depthwise {
    /// Weights `[kernel_height, kernel_width, channels]` and a bias a channel.
    ///
    /// # Panics
    /// If lengths do not fit.
    pub fn new(level: Level, window: Window, weights: Vec<f32>, bias: Vec<f32>, rectifier: Rectifier) -> Self {
        assert_eq!(weights.len(), window.kernel[0] * window.kernel[1] * bias.len(), "the weights' length");
        Self { window, weights, bias, rectifier, level }
    }

    /// How its window moves.
    pub fn window(&self) -> &Window {
        &self.window
    }

    /// The output, without a border.
    ///
    /// # Panics
    /// If channels do not fit, or the border of `x` is narrower than the padding.
    pub fn apply(&self, x: &Plane) -> Plane {
        assert_eq!(x.channels(), self.bias.len(), "channels");
        assert!(x.has_border(self.window.before, self.window.after), "a border narrower than the padding");
        let mut y = Plane::new(self.window.out_size(x.size()), x.channels(), 0);
        simd!(self.level, s => self.rows(s, x, &mut y));
        y
    }

    #[inline(always)]
    fn rows<S: Simd>(&self, s: S, x: &Plane, y: &mut Plane) {
        let (channels, [height, width]) = (y.channels(), y.size());
        for row in 0..height {
            let from = &x.values()[x.at(row * self.window.stride, 0, self.window.before)..];
            let to = y.row_mut(row);
            let whole = width / PIXELS * PIXELS;
            for first in (0..whole).step_by(PIXELS) {
                self.pixels::<S, PIXELS>(s, from, x.row_step(), first, &mut to[first * channels..]);
            }
            for first in whole..width {
                self.pixels::<S, 1>(s, from, x.row_step(), first, &mut to[first * channels..]);
            }
        }
    }

    /// `P` pixels of a row from `first`.
    #[inline(always)]
    fn pixels<S: Simd, const P: usize>(&self, s: S, x: &[f32], row: usize, first: usize, y: &mut [f32]) {
        let (channels, stride) = (self.bias.len(), self.window.stride);
        let [up, across] = self.window.kernel;
        let (low, high) = self.rectifier.bounds();
        let (low, high) = (s.splat(low), s.splat(high));
        for c in (0..channels).step_by(S::LANES) {
            let n = S::LANES.min(channels - c);
            let mut sums = [s.load_part(&self.bias[c..c + n]); P];
            for u in 0..up {
                for v in 0..across {
                    let w = s.load_part(&self.weights[(u * across + v) * channels + c..][..n]);
                    for (p, sum) in sums.iter_mut().enumerate() {
                        let at = u * row + ((first + p) * stride + v) * channels + c;
                        *sum = s.fma(s.load_part(&x[at..at + n]), w, *sum);
                    }
                }
            }
            for (p, &sum) in sums.iter().enumerate() {
                let at = p * channels + c;
                s.store_part(&mut y[at..at + n], s.min(s.max(sum, low), high));
            }
        }
    }
}
