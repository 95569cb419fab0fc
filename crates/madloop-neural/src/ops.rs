//! The tensor operations of the networks, in one place: each may be replaced by a kernel without the networks knowing.
//!
//! Images are `[n, h, w, c]`, as samples lie in memory; weights of convolutions are `[kh, kw, c_in, c_out]`. What has no kernel
//! in `fused/` is composed of the library's own, which wants channels first.

use burn::tensor::activation::{sigmoid, softmax};
use burn::tensor::ops::{ConvOptions, InterpolateMode, InterpolateOptions};
use burn::tensor::{Tensor, module};

use crate::fused::{self, NORM_EPS};

/// x W + b: `[n, i]`, `[i, o]`, `[o]` -> `[n, o]`.
pub(crate) fn linear(x: Tensor<2>, weight: Tensor<2>, bias: Option<Tensor<1>>) -> Tensor<2> {
    let y = x.matmul(weight);
    match bias {
        None => y,
        Some(bias) => y + bias.unsqueeze(),
    }
}

/// Convolution with a zero border of (k - 1) / 2 pixels: `[n, h, w, i]`, `[k, k, i, o]`, `[o]` ->
/// `[n, ceil(h / stride), ceil(w / stride), o]`, k odd.
pub(crate) fn conv2d(x: Tensor<4>, weight: Tensor<4>, bias: Option<Tensor<1>>, stride: usize) -> Tensor<4> {
    let [kernel, ..] = weight.dims();
    let border = (kernel - 1) / 2;
    let options = ConvOptions::new([stride, stride], [border, border], [1, 1], 1);
    let y = module::conv2d(channels_first(x), weight.permute([3, 2, 0, 1]), bias, options);
    channels_last(y)
}

/// x s(x), s the logistic function.
pub(crate) fn silu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    fused::silu(&x).unwrap_or_else(|| x.clone() * sigmoid(x))
}

/// SiLU after group normalisation (Wu and He 2018, eq. 1), `groups` dividing the channels: `[n, h, w, c]`, `[c]`, `[c]`.
pub(crate) fn group_norm_silu(x: Tensor<4>, gain: Tensor<1>, bias: Tensor<1>, groups: usize) -> Tensor<4> {
    fused::group_norm_silu(&x, &gain, &bias, groups).unwrap_or_else(|| composed_norm(x, gain, bias, groups))
}

fn composed_norm(x: Tensor<4>, gain: Tensor<1>, bias: Tensor<1>, groups: usize) -> Tensor<4> {
    let [n, h, w, c] = x.dims();
    let grouped = x.reshape([n, h * w, groups, c / groups]);
    let mean = |x: Tensor<4>| x.mean_dim(3).mean_dim(1); // [n, 1, groups, 1]
    let centred = grouped.clone() - mean(grouped);
    let deviation = (mean(centred.clone() * centred.clone()) + NORM_EPS).sqrt();
    let normal = (centred / deviation).reshape([n, h, w, c]);
    silu(normal * gain.reshape([1, 1, 1, c]) + bias.reshape([1, 1, 1, c]))
}

/// Each pixel twice in both directions: `[n, h, w, c]` -> `[n, 2 h, 2 w, c]`.
pub(crate) fn upsample(x: Tensor<4>) -> Tensor<4> {
    let [_, h, w, _] = x.dims();
    let options = InterpolateOptions::new(InterpolateMode::Nearest).with_output_size([2 * h, 2 * w]);
    channels_last(module::interpolate(channels_first(x), options))
}

/// Adds a vector to every pixel: `[n, h, w, c]`, `[n, c]`.
pub(crate) fn add_per_image(x: Tensor<4>, shift: Tensor<2>) -> Tensor<4> {
    let [n, c] = shift.dims();
    x + shift.reshape([n, 1, 1, c])
}

/// Attention of every pixel to every other of its image (Vaswani et al. 2017, eq. 1; one head): `[n, pixels, c]` each.
pub(crate) fn attend(query: Tensor<3>, key: Tensor<3>, value: Tensor<3>) -> Tensor<3> {
    let [_, _, c] = query.dims();
    let scores = query.matmul(key.swap_dims(1, 2)) * (c as f32).sqrt().recip();
    softmax(scores, 2).matmul(value)
}

/// Mean squared error of each row: `[n, d]`, `[n, d]` -> `[n]`. A mean over everything could be summed in an order that
/// depends on the number of threads.
pub(crate) fn squared_error(x: Tensor<2>, y: Tensor<2>) -> Tensor<1> {
    let [n, _] = x.dims();
    let difference = x - y;
    (difference.clone() * difference).mean_dim(1).reshape([n])
}

fn channels_first(x: Tensor<4>) -> Tensor<4> {
    x.permute([0, 3, 1, 2])
}

