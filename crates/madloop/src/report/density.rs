//! Two-dimensional densities: heat maps, and the contours of the real law over them and over scatter plots.

use madloop_core::{Generator, Result, Samples, Seeds, Shape};
use rayon::prelude::*;

use super::picture::Bounds;
use crate::data::Known;

/// What every picture of a two-dimensional run shows beside its samples.
#[derive(Debug, Clone, Copy)]
pub struct Scene {
    /// The window.
    pub window: Bounds,
    /// The real law, where it is known: its contours are drawn.
    pub truth: Option<Known>,
    /// Whether the models know their density: then it is drawn as a heat map.
    pub density: bool,
}

/// Shares of the real law that its contours enclose.
const SHARES: [f64; 3] = [0.5, 0.9, 0.99];
/// Colours of the heat map from no density to the greatest.
const COLOURS: [[f32; 3]; 5] =
    [[255.0, 255.0, 255.0], [198.0, 219.0, 239.0], [107.0, 174.0, 214.0], [33.0, 113.0, 181.0], [8.0, 40.0, 90.0]];
const CONTOUR: [f32; 3] = [196.0, 78.0, 22.0];

impl Scene {
    /// Points of a `side` x `side` raster from the top left, row by row, as samples.
    fn raster(&self, side: usize) -> Result<Samples> {
        let at = |pixel: usize, (low, high): (f64, f64)| low + (high - low) * pixel as f64 / (side - 1) as f64;
        let values = (0..side * side).flat_map(|pixel| {
            let (x, y) = (at(pixel % side, self.window.x), at(side - 1 - pixel / side, self.window.y));
            [x as f32, y as f32]
        });
        Samples::from_f32(Shape::vector(2), values.collect())
    }

    /// ln p of the real law on the raster.
    fn truth_on(&self, side: usize) -> Option<Vec<f64>> {
        let known = self.truth.filter(|known| known.contour(0.5).is_some())?;
        let values = self.raster(side).ok()?.to_f32();
        Some(values.par_chunks_exact(2).map(|x| known.log_density(x)).collect())
    }

    /// Draws the contours that hold 50, 90 and 99 % of the real law over an RGB canvas of `side` x `side`.
    pub(super) fn draw_contours(&self, canvas: &mut [u8], side: usize) {
        let (Some(known), Some(field)) = (self.truth, self.truth_on(side)) else { return };
        for share in SHARES {
            let Some(level) = known.contour(share) else { return };
            for (pixel, rgb) in canvas.chunks_exact_mut(3).enumerate() {
                let cover = cover(&field, side, pixel, level);
                for (value, ink) in rgb.iter_mut().zip(CONTOUR) {
                    *value = (f32::from(*value) * (1.0 - cover) + ink * cover).round() as u8;
                }
            }
        }
    }

    /// The heat map of a model's density (without a model: of the real law), with the contours of the real law: an RGB canvas of `side` x
    /// `side`. `None` where neither is known.
    pub(super) fn heat_map(&self, model: Option<&dyn Generator>, side: usize) -> Result<Option<Vec<u8>>> {
        // A density is smooth beside pixels: every other one is enough, and what lies between is drawn through.
        let half = side / 2;
        let field = match model {
            Some(model) => model.log_likelihood(&self.raster(half)?, Seeds::new(0))?,
            None => self.truth_on(half),
        };
        let Some(field) = field else { return Ok(None) };
        // All generations of a run share the real law's scale, so that they can be compared; without one each has its own.
        let greatest = match self.truth.and_then(|known| known.contour(0.0)) {
            Some(greatest) => greatest,
            None => field.iter().copied().filter(|v| v.is_finite()).fold(f64::NEG_INFINITY, f64::max),
        };
        let mut canvas = vec![255; side * side * 3];
        for (pixel, rgb) in canvas.chunks_exact_mut(3).enumerate() {
            let log_density = between(&field, half, [pixel % side, pixel / side], side);
            // The root shows tails; what is denser than the real law's mode is black.
            let share = (0.5 * (log_density - greatest)).exp().min(1.2) as f32;
            rgb.copy_from_slice(&ramp(share));
        }
        self.draw_contours(&mut canvas, side);
        Ok(Some(canvas))
    }
}

