//! Tests of the diffusion family: its samplers against propagated moments, its training against itself.

mod digits;
mod gradients;
mod samplers;
mod training;

use std::sync::Arc;

use madloop_core::{Generator, MemoryBlobs, Mix, Samples, Trainer};

use super::{DdpmConfig, NetworkKind};
use crate::backend::Device;
use crate::testing::{blobs, lambda, model, saved, train_in, without_labels};

/// A tiny network of either kind, trained for `steps`.
fn tiny(network: NetworkKind, steps: u64) -> DdpmConfig {
    DdpmConfig {
        network,
        base_channels: 8,
        multipliers: vec![1, 2],
        blocks: 1,
        attention: true,
        width: 16,
        depth: 2,
        timesteps: 20,
        steps: Some(steps),
        batch: 4,
        learning_rate: 1e-3,
        ..DdpmConfig::default()
    }
}

fn trainer(config: &DdpmConfig) -> Box<dyn Trainer> {
    config.trainer(&Device::cpu()).expect("a valid configuration")
}

fn train(config: &DdpmConfig, mix: &Mix) -> Arc<dyn Generator> {
    model(train_in(trainer(config).as_ref(), mix, &mut MemoryBlobs::default(), None).expect("trains"))
}
