//! Operations of flows against the library's own, and against what they undo.

use proptest::prelude::*;

use super::super::flow::composed as ours_composed;
use super::against_composed::{Inputs, at, config};
use super::*;

proptest! {
    #![proptest_config(config())]

    #[test]
    fn couplings(rows in 1..300_usize, kept in 0..6_usize, k in 1..6_usize, wanted in 0..4_u32) {
        let (x, raw) = ([rows, kept + k], [rows, 2 * k]);
        Inputs::new([&x, &raw], wanted).check(
            |l| couple(at(l, 0, x), at(l, 1, raw) * 3.0),
            |l| ours_composed::couple(at(l, 0, x), at(l, 1, raw) * 3.0),
        );
        Inputs::new([&x, &raw], 0).check(
            |l| uncouple(at(l, 0, x), at(l, 1, raw) * 3.0),
            |l| ours_composed::uncouple(at(l, 0, x), at(l, 1, raw) * 3.0),
        );
    }

    #[test]
    fn determinants_of_couplings(samples in 1..70_usize, pixels in 1..10_usize, k in 1..6_usize, wanted in 0..2_u32) {
        let raw = [samples * pixels, 2 * k];
        Inputs::new([&raw], wanted).check(
            |l| coupling_log_det(at(l, 0, raw) * 3.0, samples),
            |l| ours_composed::log_det(at(l, 0, raw) * 3.0, samples),
        );
    }

    #[test]
    fn matrices_of_factors(c in 1..20_usize, wanted in 0..2_u32) {
        let a = [c, c];
        Inputs::new([&a], wanted).check(
            |l| lu_matrix(at(l, 0, a) * 0.7),
            |l| ours_composed::lu_matrix(at(l, 0, a) * 0.7),
        );
    }
}

#[test]
fn a_coupling_is_undone() {
    let (x, raw) =
        (tensor([500, 5], |i| (i as f64 * 0.7).sin() * 4.0), tensor([500, 6], |i| (i as f64 * 1.3).cos() * 6.0));
    let back = host(uncouple(couple(x.clone(), raw.clone()), raw));
    let worst = back.iter().zip(host(x)).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    assert!(worst < 1e-5, "{worst}");
}

#[test]
fn inverses_of_matrices_and_their_order() {
    use crate::kernels::lu;
    for c in [1, 2, 3, 7, 12] {
        let parameters: Vec<f32> = (0..c * c).map(|i| (i as f32 * 1.1).sin() * 0.5).collect();
        let (mut w, inverse) = (vec![0.0; c * c], lu::inverse(&parameters, c));
        lu::product(&parameters, c, &mut w);
        for i in 0..c {
            for j in 0..c {
                let sum: f64 = (0..c).map(|k| f64::from(w[i * c + k]) * inverse[k * c + j]).sum();
                let one = f64::from(u8::from(i == j));
                assert!((sum - one).abs() < 2e-5, "{c}: {sum} at {i}, {j}");
            }
        }
    }
    // Every number comes into both halves within a few turns.
    for c in 2..40 {
        for number in 0..c {
            let mut place = number;
            let mut halves = [false; 2];
            for _ in 0..8 {
                halves[usize::from(place >= c / 2)] = true;
                place = (0..c).find(|&j| lu::shuffled(c, j) == place).expect("a permutation");
            }
            assert_eq!(halves, [true; 2], "{number} of {c}");
        }
    }
}
