//! The gradient penalty's gradient for the critic's parameters against values of PyTorch, which differentiates twice.

use std::sync::Arc;

use serde_json::Value;

use super::super::critic::Critic;
use super::super::losses::penalty;
use crate::backend::Device;
use crate::params::{Declare, Layout, Weights, flat, matrix, to_host};

fn golden() -> Value {
    serde_json::from_str(include_str!("../../../tests/golden/wgan.json")).expect("JSON")
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().expect("a list").iter().map(|number| number.as_f64().expect("a number")).collect()
}

/// size sin(step place + phase), as the script has it.
fn sines(count: usize, step: f64, phase: f64, size: f64) -> Vec<f32> {
    (0..count).map(|place| (size * (step * place as f64 + phase).sin()) as f32).collect()
}

/// Inputs of a neuron of each parameter's layer set its size.
fn weights(layout: &Arc<Layout>, device: &Device) -> Weights {
    let mut inputs = 1;
    let values = layout.specs().iter().enumerate().map(|(number, spec)| {
        if let [dims @ .., _] = &spec.shape[..]
            && !dims.is_empty()
        {
            inputs = dims.iter().product();
        }
        let size = 2.0 / (inputs as f64).sqrt();
        flat(sines(spec.len(), 1.3, number as f64, size), device.inner())
    });
    Weights::new(layout.clone(), values.collect())
}

fn close(found: &[f32], expected: &[f64], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let largest = expected.iter().fold(0.0_f64, |most, value| most.max(value.abs()));
    for (found, expected) in found.iter().zip(expected) {
        // Of single precision; the parameters of a last layer's bias have no gradient at all.
        assert!((f64::from(*found) - expected).abs() <= 2e-5 * largest, "{what}: {found} for {expected} of {largest}");
    }
}

fn check(case: &Value, critic: &Critic, layout: Layout, [rows, dim]: [usize; 2]) {
    let device = Device::cpu();
    let weights = weights(&Arc::new(layout), &device);
    let at = || matrix(sines(rows * dim, 0.7, 0.3, 0.9), dim, device.inner());
    let tracked = weights.tracked();
    let losses = penalty(critic, &tracked, at(), case["penalty"].as_f64().expect("a number"));
    let values = to_host(losses.clone().without_autodiff(), "reading").expect("on the CPU");
    close(&values, &numbers(&case["rows"]), "the penalty");
    let mut gradients = losses.mean().backward();
    let gradients = tracked.gradients(&mut gradients);
    let expected = case["gradients"].as_array().expect("a list");
    assert_eq!(expected.len(), gradients.len());
    for ((spec, found), expected) in weights.layout().specs().iter().zip(gradients).zip(expected) {
        let expected = numbers(expected);
        let has = spec.path.ends_with("weight");
        assert_eq!(expected.iter().any(|value| value.abs() > 1e-2), has, "{} counts or does not", spec.path);
        close(&to_host(found, "reading").expect("on the CPU"), &expected, &spec.path);
    }
}

#[test]
fn the_penaltys_gradient_is_that_of_differentiating_twice() {
    let golden = golden();
    let mut layout = Layout::default();
    let critic = Critic::mlp(Declare::new(&mut layout), 3, 6, 2);
    check(&golden["cases"][0], &critic, layout, [5, 3]);
    let mut layout = Layout::default();
    let critic = Critic::dcgan(Declare::new(&mut layout), [8, 6, 2], 3);
    check(&golden["cases"][1], &critic, layout, [3, 8 * 6 * 2]);
}

#[test]
fn a_flat_critic_has_a_penalty_and_no_gradient() {
    let device = Device::cpu();
    let mut layout = Layout::default();
    let critic = Critic::mlp(Declare::new(&mut layout), 3, 6, 2);
    let tracked = Weights::zeros(&Arc::new(layout), device.inner()).tracked();
    let losses = penalty(&critic, &tracked, matrix(sines(6, 0.7, 0.3, 0.9), 3, device.inner()), 10.0);
    assert_eq!(to_host(losses.clone().without_autodiff(), "reading").expect("on the CPU"), [10.0, 10.0]);
    let mut gradients = losses.mean().backward();
    for gradient in tracked.gradients(&mut gradients) {
        assert!(to_host(gradient, "reading").expect("on the CPU").iter().all(|value| *value == 0.0));
    }
}
