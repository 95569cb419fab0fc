//! What style-based layers do to every number: a factor for each image and channel; noise, bias and rectifier.
//!
//! Images are `[batch, pixels, channels]`. Sums over pixels are taken image by image, so that they do not depend on the number of
//! threads.

use super::scratch::Scratch;
use super::simd::{Level, simd};
use rayon::prelude::*;

/// The root of 2, by which the rectifier is scaled.
const GAIN: f32 = std::f32::consts::SQRT_2;

/// Pixels a job.
fn pixels_a_job(channels: usize) -> usize {
    (1_usize << 14_u32.saturating_sub(channels.ilog2())).max(16)
}

/// `[batch, pixels, channels]` of images with a factor for each image and channel.
fn check(images: &[usize], per_image: &[usize], c: usize) -> usize {
    let (len, factors) = (images[0], per_image[0]);
    assert!(c > 0 && factors.is_multiple_of(c), "{factors} factors of {c} channels");
    assert!(images.iter().all(|&n| n == len) && per_image.iter().all(|&n| n == factors), "lengths of styled images");
    assert!(len == 0 || (factors > 0 && len.is_multiple_of(factors)), "{len} numbers for {factors} factors");
    len.checked_div(factors).unwrap_or(0)
}

/// `y[b, p, c] = x[b, p, c] scale[b, c]`.
///
/// # Panics
/// If lengths do not fit.
pub fn modulate(channels: usize, x: &[f32], scale: &[f32], y: &mut [f32]) {
    let pixels = check(&[x.len(), y.len()], &[scale.len()], channels);
    if x.is_empty() {
        return;
    }
    let (level, c) = (Level::current(), channels);
    let job = pixels_a_job(c).min(pixels) * c;
    let images = y.par_chunks_mut(pixels * c).zip(x.par_chunks(pixels * c)).zip(scale.par_chunks(c));
    images.for_each(|((y, x), scale)| {
        y.par_chunks_mut(job).zip(x.par_chunks(job)).for_each(|(y, x)| {
            simd!(level, s => {
                let _ = s;
                for (y, x) in y.chunks_exact_mut(c).zip(x.chunks_exact(c)) {
                    for ((y, x), scale) in y.iter_mut().zip(x).zip(scale) {
                        *y = x * scale;
                    }
                }
            });
        });
    });
}

/// `dscale[b, c]` = sum over p of dy x; and `dx = dy scale` where it is wanted.
///
/// # Panics
/// If lengths do not fit.
pub fn modulate_gradient(
    channels: usize,
    x: &[f32],
    scale: &[f32],
    dy: &[f32],
    dx: Option<&mut [f32]>,
    dscale: &mut [f32],
) {
    let given = dx.as_ref().map_or(x.len(), |dx| dx.len());
    let pixels = check(&[x.len(), dy.len(), given], &[scale.len(), dscale.len()], channels);
    dscale.fill(0.0);
    if x.is_empty() {
        return;
    }
    let (level, c) = (Level::current(), channels);
    let image = pixels * c;
    let images = dscale.par_chunks_mut(c).zip(scale.par_chunks(c)).zip(x.par_chunks(image).zip(dy.par_chunks(image)));
    match dx {
        None => images.for_each(|((sum, _), (x, dy))| {
            simd!(level, s => {
                let _ = s;
                for (x, dy) in x.chunks_exact(c).zip(dy.chunks_exact(c)) {
                    for ((sum, x), dy) in sum.iter_mut().zip(x).zip(dy) {
                        *sum += x * dy;
                    }
                }
            });
        }),
        Some(dx) => images.zip(dx.par_chunks_mut(image)).for_each(|(((sum, scale), (x, dy)), dx)| {
            simd!(level, s => {
                let _ = s;
                for ((x, dy), dx) in x.chunks_exact(c).zip(dy.chunks_exact(c)).zip(dx.chunks_exact_mut(c)) {
                    for (((sum, x), (dy, dx)), scale) in sum.iter_mut().zip(x).zip(dy.iter().zip(dx)).zip(scale) {
                        *sum += x * dy;
                        *dx = dy * scale;
                    }
                }
            });
        }),
    }
}

/// What [`activate`] adds to each pixel: the noise, and its strength.
#[derive(Clone, Copy, Debug)]
pub struct Noise<'a> {
    /// `[batch, pixels]`
    pub values: &'a [f32],
    /// A factor for all of them.
    pub strength: f32,
}

