//! A reference set, prepared once, against which generated sets are scored.

use madloop_core::{Features, Scores, Stream};

use crate::bootstrap::{BOOTSTRAP_FROM, Scheme, deviation, halves, interval, scheme, weighted_frechet};
use crate::catalog::{Metric, Of, find, nearest};
use crate::error::{check_dims, check_set, check_shape};
use crate::frechet::FrechetReference;
use crate::infinity::infinity;
use crate::pairs::{Pairs, PairsReference, Want};
use crate::settings::Settings;
use crate::sliced::sliced_w2_checked;
use crate::spread::trace_cov_with_error;
use crate::{MetricsError, Result};

/// Randomness of the order in which FD-infinity takes samples.
const ORDER: Stream = Stream::named("fd-infinity");

/// The real set with what the metrics need of it: its covariance's root, the radii of its balls, its own kernel sums.
#[derive(Debug, Clone)]
pub struct Reference {
    features: Features,
    settings: Settings,
    want: Want,
    frechet: Option<Result<FrechetReference>>,
    pairs: Option<Result<PairsReference>>,
}

impl Reference {
    /// Prepares `features` (`[n_r, d]`, the real set) for `metrics`, by catalogue name.
    ///
    /// # Errors
    /// An unknown metric (the nearest name is suggested), one that is not made of features, k = 0, a buffer that
    /// is not `[n_r, d]` or a real feature that is not finite. Too few rows are no error: they make metrics undefined.
    pub fn new(features: Features, settings: Settings, metrics: &[impl AsRef<str>]) -> Result<Self> {
        check_set(&features, "real")?;
        settings.check()?;
        let metrics = metrics.iter().map(|name| feature_metric(name.as_ref())).collect::<Result<Vec<_>>>()?;
        let want = want(&metrics);
        let asked = |name: &str| metrics.iter().any(|metric| metric.name == name);
        let frechet = (asked("frechet_distance") || asked("fd_infinity")).then(|| FrechetReference::new(&features));
        let pairs = (want != Want::default()).then(|| PairsReference::new(&features, want, &settings));
        Ok(Self { features, settings, want, frechet, pairs })
    }

    /// The choices behind the metrics.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The prepared features.
    pub fn features(&self) -> &Features {
        &self.features
    }

    /// Scores `generated` (`[n_g, d]`) in `metrics`, by catalogue name. A metric that has no value for these samples is recorded
    /// with its reason.
    ///
    /// # Errors
    /// An unknown or unprepared metric, or features of another dimension.
    pub fn score(&self, generated: &Features, metrics: &[impl AsRef<str>]) -> Result<Scores> {
        let metrics = metrics.iter().map(|name| feature_metric(name.as_ref())).collect::<Result<Vec<_>>>()?;
        check_shape(generated, "the generated features")?;
        check_dims(&self.features, generated)?;
        let mut scores = Scores::default();
        if let Err(reason) = check_set(generated, "generated") {
            for metric in metrics {
                scores.set(metric.name, Err(reason.to_string()));
            }
            return Ok(scores);
        }
        let want = want(&metrics);
        let pairs = (want != Want::default()).then(|| self.compare_pairs(generated, want));
        for metric in &metrics {
            match self.value(metric.name, generated, pairs.as_ref()) {
                Err(error) if !error.is_undefined() => return Err(error),
                Ok(value) => {
                    scores.set(metric.name, Ok(value));
                    if let Some((error, method)) = standard_error(metric.name, generated, pairs.as_ref()) {
                        let interval = interval(value, error, metric.range, method);
                        scores.intervals.insert(metric.name.to_owned(), interval);
                    }
                }
                Err(reason) => scores.set(metric.name, Err(reason.to_string())),
            }
        }
        Ok(scores)
    }

