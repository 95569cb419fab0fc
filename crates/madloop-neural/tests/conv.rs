//! Convolutions against their definition in f64.

mod common;
use common::{close, everywhere, numbers, wide};
use madloop_neural::kernels::conv::{Conv2d, Onto, forward, input_gradient, weight_gradient};
use proptest::prelude::*;

/// y, dx, dw and db for an output gradient dy, term by term.
fn reference(s: &Conv2d, x: &[f64], w: &[f64], bias: &[f64], dy: &[f64]) -> [Vec<f64>; 4] {
    let [h, wd] = s.out_size();
    let mut y = vec![0.0; s.out_len()];
    let (mut dx, mut dw, mut db) = (vec![0.0; x.len()], vec![0.0; w.len()], vec![0.0; s.c_out]);
    for b in 0..s.batch {
        for i in 0..h {
            for j in 0..wd {
                for o in 0..s.c_out {
                    let out = ((b * h + i) * wd + j) * s.c_out + o;
                    y[out] += bias[o];
                    db[o] += dy[out];
                    for u in 0..s.kernel[0] {
                        for v in 0..s.kernel[1] {
                            let (r, q) = (
                                (i * s.stride + u).wrapping_sub(s.padding),
                                (j * s.stride + v).wrapping_sub(s.padding),
                            );
                            if r >= s.height || q >= s.width {
                                continue;
                            }
                            for c in 0..s.c_in {
                                let from = ((b * s.height + r) * s.width + q) * s.c_in + c;
                                let weight = ((u * s.kernel[1] + v) * s.c_in + c) * s.c_out + o;
                                y[out] += x[from] * w[weight];
                                dx[from] += dy[out] * w[weight];
                                dw[weight] += dy[out] * x[from];
                            }
                        }
                    }
                }
            }
        }
    }
    [y, dx, dw, db]
}

fn check(s: Conv2d, tolerance: f64) {
    let (x, w, bias) = (numbers(s.in_len(), 1), numbers(s.weight_len(), 2), numbers(s.c_out, 3));
    let (dy, old) = (numbers(s.out_len(), 4), numbers(s.in_len().max(s.out_len()), 5));
    let [y, dx, dw, db] = reference(&s, &wide(&x), &wide(&w), &wide(&bias), &wide(&dy));
    let plus = |x: &[f64]| -> Vec<f64> { x.iter().zip(&old).map(|(x, &old)| x + f64::from(old)).collect() };
    let results = everywhere(|| {
        let mut y = [vec![f32::NAN; s.out_len()], vec![f32::NAN; s.out_len()], old[..s.out_len()].to_vec()];
        forward(&s, &x, &w, Some(&bias), Onto::Nothing, &mut y[0]);
        forward(&s, &x, &w, Some(&bias), Onto::Values(&old[..s.out_len()]), &mut y[1]);
        forward(&s, &x, &w, Some(&bias), Onto::Itself, &mut y[2]);
        let mut dx = [vec![f32::NAN; s.in_len()], vec![f32::NAN; s.in_len()], old[..s.in_len()].to_vec()];
        input_gradient(&s, &dy, &w, Onto::Nothing, &mut dx[0]);
        input_gradient(&s, &dy, &w, Onto::Values(&old[..s.in_len()]), &mut dx[1]);
        input_gradient(&s, &dy, &w, Onto::Itself, &mut dx[2]);
        let (mut dw, mut db) = (vec![f32::NAN; s.weight_len()], vec![f32::NAN; s.c_out]);
        weight_gradient(&s, &x, &dy, &mut dw, Some(&mut db));
        (y, dx, dw, db)
    });
    for (level, (got_y, got_dx, got_dw, got_db)) in results {
        let what = |name: &str| format!("{name} at {level:?} of {s:?}");
        close(&got_y[0], &y, tolerance, &what("y"));
        close(&got_dx[0], &dx, tolerance, &what("dx"));
        for i in 1..3 {
            close(&got_y[i], &plus(&y), tolerance, &what("y + old"));
            close(&got_dx[i], &plus(&dx), tolerance, &what("dx + old"));
        }
        close(&got_dw, &dw, tolerance, &what("dw"));
        close(&got_db, &db, tolerance, &what("db"));
    }
}

/// Of the largest output; sums of up to some thousand terms.
const PLAIN: f64 = 2e-6;
const WINOGRAD: f64 = 3e-5;

#[test]
fn common_shapes() {
    for (size, channels, kernel, stride) in [
        ([28, 28], [1, 64], 3, 1),
        ([28, 28], [3, 16], 3, 1),
        ([28, 28], [64, 1], 3, 1),
        ([14, 14], [64, 3], 3, 1),
        ([14, 14], [48, 48], 1, 1),
        ([14, 14], [32, 64], 3, 2),
        ([7, 7], [128, 96], 3, 2),
    ] {
        check(Conv2d::same(3, size, channels, kernel, stride), PLAIN);
    }
    for (size, channels) in [([28, 28], [32, 32]), ([14, 14], [128, 64]), ([7, 7], [64, 128]), ([28, 28], [16, 16])] {
        check(Conv2d::same(5, size, channels, 3, 1), WINOGRAD);
    }
}

#[test]
fn nothing_to_do() {
    let shape = Conv2d::same(0, [5, 5], [8, 8], 3, 1);
    forward(&shape, &[], &[0.0; 576], None, Onto::Nothing, &mut []);
    let mut dw = [f32::NAN; 576];
    weight_gradient(&shape, &[], &[], &mut dw, None);
    assert!(dw.iter().all(|&x| x == 0.0));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, rng_seed: proptest::test_runner::RngSeed::Fixed(1), failure_persistence: None, ..Default::default() })]

    #[test]
    fn plain_of_any_shape(
        batch in 1..4_usize, height in 1..12_usize, width in 1..12_usize, c_in in 1..40_usize, c_out in 1..80_usize,
        kernel in prop::array::uniform2(1..6_usize), stride in 1..4_usize, padding in 0..3_usize,
    ) {
        let padding = padding.min(kernel[0] - 1).min(kernel[1] - 1);
        prop_assume!(height + 2 * padding >= kernel[0] && width + 2 * padding >= kernel[1]);
        check(Conv2d { batch, height, width, c_in, c_out, kernel, stride, padding, plain: true }, PLAIN);
    }

    #[test]
    fn winograd_of_any_shape(
        batch in 1..6_usize, height in 3..18_usize, width in 3..18_usize, c_in in 8..50_usize, c_out in 8..90_usize, padding in 0..3_usize,
    ) {
        check(Conv2d { batch, height, width, c_in, c_out, kernel: [3, 3], stride: 1, padding, plain: false }, WINOGRAD);
    }
}
