//! Precision, recall, density and coverage: balls around samples that reach to their k-th neighbours.

use std::sync::atomic::{AtomicBool, Ordering};

use madloop_core::Features;
use rayon::prelude::*;

use crate::error::{check_pair, check_rows};
use crate::moments::mean;
use crate::neighbours::{Cloud, squared_radii, visit_within};
use crate::tiles::{Scratch, Tiles, ranges};
use crate::{MetricsError, Result};

/// Precision, recall, density and coverage, or why one is undefined.
#[derive(Debug, Clone, PartialEq)]
pub struct Manifold {
    /// Share of generated samples inside at least one real ball. Range \[0, 1\].
    pub precision: Result<f64>,
    /// Share of real samples inside at least one generated ball. Range \[0, 1\].
    pub recall: Result<f64>,
    /// 1 / (k n_g) times the number of pairs of a generated sample and a real ball that contains it.
    /// Range \[0, n_r / k\]: about 1 for equal distributions, above 1 where samples crowd into dense regions.
    pub density: Result<f64>,
    /// Share of real balls that contain at least one generated sample. Range \[0, 1\].
    pub coverage: Result<f64>,
}

/// Precision and recall (Kynkaanniemi et al. 2019, arXiv:1904.06991), density and coverage (Naeem et al. 2020,
/// arXiv:2002.09797) of features `[n_r, d]` and `[n_g, d]`, from one tiled pass over the distances.
///
/// The ball around a sample has the distance to its k-th neighbour as its radius; neighbours are
/// the *other* samples of its set, so that an identical one counts, at distance 0. A sample is inside when its
/// distance is at most the radius (`<=`, also in density and coverage): identical constant sets score 1 in
/// precision, recall and coverage. Distances are exact to f64 rounding and independent of tiles and threads. Memory O(n k).
///
/// # Errors
/// Precision, density and coverage are undefined unless n_r > k, recall unless n_g > k, all for an empty set. All fail for
/// values that are not finite; different dimensions or k = 0 are errors.
pub fn manifold(real: &Features, generated: &Features, k: usize) -> Result<Manifold> {
    check_pair(real, generated)?;
    check_k(k)?;
    check_rows(real, "real", 1, "there is no distance to it")?;
    let reference = ManifoldReference::new(real, k);
    reference.manifold(real, generated, true)
}

/// Checks the neighbour asked for.
pub(crate) fn check_k(k: usize) -> Result<()> {
    if k == 0 {
        return Err(MetricsError::Setting { name: "k", value: 0.0, must: "1 or more (5 is usual)" });
    }
    Ok(())
}

/// What the manifold metrics need of the real set, computed once.
#[derive(Debug, Clone)]
pub(crate) struct ManifoldReference {
    k: usize,
    centre: Vec<f64>,
    /// Squared radii of the real balls.
    radii: Result<Vec<f64>>,
    tiles: Tiles,
}

impl ManifoldReference {
    /// Prepares a checked set of at least one row.
    pub(crate) fn new(real: &Features, k: usize) -> Self {
        Self::with_tiles(real, k, Tiles::default())
    }

    fn with_tiles(real: &Features, k: usize, tiles: Tiles) -> Self {
        let centre = mean(real);
        let radii = radii("real", &Cloud::new(real, &centre), k, tiles);
        Self { k, centre, radii, tiles }
    }

    /// The metrics of a checked set of the same dimension against the one prepared, which is given again; without
    /// `recall` the generated set's own neighbours are not searched and recall is what the real set alone makes it.
    pub(crate) fn manifold(&self, real: &Features, generated: &Features, recall: bool) -> Result<Manifold> {
        check_rows(generated, "generated", 1, "there is no distance to it")?;
        let (x, y) = (Cloud::new(real, &self.centre), Cloud::new(generated, &self.centre));
        let generated_radii = if recall {
            // About its own mean, since a collapsed set far from the real one would drown in rounding.
            radii("generated", &Cloud::new(generated, &mean(generated)), self.k, self.tiles)
        } else {
            Err(MetricsError::NotPrepared { name: "recall" })
        };
        let counts = self.count(&x, &y, generated_radii.as_deref().ok());
        let share = |count: usize, of: usize| count as f64 / of as f64;
        let real_defined = |value: f64| self.radii.as_ref().map(|_| value).map_err(Clone::clone);
        Ok(Manifold {
            precision: real_defined(share(counts.inside, generated.rows)),
            recall: generated_radii.map(|_| share(counts.recalled, real.rows)),
            density: real_defined(counts.pairs as f64 / (self.k as f64 * generated.rows as f64)),
            coverage: real_defined(share(counts.covered, real.rows)),
        })
    }

