//! Two sets on disk, compared.

mod cache;
mod like;
mod progress;
mod provenance;
mod sets;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use madloop_core::{FeatureMap, Features, Samples, Scores, Seeds};
use madloop_metrics::{Metric, Of, Reference, Settings};
use serde_json::Value;
use sha2::{Digest, Sha256};

pub use self::cache::{CACHE_LIMIT, Cache};
pub use self::like::Like;
pub use self::progress::Progress;
pub(crate) use self::sets::{Set, features, features_for};
use self::sets::{checksum, outputs, outputs_told, subset};
use crate::config::FeatureName;
use crate::data::ReadOptions;
use crate::feature_map::{FeatureOptions, Mapping, Outputs, Want};
use crate::inception::Asked;
use crate::scoring::{audit, check_metric, metric_error};
use crate::{Error, Result};

/// Neighbours of precision, recall, density and coverage, unless a tool has others.
pub const DEFAULT_K: usize = 5;
/// The metric that `--train` adds.
const AUDIT: &str = "lambda_eff";

/// How two sets are compared.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Metrics by catalogue name; when empty those of the tool in `like`, else all that need features alone and little time.
    pub metrics: Vec<String>,
    /// Neighbours of precision, recall, density and coverage; the tool's or 5 when `None`.
    pub k: Option<usize>,
    /// Samples of each set that are scored; all of them when `None`.
    pub n: Option<usize>,
    /// Seed of subsets and projections.
    pub seed: u64,
    /// The feature map by name; `none` or `pixels`, whichever fits, when `None`.
    pub features: Option<String>,
    /// Weights and preprocessing of the feature map; how it resizes is that of the tool in `like` when it is not given.
    pub map: FeatureOptions,
    /// A tool whose choices are taken.
    pub like: Option<Like>,
    /// Resamples for intervals.
    pub bootstrap: Option<usize>,
    /// Whether every class is scored beside the whole.
    pub per_class: bool,
    /// The set that the generated set's model was trained on.
    pub train: Option<PathBuf>,
    /// Where prepared references are kept.
    pub cache: Option<Cache>,
    /// Who is told how far it is.
    pub progress: Progress,
}

impl Options {
    /// The neighbour in use.
    pub fn k(&self) -> usize {
        self.k.unwrap_or_else(|| self.like.map_or(DEFAULT_K, Like::k))
    }

    /// Whether the features are Inception's.
    fn has_inception(&self) -> bool {
        self.features.as_deref().is_some_and(|name| name.parse() == Ok(FeatureName::Inception))
    }

    /// The feature map's options, with how the tool resizes.
    fn map_options(&self) -> FeatureOptions {
        let asked = self.features.as_deref().and_then(|name| name.parse().ok());
        let like = match asked {
            Some(FeatureName::Inception | FeatureName::Vgg16 | FeatureName::EffnetLite0) => {
                self.like.and_then(Like::resize)
            }
            _ => None,
        };
        FeatureOptions { resize: self.map.resize.or(like), ..self.map.clone() }
    }
}

/// What a comparison found.
#[derive(Debug, Clone)]
pub struct Comparison {
    /// The metrics, with intervals.
    pub scores: Scores,
    /// The metrics within each class.
    pub per_class: BTreeMap<u32, Scores>,
    /// What to know before the values are read.
    pub warnings: Vec<String>,
    /// What was used.
    pub provenance: Value,
}

/// All metrics of two sets of features, by the feature map asked for.
pub fn feature_metrics(features: Option<&str>) -> Vec<String> {
    let inception = features.is_some_and(|name| name.parse() == Ok(FeatureName::Inception));
    let fits = |of: Of| of == Of::Features || (of == Of::Inception && inception);
    let all = madloop_metrics::CATALOG.iter().filter(|metric| fits(metric.of));
    all.map(|metric| metric.name.to_owned()).collect()
}

/// The metrics that are scored unless others are asked for: those without long computations.
pub fn default_metrics() -> Vec<String> {
    const LONG: [&str; 4] = ["w2_sq", "sinkhorn", "fd_infinity", "mmd_rbf"];
    feature_metrics(None).into_iter().filter(|name| !LONG.contains(&name.as_str())).collect()
}

