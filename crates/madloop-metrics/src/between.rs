//! One pass over the pairs of a generated and a real row: who lies in whose ball, and kernel sums over subsets.
//!
//! A pair whose bounds on the squared distance lie on one side of the limit in question is decided by them; every
//! other pair is computed directly (see [`crate::within`]), so that counts are those of direct sums.

use std::sync::atomic::{AtomicBool, Ordering};

use rayon::prelude::*;

use crate::cloud::{Band, Block, Cloud, LANES, Precision, Products, squared_distance};
use crate::exp::vectorised;
use crate::subsets::{KernelSums, Subsets, add_up};
use crate::tiles::ranges;

/// Squared radii; a row is inside when its squared distance is at most the radius. `None`: no ball.
#[derive(Clone, Copy, Default)]
pub(crate) struct Balls<'a> {
    /// Of the real rows (`[n_r]`).
    pub(crate) real: Option<&'a [f64]>,
    /// Of the generated rows (`[n_g]`).
    pub(crate) generated: Option<&'a [f64]>,
    /// Squared distances of the real rows to their nearest other real row (`[n_r]`).
    pub(crate) real_nearest: Option<&'a [f64]>,
}

/// What a pass over the pairs of two sets finds.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Between {
    /// Generated rows inside a real ball.
    pub(crate) inside: usize,
    /// Real rows inside a generated ball.
    pub(crate) recalled: usize,
    /// Pairs of a generated row and a real ball around it.
    pub(crate) pairs: u64,
    /// Real balls around a generated row.
    pub(crate) covered: usize,
    /// Generated rows farther from their nearest real row than that is from its own nearest one (than each of several is).
    pub(crate) authentic: usize,
    /// Of each subset, the sum of the kernel over its pairs of a generated and a real row.
    pub(crate) kernel: Vec<f64>,
}

/// What a band of generated rows finds.
#[derive(Default)]
struct Found {
    inside: usize,
    pairs: u64,
    authentic: usize,
    kernel: Vec<(u32, f64)>,
}

/// Looks at all pairs of a row of `generated` and one of `real`, clouds about one centre and of one scale.
pub(crate) fn between<T: Precision>(
    generated: &Cloud<'_>,
    real: &Cloud<'_>,
    balls: Balls<'_>,
    subsets: Option<(&Subsets, &Subsets)>,
    block: Block,
) -> Between {
    let (m, n) = (generated.set.rows, real.set.rows);
    let square = real.square_of_scale();
    // No squared distance is at most -1.
    let scaled = |radii: Option<&[f64]>, rows: usize| -> Vec<f64> {
        radii.map_or_else(|| vec![-1.0; rows], |radii| radii.iter().map(|radius| radius * square).collect())
    };
    let (real_limits, generated_limits) = (scaled(balls.real, n), scaled(balls.generated, m));
    let terms = subsets.map(|_| (generated.kernel_terms(), real.kernel_terms()));
    let factor = real.kernel_factor();
    // Set by several threads, always to true: their order does not matter.
    let flags = |rows: usize| (0..rows).map(|_| AtomicBool::new(false)).collect::<Vec<_>>();
    let (covered, recalled) = (flags(n), flags(n));
    let needs_distances = balls.real.is_some() || balls.generated.is_some() || balls.real_nearest.is_some();
    let bands: Vec<_> = ranges(m, block.rows).collect();
    let found: Vec<Found> = bands
        .into_par_iter()
        .map_init(<(Band<T>, Products<T>)>::default, |(left, products), band| {
            let mut rows: Vec<_> = band.clone().map(|i| Row::new(i, generated_limits[i])).collect();
            let mut sums = subsets.map(|(left, right)| KernelSums::new(left, right, band.clone()));
            left.load(generated, band.clone());
            for columns in ranges(n, block.columns) {
                let tile = products.of(left, real, columns.clone());
                let ranks = subsets.map(|(_, right)| right.ranks_in(columns.clone()));
                for (row, products) in rows.iter_mut().zip(tile) {
                    if needs_distances {
                        let limits = (real_limits.as_slice(), balls.real_nearest);
                        vectorised(
                            #[inline(always)]
                            || {
                                row.look(generated, real, columns.start, products, limits, (&covered, &recalled));
                            },
                        );
                    }
                    if let (Some(sums), Some((ours, theirs)), Some(ranks)) = (&mut sums, &terms, &ranks) {
                        let term = ours[row.i];
                        let bases = products.iter().zip(&theirs[columns.clone()]);
                        let bases = bases.map(|(product, other)| product.wide() * factor + (term + other));
                        sums.add(row.i, &columns, ranks, 0, bases);
                    }
                }
            }
            let authentic = |row: &&Row| balls.real_nearest.is_some() && row.nearest.0 > row.nearest.1;
            Found {
                inside: rows.iter().filter(|row| row.pairs > 0).count(),
                pairs: rows.iter().map(|row| row.pairs).sum(),
                authentic: rows.iter().filter(authentic).count(),
                kernel: sums.map(KernelSums::finish).unwrap_or_default(),
            }
        })
        .collect();
    let count = |flags: Vec<AtomicBool>| flags.into_iter().filter(|flag| flag.load(Ordering::Relaxed)).count();
    Between {
        inside: found.iter().map(|found| found.inside).sum(),
        recalled: count(recalled),
        pairs: found.iter().map(|found| found.pairs).sum(),
        covered: count(covered),
        authentic: found.iter().map(|found| found.authentic).sum(),
        kernel: add_up(subsets.map_or(0, |(left, _)| left.count()), found.into_iter().map(|found| found.kernel)),
    }
}

