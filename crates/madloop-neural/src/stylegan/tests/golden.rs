//! Layers, networks and the regularisers' gradients against values of PyTorch, which differentiates twice.

use std::sync::Arc;

use burn::tensor::{Tensor, TensorData};
use serde_json::Value;

use super::super::Channels;
use super::super::discriminator::{Discriminator, with_deviation};
use super::super::generator::{Mapping, Synthesis};
use super::super::layers::Dual;
use super::super::penalty::{path_lengths, path_penalty, r1};
use crate::backend::Device;
use crate::ops;
use crate::params::{Declare, Layout, Weights, flat, matrix, to_host};

const CHANNELS: Channels = Channels { most: 6, factor: 1.0 };
const LATENT: usize = 5;
/// Of first and of second derivatives, of the largest number.
const FIRST: f64 = 1e-4;
const SECOND: f64 = 1e-3;

fn golden() -> Value {
    serde_json::from_str(include_str!("../../../tests/golden/stylegan.json")).expect("JSON")
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().expect("a list").iter().map(|number| number.as_f64().expect("a number")).collect()
}

fn number(value: &Value) -> f64 {
    value.as_f64().expect("a number")
}

fn sizes(case: &Value, names: [&str; 3]) -> [usize; 3] {
    names.map(|name| number(&case[name]) as usize)
}

/// size sin(step place + phase), as the script has it.
fn sines(count: usize, step: f64, phase: f64, size: f64) -> Vec<f32> {
    (0..count).map(|place| (size * (step * place as f64 + phase).sin()) as f32).collect()
}

fn image<const D: usize>(shape: [usize; D], step: f64, phase: f64, size: f64) -> Tensor<D> {
    let values = sines(shape.iter().product(), step, phase, size);
    Tensor::from_data(TensorData::new(values, shape), Device::cpu().inner())
}

fn host<const D: usize>(x: Tensor<D>) -> Vec<f32> {
    to_host(x.without_autodiff(), "reading").expect("on the CPU")
}

/// The script's parameters, after a look at paths and shapes.
fn weights(layout: Layout, declared: &Value) -> Weights {
    let declared = declared.as_array().expect("a list");
    assert_eq!(layout.specs().len(), declared.len());
    let values = layout.specs().iter().zip(declared).enumerate().map(|(at, (spec, declared))| {
        assert_eq!(declared[0].as_str(), Some(&spec.path[..]));
        assert_eq!(
            numbers(&declared[1]),
            spec.shape.iter().map(|size| *size as f64).collect::<Vec<_>>(),
            "{}",
            spec.path
        );
        let (mapping, bias) = (spec.path.starts_with("mapping"), spec.path.ends_with("bias"));
        let size = match (mapping, bias) {
            (true, true) => 10.0,
            (true, false) => 100.0,
            (false, true) => 0.1,
            _ if spec.path.ends_with("strength") => 0.3,
            _ => 1.0,
        };
        let plus = if spec.path.ends_with("style.bias") { 1.0 } else { 0.0 };
        let value = |place: usize| (size * (1.3 * place as f64 + at as f64).sin()) as f32;
        flat((0..spec.len()).map(|place| value(place) + plus).collect(), Device::cpu().inner())
    });
    let values = values.collect();
    Weights::new(Arc::new(layout), values)
}

#[track_caller]
fn close(found: &[f32], expected: &[f64], tolerance: f64, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let largest = expected.iter().fold(1e-30_f64, |most, value| most.max(value.abs()));
    for (at, (found, expected)) in found.iter().zip(expected).enumerate() {
        let off = (f64::from(*found) - expected).abs();
        assert!(off <= tolerance * largest, "{what}, {at}: {found} for {expected} of {largest}");
    }
}

/// Some numbers of each gradient, and its norm.
#[track_caller]
fn close_gradients(weights: &Weights, loss: Tensor<1>, expected: &Value, tolerance: f64) {
    let mut gradients = loss.mean().backward();
    let found = weights.gradients(&mut gradients);
    let expected = expected.as_array().expect("a list");
    assert_eq!(found.len(), expected.len());
    let largest = expected.iter().map(|of| number(&of["norm"])).fold(0.0, f64::max);
    for ((spec, found), expected) in weights.layout().specs().iter().zip(found).zip(expected) {
        let (found, norm) = (host(found), number(&expected["norm"]));
        let length = found.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt();
        // A gradient of nothing but rounding has no digits.
        if norm < 1e-7 * largest {
            assert!(length <= 1e-5 * largest, "{}: {length} for {norm}", spec.path);
            continue;
        }
        assert!((length - norm).abs() <= tolerance * norm, "{}: {length} for {norm}", spec.path);
        let step = number(&expected["step"]) as usize;
        let some: Vec<f32> = found.iter().copied().step_by(step).collect();
        let expected = numbers(&expected["some"]);
        assert_eq!(some.len(), expected.len());
        let most = norm / (found.len() as f64).sqrt();
        let most = expected.iter().fold(most, |most, value| most.max(value.abs()));
        for (found, expected) in some.iter().zip(&expected) {
            let off = (f64::from(*found) - expected).abs();
            assert!(off <= tolerance * most, "{}: {found} for {expected} of {most}", spec.path);
        }
    }
}

