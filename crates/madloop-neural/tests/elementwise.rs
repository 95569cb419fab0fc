//! Functions of numbers, updates, resampling and products against their definitions in f64.

mod common;
use common::{close, everywhere, numbers, wide};
use madloop_neural::kernels::adam::{Adam, sum_of_squares};
use madloop_neural::kernels::exp::{add, exp_of, sigmoid_of, silu_gradient, silu_of, tanh_gradient, tanh_of};
use madloop_neural::kernels::leaky::{gate, leaky};
use madloop_neural::kernels::matmul::{Matrix, linear, linear_input_gradient, linear_weight_gradient, products};
use madloop_neural::kernels::resample::{double, double_gradient};
use madloop_neural::kernels::{Level, with_level};
use proptest::prelude::*;

fn apply(f: impl Fn(&[f32], &mut [f32]) + Sync, x: &[f32]) -> Vec<(Level, Vec<f32>)> {
    everywhere(|| {
        let mut y = vec![f32::NAN; x.len()];
        f(x, &mut y);
        y
    })
}

/// Largest distance in units of the last place of the exact value.
fn ulps(x: &[f32], got: &[f32], exact: impl Fn(f64) -> f64) -> f64 {
    let error = |(&x, &y): (&f32, &f32)| {
        let want = exact(f64::from(x));
        let place = f64::from((want as f32).abs().next_up()) - f64::from((want as f32).abs());
        (f64::from(y) - want).abs() / place
    };
    x.iter().zip(got).map(error).fold(0.0, f64::max)
}

#[test]
fn exponentials() {
    let x: Vec<f32> = (0..870_001)
        .map(|i| (i as f32 - 435_000.0) * 2e-4 + 1e-5 * (i % 13) as f32)
        .map(|x| x.clamp(-87.0, 87.0))
        .collect();
    for (level, y) in apply(exp_of, &x) {
        let worst = ulps(&x, &y, f64::exp);
        assert!(worst <= 2.0, "exp at {level:?}: {worst}");
    }
    for (level, y) in apply(sigmoid_of, &x) {
        let worst = ulps(&x, &y, |x| 1.0 / (1.0 + (-x).exp()));
        assert!(worst <= 3.0, "sigmoid at {level:?}: {worst}");
    }
    for (level, y) in apply(silu_of, &x) {
        let worst = ulps(&x, &y, |x| x / (1.0 + (-x).exp()));
        assert!(worst <= 4.0, "silu at {level:?}: {worst}");
    }
    let dy = numbers(x.len(), 1);
    let want: Vec<f64> = x
        .iter()
        .zip(&dy)
        .map(|(&x, &dy)| {
            let (x, p) = (f64::from(x), 1.0 / (1.0 + (-f64::from(x)).exp()));
            f64::from(dy) * p * (1.0 + x * (1.0 - p))
        })
        .collect();
    for (level, dx) in apply(|x, dx| silu_gradient(x, &dy, dx), &x) {
        close(&dx, &want, 1e-6, &format!("silu's gradient at {level:?}"));
    }
}

#[test]
fn tanh_and_its_gradient() {
    let x: Vec<f32> = (0..100_001).map(|i| (i as f32 - 50_000.0) * 4e-4).collect();
    let exact: Vec<f64> = x.iter().map(|&x| f64::from(x).tanh()).collect();
    let dy = numbers(x.len(), 2);
    for (level, y) in apply(tanh_of, &x) {
        close(&y, &exact, 4e-7, &format!("tanh at {level:?}"));
        assert!(y.iter().all(|y| y.abs() <= 1.0), "{level:?}");
        let want: Vec<f64> = y.iter().zip(&dy).map(|(&y, &dy)| f64::from(dy) * (1.0 - f64::from(y).powi(2))).collect();
        for (_, dx) in apply(|y, dx| tanh_gradient(y, &dy, dx), &y) {
            close(&dx, &want, 3e-7, &format!("tanh's gradient at {level:?}"));
        }
    }
}

#[test]
fn a_leaky_rectifier_and_its_gate() {
    let (x, t) = (numbers(40_003, 3), numbers(40_003, 4));
    for (level, y) in apply(|x, y| leaky(0.2, x, y), &x) {
        let exact = |(x, y): (&f32, &f32)| *y == if *x > 0.0 { *x } else { 0.2 * *x };
        assert!(x.iter().zip(&y).all(exact), "{level:?}");
        for (_, out) in apply(|y, out| gate(0.2, y, &t, out), &y) {
            let exact = |((x, t), out): ((&f32, &f32), &f32)| *out == if *x > 0.0 { *t } else { 0.2 * *t };
            assert!(x.iter().zip(&t).zip(&out).all(exact), "{level:?}");
        }
    }
    let mut edge = [1.0; 3];
    leaky(0.0, &[0.0, -0.0, f32::NAN], &mut edge);
    assert!(edge[0] == 0.0 && edge[1] == 0.0 && edge[2].is_nan(), "{edge:?}");
}

