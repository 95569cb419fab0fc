//! Tests of the adversarial family: its penalty against differentiating twice, its training against itself.

mod penalty;
mod training;

use std::sync::Arc;

use madloop_core::{Generator, MemoryBlobs, Mix, Trainer};

use super::{GanNetwork, WganConfig};
use crate::backend::Device;
use crate::testing::{model, train_in};

/// Tiny networks of either kind, trained for `steps`.
fn tiny(network: GanNetwork, steps: u64) -> WganConfig {
    WganConfig {
        network,
        base_channels: 8,
        width: 16,
        depth: 2,
        latent: 3,
        steps: Some(steps),
        batch: 4,
        n_critic: 2,
        learning_rate: 1e-3,
        ..WganConfig::default()
    }
}

fn trainer(config: &WganConfig) -> Box<dyn Trainer> {
    config.trainer(&Device::cpu()).expect("a valid configuration")
}

fn train(config: &WganConfig, mix: &Mix) -> Arc<dyn Generator> {
    model(train_in(trainer(config).as_ref(), mix, &mut MemoryBlobs::default(), None).expect("trains"))
}