fn channels_last(x: Tensor<4>) -> Tensor<4> {
    x.permute([0, 2, 3, 1])
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, TensorData};

    use super::*;

    fn tensor<const D: usize>(shape: [usize; D], value: impl Fn(usize) -> f64) -> Tensor<D> {
        let values: Vec<f32> = (0..shape.iter().product()).map(|at| value(at) as f32).collect();
        Tensor::from_data(TensorData::new(values, shape), &Device::flex())
    }

    fn host<const D: usize>(x: Tensor<D>) -> Vec<f64> {
        x.into_data().iter::<f64>().collect()
    }

    #[test]
    fn convolution_is_its_sum() {
        let (n, h, w, i, o) = (2, 5, 4, 3, 2);
        for (stride, k) in [(1, 3), (2, 3), (1, 1)] {
            let f = |a: f64| move |at: usize| (a * at as f64).sin();
            let (x, weight, bias) = (tensor([n, h, w, i], f(0.7)), tensor([k, k, i, o], f(1.3)), tensor([o], f(2.1)));
            let y = conv2d(x.clone(), weight.clone(), Some(bias.clone()), stride);
            let [_, oh, ow, _] = y.dims();
            assert_eq!([oh, ow], [h.div_ceil(stride), w.div_ceil(stride)]);
            let (x, weight, bias, y) = (host(x), host(weight), host(bias), host(y));
            for (at, y) in y.iter().enumerate() {
                let (m, row, column, out) = (at / (oh * ow * o), at / (ow * o) % oh, at / o % ow, at % o);
                let mut sum = bias[out];
                for tap in 0..k * k * i {
                    let (dy, dx, channel) = (tap / (k * i), tap / i % k, tap % i);
                    let (sy, sx) = (row * stride + dy, column * stride + dx);
                    let border = k / 2;
                    if sy >= border && sx >= border && sy - border < h && sx - border < w {
                        let pixel = ((m * h + sy - border) * w + sx - border) * i + channel;
                        sum += x[pixel] * weight[tap * o + out];
                    }
                }
                assert!((y - sum).abs() < 1e-5, "stride {stride}, kernel {k}, at {at}: {y} for {sum}");
            }
        }
    }

    #[test]
    fn normalisation_is_of_groups() {
        let (h, w, c, groups) = (3, 2, 4, 2);
        let x = tensor([2, h, w, c], |at| (at as f64 * 1.7).sin() + 0.3 * (at % c) as f64);
        let (gain, bias) = (tensor([c], |at| 1.0 + 0.1 * at as f64), tensor([c], |at| 0.2 * at as f64 - 0.3));
        let y = host(group_norm_silu(x.clone(), gain.clone(), bias.clone(), groups));
        let gradients = |apply: &dyn Fn(Tensor<4>, Tensor<1>, Tensor<1>, usize) -> Tensor<4>| {
            let (x, gain, bias) = (x.clone().autodiff(), gain.clone().autodiff(), bias.clone().autodiff());
            let (x, gain, bias) = (x.require_grad(), gain.require_grad(), bias.require_grad());
            let y = apply(x.clone(), gain.clone(), bias.clone(), groups);
            let all = (y.clone() * y).sum().backward();
            let of = |tensor: &Tensor<1>| host(tensor.grad(&all).expect("a leaf"));
            [host(x.grad(&all).expect("a leaf")), of(&gain), of(&bias)]
        };
        for (ours, theirs) in gradients(&group_norm_silu).iter().zip(&gradients(&composed_norm)) {
            assert!(ours.iter().zip(theirs).all(|(a, b)| (a - b).abs() < 1e-4), "{ours:?} for {theirs:?}");
        }
        let (x, gain, bias) = (host(x), host(gain), host(bias));
        for (at, y) in y.iter().enumerate() {
            let (image, channel) = (at / (h * w * c), at % c);
            let of_group: Vec<f64> = (0..h * w * c)
                .filter(|other| other % c / (c / groups) == channel / (c / groups))
                .map(|other| x[image * h * w * c + other])
                .collect();
            let mean = of_group.iter().sum::<f64>() / of_group.len() as f64;
            let variance = of_group.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / of_group.len() as f64;
            let z = (x[at] - mean) / (variance + f64::from(NORM_EPS)).sqrt() * gain[channel] + bias[channel];
            assert!((y - z / (1.0 + (-z).exp())).abs() < 1e-5);
        }
    }

    /// What resuming rests on, and what the library does not promise: products, and sums along a dimension, are split among threads
    /// by output, never along the sum.
    #[test]
    fn the_librarys_sums_do_not_depend_on_threads() {
        for [m, k, n] in [[64, 576, 64], [257, 1025, 130], [8, 40_000, 70], [3000, 33, 65]] {
            let (a, b) = (tensor([m, k], |at| (at as f64 * 0.71).sin()), tensor([k, n], |at| (at as f64 * 1.3).cos()));
            let run = |threads| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
                pool.install(|| {
                    let product = a.clone().matmul(b.clone());
                    [host(product), host(a.clone().sum_dim(1)), host(a.clone().sum_dim(0))]
                })
            };
            let one = run(1);
            for threads in [2, 3, 5] {
                assert!(run(threads) == one, "{m} x {k} x {n} on {threads} threads");
            }
        }
    }

    #[test]
    fn upsampling_repeats_pixels() {
        let y = host(upsample(tensor([1, 1, 2, 2], |at| at as f64)));
        assert_eq!(y, [0., 1., 0., 1., 2., 3., 2., 3., 0., 1., 0., 1., 2., 3., 2., 3.]);
    }

    #[test]
    fn attention_averages_values_by_softmax() {
        let y = attend(
            tensor([1, 2, 1], |at| at as f64),
            tensor([1, 2, 1], |at| 1.0 - at as f64),
            tensor([1, 2, 1], |at| at as f64 * 3.0),
        );
        let second = 3.0 / (1.0 + 1.0_f64.exp());
        let y = host(y);
        assert!((y[0] - 1.5).abs() < 1e-6 && (y[1] - second).abs() < 1e-6, "{y:?}");
    }
}
