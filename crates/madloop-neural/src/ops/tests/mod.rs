//! Operations against their definitions.

mod against_composed;
mod flow;
mod style;

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
    let (x, gain, bias) = (host(x), host(gain), host(bias));
    for (at, y) in y.iter().enumerate() {
        let (image, channel) = (at / (h * w * c), at % c);
        let of_group: Vec<f64> = (0..h * w * c)
            .filter(|other| other % c / (c / groups) == channel / (c / groups))
            .map(|other| x[image * h * w * c + other])
            .collect();
        let mean = of_group.iter().sum::<f64>() / of_group.len() as f64;
        let variance = of_group.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / of_group.len() as f64;
        let z = (x[at] - mean) / (variance + f64::from(fused::norm::EPS)).sqrt() * gain[channel] + bias[channel];
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
