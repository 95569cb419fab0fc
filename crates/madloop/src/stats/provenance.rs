//! What the features of a statistics file are: files whose features differ are never merged.

use std::fmt;

use madloop_core::{FeatureMap, Shape};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::data::{Color, Filter, ReadOptions};
use crate::feature_map::Mapping;

/// How samples became features.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Preprocessing {
    /// The feature map, such as `none` or `pixels`.
    pub features: String,
    /// The shape of one sample after the options, in words.
    pub sample: String,
    /// Height and width to which images were brought.
    #[serde(default)]
    pub resize: Option<[u32; 2]>,
    /// By which filter.
    #[serde(default)]
    pub filter: Option<Filter>,
    /// Channels to which images were brought.
    #[serde(default)]
    pub color: Option<Color>,
    /// SHA-256 of the feature map's weights, and what it does to images, where it has a network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<Value>,
}

impl Preprocessing {
    /// What `options` do to samples that then have `shape`.
    pub(crate) fn of(features: &Mapping, shape: Shape, options: &ReadOptions) -> Self {
        Self {
            features: features.name().to_owned(),
            sample: shape.to_string(),
            resize: options.resize.map(|resize| resize.sides()),
            filter: options.resize.map(|_| options.filter),
            color: options.color,
            network: features.input.as_ref().map(|input| json!({ "sha256": features.sha256, "input": input })),
        }
    }

    /// The member `provenance` of a statistics file.
    pub(crate) fn to_json(preprocessing: Option<&Self>, n: u64, d: usize) -> Value {
        let mut json = json!({ "madloop": env!("CARGO_PKG_VERSION"), "n": n, "d": d });
        match preprocessing.map(serde_json::to_value) {
            Some(Ok(Value::Object(own))) => own.into_iter().for_each(|(key, value)| json[key] = value),
            _ => json["features"] = Value::Null,
        }
        json
    }

    /// The same, read; `None` when the features are not known.
    pub(crate) fn from_json(bytes: &[u8]) -> Result<Option<Self>, serde_json::Error> {
        let json: Value = serde_json::from_slice(bytes)?;
        if json.get("features").is_some_and(Value::is_null) { Ok(None) } else { serde_json::from_value(json).map(Some) }
    }
}

impl fmt::Display for Preprocessing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "of features {} ({}", self.features, self.sample)?;
        if let Some([height, width]) = self.resize {
            let filter = if self.filter == Some(Filter::Area) { "area" } else { "lanczos" };
            write!(f, ", resize {height}x{width} by {filter}")?;
        }
        match self.color {
            Some(Color::Grey) => write!(f, ", color grey")?,
            Some(Color::Rgb) => write!(f, ", color rgb")?,
            None => {}
        }
        if let Some(network) = &self.network {
            write!(f, ", network {network}")?;
        }
        write!(f, ")")
    }
}