/// Compares the generated set with the real one.
///
/// # Errors
/// Files that cannot be read, sets that cannot be compared, or options that make no sense; all say what to do. A metric without
/// a value for these sets is none: its reason is in the scores.
pub fn compare(real: &Path, generated: &Path, read: &ReadOptions, options: &Options) -> Result<Comparison> {
    let metrics = check_metrics(options)?;
    let mut left_out = Vec::new();
    let mut load = |path: &Path| Set::load_told(path, read, &options.progress, &mut left_out);
    let sets = [load(real)?, load(generated)?];
    let checksums = [sets[0].checksum(), sets[1].checksum()];
    let mut used = provenance::Used::new([real, generated], checksums, options);
    used.notes.extend(left_out);
    let (scores, per_class) = match sets {
        [Set::Samples(real_set), Set::Samples(generated_set)] => {
            let paths = [real, generated];
            let both = Both { paths, options, metrics: &metrics, read };
            both.compare(real_set, generated_set, &mut used)?
        }
        sets => {
            let needs = [
                (options.train.is_some(), "--train"),
                (options.per_class, "--per-class"),
                (options.bootstrap.is_some(), "--bootstrap"),
            ];
            if let Some((_, option)) = needs.into_iter().find(|(asked, _)| *asked) {
                let why = "a statistics file holds mean and covariance only, and this needs samples";
                return Err(Error::config(option, why));
            }
            (from_statistics([real, generated], &sets, read, options, &metrics)?, BTreeMap::new())
        }
    };
    let warnings = warnings(&scores, &used, options);
    Ok(Comparison { provenance: used.to_json(&scores, read), scores, per_class, warnings })
}

/// The metrics asked for, by catalogue name; an unknown one or one that needs more is an error.
fn check_metrics(options: &Options) -> Result<Vec<String>> {
    let mut metrics = match options.like {
        _ if !options.metrics.is_empty() => options.metrics.clone(),
        Some(like) => like.metrics().iter().map(|&name| name.to_owned()).collect(),
        None => default_metrics(),
    };
    if options.metrics.is_empty() && options.has_inception() {
        // Under its own name.
        metrics.iter_mut().filter(|name| *name == "frechet_distance").for_each(|name| "fid".clone_into(name));
        if matches!(options.like, None | Some(Like::TorchFidelity)) {
            metrics.extend(["inception_score", "inception_score_std"].map(str::to_owned));
        }
    }
    let mut known = Vec::new();
    metrics.retain(|name| {
        !known.contains(name) && {
            known.push(name.clone());
            true
        }
    });
    for name in &metrics {
        let metric = check_metric(name).map_err(|error| match error {
            Error::Config { why, .. } => Error::config("--metrics", why),
            other => other,
        })?;
        match metric.of {
            Of::Features => {}
            Of::Inception if options.has_inception() => {}
            Of::Inception => {
                let why = format!("{name} is of Inception's outputs: give --features inception, or leave it out");
                return Err(Error::config("--metrics", why));
            }
            Of::Training if options.train.is_some() => {}
            Of::Training => {
                let why = format!("{name} needs the set that the model was trained on: give it with --train");
                return Err(Error::config("--metrics", why));
            }
            Of::Model | Of::Modes | Of::Tail | Of::Likelihood | Of::Downstream => {
                let why = format!("{name} is known in loops only; leave it out, or see --metrics list");
                return Err(Error::config("--metrics", why));
            }
        }
    }
    metrics.retain(|name| name != AUDIT);
    Ok(metrics)
}

/// Two sets of samples to compare.
struct Both<'a> {
    paths: [&'a Path; 2],
    options: &'a Options,
    metrics: &'a [String],
    read: &'a ReadOptions,
}

