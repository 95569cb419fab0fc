//! Gradients of whole networks against finite differences.

use burn::tensor::Tensor;
use madloop_core::{Seeds, Shape, Stream};

use super::super::{DdpmConfig, NetworkKind};
use super::tiny;
use crate::backend::Device;
use crate::nets::{Condition, Network};
use crate::ops;
use crate::params::{Weights, flat, matrix, to_host};
use crate::random;

use std::sync::Arc;

struct Problem {
    network: Network,
    x: Vec<f32>,
    target: Vec<f32>,
    dim: usize,
}

fn normal(name: &str, length: usize) -> Vec<f32> {
    let mut values = vec![0.0; length];
    random::fill_normal(&mut Seeds::new(3).rng(Stream::named(name), 0), &mut values);
    values
}

impl Problem {
    fn output(&self, weights: &Weights) -> Tensor<2> {
        let device = Device::cpu();
        let condition = Condition { times: &[3.0, 11.5], classes: &[Some(1), None] };
        self.network.forward(weights, matrix(self.x.clone(), self.dim, device.inner()), &condition)
    }

    fn loss(&self, weights: &Weights) -> Tensor<1> {
        ops::squared_error(self.output(weights), matrix(self.target.clone(), self.dim, Device::cpu().inner()))
    }

    /// The mean loss, summed in double precision.
    fn value(&self, weights: &Weights) -> f64 {
        let output = to_host(self.output(weights), "reading output").expect("on the CPU");
        let square = |(y, target): (&f32, &f32)| (f64::from(*y) - f64::from(*target)).powi(2);
        output.iter().zip(&self.target).map(square).sum::<f64>() / output.len() as f64
    }
}

fn check(config: &DdpmConfig, shape: Shape) {
    let device = Device::cpu();
    let (network, layout) = config.network(shape, 3).expect("it fits");
    let layout = Arc::new(layout);
    let dim = shape.len();
    let problem = Problem { network, x: normal("x", 2 * dim), target: normal("target", 2 * dim), dim };
    // Parameters away from their beginning, where many are 0 and hide the others' gradients.
    let mut weights = Weights::initial(&layout, Seeds::new(1), device.inner());
    for (spec, value) in layout.specs().iter().zip(&mut weights.values) {
        *value = value.clone() + flat(normal(&spec.path, spec.len()), device.inner()) * 0.1;
    }
    let tracked = weights.tracked();
    let mut gradients = problem.loss(&tracked).mean().backward();
    let gradients = tracked.gradients(&mut gradients);

    for (at, spec) in layout.specs().iter().enumerate() {
        let gradient = to_host(gradients[at].clone(), "reading gradient").expect("on the CPU");
        let unit = |values: &[f32]| {
            let norm = values.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt();
            assert!(norm > 1e-7, "{} has no gradient", spec.path);
            values.iter().map(|v| f64::from(*v) / norm).collect::<Vec<_>>()
        };
        // Half along the gradient, where it counts, half anywhere.
        let (along, anywhere) = (unit(&gradient), unit(&normal(&format!("{}?", spec.path), gradient.len())));
        let direction: Vec<f32> = along.iter().zip(&anywhere).map(|(a, b)| (0.7 * a + 0.7 * b) as f32).collect();
        let expected: f64 = gradient.iter().zip(&direction).map(|(g, d)| f64::from(*g) * f64::from(*d)).sum();
        let moved = |by: f64| {
            let mut weights = weights.clone();
            weights.values[at] = weights.values[at].clone() + flat(direction.clone(), device.inner()) * by;
            problem.value(&weights)
        };
        // Fourth order: errors of h^4 and of rounding / h, both about 1e-6.
        let h = 0.02;
        let central = |h: f64| (moved(h) - moved(-h)) / (2.0 * h);
        let found = (4.0 * central(h) - central(2.0 * h)) / 3.0;
        let tolerance = 2e-5 + 2e-3 * expected.abs();
        assert!((found - expected).abs() < tolerance, "{}: {found} by differences, {expected}", spec.path);
    }
}

#[test]
fn gradients_of_the_unet_are_its_differences() {
    let shape = Shape::Image { channels: 2, height: 4, width: 6 };
    check(&DdpmConfig { multipliers: vec![1, 2], ..tiny(NetworkKind::Unet, 1) }, shape);
}

#[test]
fn gradients_of_the_mlp_are_its_differences() {
    check(&tiny(NetworkKind::Mlp, 1), Shape::vector(5));
}