/// A generated row on its way along the real ones.
struct Row {
    i: usize,
    /// Its own squared radius, in the units of the bounds.
    limit: f64,
    /// Real balls around it.
    pairs: u64,
    /// The least squared distance so far, and the largest squared distance from a real row at it to its own nearest.
    nearest: (f64, f64),
}

impl Row {
    fn new(i: usize, limit: f64) -> Self {
        Self { i, limit, pairs: 0, nearest: (f64::INFINITY, 0.0) }
    }

    /// Looks at the real rows from `start` on.
    #[inline(always)]
    fn look<T: Precision>(
        &mut self,
        generated: &Cloud<'_>,
        real: &Cloud<'_>,
        start: usize,
        products: &[T],
        (limits, real_nearest): (&[f64], Option<&[f64]>),
        (covered, recalled): (&[AtomicBool], &[AtomicBool]),
    ) {
        let square = real.square_of_scale();
        let low_norm = generated.low_norms[self.i];
        for (chunk, products) in products.chunks(LANES).enumerate() {
            let first = start + chunk * LANES;
            let nearest = if real_nearest.is_some() { self.nearest.0 * square } else { -1.0 };
            let limit = self.limit.max(nearest);
            let others = real.low_norms[first..].iter().zip(&limits[first..]);
            let mut any = false;
            for (product, (norm, other)) in products.iter().zip(others) {
                let low = low_norm + norm - 2.0 * product.wide();
                any |= (low <= limit) | (low <= *other);
            }
            if !any {
                continue;
            }
            for (lane, product) in products.iter().enumerate() {
                let j = first + lane;
                let low = low_norm + real.low_norms[j] - 2.0 * product.wide();
                let high = low + (generated.widths[self.i] + real.widths[j]);
                let (own, other) = (self.limit, limits[j]);
                let may_be_nearest = real_nearest.is_some() && low <= self.nearest.0 * square;
                let decided = |limit: f64| low > limit || high <= limit;
                let d2 = if may_be_nearest || !decided(own) || !decided(other) {
                    let exact = squared_distance(generated.set.row(self.i), real.set.row(j));
                    if let Some(own) = real_nearest.map(|nearest| nearest[j]) {
                        let at_it = if exact == self.nearest.0 { self.nearest.1.max(own) } else { own };
                        if exact <= self.nearest.0 {
                            self.nearest = (exact, at_it);
                        }
                    }
                    exact * square
                } else {
                    // Both comparisons are decided by the bounds: the upper one stands for the distance.
                    high
                };
                if d2 <= other {
                    self.pairs += 1;
                    covered[j].store(true, Ordering::Relaxed);
                }
                if d2 <= own {
                    recalled[j].store(true, Ordering::Relaxed);
                }
            }
        }
    }
}
