//! Nearest neighbours by tiles: products rule pairs out, direct sums decide.
//!
//! The squared distance |x|^2 + |y|^2 - 2 x.y of a block of pairs comes from one matrix product, about the mean of
//! a set and in f64, with a bound on its rounding. A pair whose lower bound is above the limit in
//! question is ruled out, one whose upper bound is below it is ruled in, and every other pair is computed directly
//! as sum (x - y)^2. Each comparison thus has the outcome that direct sums have, whose bits depend on the two rows
//! alone: identical rows are at exactly 0, d(x, y) = d(y, x), equal distances are equal, and tile size and
//! threads change nothing. Memory is O(n k + tile^2).

use std::ops::Range;

use madloop_core::Features;
use rayon::prelude::*;

use crate::tiles::{Scratch, Tiles, ranges};

/// Pairs looked at together.
const LANES: usize = 16;

/// A set with the squared norms of its rows about a centre.
pub(crate) struct Cloud<'a> {
    pub(crate) set: &'a Features,
    centre: &'a [f64],
    /// Squared norms, each lowered by the rounding that a product with this row can have.
    low_norms: Vec<f64>,
    /// What makes a lower bound an upper one, of each row.
    widths: Vec<f64>,
}

impl<'a> Cloud<'a> {
    /// `set` about `centre` (`[d]`).
    pub(crate) fn new(set: &'a Features, centre: &'a [f64]) -> Self {
        // Norms and product of d terms err by at most d eps (|x|^2 + |y|^2) each, centring by 4 eps, and
        // the direct sum by 2 (d + 3) eps of that; eps here is twice the unit roundoff.
        let error = (4 * set.dim + 16) as f64 * f64::EPSILON;
        let norm = |row| -> f64 {
            let row: &[f32] = set.row(row);
            row.iter().zip(centre).map(|(&v, &c)| (f64::from(v) - c) * (f64::from(v) - c)).sum()
        };
        let norms: Vec<f64> = (0..set.rows).into_par_iter().with_min_len(256).map(norm).collect();
        let low_norms = norms.iter().map(|norm| (1.0 - error) * norm).collect();
        let widths = norms.iter().map(|norm| 2.0 * error * norm).collect();
        Self { set, centre, low_norms, widths }
    }
}

/// |x - y|^2, summed directly in f64: exact zero for equal rows and symmetric in its arguments.
pub(crate) fn squared_distance(x: &[f32], y: &[f32]) -> f64 {
    let square = |(&x, &y): (&f32, &f32)| {
        let difference = f64::from(x) - f64::from(y);
        difference * difference
    };
    let mut sums = [0.0; 8];
    let (xs, ys) = (x.chunks_exact(8), y.chunks_exact(8));
    let rest: f64 = xs.remainder().iter().zip(ys.remainder()).map(square).sum();
    for (x, y) in xs.zip(ys) {
        for (sum, pair) in sums.iter_mut().zip(x.iter().zip(y)) {
            *sum += square(pair);
        }
    }
    sums.iter().sum::<f64>() + rest
}

/// The k smallest values seen, ascending.
struct Smallest {
    k: usize,
    values: Vec<f64>,
}

impl Smallest {
    fn new(k: usize) -> Self {
        Self { k, values: Vec::with_capacity(k) }
    }

    /// The value that another must be below to count.
    fn limit(&self) -> f64 {
        if self.values.len() < self.k { f64::INFINITY } else { self.values[self.k - 1] }
    }

    fn insert(&mut self, value: f64) {
        if value < self.limit() {
            self.values.truncate(self.k - 1);
            let at = self.values.partition_point(|&other| other <= value);
            self.values.insert(at, value);
        }
    }
}

