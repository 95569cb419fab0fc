//! The Sinkhorn divergence: entropic transport, debiased.

use std::ops::Range;

use madloop_core::Features;
use rayon::prelude::*;

use crate::error::{check_pair, check_rows};
use crate::exp::{exp, vectorised};
use crate::gram::{Block, Rows};
use crate::tiles::ranges;
use crate::{MetricsError, Result};

/// geomloss's default blur.
pub const SINKHORN_BLUR: f64 = 0.05;
/// geomloss's default scaling.
pub const SINKHORN_SCALING: f64 = 0.5;
/// Rows of a block.
const ROWS: usize = 64;
/// Columns of a block.
const COLUMNS: usize = 512;
/// Inner products held from one step to the next when there are no more of them: 256 MiB.
const HELD: usize = 1 << 25;
/// Interleaved sums of a row.
const LANES: usize = 16;

/// The Sinkhorn divergence of two sets (`[n, d]` and `[m, d]`), in squared units of the features: about W_2^2 / 2.
///
/// S_eps(a, b) = OT_eps(a, b) - OT_eps(a, a) / 2 - OT_eps(b, b) / 2 with the cost |x - y|^2 / 2, samples weighing 1 / n and
/// 1 / m and eps = `blur`^2 (Feydy et al. 2019, arXiv:1810.08278, equation 3), as geomloss computes it: `SamplesLoss("sinkhorn",
/// p=2, blur=.05, scaling=.5)`. The temperature falls from diameter^2 by `scaling`^2 a step to blur^2, one averaged,
/// simultaneous update of all potentials a step (Feydy 2020, "Geometric data analysis, beyond convolutions", algorithm
/// 3.5), then one step without averaging; the value is <f_ba - f_aa, a> + <g_ab - g_bb, b>. The steps are not run
/// to convergence: a `scaling` nearer 1 comes closer to it.
///
/// `blur` is a length in units of the features, below which transport is not resolved: .05 suits sets of unit size.
/// Memory is O(n + m) beyond blocks, or up to 256 MiB of inner products that are held; time is (n + m)^2 (steps + 2)
/// exponentials, and as many times d multiplications where the products are not held. Range: at convergence \[0, inf);
/// exactly 0 for equal sets in the same order.
///
/// # Errors
/// Undefined for an empty set or values that are not finite; an error when the dimensions differ, blur is not positive
/// or scaling not between 0 and 1.
pub fn sinkhorn(real: &Features, generated: &Features, blur: f64, scaling: f64) -> Result<f64> {
    check_pair(real, generated)?;
    check_rows(real, "real", 1, "it has no mass to move")?;
    check_rows(generated, "generated", 1, "it has no mass to move")?;
    if !(blur * blur > 0.0 && (blur * blur).is_finite() && blur > 0.0) {
        return Err(MetricsError::Setting { name: "blur", value: blur, must: "more than 0 and finite, as its square" });
    }
    if !(scaling > 0.0 && scaling < 1.0) {
        return Err(MetricsError::Setting { name: "scaling", value: scaling, must: "more than 0 and less than 1" });
    }
    let diameter = diameter(real, generated);
    if diameter == 0.0 {
        return Ok(0.0);
    }
    // Potentials do not depend on the centre; products about it lose fewer digits.
    let centre = Rows::all(real).mean();
    let (x, y) = (Cloud::new(real, &centre), Cloud::new(generated, &centre));
    let temperatures = temperatures(diameter, blur, scaling);
    let held = (x.log_weights.len() + y.log_weights.len()).saturating_pow(2) <= HELD;
    let [aa, bb, ab, ba] = potentials([(&x, &x), (&y, &y), (&y, &x), (&x, &y)], &temperatures, held);
    let mean_difference = |f: &[f64], g: &[f64]| f.iter().zip(g).map(|(f, g)| f - g).sum::<f64>() / f.len() as f64;
    Ok(mean_difference(&ba, &aa) + mean_difference(&ab, &bb))
}

