//! Operations on the CPU against the library's own, values and gradients, for random shapes and any choice of inputs whose gradients
//! are wanted.

use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use super::*;

/// Of the largest value. Winograd's transforms and sums of some thousand terms in f32 cost digits.
const TOLERANCE: f64 = 1e-4;

pub(super) fn config() -> ProptestConfig {
    ProptestConfig { cases: 40, rng_seed: RngSeed::Fixed(1), failure_persistence: None, ..Default::default() }
}

/// Inputs of an operation: their shapes, and whether each one's gradient is wanted.
pub(super) struct Inputs {
    sizes: Vec<Vec<usize>>,
    wanted: u32,
}

impl Inputs {
    pub(super) fn new<const N: usize>(sizes: [&[usize]; N], wanted: u32) -> Self {
        Self { sizes: sizes.map(<[usize]>::to_vec).to_vec(), wanted }
    }

    /// The output and the wanted gradients of sum of y p, p fixed numbers, with the flat inputs handed to `apply`.
    fn run<const D: usize>(&self, apply: impl Fn(&[Tensor<1>]) -> Tensor<D>) -> Vec<Vec<f64>> {
        let flat = |at: usize| {
            let phase = at as f64;
            tensor([self.sizes[at].iter().product()], |i| (i as f64 * (0.7 + 0.1 * phase) + phase).sin())
        };
        let leaves: Vec<Tensor<1>> = (0..self.sizes.len())
            .map(|at| if self.is_wanted(at) { flat(at).autodiff().require_grad() } else { flat(at) })
            .collect();
        let y = apply(&leaves);
        let mut out = vec![host(y.clone().without_autodiff())];
        if self.wanted != 0 {
            let probe = tensor(y.dims(), |i| (i as f64 * 1.9).cos());
            let gradients = (y * probe).sum().backward();
            let wanted = leaves.iter().enumerate().filter(|(at, _)| self.is_wanted(*at));
            out.extend(wanted.map(|(_, leaf)| host(leaf.grad(&gradients).expect("a leaf that enters y"))));
        }
        out
    }

    fn is_wanted(&self, at: usize) -> bool {
        self.wanted >> at & 1 == 1
    }

    #[track_caller]
    pub(super) fn check<const D: usize>(
        &self,
        ours: impl Fn(&[Tensor<1>]) -> Tensor<D>,
        theirs: impl Fn(&[Tensor<1>]) -> Tensor<D>,
    ) {
        let (ours, theirs) = (self.run(ours), self.run(theirs));
        assert_eq!(ours.len(), theirs.len());
        for (which, (ours, theirs)) in ours.iter().zip(&theirs).enumerate() {
            assert_eq!(ours.len(), theirs.len());
            let scale = theirs.iter().fold(1.0_f64, |most, value| most.max(value.abs()));
            for (ours, theirs) in ours.iter().zip(theirs) {
                assert!((ours - theirs).abs() <= TOLERANCE * scale, "{which}: {ours} for {theirs}, scale {scale}");
            }
        }
    }
}

