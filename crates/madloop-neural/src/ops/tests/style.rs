//! Operations of style-based networks against the library's own, and their gradients against differences.

use proptest::prelude::*;

use super::super::style::composed as ours_composed;
use super::against_composed::{Inputs, at, config};
use super::*;

/// Factors that are not 0.
fn factors(l: &[Tensor<1>], which: usize, shape: [usize; 2]) -> Tensor<2> {
    at(l, which, shape) * 0.4 + 1.0
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn factors_of_channels(n in 1..4_usize, h in 1..9_usize, w in 1..40_usize, c in 1..40_usize, wanted in 0..4_u32) {
        let (x, scale) = ([n, h, w, c], [n, c]);
        Inputs::new([&x, &scale], wanted).check(
            |l| modulate(at(l, 0, x), at(l, 1, scale)),
            |l| ours_composed::modulate(at(l, 0, x), at(l, 1, scale)),
        );
    }

    #[test]
    fn noise_bias_and_rectifier(
        n in 1..4_usize, h in 1..9_usize, w in 1..40_usize, c in 1..40_usize, wanted in 0..16_u32,
    ) {
        let (x, scale) = ([n, h, w, c], [n, c]);
        let noise = || tensor([n, h, w], |i| (i as f64 * 1.1).cos());
        // A multiple, so that the leaf itself is not written in place.
        Inputs::new([&x, &scale, &[1], &[c]], wanted).check(
            |l| activate(at(l, 0, x) * 2.0, factors(l, 1, scale), noise(), l[2].clone(), l[3].clone()),
            |l| ours_composed::activate(at(l, 0, x) * 2.0, factors(l, 1, scale), noise(), l[2].clone(), l[3].clone()),
        );
        // Read by others too, it must not be.
        Inputs::new([&x, &scale, &[1], &[c]], wanted).check(
            |l| {
                let x = at(l, 0, x) * 2.0;
                activate(x.clone(), factors(l, 1, scale), noise(), l[2].clone(), l[3].clone()) + x
            },
            |l| {
                let x = at(l, 0, x) * 2.0;
                ours_composed::activate(x.clone(), factors(l, 1, scale), noise(), l[2].clone(), l[3].clone()) + x
            },
        );
    }

    #[test]
    fn sizes(n in 1..4_usize, h in 1..9_usize, w in 1..9_usize, c in 1..20_usize, wanted in 0..2_u32) {
        let (small, large, folded) = ([n, h, w, c], [n, 2 * h, 2 * w, c], [n, h, w, 4 * c]);
        Inputs::new([&small], wanted).check(|l| blur_up(at(l, 0, small)), |l| ours_composed::blur_up(at(l, 0, small)));
        Inputs::new([&large], wanted)
            .check(|l| blur_down(at(l, 0, large)), |l| ours_composed::blur_down(at(l, 0, large)));
        Inputs::new([&large], wanted).check(|l| fold(at(l, 0, large)), |l| ours_composed::fold(at(l, 0, large)));
        Inputs::new([&folded], wanted).check(|l| unfold(at(l, 0, folded)), |l| ours_composed::unfold(at(l, 0, folded)));
    }
}

#[test]
fn gradients_are_differences() {
    let (x, scale) = ([2, 2, 3, 2], [2, 2]);
    let noise = || tensor([2, 2, 3], |i| (i as f64 * 1.1).cos());
    let values = |phase: f64, n: usize| -> Vec<f64> { (0..n).map(|i| (i as f64 * 0.7 + phase).sin() + 0.2).collect() };
    let all = [values(0.1, 24), values(0.5, 4), values(0.9, 1), values(1.3, 2)];
    let loss = |all: [Tensor<1>; 4]| {
        let [of_x, of_scale, strength, bias] = all;
        let scale = of_scale.reshape(scale) + 1.5;
        let y = modulate(of_x.reshape(x), scale.clone());
        let y = blur_down(blur_up(activate(y, scale, noise(), strength, bias)));
        (y * tensor(x, |i| (i as f64 * 1.9).cos())).sum()
    };
    let leaves = || all.clone().map(|v| tensor([v.len()], |i| v[i]));
    let tracked = leaves().map(|leaf| leaf.autodiff().require_grad());
    let gradients = loss(tracked.clone()).backward();
    for (which, leaf) in tracked.iter().enumerate() {
        for (place, found) in host(leaf.grad(&gradients).expect("enters")).into_iter().enumerate() {
            let at = |step: f64| {
                let mut moved = all.clone();
                moved[which][place] += step;
                host(loss(moved.map(|v| tensor([v.len()], |i| v[i]))))[0]
            };
            let difference = (at(1e-2) - at(-1e-2)) / 2e-2;
            assert!((found - difference).abs() < 2e-2, "{which}, {place}: {found} for {difference}");
        }
    }
}

#[test]
fn filters_keep_constants_inside() {
    let ones = tensor([1, 8, 8, 1], |_| 1.0);
    let inside = |x: Tensor<4>| {
        let [_, h, w, _] = x.dims();
        host(x.slice([0..1, 1..h - 1, 1..w - 1, 0..1]))
    };
    assert!(inside(blur_up(ones.clone())).iter().all(|value| (value - 1.0).abs() < 1e-6));
    assert!(inside(blur_down(ones)).iter().all(|value| (value - 1.0).abs() < 1e-6));
}