/// The squared distance of each row to its k-th neighbour among the other rows (`[n]`), 1 <= k < n.
///
/// A row is not its own neighbour; an identical row is, at distance 0.
pub(crate) fn squared_radii(cloud: &Cloud<'_>, k: usize, tiles: Tiles) -> Vec<f64> {
    let n = cloud.set.rows;
    let bands: Vec<_> = ranges(n, tiles.rows).collect();
    let radii: Vec<Vec<f64>> = bands
        .into_par_iter()
        .map_init(Scratch::default, |scratch, band| {
            let mut nearest: Vec<_> = band.clone().map(|_| Smallest::new(k)).collect();
            for columns in ranges(n, tiles.columns) {
                let side = (cloud.set, Some(cloud.centre));
                let tile = scratch.products(side, band.clone(), side, columns.clone(), -2.0, tiles.depth);
                let norms = &cloud.low_norms[columns.clone()];
                let rows = band.clone().zip(tile.chunks_exact(columns.len())).zip(&mut nearest);
                for ((i, products), nearest) in rows {
                    let x = (cloud.set.row(i), cloud.low_norms[i]);
                    let mut start = columns.start;
                    for (products, norms) in products.chunks(LANES).zip(norms.chunks(LANES)) {
                        let limit = nearest.limit();
                        let mut any = false;
                        for (product, norm) in products.iter().zip(norms) {
                            any |= x.1 + norm + product < limit;
                        }
                        if any && limit > 0.0 {
                            for (lane, (product, norm)) in products.iter().zip(norms).enumerate() {
                                let j = start + lane;
                                if x.1 + norm + product < nearest.limit() && j != i {
                                    nearest.insert(squared_distance(x.0, cloud.set.row(j)));
                                }
                            }
                        }
                        start += products.len();
                    }
                }
            }
            nearest.iter().map(Smallest::limit).collect()
        })
        .collect();
    radii.concat()
}

/// Calls `pair(i, j, in_x, in_y)` for every pair of a row i of `x` in `band` and a row j of `y` whose squared distance is
/// at most `x_limits[i]` (then `in_x`) or at most `y_limits[j]` (then `in_y`). Both sets are about the same centre.
pub(crate) fn visit_within(
    (x, x_limits): (&Cloud<'_>, &[f64]),
    band: Range<usize>,
    (y, y_limits): (&Cloud<'_>, &[f64]),
    tiles: Tiles,
    scratch: &mut Scratch,
    mut pair: impl FnMut(usize, usize, bool, bool),
) {
    for columns in ranges(y.set.rows, tiles.columns) {
        let (left, right) = ((x.set, Some(x.centre)), (y.set, Some(y.centre)));
        let tile = scratch.products(left, band.clone(), right, columns.clone(), -2.0, tiles.depth);
        let (norms, limits) = (&y.low_norms[columns.clone()], &y_limits[columns.clone()]);
        for (i, products) in band.clone().zip(tile.chunks_exact(columns.len())) {
            let (low_norm, limit) = (x.low_norms[i], x_limits[i]);
            let mut start = columns.start;
            let lanes = products.chunks(LANES).zip(norms.chunks(LANES)).zip(limits.chunks(LANES));
            for ((products, norms), limits) in lanes {
                let mut any = false;
                for ((product, norm), other) in products.iter().zip(norms).zip(limits) {
                    let low = low_norm + norm + product;
                    any |= (low <= limit) | (low <= *other);
                }
                if any {
                    for (lane, ((product, norm), &other)) in products.iter().zip(norms).zip(limits).enumerate() {
                        let (j, low) = (start + lane, low_norm + norm + product);
                        let high = low + (x.widths[i] + y.widths[j]);
                        let decided = |limit: f64| low > limit || high <= limit;
                        // Where both comparisons are decided by the bounds, the upper one stands for the distance.
                        let d2 = if decided(limit) && decided(other) {
                            high
                        } else {
                            squared_distance(x.set.row(i), y.set.row(j))
                        };
                        if d2 <= limit || d2 <= other {
                            pair(i, j, d2 <= limit, d2 <= other);
                        }
                    }
                }
                start += products.len();
            }
        }
    }
}
