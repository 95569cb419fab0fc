//! Seconds a generation of the discrete loop, by vocabulary and samples: `cargo run --release --example discrete_speed`.
#![expect(clippy::print_stdout, reason = "an example reports on standard output")]

use madloop_core::{LoopKind, SamplingBias, Stopwatch};
use madloop_theory::discrete::DiscreteLoop;

const GENERATIONS: u32 = 20;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("{:>16} {:>9} {:>14} {:>6} {:>14}", "loop", "v", "n", "lambda", "ms/generation");
    for kind in [LoopKind::FullySynthetic, LoopKind::FreshData] {
        for (v, n) in [(100_000, 1_000_000), (100_000, 1_000_000_000), (100_000, 1 << 50), (1_000_000, 1_000_000_000)] {
            for lambda in [1.0, 0.9] {
                // Zipf's law, as token frequencies are.
                let truth: Vec<f64> = (1..=v).map(|rank| 1.0 / f64::from(rank)).collect();
                let lambda = SamplingBias::new(lambda)?;
                let plan = DiscreteLoop { kind, n_initial: n, n_real: n / 2, n_synthetic: n / 2, lambda };
                let watch = Stopwatch::new();
                plan.simulate(&truth, GENERATIONS, 1, 1)?;
                let each = 1e3 * watch.seconds() / f64::from(GENERATIONS);
                println!("{:>16} {v:>9} {n:>14} {:>6} {each:>14.2}", kind.name(), lambda.lambda());
            }
        }
    }
    Ok(())
}