    /// [`Self::score`] with intervals from `replicates` resamples of both sets: the Frechet distance by random weights
    /// of the rows, all others by halves drawn without replacement, whose deviation is that of the whole (the
    /// delete-half jackknife). A metric without a value in some resample keeps the interval that it has without them.
    ///
    /// # Errors
    /// As [`Self::score`], or fewer than [`crate::BOOTSTRAP_FROM`] replicates.
    pub fn score_resampled(
        &self,
        generated: &Features,
        metrics: &[impl AsRef<str>],
        replicates: usize,
    ) -> Result<Scores> {
        if replicates < BOOTSTRAP_FROM {
            let (value, must) = (replicates as f64, "10 or more: a deviation is estimated from them (200 is usual)");
            return Err(MetricsError::Setting { name: "the number of bootstrap replicates", value, must });
        }
        let mut scores = self.score(generated, metrics)?;
        let defined = |metric: &&Metric| scores.values.get(metric.name).is_some_and(Option::is_some);
        let metrics = metrics.iter().map(|name| feature_metric(name.as_ref())).collect::<Result<Vec<_>>>()?;
        let of = |wanted: Scheme| {
            let metrics = metrics.iter().filter(|metric| defined(metric) && scheme(metric.name) == Some(wanted));
            metrics.map(|metric| metric.name).collect::<Vec<_>>()
        };
        let (by_weights, by_halves) = (of(Scheme::Weights), of(Scheme::Halves));
        let mut found: Vec<(&str, Scheme, Result<Vec<f64>>)> = Vec::new();
        for name in by_weights {
            let values = weighted_frechet(&self.features, generated, replicates, self.settings.seeds);
            found.push((name, Scheme::Weights, values));
        }
        if !by_halves.is_empty() {
            let values = halves(self, generated, &by_halves, replicates)?;
            found.extend(by_halves.iter().zip(values).map(|(name, values)| (*name, Scheme::Halves, values)));
        }
        for (name, scheme, values) in found {
            let deviation = values.ok().and_then(|values| deviation(&values));
            if let (Some(deviation), Some(Some(value)), Some(metric)) =
                (deviation, scores.values.get(name).copied(), find(name))
            {
                let interval = interval(value, deviation, metric.range, scheme.name());
                scores.intervals.insert(name.to_owned(), interval);
            }
        }
        Ok(scores)
    }

    /// The generated rows in an addressed random order.
    fn order(&self, generated: &Features) -> Vec<usize> {
        let mut rng = self.settings.seeds.rng(ORDER, 0);
        rand::seq::index::sample(&mut rng, generated.rows, generated.rows).into_vec()
    }

    fn compare_pairs(&self, generated: &Features, want: Want) -> Result<Pairs> {
        if let Some(name) = self.want.lacks(want) {
            return Err(MetricsError::NotPrepared { name });
        }
        let reference = prepared(&self.pairs, "precision")??;
        reference.compare(&self.features, generated, want, &self.settings)
    }

    fn value(&self, name: &'static str, generated: &Features, pairs: Option<&Result<Pairs>>) -> Result<f64> {
        let pairs = || match pairs {
            Some(Ok(pairs)) => Ok(pairs),
            Some(Err(reason)) => Err(reason.clone()),
            None => Err(MetricsError::NotPrepared { name }),
        };
        match name {
            "frechet_distance" => prepared(&self.frechet, name)??.distance(&self.features, generated),
            "kid" => pairs()?.kid.as_ref().map(|kid| kid.mean).map_err(Clone::clone),
            "kid_std" => pairs()?.kid.as_ref().map_err(Clone::clone).and_then(|kid| kid.std.clone()),
            "precision" => pairs()?.manifold.precision.clone(),
            "recall" => pairs()?.manifold.recall.clone(),
            "density" => pairs()?.manifold.density.clone(),
            "coverage" => pairs()?.manifold.coverage.clone(),
            "auth_pct" => pairs()?.manifold.auth_pct.clone(),
            "sliced_w2" => sliced_w2_checked(&self.features, generated, self.settings.seeds),
            "trace_cov" => trace_cov_with_error(generated).map(|(value, _)| value),
            "fd_infinity" => {
                infinity(prepared(&self.frechet, name)??, &self.features, generated, &self.order(generated))
            }
            _ => Err(MetricsError::NotPrepared { name }),
        }
    }
}

/// The standard error of a metric that has one without resampling, and where it comes from.
fn standard_error(name: &str, generated: &Features, pairs: Option<&Result<Pairs>>) -> Option<(f64, &'static str)> {
    match name {
        "kid" => Some((pairs?.as_ref().ok()?.kid.as_ref().ok()?.standard_error?, "subsets")),
        "trace_cov" => Some((trace_cov_with_error(generated).ok()?.1, "standard error of a mean")),
        _ => None,
    }
}