    fn count(&self, x: &Cloud<'_>, y: &Cloud<'_>, generated_radii: Option<&[f64]>) -> Counts {
        let (n, m) = (x.set.rows, y.set.rows);
        // No squared distance is at most -1.
        let none = vec![-1.0; n.max(m)];
        let x_radii = self.radii.as_deref().unwrap_or(&none[..n]);
        let y_radii = generated_radii.unwrap_or(&none[..m]);
        // Set by several threads, always to true: their order does not matter.
        let inside: Vec<_> = (0..m).map(|_| AtomicBool::new(false)).collect();
        let bands: Vec<_> = ranges(n, self.tiles.rows).collect();
        let mut counts = bands
            .into_par_iter()
            .map_init(Scratch::default, |scratch, band| {
                let mut counts = Counts::default();
                let mut recalled = vec![false; band.len()];
                let mut covered = vec![false; band.len()];
                let (left, right) = ((x, x_radii), (y, y_radii));
                visit_within(left, band.clone(), right, self.tiles, scratch, |i, j, in_real, in_generated| {
                    if in_real {
                        counts.pairs += 1;
                        inside[j].store(true, Ordering::Relaxed);
                        covered[i - band.start] = true;
                    }
                    recalled[i - band.start] |= in_generated;
                });
                counts.covered = covered.iter().filter(|&&covered| covered).count();
                counts.recalled = recalled.iter().filter(|&&recalled| recalled).count();
                counts
            })
            .reduce(Counts::default, |a, b| Counts {
                inside: 0,
                recalled: a.recalled + b.recalled,
                pairs: a.pairs + b.pairs,
                covered: a.covered + b.covered,
            });
        counts.inside = inside.iter().filter(|inside| inside.load(Ordering::Relaxed)).count();
        counts
    }
}

