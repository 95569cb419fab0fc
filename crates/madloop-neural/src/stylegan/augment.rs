//! Adaptive augmentation of what the discriminator sees (Karras et al. 2020, arXiv:2006.06676).
//!
//! Every transformation is made with probability p, drawn for each image: reflections, quarter turns, translations by whole pixels, scaling,
//! rotation, anisotropic scaling and translation (one bilinear warp, mirrored at the border), then brightness, contrast, and of colour
//! images reflection of the luma axis, rotation of hue and saturation (appendix B of the paper, without its filters and corruptions).
//! Images of real and of made samples go through it alike, so that the discriminator cannot learn them apart by it.

use std::f64::consts::PI;
use std::ops::Range;

use burn::tensor::{Device, Int, Tensor, TensorData};
use madloop_core::{Seeds, Stream};
use rand::RngExt;
use rayon::prelude::*;

use super::layers::Dual;
use crate::random;

/// p, moved so that the discriminator's verdict on real images stays where it is wanted: every 4 steps up where the mean sign of D(x) is
/// above the target and down where it is below, from 0 to 1 in a given number of images (section 3 of the paper).
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Adaptive {
    target: f64,
    /// Images from p = 0 to p = 1.
    whole: f64,
    p: f32,
    /// Sum of signs, and images and steps since p was moved.
    signs: f32,
    images: f32,
    steps: f32,
}

impl Adaptive {
    const STEPS: f32 = 4.0;

    pub(crate) fn new(target: f64, whole: f64) -> Self {
        Self { target, whole, p: 0.0, signs: 0.0, images: 0.0, steps: 0.0 }
    }

    pub(crate) fn probability(&self) -> f64 {
        f64::from(self.p)
    }

    /// Scores of the real images of a step.
    pub(crate) fn see(&mut self, scores: &[f32]) {
        let sign = |score: &f32| f32::from(i8::from(*score > 0.0) - i8::from(*score < 0.0));
        self.signs += scores.iter().map(sign).sum::<f32>();
        self.images += scores.len() as f32;
        self.steps += 1.0;
        if self.steps >= Self::STEPS {
            let beyond = f64::from(self.signs / self.images) - self.target;
            let direction = if beyond == 0.0 { 0.0 } else { beyond.signum() };
            self.p = (self.p + (direction * f64::from(self.images) / self.whole) as f32).clamp(0.0, 1.0);
            (self.signs, self.images, self.steps) = (0.0, 0.0, 0.0);
        }
    }

    pub(crate) fn kept(&self) -> Vec<f32> {
        vec![self.p, self.signs, self.images, self.steps]
    }

    /// From what [`Adaptive::kept`] gave.
    pub(crate) fn restored(target: f64, whole: f64, kept: &[f32]) -> Self {
        let at = |place: usize| kept.get(place).copied().unwrap_or(0.0);
        Self { target, whole, p: at(0), signs: at(1), images: at(2), steps: at(3) }
    }
}

/// What is done to the images of a batch; a linear map of pixels, and a constant.
pub(crate) struct Augmentation {
    /// For each of four neighbours: its place `[n, pixels]` and its weight `[n, pixels, 1]`.
    warp: Vec<(Tensor<2, Int>, Tensor<3>)>,
    /// Matrices `[n, c, c]` from the right, and constants `[n, 1, c]`.
    colour: Option<(Tensor<3>, Tensor<3>)>,
}

impl Augmentation {
    /// Nothing.
    pub(crate) fn none() -> Self {
        Self { warp: Vec::new(), colour: None }
    }

