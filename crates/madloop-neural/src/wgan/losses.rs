//! What critic and generator minimise.

use burn::tensor::Tensor;
use madloop_core::{Seeds, Stream};
use rand::RngExt;
use rayon::prelude::*;

use super::critic::Critic;
use super::generator::Generator;
use crate::backend::Device;
use crate::params::{Weights, matrix};
use crate::scale::Scale;
use crate::train::{Batch, Game};
use crate::{Result, random};

/// The critic's turn, and its place among the networks.
pub(crate) const CRITIC: usize = 0;
/// The generator's.
pub(crate) const GENERATOR: usize = 1;

/// Slopes below it count as 0, where the penalty's gradient is taken as 0.
const FLAT: f32 = 1e-12;

/// The two networks and what they play with; latents and mixing shares are addressed by turn and example, so that they depend neither
/// on batches nor on threads.
pub(crate) struct Contest<'a> {
    pub(crate) critic: &'a Critic,
    pub(crate) generator: &'a Generator,
    pub(crate) scale: Scale,
    pub(crate) latent: usize,
    pub(crate) penalty: f64,
    pub(crate) seeds: Seeds,
    pub(crate) device: &'a Device,
}

impl Contest<'_> {
    const OF_CRITIC: Stream = Stream::named("neural/wgan/critic");
    const OF_GENERATOR: Stream = Stream::named("neural/wgan/generator");

    /// Latents of the examples, `[n, latent]`, and a uniform number each, `[n, 1]`.
    fn draws(&self, stream: Stream, batch: &Batch) -> [Tensor<2>; 2] {
        let rows = (batch.examples.end - batch.examples.start) as usize;
        let (mut latents, mut shares) = (vec![0.0; rows * self.latent], vec![0.0_f32; rows]);
        let each = latents.par_chunks_exact_mut(self.latent).zip(&mut shares).enumerate();
        each.for_each(|(row, (latent, share))| {
            let mut rng = self.seeds.rng(stream, batch.examples.start + row as u64);
            *share = rng.random();
            random::fill_normal(&mut rng, latent);
        });
        let device = self.device.inner();
        [matrix(latents, self.latent, device), matrix(shares, 1, device)]
    }

    /// D(G(z)) - D(x) + the penalty of each row.
    fn of_critic(&self, networks: &[Weights], batch: &Batch) -> Tensor<1> {
        let [latents, shares] = self.draws(Self::OF_CRITIC, batch);
        let made = self.generator.forward(&networks[GENERATOR], latents);
        let mut real = batch.values.clone();
        self.scale.to_network(&mut real);
        let dim = real.len() / batch.labels.len();
        let real = matrix(real, dim, self.device.inner());
        let between = made.clone() + (real.clone() - made.clone()) * shares;
        let weights = &networks[CRITIC];
        let [n, _] = real.dims();
        let scores = self.critic.forward(weights, Tensor::cat(vec![made, real], 0));
        let difference = scores.clone().narrow(0, 0, n) - scores.narrow(0, n, n);
        if self.penalty == 0.0 {
            return difference;
        }
        difference + penalty(self.critic, weights, between, self.penalty)
    }
}

/// p (|grad D| - 1)^2 of each row of `[n, d]`, `[n]`, with the gradient that the family's documentation derives.
pub(crate) fn penalty(critic: &Critic, weights: &Weights, at: Tensor<2>, p: f64) -> Tensor<1> {
    let [n, _] = at.dims();
    let at = at.autodiff().require_grad();
    let (scores, kept) = critic.forward_and_keep(&weights.constant(), at.clone());
    // The sum's own value is not used, so its order does not matter.
    let mut gradients = scores.sum().backward();
    let slope = at.grad_remove(&mut gradients).unwrap_or_else(|| at.without_autodiff().zeros_like());
    let norm = (slope.clone() * slope.clone()).sum_dim(1).sqrt(); // [n, 1]
    let beyond = norm.clone() - 1.0;
    let value = (beyond.clone() * beyond.clone() * p).reshape([n]);
    let direction = slope * (beyond * (2.0 * p) / norm.clamp_min(FLAT));
    let along = critic.along(weights, kept, direction);
    // The value of the penalty with the gradient of the derivative along the direction.
    along.clone() + (value - along.without_autodiff())
}

impl Game for Contest<'_> {
    fn losses(&mut self, turn: usize, networks: &[Weights], batch: &Batch) -> Result<Tensor<1>> {
        if turn == CRITIC {
            return Ok(self.of_critic(networks, batch));
        }
        let [latents, _] = self.draws(Self::OF_GENERATOR, batch);
        let made = self.generator.forward(&networks[GENERATOR], latents);
        Ok(self.critic.forward(&networks[CRITIC], made) * -1.0)
    }
}
