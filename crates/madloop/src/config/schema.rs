//! The one schema behind the TOML file, the overrides, `madloop show` and the JSON Schema.

use std::path::PathBuf;

use madloop_core::{History, Loop, LoopKind, OnExhausted, Pool, SamplingBias, ScoreSchedule, SyntheticCount, Trainer};
use madloop_models::{GaussianConfig, GmmConfig, KdeConfig};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::chart::ChartConfig;
use super::features::{FeatureName, FeatureResize};
use super::map::MapConfig;
use super::report::ReportConfig;
use super::theory::TheoryConfig;
use crate::data::DataConfig;
use crate::device::Device;
use crate::{Error, Result};

/// An experiment without its sweep: what one cell runs, but for the cell's own values.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Experiment {
    /// Name; the run goes to `runs/<name>-<scale>`.
    pub name: String,
    /// One line for titles.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Figure of the paper that this reproduces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub figure: Option<String>,
    /// What must show, and what was chosen where the paper is silent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shows: Option<String>,
    /// The scale that this was resolved at: smoke, laptop or paper.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(skip)]
    pub scale: Option<String>,
    /// First seed.
    #[serde(default)]
    pub seed: u64,
    /// The last generation t.
    pub generations: u32,
    /// Real data.
    pub data: DataConfig,
    /// Model family and its options.
    pub model: ModelConfig,
    /// The self-consuming loop.
    #[serde(rename = "loop")]
    pub plan: LoopConfig,
    /// Cells that are calculated instead of run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub theory: Option<TheoryConfig>,
    /// Scoring.
    #[serde(default)]
    pub score: ScoreConfig,
    /// Maps of samples for the eye.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub map: Option<MapConfig>,
    /// What is kept on disk.
    #[serde(default)]
    pub store: StoreConfig,
    /// What the page shows beside its charts.
    #[serde(default, skip_serializing_if = "ReportConfig::is_empty")]
    pub report: ReportConfig,
    /// Charts over the sweep.
    #[serde(default, skip_serializing_if = "Vec::is_empty", rename = "chart")]
    pub charts: Vec<ChartConfig>,
    /// What each scale costs on 2 cores, in words.
    #[serde(default, skip_serializing)]
    pub cost: Option<std::collections::BTreeMap<String, String>>,
}

/// A model family and its options.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "family", rename_all = "kebab-case")]
pub enum ModelConfig {
    /// Sample mean and full sample covariance.
    Gaussian(GaussianConfig),
    /// Gaussian mixture by EM.
    Gmm(GmmConfig),
    /// Kernel density.
    Kde(KdeConfig),
    /// Denoising diffusion.
    #[cfg(feature = "neural")]
    Ddpm(Box<madloop_neural::DdpmConfig>),
    /// Normalizing flow.
    #[cfg(feature = "neural")]
    Flow(Box<madloop_neural::FlowConfig>),
    /// Wasserstein GAN with gradient penalty.
    #[cfg(feature = "neural")]
    WganGp(Box<madloop_neural::WganConfig>),
    /// Style-based GAN.
    #[cfg(feature = "neural")]
    #[serde(rename = "stylegan2")]
    StyleGan2(Box<madloop_neural::StyleGan2Config>),
}

impl ModelConfig {
    /// The trainer with these options; neural families run on `device`.
    pub fn trainer(&self, device: &Device) -> Result<Box<dyn Trainer>> {
        let light = |trainer: Box<dyn Trainer>| match device.is_cpu() {
            true => Ok(trainer),
            false => Err(Error::config("--device", format!("{} is for neural families; leave it out", device.name()))),
        };
        match self {
            Self::Gaussian(config) => light(config.trainer()),
            Self::Gmm(config) => light(config.trainer().map_err(|why| Error::config("[model]", why))?),
            Self::Kde(config) => light(config.trainer().map_err(|why| Error::config("[model]", why))?),
            #[cfg(feature = "neural")]
            Self::Ddpm(config) => config.trainer(device).map_err(|why| Error::config("[model]", why.to_string())),
            #[cfg(feature = "neural")]
            Self::Flow(config) => config.trainer(device).map_err(|why| Error::config("[model]", why.to_string())),
            #[cfg(feature = "neural")]
            Self::WganGp(config) => config.trainer(device).map_err(|why| Error::config("[model]", why.to_string())),
            #[cfg(feature = "neural")]
            Self::StyleGan2(config) => config.trainer(device).map_err(|why| Error::config("[model]", why.to_string())),
        }
    }

