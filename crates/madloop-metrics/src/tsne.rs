//! t-SNE maps: a generated set beside the real one in the plane, for the eye.

use bhtsne::Neighbor;
use faer::MatRef;
use madloop_core::Features;
use rayon::prelude::*;

use crate::error::{check_pair, check_set};
use crate::gram::Rows;
use crate::linalg::eigenvectors;
use crate::{MetricsError, Result};

/// How far the repulsion of distant points is approximated (Barnes-Hut); 0 would be exact.
const THETA: f64 = 0.5;
/// Standard deviation of the first axis at the start: near 0, so that attraction arranges the points before repulsion spreads them.
const START: f64 = 1e-4;
/// Real neighbours whose places decide where a generated sample starts.
const ANCHORS: usize = 5;

/// The settings of t-SNE.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tsne {
    /// Neighbours that a sample effectively has, 1 or more; 3 times as many are looked at, and there must be as many others.
    pub perplexity: f64,
    /// Steps of gradient descent, of which the first 250 exaggerate attraction 12-fold.
    pub epochs: usize,
}

impl Default for Tsne {
    fn default() -> Self {
        Self { perplexity: 30.0, epochs: 1000 }
    }
}

impl Tsne {
    /// Neighbours looked at.
    fn neighbours(&self) -> usize {
        (3.0 * self.perplexity).min(u32::MAX.into()) as usize
    }

    /// The smallest number of points that can be mapped.
    pub fn least(&self) -> usize {
        self.neighbours() + 1
    }

    fn check(&self, rows: usize) -> Result<()> {
        if !self.perplexity.is_finite() || self.perplexity < 1.0 {
            let must = "1 or more (30 is customary)";
            return Err(MetricsError::Setting { name: "perplexity", value: self.perplexity, must });
        }
        // In floating point, where no perplexity is too large to be compared.
        if 3.0 * self.perplexity > rows.saturating_sub(1) as f64 {
            let why = "t-SNE looks at 3 x perplexity neighbours of each; lower the perplexity or map more samples";
            return Err(MetricsError::TooFew { set: "real", n: rows, needs: self.least(), why });
        }
        Ok(())
    }
}

/// Places in the plane, one a sample.
pub type Places = Vec<[f64; 2]>;

/// A real set with its own map, beside which generated sets are mapped.
///
/// t-SNE (van der Maaten and Hinton 2008; Barnes-Hut, van der Maaten 2014) keeps near samples near; distances between far groups and
/// the sizes of groups mean little. Every joint map starts from the places of the real set's own map, which starts from its first two
/// principal components, and a generated sample from the mean place of its 5 nearest real samples, weighted by the inverse squared
/// distance; so maps of several generations can be compared, and nothing is random. Descent runs on one thread: the same bits
/// everywhere on one kind of processor.
pub struct RealMap {
    real: Features,
    places: Places,
    settings: Tsne,
}

impl RealMap {
    /// Maps the real set alone.
    ///
    /// # Errors
    /// For settings out of range, fewer than 3 x perplexity + 1 samples, values that are not finite, and a set without variance.
    pub fn new(real: Features, settings: Tsne) -> Result<Self> {
        settings.check(real.rows)?;
        check_set(&real, "real")?;
        let places = descend(&[&real], principal_plane(&real)?, settings)?;
        Ok(Self { real, places, settings })
    }

    /// The real set's own map.
    pub fn places(&self) -> &Places {
        &self.places
    }

    /// Maps the real set and a generated one together; returns the places of each.
    ///
    /// # Errors
    /// When dimensions differ or a value is not finite.
    pub fn beside(&self, generated: &Features) -> Result<(Places, Places)> {
        check_pair(&self.real, generated)?;
        let mut start = self.places.clone();
        start.extend(nearest(generated, &[&self.real], ANCHORS, false).iter().map(|near| self.place_by(near)));
        let mut real = descend(&[&self.real, generated], start, self.settings)?;
        let generated = real.split_off(self.real.rows);
        Ok((real, generated))
    }

    /// The mean place of `near`, weighted by the inverse squared distance.
    fn place_by(&self, near: &[Neighbor<f64>]) -> [f64; 2] {
        // A sample that equals a real one takes its place.
        let least = near.iter().map(|one| one.distance).fold(f64::INFINITY, f64::min);
        let weight = |one: &Neighbor<f64>| match least > 0.0 {
            true => (least / one.distance).powi(2),
            false => f64::from(u8::from(one.distance == 0.0)),
        };
        let sum: f64 = near.iter().map(weight).sum();
        let axis = |axis: usize| near.iter().map(|one| weight(one) * self.places[one.index][axis]).sum::<f64>() / sum;
        [axis(0), axis(1)]
    }
}

