//! The tensor operations of the networks, in one place.
//!
//! On the CPU each is a kernel of ours (`fused/`), on other devices composed of the library's own operations, which want channels
//! first. Images are `[n, h, w, c]`, as samples lie in memory; weights of convolutions are `[kh, kw, c_in, c_out]`.

use burn::tensor::activation::{sigmoid, softmax};
use burn::tensor::ops::{ConvOptions, InterpolateMode, InterpolateOptions};
use burn::tensor::{Tensor, module};

use crate::Result;
use crate::fused::{self, on_cpu};
use crate::kernels::adam::Adam;

mod flow;
mod style;

pub use flow::{couple, coupling_log_det, lu_matrix, uncouple};
pub use style::{activate, blur_down, blur_up, down_weight, fold, modulate, unfold, up_weight};

/// x W + b: `[n, i]`, `[i, o]`, `[o]` -> `[n, o]`.
pub fn linear(x: Tensor<2>, weight: Tensor<2>, bias: Option<Tensor<1>>) -> Tensor<2> {
    if on_cpu(&x) {
        let [_, o] = weight.dims();
        let bias = bias.unwrap_or_else(|| zeros(o, &weight));
        return fused::linear::linear(x, weight, bias);
    }
    composed::linear(x, weight, bias)
}

/// Convolution with a zero border of (k - 1) / 2 pixels: `[n, h, w, i]`, `[k, k, i, o]`, `[o]` ->
/// `[n, ceil(h / stride), ceil(w / stride), o]`, k odd.
pub fn conv2d(x: Tensor<4>, weight: Tensor<4>, bias: Option<Tensor<1>>, stride: usize) -> Tensor<4> {
    if on_cpu(&x) {
        let [.., o] = weight.dims();
        let bias = bias.unwrap_or_else(|| zeros(o, &weight));
        return fused::conv::conv2d(x, weight, bias, stride);
    }
    composed::conv2d(x, weight, bias, stride)
}

/// `other` + [`conv2d`], which costs no pass over memory of its own.
pub fn conv2d_onto(other: Tensor<4>, x: Tensor<4>, weight: Tensor<4>, bias: Tensor<1>, stride: usize) -> Tensor<4> {
    if on_cpu(&x) {
        return fused::conv::conv2d_onto(other, x, weight, bias, stride);
    }
    other + composed::conv2d(x, weight, Some(bias), stride)
}

/// x s(x), s the logistic function.
pub fn silu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    if on_cpu(&x) { fused::silu::silu(x) } else { composed::silu(x) }
}

/// SiLU after group normalisation (Wu and He 2018, eq. 1), `groups` dividing the channels: `[n, h, w, c]`, `[c]`, `[c]`.
pub fn group_norm_silu(x: Tensor<4>, gain: Tensor<1>, bias: Tensor<1>, groups: usize) -> Tensor<4> {
    if on_cpu(&x) {
        return fused::norm::group_norm_silu(x, gain, bias, groups);
    }
    composed::group_norm_silu(x, gain, bias, groups)
}

/// `other` + [`group_norm_silu`].
pub fn group_norm_silu_onto(
    other: Tensor<4>,
    x: Tensor<4>,
    gain: Tensor<1>,
    bias: Tensor<1>,
    groups: usize,
) -> Tensor<4> {
    if on_cpu(&x) {
        return fused::norm::group_norm_silu_onto(other, x, gain, bias, groups);
    }
    other + composed::group_norm_silu(x, gain, bias, groups)
}

/// x where it is above 0, and slope x elsewhere (Maas et al. 2013, section 2; slope 0 is a rectifier).
pub fn leaky<const D: usize>(x: Tensor<D>, slope: f32) -> Tensor<D> {
    if on_cpu(&x) { fused::leaky::leaky(x, slope) } else { composed::leaky(x, slope) }
}

/// The derivative of [`leaky`] along `tangent`, where its output is y: the tangent where y is above 0, and slope times it elsewhere.
/// y is a constant here, since the derivative does not change with it but at the kink.
pub fn leaky_along<const D: usize>(y: Tensor<D>, tangent: Tensor<D>, slope: f32) -> Tensor<D> {
    if on_cpu(&y) { fused::leaky::leaky_along(y, tangent, slope) } else { composed::leaky_along(y, tangent, slope) }
}

/// tanh x.
pub fn tanh<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    if on_cpu(&x) { fused::tanh::tanh(x) } else { x.tanh() }
}

/// Each pixel twice in both directions: `[n, h, w, c]` -> `[n, 2 h, 2 w, c]`.
pub fn upsample(x: Tensor<4>) -> Tensor<4> {
    if on_cpu(&x) { fused::upsample::upsample(x) } else { composed::upsample(x) }
}

/// Channels of a, then those of b: `[n, h, w, c]`, `[n, h, w, d]` -> `[n, h, w, c + d]`.
pub fn join(a: Tensor<4>, b: Tensor<4>) -> Tensor<4> {
    if on_cpu(&a) { fused::join::join(a, b) } else { Tensor::cat(vec![a, b], 3) }
}

/// Adds a vector to every pixel: `[n, h, w, c]`, `[n, c]`.
pub fn add_per_image(x: Tensor<4>, shift: Tensor<2>) -> Tensor<4> {
    let [n, c] = shift.dims();
    x + shift.reshape([n, 1, 1, c])
}

