//! The trained network in plain arithmetic: one image at a time, sums in a fixed order, products and sums rounded separately.
//!
//! So features have the same bits whatever the batch, the number of threads, the processor and the tensor library.

use super::network::{Architecture, CHANNELS, DENSE, KERNEL, Side};

/// Channels of the convolutions, filled up to what processors add at once.
const LANES: [usize; 2] = [8, 16];

/// Standardisation, then the layers.
pub(crate) struct Forward {
    mean: Vec<f32>,
    deviation: Vec<f32>,
    convs: Option<Convs>,
    dense: [Dense; 2],
    output: Dense,
}

struct Convs {
    sides: [Side; 2],
    channels: usize,
    first: Kernel<{ LANES[0] }>,
    second: Kernel<{ LANES[1] }>,
}

/// Weights `[5 * 5 * c_in][c_out]`, the channels filled up with zeros.
struct Kernel<const L: usize> {
    taps: Vec<[f32; L]>,
    bias: [f32; L],
}

struct Dense {
    /// `[inputs, outputs]`
    weight: Vec<f32>,
    bias: Vec<f32>,
}

/// What an image comes to.
pub(crate) struct Answer {
    /// The penultimate layer before its rectifier.
    pub(crate) features: [f32; DENSE[1]],
    /// The last layer.
    pub(crate) logits: Vec<f32>,
}

impl Forward {
    /// `host` holds the parameters in the order in which [`Architecture::declare`] declares them.
    pub(crate) fn new(architecture: Architecture, mean: Vec<f32>, deviation: Vec<f32>, host: Vec<Vec<f32>>) -> Self {
        let mut host = host.into_iter();
        let mut next = || host.next().unwrap_or_default();
        let convs = architecture.sides().map(|sides| Convs {
            sides,
            channels: architecture.columns(),
            first: Kernel::new(CHANNELS[0], next(), &next()),
            second: Kernel::new(CHANNELS[1], next(), &next()),
        });
        let mut dense = || Dense { weight: next(), bias: next() };
        Self { mean, deviation, convs, dense: [dense(), dense()], output: dense() }
    }

    /// The answer to one sample, `[d]`, pixels from 0 to 1.
    pub(crate) fn answer(&self, sample: &[f32]) -> Answer {
        let columns = self.mean.iter().zip(&self.deviation).cycle();
        let mut x: Vec<f32> = sample.iter().zip(columns).map(|(v, (mean, deviation))| (v - mean) / deviation).collect();
        if let Some(convs) = &self.convs {
            x = convs.answer(&x);
        }
        let mut features = self.dense[1].answer(&rectified(self.dense[0].answer(&x)));
        let mut penultimate = [0.0; DENSE[1]];
        penultimate.copy_from_slice(&features);
        features = rectified(features);
        Answer { features: penultimate, logits: self.output.answer(&features) }
    }
}

impl Convs {
    fn answer(&self, x: &[f32]) -> Vec<f32> {
        let [y_side, x_side] = self.sides;
        let border = KERNEL / 2;
        let x = bordered(x, [y_side.input, x_side.input, self.channels], [border; 2]);
        let x = self.first.answer(&x, x_side.input + 2 * border, [y_side.half, x_side.half], CHANNELS[0]);
        let borders = [y_side.border, x_side.border];
        let x = bordered(&x, [y_side.half, x_side.half, CHANNELS[0]], borders);
        self.second.answer(&x, x_side.half + 2 * x_side.border, [y_side.quarter, x_side.quarter], CHANNELS[1])
    }
}

impl<const L: usize> Kernel<L> {
    fn new(channels: usize, weight: Vec<f32>, bias: &[f32]) -> Self {
        let filled = |values: &[f32]| {
            let mut all = [0.0; L];
            all[..values.len()].copy_from_slice(values);
            all
        };
        Self { taps: weight.chunks_exact(channels).map(filled).collect(), bias: filled(bias) }
    }

