//! Group normalisation, fused with SiLU and a residual.
//!
//! For each image and group of channels, with mean m and variance v over the group's pixels and channels:
//! z = gamma (x - m) / sqrt(v + epsilon) + beta, y = residual + act(z), where act is SiLU or nothing (Y. Wu and K. He, Group
//! normalization, ECCV 2018). The variance is summed around the means of blocks of pixels, which are merged by Chan's formula,
//! so that a mean far from 0 costs no digits.

use super::exp::{silu, silu_slope};
use super::scratch::Scratch;
use super::simd::{Level, Simd, simd};
use super::sum_parts;
use super::tile::padded;
use rayon::prelude::*;

/// Pixels whose channels are summed before the next: they stay in the first-level cache.
const BLOCK: usize = 64;

/// The shape of a normalisation of images `[batch, pixels, channels]`.
#[derive(Clone, Copy, Debug)]
pub struct GroupNorm {
    /// Images.
    pub batch: usize,
    /// Pixels of an image.
    pub pixels: usize,
    /// Channels, a multiple of `groups`.
    pub channels: usize,
    /// Groups of consecutive channels.
    pub groups: usize,
    /// Added to the variance; above 0.
    pub epsilon: f32,
    /// Whether SiLU follows.
    pub silu: bool,
}

impl GroupNorm {
    fn image(&self) -> usize {
        self.pixels * self.channels
    }

    fn check(&self, images: &[usize], channels: &[usize], statistics: &[usize]) {
        assert!(
            self.groups > 0 && self.channels.is_multiple_of(self.groups),
            "groups do not divide channels: {self:?}"
        );
        assert!(images.iter().all(|&n| n == self.batch * self.image()), "lengths of images {images:?} for {self:?}");
        assert!(channels.iter().all(|&n| n == self.channels), "lengths of channels {channels:?} for {self:?}");
        assert!(
            statistics.iter().all(|&n| n == self.batch * self.groups),
            "lengths of statistics {statistics:?} for {self:?}"
        );
    }
}

