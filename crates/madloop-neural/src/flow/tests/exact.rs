//! Inverses and determinants of flows with any parameters.

use std::sync::Arc;

use burn::tensor::Tensor;
use madloop_core::{MemoryBlobs, Seeds, Shape};

use super::{FlowConfig, cloud, normal, train};
use crate::backend::Device;
use crate::file::{Kind, TensorFile};
use crate::flow::network::Network;
use crate::nets::one_hot;
use crate::params::{Weights, flat, matrix, to_host};
use crate::scale::Scale;

/// A network whose parameters are all away from their beginning, by `spread` times a normal number.
fn network(shape: Shape, config: &FlowConfig, n_classes: usize, spread: f64) -> (Network, Weights) {
    let device = Device::cpu();
    let (network, layout) = config.network(shape, n_classes).expect("it fits");
    let mut weights = Weights::initial(&Arc::new(layout), Seeds::new(1), device.inner());
    for at in 0..weights.values.len() {
        let spec = &weights.layout().specs()[at];
        let more = flat(normal(&spec.path, spec.len()), device.inner()) * spread;
        weights.values[at] = weights.values[at].clone() + more;
    }
    (network, weights)
}

fn image(channels: usize, side: usize) -> Shape {
    Shape::Image { channels, height: side, width: side }
}

fn cases() -> Vec<(Shape, FlowConfig)> {
    let config = |couplings, levels| FlowConfig { couplings, levels, hidden: 8, ..FlowConfig::default() };
    vec![
        (Shape::vector(2), config(8, 1)),
        (Shape::vector(5), config(4, 1)),
        (image(1, 4), config(2, 2)),
        (image(3, 2), config(3, 1)),
        (Shape::Image { channels: 1, height: 2, width: 4 }, config(2, 1)),
    ]
}

#[test]
fn the_inverse_gives_back_what_went_in() {
    for (shape, config) in cases() {
        let (device, rows, dim) = (Device::cpu(), 300, shape.len());
        let (network, weights) = network(shape, &config, 3, 0.1);
        let labels: Vec<Option<u32>> = (0..rows as u32).map(|row| [None, Some(row % 3)][row as usize % 2]).collect();
        let classes = one_hot(&labels, 3, device.inner());
        let x = normal("x", rows * dim);
        let worth = network.trace_worth(device.inner());
        let (z, _) = network.forward(&weights, &worth, matrix(x.clone(), dim, device.inner()), Some(&classes));
        let maps = network.inverse_maps(&weights, device.inner()).expect("on the CPU");
        let back = to_host(network.inverse(&weights, &maps, z, Some(&classes)), "reading x").expect("on the CPU");
        let worst = x.iter().zip(&back).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(worst < 1e-4, "{shape}: {worst}");
    }
}

#[test]
fn the_inverse_of_a_trained_flow_gives_back_its_data() {
    let (device, mix) = (Device::cpu(), cloud(2000, 2));
    let config = FlowConfig { steps: Some(300), ..FlowConfig::default() };
    let mut blobs = MemoryBlobs::default();
    train(&config, &mix).save(&mut blobs).expect("in memory");
    let kind = Kind { name: "model.safetensors", remedy: "" };
    let mut file = TensorFile::load(kind, &blobs).expect("whole").expect("written");
    let (network, layout) = config.network(mix.shape(), 0).expect("it fits");
    let weights = file.take_weights("weights/", &Arc::new(layout), device.inner()).expect("of this network");
    let mut x = mix.parts()[0].samples.to_f32();
    Scale::of(&mix).to_network(&mut x);
    let worth = network.trace_worth(device.inner());
    let (z, _) = network.forward(&weights, &worth, matrix(x.clone(), 2, device.inner()), None);
    let maps = network.inverse_maps(&weights, device.inner()).expect("on the CPU");
    let back = to_host(network.inverse(&weights, &maps, z, None), "reading x").expect("on the CPU");
    let worst = x.iter().zip(&back).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(worst < 1e-4, "{worst}");
}

