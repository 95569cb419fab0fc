//! A reference set, prepared once, against which generated sets are scored.

use std::cell::OnceCell;
use std::collections::BTreeMap;

use madloop_core::{Features, Scores, Stream};

use crate::bootstrap::interval;
use crate::catalog::{Metric, Of, find, nearest};
use crate::error::{check_dims, check_set, check_shape};
use crate::frechet::FrechetReference;
use crate::infinity::infinity;
use crate::mmd::{Bandwidth, mmd_rbf};
use crate::pairs::{Pairs, PairsReference, Want};
use crate::rank::{RANK_TOLERANCE, covariance_spectrum, effective_rank_of, numerical_rank_of};
use crate::settings::Settings;
use crate::sinkhorn::{SINKHORN_BLUR, SINKHORN_SCALING, sinkhorn};
use crate::sliced::sliced_w2_checked;
use crate::spread::trace_cov_with_error;
use crate::vendi::vendi;
use crate::wasserstein::w2_sq;
use crate::{MetricsError, Result};

/// Randomness of the order in which FD-infinity takes samples.
const ORDER: Stream = Stream::named("fd-infinity");

/// Named lists of numbers.
pub type Arrays = BTreeMap<String, Vec<f64>>;

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
        Self::restore(features, settings, metrics, Arrays::new()).map(|(reference, _)| reference)
    }

    /// What the real set cost to prepare (a root of its covariance, radii, kernel sums), by name: for [`Self::restore`].
    pub fn arrays(&self) -> Arrays {
        let mut arrays = Arrays::new();
        if let Some(Ok(frechet)) = &self.frechet {
            frechet.arrays(&mut arrays);
        }
        if let Some(Ok(pairs)) = &self.pairs {
            pairs.arrays(&mut arrays);
        }
        arrays
    }

    /// [`Self::new`] from [`Self::arrays`] of the same features, settings and metrics, without the work; what is missing or does
    /// not fit is prepared anew, and the second value says whether anything was.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn restore(
        features: Features,
        settings: Settings,
        metrics: &[impl AsRef<str>],
        mut arrays: Arrays,
    ) -> Result<(Self, bool)> {
        let (metrics, want) = Self::checked(&features, &settings, metrics)?;
        let mut anew = false;
        let frechet = needs_frechet(&metrics).then(|| match FrechetReference::from_arrays(&features, &mut arrays) {
            Some(frechet) => Ok(frechet),
            None => {
                anew = true;
                FrechetReference::new(&features)
            }
        });
        let pairs = (want != Want::default()).then(|| {
            match PairsReference::from_arrays(&features, want, &settings, &mut arrays) {
                Some(pairs) => Ok(pairs),
                None => {
                    anew = true;
                    PairsReference::new(&features, want, &settings)
                }
            }
        });
        Ok((Self { features, settings, want, frechet, pairs }, anew))
    }

    fn checked(
        features: &Features,
        settings: &Settings,
        metrics: &[impl AsRef<str>],
    ) -> Result<(Vec<&'static Metric>, Want)> {
        check_set(features, "real")?;
        settings.check()?;
        let metrics = metrics.iter().map(|name| feature_metric(name.as_ref())).collect::<Result<Vec<_>>>()?;
        let want = want(&metrics);
        Ok((metrics, want))
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
        let shared = Shared {
            pairs: (want != Want::default()).then(|| self.compare_pairs(generated, want)),
            spectrum: OnceCell::new(),
        };
        for metric in &metrics {
            match self.value(metric.name, generated, &shared) {
                Err(error) if !error.is_undefined() => return Err(error),
                Ok((value, error)) => {
                    scores.set(metric.name, Ok(value));
                    if let Some((error, method)) = error.filter(|(error, _)| value.is_finite() && *error > 0.0) {
                        let interval = interval(value, error, metric.range, method);
                        scores.intervals.insert(metric.name.to_owned(), interval);
                    }
                }
                Err(reason) => scores.set(metric.name, Err(reason.to_string())),
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

    /// A metric with its standard error, where that comes with it, and what the error is of.
    fn value(&self, name: &'static str, generated: &Features, shared: &Shared) -> Result<Value> {
        let real = &self.features;
        let spectrum = || {
            let spectrum = shared.spectrum.get_or_init(|| covariance_spectrum(generated));
            spectrum.as_ref().map_err(Clone::clone)
        };
        let manifold = || match &shared.pairs {
            Some(Ok(pairs)) => Ok(&pairs.manifold),
            Some(Err(reason)) => Err(reason.clone()),
            None => Err(MetricsError::NotPrepared { name }),
        };
        let kid = || match &shared.pairs {
            Some(Ok(pairs)) => pairs.kid.as_ref().map_err(Clone::clone),
            Some(Err(reason)) => Err(reason.clone()),
            None => Err(MetricsError::NotPrepared { name }),
        };
        let plain = match name {
            "kid" => {
                let kid = kid()?;
                return Ok((kid.mean, kid.standard_error.map(|error| (error, "subsets"))));
            }
            "trace_cov" => {
                let (value, error) = trace_cov_with_error(generated)?;
                return Ok((value, Some((error, "standard error of a mean"))));
            }
            "mmd_rbf" => {
                let mmd = mmd_rbf(real, generated, Bandwidth::Median)?;
                return Ok((mmd.squared, Some((mmd.se, "standard error of a U-statistic"))));
            }
            "kid_std" => kid()?.std.clone(),
            "precision" => manifold()?.precision.clone(),
            "recall" => manifold()?.recall.clone(),
            "density" => manifold()?.density.clone(),
            "coverage" => manifold()?.coverage.clone(),
            "auth_pct" => manifold()?.auth_pct.clone(),
            "frechet_distance" => prepared(&self.frechet, name)??.distance(real, generated),
            "fd_infinity" => infinity(prepared(&self.frechet, name)??, real, generated, &self.order(generated)),
            "sliced_w2" => sliced_w2_checked(real, generated, self.settings.seeds),
            "w2_sq" => w2_sq(real, generated),
            "sinkhorn" => sinkhorn(real, generated, SINKHORN_BLUR, SINKHORN_SCALING),
            "vendi" => vendi(generated),
            "effective_rank" => spectrum().and_then(|values| {
                effective_rank_of(values).ok_or(MetricsError::NoVariance { set: "generated", n: generated.rows })
            }),
            "rank" => spectrum().map(|values| numerical_rank_of(values, RANK_TOLERANCE) as f64),
            _ => Err(MetricsError::NotPrepared { name }),
        };
        plain.map(|value| (value, None))
    }
}

/// What several metrics of one comparison are made of.
struct Shared {
    pairs: Option<Result<Pairs>>,
    /// Eigenvalues of the generated covariance, computed when first asked for.
    spectrum: OnceCell<Result<Vec<f64>>>,
}

/// A metric, and its standard error with what that is of.
type Value = (f64, Option<(f64, &'static str)>);

/// Whether a metric is made of the reference's covariance.
fn needs_frechet(metrics: &[&Metric]) -> bool {
    metrics.iter().any(|metric| matches!(metric.name, "frechet_distance" | "fd_infinity"))
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
pub(crate) fn feature_metric(name: &str) -> Result<&'static Metric> {
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
        Of::Tail => Err(MetricsError::NotOfFeatures { name: metric.name, needs: "samples of a known law" }),
        Of::Likelihood => {
            Err(MetricsError::NotOfFeatures { name: metric.name, needs: "a model that knows its density" })
        }
        Of::Inception => Err(MetricsError::NotOfFeatures { name: metric.name, needs: "outputs of Inception" }),
        Of::Downstream => Err(MetricsError::NotOfFeatures { name: metric.name, needs: "a classifier and labels" }),
        Of::Training => {
            Err(MetricsError::NotOfFeatures { name: metric.name, needs: "the set that the model was trained on" })
        }
    }
}

#[cfg(test)]
mod tests {
    use madloop_core::Seeds;

    use super::*;
    use crate::testing::gaussian;

    fn all() -> Vec<&'static str> {
        crate::CATALOG.iter().filter(|metric| metric.of == Of::Features).map(|metric| metric.name).collect()
    }

    fn scores(real: &Features, generated: &Features) -> Scores {
        let reference = Reference::new(real.clone(), Settings::default(), &all()).expect("valid");
        reference.score(generated, &all()).expect("valid")
    }

    #[test]
    fn every_feature_metric_is_scored() {
        let (real, generated) = (gaussian(1, 1200, 8, 0.0), gaussian(2, 1100, 8, 0.1));
        let scores = scores(&real, &generated);
        assert_eq!(scores.undefined.keys().collect::<Vec<_>>(), ["fd_infinity"]);
        assert_eq!(scores.values.len(), all().len());
        let value = |name: &str| scores.values[name].expect("defined");
        assert_eq!(value("frechet_distance"), crate::frechet_distance(&real, &generated).expect("defined"));
        let kid = crate::kid(&real, &generated, Seeds::new(0)).expect("defined");
        assert_eq!((Ok(value("kid_std")), value("kid")), (kid.std, kid.mean));
        let manifold = crate::manifold(&real, &generated, &Settings::default()).expect("defined");
        assert_eq!((Ok(value("recall")), Ok(value("density"))), (manifold.recall, manifold.density));
        assert_eq!(value("sliced_w2"), crate::sliced_w2(&real, &generated, Seeds::new(0)).expect("defined"));
        assert_eq!(value("trace_cov"), crate::trace_cov(&generated).expect("defined"));
        assert_eq!(value("vendi"), crate::vendi(&generated).expect("defined"));
        assert_eq!(value("w2_sq"), crate::w2_sq(&real, &generated).expect("defined"));
        for metric in crate::CATALOG.iter().filter(|m| scores.values.get(m.name).is_some_and(Option::is_some)) {
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
                assert_eq!(scores.values.len(), all().len());
                for (name, value) in &scores.values {
                    let what = format!("{name} of {} and {} rows: {value:?}", real.rows, generated.rows);
                    match value {
                        Some(value) => assert!(value.is_finite(), "{what}"),
                        None => assert!(scores.undefined[name].len() > 20, "{what} {}", scores.undefined[name]),
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
        let error = Reference::new(generated, Settings::default(), &all()).expect_err("not a reference");
        assert!(error.to_string().contains("of the real features is NaN"));
    }

    #[test]
    fn misuse_is_an_error_with_a_remedy() {
        let real = gaussian(1, 20, 3, 0.0);
        let error = Reference::new(real.clone(), Settings::default(), &["precison"]).expect_err("misspelt");
        assert!(error.to_string().contains("did you mean `precision`"), "{error}");
        let error = Reference::new(real.clone(), Settings::default(), &["modes_kept"]).expect_err("not of features");
        assert!(error.to_string().contains("centres"), "{error}");
        assert!(Reference::new(real.clone(), Settings { k: 0, ..Settings::default() }, &all()).is_err());
        let reference = Reference::new(real.clone(), Settings::default(), &["kid"]).expect("valid");
        let error = reference.score(&real, &["recall"]).expect_err("unprepared");
        assert_eq!(error, MetricsError::NotPrepared { name: "recall" });
        let error = reference.score(&gaussian(1, 20, 4, 0.0), &["kid"]).expect_err("other dimension");
        assert_eq!(error, MetricsError::DimensionMismatch { real: 3, generated: 4 });
        assert!(!error.is_undefined());
        let torn = Features { values: vec![0.0; 5], ..real };
        assert!(matches!(Reference::new(torn, Settings::default(), &all()), Err(MetricsError::BufferLength { .. })));
    }
}