    /// Convolution, the largest of each 2 x 2 pixels, rectifier: `x` `[.., width, c_in]` with its border -> `[h, w, channels]`.
    fn answer(&self, x: &[f32], width: usize, [h, w]: [usize; 2], channels: usize) -> Vec<f32> {
        // Values of `x` that one row of the kernel covers.
        let reach = self.taps.len() / KERNEL;
        let c_in = reach / KERNEL;
        let mut out = Vec::with_capacity(h * w * channels);
        for at in 0..h * w {
            let mut best = [0.0_f32; L];
            for corner in 0..4 {
                let (row, column) = (2 * (at / w) + corner / 2, 2 * (at % w) + corner % 2);
                let mut sum = self.bias;
                for (dy, taps) in self.taps.chunks_exact(reach).enumerate() {
                    let start = ((row + dy) * width + column) * c_in;
                    for (value, tap) in x[start..start + reach].iter().zip(taps) {
                        for (sum, weight) in sum.iter_mut().zip(tap) {
                            *sum += value * weight;
                        }
                    }
                }
                for (best, sum) in best.iter_mut().zip(sum) {
                    *best = best.max(sum);
                }
            }
            out.extend_from_slice(&best[..channels]);
        }
        out
    }
}

impl Dense {
    fn answer(&self, x: &[f32]) -> Vec<f32> {
        let mut sum = self.bias.clone();
        for (value, weights) in x.iter().zip(self.weight.chunks_exact(sum.len())) {
            for (sum, weight) in sum.iter_mut().zip(weights) {
                *sum += value * weight;
            }
        }
        sum
    }
}

fn rectified(mut x: Vec<f32>) -> Vec<f32> {
    x.iter_mut().for_each(|value| *value = value.max(0.0));
    x
}

/// An image with zeros around it.
fn bordered(x: &[f32], [h, w, c]: [usize; 3], [border_y, border_x]: [usize; 2]) -> Vec<f32> {
    let wide = (w + 2 * border_x) * c;
    let mut out = vec![0.0; (h + 2 * border_y) * wide];
    for (row, values) in x.chunks_exact(w * c).enumerate() {
        let start = (row + border_y) * wide + border_x * c;
        out[start..start + w * c].copy_from_slice(values);
    }
    out
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use madloop_core::{Seeds, Shape, Stream};

    use super::*;
    use crate::backend::Device;
    use crate::params::{Weights, matrix, to_host};
    use crate::random::fill_normal;

    #[test]
    fn it_is_the_network_that_was_trained() {
        let image = |height, width, channels| Shape::Image { channels, height, width };
        for shape in [image(28, 28, 1), image(8, 8, 1), image(17, 33, 3), image(15, 16, 1), Shape::vector(5)] {
            let architecture = Architecture::new(shape, 7).expect("in range");
            let (network, layout) = architecture.declare();
            let layout = Arc::new(layout);
            let device = Device::cpu();
            let mut weights = Weights::initial(&layout, Seeds::new(3), device.inner());
            // Biases begin at 0, which would hide them.
            weights.values.iter_mut().for_each(|value| *value = value.clone() + 0.01);

            let mut samples = vec![0.0; 3 * shape.len()];
            fill_normal(&mut Seeds::new(4).rng(Stream::REAL, 0), &mut samples);
            let columns = architecture.columns();
            let (mean, deviation) = (vec![0.25; columns], vec![2.0; columns]);
            let standard = samples.iter().map(|v| (v - 0.25) / 2.0).collect();
            let logits = network.forward(&weights, matrix(standard, shape.len(), device.inner()));
            let logits = to_host(logits, "reading logits").expect("on the CPU");

            let host = weights.to_host().expect("on the CPU");
            let forward = Forward::new(architecture, mean, deviation, host);
            for (sample, expected) in samples.chunks_exact(shape.len()).zip(logits.chunks_exact(7)) {
                let answer = forward.answer(sample);
                assert!(answer.features.iter().any(|value| *value < 0.0), "features come before the rectifier");
                for (found, expected) in answer.logits.iter().zip(expected) {
                    assert!(
                        (found - expected).abs() < 2e-5 * expected.abs().max(1.0),
                        "{found} for {expected} at {shape}"
                    );
                }
            }
        }
    }
}