/// The value of a `half` x `half` field at a pixel of a `side` x `side` canvas over the same window.
fn between(field: &[f64], half: usize, pixel: [usize; 2], side: usize) -> f64 {
    let [(x, right), (y, down)] = pixel.map(|at| {
        let at = at as f64 * (half - 1) as f64 / (side - 1) as f64;
        let low = (at as usize).min(half - 2);
        (low, at - low as f64)
    });
    let row = |y: usize| field[y * half + x] * (1.0 - right) + field[y * half + x + 1] * right;
    row(y) * (1.0 - down) + row(y + 1) * down
}

/// How much of a pixel a contour covers: by its distance from it, to first order.
fn cover(field: &[f64], side: usize, pixel: usize, level: f64) -> f32 {
    const WIDTH: f64 = 1.1;
    let (x, y) = (pixel % side, pixel / side);
    let at = |x: usize, y: usize| field[y * side + x];
    let slope = |low: f64, high: f64, steps: usize| (high - low) / steps as f64;
    let (left, right) = (x.saturating_sub(1), (x + 1).min(side - 1));
    let (up, down) = (y.saturating_sub(1), (y + 1).min(side - 1));
    let gradient = slope(at(left, y), at(right, y), right - left).hypot(slope(at(x, up), at(x, down), down - up));
    let distance = (at(x, y) - level).abs() / gradient.max(1e-12);
    (0.5 * WIDTH + 0.5 - distance).clamp(0.0, 1.0) as f32
}

/// The colour of a share of the greatest density, from 0; above 1 it goes on to black.
fn ramp(share: f32) -> [u8; 3] {
    if share.is_nan() {
        return [255; 3];
    }
    if share > 1.0 {
        return COLOURS[4].map(|v| (v * (1.2 - share) / 0.2).clamp(0.0, 255.0) as u8);
    }
    let at = share.max(0.0) * (COLOURS.len() - 1) as f32;
    let low = (at as usize).min(COLOURS.len() - 2);
    let part = at - low as f32;
    std::array::from_fn(|c| (COLOURS[low][c] * (1.0 - part) + COLOURS[low + 1][c] * part).round() as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scene() -> Scene {
        let window = Bounds { x: (-4.0, 4.0), y: (-4.0, 4.0) };
        Scene { window, truth: Some(Known::StandardGaussian { dim: 2 }), density: true }
    }

    #[test]
    fn contours_lie_where_the_law_has_them() {
        const SIDE: usize = 321;
        let mut canvas = vec![255; SIDE * SIDE * 3];
        scene().draw_contours(&mut canvas, SIDE);
        // From the centre to the right: radius sqrt(-2 ln(1 - share)), 40 pixels a unit.
        for share in SHARES {
            let x = 160.0 + 40.0 * (-2.0 * (1.0 - share).ln()).sqrt();
            let red = |x: usize| canvas[(160 * SIDE + x) * 3 + 2] < 120;
            assert!(red(x.round() as usize), "{share}");
            assert!(!red(x as usize + 5) && !red(x as usize - 5), "{share}");
        }
    }

    #[test]
    fn heat_follows_the_density() {
        let map = scene().heat_map(None, 320).expect("no model").expect("a known law");
        let sum = |x: usize, y: usize| map[(y * 320 + x) * 3..][..3].iter().map(|&v| u32::from(v)).sum::<u32>();
        assert!(sum(160, 160) < 160 && sum(10, 10) > 755 && sum(160, 130) > sum(160, 150));
        let none = Scene { truth: None, ..scene() };
        assert_eq!(none.heat_map(None, 320).expect("no model"), None);
        assert_eq!(ramp(0.0), [255; 3]);
        assert_eq!((ramp(f32::NAN), ramp(1.2)), ([255; 3], [0; 3]));
    }
}
