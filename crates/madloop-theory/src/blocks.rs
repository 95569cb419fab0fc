//! Sufficient statistics of blocks of Gaussian rows: drawn, merged, and turned into models.

use faer::prelude::*;
use faer::{Mat, MatMut};
use rand::Rng;
use rand_distr::{ChiSquared, Distribution, StandardNormal};

use crate::linalg::{Factor, compress};

/// A fitted Gaussian: Sigma = F F^T, divisor n - 1.
#[derive(Debug, Clone)]
pub(crate) struct Model {
    /// `[d]`
    pub(crate) mean: Vec<f64>,
    pub(crate) factor: Factor,
}

/// Count, mean and scatter of some rows.
#[derive(Debug, Clone)]
pub(crate) struct Block {
    pub(crate) count: u64,
    /// `[d]`
    mean: Vec<f64>,
    /// `[d, c]`: scatter = C C^T.
    columns: Mat<f64>,
}

impl Block {
    /// Statistics of `count` > 0 rows drawn from N(mean, `lambda` Sigma) of `model`: mean ~ N(mean, lambda Sigma / n) and scatter
    /// F T (F T)^T lambda with T of Bartlett's decomposition. Exact, at a cost that does not depend on `count`.
    pub(crate) fn draw(model: &Model, lambda: f64, count: u64, rng: &mut impl Rng) -> Self {
        let mut mean = model.mean.clone();
        let d = mean.len();
        if lambda == 0.0 || model.factor.rank() == 0 {
            return Self { count, mean, columns: Mat::zeros(d, 0) };
        }
        let rank = model.factor.rank();
        let z: Vec<f64> = (0..rank).map(|_| StandardNormal.sample(rng)).collect();
        model.factor.add_times(&z, (lambda / count as f64).sqrt(), &mut mean);
        let t = bartlett(rank, count - 1, rng);
        let mut columns = Mat::zeros(d, t.ncols());
        model.factor.times_lower(t.as_ref(), lambda.sqrt(), columns.as_mut());
        Self { count, mean, columns }
    }

    /// The statistics of all rows together, with at most d columns.
    pub(crate) fn merge(blocks: &[&Self]) -> Self {
        let (count, mean, factor) = merge(blocks, 1.0);
        Self { count, mean, columns: factor.matrix }
    }

    /// The model fitted to all rows together, of which there must be at least 2.
    pub(crate) fn fit(blocks: &[&Self]) -> Model {
        let total: u64 = blocks.iter().map(|block| block.count).sum();
        let (_, mean, factor) = merge(blocks, 1.0 / (total as f64 - 1.0).sqrt());
        Model { mean, factor }
    }
}

/// Count, mean, and the factor of scatter * scale^2 of the union.
fn merge(blocks: &[&Block], scale: f64) -> (u64, Vec<f64>, Factor) {
    let d = blocks[0].mean.len();
    let width = blocks.iter().map(|block| block.columns.ncols()).sum::<usize>() + blocks.len() - 1;
    let mut columns = Mat::<f64>::zeros(d, width);
    let (mut count, mut mean, mut filled) = (0, vec![0.0; d], 0);
    let mut widths = Vec::new();
    for block in blocks {
        let c = block.columns.ncols();
        copy_scaled(&block.columns, scale, columns.as_mut().subcols_mut(filled, c));
        filled += c;
        widths.push(c);
        let total = count + block.count;
        if count > 0 {
            // Chan, Golub and LeVeque's update: the two means differ by a rank-one scatter.
            let weight = (count as f64 / total as f64 * block.count as f64).sqrt() * scale;
            for i in 0..d {
                columns[(i, filled)] = weight * (block.mean[i] - mean[i]);
            }
            filled += 1;
            widths.push(1);
        }
        let share = block.count as f64 / total as f64;
        for (mean, value) in mean.iter_mut().zip(&block.mean) {
            *mean += share * (value - *mean);
        }
        count = total;
    }
    (count, mean, compress(columns, &widths))
}

fn copy_scaled(from: &Mat<f64>, scale: f64, mut to: MatMut<'_, f64>) {
    for (from, to) in from.col_iter().zip(to.rb_mut().col_iter_mut()) {
        zip!(to, from).for_each(|unzip!(to, from)| *to = scale * from);
    }
}

/// T (`[d, min(d, k)]`, lower trapezoidal) with T T^T ~ Wishart_d(I, k), singular when k < d: T_jj^2 ~ chi^2 with k - j
/// degrees of freedom, N(0, 1) below (Bartlett 1933; for k < d the first k columns, by the same QR argument).
///
/// Normals come first, so that runs with other counts but the same address see the same ones.
pub(crate) fn bartlett(d: usize, k: u64, rng: &mut impl Rng) -> Mat<f64> {
    let c = usize::try_from(k).unwrap_or(usize::MAX).min(d);
    let mut t = Mat::zeros(d, c);
    for j in 0..c {
        for i in j + 1..d {
            t[(i, j)] = StandardNormal.sample(rng);
        }
    }
    for j in 0..c {
        t[(j, j)] = chi(k - j as u64, rng);
    }
    t
}

/// The root of a chi-square variate with `k` degrees of freedom; 0 for k = 0.
pub(crate) fn chi(k: u64, rng: &mut impl Rng) -> f64 {
    ChiSquared::new(k as f64).map_or(0.0, |law| law.sample(rng).sqrt())
}
