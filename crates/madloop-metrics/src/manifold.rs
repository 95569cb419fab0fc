//! Precision, recall, density, coverage and authenticity: balls around samples that reach to their neighbours.

use madloop_core::Features;

use crate::Result;
use crate::error::check_pair;
use crate::pairs::{PairsReference, Want};
use crate::settings::Settings;

/// Precision, recall, density, coverage and authenticity, or why one is undefined.
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
    /// Percentage of generated samples that are farther from their nearest real sample than that one is from its own
    /// nearest other real one (of several equally near ones: than each of them is, so that the order of rows does not
    /// matter; tools take the first). Range \[0, 100\]: about 50 for equal distributions, 0 for copies.
    pub auth_pct: Result<f64>,
}

/// Precision and recall (Kynkaanniemi et al. 2019, arXiv:1904.06991), density and coverage (Naeem et al. 2020,
/// arXiv:2002.09797) and authenticity (Alaa et al. 2022, arXiv:2102.08921) of features `[n_r, d]` and `[n_g, d]`.
///
/// The ball around a sample has the distance to its k-th neighbour as its radius; neighbours are
/// the *other* samples of its set, so that an identical one counts, at distance 0. A sample is inside when its
/// distance is at most the radius, or below it ([`Settings::inside`]; by the first, identical constant sets score 1 in
/// precision, recall and coverage). Distances are exact to f64 rounding and independent of blocks and threads. Memory O(n k).
///
/// # Errors
/// Precision, density and coverage are undefined unless n_r > k, recall unless n_g > k, authenticity unless n_r > 1, all for an
/// empty set. All fail for values that are not finite; different dimensions or k = 0 are errors.
pub fn manifold(real: &Features, generated: &Features, settings: &Settings) -> Result<Manifold> {
    check_pair(real, generated)?;
    let want = Want { real_balls: true, generated_balls: true, authentic: true, kid: false };
    let reference = PairsReference::new(real, want, settings)?;
    Ok(reference.compare(real, generated, want, settings)?.manifold)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MetricsError;
    use crate::between::{Balls, between};
    use crate::cloud::{Block, Cloud, Precision};
    use crate::kid::{Draws, KidSubsets, draw};
    use crate::moments::mean;
    use crate::settings::Inside;
    use crate::testing::{gaussian, in_pool, lattice};
    use crate::within::within;

    fn scored(x: &Features, y: &Features, k: usize) -> Result<Manifold> {
        manifold(x, y, &Settings { k, ..Settings::default() })
    }

    /// The definitions, with every distance computed directly.
    fn brute_force(x: &Features, y: &Features, k: usize, inside: Inside) -> Manifold {
        let distance = |a: &[f32], b: &[f32]| -> f64 {
            a.iter().zip(b).map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2)).sum()
        };
        let is_in = |d2: f64, radius: f64| if inside == Inside::AtMost { d2 <= radius } else { d2 < radius };
        let radii = |set: &Features, k: usize| -> Vec<f64> {
            (0..set.rows)
                .map(|i| {
                    let others = (0..set.rows).filter(|&j| j != i);
                    let mut all: Vec<_> = others.map(|j| distance(set.row(i), set.row(j))).collect();
                    all.sort_by(f64::total_cmp);
                    all[k - 1]
                })
                .collect()
        };
        let (x_radii, y_radii, x_nearest) = (radii(x, k), radii(y, k), radii(x, 1));
        let within_x = |i: usize, j: usize| is_in(distance(x.row(i), y.row(j)), x_radii[i]);
        let count = |n: usize, test: &dyn Fn(usize) -> bool| (0..n).filter(|&i| test(i)).count() as f64;
        let (n, m) = (x.rows, y.rows);
        let pairs: f64 = (0..n).map(|i| count(m, &|j| within_x(i, j))).sum();
        let authentic = |j: usize| {
            let to = |i: &usize| distance(x.row(*i), y.row(j));
            let nearest = (0..n).map(|i| to(&i)).fold(f64::INFINITY, f64::min);
            (0..n).filter(|i| to(i) == nearest).all(|i| nearest > x_nearest[i])
        };
        Manifold {
            auth_pct: Ok(100.0 * (count(m, &authentic) / m as f64)),
            precision: Ok(count(m, &|j| (0..n).any(|i| within_x(i, j))) / m as f64),
            recall: Ok(count(n, &|i| (0..m).any(|j| is_in(distance(x.row(i), y.row(j)), y_radii[j]))) / n as f64),
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
                for inside in [Inside::AtMost, Inside::Below] {
                    let settings = Settings { k, inside, ..Settings::default() };
                    assert_eq!(manifold(&x, &y, &settings), Ok(brute_force(&x, &y, k, inside)), "case {case}, k {k}");
                }
            }
        }
    }

    /// Everything that the passes find, by products of type `T`.
    fn passes<T: Precision>(x: &Features, y: &Features, block: Block) -> (Vec<f64>, crate::between::Between, Vec<f64>) {
        let subsets = KidSubsets { count: 9, size: 40, draws: Draws::Addressed };
        let (x_subsets, y_subsets) = draw(x.rows, y.rows, subsets, Settings::default().seeds).expect("enough rows");
        let (x_mean, y_mean) = (mean(x), mean(y));
        let of_x = within::<T>(&Cloud::new::<T>(x, &x_mean), 5, Some(&x_subsets), block);
        let of_y = within::<T>(&Cloud::new::<T>(y, &y_mean), 5, Some(&y_subsets), block);
        let radii = |nearest: &[f64]| nearest.iter().skip(4).step_by(5).copied().collect::<Vec<_>>();
        let (x_radii, y_radii) = (radii(&of_x.nearest), radii(&of_y.nearest));
        let x_nearest: Vec<f64> = of_x.nearest.iter().step_by(5).copied().collect();
        let balls = Balls { real: Some(&x_radii), generated: Some(&y_radii), real_nearest: Some(&x_nearest) };
        let (y_cloud, x_cloud) = Cloud::pair::<T>(y, x, &x_mean);
        let found = between::<T>(&y_cloud, &x_cloud, balls, Some((&y_subsets, &x_subsets)), block);
        ([of_x.nearest, of_y.nearest].concat(), found, [of_x.kernel, of_y.kernel].concat())
    }

    #[test]
    fn blocks_threads_and_precision_change_nothing() {
        fn same_bits<T: Precision>(x: &Features, y: &Features) -> (Vec<f64>, crate::between::Between, Vec<f64>) {
            let of = |rows, columns, threads| in_pool(threads, || passes::<T>(x, y, Block { rows, columns }));
            let first = of(128, 256, 1);
            for other in [of(128, 256, 3), of(7, 33, 2), of(1, 500, 2), of(500, 16, 1), of(64, 512, 4)] {
                assert!(first.0 == other.0 && first.1 == other.1, "{} x {}", x.rows, x.dim);
                assert_eq!(first.2, other.2, "{} x {}", x.rows, x.dim);
            }
            first
        }
        for (case, (x, y)) in cases().into_iter().enumerate() {
            let (double, single) = (same_bits::<f64>(&x, &y), same_bits::<f32>(&x, &y));
            assert!(double.0 == single.0, "case {case}");
            let counts = |found: &crate::between::Between| crate::between::Between { kernel: vec![], ..found.clone() };
            assert_eq!(counts(&double.1), counts(&single.1), "case {case}");
            // The kernels' own size: about the origin or far from it.
            for (a, b) in double.2.iter().chain(&double.1.kernel).zip(single.2.iter().chain(&single.1.kernel)) {
                assert!((a - b).abs() <= 1e-5 * a.abs(), "case {case}: {a} {b}");
            }
        }
    }

    #[test]
    fn values_too_small_for_f32_products_are_told_apart() {
        let (n, d) = (1200, 1400);
        let tiny = |seed| {
            let set = gaussian(seed, n, d, 0.0);
            Features { values: set.values.iter().map(|value| value * 1e-40).collect(), ..set }
        };
        let scores = scored(&tiny(33), &tiny(34), 5).expect("finite");
        let (precision, coverage) = (scores.precision.expect("defined"), scores.coverage.expect("defined"));
        assert!(precision > 0.3 && coverage > 0.8, "{precision} {coverage}");
    }

    #[test]
    fn sizes_of_any_order_of_magnitude_are_the_same() {
        let (x, y) = (gaussian(31, 150, 30, 0.0), gaussian(32, 140, 30, 0.1));
        let expected = passes::<f32>(&x, &y, Block { rows: 64, columns: 64 });
        for power in [-60, -20, 20, 60] {
            let scaled = |set: &Features| Features {
                values: set.values.iter().map(|value| value * 2f32.powi(power)).collect(),
                ..*set
            };
            let found = passes::<f32>(&scaled(&x), &scaled(&y), Block { rows: 64, columns: 64 });
            let factor = 2f64.powi(2 * power);
            assert!(found.0.iter().zip(&expected.0).all(|(a, b)| *a == b * factor));
            assert_eq!((found.1.pairs, found.1.recalled), (expected.1.pairs, expected.1.recalled));
        }
    }

    #[test]
    fn a_collapsed_generator_is_precise_and_recalls_little() {
        for centre in [0.0_f32, 1e4] {
            let real = gaussian(20, 500, 4, centre);
            let centre_rows = gaussian(21, 500, 4, 0.0);
            let values = centre_rows.values.iter().map(|value| value * 0.05 + centre).collect();
            let scores = scored(&real, &Features { values, ..centre_rows }, 5).expect("finite");
            assert!(scores.precision.expect("defined") > 0.95);
            assert!(scores.recall.expect("defined") < 0.05);
            assert!(scores.density.expect("defined") > 1.0);
            assert!(scores.coverage.expect("defined") < 0.3);
        }
    }

    #[test]
    fn identical_constant_sets_are_whole() {
        let point = |value: f32, rows| Features { rows, dim: 3, values: vec![value; 3 * rows] };
        let scores = scored(&point(0.1, 50), &point(0.1, 20), 5).expect("finite");
        assert_eq!((scores.precision, scores.recall, scores.coverage), (Ok(1.0), Ok(1.0), Ok(1.0)));
        assert_eq!(scores.density, Ok(10.0));
        let scores = scored(&point(0.1, 50), &point(0.2, 50), 5).expect("finite");
        assert_eq!((scores.precision, scores.recall, scores.coverage), (Ok(0.0), Ok(0.0), Ok(0.0)));
    }

    #[test]
    fn too_few_samples_are_named() {
        let (few, many) = (gaussian(1, 5, 2, 0.0), gaussian(2, 30, 2, 0.0));
        let scores = scored(&few, &many, 5).expect("finite");
        assert_eq!(scores.precision, Err(MetricsError::NotMoreThanK { set: "real", n: 5, k: 5 }));
        assert!(scores.recall.is_ok());
        let scores = scored(&many, &few, 5).expect("finite");
        assert!(scores.precision.is_ok() && scores.density.is_ok() && scores.coverage.is_ok());
        let why = scores.recall.expect_err("no 5th neighbour").to_string();
        assert!(why.starts_with("n = 5 is not more than k = 5"), "{why}");
        assert!(!scored(&many, &many, 0).expect_err("no 0th neighbour").is_undefined());
    }
}