/// The diagonal of the box around both sets.
fn diameter(real: &Features, generated: &Features) -> f64 {
    let mut least: Vec<f32> = real.row(0).to_vec();
    let mut most = least.clone();
    for row in real.values.chunks_exact(real.dim).chain(generated.values.chunks_exact(real.dim)) {
        for ((least, most), &value) in least.iter_mut().zip(&mut most).zip(row) {
            (*least, *most) = (least.min(value), most.max(value));
        }
    }
    let side = |(&least, &most): (&f32, &f32)| f64::from(most) - f64::from(least);
    least.iter().zip(&most).map(|pair| side(pair) * side(pair)).sum::<f64>().sqrt()
}

/// diameter^2, then from diameter^2 down by scaling^2 while above blur^2, then blur^2.
fn temperatures(diameter: f64, blur: f64, scaling: f64) -> Vec<f64> {
    let (from, to, step) = (2.0 * diameter.ln(), 2.0 * blur.ln(), 2.0 * scaling.ln());
    let count = ((to - from) / step).ceil().max(0.0) as usize;
    // Spaced as numpy's arange does it.
    let step = (from + step) - from;
    let mut temperatures = vec![diameter * diameter];
    temperatures.extend((0..count).map(|i| (from + i as f64 * step).exp()));
    temperatures.push(blur * blur);
    temperatures
}

/// One set's rows about the centre.
struct Cloud<'a> {
    rows: Rows<'a>,
    half_norms: Vec<f64>,
    log_weights: Vec<f64>,
}

impl<'a> Cloud<'a> {
    fn new(set: &'a Features, centre: &'a [f64]) -> Self {
        let rows = Rows::all(set).about(centre);
        let half_norms = rows.squared_norms().into_iter().map(|norm| 0.5 * norm).collect();
        Self { rows, half_norms, log_weights: vec![-(set.rows as f64).ln(); set.rows] }
    }
}

/// The potentials f_aa, g_bb, g_ab and f_ba of the four problems, given as (potential's set, the other set).
fn potentials(problems: [(&Cloud<'_>, &Cloud<'_>); 4], temperatures: &[f64], held: bool) -> [Vec<f64>; 4] {
    let problems = problems.map(|(on, over)| Problem::new(on, over, held));
    // The potential on the other side: its own for a set against itself.
    const OTHER: [usize; 4] = [0, 1, 3, 2];
    let step = |potentials: Option<&[Vec<f64>; 4]>, temperature: f64| -> [Vec<f64>; 4] {
        std::array::from_fn(|p| {
            problems[p].soft_min(temperature, potentials.map(|potentials| potentials[OTHER[p]].as_slice()))
        })
    };
    let mut now = step(None, temperatures[0]);
    for &temperature in temperatures {
        let next = step(Some(&now), temperature);
        for (now, next) in now.iter_mut().zip(&next) {
            now.iter_mut().zip(next).for_each(|(now, next)| *now = 0.5 * (*now + next));
        }
    }
    step(Some(&now), temperatures[temperatures.len() - 1])
}

/// The soft minimum over the columns of a cost matrix.
struct Problem<'a> {
    on: &'a Cloud<'a>,
    over: &'a Cloud<'a>,
    /// The inner products of each band of rows, blocks of columns one after the other.
    held: Option<Vec<Vec<f64>>>,
}

impl<'a> Problem<'a> {
    fn new(on: &'a Cloud<'a>, over: &'a Cloud<'a>, held: bool) -> Self {
        let bands: Vec<_> = ranges(on.rows.len(), ROWS).collect();
        let held = held.then(|| {
            let products = |block: &mut Block, band: Range<usize>| -> Vec<f64> {
                let mut held = Vec::with_capacity(band.len() * over.rows.len());
                for columns in ranges(over.rows.len(), COLUMNS) {
                    held.extend_from_slice(block.products(on.rows, band.clone(), over.rows, columns));
                }
                held
            };
            bands.into_par_iter().map_init(Block::default, products).collect()
        });
        Self { on, over, held }
    }

