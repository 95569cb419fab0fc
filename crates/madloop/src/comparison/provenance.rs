//! What a comparison was made with.

use std::path::Path;

use madloop_core::{FeatureMap, Scores};
use madloop_metrics::{Draws, MEDIAN_ROWS, SINKHORN_BLUR, SINKHORN_SCALING, SLICED_PROJECTIONS, Settings};
use serde_json::{Value, json};

use super::Options;
use crate::data::{Filter, ReadOptions};

/// What was used, as far as it is known.
pub(super) struct Used {
    files: [Value; 2],
    checksum: String,
    options: Options,
    features: String,
    /// Samples scored.
    pub(super) rows: Option<[usize; 2]>,
    /// Features of one.
    pub(super) dim: usize,
    settings: Settings,
    /// Whether the reference came from the cache.
    pub(super) cached: bool,
}

impl Used {
    pub(super) fn new(paths: [&Path; 2], checksums: [String; 2], options: &Options) -> Self {
        let checksum = checksums[0].clone();
        let mut sums = checksums.into_iter();
        let files = paths.map(|path| json!({ "path": path.display().to_string(), "sha256": sums.next() }));
        let settings = Settings { k: options.k(), ..Settings::default() };
        let features = "none".to_owned();
        Self { files, checksum, options: options.clone(), features, rows: None, dim: 0, settings, cached: false }
    }

    pub(super) fn set(&mut self, map: &dyn FeatureMap, rows: [usize; 2], dim: usize, settings: Settings) {
        self.features = map.name().to_owned();
        (self.rows, self.dim, self.settings) = (Some(rows), dim, settings);
    }

    /// What a prepared reference depends on beside settings and metrics.
    pub(super) fn reference_key(&self, read: &ReadOptions) -> String {
        let rows = self.rows.map(|[real, _]| real);
        format!("{}\n{}\n{read:?}\n{rows:?} of seed {}\n{}", self.checksum, self.features, self.options.seed, self.dim)
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
            all["train"] = json!({ "path": train.display().to_string() });
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