/// ln |det| of a matrix in rows, by elimination with pivots.
fn log_det(mut a: Vec<f64>, d: usize) -> f64 {
    let mut sum = 0.0;
    for column in 0..d {
        let pivot = (column..d).max_by(|&i, &j| a[i * d + column].abs().total_cmp(&a[j * d + column].abs()));
        let pivot = pivot.expect("a row");
        (0..d).for_each(|j| a.swap(pivot * d + j, column * d + j));
        sum += a[column * d + column].abs().ln();
        for row in column + 1..d {
            let factor = a[row * d + column] / a[column * d + column];
            (column..d).for_each(|j| a[row * d + j] -= factor * a[column * d + j]);
        }
    }
    sum
}

#[test]
fn log_determinants_are_those_of_the_jacobian() {
    for (shape, config) in cases() {
        let (device, dim) = (Device::cpu(), shape.len());
        let (network, weights) = network(shape, &config, 0, 0.3);
        let worth = network.trace_worth(device.inner());
        for which in ["a", "b"] {
            // A backward pass uses its graph up, so that each row of the Jacobian has a forward pass of its own.
            let run = || {
                let x: Tensor<2> = matrix(normal(which, dim), dim, device.inner()).autodiff().require_grad();
                let (z, log_det) = network.forward(&weights, &worth, x.clone(), None);
                (x, z, log_det)
            };
            let mut jacobian = Vec::new();
            for row in 0..dim {
                let (x, z, _) = run();
                let gradients = z.slice([0..1, row..row + 1]).sum().backward();
                let row = x.grad(&gradients).expect("z depends on x");
                jacobian.extend(to_host(row, "reading a gradient").expect("on the CPU").into_iter().map(f64::from));
            }
            let found = f64::from(to_host(run().2.without_autodiff(), "reading").expect("on the CPU")[0]);
            let expected = log_det(jacobian, dim);
            assert!((found - expected).abs() < 1e-4 * expected.abs().max(1.0), "{shape}: {found} for {expected}");
        }
    }
}

#[test]
fn gradients_are_finite_differences() {
    for (shape, config) in [(Shape::vector(3), 2), (image(1, 4), 1)]
        .map(|(shape, couplings)| (shape, FlowConfig { couplings, levels: 2, hidden: 6, ..FlowConfig::default() }))
    {
        let (device, dim) = (Device::cpu(), shape.len());
        let (network, weights) = network(shape, &config, 2, 0.3);
        let worth = network.trace_worth(device.inner());
        let classes = one_hot(&[Some(1), None, Some(0)], 2, device.inner());
        let x = matrix(normal("x", 3 * dim), dim, device.inner());
        let value = |weights: &Weights| {
            let (z, log_det) = network.forward(weights, &worth, x.clone(), Some(&classes));
            (z.clone() * z).sum_dim(1).reshape([3]) * 0.5 - log_det
        };
        let sum = |weights: &Weights| {
            to_host(value(weights), "reading").expect("on the CPU").iter().map(|&v| f64::from(v)).sum::<f64>()
        };
        let tracked = weights.tracked();
        let mut gradients = value(&tracked).sum().backward();
        let gradients = tracked.gradients(&mut gradients);
        for (at, gradient) in gradients.into_iter().enumerate() {
            // Along a random direction of each parameter: the central difference's error is that of f32 sums over the step.
            let direction = normal(&format!("direction {at}"), weights.layout().specs()[at].len());
            let slope: f64 = to_host(gradient, "reading")
                .expect("on the CPU")
                .iter()
                .zip(&direction)
                .map(|(g, d)| f64::from(g * d))
                .sum();
            let moved = |by: f32| {
                let mut moved = weights.clone();
                moved.values[at] = moved.values[at].clone() + flat(direction.clone(), device.inner()) * by;
                sum(&moved)
            };
            let step = 2e-3;
            let expected = (moved(step) - moved(-step)) / (2.0 * f64::from(step));
            let path = &weights.layout().specs()[at].path;
            assert!(
                (slope - expected).abs() < 0.01 * expected.abs().max(2.0),
                "{shape}, {path}: {slope} for {expected}"
            );
        }
    }
}