#[test]
fn layers_are_those_of_the_papers() {
    let golden = &golden()["layers"];
    let (x, even) = (image([2, 3, 4, 3], 0.7, 0.1, 0.9), image([2, 4, 6, 3], 0.7, 0.1, 0.9));
    let weight: Tensor<4> = image([3, 3, 3, 2], 1.3, 0.2, 0.8);
    let style: Tensor<2> = image([2, 3], 0.7, 0.5, 1.5);
    let check = |name: &str, found: Tensor<4>| close(&host(found), &numbers(&golden[name]), FIRST, name);
    check("up", ops::blur_up(x.clone()));
    check("down", ops::blur_down(even.clone()));
    check("down_conv", ops::conv2d(ops::fold(even), ops::down_weight(weight.clone()), None, 1));
    let squares: Tensor<2> = (weight.clone() * weight.clone()).reshape([9, 6]).sum_dim(0).reshape([3, 2]);
    let demodulation = ((style.clone() * style.clone()).matmul(squares) + 1e-8).sqrt().recip();
    let scaled = ops::modulate(x, style);
    let plain = ops::conv2d(scaled.clone(), weight.clone(), None, 1);
    check("modulated", ops::modulate(plain, demodulation.clone()));
    let up = ops::unfold(ops::conv2d(scaled, ops::up_weight(weight), None, 1));
    check("modulated_up", ops::modulate(up, demodulation));
    check("deviation", with_deviation(image([4, 2, 2, 3], 0.7, 0.1, 0.9).into(), 2).value);
}

#[test]
fn discriminators_and_their_penalty() {
    for case in golden()["discriminators"].as_array().expect("a list") {
        let [side, channels, n] = sizes(case, ["side", "channels", "rows"]);
        let mut layout = Layout::default();
        let discriminator = Discriminator::new(Declare::new(&mut layout), [side, channels], CHANNELS, 2);
        let tracked = weights(layout, &case["parameters"]).tracked();
        let x = || image([n, side, side, channels], 0.7, 0.3, 0.9);
        let scores = discriminator.forward(&tracked, x().into()).value;
        close(&host(scores.clone()), &numbers(&case["scores"]), FIRST, "scores");
        let loss = burn::tensor::activation::log_sigmoid(scores * -1.0) * -1.0;
        close_gradients(&tracked, loss, &case["gradients"], FIRST);
        let penalty = r1(&discriminator, &tracked, x(), number(&case["gamma"]), |x| x);
        close(&host(penalty.clone()), &numbers(&case["r1"]), FIRST, "R1");
        close_gradients(&tracked, penalty, &case["r1_gradients"], SECOND);
    }
}

#[test]
fn generators_and_their_path_lengths() {
    for case in golden()["generators"].as_array().expect("a list") {
        let [side, channels, n] = sizes(case, ["side", "channels", "rows"]);
        let mut layout = Layout::default();
        let mut declare = Declare::new(&mut layout);
        let mapping = Mapping::new(declare.at("mapping"), LATENT, 2);
        let synthesis = Synthesis::new(declare.at("synthesis"), [side, channels], CHANNELS, LATENT);
        let tracked = weights(layout, &case["parameters"]).tracked();
        let noise: Vec<Tensor<3>> = synthesis
            .noise_sides()
            .iter()
            .enumerate()
            .map(|(at, &side)| image([n, side, side], 0.7, 0.2 * at as f64, 1.0))
            .collect();
        let y = || image([n, side, side, channels], 0.9, 0.4, 1.0 / side as f64);
        let device = Device::cpu();
        let styles = || -> Vec<Tensor<2>> {
            let z = |phase| matrix(sines(n * LATENT, 0.7, phase, 0.9), LATENT, device.inner());
            let [w, second] = [0.3, 0.9].map(|phase| mapping.forward(&tracked, z(phase)));
            let layer = |layer: usize| {
                let rows = (0..n).map(|row| match layer > row {
                    true => second.clone().narrow(0, row, 1),
                    false => w.clone().narrow(0, row, 1),
                });
                Tensor::cat(rows.collect(), 0)
            };
            (0..synthesis.styles()).map(layer).collect()
        };
        let duals: Vec<Dual<2>> = styles().into_iter().map(Dual::from).collect();
        let made = synthesis.forward(&tracked, &duals, &noise).value;
        let some: Vec<f32> = host(made.clone()).into_iter().step_by(number(&case["image"]["step"]) as usize).collect();
        close(&some, &numbers(&case["image"]["some"]), FIRST, "image");
        let along = (made * y()).reshape([n, side * side * channels]).sum_dim(1).reshape([n]);
        close_gradients(&tracked, along.clone() * along, &case["gradients"], FIRST);

        let lengths = path_lengths(&synthesis, &tracked, &styles(), &noise, y());
        close(&host(lengths.0.clone()), &numbers(&case["lengths"]), FIRST, "lengths");
        let mean = flat(vec![number(&case["mean"]) as f32], device.inner());
        let mean = mean * 0.99 + lengths.0.clone().mean_dim(0).reshape([1]) * 0.01;
        let p = number(&case["weight"]);
        let penalty = path_penalty(&synthesis, &tracked, styles(), &noise, y(), lengths, mean, p);
        close(&host(penalty.clone()), &numbers(&case["penalty"]), FIRST, "path length");
        close_gradients(&tracked, penalty, &case["path_gradients"], SECOND);
    }
}
