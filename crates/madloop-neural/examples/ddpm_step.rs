//! Seconds of a training step and of drawing an image with the MNIST-sized U-Net:
//! `cargo run --release -p madloop-neural --example ddpm_step -- BASE BATCH THREADS`.
#![expect(clippy::print_stdout, reason = "it prints what it measures")]

use std::cell::RefCell;

use madloop_core::{Cancel, Context, MemoryBlobs, Mix, Samples, SamplingBias, Seeds, Shape, Stopwatch, Trained};
use madloop_neural::{DdpmConfig, Device, Sampler};

/// As in the binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const STEPS: u64 = 11;
const IMAGES: u64 = 64;
const SAMPLER_STEPS: usize = 4;

fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let number = |at: usize, default: usize| std::env::args().nth(at).map_or(Ok(default), |text| text.parse());
    let (base_channels, batch, threads) = (number(1, 16)?, number(2, 64)?, number(3, 2)?);
    rayon::ThreadPoolBuilder::new().num_threads(threads).build()?.install(|| {
        let config = DdpmConfig {
            base_channels,
            batch,
            steps: Some(STEPS),
            sampler: Sampler::DpmSolver,
            sampler_steps: Some(SAMPLER_STEPS),
            ..DdpmConfig::default()
        };
        let trainer = config.trainer(&Device::cpu())?;
        let shape = Shape::Image { channels: 1, height: 28, width: 28 };
        let pixels = (0..batch * shape.len()).map(|at| (at * at % 251) as u8).collect();
        let labels = (0..batch as u32).map(|row| row % 10).collect();
        let mix = Mix::of(Samples::from_u8(shape, pixels)?.with_labels(labels)?)?;

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
        let Trained::Model(model) = trainer.train(&mix, &mut context)? else { return Err("no model".into()) };
        let mut steps: Vec<f64> = times.borrow().windows(2).skip(2).map(|pair| pair[1] - pair[0]).collect();
        steps.sort_by(f64::total_cmp);
        let flops = trainer.cost(batch as u64, shape).train / STEPS as f64;
        let median = steps[steps.len() / 2];
        println!("train step: median {median:.4} s, min {:.4} s, {:.0} GFLOP/s", steps[0], flops / median / 1e9);

        let clock = Stopwatch::new();
        model.sample(0..IMAGES, SamplingBias::UNBIASED, Seeds::new(0).at(1))?;
        let passes = IMAGES as f64 * SAMPLER_STEPS as f64;
        println!("sampling: {:.5} s an image and step", clock.seconds() / passes);
        Ok(())
    })
}