impl Both<'_> {
    fn compare(
        &self,
        real: Samples,
        generated: Samples,
        used: &mut provenance::Used,
    ) -> Result<(Scores, BTreeMap<u32, Scores>)> {
        let options = self.options;
        self.same_shape(self.paths[1], "generated", &real, &generated)?;
        let map = features_for(options.features.as_deref(), &options.map_options(), &real)?;
        used.notes.extend(map.note.clone());
        let asked = Asked::new(self.metrics);
        let metrics = asked.of_features();
        let seeds = Seeds::new(options.seed);
        let real = subset(self.paths[0], &real, options.n, seeds)?;
        // Rows of its own: files of corresponding rows are no reason to draw corresponding ones.
        let generated = subset(self.paths[1], &generated, options.n, seeds.at(1))?;
        let settings = Settings {
            k: options.k(),
            inside: options.like.map(Like::inside).unwrap_or_default(),
            kid: options.like.map(Like::kid).unwrap_or_default(),
            seeds,
            generated_rows: Some(generated.len()),
        };
        used.set(&map, [real.len(), generated.len()], map.dim(real.shape()), settings);
        let train = options.train.as_deref().map(|path| self.training(path, &real, &map)).transpose()?;
        let per_class = if options.per_class {
            self.classes(&real, &generated, |real, generated| {
                let settings = Settings { generated_rows: Some(generated.len()), ..settings };
                let [of_real, of_generated] = asked.want();
                let real = outputs(&map, real, of_real)?;
                let spatial = asked.spatial(real.spatial, settings)?;
                let reference = Reference::new(real.features, settings, &metrics).map_err(metric_error)?;
                self.score(&reference, spatial.as_ref(), &asked, &metrics, &outputs(&map, generated, of_generated)?)
            })?
        } else {
            BTreeMap::new()
        };
        let key = options.cache.as_ref().map(|_| used.reference_key(&checksum(&real), self.read));
        let [of_real, of_generated]: [Want; 2] = asked.want();
        let real = outputs_told(&map, real, of_real, ("the real set", &options.progress))?;
        used.scale("real", &real.features);
        let spatial = asked.spatial(real.spatial, settings)?;
        let reference = match options.cache.as_ref().zip(key) {
            Some((cache, key)) => {
                let (reference, hit) = cache.reference(real.features, &key, settings, &metrics)?;
                used.cached = hit;
                reference
            }
            None => Reference::new(real.features, settings, &metrics).map_err(metric_error)?,
        };
        let generated = outputs_told(&map, generated, of_generated, ("the generated set", &options.progress))?;
        used.scale("generated", &generated.features);
        let mut scores = self.score(&reference, spatial.as_ref(), &asked, &metrics, &generated)?;
        if let Some(training) = train {
            used.training_rows = Some(training.rows);
            audit(&mut scores, &training, &generated.features);
        }
        Ok((scores, per_class))
    }

    fn score(
        &self,
        reference: &Reference,
        spatial: Option<&Reference>,
        asked: &Asked,
        metrics: &[String],
        generated: &Outputs,
    ) -> Result<Scores> {
        let mut scores = match self.options.bootstrap {
            Some(replicates) => reference.score_resampled(&generated.features, metrics, replicates),
            None => reference.score(&generated.features, metrics),
        }
        .map_err(metric_error)?;
        asked.finish(&mut scores, spatial, generated)?;
        Ok(scores)
    }

    fn same_shape(&self, path: &Path, role: &str, real: &Samples, other: &Samples) -> Result<()> {
        if real.shape() == other.shape() {
            return Ok(());
        }
        let why = format!("each real sample is {}, each {role} one {}", real.shape(), other.shape());
        Err(Error::bad_file(path, why, "give sets of one shape, or --resize and --color for images"))
    }

    fn training(&self, path: &Path, real: &Samples, map: &Mapping) -> Result<Features> {
        let Set::Samples(training) = Set::load(path, self.read)? else {
            let why = "it holds mean and covariance only, and the audit needs samples";
            return Err(Error::bad_file(path, why, "give the training samples"));
        };
        self.same_shape(path, "training", real, &training)?;
        Ok(map.features(&training)?)
    }

    /// Scores each class that either set has.
    fn classes(
        &self,
        real: &Samples,
        generated: &Samples,
        score: impl Fn(Samples, Samples) -> Result<Scores>,
    ) -> Result<BTreeMap<u32, Scores>> {
        let labels = |path: &Path, set: &Samples| -> Result<Vec<u32>> {
            set.labels().map(<[u32]>::to_vec).ok_or_else(|| {
                let remedy = "give a folder of class subfolders, or an .npz or .safetensors with `labels`, \
                              or leave --per-class out";
                Error::bad_file(path, "its samples have no class labels", remedy)
            })
        };
        let (of_real, of_generated) = (labels(self.paths[0], real)?, labels(self.paths[1], generated)?);
        let classes: BTreeSet<u32> = of_real.iter().chain(&of_generated).copied().collect();
        let of_class = |set: &Samples, labels: &[u32], class: u32| {
            let rows: Vec<usize> = (0..labels.len()).filter(|&row| labels[row] == class).collect();
            set.select(&rows)
        };
        let mut found = BTreeMap::new();
        for class in classes {
            let scores = score(of_class(real, &of_real, class), of_class(generated, &of_generated, class))?;
            found.insert(class, scores);
        }
        Ok(found)
    }
}

