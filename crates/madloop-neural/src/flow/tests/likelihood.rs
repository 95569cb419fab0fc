//! The likelihood of trained flows.

use rand::RngExt;

use super::*;

/// Correlated Gaussian samples in three dimensions, x = mean + A e, and their entropy in nats.
fn gaussian(rows: usize, name: &str) -> (Samples, f64) {
    const A: [[f32; 3]; 3] = [[2.0, 0.0, 0.0], [1.5, 0.5, 0.0], [-0.3, 0.4, 0.1]];
    let noise = normal(name, rows * 3);
    let row = |e: &[f32]| A.map(|a| 5.0 + a[0] * e[0] + a[1] * e[1] + a[2] * e[2]);
    let values = noise.chunks_exact(3).flat_map(row).collect();
    let log_det = (2.0_f64 * 0.5 * 0.1).ln();
    let entropy = 1.5 * (std::f64::consts::TAU * std::f64::consts::E).ln() + log_det;
    (Samples::from_f32(Shape::vector(3), values).expect("whole rows"), entropy)
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

#[test]
fn a_flow_of_a_gaussian_reaches_its_entropy() {
    let (set, entropy) = gaussian(10_000, "training");
    let config =
        FlowConfig { couplings: 4, hidden: 16, steps: Some(600), learning_rate: 2e-3, ..FlowConfig::default() };
    let model = train(&config, &Mix::of(set).expect("one part"));
    // -ln p of the law itself scatters by sqrt(3 / 2) a sample: 0.01 of the entropy is 5 standard errors of 100,000 samples. Fixed seeds.
    let (held_out, _) = gaussian(100_000, "held out");
    let found = model.log_likelihood(&held_out, Seeds::new(1)).expect("finite").expect("a flow knows its density");
    let found = -mean(&found);
    assert!((found - entropy).abs() < 0.01 * entropy, "{found} for {entropy}");
}

#[test]
fn densities_integrate_to_one() {
    let model = train(&tiny(150), &cloud(2000, 2));
    // Over a raster that holds the cloud; the midpoint rule is exact for smooth densities.
    let (step, side) = (0.05_f32, [320_usize, 900]);
    let at = |i: usize| [(i % side[0]) as f32 * step - 8.0, (i / side[0]) as f32 * step - 7.0];
    let raster = (0..side[0] * side[1]).flat_map(at).collect();
    let raster = Samples::from_f32(Shape::vector(2), raster).expect("whole rows");
    let found = model.log_likelihood(&raster, Seeds::new(1)).expect("finite").expect("a density");
    let sum: f64 = found.iter().map(|l| l.exp()).sum::<f64>() * f64::from(step).powi(2);
    assert!((sum - 1.0).abs() < 0.01, "{sum}");
}

#[test]
fn pixels_cost_their_bits() {
    // Independent pixels, uniform over the 4 levels of grey: 2 bits each, and a flow cannot do better.
    let shape = Shape::Image { channels: 1, height: 2, width: 2 };
    let draw = |name: u64, rows: usize| {
        let mut rng = Seeds::new(name).rng(Stream::REAL, 0);
        let values = (0..4 * rows).map(|_| rng.random_range(0..4_u32) as f32 / 3.0).collect();
        Samples::from_f32(shape, values).expect("whole rows")
    };
    let config = FlowConfig { grey_levels: 4, learning_rate: 5e-3, ..tiny(400) };
    let model = train(&config, &Mix::of(draw(1, 4000)).expect("one part"));
    let found = model.log_likelihood(&draw(2, 20_000), Seeds::new(1)).expect("finite").expect("a density");
    let bits = -mean(&found) / (4.0 * std::f64::consts::LN_2);
    assert!((1.995..2.1).contains(&bits), "{bits}");
    // And samples are of these levels.
    let samples = model.sample(0..2000, lambda(1.0), Seeds::new(1)).expect("samples").to_f32();
    let on = |level: f32| samples.iter().filter(|&&v| (v - level / 3.0).abs() < 1e-6).count();
    let counts = [0.0, 1.0, 2.0, 3.0].map(on);
    assert!(counts.iter().sum::<usize>() == 8000 && counts.iter().all(|&count| count > 1500), "{counts:?}");
}

#[test]
fn lambda_is_the_variance_of_the_latents() {
    // A flow of a Gaussian is nearly linear, so that samples have lambda times its covariance: 4 in the first dimension. Fixed seeds.
    let (set, _) = gaussian(10_000, "training");
    let config =
        FlowConfig { couplings: 4, hidden: 16, steps: Some(600), learning_rate: 2e-3, ..FlowConfig::default() };
    let model = train(&config, &Mix::of(set).expect("one part"));
    // Half of what lies between the 16 % and the 84 % quantile: a standard deviation, but for rare far samples.
    let deviation = |value: f64| {
        let all = model.sample(0..20_000, lambda(value), Seeds::new(1)).expect("samples").to_f32();
        let mut first: Vec<f32> = all.iter().step_by(3).copied().collect();
        first.sort_by(f32::total_cmp);
        f64::from(first[16_827] - first[3173]) / 2.0
    };
    let (whole, half) = (deviation(1.0), deviation(0.5));
    assert!((whole - 2.0).abs() < 0.15 && ((half / whole).powi(2) - 0.5).abs() < 0.05, "{whole} and {half}");
    assert!(deviation(0.0) < 1e-6);
}
