//! What the tests of model families share: small sets, training with a scratch, and models as bytes.

use std::sync::Arc;

use madloop_core::{Blobs, Cancel, ClassSchedule, Context, Generator, MemoryBlobs, Mix, Result, Samples, Seeds, Shape};
use madloop_core::{SamplingBias, Trained, Trainer};
use rand::RngExt;

pub(crate) fn lambda(value: f64) -> SamplingBias {
    SamplingBias::new(value).expect("from 0 to 1")
}

/// Blobs of two kinds on 4x4 images, labelled; u8 or f32.
pub(crate) fn blobs(rows: usize, bytes: bool) -> Mix {
    let shape = Shape::Image { channels: 1, height: 4, width: 4 };
    let mut rng = Seeds::new(99).rng(madloop_core::Stream::REAL, 0);
    let labels: Vec<u32> = (0..rows).map(|row| (row % 2) as u32).collect();
    let pixel = |label: u32, at: usize| {
        let bright = (at % 4 < 2) == (label == 0);
        if bright { 0.8 } else { 0.1 }
    };
    let pixels: Vec<f32> =
        (0..rows * 16).map(|at| pixel(labels[at / 16], at % 16) + 0.1 * rng.random::<f32>()).collect();
    let set = match bytes {
        false => Samples::from_f32(shape, pixels),
        true => Samples::from_u8(shape, pixels.iter().map(|v| (v * 255.0) as u8).collect()),
    };
    Mix::of(set.and_then(|set| set.with_labels(labels)).expect("whole rows")).expect("one part")
}

pub(crate) fn without_labels(mix: &Mix) -> Mix {
    let set = &mix.parts()[0].samples;
    Mix::of(Samples::from_f32(set.shape(), set.to_f32()).expect("whole rows")).expect("one part")
}

/// Trains, with a scratch, and a request to stop after `stop` steps of `steps`.
pub(crate) fn train_in(
    trainer: &dyn Trainer,
    mix: &Mix,
    scratch: &mut MemoryBlobs,
    stop: Option<(u64, u64)>,
) -> Result<Trained> {
    let cancel = Cancel::default();
    let progress = |progress: madloop_core::Progress| {
        if let Some((stop, steps)) = stop
            && progress.done * steps >= stop * progress.of
        {
            cancel.request();
        }
    };
    let classes = ClassSchedule::of_mix(mix);
    let mut context = Context {
        seeds: Seeds::new(7).at(1),
        classes: classes.as_ref(),
        previous: None,
        scratch,
        cancel: &cancel,
        progress: &progress,
    };
    trainer.train(mix, &mut context)
}

pub(crate) fn model(trained: Trained) -> Arc<dyn Generator> {
    match trained {
        Trained::Model(model) => model,
        Trained::Degenerate(_, why) | Trained::Ended(why) => panic!("{why}"),
    }
}

/// A model's file.
pub(crate) fn saved(model: &dyn Generator) -> Vec<u8> {
    let mut blobs = MemoryBlobs::default();
    model.save(&mut blobs).expect("in memory");
    blobs.get("model.safetensors").expect("in memory").expect("written")
}
