//! What a comparison was made with.

use std::path::Path;

use madloop_core::{FeatureMap, Features, Scores};
use madloop_metrics::{Draws, MEDIAN_ROWS, SINKHORN_BLUR, SINKHORN_SCALING, SLICED_PROJECTIONS, Settings};
use serde_json::{Value, json};

use super::Options;
use crate::data::{Filter, ReadOptions};
use crate::feature_map::Mapping;

/// What was used, as far as it is known.
pub(super) struct Used {
    files: [Value; 2],
    options: Options,
    features: String,
    /// SHA-256 of the feature map's weights.
    weights: Option<String>,
    /// What the feature map does to images.
    input: Option<Value>,
    /// Samples scored.
    pub(super) rows: Option<[usize; 2]>,
    /// Features of one.
    pub(super) dim: usize,
    /// Training samples of the audit.
    pub(super) training_rows: Option<usize>,
    settings: Settings,
    /// Whether the reference came from the cache.
    pub(super) cached: bool,
    /// What to know of the features.
    pub(super) notes: Vec<String>,
    /// Of each set its name, its largest value, and the worst ratio of a column's offset to its spread, with the column.
    scales: Vec<(&'static str, f32, f64, usize)>,
}

impl Used {
    pub(super) fn new(paths: [&Path; 2], checksums: [String; 2], options: &Options) -> Self {
        let mut sums = checksums.into_iter();
        let files = paths.map(|path| json!({ "path": path.display().to_string(), "sha256": sums.next() }));
        let settings = Settings { k: options.k(), ..Settings::default() };
        let features = "none".to_owned();
        Self {
            files,
            options: options.clone(),
            features,
            weights: None,
            input: None,
            rows: None,
            dim: 0,
            training_rows: None,
            settings,
            cached: false,
            notes: Vec::new(),
            scales: Vec::new(),
        }
    }

    pub(super) fn set(&mut self, map: &Mapping, rows: [usize; 2], dim: usize, settings: Settings) {
        self.features = map.name().to_owned();
        self.weights = map.sha256.clone();
        self.input = map.input.clone();
        (self.rows, self.dim, self.settings) = (Some(rows), dim, settings);
    }

    /// What a prepared reference depends on beside settings and metrics; `checksum` is of the rows scored.
    pub(super) fn reference_key(&self, checksum: &str, read: &ReadOptions) -> String {
        let input = self.input.as_ref().map(Value::to_string);
        format!("{checksum}\n{}\n{:?}\n{input:?}\n{read:?}\n{}", self.features, self.weights, self.dim)
    }

    /// Notes on what scale a set is.
    pub(super) fn scale(&mut self, set: &'static str, features: &Features) {
        let largest = features.values.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
        let (mut sums, mut squares) = (vec![0.0; features.dim], vec![0.0; features.dim]);
        if features.rows < 2 {
            return;
        }
        let first = features.row(0);
        for row in features.values.chunks_exact(features.dim) {
            for (((sum, square), &value), &first) in sums.iter_mut().zip(&mut squares).zip(row).zip(first) {
                let difference = f64::from(value) - f64::from(first);
                *sum += difference;
                *square += difference * difference;
            }
        }
        let n = features.rows as f64;
        let ratio = |column: usize| {
            let mean = sums[column] / n;
            let spread = (squares[column] / n - mean * mean).max(0.0).sqrt();
            // A constant column, or one that rounding has made constant, cannot be told apart here.
            if spread > 0.0 { (f64::from(first[column]) + mean).abs() / spread } else { 0.0 }
        };
        let worst = (0..features.dim)
            .map(|column| (ratio(column), column))
            .fold((0.0, 0), |worst, next| if next.0 > worst.0 { next } else { worst });
        self.scales.push((set, largest, worst.0, worst.1));
    }