/// What mean and covariance tell: the Frechet distance and the total variance.
fn from_statistics(
    paths: [&Path; 2],
    sets: &[Set; 2],
    read: &ReadOptions,
    options: &Options,
    metrics: &[String],
) -> Result<Scores> {
    let map = options.map_options();
    let asked = (options.features.as_deref(), &map);
    if let (Some(real), Some(generated)) = (sets[0].preprocessing(read, asked)?, sets[1].preprocessing(read, asked)?)
        && real != generated
    {
        let why = format!("its statistics are {generated}, those of the real set {real}");
        return Err(Error::bad_file(paths[1], why, "give statistics of the same features"));
    }
    let seeds = Seeds::new(options.seed);
    let (real_mean, real_covariance) = sets[0].moments(paths[0], options.n, seeds, asked)?;
    let (mean, covariance) = sets[1].moments(paths[1], options.n, seeds.at(1), asked)?;
    if real_mean.len() != mean.len() {
        let why = format!("the real set has {} dimensions, the generated set {}", real_mean.len(), mean.len());
        return Err(Error::bad_file(paths[1], why, "give statistics of the same features"));
    }
    let mut scores = Scores::default();
    for name in metrics {
        let value = match name.as_str() {
            "frechet_distance" | "fid" => {
                madloop_metrics::gaussian_w2_sq(&real_mean, &real_covariance, &mean, &covariance)
                    .map_err(|error| error.to_string())
            }
            "trace_cov" => madloop_metrics::trace(&covariance, mean.len()).map_err(|error| error.to_string()),
            _ => Err("a statistics file holds mean and covariance only; give the samples".into()),
        };
        scores.set(name, value);
    }
    Ok(scores)
}

/// What to know before the values are read: small sets, unequal ones, choices that could not be taken over.
fn warnings(scores: &Scores, used: &provenance::Used, options: &Options) -> Vec<String> {
    let mut warnings = Vec::new();
    let defined = scores.values.iter().filter(|(_, value)| value.is_some());
    let metrics: Vec<&'static Metric> = defined.filter_map(|(name, _)| madloop_metrics::find(name)).collect();
    if let Some([real, generated]) = used.rows {
        for metric in &metrics {
            let beside = if metric.of == Of::Training { used.training_rows.unwrap_or(0) } else { real };
            if let Some(warning) = metric.warning(beside, generated, used.dim) {
                warnings.push(format!("{}: {warning}", metric.name));
            }
        }
        const OF_BALLS: [&str; 4] = ["precision", "recall", "coverage", "auth_pct"];
        if real != generated && metrics.iter().any(|metric| OF_BALLS.contains(&metric.name)) {
            warnings.push(format!(
                "the real set has {real} samples and the generated one {generated}: precision, recall, coverage and auth_pct depend on \
                 both numbers; --n {} makes them equal",
                real.min(generated)
            ));
        }
    }
    if options.bootstrap.is_some() {
        const NONE: [&str; 6] = ["kid_std", "fd_infinity", "rank", "sfid", "inception_score", "inception_score_std"];
        let without = metrics.iter().filter(|m| !NONE.contains(&m.name) && !scores.intervals.contains_key(m.name));
        warnings.extend(without.map(|metric| {
            format!("{}: no interval: its resamples have no value or do not differ, as with few samples", metric.name)
        }));
    }
    warnings.extend(used.scale_warnings());
    warnings.extend(used.notes.iter().cloned());
    let like = options.like.filter(|_| scores.values.contains_key("kid") || options.k.is_none());
    warnings.extend(like.and_then(Like::note).map(str::to_owned));
    warnings
}

fn hex(hash: Sha256) -> String {
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