    /// Whether a model a class is asked for.
    pub fn is_per_class(&self) -> bool {
        match self {
            Self::Gaussian(config) => config.per_class,
            Self::Gmm(config) => config.per_class,
            Self::Kde(config) => config.per_class,
            #[cfg(feature = "neural")]
            Self::Ddpm(_) | Self::Flow(_) | Self::WganGp(_) | Self::StyleGan2(_) => false,
        }
    }

    /// Whether its models know their own density.
    pub fn knows_density(&self) -> bool {
        #[cfg(feature = "neural")]
        if matches!(self, Self::Flow(_)) {
            return true;
        }
        false
    }
}

/// The `[loop]` table. Counts are samples a generation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LoopConfig {
    /// fully-synthetic, synthetic-augmentation or fresh-data.
    #[schemars(with = "KindName")]
    pub kind: LoopKind,
    /// Real samples of generation 1; by default n_real, or n.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub n_initial: Option<u64>,
    /// Real samples of every later generation, fixed or fresh; by default n_initial.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub n_real: Option<u64>,
    /// Synthetic samples of every later generation; by default n_initial.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub n_synthetic: Option<u64>,
    /// Samples of a generation in all, when real_fraction divides them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub n: Option<u64>,
    /// Share of n that is real, from 0 to 1 (Fig. 31); instead of n_real and n_synthetic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub real_fraction: Option<f64>,
    /// Sampling bias, from 0 (only the modes) to 1 (unbiased).
    #[serde(default = "one")]
    pub lambda: f64,
    /// Earlier models that supply synthetic data: 1, K or "all".
    #[serde(default)]
    pub history: HistoryConfig,
    /// "redraw" or "accumulate".
    #[serde(default)]
    #[schemars(with = "PoolName")]
    pub pool: Pool,
    /// "total" or "per-model".
    #[serde(default)]
    #[schemars(with = "CountName")]
    pub synthetic_count: SyntheticCount,
    /// "error" or "reuse".
    #[serde(default)]
    #[schemars(with = "ExhaustedName")]
    pub on_exhausted: OnExhausted,
}

// The core crate knows nothing of schemas; these name its choices.
macro_rules! choices {
    ($name:ident { $($choice:literal),+ }) => {
        struct $name;
        impl JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string", "enum": [$($choice),+] })
            }
        }
    };
}
choices!(KindName { "fully-synthetic", "synthetic-augmentation", "fresh-data" });
choices!(PoolName { "redraw", "accumulate" });
choices!(CountName { "total", "per-model" });
choices!(ExhaustedName { "error", "reuse" });

/// 1, K or "all".
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum HistoryConfig {
    /// The last K models.
    Last(u32),
    /// All models.
    All(All),
}

/// The word "all".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum All {
    /// All.
    All,
}

impl Default for HistoryConfig {
    fn default() -> Self {
        Self::Last(1)
    }
}

impl LoopConfig {
    /// The loop with all counts decided.
    pub fn resolve(&self) -> Result<Loop> {
        let bad = |key: &str, why: String| Err(Error::config(format!("loop.{key}"), why));
        let lambda = SamplingBias::new(self.lambda).map_err(|error| Error::config("loop.lambda", error.to_string()))?;
        let split = match (self.real_fraction, self.n) {
            (None, None) => None,
            (None, Some(_)) => {
                return bad(
                    "n",
                    "n is used with real_fraction; give n_real and n_synthetic, or real_fraction too".into(),
                );
            }
            (Some(_), _) if self.n_real.is_some() || self.n_synthetic.is_some() => {
                return bad(
                    "real_fraction",
                    "it decides n_real and n_synthetic; give either it and n, or those two".into(),
                );
            }
            (Some(p), _) if !(0.0..=1.0).contains(&p) => {
                return bad("real_fraction", format!("{p} is not a share; it must be from 0 to 1"));
            }
            (Some(p), n) => match n.or(self.n_initial) {
                None => return bad("real_fraction", "it needs n, the samples of a generation in all".into()),
                Some(n) => {
                    let real = (p * n as f64).round() as u64;
                    Some((real, n - real))
                }
            },
        };
        let n_initial = self.n_initial.or(self.n).or(self.n_real);
        let Some(n_initial) = n_initial else {
            return bad("n_initial", "it is missing: how many real samples does generation 1 train on?".into());
        };
        let (n_real, n_synthetic) =
            split.unwrap_or((self.n_real.unwrap_or(n_initial), self.n_synthetic.unwrap_or(n_initial)));
        Ok(Loop {
            kind: self.kind,
            n_initial,
            n_real,
            n_synthetic,
            lambda,
            history: match self.history {
                HistoryConfig::Last(k) => History::Last(k),
                HistoryConfig::All(All::All) => History::All,
            },
            pool: self.pool,
            synthetic_count: self.synthetic_count,
            on_exhausted: self.on_exhausted,
        })
    }
}