/// t-SNE of the rows of `sets`, one after the other, from `start`.
fn descend(sets: &[&Features], start: Places, settings: Tsne) -> Result<Places> {
    let rows: Vec<usize> = sets.iter().flat_map(|set| 0..set.rows).collect();
    let neighbours: Vec<Vec<Neighbor<f64>>> =
        sets.iter().flat_map(|set| nearest(set, sets, settings.neighbours(), true)).collect();
    let mean = start.iter().map(|place| place[0]).sum::<f64>() / start.len() as f64;
    let variance = start.iter().map(|place| (place[0] - mean).powi(2)).sum::<f64>() / start.len() as f64;
    let scale = START / variance.sqrt().max(f64::MIN_POSITIVE);
    let start: Vec<f64> = start.iter().flatten().map(|place| place * scale).collect();
    let fit = || {
        let mut tsne = bhtsne::tSNE::<f64, usize, 2>::new(&rows);
        tsne.perplexity(settings.perplexity).epochs(settings.epochs).initial_embedding(start);
        tsne.barnes_hut_with_neighbors(THETA, &neighbours).embedding()
    };
    // Its sums would depend on how many threads share them.
    let alone = rayon::ThreadPoolBuilder::new().num_threads(1).build();
    let places = alone.map_err(|_| MetricsError::NoThread)?.install(fit);
    Ok(places.chunks_exact(2).map(|place| [place[0], place[1]]).collect())
}

/// The `k` rows of `sets`, counted through, that are nearest to each row of `of`, by ascending distance and row; with `others`
/// the row itself, which must be in `sets`, is left out.
fn nearest(of: &Features, sets: &[&Features], k: usize, others: bool) -> Vec<Vec<Neighbor<f64>>> {
    let own = sets.iter().position(|set| std::ptr::eq(*set, of)).filter(|_| others);
    let first: Option<usize> = own.map(|own| sets[..own].iter().map(|set| set.rows).sum());
    let all: Vec<&[f32]> = sets.iter().flat_map(|set| (0..set.rows).map(|row| set.row(row))).collect();
    let of_row = |row: usize| {
        let centre = of.row(row);
        let squared = |other: &[f32]| {
            let differences = centre.iter().zip(other).map(|(a, b)| f64::from(*a) - f64::from(*b));
            differences.map(|difference| difference * difference).sum::<f64>()
        };
        let mut near: Vec<(f64, usize)> = all
            .iter()
            .enumerate()
            .filter(|(index, _)| first.is_none_or(|first| first + row != *index))
            .map(|(index, other)| (squared(other), index))
            .collect();
        let order = |a: &(f64, usize), b: &(f64, usize)| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1));
        if k < near.len() {
            near.select_nth_unstable_by(k, order);
            near.truncate(k);
        }
        near.sort_unstable_by(order);
        near.into_iter().map(|(squared, index)| Neighbor { index, distance: squared.sqrt() }).collect()
    };
    (0..of.rows).into_par_iter().map(of_row).collect()
}

