//! Tests of the style-based family: its networks and regularisers against PyTorch, its training against itself.

mod golden;
mod settings;
mod training;

use std::sync::Arc;

use madloop_core::{Generator, MemoryBlobs, Mix, Samples, Shape, Trainer};

use super::StyleGan2Config;
use crate::backend::Device;
use crate::testing::{model, train_in};

/// Tiny networks, trained for `steps`.
fn tiny(steps: u64) -> StyleGan2Config {
    StyleGan2Config {
        fmaps: 1.0,
        fmap_max: 8,
        latent: 6,
        mapping_layers: 2,
        r1_every: 4,
        path_every: 2,
        steps: Some(steps),
        batch: 4,
        mbstd_group: 2,
        ema_kimg: 0.05,
        ..StyleGan2Config::default()
    }
}

fn trainer(config: &StyleGan2Config) -> Box<dyn Trainer> {
    config.trainer(&Device::cpu()).expect("a valid configuration")
}

fn train(config: &StyleGan2Config, mix: &Mix) -> Arc<dyn Generator> {
    model(train_in(trainer(config).as_ref(), mix, &mut MemoryBlobs::default(), None).expect("trains"))
}

/// Squares of 16 pixels a side: dark, with a bright spot at a place of their own.
fn spots(rows: usize, channels: usize, bytes: bool) -> Mix {
    let shape = Shape::Image { channels, height: 16, width: 16 };
    let pixel = |at: usize| {
        let (row, place) = (at / shape.len(), at % shape.len() / channels);
        let middle = [6 + (row * 7) % 5, 6 + (row * 3) % 5];
        let far: f32 = [place / 16, place % 16].iter().zip(middle).map(|(a, b)| (*a as f32 - b as f32).powi(2)).sum();
        0.1 + 0.8 * (-far / 8.0).exp()
    };
    let pixels: Vec<f32> = (0..rows * shape.len()).map(pixel).collect();
    let set = match bytes {
        false => Samples::from_f32(shape, pixels),
        true => Samples::from_u8(shape, pixels.iter().map(|v| (v * 255.0) as u8).collect()),
    };
    Mix::of(set.expect("whole rows")).expect("one part")
}