    /// Drawn for the rows of a stream, of square images `[side, channels]`.
    pub(crate) fn new(
        p: f64,
        [side, channels]: [usize; 2],
        seeds: Seeds,
        stream: Stream,
        rows: Range<u64>,
        device: &Device,
    ) -> Self {
        if p <= 0.0 {
            return Self::none();
        }
        let n = (rows.end - rows.start) as usize;
        let pixels = side * side;
        let all: Vec<Change> = rows.map(|row| Change::draw(&mut seeds.rng(stream, row), p, side)).collect();
        let (mut places, mut weights) = (vec![0_i32; 4 * n * pixels], vec![0.0_f32; 4 * n * pixels]);
        let of_images = places.par_chunks_exact_mut(4 * pixels).zip(weights.par_chunks_exact_mut(4 * pixels));
        of_images.zip(&all).for_each(|((places, weights), change)| change.taps(side, places, weights));
        let tap = |tap: usize| {
            let of = |image: usize| (4 * image + tap) * pixels..(4 * image + tap + 1) * pixels;
            let place: Vec<i32> = (0..n).flat_map(|image| places[of(image)].to_vec()).collect();
            let weight: Vec<f32> = (0..n).flat_map(|image| weights[of(image)].to_vec()).collect();
            (
                Tensor::<2, Int>::from_data(TensorData::new(place, [n, pixels]), device),
                Tensor::<3>::from_data(TensorData::new(weight, [n, pixels, 1]), device),
            )
        };
        let c = channels;
        let matrices: Vec<f32> = all.iter().flat_map(|change| change.matrix(c)).collect();
        let constants: Vec<f32> = all.iter().flat_map(|change| change.constant(c)).collect();
        let matrices = Tensor::from_data(TensorData::new(matrices, [n, c, c]), device);
        let constants = Tensor::from_data(TensorData::new(constants, [n, 1, c]), device);
        Self { warp: (0..4).map(tap).collect(), colour: Some((matrices, constants)) }
    }

    /// `[n, side, side, channels]` to the same.
    pub(crate) fn apply(&self, x: Dual<4>) -> Dual<4> {
        let Some((matrices, constants)) = &self.colour else { return x };
        let size = x.value.dims();
        let [n, h, w, c] = size;
        let linear = |x: Tensor<4>| {
            let flat: Tensor<3> = x.reshape([n, h * w, c]);
            let taps = self.warp.iter().map(|(place, weight)| {
                let place = place.clone().reshape([n, h * w, 1]).expand([n, h * w, c]);
                flat.clone().gather(1, place) * weight.clone()
            });
            let warped = taps.reduce(|sum, tap| sum + tap).unwrap_or(flat.clone());
            warped.matmul(matrices.clone())
        };
        x.affine(|x| (linear(x) + constants.clone()).reshape(size), |tangent| linear(tangent).reshape(size))
    }
}

/// What is done to one image.
struct Change {
    /// From places of the output to those of the input, in pixels from the middle: rows of (a, b, shift).
    inverse: [[f64; 3]; 2],
    /// Of red, green and blue: outputs in rows.
    matrix: [[f64; 3]; 3],
    constant: [f64; 3],
}

const SAME: [[f64; 3]; 3] = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];

fn product(a: [[f64; 3]; 3], b: [[f64; 3]; 3]) -> [[f64; 3]; 3] {
    std::array::from_fn(|i| std::array::from_fn(|j| (0..3).map(|k| a[i][k] * b[k][j]).sum()))
}

fn shift(x: f64, y: f64) -> [[f64; 3]; 3] {
    [[1.0, 0.0, x], [0.0, 1.0, y], [0.0, 0.0, 1.0]]
}

fn stretch(x: f64, y: f64) -> [[f64; 3]; 3] {
    [[x, 0.0, 0.0], [0.0, y, 0.0], [0.0, 0.0, 1.0]]
}

fn turn(angle: f64) -> [[f64; 3]; 3] {
    let (sin, cos) = angle.sin_cos();
    [[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]]
}

