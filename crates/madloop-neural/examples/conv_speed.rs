//! Rates of the convolution's three passes, in GFLOP/s of the direct formula: `conv_speed [THREADS [SIZE C_IN C_OUT STRIDE [plain]]]`.
#![allow(clippy::print_stdout, reason = "a measurement for the terminal")]

use madloop_core::Stopwatch;
use madloop_neural::kernels::conv::{Conv2d, Onto, forward, input_gradient, weight_gradient};

fn main() {
    let given: Vec<usize> = std::env::args().skip(1).filter_map(|t| t.parse().ok()).collect();
    let threads = given.first().copied().unwrap_or(2);
    rayon::ThreadPoolBuilder::new().num_threads(threads).build_global().expect("the first pool");
    let all = [
        (28, [64, 64], 1),
        (28, [32, 32], 1),
        (28, [16, 16], 1),
        (14, [128, 128], 1),
        (14, [64, 64], 1),
        (28, [128, 64], 1),
        (28, [64, 128], 2),
        (28, [1, 64], 1),
        (28, [64, 1], 1),
    ];
    let one = given.get(1..5).map(|g| [(g[0], [g[1], g[2]], g[3])]);
    for &(size, channels, stride) in one.as_ref().map_or(&all[..], |one| &one[..]) {
        let shape = Conv2d::same(64, [size, size], channels, 3, stride);
        for plain in if one.is_some() { vec![given.len() > 5] } else { vec![false, true] } {
            let shape = Conv2d { plain, ..shape };
            let x: Vec<f32> = (0..shape.in_len()).map(|i| (i % 17) as f32 * 0.1 - 0.8).collect();
            let mut w: Vec<f32> = (0..shape.weight_len()).map(|i| (i % 13) as f32 * 0.1 - 0.6).collect();
            let mut y = vec![0.0; shape.out_len()];
            let mut dx = vec![0.0; shape.in_len()];
            let flops = 2.0 * (shape.out_len() * channels[0] * 9) as f64;
            let rate = |work: &mut dyn FnMut()| {
                let mut seconds: Vec<f64> = (0..if one.is_some() { 40 } else { 12 })
                    .map(|_| {
                        let clock = Stopwatch::new();
                        work();
                        clock.seconds()
                    })
                    .collect();
                seconds.sort_by(f64::total_cmp);
                format!("{:4.0} {:4.0}", flops / seconds[0] / 1e9, flops / seconds[seconds.len() / 2] / 1e9)
            };
            let a = rate(&mut || forward(&shape, &x, &w, None, Onto::Nothing, &mut y));
            let b = rate(&mut || input_gradient(&shape, &y, &w, Onto::Nothing, &mut dx));
            let c = rate(&mut || weight_gradient(&shape, &x, &y, &mut w, None));
            println!(
                "{channels:?} {size} /{stride} {}: best, median of forward {a}  dx {b}  dw {c}",
                if plain { "plain" } else { "auto " }
            );
        }
    }
}