    /// What the scales of the sets say against comparing them.
    pub(super) fn scale_warnings(&self) -> Vec<String> {
        /// Offsets over spreads from which on f32, which holds 7 digits, keeps fewer than 3 of the spread.
        const FAR: f64 = 2e4;
        const APART: f32 = 50.0;
        let mut warnings: Vec<String> = self
            .scales
            .iter()
            .filter(|(_, _, ratio, _)| *ratio > FAR)
            .map(|(set, _, ratio, column)| {
                format!(
                    "column {column} of the {set} set lies {ratio:.0} times its spread from 0; values are held in f32, so of f64 files \
                     its digits are lost: subtract the same constant from both sets"
                )
            })
            .collect();
        if let [(_, real, ..), (_, generated, ..)] = self.scales[..]
            && real.min(generated) > 0.0
            && real.max(generated) >= APART * real.min(generated)
        {
            warnings.push(format!(
                "the real values reach up to {real}, the generated ones up to {generated}: are both on one scale, such as pixels in \
                 0..1 or 0..255?"
            ));
        }
        warnings
    }

    pub(super) fn to_json(&self, scores: &Scores, read: &ReadOptions) -> Value {
        let mut files = self.files.clone();
        for (side, file) in files.iter_mut().enumerate() {
            file["samples"] = json!(self.rows.map(|rows| rows[side]));
        }
        let [real, generated] = files;
        let methods: serde_json::Map<String, Value> =
            scores.intervals.iter().map(|(name, interval)| (name.clone(), json!(interval.method))).collect();
        let asked = |names: &[&str]| names.iter().any(|name| scores.values.contains_key(*name));
        let mut all = json!({
            "madloop": env!("CARGO_PKG_VERSION"),
            "real": real,
            "gen": generated,
            "features": self.features,
            "features_sha256": self.weights,
            "features_input": self.input,
            "preprocessing": preprocessing(read),
            "dimensions": self.rows.map(|_| self.dim),
            "like": self.options.like.map(super::Like::name),
            "seed": self.options.seed,
            "ddof": 1,
            "k": self.settings.k,
            "inside": self.settings.inside.symbol(),
            "ci": { "level": 0.95, "methods": methods, "replicates": self.options.bootstrap },
            "reference_from_cache": self.cached,
        });
        if asked(&["kid", "kid_std"]) {
            all["kid"] = self.kid();
        }
        if asked(&["sliced_w2"]) {
            all["sliced_w2"] = json!({ "projections": SLICED_PROJECTIONS, "p": 2 });
        }
        if asked(&["mmd_rbf"]) {
            all["mmd_rbf"] = json!({ "sigma": "median distance of real samples", "rows_of_median": MEDIAN_ROWS });
        }
        if asked(&["sinkhorn"]) {
            all["sinkhorn"] = json!({ "p": 2, "blur": SINKHORN_BLUR, "scaling": SINKHORN_SCALING, "debiased": true });
        }
        if let Some(train) = &self.options.train {
            all["train"] = json!({ "path": train.display().to_string(), "samples": self.training_rows });
        }
        all
    }

    fn kid(&self) -> Value {
        let subsets = self.settings.kid;
        let kernel = "(x.y/d + 1)^3";
        let whole = self.rows.is_some_and(|[real, generated]| real.min(generated) <= subsets.size);
        match subsets.draws {
            Draws::Addressed if whole => json!({ "subsets": 1, "subset_size": "all", "kernel": kernel }),
            draws => json!({
                "subsets": subsets.count,
                "subset_size": subsets.size,
                "kernel": kernel,
                "draws": match draws {
                    Draws::Addressed => "madloop".to_owned(),
                    Draws::NumpyRandomState(seed) => format!("numpy RandomState({seed})"),
                },
            }),
        }
    }
}

/// How images were read, where that changes them.
fn preprocessing(read: &ReadOptions) -> Value {
    json!({
        "resize": read.resize.map(|resize| resize.sides()),
        "filter": read.resize.map(|_| if read.filter == Filter::Area { "area" } else { "lanczos" }),
        "color": read.color.map(|color| format!("{color:?}").to_lowercase()),
    })
}