impl Change {
    /// Every number is drawn whether it is used or not, so that what an image meets changes with p as little as it can.
    fn draw(rng: &mut rand_chacha::ChaCha8Rng, p: f64, side: usize) -> Self {
        let mut uniform = [0.0_f64; 20];
        uniform.iter_mut().for_each(|u| *u = rng.random());
        let mut normal = [0.0_f32; 8];
        random::fill_normal(rng, &mut normal);
        // Whether number `at` is used, with probability q.
        let with = |at: usize, q: f64| uniform[at] < q;
        let (u, g) = (|at: usize| uniform[at], |at: usize| f64::from(normal[at]));
        let side = side as f64;
        // Each of the two rotations with the probability that gives one at least with probability p.
        let rotation = 1.0 - (1.0 - p).max(0.0).sqrt();

        // The inverses of what is done to the image, in its order.
        let mut inverse = SAME;
        let mut then = |used: bool, step: [[f64; 3]; 3]| {
            if used {
                inverse = product(inverse, step);
            }
        };
        then(with(0, p) && u(1) < 0.5, stretch(-1.0, 1.0));
        // Exact quarters, so that pixels go to pixels.
        let quarters = (u(3) * 4.0) as usize % 4;
        let (sin, cos) = ([0.0, 1.0, 0.0, -1.0][quarters], [1.0, 0.0, -1.0, 0.0][quarters]);
        then(with(2, p), [[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]]);
        let whole = |u: f64| ((2.0 * u - 1.0) * 0.125 * side).round();
        then(with(4, p), shift(whole(u(5)), whole(u(6))));
        let size = (-0.2 * g(0)).exp2();
        then(with(7, p), stretch(size, size));
        then(with(8, rotation), turn((2.0 * u(9) - 1.0) * PI));
        let along = (-0.2 * g(1)).exp2();
        then(with(10, p), stretch(along, along.recip()));
        then(with(11, rotation), turn((2.0 * u(12) - 1.0) * PI));
        then(with(13, p), shift(0.125 * side * g(2), 0.125 * side * g(3)));

        let (mut matrix, mut constant) = (SAME, [0.0; 3]);
        let mut then = |used: bool, step: [[f64; 3]; 3], more: f64| {
            if used {
                matrix = product(step, matrix);
                constant = std::array::from_fn(|i| (0..3).map(|k| step[i][k] * constant[k]).sum::<f64>() + more);
            }
        };
        then(with(14, p), SAME, 0.2 * g(4));
        let contrast = (0.5 * g(5)).exp2();
        then(with(15, p), scaled(contrast, contrast), 0.0);
        then(with(16, p) && u(17) < 0.5, scaled(-1.0, 1.0), 0.0);
        then(with(18, p), hue((2.0 * u(19) - 1.0) * PI), 0.0);
        let used: f64 = rng.random();
        then(used < p, scaled(1.0, g(6).exp2()), 0.0);
        Self { inverse: [inverse[0], inverse[1]], matrix, constant }
    }

    /// Four places in the input and their weights for each place of the output: `[4, side * side]`.
    fn taps(&self, side: usize, places: &mut [i32], weights: &mut [f32]) {
        let (pixels, middle) = (side * side, (side as f64 - 1.0) / 2.0);
        let [across, down] = self.inverse;
        for at in 0..pixels {
            let (x, y) = ((at % side) as f64 - middle, (at / side) as f64 - middle);
            let of = |row: [f64; 3]| mirrored(row[0] * x + row[1] * y + row[2] + middle, side);
            let (x, y) = (of(across), of(down));
            let (left, above) = (x.floor(), y.floor());
            let (right, below) = ((left as usize + 1).min(side - 1), (above as usize + 1).min(side - 1));
            let (of_x, of_y) = (x - left, y - above);
            let (left, above) = (left as usize, above as usize);
            let four = [
                (above, left, (1.0 - of_y) * (1.0 - of_x)),
                (above, right, (1.0 - of_y) * of_x),
                (below, left, of_y * (1.0 - of_x)),
                (below, right, of_y * of_x),
            ];
            for (tap, (row, column, weight)) in four.into_iter().enumerate() {
                places[tap * pixels + at] = (row * side + column) as i32;
                weights[tap * pixels + at] = weight as f32;
            }
        }
    }

    /// From the right, `[c, c]`.
    fn matrix(&self, channels: usize) -> Vec<f32> {
        match channels {
            3 => (0..9).map(|at| self.matrix[at % 3][at / 3] as f32).collect(),
            // A grey image is a colour image of equal channels, of which the mean is seen.
            _ => vec![(self.matrix.iter().flatten().sum::<f64>() / 3.0) as f32],
        }
    }

    fn constant(&self, channels: usize) -> Vec<f32> {
        match channels {
            3 => self.constant.map(|value| value as f32).to_vec(),
            _ => vec![(self.constant.iter().sum::<f64>() / 3.0) as f32],
        }
    }
}

/// A factor for the luma axis, and one for what is across it.
fn scaled(luma: f64, across: f64) -> [[f64; 3]; 3] {
    let third = (luma - across) / 3.0;
    std::array::from_fn(|i| std::array::from_fn(|j| third + if i == j { across } else { 0.0 }))
}