/// What the passes over pairs must find for `metrics`.
fn want(metrics: &[&Metric]) -> Want {
    let asked = |names: &[&str]| metrics.iter().any(|metric| names.contains(&metric.name));
    Want {
        real_balls: asked(&["precision", "density", "coverage"]),
        generated_balls: asked(&["recall"]),
        authentic: asked(&["auth_pct"]),
        kid: asked(&["kid", "kid_std"]),
    }
}

/// What was prepared, or the reason why it is undefined; an error when it was not asked for.
fn prepared<'a, T>(part: &'a Option<Result<T>>, name: &'static str) -> Result<Result<&'a T>> {
    match part {
        None => Err(MetricsError::NotPrepared { name }),
        Some(part) => Ok(part.as_ref().map_err(Clone::clone)),
    }
}

/// The metric of this name, if it is made of features.
fn feature_metric(name: &str) -> Result<&'static Metric> {
    let Some(metric) = find(name) else {
        return Err(MetricsError::UnknownMetric { name: name.to_owned(), nearest: nearest(name).name });
    };
    match metric.of {
        Of::Features => Ok(metric),
        Of::Model => {
            Err(MetricsError::NotOfFeatures { name: metric.name, needs: "the parameters of a Gaussian model" })
        }
        Of::Modes => {
            Err(MetricsError::NotOfFeatures { name: metric.name, needs: "samples and the centres of the modes" })
        }
    }
}

#[cfg(test)]
pub(crate) mod testing {
    //! Data and thread pools for the tests of this crate.

    use madloop_core::{Features, Seeds, Stream};
    use rand::Rng;
    use rand_distr::{Distribution, StandardNormal};

    /// Gaussian rows about (`shift`, ..., `shift`): column 0 has deviation 0.8, each other is 0.6 times its left
    /// neighbour plus as much noise.
    pub(crate) fn gaussian(seed: u64, rows: usize, dim: usize, shift: f32) -> Features {
        let mut values = Vec::with_capacity(rows * dim);
        for row in 0..rows {
            let mut rng = Seeds::new(seed).rng(Stream::named("test"), row as u64);
            let mut left = 0.0_f32;
            for _ in 0..dim {
                let normal: f32 = StandardNormal.sample(&mut rng);
                left = 0.8 * normal + 0.6 * left;
                values.push(left + shift);
            }
        }
        Features { rows, dim, values }
    }

    /// Rows of {0, 1/8, 1/4, 3/8}^dim: many duplicates and equal distances.
    pub(crate) fn lattice(seed: u64, rows: usize, dim: usize) -> Features {
        let mut rng = Seeds::new(seed).rng(Stream::named("test"), 0);
        let values = (0..rows * dim).map(|_| (rng.next_u32() % 4) as f32 / 8.0).collect();
        Features { rows, dim, values }
    }

    /// Runs `work` in a pool of `threads` threads.
    pub(crate) fn in_pool<T: Send>(threads: usize, work: impl FnOnce() -> T + Send) -> T {
        rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool").install(work)
    }
}

#[cfg(test)]
mod tests {
    use madloop_core::Seeds;

    use super::testing::gaussian;
    use super::*;

    const ALL: [&str; 10] = [
        "frechet_distance",
        "kid",
        "kid_std",
        "precision",
        "recall",
        "density",
        "coverage",
        "auth_pct",
        "sliced_w2",
        "trace_cov",
    ];

    fn scores(real: &Features, generated: &Features) -> Scores {
        let reference = Reference::new(real.clone(), Settings::default(), &ALL).expect("valid");
        reference.score(generated, &ALL).expect("valid")
    }

    #[test]
    fn every_feature_metric_is_scored() {
        let named: Vec<_> = crate::CATALOG.iter().filter(|m| m.of == Of::Features).map(|m| m.name).collect();
        assert_eq!(named, ALL);
        let (real, generated) = (gaussian(1, 1200, 8, 0.0), gaussian(2, 1100, 8, 0.1));
        let scores = scores(&real, &generated);
        assert_eq!(scores.undefined.len(), 0);
        assert_eq!(scores.values.len(), ALL.len());
        let value = |name: &str| scores.values[name].expect("defined");
        assert_eq!(value("frechet_distance"), crate::frechet_distance(&real, &generated).expect("defined"));
        let kid = crate::kid(&real, &generated, Seeds::new(0)).expect("defined");
        assert_eq!((Ok(value("kid_std")), value("kid")), (kid.std, kid.mean));
        let manifold = crate::manifold(&real, &generated, &Settings::default()).expect("defined");
        assert_eq!((Ok(value("recall")), Ok(value("density"))), (manifold.recall, manifold.density));
        assert_eq!(value("sliced_w2"), crate::sliced_w2(&real, &generated, Seeds::new(0)).expect("defined"));
        assert_eq!(value("trace_cov"), crate::trace_cov(&generated).expect("defined"));
        for metric in crate::CATALOG.iter().filter(|m| m.of == Of::Features) {
            assert!((metric.range.0..=metric.range.1).contains(&value(metric.name)), "{}", metric.name);
        }
    }

