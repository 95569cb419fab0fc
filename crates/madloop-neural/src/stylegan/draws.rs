//! What is random about an image that is made, from streams addressed by its number.

use std::ops::Range;

use burn::tensor::{Device, Tensor, TensorData};
use madloop_core::{Seeds, Stream};
use rand::RngExt;
use rayon::prelude::*;

use super::generator::Synthesis;
use crate::params::{flat, matrix};
use crate::random;

/// Latents and noise of some images.
pub(crate) struct Draws {
    /// Two of each image, `[n, latent]`; the second is for mixing, and is not drawn where nothing is mixed.
    pub(crate) latents: Vec<Tensor<2>>,
    /// The first style that is of the second latent, for each image.
    cuts: Vec<usize>,
    /// `[n, side, side]` for each layer that takes noise.
    pub(crate) noise: Vec<Tensor<3>>,
}

impl Draws {
    /// The draws of rows `rows` of a stream; a share `mixing` of them has two latents.
    pub(crate) fn new(
        synthesis: &Synthesis,
        latent: usize,
        mixing: f64,
        seeds: Seeds,
        stream: Stream,
        rows: Range<u64>,
        device: &Device,
    ) -> Self {
        let n = (rows.end - rows.start) as usize;
        let sides = synthesis.noise_sides();
        let layers = synthesis.styles();
        let pixels: usize = sides.iter().map(|side| side * side).sum();
        let count = if mixing > 0.0 { 2 } else { 1 };
        let mut numbers = vec![0.0; n * (count * latent + pixels)];
        let mut cuts = vec![layers; n];
        numbers.par_chunks_exact_mut(count * latent + pixels).zip(&mut cuts).enumerate().for_each(
            |(row, (numbers, cut))| {
                let mut rng = seeds.rng(stream, rows.start + row as u64);
                random::fill_normal(&mut rng, numbers);
                if mixing > 0.0 && rng.random::<f64>() < mixing {
                    *cut = rng.random_range(1..layers as u64) as usize;
                }
            },
        );
        let mut at = 0;
        let mut take = |length: usize| {
            let part = at..at + length;
            at += length;
            numbers.chunks_exact(count * latent + pixels).flat_map(|row| row[part.clone()].to_vec()).collect()
        };
        let latents = (0..count).map(|_| matrix(take(latent), latent, device)).collect();
        let image = |side: usize| Tensor::from_data(TensorData::new(take(side * side), [n, side, side]), device);
        Self { latents, cuts, noise: sides.into_iter().map(image).collect() }
    }

    /// The style of each layer: of the first latent before the cut and of the second from there on. `w` is of both latents, one below
    /// the other, `[n or 2 n, latent]`.
    pub(crate) fn mix(&self, w: Tensor<2>, layers: usize) -> Vec<Tensor<2>> {
        let n = self.cuts.len();
        if self.latents.len() == 1 {
            return vec![w; layers];
        }
        let (first, second) = (w.clone().narrow(0, 0, n), w.narrow(0, n, n));
        let difference = second - first.clone();
        let device = self.latents[0].device();
        let layer = |layer: usize| {
            let is_second = |cut: &usize| f32::from(u8::from(layer >= *cut));
            match self.cuts.iter().any(|cut| layer >= *cut) {
                false => first.clone(),
                true => {
                    let share = flat(self.cuts.iter().map(is_second).collect(), &device).reshape([n, 1]);
                    first.clone() + difference.clone() * share
                }
            }
        };
        (0..layers).map(layer).collect()
    }
}