/// Attention of every pixel to every other of its image (Vaswani et al. 2017, eq. 1; one head): `[n, pixels, c]` each.
pub fn attend(query: Tensor<3>, key: Tensor<3>, value: Tensor<3>) -> Tensor<3> {
    let [_, _, c] = query.dims();
    let scores = query.matmul(key.swap_dims(1, 2)) * (c as f32).sqrt().recip();
    softmax(scores, 2).matmul(value)
}

/// Mean squared error of each row: `[n, d]`, `[n, d]` -> `[n]`. A mean over everything could be summed in an order that
/// depends on the number of threads.
pub fn squared_error(x: Tensor<2>, y: Tensor<2>) -> Tensor<1> {
    let [n, _] = x.dims();
    let difference = x - y;
    (difference.clone() * difference).mean_dim(1).reshape([n])
}

/// The sum of x^2, `[1]`, in an order that does not depend on the number of threads; without gradient.
pub fn sum_of_squares(x: Tensor<1>) -> Tensor<1> {
    if on_cpu(&x) { fused::adam::squares(x) } else { composed::sum_of_squares(x) }
}

/// What Adam keeps of a parameter.
pub struct AdamState {
    /// The parameter, its first and its second moment.
    pub state: [Tensor<1>; 3],
    /// Its moving average, where one is wanted.
    pub average: Option<Tensor<1>>,
}

/// Update `step` (from 1) of Adam, in place where the device can.
///
/// # Errors
/// [`Error::Device`](crate::Error) where a tensor is not of f32.
pub fn adam(by: &Adam, step: u32, of: AdamState, gradient: Tensor<1>) -> Result<AdamState> {
    if on_cpu(&gradient) {
        return fused::adam::adam(by, step, of, gradient);
    }
    Ok(composed::adam(by, step, of, gradient))
}

fn zeros<const D: usize>(n: usize, like: &Tensor<D>) -> Tensor<1> {
    Tensor::zeros([n], &like.device().without_autodiff())
}

/// The same of the library's operations.
mod composed {
    use super::*;

    pub(super) fn linear(x: Tensor<2>, weight: Tensor<2>, bias: Option<Tensor<1>>) -> Tensor<2> {
        let y = x.matmul(weight);
        match bias {
            None => y,
            Some(bias) => y + bias.unsqueeze(),
        }
    }

    pub(super) fn conv2d(x: Tensor<4>, weight: Tensor<4>, bias: Option<Tensor<1>>, stride: usize) -> Tensor<4> {
        let [kernel, ..] = weight.dims();
        let border = (kernel - 1) / 2;
        let options = ConvOptions::new([stride, stride], [border, border], [1, 1], 1);
        let y = module::conv2d(channels_first(x), weight.permute([3, 2, 0, 1]), bias, options);
        channels_last(y)
    }

    pub(super) fn silu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
        x.clone() * sigmoid(x)
    }

    pub(super) fn leaky<const D: usize>(x: Tensor<D>, slope: f32) -> Tensor<D> {
        let negative = x.clone().lower_equal_scalar(0.0);
        x.clone().mask_where(negative, x * slope)
    }

    pub(super) fn leaky_along<const D: usize>(y: Tensor<D>, tangent: Tensor<D>, slope: f32) -> Tensor<D> {
        let negative = y.lower_equal_scalar(0.0);
        tangent.clone().mask_where(negative, tangent * slope)
    }

    pub(super) fn group_norm_silu(x: Tensor<4>, gain: Tensor<1>, bias: Tensor<1>, groups: usize) -> Tensor<4> {
        let [n, h, w, c] = x.dims();
        let grouped = x.reshape([n, h * w, groups, c / groups]);
        let mean = |x: Tensor<4>| x.mean_dim(3).mean_dim(1); // [n, 1, groups, 1]
        let centred = grouped.clone() - mean(grouped);
        let deviation = (mean(centred.clone() * centred.clone()) + fused::norm::EPS).sqrt();
        let normal = (centred / deviation).reshape([n, h, w, c]);
        silu(normal * gain.reshape([1, 1, 1, c]) + bias.reshape([1, 1, 1, c]))
    }

    pub(super) fn upsample(x: Tensor<4>) -> Tensor<4> {
        let [_, h, w, _] = x.dims();
        let options = InterpolateOptions::new(InterpolateMode::Nearest).with_output_size([2 * h, 2 * w]);
        channels_last(module::interpolate(channels_first(x), options))
    }

    pub(super) fn sum_of_squares(x: Tensor<1>) -> Tensor<1> {
        let x = x.unsqueeze::<2>();
        (x.clone() * x).sum_dim(1).reshape([1])
    }

    pub(super) fn adam(by: &Adam, step: u32, of: AdamState, g: Tensor<1>) -> AdamState {
        let [w, m, v] = of.state;
        let [first, second] = by.betas;
        let left = |beta: f32| 1.0 - f64::from(beta).powf(f64::from(step));
        let (rate, root) = (f64::from(by.rate) / left(first), left(second).sqrt().recip());
        let g = g * by.scale;
        let m = m * first + g.clone() * (1.0 - first);
        let v = v * second + g.clone() * g * (1.0 - second);
        let w = w * (1.0 - by.rate * by.decay) - m.clone() * rate / (v.clone().sqrt() * root + by.epsilon);
        let average = of.average.map(|e| e * by.average + w.clone() * (1.0 - by.average));
        AdamState { state: [w, m, v], average }
    }

    fn channels_first(x: Tensor<4>) -> Tensor<4> {
        x.permute([0, 3, 1, 2])
    }

    fn channels_last(x: Tensor<4>) -> Tensor<4> {
        x.permute([0, 2, 3, 1])
    }
}

#[cfg(test)]
mod tests;
