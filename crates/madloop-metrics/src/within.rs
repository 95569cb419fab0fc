//! One pass over the pairs of a set: the nearest neighbours of every row, and kernel sums over subsets.
//!
//! The squared distance |x|^2 + |y|^2 - 2 x.y of a block of pairs comes from one matrix product, with a
//! bound on its rounding. A pair that may be nearer than the k nearest so far is computed directly as sum (x - y)^2, so
//! that the result has the bits of direct sums, which depend on the two rows alone: identical rows are at
//! exactly 0, and blocks, threads and the products' precision change nothing. Memory is O(n k + block).

use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use rayon::prelude::*;

use crate::cloud::{Band, Block, Cloud, LANES, Precision, Products, squared_distance};
use crate::exp::vectorised;
use crate::subsets::{KernelSums, Subsets, add_up};
use crate::tiles::ranges;

/// The bits of a limit that nothing has reached.
const FAR: u64 = f64::INFINITY.to_bits();

/// What a pass over the pairs of one set finds.
pub(crate) struct Within {
    /// Squared distances of each row to its k nearest other rows, ascending (`[n, k]`).
    pub(crate) nearest: Vec<f64>,
    /// Of each subset, the sum of the kernel over its pairs of different rows, each taken once.
    pub(crate) kernel: Vec<f64>,
}

/// Looks at all pairs of `cloud` for the `k` nearest (0: none; otherwise k < n) and for the kernel over `subsets`.
pub(crate) fn within<T: Precision>(cloud: &Cloud<'_>, k: usize, subsets: Option<&Subsets>, block: Block) -> Within {
    let n = cloud.set.rows;
    let terms = subsets.map(|_| cloud.kernel_terms());
    let factor = cloud.kernel_factor();
    let square = cloud.square_of_scale();
    // One list of neighbours a thread: the k smallest of their union do not depend on which pair went where. Threads tell each
    // other how far their k nearest reach, so that none computes what another has ruled out.
    let lists: Mutex<Vec<Nearest>> = Mutex::new(Vec::new());
    let reach: Vec<AtomicU64> = (0..if k > 0 { n } else { 0 }).map(|_| AtomicU64::new(FAR)).collect();
    let bands: Vec<_> = ranges(n, block.rows).collect();
    let kernel: Vec<_> = bands
        .into_par_iter()
        .map_init(<(Band<T>, Products<T>)>::default, |(left, products), band| {
            let mut nearest = lists.lock().map_or(None, |mut lists| lists.pop()).unwrap_or_else(|| Nearest::new(n, k));
            let mut sums = subsets.map(|subsets| KernelSums::new(subsets, subsets, band.clone()));
            left.load(cloud, band.clone());
            for columns in ranges(n, block.columns).filter(|columns| columns.end > band.start) {
                let tile = products.of(left, cloud, columns.clone());
                nearest.listen(&reach, band.clone());
                nearest.listen(&reach, columns.clone());
                let ranks = subsets.map(|subsets| subsets.ranks_in(columns.clone()));
                for (i, products) in band.clone().zip(tile) {
                    if k > 0 {
                        vectorised(
                            #[inline(always)]
                            || nearest.row(cloud, square, i, columns.start, products),
                        );
                    }
                    if let (Some(sums), Some(terms), Some(ranks)) = (&mut sums, &terms, &ranks) {
                        let bases = products.iter().zip(&terms[columns.clone()]);
                        let bases = bases.map(|(product, term)| product.wide() * factor + (terms[i] + term));
                        sums.add(i, &columns, ranks, i + 1, bases);
                    }
                }
                nearest.tell(&reach, band.clone());
                nearest.tell(&reach, columns);
            }
            if let Ok(mut lists) = lists.lock() {
                lists.push(nearest);
            }
            sums.map(KernelSums::finish).unwrap_or_default()
        })
        .collect();
    let lists = lists.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
    let mut whole = Nearest::new(n, k);
    for list in &lists {
        // With k = 0 there are no values.
        for (row, values) in list.values.chunks_exact(k.max(1)).enumerate() {
            values.iter().for_each(|&value| whole.insert(row, value, square));
        }
    }
    Within { nearest: whole.values, kernel: add_up(subsets.map_or(0, Subsets::count), kernel) }
}

/// The k smallest squared distances of every row seen so far.
struct Nearest {
    k: usize,
    /// `[n, k]`, ascending a row; infinite where none was seen.
    values: Vec<f64>,
    /// The last of each row, in the units of the bounds.
    limits: Vec<f64>,
}

impl Nearest {
    fn new(n: usize, k: usize) -> Self {
        Self { k, values: vec![f64::INFINITY; n * k], limits: vec![f64::INFINITY; n] }
    }

    /// Takes over the limits of rows `rows` that are nearer elsewhere.
    fn listen(&mut self, reach: &[AtomicU64], rows: Range<usize>) {
        if self.k > 0 {
            for (limit, reach) in self.limits[rows.clone()].iter_mut().zip(&reach[rows]) {
                *limit = limit.min(f64::from_bits(reach.load(Ordering::Relaxed)));
            }
        }
    }

    /// Makes its limits known. Nonnegative numbers are in the order of their bits.
    fn tell(&self, reach: &[AtomicU64], rows: Range<usize>) {
        if self.k > 0 {
            for (limit, reach) in self.limits[rows.clone()].iter().zip(&reach[rows]) {
                reach.fetch_min(limit.max(0.0).to_bits(), Ordering::Relaxed);
            }
        }
    }

    fn insert(&mut self, row: usize, value: f64, square: f64) {
        let values = &mut self.values[row * self.k..(row + 1) * self.k];
        if value < values[self.k - 1] {
            let at = values.partition_point(|&other| other <= value);
            values[at..].rotate_right(1);
            values[at] = value;
            self.limits[row] = self.limits[row].min(values[self.k - 1] * square);
        }
    }

    /// Looks at the pairs of row `i` with the rows from `start` on, of those after `i`.
    #[inline(always)]
    fn row<T: Precision>(&mut self, cloud: &Cloud<'_>, square: f64, i: usize, start: usize, products: &[T]) {
        let low_norm = cloud.low_norms[i];
        for (chunk, products) in products.chunks(LANES).enumerate() {
            let first = start + chunk * LANES;
            if first + products.len() <= i + 1 {
                continue;
            }
            let limit = self.limits[i];
            let others = cloud.low_norms[first..].iter().zip(&self.limits[first..]);
            let mut any = false;
            for (product, (norm, other)) in products.iter().zip(others) {
                let low = low_norm + norm - 2.0 * product.wide();
                any |= (low < limit) | (low < *other);
            }
            if any {
                for (lane, product) in products.iter().enumerate() {
                    let j = first + lane;
                    let low = low_norm + cloud.low_norms[j] - 2.0 * product.wide();
                    if j > i && (low < self.limits[i] || low < self.limits[j]) {
                        let value = squared_distance(cloud.set.row(i), cloud.set.row(j));
                        self.insert(i, value, square);
                        self.insert(j, value, square);
                    }
                }
            }
        }
    }
}
