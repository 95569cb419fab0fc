//! SiLU after group normalisation of images whose channels lie together, and its gradients.

use rayon::prelude::*;

use super::silu::logistic;

/// Keeps a group's variance away from 0.
pub(crate) const EPS: f32 = 1e-5;

/// `[images, pixels, channels]`, the channels in `groups`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Size {
    pub(super) pixels: usize,
    pub(super) channels: usize,
    pub(super) groups: usize,
}

impl Size {
    fn image(self) -> usize {
        self.pixels * self.channels
    }

    /// Sums of f(value, channel) over each group of an image, in order.
    fn sums<const N: usize>(self, image: &[f32], f: impl Fn(usize, f32, usize) -> [f32; N]) -> Vec<[f32; N]> {
        // A sum a channel first, which vectorises and rounds less.
        let mut of_channel = vec![[0.0; N]; self.channels];
        for (pixel, row) in image.chunks_exact(self.channels).enumerate() {
            for (channel, (sum, &value)) in of_channel.iter_mut().zip(row).enumerate() {
                let terms = f(pixel * self.channels + channel, value, channel);
                sum.iter_mut().zip(terms).for_each(|(sum, term)| *sum += term);
            }
        }
        let group = self.channels / self.groups;
        let add = |mut a: [f32; N], b: &[f32; N]| {
            a.iter_mut().zip(b).for_each(|(a, b)| *a += b);
            a
        };
        of_channel.chunks_exact(group).map(|sums| sums.iter().fold([0.0; N], add)).collect()
    }

    /// Mean and 1 / deviation of each group of an image.
    fn statistics(self, image: &[f32]) -> Vec<[f32; 2]> {
        let (group, count) = (self.channels / self.groups, (self.image() / self.groups) as f32);
        let means: Vec<f32> = self.sums(image, |_, x, _| [x]).iter().map(|[sum]| sum / count).collect();
        let squares = self.sums(image, |_, x, channel| [(x - means[channel / group]).powi(2)]);
        means.iter().zip(squares).map(|(&mean, [square])| [mean, (square / count + EPS).sqrt().recip()]).collect()
    }
}

/// y = z s(z), z = gain (x - mean) / deviation + bias.
pub(super) fn forward(size: Size, x: &[f32], gain: &[f32], bias: &[f32], y: &mut [f32]) {
    let group = size.channels / size.groups;
    y.par_chunks_exact_mut(size.image()).zip(x.par_chunks_exact(size.image())).for_each(|(y, x)| {
        let statistics = size.statistics(x);
        // z = factor x + shift.
        let (factor, shift): (Vec<f32>, Vec<f32>) = (0..size.channels)
            .map(|channel| {
                let [mean, scale] = statistics[channel / group];
                (gain[channel] * scale, bias[channel] - gain[channel] * scale * mean)
            })
            .unzip();
        for (y, x) in y.chunks_exact_mut(size.channels).zip(x.chunks_exact(size.channels)) {
            for (((y, x), factor), shift) in y.iter_mut().zip(x).zip(&factor).zip(&shift) {
                let z = factor * x + shift;
                *y = z * logistic(z);
            }
        }
    });
}

/// Gradients of x, gain and bias from that of y.
pub(super) fn backward(size: Size, x: &[f32], gain: &[f32], bias: &[f32], dy: &[f32]) -> [Vec<f32>; 3] {
    let (group, count) = (size.channels / size.groups, (size.image() / size.groups) as f32);
    let mut dx = vec![0.0; x.len()];
    let images = dx.par_chunks_exact_mut(size.image()).zip(x.par_chunks_exact(size.image()));
    let parts: Vec<(Vec<f32>, Vec<f32>)> = images
        .zip(dy.par_chunks_exact(size.image()))
        .map(|((dx, x), dy)| {
            let statistics = size.statistics(x);
            let normal = |x: f32, channel: usize| {
                let [mean, scale] = statistics[channel / group];
                (x - mean) * scale
            };
            // dx holds dz first.
            let (mut dgain, mut dbias) = (vec![0.0; size.channels], vec![0.0; size.channels]);
            let c = size.channels;
            for ((dz, x), dy) in dx.chunks_exact_mut(c).zip(x.chunks_exact(c)).zip(dy.chunks_exact(c)) {
                for channel in 0..c {
                    let normal = normal(x[channel], channel);
                    let z = gain[channel] * normal + bias[channel];
                    let s = logistic(z);
                    dz[channel] = dy[channel] * (s + z * s * (1.0 - s));
                    dgain[channel] += dz[channel] * normal;
                    dbias[channel] += dz[channel];
                }
            }
            // What a group's mean and deviation take back.
            let back = size.sums(x, |at, x, channel| {
                let d = dx[at] * gain[channel];
                [d, d * normal(x, channel)]
            });
            for (dx, x) in dx.chunks_exact_mut(c).zip(x.chunks_exact(c)) {
                for channel in 0..c {
                    let [mean, along] = back[channel / group];
                    let [_, scale] = statistics[channel / group];
                    let rest = (mean + normal(x[channel], channel) * along) / count;
                    dx[channel] = scale * (dx[channel] * gain[channel] - rest);
                }
            }
            (dgain, dbias)
        })
        .collect();
    let (mut dgain, mut dbias) = (vec![0.0; size.channels], vec![0.0; size.channels]);
    for (of_gain, of_bias) in parts {
        dgain.iter_mut().zip(of_gain).for_each(|(sum, part)| *sum += part);
        dbias.iter_mut().zip(of_bias).for_each(|(sum, part)| *sum += part);
    }
    [dx, dgain, dbias]
}