#[test]
fn ends_of_the_range() {
    for (level, y) in apply(exp_of, &[-1e30, -100.0, 100.0, 1e30, f32::NEG_INFINITY, f32::INFINITY, 0.0, -0.0]) {
        assert!(y[0] > 0.0 && y[0] < 2e-38 && y[1] == y[0] && y[4] == y[0], "{level:?}: {y:?}");
        assert!(y[2] > 6e37 && y[3] == y[2] && y[5] == y[2], "{level:?}: {y:?}");
        assert!(y[6] == 1.0 && y[7] == 1.0, "{level:?}: {y:?}");
    }
    for (level, y) in apply(silu_of, &[-200.0, 200.0]) {
        assert!(y[0].abs() < 1e-35 && y[1] == 200.0, "{level:?}: {y:?}");
    }
}

#[test]
fn nan_stays() {
    let nan = [f32::NAN; 21];
    for level in Level::available() {
        for f in [exp_of, sigmoid_of, silu_of, tanh_of] {
            let mut y = [0.0; 21];
            with_level(level, || f(&nan, &mut y));
            assert!(y.iter().all(|y| y.is_nan()), "{level:?}");
        }
    }
}

#[test]
fn adam_follows_its_formula() {
    let n = 40_003;
    let (p0, a0) = (numbers(n, 1), numbers(n, 2));
    for average in [true, false] {
        for decay in [0.0, 0.1] {
            let rule = Adam { rate: 1e-2, betas: [0.9, 0.99], epsilon: 1e-8, decay, scale: 0.5, average: 0.95 };
            let (mut p, mut a) = (wide(&p0), wide(&a0));
            let (mut m, mut v) = (vec![0.0; n], vec![0.0; n]);
            for step in 1..=3 {
                for (i, &g) in numbers(n, 10 + step).iter().enumerate() {
                    let g = 0.5 * f64::from(g);
                    m[i] = 0.9 * m[i] + 0.1 * g;
                    v[i] = 0.99 * v[i] + 0.01 * g * g;
                    let (first, second) =
                        (m[i] / (1.0 - 0.9_f64.powi(step as i32)), v[i] / (1.0 - 0.99_f64.powi(step as i32)));
                    p[i] -= 1e-2 * f64::from(decay) * p[i] + 1e-2 * first / (second.sqrt() + 1e-8);
                    a[i] = 0.95 * a[i] + 0.05 * p[i];
                }
            }
            for (level, (got_p, got_a, got_m, got_v)) in everywhere(|| {
                let (mut p, mut a, mut m, mut v) = (p0.clone(), a0.clone(), vec![0.0; n], vec![0.0; n]);
                for step in 1..=3 {
                    let g = numbers(n, 10 + u64::from(step));
                    rule.update(step, &mut p, &g, &mut m, &mut v, average.then_some(&mut a[..]));
                }
                (p, a, m, v)
            }) {
                let what = |name: &str| format!("{name} at {level:?}, decay {decay}");
                close(&got_p, &p, 1e-6, &what("p"));
                close(&got_m, &m, 1e-6, &what("m"));
                close(&got_v, &v, 1e-6, &what("v"));
                close(&got_a, &if average { a.clone() } else { wide(&a0) }, 1e-6, &what("average"));
            }
        }
    }
}

#[test]
fn squares_are_summed() {
    for n in [0, 1, 17, 16_384, 100_003] {
        let x = numbers(n, 3);
        let want: f64 = x.iter().map(|&x| f64::from(x).powi(2)).sum();
        for (level, got) in everywhere(|| sum_of_squares(&x)) {
            assert!((got - want).abs() <= 1e-5 * want, "{level:?}: {got} for {want}");
        }
    }
}

