//! Group normalisation against its definition in f64, and its gradient against finite differences of that.

mod common;
use common::{close, everywhere, numbers, wide};
use madloop_neural::kernels::norm::{GroupNorm, backward, forward};
use proptest::prelude::*;

fn reference(s: &GroupNorm, x: &[f64], gamma: &[f64], beta: &[f64]) -> Vec<f64> {
    let (c, size) = (s.channels, s.channels / s.groups);
    let mut y = vec![0.0; x.len()];
    for b in 0..s.batch {
        for g in 0..s.groups {
            let places: Vec<usize> = (0..s.pixels)
                .flat_map(|p| (g * size..(g + 1) * size).map(move |i| (b * s.pixels + p) * c + i))
                .collect();
            let n = places.len() as f64;
            let mean = places.iter().map(|&i| x[i]).sum::<f64>() / n;
            let variance = places.iter().map(|&i| (x[i] - mean).powi(2)).sum::<f64>() / n;
            for i in places {
                let z = gamma[i % c] * (x[i] - mean) / (variance + f64::from(s.epsilon)).sqrt() + beta[i % c];
                y[i] = if s.silu { z / (1.0 + (-z).exp()) } else { z };
            }
        }
    }
    y
}

/// y with and without a residual, dx, dgamma, dbeta.
type Results = (Vec<f32>, Vec<f32>, Vec<f32>, Vec<f32>, Vec<f32>);

fn kernels(s: &GroupNorm, x: &[f32], gamma: &[f32], beta: &[f32], residual: &[f32], dy: &[f32]) -> Results {
    let nan = |n: usize| vec![f32::NAN; n];
    let (mut y, mut with, mut dx) = (nan(x.len()), nan(x.len()), nan(x.len()));
    let (mut mean, mut rstd) = (nan(s.batch * s.groups), nan(s.batch * s.groups));
    let (mut dgamma, mut dbeta) = (nan(s.channels), nan(s.channels));
    forward(s, x, gamma, beta, Some(residual), &mut with, &mut mean, &mut rstd);
    forward(s, x, gamma, beta, None, &mut y, &mut mean, &mut rstd);
    backward(s, x, gamma, beta, &mean, &rstd, dy, &mut dx, &mut dgamma, &mut dbeta);
    (y, with, dx, dgamma, dbeta)
}

fn check(s: GroupNorm, offset: f32) {
    let n = s.batch * s.pixels * s.channels;
    let x: Vec<f32> = numbers(n, 1).into_iter().map(|x| x + offset).collect();
    let (gamma, beta) = (numbers(s.channels, 2), numbers(s.channels, 3));
    let (residual, dy) = (numbers(n, 4), numbers(n, 5));
    let [x64, gamma64, beta64] = [&x, &gamma, &beta].map(|v| wide(v));
    let want = reference(&s, &x64, &gamma64, &beta64);
    let with: Vec<f64> = want.iter().zip(&residual).map(|(y, &r)| y + f64::from(r)).collect();
    // The slope of sum dy y by central differences in f64.
    let slope = |which: usize| -> Vec<f64> {
        let mut all = [x64.clone(), gamma64.clone(), beta64.clone()];
        let total = |all: &[Vec<f64>; 3]| -> f64 {
            reference(&s, &all[0], &all[1], &all[2]).iter().zip(&dy).map(|(y, &d)| y * f64::from(d)).sum()
        };
        let mut at = |i: usize| {
            let old = all[which][i];
            let mut to = |x: f64| {
                all[which][i] = x;
                total(&all)
            };
            let h = 1e-5;
            let d = (to(old + h) - to(old - h)) / (2.0 * h);
            all[which][i] = old;
            d
        };
        (0..if which == 0 { n } else { s.channels }).map(&mut at).collect()
    };
    let (dx, dgamma, dbeta) = (slope(0), slope(1), slope(2));
    // One group's numbers lie within 2 of each other; the mean is rounded to the offset's last place.
    let tolerance = 3e-6 + f64::from(offset.abs()) * 2e-6;
    for (level, got) in everywhere(|| kernels(&s, &x, &gamma, &beta, &residual, &dy)) {
        let what = |name: &str| format!("{name} at {level:?} of {s:?}");
        close(&got.0, &want, tolerance, &what("y"));
        close(&got.1, &with, tolerance, &what("y with a residual"));
        close(&got.2, &dx, 4.0 * tolerance, &what("dx"));
        close(&got.3, &dgamma, 4.0 * tolerance, &what("dgamma"));
        close(&got.4, &dbeta, 4.0 * tolerance, &what("dbeta"));
    }
}

#[test]
fn far_from_zero() {
    let shape = GroupNorm { batch: 2, pixels: 9, channels: 16, groups: 4, epsilon: 1e-5, silu: true };
    check(shape, 100.0);
}

#[test]
fn nan_stays() {
    let shape = GroupNorm { batch: 1, pixels: 4, channels: 16, groups: 1, epsilon: 1e-5, silu: true };
    let mut x = numbers(64, 1);
    x[7] = f32::NAN;
    let one = [1.0; 16];
    for (level, got) in everywhere(|| {
        let mut y = vec![0.0; 64];
        forward(&shape, &x, &one, &one, None, &mut y, &mut [0.0], &mut [0.0]);
        y.iter().all(|y| y.is_nan())
    }) {
        assert!(got, "{level:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, rng_seed: proptest::test_runner::RngSeed::Fixed(1), failure_persistence: None, ..Default::default() })]

    #[test]
    fn any_shape(batch in 1..3_usize, pixels in 2..20_usize, groups in 1..5_usize, size in 1..9_usize, silu: bool, offset in -3.0..3.0_f32) {
        check(GroupNorm { batch, pixels, channels: groups * size, groups, epsilon: 1e-3, silu }, offset);
    }

    #[test]
    fn statistics_of_many_pixels(pixels in 60..300_usize, channels in 1..40_usize, offset in -10.0..10.0_f32) {
        let s = GroupNorm { batch: 2, pixels, channels, groups: 1, epsilon: 1e-5, silu: false };
        let x: Vec<f32> = numbers(2 * pixels * channels, 1).into_iter().map(|x| x + offset).collect();
        let (gamma, beta) = (vec![1.0; channels], vec![0.0; channels]);
        let want = reference(&s, &wide(&x), &vec![1.0; channels], &vec![0.0; channels]);
        for (_, y) in everywhere(|| {
            let mut y = vec![f32::NAN; x.len()];
            forward(&s, &x, &gamma, &beta, None, &mut y, &mut [0.0; 2], &mut [0.0; 2]);
            y
        }) {
            close(&y, &want, 2e-5, "y");
        }
    }
}