    /// -eps ln sum_j exp(h_j - C_ij / eps) for each row i, h_j = ln b_j + g_j / eps; g = 0 if there is none.
    fn soft_min(&self, temperature: f64, potential: Option<&[f64]>) -> Vec<f64> {
        let inverse = 1.0 / temperature;
        // C_ij = |x_i|^2 / 2 + |y_j|^2 / 2 - x_i.y_j: what depends on j alone joins h.
        let mut h: Vec<f64> = self.over.log_weights.clone();
        for (h, norm) in h.iter_mut().zip(&self.over.half_norms) {
            *h -= norm * inverse;
        }
        if let Some(potential) = potential {
            h.iter_mut().zip(potential).for_each(|(h, g)| *h += g * inverse);
        }
        let bands: Vec<_> = ranges(self.on.rows.len(), ROWS).enumerate().collect();
        let soft_min = |(block, z): &mut (Block, Vec<f64>), (at, band): (usize, Range<usize>)| {
            let mut sums = vec![LogSum::EMPTY; band.len()];
            let mut start = 0;
            for columns in ranges(h.len(), COLUMNS) {
                let size = band.len() * columns.len();
                let products: &[f64] = match &self.held {
                    Some(held) => &held[at][start..start + size],
                    None => block.products(self.on.rows, band.clone(), self.over.rows, columns.clone()),
                };
                start += size;
                let h = &h[columns];
                z.resize(h.len(), 0.0);
                vectorised(
                    #[inline(always)]
                    || {
                        for (sum, products) in sums.iter_mut().zip(products.chunks_exact(h.len())) {
                            sum.add(products, inverse, h, z);
                        }
                    },
                );
            }
            let norms = &self.on.half_norms[band];
            sums.iter().zip(norms).map(|(sum, norm)| norm - temperature * sum.ln()).collect::<Vec<f64>>()
        };
        let bands: Vec<Vec<f64>> =
            bands.into_par_iter().map_init(|| (Block::default(), Vec::new()), soft_min).collect();
        bands.concat()
    }
}

/// The logarithm of a sum of exponentials: `sum` times e^`largest`.
#[derive(Clone, Copy)]
struct LogSum {
    largest: f64,
    sum: f64,
}

impl LogSum {
    const EMPTY: Self = Self { largest: f64::NEG_INFINITY, sum: 0.0 };

    /// Adds exp(products * scale + h), with `z` (as long as they are) as scratch memory.
    #[inline(always)]
    fn add(&mut self, products: &[f64], scale: f64, h: &[f64], z: &mut [f64]) {
        let mut lanes = [self.largest; LANES];
        for ((z, &product), &h) in z.iter_mut().zip(products).zip(h) {
            *z = product * scale + h;
        }
        let chunks = z.chunks_exact(LANES);
        let rest = chunks.remainder().iter().copied().fold(self.largest, f64::max);
        for chunk in chunks {
            for (lane, &z) in lanes.iter_mut().zip(chunk) {
                *lane = if z > *lane { z } else { *lane };
            }
        }
        let largest = lanes.into_iter().fold(rest, f64::max);
        let mut lanes = [0.0; LANES];
        let chunks = z.chunks_exact(LANES);
        let rest: f64 = chunks.remainder().iter().map(|&z| exp(z - largest)).sum();
        for chunk in chunks {
            for (lane, &z) in lanes.iter_mut().zip(chunk) {
                *lane += exp(z - largest);
            }
        }
        // exp(-inf) is 3e-308 here: the empty sum of 0 stays 0.
        self.sum = self.sum * exp(self.largest - largest) + (lanes.into_iter().sum::<f64>() + rest);
        self.largest = largest;
    }

