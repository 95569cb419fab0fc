//! The two regularisers, with the gradients that the family's documentation derives.

use burn::tensor::Tensor;

use super::discriminator::Discriminator;
use super::generator::Synthesis;
use super::layers::Dual;
use crate::params::Weights;

/// Lengths below it count as 0, where the penalty's gradient is taken as 0.
const FLAT: f32 = 1e-12;

/// gamma / 2 |grad_x of the sum of D|^2 of each image of `[n, h, w, c]`, `[n]`; images come to D through a map of images.
pub(crate) fn r1(
    discriminator: &Discriminator,
    weights: &Weights,
    x: Tensor<4>,
    gamma: f64,
    through: impl Fn(Dual<4>) -> Dual<4>,
) -> Tensor<1> {
    let [n, ..] = x.dims();
    let leaf = x.clone().autodiff().require_grad();
    let scores = discriminator.forward(&weights.constant(), through(leaf.clone().into())).value;
    // The sum's own value is not used, so its order does not matter.
    let mut gradients = scores.sum().backward();
    let slope = leaf.grad_remove(&mut gradients).unwrap_or_else(|| x.zeros_like());
    let value = rows(slope.clone() * slope.clone()).sum_dim(1).reshape([n]) * (gamma / 2.0);
    let along = discriminator.forward(weights, through(Dual::new(x, slope * gamma)));
    valued(value, along.tangent)
}

/// Sum over styles and dimensions of (d (G . y) / d w)^2, divided by the number of styles, under the root: a length for each image, `[n, 1]`;
/// and the derivatives, `[n, latent]` for each style.
pub(crate) fn path_lengths(
    synthesis: &Synthesis,
    weights: &Weights,
    styles: &[Tensor<2>],
    noise: &[Tensor<3>],
    y: Tensor<4>,
) -> (Tensor<2>, Vec<Tensor<2>>) {
    let leaves: Vec<Tensor<2>> =
        styles.iter().map(|style| style.clone().without_autodiff().autodiff().require_grad()).collect();
    let duals: Vec<Dual<2>> = leaves.iter().cloned().map(Dual::from).collect();
    let image = synthesis.forward(&weights.constant(), &duals, noise).value;
    let mut gradients = (image * y).sum().backward();
    let slopes: Vec<Tensor<2>> = leaves
        .into_iter()
        .map(|leaf| leaf.grad_remove(&mut gradients).unwrap_or_else(|| leaf.without_autodiff().zeros_like()))
        .collect();
    let count = slopes.len() as f64;
    let squares = slopes.iter().map(|slope| (slope.clone() * slope.clone()).sum_dim(1));
    let [n, _] = styles[0].dims();
    let zero = Tensor::zeros([n, 1], &slopes[0].device());
    (squares.fold(zero, |sum, square| sum + square).div_scalar(count).sqrt(), slopes)
}

/// p (length - mean)^2 of each image, `[n]`, for lengths and derivatives of [`path_lengths`] and a mean that is held fixed, `[1]`.
#[expect(clippy::too_many_arguments, reason = "what a path is of")]
pub(crate) fn path_penalty(
    synthesis: &Synthesis,
    weights: &Weights,
    styles: Vec<Tensor<2>>,
    noise: &[Tensor<3>],
    y: Tensor<4>,
    (lengths, slopes): (Tensor<2>, Vec<Tensor<2>>),
    mean: Tensor<1>,
    p: f64,
) -> Tensor<1> {
    let [n, _] = lengths.dims();
    let beyond = lengths.clone() - mean.reshape([1, 1]);
    let value = (beyond.clone() * beyond.clone() * p).reshape([n]);
    let factor = beyond / lengths.clamp_min(FLAT) * (2.0 * p / styles.len() as f64); // [n, 1]
    let duals: Vec<Dual<2>> =
        styles.into_iter().zip(slopes).map(|(style, slope)| Dual::new(style, slope * factor.clone())).collect();
    let along = synthesis.forward(weights, &duals, noise);
    valued(value, along.tangent.map(|change| rows(change * y).sum_dim(1).reshape([n])))
}

/// The value with the gradient of the derivative along a direction.
fn valued(value: Tensor<1>, along: Option<Tensor<1>>) -> Tensor<1> {
    match along {
        None => value,
        Some(along) => along.clone() + (value - along.without_autodiff()),
    }
}

fn rows(x: Tensor<4>) -> Tensor<2> {
    let [n, h, w, c] = x.dims();
    x.reshape([n, h * w * c])
}
