//! Seconds of a flow's training step and of drawing a sample, on the plane (batch 256) or on 28x28 images (batch 64):
//! `cargo run --release -p madloop-neural --example flow_step -- plane|images THREADS`. benches/peers/flow_step.py is the same in PyTorch.
#![expect(clippy::print_stdout, reason = "it prints what it measures")]

use std::cell::RefCell;

use madloop_core::{Cancel, Context, MemoryBlobs, Mix, Samples, SamplingBias, Seeds, Shape, Stopwatch, Trained};
use madloop_neural::{Device, FlowConfig};

/// As in the binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let images = std::env::args().nth(1).as_deref() == Some("images");
    let threads = std::env::args().nth(2).map_or(Ok(2), |text| text.parse())?;
    rayon::ThreadPoolBuilder::new().num_threads(threads).build()?.install(|| {
        let (config, set, drawn) = match images {
            true => {
                let config = FlowConfig { couplings: 4, batch: 64, steps: Some(20), ..FlowConfig::default() };
                let shape = Shape::Image { channels: 1, height: 28, width: 28 };
                let pixels = (0..64 * shape.len()).map(|at| (at * at % 251) as u8).collect();
                (config, Samples::from_u8(shape, pixels)?, 256)
            }
            false => {
                let config = FlowConfig { steps: Some(400), ..FlowConfig::default() };
                let values = (0..20_000).map(|at| ((at * at % 1009) as f32 / 500.0 - 1.0) * (1.0 + (at % 2) as f32));
                (config, Samples::from_f32(Shape::vector(2), values.collect())?, 10_000)
            }
        };
        let trainer = config.trainer(&Device::cpu())?;
        let clock = Stopwatch::new();
        let times = RefCell::new(vec![0.0]);
        let mut context = Context {
            seeds: Seeds::new(0).at(1),
            classes: None,
            previous: None,
            scratch: &mut MemoryBlobs::default(),
            cancel: &Cancel::default(),
            progress: &|_| times.borrow_mut().push(clock.seconds()),
        };
        let Trained::Model(model) = trainer.train(&Mix::of(set)?, &mut context)? else { return Err("no model".into()) };
        let mut steps: Vec<f64> = times.borrow().windows(2).skip(3).map(|pair| pair[1] - pair[0]).collect();
        steps.sort_by(f64::total_cmp);
        println!("train step: median {:.6} s, min {:.6} s", steps[steps.len() / 2], steps[0]);
        let clock = Stopwatch::new();
        model.sample(0..drawn, SamplingBias::UNBIASED, Seeds::new(0).at(1))?;
        println!("sampling: {:.3e} s a sample", clock.seconds() / drawn as f64);
        Ok(())
    })
}
