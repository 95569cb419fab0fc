//! Seconds of a training step of a WGAN-GP (5 updates of the critic, one of the generator) on images of 28x28:
//! `cargo run --release -p madloop-neural --example wgan_step -- mlp|dcgan SIZE BATCH THREADS`, SIZE the MLP's width or the DCGAN's
//! base channels. benches/peers/wgan_step.py is the same in PyTorch.
#![expect(clippy::print_stdout, reason = "it prints what it measures")]

use std::cell::RefCell;

use madloop_core::{Cancel, Context, MemoryBlobs, Mix, Samples, Seeds, Shape, Stopwatch};
use madloop_neural::{Device, GanNetwork, WganConfig};

/// As in the binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const STEPS: u64 = 16;
const ROWS: usize = 4096;

fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let number = |at: usize, default: usize| std::env::args().nth(at).map_or(Ok(default), |text| text.parse());
    let network = match std::env::args().nth(1).as_deref() {
        None | Some("mlp") => GanNetwork::Mlp,
        Some("dcgan") => GanNetwork::Dcgan,
        Some(other) => return Err(format!("{other} is no network; use mlp or dcgan").into()),
    };
    let (size, batch, threads) = (number(2, 512)?, number(3, 64)?, number(4, 2)?);
    rayon::ThreadPoolBuilder::new().num_threads(threads).build()?.install(|| {
        let config = WganConfig {
            network,
            width: size,
            base_channels: if network == GanNetwork::Dcgan { size } else { 64 },
            batch,
            steps: Some(STEPS),
            ..WganConfig::default()
        };
        let trainer = config.trainer(&Device::cpu())?;
        let shape = Shape::Image { channels: 1, height: 28, width: 28 };
        let pixels = (0..ROWS * shape.len()).map(|at| (at * at % 251) as u8).collect();
        let mix = Mix::of(Samples::from_u8(shape, pixels)?)?;
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
        trainer.train(&mix, &mut context)?;
        let mut steps: Vec<f64> = times.borrow().windows(2).skip(2).map(|pair| pair[1] - pair[0]).collect();
        steps.sort_by(f64::total_cmp);
        println!("train step: median {:.4} s, min {:.4} s", steps[steps.len() / 2], steps[0]);
        Ok(())
    })
}