    fn ln(&self) -> f64 {
        self.largest + self.sum.ln()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{gaussian, in_pool, lattice};

    /// The same iteration on dense matrices, written as the definition reads.
    fn naive(x: &Features, y: &Features, blur: f64, scaling: f64) -> f64 {
        let cost = |x: &Features, y: &Features| -> Vec<Vec<f64>> {
            let entry = |i: usize, j: usize| 0.5 * crate::cloud::squared_distance(x.row(i), y.row(j));
            (0..x.rows).map(|i| (0..y.rows).map(|j| entry(i, j)).collect()).collect()
        };
        let soft_min = |eps: f64, cost: &[Vec<f64>], g: &[f64]| -> Vec<f64> {
            let log_weight = -(g.len() as f64).ln();
            let row = |row: &Vec<f64>| {
                let z: Vec<f64> = row.iter().zip(g).map(|(c, g)| log_weight + (g - c) / eps).collect();
                let top = z.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                -eps * (top + z.iter().map(|z| (z - top).exp()).sum::<f64>().ln())
            };
            cost.iter().map(row).collect()
        };
        let average = |f: &[f64], g: &[f64]| f.iter().zip(g).map(|(f, g)| 0.5 * (f + g)).collect::<Vec<f64>>();
        let (xx, yy, xy, yx) = (cost(x, x), cost(y, y), cost(x, y), cost(y, x));
        let schedule = temperatures(diameter(x, y), blur, scaling);
        let (zero_x, zero_y) = (vec![0.0; x.rows], vec![0.0; y.rows]);
        let eps = schedule[0];
        let (mut aa, mut bb) = (soft_min(eps, &xx, &zero_x), soft_min(eps, &yy, &zero_y));
        let (mut ab, mut ba) = (soft_min(eps, &yx, &zero_x), soft_min(eps, &xy, &zero_y));
        for &eps in &schedule {
            let (next_ba, next_ab) = (soft_min(eps, &xy, &ab), soft_min(eps, &yx, &ba));
            (aa, bb) = (average(&aa, &soft_min(eps, &xx, &aa)), average(&bb, &soft_min(eps, &yy, &bb)));
            (ba, ab) = (average(&ba, &next_ba), average(&ab, &next_ab));
        }
        let eps = blur * blur;
        let (last_ba, last_ab) = (soft_min(eps, &xy, &ab), soft_min(eps, &yx, &ba));
        let (last_aa, last_bb) = (soft_min(eps, &xx, &aa), soft_min(eps, &yy, &bb));
        let mean = |f: &[f64], g: &[f64]| f.iter().zip(g).map(|(f, g)| f - g).sum::<f64>() / f.len() as f64;
        mean(&last_ba, &last_aa) + mean(&last_ab, &last_bb)
    }

    #[test]
    fn it_is_the_dense_iteration() {
        for (n, m, d, shift) in
            [(1, 1, 1, 0.0), (70, 33, 3, 0.4), (40, 530, 2, 0.0), (20, 30, 600, 1.0), (50, 60, 2, 500.0)]
        {
            let (x, y) = (gaussian(1, n, d, shift), gaussian(2, m, d, 1.1 * shift));
            for (blur, scaling) in [(0.05, 0.5), (0.3, 0.8)] {
                let (value, expected) =
                    (sinkhorn(&x, &y, blur, scaling).expect("defined"), naive(&x, &y, blur, scaling));
                assert!((value - expected).abs() < 1e-10 * expected.abs().max(1.0), "{n} {m} {d}: {value} {expected}");
            }
        }
        let (x, y) = (lattice(1, 90, 2), lattice(2, 80, 2));
        let (value, expected) = (sinkhorn(&x, &y, 0.05, 0.5).expect("defined"), naive(&x, &y, 0.05, 0.5));
        assert!((value - expected).abs() < 1e-12, "{value} {expected}");
    }

    #[test]
    fn streaming_changes_no_bit() {
        let (x, y) = (gaussian(3, 150, 7, 0.0), gaussian(4, 700, 7, 0.5));
        let centre = Rows::all(&x).mean();
        let (x, y) = (Cloud::new(&x, &centre), Cloud::new(&y, &centre));
        let of = |held| potentials([(&x, &x), (&y, &y), (&y, &x), (&x, &y)], &[9.0, 1.0, 0.1], held);
        assert_eq!(of(true), of(false));
    }

    #[test]
    fn two_points_are_at_half_their_square() {
        let point = |values: [f32; 2]| Features { rows: 1, dim: 2, values: values.to_vec() };
        for blur in [0.05, 3.0, 100.0] {
            let value = sinkhorn(&point([1.0, 2.0]), &point([4.0, 6.0]), blur, 0.5).expect("defined");
            assert!((value - 12.5).abs() < 1e-12, "{value}");
            assert_eq!(sinkhorn(&point([1.0, 2.0]), &point([1.0, 2.0]), blur, 0.5), Ok(0.0));
        }
    }

    #[test]
    fn a_translation_costs_half_its_square() {
        // Exact for the divergence; what remains is the iteration's distance from convergence.
        let x = gaussian(5, 200, 3, 0.0);
        let y = Features { values: x.values.iter().map(|v| v + 1.0).collect(), ..x.clone() };
        let loose = sinkhorn(&x, &y, 0.5, 0.5).expect("defined");
        let tight = sinkhorn(&x, &y, 0.5, 0.98).expect("defined");
        assert!((loose - 1.5).abs() < 0.02 && (tight - 1.5).abs() < 1e-3, "{loose} {tight}");
        assert_eq!(sinkhorn(&x, &x, 0.05, 0.5), Ok(0.0));
    }

    #[test]
    fn a_small_blur_comes_to_half_the_transport() {
        let (x, y) = (gaussian(6, 60, 2, 0.0), gaussian(7, 60, 2, 2.0));
        let value = sinkhorn(&x, &y, 0.01, 0.97).expect("defined");
        let exact = 0.5 * crate::w2_sq(&x, &y).expect("defined");
        assert!((value / exact - 1.0).abs() < 5e-3, "{value} {exact}");
        let back = sinkhorn(&y, &x, 0.01, 0.97).expect("defined");
        assert!((value - back).abs() < 1e-10);
    }

    #[test]
    fn the_schedule_is_that_of_geomloss() {
        // [1] + exp(arange(0, 2 ln .05, 2 ln .5)) + [.0025]
        let schedule = temperatures(1.0, 0.05, 0.5);
        let expected = [1.0, 1.0, 0.25, 0.0625, 0.015_625, 0.003_906_25, 0.0025];
        assert_eq!(schedule.len(), expected.len());
        assert!(schedule.iter().zip(expected).all(|(a, b)| (a / b - 1.0).abs() < 1e-14));
        // A blur beyond the diameter: its steps alone.
        assert_eq!(temperatures(2.0, 3.0, 0.5), [4.0, 9.0]);
    }

    #[test]
    fn misuse_and_empty_sets_are_errors() {
        let x = gaussian(1, 5, 2, 0.0);
        for (blur, scaling) in [(0.0, 0.5), (-1.0, 0.5), (f64::NAN, 0.5), (1e-200, 0.5), (0.05, 1.0), (0.05, 0.0)] {
            assert!(!sinkhorn(&x, &x, blur, scaling).expect_err("out of range").is_undefined());
        }
        let empty = Features { rows: 0, dim: 2, values: vec![] };
        assert!(sinkhorn(&x, &empty, 0.05, 0.5).expect_err("empty").is_undefined());
        let far = Features { rows: 2, dim: 2, values: vec![f32::MAX; 4] };
        assert!(sinkhorn(&x, &far, 0.05, 0.5).expect("defined").is_finite());
    }

    #[test]
    fn threads_change_no_bit() {
        let (x, y) = (gaussian(8, 300, 5, 0.0), gaussian(9, 130, 5, 0.1));
        let of = |threads| in_pool(threads, || sinkhorn(&x, &y, 0.05, 0.5));
        assert_eq!(of(1), of(3));
    }
}