/// y = residual + act(z), and each group's `mean` and `rstd` = 1 / sqrt(variance + epsilon), `[batch, groups]`.
///
/// # Panics
/// If a length does not fit the shape.
#[expect(clippy::too_many_arguments, reason = "the operands of the formula")]
pub fn forward(
    shape: &GroupNorm,
    x: &[f32],
    gamma: &[f32],
    beta: &[f32],
    residual: Option<&[f32]>,
    y: &mut [f32],
    mean: &mut [f32],
    rstd: &mut [f32],
) {
    let len = x.len();
    shape.check(
        &[len, y.len(), residual.map_or(len, <[f32]>::len)],
        &[gamma.len(), beta.len()],
        &[mean.len(), rstd.len()],
    );
    if len == 0 {
        return;
    }
    let (level, image) = (Level::current(), shape.image());
    let statistics = mean.par_chunks_mut(shape.groups).zip(rstd.par_chunks_mut(shape.groups));
    y.par_chunks_mut(image).zip(x.par_chunks(image)).zip(statistics).enumerate().for_each(
        |(i, ((y, x), (mean, rstd)))| {
            let residual = residual.map(|r| &r[i * image..][..image]);
            simd!(level, s => {
                statistics_of(s, shape, x, mean, rstd);
                let lines = Lines::new(s, shape, gamma, beta, mean, rstd);
                match (shape.silu, residual) {
                    (true, Some(r)) => apply(s, &lines, x, Some(r), y, #[inline(always)] |z| silu(s, z)),
                    (true, None) => apply(s, &lines, x, None, y, #[inline(always)] |z| silu(s, z)),
                    (false, r) => apply(s, &lines, x, r, y, #[inline(always)] |z| z),
                }
            });
        },
    );
}

/// Mean and 1 / sqrt(variance + epsilon) of each group of an image.
#[inline(always)]
fn statistics_of<S: Simd>(s: S, shape: &GroupNorm, x: &[f32], mean: &mut [f32], rstd: &mut [f32]) {
    let c = shape.channels;
    let mut means = Scratch::zeros(padded::<S>(c));
    let mut squares = Scratch::zeros(padded::<S>(c));
    let mut before = 0;
    for block in x.chunks(BLOCK * c) {
        let n = block.len() / c;
        // The block's weight in the mean, and that of the squared difference of means in the sum of squares.
        let weight = n as f32 / (before + n) as f32;
        let between = s.splat(before as f32 * weight);
        for first in (0..c).step_by(S::LANES) {
            let width = S::LANES.min(c - first);
            let sum = sum_of(
                s,
                block,
                c,
                first,
                width,
                #[inline(always)]
                |x| x,
            );
            let own = s.mul(sum, s.splat(1.0 / n as f32));
            let square = sum_of(
                s,
                block,
                c,
                first,
                width,
                #[inline(always)]
                |x| {
                    let d = s.sub(x, own);
                    s.mul(d, d)
                },
            );
            let (m, q) = (s.load(&means[first..]), s.load(&squares[first..]));
            let d = s.sub(own, m);
            s.store(&mut means[first..], s.fma(d, s.splat(weight), m));
            s.store(&mut squares[first..], s.add(q, s.fma(s.mul(d, d), between, square)));
        }
        before += n;
    }
    let size = c / shape.groups;
    for (g, (mean, rstd)) in mean.iter_mut().zip(rstd).enumerate() {
        let (means, squares) = (&means[g * size..][..size], &squares[g * size..][..size]);
        let m = means.iter().map(|&m| f64::from(m)).sum::<f64>() / size as f64;
        let between: f64 = means.iter().map(|&x| (f64::from(x) - m).powi(2)).sum();
        let within: f64 = squares.iter().map(|&q| f64::from(q)).sum();
        let variance = (within / shape.pixels as f64 + between) / size as f64;
        *mean = m as f32;
        *rstd = (1.0 / (variance + f64::from(shape.epsilon)).sqrt()) as f32;
    }
}

/// Sum over the pixels of a block of f(x), at the channels from `first`; four chains, so that additions overlap.
#[inline(always)]
fn sum_of<S: Simd>(s: S, block: &[f32], c: usize, first: usize, width: usize, f: impl Fn(S::V) -> S::V) -> S::V {
    let mut acc = [s.zero(); 4];
    let mut fours = block.chunks_exact(4 * c);
    for four in &mut fours {
        for (i, acc) in acc.iter_mut().enumerate() {
            *acc = s.add(*acc, f(s.load_part(&four[i * c + first..][..width])));
        }
    }
    for pixel in fours.remainder().chunks_exact(c) {
        acc[0] = s.add(acc[0], f(s.load_part(&pixel[first..][..width])));
    }
    s.add(s.add(acc[0], acc[1]), s.add(acc[2], acc[3]))
}

/// z and the normalised x as lines of x, per channel, padded to whole vectors.
struct Lines {
    channels: usize,
    /// z = x slope + start
    slope: Scratch,
    start: Scratch,
    /// (x - mean) rstd = x rstd + shift
    rstd: Scratch,
    shift: Scratch,
}

impl Lines {
    #[inline(always)]
    fn new<S: Simd>(_: S, shape: &GroupNorm, gamma: &[f32], beta: &[f32], mean: &[f32], rstd: &[f32]) -> Self {
        let c = shape.channels;
        let zeros = || Scratch::zeros(padded::<S>(c));
        let mut lines = Self { channels: c, slope: zeros(), start: zeros(), rstd: zeros(), shift: zeros() };
        for i in 0..c {
            let g = i / (c / shape.groups);
            lines.slope[i] = gamma[i] * rstd[g];
            lines.start[i] = beta[i] - mean[g] * lines.slope[i];
            lines.rstd[i] = rstd[g];
            lines.shift[i] = -mean[g] * rstd[g];
        }
        lines
    }
}

#[inline(always)]
fn apply<S: Simd>(s: S, lines: &Lines, x: &[f32], residual: Option<&[f32]>, y: &mut [f32], f: impl Fn(S::V) -> S::V) {
    let c = lines.channels;
    for (i, (x, y)) in x.chunks_exact(c).zip(y.chunks_exact_mut(c)).enumerate() {
        for first in (0..c).step_by(S::LANES) {
            let end = (first + S::LANES).min(c);
            let z = s.fma(s.load_part(&x[first..end]), s.load(&lines.slope[first..]), s.load(&lines.start[first..]));
            let mut value = f(z);
            if let Some(residual) = residual {
                value = s.add(value, s.load_part(&residual[i * c + first..i * c + end]));
            }
            s.store_part(&mut y[first..end], value);
        }
    }
}

/// dx, dgamma and dbeta from dy. The residual's gradient is dy itself.
///
/// With d = dy act'(z) and h = (x - m) rstd, dbeta = sum of d, dgamma = sum of d h, and over the N numbers of a group
/// dx = rstd (gamma d - (sum of gamma d + h sum of gamma d h) / N).
///
/// # Panics
/// If a length does not fit the shape.
#[expect(clippy::too_many_arguments, reason = "the operands of the formula")]
pub fn backward(
    shape: &GroupNorm,
    x: &[f32],
    gamma: &[f32],
    beta: &[f32],
    mean: &[f32],
    rstd: &[f32],
    dy: &[f32],
    dx: &mut [f32],
    dgamma: &mut [f32],
    dbeta: &mut [f32],
) {
    shape.check(
        &[x.len(), dy.len(), dx.len()],
        &[gamma.len(), beta.len(), dgamma.len(), dbeta.len()],
        &[mean.len(), rstd.len()],
    );
    if x.is_empty() {
        dgamma.fill(0.0);
        dbeta.fill(0.0);
        return;
    }
    let (level, image, c) = (Level::current(), shape.image(), shape.channels);
    let mut parts = Scratch::new(shape.batch * 2 * c);
    let statistics = mean.par_chunks(shape.groups).zip(rstd.par_chunks(shape.groups));
    dx.par_chunks_mut(image)
        .zip(x.par_chunks(image).zip(dy.par_chunks(image)))
        .zip(statistics.zip(parts.par_chunks_mut(2 * c)))
        .for_each(|((dx, (x, dy)), ((mean, rstd), part))| {
            simd!(level, s => {
                let lines = Lines::new(s, shape, gamma, beta, mean, rstd);
                if shape.silu {
                    first_pass(s, &lines, x, dy, dx, part, #[inline(always)] |z, dy| s.mul(dy, silu_slope(s, z)));
                } else {
                    first_pass(s, &lines, x, dy, dx, part, #[inline(always)] |_, dy| dy);
                }
                second_pass(s, shape, &lines, gamma, x, part, dx);
            });
        });
    sum_parts(&parts, 2 * c, 0, dbeta);
    sum_parts(&parts, 2 * c, c, dgamma);
}

/// Writes d to `dx`, and its sums, without and with h, to `part`.
#[inline(always)]
fn first_pass<S: Simd>(
    s: S,
    lines: &Lines,
    x: &[f32],
    dy: &[f32],
    dx: &mut [f32],
    part: &mut [f32],
    f: impl Fn(S::V, S::V) -> S::V,
) {
    let c = lines.channels;
    part.fill(0.0);
    let (sums, products) = part.split_at_mut(c);
    for ((x, dy), dx) in x.chunks(BLOCK * c).zip(dy.chunks(BLOCK * c)).zip(dx.chunks_mut(BLOCK * c)) {
        for first in (0..c).step_by(S::LANES) {
            let end = (first + S::LANES).min(c);
            let (slope, start) = (s.load(&lines.slope[first..]), s.load(&lines.start[first..]));
            let (rstd, shift) = (s.load(&lines.rstd[first..]), s.load(&lines.shift[first..]));
            let (mut sum, mut product) = (s.zero(), s.zero());
            for ((x, dy), dx) in x.chunks_exact(c).zip(dy.chunks_exact(c)).zip(dx.chunks_exact_mut(c)) {
                let x = s.load_part(&x[first..end]);
                let d = f(s.fma(x, slope, start), s.load_part(&dy[first..end]));
                sum = s.add(sum, d);
                product = s.fma(d, s.fma(x, rstd, shift), product);
                s.store_part(&mut dx[first..end], d);
            }
            for (total, more) in [(&mut *sums, sum), (&mut *products, product)] {
                let total = &mut total[first..end];
                s.store_part(total, s.add(s.load_part(total), more));
            }
        }
    }
}

/// dx from d, which it replaces: a line of d and x per channel.
#[inline(always)]
fn second_pass<S: Simd>(
    s: S,
    shape: &GroupNorm,
    lines: &Lines,
    gamma: &[f32],
    x: &[f32],
    part: &[f32],
    dx: &mut [f32],
) {
    let c = shape.channels;
    let size = c / shape.groups;
    let n = (shape.pixels * size) as f64;
    let (mut of_x, mut constant) = (Scratch::zeros(padded::<S>(c)), Scratch::zeros(padded::<S>(c)));
    for g in 0..shape.groups {
        let channels = g * size..(g + 1) * size;
        let weighted =
            |sums: &[f32]| channels.clone().map(|i| f64::from(gamma[i]) * f64::from(sums[i])).sum::<f64>() / n;
        let (sum, product) = (weighted(&part[..c]), weighted(&part[c..]));
        let (rstd, shift) = (f64::from(lines.rstd[g * size]), f64::from(lines.shift[g * size]));
        for i in channels {
            of_x[i] = (-rstd * rstd * product) as f32;
            constant[i] = (-rstd * (sum + shift * product)) as f32;
        }
    }
    for (x, dx) in x.chunks_exact(c).zip(dx.chunks_exact_mut(c)) {
        for first in (0..c).step_by(S::LANES) {
            let end = (first + S::LANES).min(c);
            let line = s.fma(s.load_part(&x[first..end]), s.load(&of_x[first..]), s.load(&constant[first..]));
            let d = s.load_part(&dx[first..end]);
            s.store_part(&mut dx[first..end], s.fma(d, s.load(&lines.slope[first..]), line));
        }
    }
}
