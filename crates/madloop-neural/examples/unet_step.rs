//! A training step (forward, backward, Adam) and a forward pass without gradients of a convolutional stack with a small U-Net's
//! shapes: `cargo run --release -p madloop-neural --example unet_step -- [THREADS [BASE_CHANNELS]]`.
//! benches/peers/unet_step.py is the same in PyTorch.
#![allow(clippy::print_stdout, reason = "a measurement for the terminal")]

use burn::tensor::{Device, Tensor, TensorData};
use madloop_core::Stopwatch;
use madloop_neural::kernels::adam::Adam;
use madloop_neural::ops::{self, AdamState};

/// As in the binary: fresh buffers of the system's allocator cost a page fault every 4 kB.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const BATCH: usize = 64;
const SIDE: usize = 28;
const GROUPS: usize = 8;
/// Blocks at full size, at half of it, and at full size again.
const BLOCKS: usize = 4;

/// Numbers in (-1, 1) from a congruence: any will do.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    }
}

fn tensor<const D: usize>(shape: [usize; D], mut value: impl FnMut() -> f32) -> Tensor<D> {
    let values: Vec<f32> = (0..shape.iter().product()).map(|_| value()).collect();
    Tensor::from_data(TensorData::new(values, shape), &Device::flex())
}

/// Parameters in the order in which [`forward`] uses them.
fn parameters(c: usize) -> Vec<AdamState> {
    let mut numbers = Numbers(1);
    let mut all = Vec::new();
    let mut add = |n: usize, value: &mut dyn FnMut() -> f32| {
        let value = tensor([n], value);
        let zeros = || tensor([n], || 0.0);
        all.push(AdamState { state: [value.clone(), zeros(), zeros()], average: Some(value) });
    };
    let mut conv = |i: usize, o: usize, blocks: usize| {
        // PyTorch's default: uniform within 1 / sqrt(inputs of a neuron).
        let mut draw = || numbers.next() / (9.0 * i as f32).sqrt();
        add(9 * i * o, &mut draw);
        add(o, &mut draw);
        for _ in 0..blocks {
            let mut draw = || numbers.next() / (9.0 * o as f32).sqrt();
            add(9 * o * o, &mut draw);
            add(o, &mut draw);
            add(o, &mut || 1.0);
            add(o, &mut || 0.0);
        }
    };
    conv(1, c, BLOCKS);
    conv(c, 2 * c, BLOCKS);
    conv(2 * c, c, BLOCKS);
    conv(c, 1, 0);
    all
}

/// The stack: blocks x + silu(norm(conv(x))) at full size, at half of it with twice the channels, and at full size again.
fn forward(parameters: &[Tensor<1>], c: usize, x: Tensor<4>) -> Tensor<4> {
    let mut rest = parameters.iter().cloned();
    let mut next = || rest.next().expect("as many parameters as uses");
    let weight = |flat: Tensor<1>, x: &Tensor<4>, o: usize| flat.reshape([3, 3, x.dims()[3], o]);
    let blocks = |mut x: Tensor<4>, next: &mut dyn FnMut() -> Tensor<1>| {
        for _ in 0..BLOCKS {
            let w = weight(next(), &x, x.dims()[3]);
            let hidden = ops::conv2d(x.clone(), w, Some(next()), 1);
            x = ops::group_norm_silu_onto(x, hidden, next(), next(), GROUPS);
        }
        x
    };
    let w = weight(next(), &x, c);
    let high = ops::conv2d(x, w, Some(next()), 1);
    let high = blocks(high, &mut next);
    let w = weight(next(), &high, 2 * c);
    let low = ops::conv2d(high.clone(), w, Some(next()), 2);
    let low = ops::upsample(blocks(low, &mut next));
    let w = weight(next(), &low, c);
    let last = ops::conv2d_onto(high, low, w, next(), 1);
    let last = blocks(last, &mut next);
    let w = weight(next(), &last, 1);
    ops::conv2d(last, w, Some(next()), 1)
}

fn timed(label: &str, mut step: impl FnMut()) {
    for _ in 0..2 {
        step();
    }
    let mut seconds: Vec<f64> = (0..9)
        .map(|_| {
            let clock = Stopwatch::new();
            step();
            clock.seconds()
        })
        .collect();
    seconds.sort_by(f64::total_cmp);
    println!("{label}: median {:.4} s, min {:.4} s", seconds[4], seconds[0]);
}

fn main() {
    let given: Vec<usize> = std::env::args().skip(1).filter_map(|n| n.parse().ok()).collect();
    let (threads, c) = (given.first().copied().unwrap_or(2), given.get(1).copied().unwrap_or(64));
    rayon::ThreadPoolBuilder::new().num_threads(threads).build_global().expect("the first pool of the process");
    let mut numbers = Numbers(2);
    // Near enough to a normal distribution: the sum of three uniform ones.
    let x = tensor([BATCH, SIDE, SIDE, 1], || numbers.next() + numbers.next() + numbers.next());
    let adam = Adam { rate: 1e-3, betas: [0.9, 0.999], epsilon: 1e-8, decay: 0.0, scale: 1.0, average: 0.0 };
    let mut all = parameters(c);
    println!("madloop, {threads} threads, base {c}");
    let mut step = 0;
    timed("train step", || {
        let tracked: Vec<_> = all.iter().map(|of| of.state[0].clone().autodiff().require_grad()).collect();
        let y = forward(&tracked, c, x.clone());
        let mut gradients = (y - x.clone()).powi_scalar(2).mean().backward();
        let gradients: Vec<_> = tracked.iter().map(|p| p.grad_remove(&mut gradients).expect("a leaf")).collect();
        drop(tracked);
        step += 1;
        all = std::mem::take(&mut all)
            .into_iter()
            .zip(gradients)
            .map(|(state, gradient)| ops::adam(&adam, step, state, gradient).expect("of f32"))
            .collect();
    });
    let values: Vec<_> = all.iter().map(|of| of.state[0].clone()).collect();
    timed("forward", || drop(forward(&values, c, x.clone())));
    let y = forward(&values, c, x.clone());
    println!("loss: {:.4}", (y - x).powi_scalar(2).mean().into_scalar::<f32>());
}
