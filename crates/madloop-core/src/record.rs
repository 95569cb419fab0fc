//! One flat record a generation feeds JSON lines, tables, figures and the report.

use std::collections::BTreeMap;

use serde::de::Error as _;
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use crate::{Outcome, Scores};

/// Version of the record's fields.
pub const SCHEMA_VERSION: u32 = 1;

/// All that is known of one generation. It serialises to one flat JSON object: the fields here, `params.KEY` for every
/// swept key, and one key a metric (null with a reason in `undefined` where it has no value; its 95 % interval, if it has one, in
/// `intervals`).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Record {
    /// Fields that every record has.
    pub fixed: Fixed,
    /// Values of the swept keys.
    pub params: BTreeMap<String, Value>,
    /// Metrics and the reasons of those undefined; empty when the generation was not scored.
    pub scores: Scores,
    /// What became of the model.
    pub outcome: Outcome,
}

/// The fields that every record has.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Fixed {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// Name of the experiment.
    pub run: String,
    /// Name of the cell's directory.
    pub cell: String,
    /// Seed.
    pub seed: u64,
    /// t; 0 is held-out real data against the reference.
    pub generation: u32,
    /// "limit" when the record is of t -> infinity: generation 1 is the limit, 0 the fresh real samples alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantity: Option<String>,
    /// Model family.
    pub model: String,
    /// "previous" where a generation's training begins at the model of the one before; absent where it begins from scratch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub init: Option<String>,
    /// Loop kind.
    #[serde(rename = "loop")]
    pub kind: String,
    /// Sampling bias of training samples.
    pub lambda: f64,
    /// 1, K or "all".
    pub history: Value,
    /// Real samples in the training set.
    pub n_real: u64,
    /// Those of them that were drawn for this generation.
    pub n_fresh: u64,
    /// Synthetic samples in the training set.
    pub n_synthetic: u64,
    /// Whether real samples were used a second time (`on_exhausted = "reuse"`).
    pub reused: bool,
    /// Sampling bias of the scored samples.
    pub score_lambda: f64,
    /// Samples scored.
    pub n_eval: u64,
    /// Neighbours of precision, recall, density and coverage.
    pub k: u32,
    /// Feature map.
    pub features: String,
    /// `test` or `train`.
    pub reference: String,
    /// Sampler, where the family has several.
    pub sampler: Option<String>,
    /// Its steps.
    pub steps: Option<u32>,
}

impl std::ops::Deref for Record {
    type Target = Fixed;
    fn deref(&self) -> &Fixed {
        &self.fixed
    }
}

impl Record {
    /// A metric's value, if it was asked for and is defined.
    pub fn metric(&self, name: &str) -> Option<f64> {
        self.scores.values.get(name).copied().flatten()
    }

    /// The record as one flat JSON object.
    pub fn to_json(&self) -> Map<String, Value> {
        match serde_json::to_value(self) {
            Ok(Value::Object(map)) => map,
            _ => Map::new(),
        }
    }
}

const UNDEFINED: &str = "undefined";
const INTERVALS: &str = "intervals";
const OUTCOME: [&str; 2] = ["outcome", "outcome_reason"];
const PARAMS: &str = "params.";

impl Serialize for Record {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let fixed = serde_json::to_value(&self.fixed).map_err(serde::ser::Error::custom)?;
        let mut map = serializer.serialize_map(None)?;
        for (key, value) in fixed.as_object().into_iter().flatten() {
            map.serialize_entry(key, value)?;
        }
        for (key, value) in &self.params {
            map.serialize_entry(&format!("{PARAMS}{key}"), value)?;
        }
        for (key, value) in &self.scores.values {
            map.serialize_entry(key, value)?;
        }
        if !self.scores.undefined.is_empty() {
            map.serialize_entry(UNDEFINED, &self.scores.undefined)?;
        }
        if !self.scores.intervals.is_empty() {
            map.serialize_entry(INTERVALS, &self.scores.intervals)?;
        }
        map.serialize_entry(OUTCOME[0], self.outcome.name())?;
        if let Some(reason) = self.outcome.reason() {
            map.serialize_entry(OUTCOME[1], reason)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Record {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let all = Map::deserialize(deserializer)?;
        let fixed: Fixed = serde_json::from_value(Value::Object(all.clone())).map_err(D::Error::custom)?;
        let known = serde_json::to_value(&fixed).map_err(D::Error::custom)?;
        let mut record = Self { fixed, ..Self::default() };
        let mut outcome = Map::new();
        for (key, value) in all {
            if known.get(&key).is_some() {
                continue;
            }
            if OUTCOME.contains(&key.as_str()) {
                outcome.insert(key, value);
            } else if key == UNDEFINED {
                record.scores.undefined = serde_json::from_value(value).map_err(D::Error::custom)?;
            } else if key == INTERVALS {
                record.scores.intervals = serde_json::from_value(value).map_err(D::Error::custom)?;
            } else if let Some(param) = key.strip_prefix(PARAMS) {
                record.params.insert(param.to_owned(), value);
            } else if value.is_number() || value.is_null() {
                record.scores.values.insert(key, value.as_f64());
            }
        }
        record.outcome = serde_json::from_value(Value::Object(outcome)).map_err(D::Error::custom)?;
        Ok(record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Interval;

    #[test]
    fn a_record_is_flat_and_reads_back() {
        let mut scores = Scores::default();
        scores.set("recall", Ok(0.1 + 0.2));
        scores.set("kid", Err("n < 2".into()));
        scores.set("frechet_distance", Ok(f64::INFINITY));
        let interval = Interval { low: 0.25, high: 0.375, method: "subsets".into() };
        scores.intervals.insert("recall".into(), interval);
        let record = Record {
            fixed: Fixed { generation: 3, kind: "fresh-data".into(), history: "all".into(), ..Fixed::default() },
            params: [("loop.lambda".to_owned(), Value::from(0.8))].into(),
            scores,
            outcome: Outcome::Degenerate("rank 2 of 3".into()),
        };
        let text = serde_json::to_string(&record).expect("plain data");
        let value: Value = serde_json::from_str(&text).expect("valid JSON");
        assert_eq!(value["params.loop.lambda"], 0.8);
        assert_eq!(value["loop"], "fresh-data");
        assert_eq!(value["kid"], Value::Null);
        assert_eq!(value["undefined"]["kid"], "n < 2");
        assert_eq!(value["undefined"]["frechet_distance"], "the value is inf");
        assert_eq!(value["intervals"]["recall"]["high"], 0.375);
        assert_eq!(value["outcome"], "degenerate");
        assert_eq!(serde_json::from_str::<Record>(&text).expect("reads back"), record);
        let plain = serde_json::to_string(&Record::default()).expect("plain data");
        assert_eq!(serde_json::from_str::<Record>(&plain).expect("reads back"), Record::default());
    }
}
