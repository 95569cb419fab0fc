//! Style-based generative adversarial networks: StyleGAN2 (Karras et al. 2019, arXiv:1912.04958), where asked for with adaptive discriminator
//! augmentation (Karras et al. 2020, arXiv:2006.06676). Papers and their authors' settings are followed; the code is madloop's own.
//!
//! A mapping takes a latent z ~ N(0, I) to a style w, a synthesis makes an image of styles, one a layer, and of noise. With s(x) = ln(1 + e^x)
//! the discriminator minimises E s(D(G(z))) + E s(-D(x)), the generator E s(-D(G(z))) (Goodfellow et al. 2014, the loss that does not
//! saturate). Images are pixels from -1 to 1. Two regularisers come in some steps only, as updates of their own and as many times stronger
//! (section 2.2.2 of the first paper, with its change of Adam's settings):
//!
//! - R1, gamma / 2 E |grad_x D(x)|^2 of real images (Mescheder et al. 2018);
//! - path length, E (|J' y| - a)^2 with J = d G / d w, y of N(0, 1) over the root of the number of pixels, and a the running mean of |J' y|.
//!
//! # Their gradients
//!
//! are second derivatives, which the tensor library's automatic differentiation does not have. As in the module `wgan`, each is the first
//! derivative of a tangent that is carried forwards ([`layers::Dual`]):
//!
//! - R1: grad_theta gamma / 2 |g|^2 = grad_theta \[v . g\] with v = gamma g held fixed, and v . grad_x D is D's derivative along v;
//! - path length: with u = d penalty / d (J' y) held fixed, the gradient is grad_theta \[u . J' y\] = grad_theta \[y . J u\], and J u is the
//!   derivative of G along a change u of the styles.
//!
//! A leaky rectifier has no second derivative, so what decides which are open is a constant; everything else (styles, demodulation,
//! the deviation within a group) is composed of operations with first derivatives, on values and tangents alike. The result is what
//! differentiating twice gives.
//!
//! # Sampling bias
//!
//! lambda is the truncation psi: styles are w_mean + lambda (w - w_mean), w_mean the running mean of styles (Karras et al. 2018b,
//! arXiv:1812.04948, appendix B; the paper's appendix on StyleGAN uses it so).
//!
//! # Classes
//!
//! The networks are unconditional: labels of the training set are not looked at, and samples have none. Samples are u8 pixels.

mod augment;
mod config;
mod discriminator;
mod draws;
mod generator;
mod layers;
mod losses;
mod model;
mod penalty;
#[cfg(test)]
mod tests;
mod trainer;

pub use config::StyleGan2Config;

/// The family's name.
const FAMILY: &str = "stylegan2";
/// What a rectifier lets through of a value below 0.
const SLOPE: f32 = 0.2;

/// How many channels images of each size have inside the networks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Channels {
    /// At most so many, before the factor.
    pub(crate) most: usize,
    /// Multiplies all of them.
    pub(crate) factor: f64,
}

impl Channels {
    /// Channels times side, before limit and factor.
    const BASE: usize = 32_768;

    pub(crate) fn at(self, side: usize) -> usize {
        ((Self::BASE / side).min(self.most) as f64 * self.factor).round().max(1.0) as usize
    }
}
