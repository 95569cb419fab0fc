//! Tests of the flow family: its likelihood against determinants and entropies, its training against itself.

mod exact;
mod likelihood;
mod training;

use std::sync::Arc;

use madloop_core::{Blobs, Cancel, ClassSchedule, Context, Generator, MemoryBlobs, Mix, Result, Samples, Seeds, Shape};
use madloop_core::{SamplingBias, Stream, Trained, Trainer};
use rand::RngExt;

use super::FlowConfig;
use crate::backend::Device;
use crate::random;

fn lambda(value: f64) -> SamplingBias {
    SamplingBias::new(value).expect("from 0 to 1")
}

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

/// Labelled 4x4 images of two kinds; u8 or f32.
fn images(rows: usize, bytes: bool) -> Mix {
    let shape = Shape::Image { channels: 1, height: 4, width: 4 };
    let mut rng = Seeds::new(99).rng(Stream::REAL, 0);
    let labels: Vec<u32> = (0..rows).map(|row| (row % 2) as u32).collect();
    let pixel = |at: usize| if (at % 4 < 2) == (labels[at / 16] == 0) { 0.8 } else { 0.1 };
    let pixels: Vec<f32> = (0..rows * 16).map(|at| pixel(at) + 0.1 * rng.random::<f32>()).collect();
    let set = match bytes {
        false => Samples::from_f32(shape, pixels),
        true => Samples::from_u8(shape, pixels.iter().map(|v| (v * 255.0) as u8).collect()),
    };
    Mix::of(set.and_then(|set| set.with_labels(labels)).expect("whole rows")).expect("one part")
}

/// Trains, with a scratch, and a request to stop after `stop` steps.
fn train_in(trainer: &dyn Trainer, mix: &Mix, scratch: &mut MemoryBlobs, stop: Option<u64>) -> Result<Trained> {
    let cancel = Cancel::default();
    let progress = |progress: madloop_core::Progress| {
        if stop.is_some_and(|stop| progress.done >= stop) {
            cancel.request();
        }
    };
    let classes = ClassSchedule::of_mix(mix);
    let mut context = Context {
        seeds: Seeds::new(7).at(1),
        classes: classes.as_ref(),
        scratch,
        cancel: &cancel,
        progress: &progress,
    };
    trainer.train(mix, &mut context)
}

fn trainer(config: &FlowConfig) -> Box<dyn Trainer> {
    config.trainer(&Device::cpu()).expect("a valid configuration")
}

fn train(config: &FlowConfig, mix: &Mix) -> Arc<dyn Generator> {
    model(train_in(trainer(config).as_ref(), mix, &mut MemoryBlobs::default(), None).expect("trains"))
}

fn model(trained: Trained) -> Arc<dyn Generator> {
    match trained {
        Trained::Model(model) => model,
        Trained::Degenerate(_, why) | Trained::Ended(why) => panic!("{why}"),
    }
}

/// A model's file.
fn saved(model: &dyn Generator) -> Vec<u8> {
    let mut blobs = MemoryBlobs::default();
    model.save(&mut blobs).expect("in memory");
    blobs.get("model.safetensors").expect("in memory").expect("written")
}
