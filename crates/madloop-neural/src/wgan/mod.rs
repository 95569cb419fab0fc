//! Wasserstein generative adversarial networks with gradient penalty (Gulrajani et al. 2017, arXiv:1704.00028, algorithm 1).
//!
//! A generator G makes a sample of a latent z ~ N(0, I), and a critic D gives a sample a number. The critic minimises
//!
//! E D(G(z)) - E D(x) + p E (|grad D(y)| - 1)^2, y = u x + (1 - u) G(z), u uniform on \[0, 1\],
//!
//! where samples are as the networks see them (pixels from -1 to 1, vectors standardised), in `n_critic` updates a step, then the
//! generator minimises - E D(G(z)) in one. Without the penalty the first two terms at their minimum over 1-Lipschitz D are minus the
//! Wasserstein-1 distance between the laws of x and G(z).
//!
//! # The penalty's gradient
//!
//! It is a second derivative, which the tensor library's automatic differentiation does not have. With g = grad_y D(y) and theta the
//! critic's parameters,
//!
//! grad_theta (|g| - 1)^2 = 2 (|g| - 1) / |g| g' (d g / d theta) = grad_theta \[v . g\], v = 2 (|g| - 1) / |g| g held fixed,
//!
//! and v . g is the derivative of D at y along v. That is computed forwards, layer by layer ([`critic::Critic::along`]): the tangent of a
//! linear layer is the layer without its bias, that of a rectifier is the tangent where the rectifier is open. All of it is composed
//! of operations that have first derivatives, so an ordinary backward pass through it gives the gradient. A leaky rectifier has no
//! second derivative, so nothing flows through what decides which rectifiers are open: the result is the gradient that differentiating
//! twice gives, exactly. A central difference of D along v would not do: over any step it crosses the kinks of some rectifiers.
//! Where g = 0 the gradient is taken as 0, as PyTorch's norm has it.
//!
//! The penalty is a function of each row alone, so the critic has no normalisation over a batch; here it has none at all. The generator
//! of images normalises in groups of channels of one image, so that a sample depends on its own latent alone.
//!
//! # Sampling bias
//!
//! The paper samples its WGAN at lambda = 1 only. Here lambda < 1 scales the latent's covariance, z ~ N(0, lambda I), as the paper does for
//! flows: this is madloop's own extension (truncation of the latent, after Brock et al. 2019, arXiv:1809.11096, section 3.1, who cut its
//! tails off instead).
//!
//! # Classes
//!
//! The paper's WGAN is unconditional, and so is this one: labels of the training set are not looked at, and samples have none.

mod config;
mod critic;
mod generator;
mod losses;
mod model;
#[cfg(test)]
mod tests;
mod trainer;

pub use config::{Beginning, GanNetwork, WganConfig};

/// The family's name.
const FAMILY: &str = "wgan-gp";
/// What a rectifier lets through of a value below 0.
const SLOPE: f32 = 0.2;
