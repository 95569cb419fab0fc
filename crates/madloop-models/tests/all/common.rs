//! Small helpers of these tests.

use std::sync::Arc;

use madloop_core::*;
use rand_distr::{Distribution, StandardNormal};

/// N(0, I_d), exactly.
pub(crate) struct StandardGaussian(pub(crate) usize);

impl Source for StandardGaussian {
    fn shape(&self) -> Shape {
        Shape::vector(self.0)
    }
    fn draw(&self, rows: std::ops::Range<u64>, stream: Stream, seeds: Seeds) -> Samples {
        let row = |row| {
            let mut rng = seeds.rng(stream, row);
            (0..self.0).map(move |_| Distribution::<f64>::sample(&StandardNormal, &mut rng) as f32)
        };
        Samples::from_f32(self.shape(), rows.flat_map(row).collect()).unwrap()
    }
}

pub(crate) fn mix(shape: Shape, values: Vec<f32>) -> Mix {
    Samples::from_f32(shape, values).and_then(Mix::of).unwrap()
}

pub(crate) fn train_in(trainer: &dyn Trainer, mix: &Mix, seed: u64) -> Trained {
    let mut context = Context {
        seeds: Seeds::new(seed).at(1),
        classes: None,
        previous: None,
        scratch: &mut MemoryBlobs::default(),
        cancel: &Cancel::default(),
        progress: &|_| {},
    };
    trainer.train(mix, &mut context).unwrap()
}

pub(crate) fn model(trained: Trained) -> (Arc<dyn Generator>, Option<String>) {
    match trained {
        Trained::Model(model) => (model, None),
        Trained::Degenerate(model, why) => (model, Some(why)),
        Trained::Ended(why) => panic!("ended: {why}"),
    }
}

pub(crate) fn lambda(value: f64) -> SamplingBias {
    SamplingBias::new(value).unwrap()
}

/// Mean and standard error.
pub(crate) fn mean_and_error(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (n - 1.0);
    (mean, (variance / n).sqrt())
}
