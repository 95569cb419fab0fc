//! The step of the example `unet_step` on the kernels alone, without tensor library, with its backward pass written by hand and every
//! buffer made once: a bound for what the tensor library adds. `kernels_step [THREADS [BASE_CHANNELS]]`.
#![allow(clippy::print_stdout, reason = "a measurement for the terminal")]

use madloop_core::Stopwatch;
use madloop_neural::kernels::conv::{self, Conv2d, Onto};
use madloop_neural::kernels::norm::{self, GroupNorm};
use madloop_neural::kernels::{Scratch, adam::Adam, resample};

const BATCH: usize = 64;
const SIDE: usize = 28;

/// Parameters, their gradients and Adam's moments.
struct Parameter {
    value: Scratch,
    gradient: Scratch,
    moments: [Scratch; 2],
}

impl Parameter {
    fn new(n: usize, value: impl FnMut() -> f32) -> Self {
        let mut new = Self {
            value: Scratch::new(n),
            gradient: Scratch::zeros(n),
            moments: [Scratch::zeros(n), Scratch::zeros(n)],
        };
        new.value.fill_with(value);
        new
    }
}

/// Numbers in (-1, 1) from a congruence: any will do.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    }
}

struct Conv {
    shape: Conv2d,
    w: Parameter,
    b: Parameter,
}

impl Conv {
    fn new(side: usize, channels: [usize; 2], stride: usize, numbers: &mut Numbers) -> Self {
        let shape = Conv2d::same(BATCH, [side, side], channels, 3, stride);
        // PyTorch's default: uniform within 1 / sqrt(inputs of a neuron).
        let bound = 1.0 / (9.0 * channels[0] as f32).sqrt();
        let mut draw = |n| Parameter::new(n, || bound * numbers.next());
        Self { shape, w: draw(shape.weight_len()), b: draw(channels[1]) }
    }

    fn forward(&self, x: &[f32], onto: Onto<'_>, y: &mut [f32]) {
        conv::forward(&self.shape, x, &self.w.value, Some(&self.b.value), onto, y);
    }

    fn weight_gradient(&mut self, x: &[f32], dy: &[f32]) {
        conv::weight_gradient(&self.shape, x, dy, &mut self.w.gradient, Some(&mut self.b.gradient));
    }

    fn input_gradient(&self, dy: &[f32], onto: Onto<'_>, dx: &mut [f32]) {
        conv::input_gradient(&self.shape, dy, &self.w.value, onto, dx);
    }
}

/// x + silu(norm(conv(x)))
struct Block {
    conv: Conv,
    norm: GroupNorm,
    gamma: Parameter,
    beta: Parameter,
    /// Kept for the gradient.
    hidden: Scratch,
    mean: Vec<f32>,
    rstd: Vec<f32>,
    out: Scratch,
}

impl Block {
    fn new(side: usize, c: usize, numbers: &mut Numbers) -> Self {
        let norm = GroupNorm { batch: BATCH, pixels: side * side, channels: c, groups: 8, epsilon: 1e-5, silu: true };
        let n = BATCH * side * side * c;
        Self {
            conv: Conv::new(side, [c, c], 1, numbers),
            norm,
            gamma: Parameter::new(c, || 1.0),
            beta: Parameter::new(c, || 0.0),
            hidden: Scratch::zeros(n),
            mean: vec![0.0; BATCH * 8],
            rstd: vec![0.0; BATCH * 8],
            out: Scratch::zeros(n),
        }
    }

    fn forward(&mut self, x: &[f32]) {
        self.conv.forward(x, Onto::Nothing, &mut self.hidden);
        let (gamma, beta) = (&self.gamma.value, &self.beta.value);
        norm::forward(&self.norm, &self.hidden, gamma, beta, Some(x), &mut self.out, &mut self.mean, &mut self.rstd);
    }

    /// `d`: the gradient of the output, then of the input. `space` is as large.
    fn backward(&mut self, x: &[f32], d: &mut [f32], space: &mut [f32]) {
        let (gamma, beta) = (&mut self.gamma, &mut self.beta);
        norm::backward(
            &self.norm,
            &self.hidden,
            &gamma.value,
            &beta.value,
            &self.mean,
            &self.rstd,
            d,
            space,
            &mut gamma.gradient,
            &mut beta.gradient,
        );
        self.conv.weight_gradient(x, space);
        self.conv.input_gradient(space, Onto::Itself, d);
    }
}

struct Net {
    input: Conv,
    high: Vec<Block>,
    down: Conv,
    low: Vec<Block>,
    up: Conv,
    last: Vec<Block>,
    output: Conv,
    /// What lies between them, kept for the gradient.
    lifted: Scratch,
    lowered: Scratch,
    doubled: Scratch,
    joined: Scratch,
    y: Scratch,
    /// Gradients of 28x28 images, two of them, of 14x14 ones, two too, and of the doubled one.
    space: [Scratch; 5],
}

/// Runs blocks one after the other.
fn run(blocks: &mut [Block], x: &[f32]) {
    for i in 0..blocks.len() {
        let (before, now) = blocks.split_at_mut(i);
        now[0].forward(before.last().map_or(x, |b| &b.out));
    }
}

