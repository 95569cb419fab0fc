//! Seconds of an average training step of StyleGAN2, over 16 steps with one update by R1 and four by the path length:
//! `cargo run --release -p madloop-neural --example stylegan_step -- SIDE BATCH FMAPS THREADS`. benches/peers/stylegan_step.py is the same in PyTorch.
#![expect(clippy::print_stdout, reason = "it prints what it measures")]

use std::cell::RefCell;

use madloop_core::{Cancel, Context, MemoryBlobs, Mix, Samples, Seeds, Shape, Stopwatch};
use madloop_neural::{Device, StyleGan2Config};

/// As in the binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Steps before those that are measured, among them one with all updates.
const WARM: usize = 2;
const CYCLE: usize = 16;
const ROWS: usize = 512;

fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let number = |at: usize, default: usize| std::env::args().nth(at).map_or(Ok(default), |text| text.parse());
    let (side, batch, threads) = (number(1, 64)?, number(2, 16)?, number(4, 2)?);
    let fmaps: f64 = std::env::args().nth(3).map_or(Ok(0.25), |text| text.parse())?;
    rayon::ThreadPoolBuilder::new().num_threads(threads).build()?.install(|| {
        let steps = Some((WARM + CYCLE) as u64);
        let config = StyleGan2Config { fmaps, batch, steps, ..StyleGan2Config::default() };
        let trainer = config.trainer(&Device::cpu())?;
        let shape = Shape::Image { channels: 3, height: side, width: side };
        let pixels = (0..ROWS * shape.len()).map(|at| (at * at % 251) as u8).collect();
        let mix = Mix::of(Samples::from_u8(shape, pixels)?)?;
        let clock = Stopwatch::new();
        let times = RefCell::new(vec![[0.0; 2]]);
        let mut context = Context {
            seeds: Seeds::new(0).at(1),
            classes: None,
            previous: None,
            scratch: &mut MemoryBlobs::default(),
            cancel: &Cancel::default(),
            progress: &|_| times.borrow_mut().push([clock.seconds(), processor_seconds()]),
        };
        trainer.train(&mix, &mut context)?;
        let times = times.borrow();
        let mean = |of: usize| (times[WARM + CYCLE][of] - times[WARM][of]) / CYCLE as f64;
        println!("train step: mean {:.4} s, processor {:.4} s", mean(0), mean(1));
        Ok(())
    })
}

/// Seconds of all threads so far, where the system tells.
#[expect(clippy::disallowed_methods, reason = "the system tells its times in a file")]
fn processor_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after = text.rsplit(')').next().unwrap_or_default();
    let ticks = |at: usize| after.split_whitespace().nth(at).and_then(|text| text.parse::<f64>().ok());
    (ticks(11).unwrap_or(0.0) + ticks(12).unwrap_or(0.0)) / 100.0
}