/// `y = sqrt(2) r(x[b, p, c] scale[b, c] + strength noise[b, p] + bias[c])` in place of x, where r(z) = z above 0 and slope z elsewhere.
///
/// # Panics
/// If lengths do not fit.
pub fn activate(slope: f32, scale: &[f32], noise: Noise<'_>, bias: &[f32], x: &mut [f32]) {
    let c = bias.len();
    let pixels = check(&[x.len()], &[scale.len()], c);
    assert!(noise.values.len() * c == x.len(), "the noise's length");
    if x.is_empty() {
        return;
    }
    let level = Level::current();
    let job = pixels_a_job(c).min(pixels);
    x.par_chunks_mut(pixels * c).zip(scale.par_chunks(c)).enumerate().for_each(|(image, (x, scale))| {
        x.par_chunks_mut(job * c).enumerate().for_each(|(part, x)| {
            let first = image * pixels + part * job;
            simd!(level, s => {
                let _ = s;
                for (at, x) in x.chunks_exact_mut(c).enumerate() {
                    let more = noise.strength * noise.values[first + at];
                    for ((x, scale), bias) in x.iter_mut().zip(scale).zip(bias) {
                        let z = *x * scale + (bias + more);
                        *x = GAIN * if z > 0.0 { z } else { slope * z };
                    }
                }
            });
        });
    });
}

/// Gradients of [`activate`], of its output: `dx` in place of dy, `dscale`, `dbias` and that of the strength, which is returned. Scales are not
/// 0. x is not needed: where the rectifier's output is y, x scale is y over its slope, less noise and bias.
///
/// # Panics
/// If lengths do not fit.
#[expect(clippy::too_many_arguments, reason = "the operands of the formula")]
pub fn activate_gradient(
    slope: f32,
    y: &[f32],
    scale: &[f32],
    noise: Noise<'_>,
    bias: &[f32],
    dy: &mut [f32],
    dscale: &mut [f32],
    dbias: &mut [f32],
) -> f32 {
    let c = bias.len();
    let pixels = check(&[y.len(), dy.len()], &[scale.len(), dscale.len()], c);
    assert!(noise.values.len() * c == y.len(), "the noise's length");
    assert_eq!(dbias.len(), c, "the bias gradient's length");
    dbias.fill(0.0);
    dscale.fill(0.0);
    if y.is_empty() {
        return 0.0;
    }
    let level = Level::current();
    // Of each image: sums over pixels of the gradient before the rectifier, alone and times the noise.
    let mut sums = Scratch::zeros(2 * scale.len());
    let images = dy.par_chunks_mut(pixels * c).zip(y.par_chunks(pixels * c)).zip(scale.par_chunks(c));
    let sums_of = sums.par_chunks_mut(2 * c).zip(dscale.par_chunks_mut(c));
    images.zip(sums_of).enumerate().for_each(|(image, (((dy, y), scale), (sums, dscale)))| {
        let (plain, noisy) = sums.split_at_mut(c);
        simd!(level, s => {
            let _ = s;
            for (at, (dy, y)) in dy.chunks_exact_mut(c).zip(y.chunks_exact(c)).enumerate() {
                let value = noise.values[image * pixels + at];
                let of_y = dy.iter_mut().zip(y).zip(scale);
                let of_sums = plain.iter_mut().zip(noisy.iter_mut()).zip(dscale.iter_mut());
                for (((dy, y), scale), ((plain, noisy), along)) in of_y.zip(of_sums) {
                    let slope = if *y > 0.0 { GAIN } else { slope * GAIN };
                    let dz = *dy * slope;
                    *plain += dz;
                    *noisy += dz * value;
                    // dz z = dy y
                    *along += *dy * y;
                    *dy = dz * scale;
                }
            }
        });
        for (at, dscale) in dscale.iter_mut().enumerate() {
            *dscale = (*dscale - noise.strength * noisy[at] - bias[at] * plain[at]) / scale[at];
        }
    });
    let mut of_strength = 0.0;
    for sums in sums.chunks_exact(2 * c) {
        for (dbias, plain) in dbias.iter_mut().zip(sums) {
            *dbias += plain;
        }
        of_strength += sums[c..].iter().sum::<f32>();
    }
    of_strength
}
