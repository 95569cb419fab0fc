//! The estimate of the noise in x by a network.

use burn::tensor::Tensor;

use super::schedule::Schedule;
use crate::nets::{Condition, Network};
use crate::params::{Weights, matrix};

/// eps(x, t, c) = sigma_t x + alpha_t F(x, t, c), F the network: `[n, d]` -> `[n, d]`.
///
/// Where there is almost only noise, eps is x itself, and the estimate of the data, (x - sigma eps) / alpha = alpha x - sigma F, does not
/// magnify the network's errors by 1 / alpha. This is the relation between the noise and the velocity v of Salimans and Ho 2022,
/// section 4; what is trained stays the error of eps.
pub(crate) fn noise(
    network: &Network,
    schedule: &Schedule,
    weights: &Weights,
    x: Tensor<2>,
    condition: &Condition<'_>,
) -> Tensor<2> {
    let device = x.device().without_autodiff();
    let column =
        |of: &dyn Fn(f64) -> f64| matrix(condition.times.iter().map(|&time| of(time) as f32).collect(), 1, &device);
    let (alpha, sigma) = (column(&|time| schedule.alpha(time)), column(&|time| schedule.sigma(time)));
    x.clone() * sigma + network.forward(weights, x, condition) * alpha
}
