//! Tests of the flow family: its likelihood against determinants and entropies, its training against itself.

mod exact;
mod likelihood;
mod training;

use std::sync::Arc;

use madloop_core::{Generator, MemoryBlobs, Mix, Samples, Seeds, Shape, Stream, Trainer};

use super::FlowConfig;
use crate::backend::Device;
use crate::random;
use crate::testing::{blobs, lambda, model, saved, train_in};

/// A tiny flow, trained for `steps`.
fn tiny(steps: u64) -> FlowConfig {
    FlowConfig { couplings: 3, hidden: 16, levels: 1, steps: Some(steps), batch: 32, ..FlowConfig::default() }
}

fn normal(name: &str, length: usize) -> Vec<f32> {
    let mut values = vec![0.0; length];
    random::fill_normal(&mut Seeds::new(3).rng(Stream::named(name), 0), &mut values);
    values
}

/// A bent cloud in `dim` dimensions.
fn cloud(rows: usize, dim: usize) -> Mix {
    let mut values = normal("cloud", rows * dim);
    values.chunks_exact_mut(dim).for_each(|row| row[dim - 1] = 3.0 + 2.0 * row[0] * row[0] + 0.5 * row[dim - 1]);
    Mix::of(Samples::from_f32(Shape::vector(dim), values).expect("whole rows")).expect("one part")
}

fn trainer(config: &FlowConfig) -> Box<dyn Trainer> {
    config.trainer(&Device::cpu()).expect("a valid configuration")
}

fn train(config: &FlowConfig, mix: &Mix) -> Arc<dyn Generator> {
    model(train_in(trainer(config).as_ref(), mix, &mut MemoryBlobs::default(), None).expect("trains"))
}
