//! Exact samplers of known distributions; row r of a stream depends on the seeds, the stream and r alone.

use std::ops::Range;

use madloop_core::{Samples, Seeds, Shape, Source, Stream};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;
use rayon::prelude::*;

/// The standard Gaussian N(0, I) in R^dim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gaussian {
    dim: usize,
}

impl Gaussian {
    /// N(0, I) in R^`dim` (at least 1).
    pub fn new(dim: usize) -> Self {
        Self { dim: dim.max(1) }
    }
}

impl Source for Gaussian {
    fn shape(&self) -> Shape {
        Shape::vector(self.dim)
    }

    fn draw(&self, rows: Range<u64>, stream: Stream, seeds: Seeds) -> Samples {
        draw(self.dim, rows, stream, seeds, |rng, row| row.fill_with(|| normal(rng) as f32))
    }
}

/// Standard deviation of each mode of [`Grid25`] along each axis.
pub const GRID25_SIGMA: f64 = 0.1;

/// Centres of the modes of [`Grid25`]: mode m is at (m div 5 - 2, m mod 5 - 2).
pub fn grid25_centres() -> [[f64; 2]; 25] {
    std::array::from_fn(|mode| [(mode / 5) as f64 - 2.0, (mode % 5) as f64 - 2.0])
}

/// 25 modes of equal weight at {-2, ..., 2}^2, each N(centre, 0.1^2 I); the mixture of the paper's Figs. 14 and 15.
///
/// Each coordinate has mean 0 and variance 2 + 0.1^2; the two are uncorrelated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grid25;

impl Source for Grid25 {
    fn shape(&self) -> Shape {
        Shape::vector(2)
    }

    fn draw(&self, rows: Range<u64>, stream: Stream, seeds: Seeds) -> Samples {
        let centres = grid25_centres();
        draw(2, rows, stream, seeds, |rng, row| {
            let centre = centres[rng.random_range(0..25_usize)];
            for (value, at) in row.iter_mut().zip(centre) {
                *value = (at + GRID25_SIGMA * normal(rng)) as f32;
            }
        })
    }
}

/// The density proportional to exp(-x1^2 / 2 - (x2 - x1^2)^2) in the plane; the paper's Fig. 17.
///
/// That is x1 ~ N(0, 1) and x2 | x1 ~ N(x1^2, 1/2): means (0, 1), variances (1, 5/2), covariance 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rosenbrock;

impl Source for Rosenbrock {
    fn shape(&self) -> Shape {
        Shape::vector(2)
    }

    fn draw(&self, rows: Range<u64>, stream: Stream, seeds: Seeds) -> Samples {
        draw(2, rows, stream, seeds, |rng, row| {
            let x1 = normal(rng);
            row[0] = x1 as f32;
            row[1] = (x1 * x1 + std::f64::consts::FRAC_1_SQRT_2 * normal(rng)) as f32;
        })
    }
}

fn normal(rng: &mut ChaCha8Rng) -> f64 {
    rng.sample(StandardNormal)
}

fn draw(
    dim: usize,
    rows: Range<u64>,
    stream: Stream,
    seeds: Seeds,
    one: impl Fn(&mut ChaCha8Rng, &mut [f32]) + Sync,
) -> Samples {
    let n = rows.end.saturating_sub(rows.start) as usize;
    let mut values = vec![0.0; n * dim];
    values
        .par_chunks_exact_mut(dim)
        .with_min_len(64)
        .enumerate()
        .for_each(|(index, row)| one(&mut seeds.rng(stream, rows.start + index as u64), row));
    Samples::from_f32(Shape::vector(dim), values).expect("whole rows")
}

#[cfg(test)]
mod tests {
    use super::*;

    const N: u64 = 200_000;

    fn columns(source: &dyn Source) -> Vec<Vec<f64>> {
        let set = source.draw(0..N, Stream::REAL, Seeds::new(5));
        let values = set.to_f32();
        let dim = set.dim();
        (0..dim).map(|column| values.iter().skip(column).step_by(dim).map(|&v| f64::from(v)).collect()).collect()
    }

