//! Subsets of a set's rows, and sums of a kernel over their pairs in an order that blocks and threads do not change.

use std::ops::Range;

use crate::exp::vectorised;

/// Partial sums of one row: a pair adds to the one of its partner's rank modulo this.
const SUMS: usize = 4;

/// Which rows are in which subset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Subsets {
    /// The rows of each subset, ascending.
    pub(crate) rows: Vec<Vec<u32>>,
    /// `of_row[starts[i]..starts[i + 1]]` are the subsets that hold row i.
    starts: Vec<usize>,
    of_row: Vec<u32>,
}

impl Subsets {
    /// Subsets of `n` rows.
    pub(crate) fn new(n: usize, mut rows: Vec<Vec<u32>>) -> Self {
        rows.iter_mut().for_each(|rows| rows.sort_unstable());
        let mut starts = vec![0; n + 1];
        rows.iter().flatten().for_each(|&row| starts[row as usize + 1] += 1);
        for row in 0..n {
            starts[row + 1] += starts[row];
        }
        let mut of_row = vec![0; starts[n]];
        let mut next = starts.clone();
        for (subset, rows) in rows.iter().enumerate() {
            for &row in rows {
                of_row[next[row as usize]] = subset as u32;
                next[row as usize] += 1;
            }
        }
        Self { rows, starts, of_row }
    }

    /// One subset of all `n` rows.
    pub(crate) fn whole(n: usize) -> Self {
        Self::new(n, vec![(0..n as u32).collect()])
    }

    pub(crate) fn count(&self) -> usize {
        self.rows.len()
    }

    /// Rows of the set.
    pub(crate) fn total(&self) -> usize {
        self.starts.len() - 1
    }

    fn of_row(&self, row: usize) -> &[u32] {
        &self.of_row[self.starts[row]..self.starts[row + 1]]
    }

    /// Of each subset, the ranks of its rows in `rows`.
    pub(crate) fn ranks_in(&self, rows: Range<usize>) -> Vec<Range<usize>> {
        let rank = |subset: &[u32], row: usize| subset.partition_point(|&other| (other as usize) < row);
        self.rows.iter().map(|subset| rank(subset, rows.start)..rank(subset, rows.end)).collect()
    }
}

/// The kernel (x.y / d + 1)^3 over pairs of a band's rows with the columns of the subsets that hold them.
pub(crate) struct KernelSums<'a> {
    left: &'a Subsets,
    right: &'a Subsets,
    band: Range<usize>,
    /// Four sums for each row of the band and each subset that holds it, in the order of `of_row`.
    sums: Vec<[f64; SUMS]>,
    kernel: Vec<f64>,
}

impl<'a> KernelSums<'a> {
    pub(crate) fn new(left: &'a Subsets, right: &'a Subsets, band: Range<usize>) -> Self {
        let pairs = left.starts[band.end] - left.starts[band.start];
        Self { left, right, band, sums: vec![[0.0; SUMS]; pairs], kernel: Vec::new() }
    }

    /// Adds the pairs of `row` with columns `columns` whose bases x.y / d + 1 are given, from column `from` on. Columns must
    /// come in ascending order.
    pub(crate) fn add(
        &mut self,
        row: usize,
        columns: &Range<usize>,
        ranks: &[Range<usize>],
        from: usize,
        bases: impl Iterator<Item = f64>,
    ) {
        if self.left.of_row(row).is_empty() {
            return;
        }
        let kernel = &mut self.kernel;
        kernel.resize(columns.len(), 0.0);
        vectorised(
            #[inline(always)]
            || kernel.iter_mut().zip(bases).for_each(|(kernel, base)| *kernel = base * base * base),
        );
        let first = self.left.starts[row] - self.left.starts[self.band.start];
        for (sums, &subset) in self.sums[first..].iter_mut().zip(self.left.of_row(row)) {
            let members = &self.right.rows[subset as usize];
            let mut ranks = ranks[subset as usize].clone();
            while ranks.start < ranks.end && (members[ranks.start] as usize) < from {
                ranks.start += 1;
            }
            let kernel = |rank: usize| self.kernel[members[rank] as usize - columns.start];
            // Up to a rank that is a multiple of the number of sums, then in groups.
            let aligned = ranks.start.next_multiple_of(SUMS).min(ranks.end);
            for rank in ranks.start..aligned {
                sums[rank % SUMS] += kernel(rank);
            }
            let groups = (ranks.end - aligned) / SUMS;
            for group in 0..groups {
                let at = aligned + group * SUMS;
                for (lane, sum) in sums.iter_mut().enumerate() {
                    *sum += kernel(at + lane);
                }
            }
            for rank in aligned + groups * SUMS..ranks.end {
                sums[rank % SUMS] += kernel(rank);
            }
        }
    }

    /// The sums of the band's rows, with the subset of each.
    pub(crate) fn finish(self) -> Vec<(u32, f64)> {
        let subsets = self.band.clone().flat_map(|row| self.left.of_row(row)).copied();
        subsets.zip(self.sums.iter().map(|sums| sums.iter().sum())).collect()
    }
}

/// Adds the sums of all bands, in their order, to one sum a subset.
pub(crate) fn add_up(subsets: usize, bands: impl IntoIterator<Item = Vec<(u32, f64)>>) -> Vec<f64> {
    let mut total = vec![0.0; subsets];
    for (subset, sum) in bands.into_iter().flatten() {
        total[subset as usize] += sum;
    }
    total
}
