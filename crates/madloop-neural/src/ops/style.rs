//! Operations of style-based generators and of what judges them.

use burn::tensor::{Device, Tensor, TensorData};

use crate::fused::{self, on_cpu};

/// What the rectifier of these networks lets through of a value below 0.
const SLOPE: f32 = 0.2;

/// Every channel of an image by its own factor: `[n, h, w, c]`, `[n, c]`.
pub fn modulate(x: Tensor<4>, scale: Tensor<2>) -> Tensor<4> {
    if on_cpu(&x) { fused::style::modulate(x, scale) } else { composed::modulate(x, scale) }
}

/// sqrt(2) r(x scale + strength noise + bias) with r the rectifier of slope 0.2: `[n, h, w, c]`, `[n, c]`, `[n, h, w]`, `[1]`, `[c]`. The
/// noise has no gradient, and scales are not 0. (Karras et al. 2019, arXiv:1912.04958, figure 2c; the root of 2 keeps the variance.)
pub fn activate(x: Tensor<4>, scale: Tensor<2>, noise: Tensor<3>, strength: Tensor<1>, bias: Tensor<1>) -> Tensor<4> {
    if on_cpu(&x) {
        return fused::style::activate(x, scale, noise, strength, bias, SLOPE);
    }
    composed::activate(x, scale, noise, strength, bias)
}

/// Twice the size, by zeros between pixels and a filter of \[1, 3, 3, 1\] / 4 in both directions, 0 beyond the border: `[n, h, w, c]` ->
/// `[n, 2 h, 2 w, c]`. (Karras et al. 2019, arXiv:1912.04958, appendix B.)
pub fn blur_up(x: Tensor<4>) -> Tensor<4> {
    if on_cpu(&x) { fused::blur::up(x) } else { composed::blur_up(x) }
}

/// Half the size, by a filter of \[1, 3, 3, 1\] / 8 in both directions and every second pixel, 0 beyond the border: `[n, 2 h, 2 w, c]` ->
/// `[n, h, w, c]`. Pixel i is at 2 i + 1/2 of the input.
pub fn blur_down(x: Tensor<4>) -> Tensor<4> {
    if on_cpu(&x) { fused::blur::down(x) } else { composed::blur_down(x) }
}

/// Each 2 x 2 square of pixels as one: `[n, 2 h, 2 w, c]` -> `[n, h, w, 4 c]`, the square row after row.
pub fn fold(x: Tensor<4>) -> Tensor<4> {
    if on_cpu(&x) { fused::blur::fold(x) } else { composed::fold(x) }
}

/// The inverse of [`fold`].
pub fn unfold(x: Tensor<4>) -> Tensor<4> {
    if on_cpu(&x) { fused::blur::unfold(x) } else { composed::unfold(x) }
}

/// Weights with which a convolution of the small image and [`unfold`] are the transposed convolution of stride 2 without border (y of
/// `2 h + 1` pixels, y\[2 i + t\] += w\[t\] x\[i\]), and after it the filter \[1, 3, 3, 1\] / 4 with a border of 1: `[3, 3, i, o]` -> `[3, 3, i, 4 o]`.
///
/// Both are linear and the transposed convolution leaves nothing out, so that they are one: in each direction pixel 2 i + a is
/// sum over u of x\[i + u\] sum over t of w\[t\] f\[2 u + t + 1 - a\], three values of u.
pub fn up_weight(weight: Tensor<4>) -> Tensor<4> {
    let [_, _, i, o] = weight.dims();
    let places = 36;
    let wide = resampled(weight, &|a, u, t| 2 * u + t + 1 - a, 4.0); // [9 * 4, i * o]
    let wide: Tensor<4> = wide.reshape([places / 4, 4, i, o]);
    wide.permute([0, 2, 1, 3]).reshape([3, 3, i, 4 * o])
}

/// Weights with which a convolution of the [`fold`]ed image is the filter \[1, 3, 3, 1\] / 8 with a border of 2, and after it the convolution of
/// stride 2 without border: `[3, 3, i, o]` -> `[3, 3, 4 i, o]`.
pub fn down_weight(weight: Tensor<4>) -> Tensor<4> {
    let [_, _, i, o] = weight.dims();
    resampled(weight, &|a, u, t| 2 * u + a + 2 - t, 8.0).reshape([3, 3, 4 * i, o])
}