/// The `[score]` table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ScoreConfig {
    /// Feature map: "pixels" for images, "none" for vectors, "lenet" for MNIST (or "lenet:FILE"), "effnet-lite0", "inception" or
    /// "vgg16" for images of any size, "onnx:FILE" for a network of one's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub features: Option<FeatureName>,
    /// Weights of effnet-lite0, inception or vgg16; by default looked for in the data folders.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weights: Option<PathBuf>,
    /// Side to which effnet-lite0 brings images: a multiple of 32, by default 128.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub feature_size: Option<u32>,
    /// How images are brought to a network's size; by default "torch-fidelity" for inception and vgg16, "clean-fid" for effnet-lite0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub feature_resize: Option<FeatureResize>,
    /// Which split is the reference set.
    pub reference: ReferenceSplit,
    /// Samples scored, real and generated alike; by default what the reference and the pool allow, at most 10,000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub n: Option<u64>,
    /// Neighbours of precision, recall, density and coverage.
    pub k: usize,
    /// Metrics by name (`madloop score --metrics list` describes them); by default those that suit the data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metrics: Option<Vec<String>>,
    /// Every so many generations are scored, beginning with the first.
    pub every: u32,
    /// These generations alone are scored, instead of `every`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<Vec<u32>>,
    /// Sampling bias of the scored samples; by default the loop's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lambda: Option<f64>,
}

impl Default for ScoreConfig {
    fn default() -> Self {
        Self {
            features: None,
            weights: None,
            feature_size: None,
            feature_resize: None,
            reference: ReferenceSplit::Test,
            n: None,
            k: 5,
            metrics: None,
            every: 1,
            at: None,
            lambda: None,
        }
    }
}

impl ScoreConfig {
    /// Which generations are scored.
    pub fn schedule(&self) -> ScoreSchedule {
        match &self.at {
            Some(list) => ScoreSchedule::At(list.clone()),
            None => ScoreSchedule::Every(self.every),
        }
    }
}

/// Which split is the reference set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ReferenceSplit {
    /// Samples that never train.
    Test,
    /// Samples of the training pool.
    Train,
}

/// The `[store]` table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct StoreConfig {
    /// Samples and models kept: "all", "last" or every N generations; what history needs is always kept.
    pub keep: KeepConfig,
    /// Generations shorter than this are committed in groups, one commit in so many seconds.
    pub commit_seconds: f64,
}

impl Default for StoreConfig {
    fn default() -> Self {
        Self { keep: KeepConfig::Word(KeepWord::Last), commit_seconds: 1.0 }
    }
}

/// "all", "last" or N.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum KeepConfig {
    /// A word.
    Word(KeepWord),
    /// Every N generations, and the last.
    Every(std::num::NonZeroU32),
}

/// "all" or "last".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum KeepWord {
    /// Those of every generation.
    All,
    /// Those of the last generation.
    Last,
}

impl KeepConfig {
    /// Whether generation `t` is kept for good, whatever the history needs.
    pub fn keeps(self, t: u32) -> bool {
        match self {
            Self::Word(KeepWord::All) => true,
            Self::Word(KeepWord::Last) => false,
            Self::Every(n) => t.is_multiple_of(n.get()),
        }
    }
}

fn one() -> f64 {
    1.0
}

/// The JSON Schema of an experiment file, with `[sweep]` and `[scale]`.
pub fn json_schema() -> Value {
    let mut schema = schemars::schema_for!(Experiment).to_value();
    let any_table = serde_json::json!({ "type": "object" });
    if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
        properties.insert("sweep".into(), any_table.clone());
        properties.insert("scale".into(), any_table);
    }
    schema
}