/// A rotation about the luma axis (Rodrigues' formula).
fn hue(angle: f64) -> [[f64; 3]; 3] {
    let (sin, cos) = angle.sin_cos();
    let (third, root) = ((1.0 - cos) / 3.0, sin / 3.0_f64.sqrt());
    std::array::from_fn(|i| {
        std::array::from_fn(|j| match (3 + j - i) % 3 {
            0 => third + cos,
            1 => third - root,
            _ => third + root,
        })
    })
}

/// A place from 0 to side - 1, mirrored at both ends.
fn mirrored(place: f64, side: usize) -> f64 {
    let last = side as f64 - 1.0;
    let within = place.rem_euclid(2.0 * last);
    let place = if within > last { 2.0 * last - within } else { within };
    // Rounding of sums may leave a whole place just below it.
    let near = place.round();
    if (place - near).abs() < 1e-9 { near.clamp(0.0, last) } else { place.clamp(0.0, last) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_probability_follows_the_signs() {
        let mut adaptive = Adaptive::new(0.6, 500_000.0);
        for _ in 0..8 {
            adaptive.see(&[1.0, 0.5, 2.0, 0.1]);
        }
        assert_eq!(adaptive.probability() as f32, 2.0 * 16.0 / 500_000.0);
        let restored = Adaptive::restored(0.6, 500_000.0, &adaptive.kept());
        assert_eq!(restored, adaptive);
        for _ in 0..80 {
            adaptive.see(&[-1.0, 0.5, 2.0, -0.1]);
        }
        assert_eq!(adaptive.probability(), 0.0);
    }

    #[test]
    fn augmentation_is_affine_and_its_tangent_linear() {
        let device = crate::backend::Device::cpu();
        let image = |phase: f64| -> Tensor<4> {
            let values: Vec<f32> = (0..5 * 16 * 16 * 3).map(|at| (at as f64 * 0.37 + phase).sin() as f32).collect();
            Tensor::from_data(TensorData::new(values, [5, 16, 16, 3]), device.inner())
        };
        let host = |x: Tensor<4>| crate::params::to_host(x, "reading").expect("on the CPU");
        let seeds = Seeds::new(3).at(1);
        let of = |p, rows| Augmentation::new(p, [16, 3], seeds, Stream::TRAIN, rows, device.inner());
        let all = of(1.0, 0..5);
        let made = all.apply(Dual::new(image(0.0), image(1.0)));
        let moved = all.apply((image(0.0) + image(1.0)).into()).value;
        let (value, change) = (host(made.value.clone()), host(made.tangent.expect("followed")));
        let worst = host(moved)
            .into_iter()
            .zip(value.iter().zip(&change))
            .map(|(moved, (value, change))| (moved - value - change).abs());
        assert!(worst.fold(0.0, f32::max) < 1e-4);
        let differs = value.iter().zip(host(image(0.0))).filter(|(a, b)| (*a - b).abs() > 1e-3).count();
        assert!(differs > value.len() / 2, "{differs} of {}", value.len());
        // Each image by its own number.
        let alone = host(of(1.0, 2..3).apply(image(0.0).narrow(0, 2, 1).into()).value);
        assert_eq!(alone, value[2 * 768..3 * 768]);
        assert_eq!(host(of(0.0, 0..5).apply(image(0.0).into()).value), host(image(0.0)));
    }

    #[test]
    fn turns_of_colours_keep_grey() {
        for matrix in [hue(1.1), scaled(1.0, 2.5)] {
            let grey = matrix.map(|row| row.iter().sum::<f64>());
            assert!(grey.iter().all(|value| (value - 1.0).abs() < 1e-12), "{grey:?}");
        }
        let twice = product(hue(0.4), hue(0.7));
        let once = hue(1.1);
        let worst = (0..9).map(|at| (twice[at / 3][at % 3] - once[at / 3][at % 3]).abs()).fold(0.0, f64::max);
        assert!(worst < 1e-12);
    }

    #[test]
    fn reflections_and_quarter_turns_move_whole_pixels() {
        let side = 8;
        for step in [stretch(-1.0, 1.0), [[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]], shift(2.0, -1.0)] {
            let change = Change { inverse: [step[0], step[1]], matrix: SAME, constant: [0.0; 3] };
            let (mut places, mut weights) = (vec![0; 4 * 64], vec![0.0; 4 * 64]);
            change.taps(side, &mut places, &mut weights);
            assert!(weights.iter().all(|weight| *weight == 0.0 || *weight == 1.0));
        }
    }
}