fn run_back(blocks: &mut [Block], x: &[f32], d: &mut [f32], space: &mut [f32]) {
    for i in (0..blocks.len()).rev() {
        let (before, now) = blocks.split_at_mut(i);
        now[0].backward(before.last().map_or(x, |b| &b.out), d, space);
    }
}

fn out(blocks: &[Block]) -> &[f32] {
    blocks.last().map_or(&[], |b| &b.out)
}

impl Net {
    fn new(c: usize) -> Self {
        let mut n = Numbers(1);
        let (large, small) = (BATCH * SIDE * SIDE, BATCH * SIDE * SIDE / 4);
        Self {
            input: Conv::new(SIDE, [1, c], 1, &mut n),
            high: (0..4).map(|_| Block::new(SIDE, c, &mut n)).collect(),
            down: Conv::new(SIDE, [c, 2 * c], 2, &mut n),
            low: (0..4).map(|_| Block::new(SIDE / 2, 2 * c, &mut n)).collect(),
            up: Conv::new(SIDE, [2 * c, c], 1, &mut n),
            last: (0..4).map(|_| Block::new(SIDE, c, &mut n)).collect(),
            output: Conv::new(SIDE, [c, 1], 1, &mut n),
            lifted: Scratch::zeros(large * c),
            lowered: Scratch::zeros(small * 2 * c),
            doubled: Scratch::zeros(large * 2 * c),
            joined: Scratch::zeros(large * c),
            y: Scratch::zeros(large),
            space: [large * c, large * c, small * 2 * c, small * 2 * c, large * 2 * c].map(Scratch::zeros),
        }
    }

    fn forward(&mut self, x: &[f32]) {
        self.input.forward(x, Onto::Nothing, &mut self.lifted);
        run(&mut self.high, &self.lifted);
        self.down.forward(out(&self.high), Onto::Nothing, &mut self.lowered);
        run(&mut self.low, &self.lowered);
        let low = self.low[0].norm;
        resample::double([SIDE / 2, SIDE / 2, low.channels], out(&self.low), &mut self.doubled);
        self.up.forward(&self.doubled, Onto::Values(out(&self.high)), &mut self.joined);
        run(&mut self.last, &self.joined);
        self.output.forward(out(&self.last), Onto::Nothing, &mut self.y);
    }

    /// From the gradient of the output, in `dy`.
    fn backward(&mut self, x: &[f32], dy: &[f32]) {
        let [d, space, d_low, space_low, doubled] = &mut self.space;
        self.output.weight_gradient(out(&self.last), dy);
        self.output.input_gradient(dy, Onto::Nothing, d);
        run_back(&mut self.last, &self.joined, d, space);
        self.up.weight_gradient(&self.doubled, d);
        self.up.input_gradient(d, Onto::Nothing, doubled);
        let low = self.low[0].norm;
        resample::double_gradient([SIDE / 2, SIDE / 2, low.channels], doubled, d_low);
        run_back(&mut self.low, &self.lowered, d_low, space_low);
        self.down.weight_gradient(out(&self.high), d_low);
        self.down.input_gradient(d_low, Onto::Itself, d);
        run_back(&mut self.high, &self.lifted, d, space);
        self.input.weight_gradient(x, d);
    }

    fn parameters(&mut self) -> Vec<&mut Parameter> {
        let blocks = self.high.iter_mut().chain(&mut self.low).chain(&mut self.last);
        let mut all: Vec<_> = blocks.flat_map(|b| [&mut b.conv.w, &mut b.conv.b, &mut b.gamma, &mut b.beta]).collect();
        for conv in [&mut self.input, &mut self.down, &mut self.up, &mut self.output] {
            all.extend([&mut conv.w, &mut conv.b]);
        }
        all
    }
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
    let (threads, base) = (given.first().copied().unwrap_or(2), given.get(1).copied().unwrap_or(64));
    rayon::ThreadPoolBuilder::new().num_threads(threads).build_global().expect("the first pool of the process");
    let mut net = Net::new(base);
    let mut numbers = Numbers(2);
    let mut x = Scratch::new(BATCH * SIDE * SIDE);
    // Near enough to a normal distribution: the sum of three uniform ones.
    x.fill_with(|| numbers.next() + numbers.next() + numbers.next());
    let mut dy = Scratch::zeros(x.len());
    let adam = Adam { rate: 1e-3, betas: [0.9, 0.999], epsilon: 1e-8, decay: 0.0, scale: 1.0, average: 0.0 };
    println!("madloop kernels, {threads} threads, base {base}");
    let (mut step, mut losses) = (0, vec![]);
    timed("train step", || {
        net.forward(&x);
        let n = x.len() as f32;
        losses.push(net.y.iter().zip(&*x).map(|(y, x)| (y - x).powi(2)).sum::<f32>() / n);
        for (dy, (y, x)) in dy.iter_mut().zip(net.y.iter().zip(&*x)) {
            *dy = 2.0 * (y - x) / n;
        }
        net.backward(&x, &dy);
        step += 1;
        for Parameter { value, gradient, moments: [m, v] } in net.parameters() {
            adam.update(step, value, gradient, m, v, None);
        }
    });
    timed("forward", || net.forward(&x));
    println!("loss: {:.4} to {:.4}", losses[0], losses[losses.len() - 1]);
}