/// Squared radii of the balls of a set, if it has k + 1 rows.
fn radii(name: &'static str, cloud: &Cloud<'_>, k: usize, tiles: Tiles) -> Result<Vec<f64>> {
    if cloud.set.rows <= k {
        return Err(MetricsError::NotMoreThanK { set: name, n: cloud.set.rows, k });
    }
    Ok(squared_radii(cloud, k, tiles))
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Counts {
    /// Generated samples inside a real ball.
    inside: usize,
    /// Real samples inside a generated ball.
    recalled: usize,
    /// Pairs of a generated sample and a real ball around it.
    pairs: usize,
    /// Real balls around a generated sample.
    covered: usize,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::score::testing::{gaussian, in_pool, lattice};

    /// The definitions, with every distance computed directly.
    fn brute_force(x: &Features, y: &Features, k: usize) -> Manifold {
        let distance = |a: &[f32], b: &[f32]| -> f64 {
            a.iter().zip(b).map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2)).sum()
        };
        let radii = |set: &Features| -> Vec<f64> {
            (0..set.rows)
                .map(|i| {
                    let others = (0..set.rows).filter(|&j| j != i);
                    let mut all: Vec<_> = others.map(|j| distance(set.row(i), set.row(j))).collect();
                    all.sort_by(f64::total_cmp);
                    all[k - 1]
                })
                .collect()
        };
        let (x_radii, y_radii) = (radii(x), radii(y));
        let within_x = |i: usize, j: usize| distance(x.row(i), y.row(j)) <= x_radii[i];
        let count = |n: usize, test: &dyn Fn(usize) -> bool| (0..n).filter(|&i| test(i)).count() as f64;
        let (n, m) = (x.rows, y.rows);
        let pairs: f64 = (0..n).map(|i| count(m, &|j| within_x(i, j))).sum();
        Manifold {
            precision: Ok(count(m, &|j| (0..n).any(|i| within_x(i, j))) / m as f64),
            recall: Ok(count(n, &|i| (0..m).any(|j| distance(x.row(i), y.row(j)) <= y_radii[j])) / n as f64),
            density: Ok(pairs / (k as f64 * m as f64)),
            coverage: Ok(count(n, &|i| (0..m).any(|j| within_x(i, j))) / n as f64),
        }
    }

    fn cases() -> Vec<(Features, Features)> {
        let shifted = |set: Features, by: f32| Features {
            values: set.values.iter().map(|value| value * 1e-3 + by).collect(),
            ..set
        };
        vec![
            (gaussian(1, 300, 2, 0.0), gaussian(2, 270, 2, 0.3)),
            (gaussian(3, 130, 17, 0.0), gaussian(4, 400, 17, 0.1)),
            (gaussian(5, 60, 700, 0.0), gaussian(6, 50, 700, 0.02)),
            // Duplicates and equal distances everywhere.
            (lattice(7, 300, 2), lattice(8, 300, 2)),
            (lattice(9, 200, 9), lattice(10, 150, 9)),
            // Collapsed, a thousand deviations away; and a real set far from the origin.
            (gaussian(11, 200, 3, 0.0), shifted(gaussian(12, 200, 3, 0.0), 1e3)),
            (shifted(gaussian(13, 200, 3, 0.0), 1e4), shifted(gaussian(14, 200, 3, 0.0), 1e4)),
            // The same set twice: every sample lies in its own ball.
            (gaussian(15, 150, 5, 0.0), gaussian(15, 150, 5, 0.0)),
        ]
    }

    #[test]
    fn counts_are_those_of_the_definitions() {
        for (case, (x, y)) in cases().into_iter().enumerate() {
            for k in [1, 5, 40] {
                assert_eq!(manifold(&x, &y, k), Ok(brute_force(&x, &y, k)), "case {case}, k {k}");
            }
        }
    }

    #[test]
    fn tiles_and_threads_change_nothing() {
        for (x, y) in cases() {
            let of = |rows, columns, depth, threads| {
                in_pool(threads, || {
                    let reference = ManifoldReference::with_tiles(&x, 5, Tiles { rows, columns, depth });
                    (reference.manifold(&x, &y, true), reference.radii)
                })
            };
            let first = of(128, 256, 512, 1);
            for other in [of(128, 256, 512, 3), of(7, 33, 512, 2), of(1, 500, 3, 2), of(500, 16, 64, 1)] {
                assert_eq!(first, other);
            }
        }
    }

    #[test]
    fn a_collapsed_generator_is_precise_and_recalls_little() {
        for centre in [0.0_f32, 1e4] {
            let real = gaussian(20, 500, 4, centre);
            let centre_rows = gaussian(21, 500, 4, 0.0);
            let values = centre_rows.values.iter().map(|value| value * 0.05 + centre).collect();
            let scores = manifold(&real, &Features { values, ..centre_rows }, 5).expect("finite");
            assert!(scores.precision.expect("defined") > 0.95);
            assert!(scores.recall.expect("defined") < 0.05);
            assert!(scores.density.expect("defined") > 1.0);
            assert!(scores.coverage.expect("defined") < 0.3);
        }
    }

    #[test]
    fn identical_constant_sets_are_whole() {
        let point = |value: f32, rows| Features { rows, dim: 3, values: vec![value; 3 * rows] };
        let scores = manifold(&point(0.1, 50), &point(0.1, 20), 5).expect("finite");
        assert_eq!((scores.precision, scores.recall, scores.coverage), (Ok(1.0), Ok(1.0), Ok(1.0)));
        assert_eq!(scores.density, Ok(10.0));
        let scores = manifold(&point(0.1, 50), &point(0.2, 50), 5).expect("finite");
        assert_eq!((scores.precision, scores.recall, scores.coverage), (Ok(0.0), Ok(0.0), Ok(0.0)));
    }

    #[test]
    fn too_few_samples_are_named() {
        let (few, many) = (gaussian(1, 5, 2, 0.0), gaussian(2, 30, 2, 0.0));
        let scores = manifold(&few, &many, 5).expect("finite");
        assert_eq!(scores.precision, Err(MetricsError::NotMoreThanK { set: "real", n: 5, k: 5 }));
        assert!(scores.recall.is_ok());
        let scores = manifold(&many, &few, 5).expect("finite");
        assert!(scores.precision.is_ok() && scores.density.is_ok() && scores.coverage.is_ok());
        let why = scores.recall.expect_err("no 5th neighbour").to_string();
        assert!(why.starts_with("n = 5 is not more than k = 5"), "{why}");
        assert!(!manifold(&many, &many, 0).expect_err("no 0th neighbour").is_undefined());
    }
}