/// The weights times the filter in each direction, `[3, 3, i, o]` -> `[(u, v, a, b), i * o]`, where `place(a, u, t)` is the place in the filter
/// \[1, 3, 3, 1\] / `sum` that takes tap t to tap u of phase a.
fn resampled(weight: Tensor<4>, place: &dyn Fn(i32, i32, i32) -> i32, sum: f32) -> Tensor<2> {
    let [_, _, i, o] = weight.dims();
    let one = |a: i32, u: i32, t: i32| match place(a, u, t) {
        0 | 3 => 1.0 / sum,
        1 | 2 => 3.0 / sum,
        _ => 0.0,
    };
    let mut map = Vec::with_capacity(36 * 9);
    for (u, v) in pairs(-1, 2) {
        for (a, b) in pairs(0, 2) {
            map.extend(pairs(0, 3).map(|(t, s)| one(a, u, t) * one(b, v, s)));
        }
    }
    let device = weight.device().without_autodiff();
    constant(map, [36, 9], &device).matmul(weight.reshape([9, i * o]))
}

fn pairs(from: i32, to: i32) -> impl Iterator<Item = (i32, i32)> {
    (from..to).flat_map(move |first| (from..to).map(move |second| (first, second)))
}

fn constant<const D: usize>(values: Vec<f32>, shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::from_data(TensorData::new(values, shape), device)
}

/// The same of the library's operations.
pub(super) mod composed {
    use super::super::composed::leaky;
    use super::*;

    pub(in crate::ops) fn modulate(x: Tensor<4>, scale: Tensor<2>) -> Tensor<4> {
        let [n, c] = scale.dims();
        x * scale.reshape([n, 1, 1, c])
    }

    pub(in crate::ops) fn activate(
        x: Tensor<4>,
        scale: Tensor<2>,
        noise: Tensor<3>,
        strength: Tensor<1>,
        bias: Tensor<1>,
    ) -> Tensor<4> {
        let [n, h, w, c] = x.dims();
        let noise = noise.reshape([n, h, w, 1]) * strength.reshape([1, 1, 1, 1]);
        let y = modulate(x, scale) + bias.reshape([1, 1, 1, c]) + noise;
        leaky(y, SLOPE) * std::f32::consts::SQRT_2
    }

    /// The pixel before each one along a dimension, and the pixel after it.
    fn neighbours<const D: usize>(x: &Tensor<D>, dim: usize) -> [Tensor<D>; 2] {
        let size = x.dims()[dim];
        let zero = x.clone().narrow(dim, 0, 1) * 0.0;
        if size == 1 {
            return [zero.clone(), zero];
        }
        [
            Tensor::cat(vec![zero.clone(), x.clone().narrow(dim, 0, size - 1)], dim),
            Tensor::cat(vec![x.clone().narrow(dim, 1, size - 1), zero], dim),
        ]
    }

    pub(in crate::ops) fn blur_up(x: Tensor<4>) -> Tensor<4> {
        [1, 2].into_iter().fold(x, |x, dim| {
            let [before, after] = neighbours(&x, dim);
            let (even, odd) = ((before + x.clone() * 3.0) * 0.25, (x.clone() * 3.0 + after) * 0.25);
            let [mut n, mut h, w, c] = x.dims();
            (n, h) = if dim == 1 { (n, h) } else { (n * h, w) };
            let rest = if dim == 1 { w * c } else { c };
            let apart = |x: Tensor<4>| x.reshape([n, h, 1, rest]);
            let [of_n, of_h, of_w, _] = x.dims();
            let size = if dim == 1 { [of_n, 2 * of_h, of_w, c] } else { [of_n, of_h, 2 * of_w, c] };
            Tensor::cat(vec![apart(even), apart(odd)], 2).reshape(size)
        })
    }

    pub(in crate::ops) fn blur_down(x: Tensor<4>) -> Tensor<4> {
        [1, 2].into_iter().fold(x, |x, dim| {
            let [n, h, w, c] = x.dims();
            let ([outer, pixels, rest], size) = match dim {
                1 => ([n, h / 2, w * c], [n, h / 2, w, c]),
                _ => ([n * h, w / 2, c], [n, h, w / 2, c]),
            };
            let pairs = x.reshape([outer, pixels, 2, rest]);
            let (even, odd) = (pairs.clone().narrow(2, 0, 1), pairs.narrow(2, 1, 1));
            let ([before, _], [_, after]) = (neighbours(&odd, 1), neighbours(&even, 1));
            ((before + (even + odd) * 3.0 + after) * 0.125).reshape(size)
        })
    }

    pub(in crate::ops) fn fold(x: Tensor<4>) -> Tensor<4> {
        let [n, h, w, c] = x.dims();
        let squares: Tensor<6> = x.reshape([n, h / 2, 2, w / 2, 2, c]);
        squares.permute([0, 1, 3, 2, 4, 5]).reshape([n, h / 2, w / 2, 4 * c])
    }

    pub(in crate::ops) fn unfold(x: Tensor<4>) -> Tensor<4> {
        let [n, h, w, c] = x.dims();
        let squares: Tensor<6> = x.reshape([n, h, w, 2, 2, c / 4]);
        squares.permute([0, 1, 3, 2, 4, 5]).reshape([n, 2 * h, 2 * w, c / 4])
    }
}