#[test]
fn a_forced_level_ends() {
    let before = Level::current();
    with_level(Level::Portable, || assert_eq!(Level::current(), Level::Portable));
    assert_eq!(Level::current(), before);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, rng_seed: proptest::test_runner::RngSeed::Fixed(1), failure_persistence: None, ..Default::default() })]

    #[test]
    fn doubling(batch in 0..4_usize, h in 1..6_usize, w in 1..6_usize, c in 1..20_usize) {
        let (x, dy) = (numbers(batch * h * w * c, 1), numbers(4 * batch * h * w * c, 2));
        let mut want = vec![0.0; dy.len()];
        let mut want_dx = vec![0.0; x.len()];
        for i in 0..dy.len() {
            let (k, q) = (i % c, i / c % (2 * w));
            let (r, b) = (i / c / (2 * w) % (2 * h), i / c / (4 * w * h));
            let from = ((b * h + r / 2) * w + q / 2) * c + k;
            want[i] = f64::from(x[from]);
            want_dx[from] += f64::from(dy[i]);
        }
        for (_, (y, dx)) in everywhere(|| {
            let (mut y, mut dx) = (vec![f32::NAN; dy.len()], vec![f32::NAN; x.len()]);
            double([h, w, c], &x, &mut y);
            double_gradient([h, w, c], &dy, &mut dx);
            (y, dx)
        }) {
            close(&y, &want, 0.0, "y");
            close(&dx, &want_dx, 1e-6, "dx");
        }
    }

    #[test]
    fn adding(n in 0..50_000_usize) {
        let (a, b) = (numbers(n, 1), numbers(n, 2));
        let want: Vec<f32> = a.iter().zip(&b).map(|(a, b)| a + b).collect();
        for (_, out) in apply(|a, out| add(a, &b, out), &a) {
            prop_assert_eq!(&out, &want);
        }
    }

    #[test]
    fn linear_layers(rows in 0..400_usize, c_in in 1..40_usize, c_out in 1..40_usize) {
        let (x, w, bias, dy) = (numbers(rows * c_in, 1), numbers(c_in * c_out, 2), numbers(c_out, 3), numbers(rows * c_out, 4));
        let mut y: Vec<f64> = (0..rows).flat_map(|_| wide(&bias)).collect();
        let (mut dx, mut dw, mut db) = (vec![0.0; x.len()], vec![0.0; w.len()], vec![0.0; c_out]);
        for r in 0..rows {
            for o in 0..c_out {
                let d = f64::from(dy[r * c_out + o]);
                db[o] += d;
                for i in 0..c_in {
                    let (x, w) = (f64::from(x[r * c_in + i]), f64::from(w[i * c_out + o]));
                    y[r * c_out + o] += x * w;
                    dx[r * c_in + i] += d * w;
                    dw[i * c_out + o] += d * x;
                }
            }
        }
        for (_, got) in everywhere(|| {
            let nan = |n: usize| vec![f32::NAN; n];
            let (mut y, mut dx, mut dw, mut db) = (nan(dy.len()), nan(x.len()), nan(w.len()), nan(c_out));
            linear(&x, &w, Some(&bias), [c_in, c_out], &mut y);
            linear_input_gradient(&dy, &w, [c_in, c_out], &mut dx);
            linear_weight_gradient(&x, &dy, [c_in, c_out], &mut dw, Some(&mut db));
            (y, dx, dw, db)
        }) {
            close(&got.0, &y, 2e-6, "y");
            close(&got.1, &dx, 2e-6, "dx");
            close(&got.2, &dw, 2e-6, "dw");
            close(&got.3, &db, 2e-6, "db");
        }
    }

    #[test]
    fn products_of_all_layouts(batch in 1..4_usize, m in 1..20_usize, k in 1..20_usize, n in 1..20_usize, turn in prop::array::uniform2(any::<bool>())) {
        let (a, b) = (numbers(batch * m * k, 1), numbers(batch * k * n, 2));
        let mut want = vec![0.0; batch * m * n];
        for (i, want) in want.iter_mut().enumerate() {
            let (z, r, c) = (i / (m * n), i / n % m, i % n);
            for j in 0..k {
                let a = a[z * m * k + if turn[0] { j * m + r } else { r * k + j }];
                let b = b[z * k * n + if turn[1] { c * k + j } else { j * n + c }];
                *want += 0.5 * f64::from(a) * f64::from(b);
            }
        }
        let left = if turn[0] { Matrix::new(&a, k, m).t() } else { Matrix::new(&a, m, k) };
        let right = if turn[1] { Matrix::new(&b, n, k).t() } else { Matrix::new(&b, k, n) };
        let mut out = vec![f32::NAN; want.len()];
        products(batch, 0.5, left, right, &mut out);
        close(&out, &want, 2e-6, "product");
    }
}