    #[test]
    fn collapse_has_values_or_reasons() {
        let point = |rows, dim, value: f32| Features { rows, dim, values: vec![value; rows * dim] };
        let flat = |rows| {
            let mut set = gaussian(3, rows, 6, 0.0);
            set.values.chunks_exact_mut(6).for_each(|row| row[3..].fill(0.5));
            set
        };
        let sets = [
            point(0, 6, 0.0),
            point(1, 6, 0.3),
            point(2, 6, 0.3),
            point(4, 6, 1e20),
            point(40, 6, 0.3),
            point(1001, 6, 0.3),
            point(40, 6, f32::MAX),
            flat(40),
            flat(4),
            gaussian(4, 5, 6, 0.0),
            gaussian(5, 50, 6, 0.0),
        ];
        for real in &sets {
            for generated in &sets {
                let scores = scores(real, generated);
                assert_eq!(scores.values.len(), ALL.len());
                for (name, value) in &scores.values {
                    let what = format!("{name} of {} and {} rows: {value:?}", real.rows, generated.rows);
                    match value {
                        Some(value) => assert!(value.is_finite(), "{what}"),
                        None => assert!(scores.undefined[name].contains("n = "), "{what} {}", scores.undefined[name]),
                    }
                }
                let defined = |name: &str| scores.values[name].is_some();
                let (n, m) = (real.rows, generated.rows);
                assert_eq!(defined("frechet_distance"), n >= 2 && m >= 2);
                assert_eq!(defined("kid"), n >= 2 && m >= 2);
                assert_eq!(defined("kid_std"), n > 1000 && m > 1000);
                assert_eq!(defined("precision"), n > 5 && m >= 1);
                assert_eq!(defined("recall"), n >= 1 && m > 5);
                assert_eq!(defined("sliced_w2"), n >= 1 && m >= 1);
                assert_eq!(defined("trace_cov"), m >= 2);
            }
        }
    }

    #[test]
    fn a_value_that_is_not_finite_is_the_reason() {
        let real = gaussian(1, 20, 3, 0.0);
        let mut generated = gaussian(2, 20, 3, 0.0);
        generated.values[7] = f32::NAN;
        let scores = scores(&real, &generated);
        assert!(scores.values.values().all(Option::is_none));
        assert_eq!(scores.undefined["kid"], "row 2, column 1 of the generated features is NaN");
        let error = Reference::new(generated, Settings::default(), &ALL).expect_err("not a reference");
        assert!(error.to_string().contains("of the real features is NaN"));
    }

    #[test]
    fn misuse_is_an_error_with_a_remedy() {
        let real = gaussian(1, 20, 3, 0.0);
        let error = Reference::new(real.clone(), Settings::default(), &["precison"]).expect_err("misspelt");
        assert!(error.to_string().contains("did you mean `precision`"), "{error}");
        let error = Reference::new(real.clone(), Settings::default(), &["modes_kept"]).expect_err("not of features");
        assert!(error.to_string().contains("centres"), "{error}");
        assert!(Reference::new(real.clone(), Settings { k: 0, ..Settings::default() }, &ALL).is_err());
        let reference = Reference::new(real.clone(), Settings::default(), &["kid"]).expect("valid");
        let error = reference.score(&real, &["recall"]).expect_err("unprepared");
        assert_eq!(error, MetricsError::NotPrepared { name: "recall" });
        let error = reference.score(&gaussian(1, 20, 4, 0.0), &["kid"]).expect_err("other dimension");
        assert_eq!(error, MetricsError::DimensionMismatch { real: 3, generated: 4 });
        assert!(!error.is_undefined());
        let torn = Features { values: vec![0.0; 5], ..real };
        assert!(matches!(Reference::new(torn, Settings::default(), &ALL), Err(MetricsError::BufferLength { .. })));
    }
}