/// The rows along the first two principal components; the greatest coordinate of each is positive.
fn principal_plane(set: &Features) -> Result<Places> {
    let (n, d) = (set.rows, set.dim);
    let rows = Rows::all(set);
    let mean = rows.mean();
    let rows = rows.about(&mean);
    // The smaller of the two matrices that share their eigenvalues but for zeros.
    let along: Vec<Vec<f64>> = if d <= n {
        let (_, vectors) = eigenvectors(MatRef::from_column_major_slice(&rows.second_moments(), d, d))?;
        let project = |axis: usize| {
            let direction = vectors.col(d - 1 - axis.min(d - 1));
            let coordinate = |row: usize| {
                let values = set.row(row).iter().zip(&mean).enumerate();
                values.map(|(j, (value, mean))| (f64::from(*value) - mean) * direction[j]).sum::<f64>()
            };
            (0..n).map(coordinate).collect()
        };
        (0..2).map(|axis| if axis < d { project(axis) } else { vec![0.0; n] }).collect()
    } else {
        let (values, vectors) = eigenvectors(MatRef::from_column_major_slice(&rows.gram(), n, n))?;
        let project = |axis: usize| {
            let scale = values[n - 1 - axis].max(0.0).sqrt();
            vectors.col(n - 1 - axis).iter().map(|value| value * scale).collect()
        };
        (0..2).map(project).collect()
    };
    let turned = along.into_iter().map(|mut axis: Vec<f64>| {
        let greatest = axis.iter().copied().fold(0.0, |a: f64, b| if b.abs() > a.abs() { b } else { a });
        axis.iter_mut().for_each(|value| *value *= greatest.signum());
        axis
    });
    let axes: Vec<Vec<f64>> = turned.collect();
    if axes[0].iter().all(|value| *value == 0.0) {
        return Err(MetricsError::NoVariance { set: "real", n });
    }
    Ok(axes[0].iter().zip(&axes[1]).map(|(x, y)| [*x, *y]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{gaussian, in_pool};

    /// `groups` groups of `each` rows in 8 dimensions, about 30 apart.
    fn groups(groups: usize, each: usize, seed: u64) -> Features {
        let mut set = gaussian(seed, groups * each, 8, 0.0);
        for (row, values) in set.values.chunks_exact_mut(8).enumerate() {
            values[row / each % 8] += 30.0;
        }
        set
    }

    fn distance(a: [f64; 2], b: [f64; 2]) -> f64 {
        (a[0] - b[0]).hypot(a[1] - b[1])
    }

    #[test]
    fn groups_stay_groups_and_generated_rows_join_theirs() {
        let settings = Tsne { perplexity: 10.0, epochs: 500 };
        let real = RealMap::new(groups(4, 50, 1), settings).expect("a map");
        let (a, b) = real.beside(&groups(4, 40, 2)).expect("a joint map");
        assert_eq!((a.len(), b.len()), (200, 160));
        for (i, &place) in b.iter().enumerate() {
            let nearest = (0..200).min_by(|&x, &y| distance(a[x], place).total_cmp(&distance(a[y], place)));
            assert_eq!(nearest.map(|row| row / 50), Some(i / 40), "generated row {i}");
        }
        assert_eq!(real.beside(&groups(4, 40, 2)).expect("again"), (a, b));
        // At another number of threads, too.
        let again = in_pool(3, || RealMap::new(groups(4, 50, 1), settings)).expect("a map");
        assert_eq!(again.places(), real.places());
    }

    #[test]
    fn starts_are_principal_components() {
        // Variances 9 and 1 along the axes, both ways of getting them.
        let wide = Features { rows: 4, dim: 2, values: vec![3.0, 1.0, 3.0, -1.0, -3.0, 1.0, -3.0, -1.0] };
        let long = Features { rows: 2, dim: 3, values: vec![5.0, 0.0, 0.0, -5.0, 0.0, 0.0] };
        let spread = |places: &Places, axis: usize| places.iter().map(|place| place[axis].powi(2)).sum::<f64>();
        let places = principal_plane(&wide).expect("varies");
        assert!((spread(&places, 0) - 36.0).abs() < 1e-9 && (spread(&places, 1) - 4.0).abs() < 1e-9, "{places:?}");
        let places = principal_plane(&long).expect("varies");
        assert!((spread(&places, 0) - 50.0).abs() < 1e-9 && spread(&places, 1) < 1e-9, "{places:?}");
        let line = Features { rows: 3, dim: 1, values: vec![0.0, 1.0, 5.0] };
        let places = principal_plane(&line).expect("varies");
        assert!((places[2][0] - 3.0).abs() < 1e-12 && places[2][1] == 0.0, "{places:?}");
    }

    #[test]
    fn a_collapsed_set_is_mapped() {
        let settings = Tsne { perplexity: 5.0, epochs: 300 };
        let real = RealMap::new(gaussian(3, 60, 4, 0.0), settings).expect("a map");
        let collapsed = Features { rows: 50, dim: 4, values: [0.5, 0.1, -0.2, 0.0].repeat(50) };
        let (a, b) = real.beside(&collapsed).expect("a joint map");
        assert!(a.iter().chain(&b).flatten().all(|value| value.is_finite()));
    }

    #[test]
    fn bad_input_is_told() {
        let told = |set: Features, perplexity: f64| {
            let error = RealMap::new(set, Tsne { perplexity, epochs: 10 }).err().expect("refused");
            error.to_string()
        };
        assert!(told(gaussian(0, 50, 2, 0.0), 0.5).contains("perplexity is 0.5; it must be 1 or more"));
        assert!(told(gaussian(0, 50, 2, 0.0), f64::NAN).contains("perplexity"));
        assert!(
            told(gaussian(0, 50, 2, 0.0), 30.0).contains("less than 91"),
            "{}",
            told(gaussian(0, 50, 2, 0.0), 30.0)
        );
        assert!(told(gaussian(0, 50, 2, 0.0), 1e19).contains("t-SNE looks at"));
        let same = Features { rows: 20, dim: 2, values: vec![1.0; 40] };
        assert!(told(same, 2.0).contains("no variance"));
        let holes = Features { rows: 20, dim: 2, values: vec![f32::NAN; 40] };
        assert!(told(holes, 2.0).contains("row 0, column 0"));
    }
}