pub(super) fn at<const D: usize>(leaves: &[Tensor<1>], which: usize, shape: [usize; D]) -> Tensor<D> {
    leaves[which].clone().reshape(shape)
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn convolutions(
        n in 1..4_usize, h in 3..11_usize, w in 3..11_usize, i in 1..20_usize, o in 1..20_usize, half in 0..3_usize,
        stride in 1..3_usize, wanted in 0..16_u32,
    ) {
        let k = 2 * half + 1;
        let (x, weight) = ([n, h, w, i], [k, k, i, o]);
        let y = [n, h.div_ceil(stride), w.div_ceil(stride), o];
        Inputs::new([&x, &weight, &[o]], wanted & 7).check(
            |l| conv2d(at(l, 0, x), at(l, 1, weight), Some(l[2].clone()), stride),
            |l| composed::conv2d(at(l, 0, x), at(l, 1, weight), Some(l[2].clone()), stride),
        );
        Inputs::new([&x, &weight], wanted & 3).check(
            |l| conv2d(at(l, 0, x), at(l, 1, weight), None, stride),
            |l| composed::conv2d(at(l, 0, x), at(l, 1, weight), None, stride),
        );
        Inputs::new([&x, &weight, &[o], &y], wanted).check(
            |l| conv2d_onto(at(l, 3, y), at(l, 0, x), at(l, 1, weight), l[2].clone(), stride),
            |l| at(l, 3, y) + composed::conv2d(at(l, 0, x), at(l, 1, weight), Some(l[2].clone()), stride),
        );
    }

    #[test]
    fn convolutions_onto_their_input(n in 1..4_usize, h in 3..11_usize, w in 3..11_usize, c in 1..20_usize, wanted in 0..8_u32) {
        // Kept for the gradient and added to, the input must not be written in place.
        let (x, weight) = ([n, h, w, c], [3, 3, c, c]);
        Inputs::new([&x, &weight, &[c]], wanted).check(
            |l| { let x = at(l, 0, x) * 2.0; conv2d_onto(x.clone(), x, at(l, 1, weight), l[2].clone(), 1) },
            |l| { let x = at(l, 0, x) * 2.0; x.clone() + composed::conv2d(x, at(l, 1, weight), Some(l[2].clone()), 1) },
        );
    }

    #[test]
    fn normalisations(
        n in 1..4_usize, h in 1..9_usize, w in 1..9_usize, groups in 1..5_usize, size in 1..9_usize, wanted in 0..16_u32,
    ) {
        prop_assume!(h * w * size > 1); // a group of one number has no variance, and the library's root no gradient
        let c = groups * size;
        let x = [n, h, w, c];
        Inputs::new([&x, &[c], &[c]], wanted & 7).check(
            |l| group_norm_silu(at(l, 0, x), l[1].clone(), l[2].clone(), groups),
            |l| composed::group_norm_silu(at(l, 0, x), l[1].clone(), l[2].clone(), groups),
        );
        Inputs::new([&x, &[c], &[c], &x], wanted).check(
            |l| group_norm_silu_onto(at(l, 3, x), at(l, 0, x), l[1].clone(), l[2].clone(), groups),
            |l| at(l, 3, x) + composed::group_norm_silu(at(l, 0, x), l[1].clone(), l[2].clone(), groups),
        );
    }

    #[test]
    fn linear_maps(n in 1..300_usize, i in 1..40_usize, o in 1..40_usize, wanted in 0..8_u32) {
        let (x, weight) = ([n, i], [i, o]);
        Inputs::new([&x, &weight, &[o]], wanted).check(
            |l| linear(at(l, 0, x), at(l, 1, weight), Some(l[2].clone())),
            |l| composed::linear(at(l, 0, x), at(l, 1, weight), Some(l[2].clone())),
        );
        Inputs::new([&x, &weight], wanted & 3).check(
            |l| linear(at(l, 0, x), at(l, 1, weight), None),
            |l| composed::linear(at(l, 0, x), at(l, 1, weight), None),
        );
    }

    #[test]
    fn doubling(n in 1..4_usize, h in 1..9_usize, w in 1..9_usize, c in 1..20_usize, wanted in 0..2_u32) {
        let x = [n, h, w, c];
        Inputs::new([&x], wanted).check(|l| upsample(at(l, 0, x)), |l| composed::upsample(at(l, 0, x)));
    }

    #[test]
    fn joining(n in 1..4_usize, h in 1..30_usize, w in 1..30_usize, c in 1..20_usize, d in 1..20_usize, wanted in 0..4_u32) {
        let (a, b) = ([n, h, w, c], [n, h, w, d]);
        Inputs::new([&a, &b], wanted).check(
            |l| join(at(l, 0, a), at(l, 1, b)),
            |l| Tensor::cat(vec![at(l, 0, a), at(l, 1, b)], 3),
        );
    }

    #[test]
    fn activations(rows in 1..200_usize, columns in 1..200_usize, wanted in 0..2_u32) {
        // Transposed, so that the values do not lie in order, and far from 0 too.
        let x = [rows, columns];
        let spread = |l: &[Tensor<1>]| (at(l, 0, x) * 20.0).transpose();
        Inputs::new([&x], wanted).check(|l| silu(spread(l)), |l| composed::silu(spread(l)));
        Inputs::new([&x], wanted).check(|l| leaky(spread(l), 0.2), |l| composed::leaky(spread(l), 0.2));
        Inputs::new([&x], wanted).check(|l| tanh(spread(l) * 0.2), |l| (spread(l) * 0.2).tanh());
        let constant = || tensor(x, |i| (i as f64 * 0.9).sin()).transpose();
        Inputs::new([&x], wanted).check(
            |l| leaky_along(constant(), spread(l), 0.2),
            |l| composed::leaky_along(constant(), spread(l), 0.2),
        );
    }
}

#[test]
fn updates_and_norms() {
    let numbers = |phase: f64| tensor([50_000], move |i| (i as f64 * 0.37 + phase).sin());
    let by = Adam { rate: 0.01, betas: [0.9, 0.999], epsilon: 1e-8, decay: 0.1, scale: 0.5, average: 0.97 };
    let state = |averaged: bool| AdamState {
        state: [numbers(0.0), numbers(1.0), numbers(2.0).powi_scalar(2) + 0.01],
        average: averaged.then(|| numbers(3.0)),
    };
    for (step, averaged) in [(1, true), (7, true), (7, false)] {
        let ours = adam(&by, step, state(averaged), numbers(4.0)).expect("of f32");
        let theirs = composed::adam(&by, step, state(averaged), numbers(4.0));
        assert_eq!(ours.average.is_some(), averaged);
        let all = |of: AdamState| of.state.into_iter().chain(of.average);
        for (ours, theirs) in all(ours).zip(all(theirs)) {
            let both = host(ours).into_iter().zip(host(theirs));
            assert!(both.into_iter().all(|(a, b)| (a - b).abs() <= 1e-5 * b.abs().max(1.0)));
        }
    }
    let (ours, theirs) = (host(sum_of_squares(numbers(5.0))), host(composed::sum_of_squares(numbers(5.0))));
    assert!((ours[0] - theirs[0]).abs() < 1e-4 * theirs[0]);
}