    /// Mean of `values` against `expected`, within 5 standard errors.
    fn check(what: &str, values: impl Iterator<Item = f64> + Clone, expected: f64) {
        let n = N as f64;
        let mean = values.clone().sum::<f64>() / n;
        let variance = values.map(|value| (value - mean).powi(2)).sum::<f64>() / (n - 1.0);
        let error = (variance / n).sqrt();
        assert!((mean - expected).abs() < 5.0 * error, "{what}: {mean} for {expected}, standard error {error}");
    }

    /// First and second moments, raw.
    fn check_moments(source: &dyn Source, means: &[f64], squares: &[f64]) {
        let columns = columns(source);
        for (column, values) in columns.iter().enumerate() {
            check(&format!("mean {column}"), values.iter().copied(), means[column]);
            check(&format!("square {column}"), values.iter().map(|v| v * v), squares[column]);
        }
        let product = columns[0].iter().zip(&columns[1]).map(|(a, b)| a * b);
        check("product", product, 0.0);
    }

    #[test]
    fn moments_are_those_of_the_formulas() {
        check_moments(&Gaussian::new(3), &[0.0; 3], &[1.0; 3]);
        check_moments(&Grid25, &[0.0; 2], &[2.01; 2]);
        // E x2^2 = Var x2 + 1 = 7/2.
        check_moments(&Rosenbrock, &[0.0, 1.0], &[1.0, 3.5]);
        let columns = columns(&Rosenbrock);
        let bend = columns[0].iter().zip(&columns[1]).map(|(x1, x2)| (x2 - x1 * x1).powi(2));
        check("variance of x2 given x1", bend, 0.5);
        // E x1^2 x2 = E x1^4 = 3.
        check("bend", columns[0].iter().zip(&columns[1]).map(|(x1, x2)| x1 * x1 * x2), 3.0);
    }

    #[test]
    fn every_mode_has_its_share_and_width() {
        let columns = columns(&Grid25);
        let mut counts = [0_u32; 25];
        let (mut squares, mut near) = (0.0, 0.0);
        for (x, y) in columns[0].iter().zip(&columns[1]) {
            let (a, b) = (x.round().clamp(-2.0, 2.0), y.round().clamp(-2.0, 2.0));
            counts[((a + 2.0) * 5.0 + b + 2.0) as usize] += 1;
            squares += (x - a).powi(2) + (y - b).powi(2);
            near += 2.0;
        }
        // Binomial(N, 1/25).
        let (expected, sd) = (N as f64 / 25.0, (N as f64 / 25.0 * 24.0 / 25.0).sqrt());
        assert!(counts.iter().all(|&count| (f64::from(count) - expected).abs() < 5.0 * sd), "{counts:?}");
        // The mean of 2 N squares of N(0, 0.01): standard deviation 0.01 sqrt(2 / 2 N).
        let variance = squares / near;
        assert!((variance - 0.01).abs() < 5.0 * 0.01 * (2.0 / near).sqrt(), "{variance}");
        assert_eq!(grid25_centres()[0], [-2.0, -2.0]);
        assert_eq!(grid25_centres()[24], [2.0, 2.0]);
    }

    #[test]
    fn a_row_depends_on_its_address_alone() {
        for source in [&Gaussian::new(4) as &dyn Source, &Grid25, &Rosenbrock] {
            let seeds = Seeds::new(9);
            let all = source.draw(0..1000, Stream::REAL, seeds);
            let part = source.draw(900..1000, Stream::REAL, seeds);
            assert_eq!(all.slice(900..1000).as_f32(), part.as_f32());
            assert_ne!(part.as_f32(), source.draw(900..1000, Stream::SCORE, seeds).as_f32());
            assert_ne!(part.as_f32(), source.draw(900..1000, Stream::REAL, Seeds::new(8)).as_f32());
            assert!(source.draw(3..3, Stream::REAL, seeds).is_empty());
        }
    }
}
