//! The `[[chart]]` tables: how the cells of a sweep are drawn against what was swept.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::names::did_you_mean;
use crate::{Error, Result};

/// A chart over the cells of a sweep: lines of a metric against a swept key, or its map over two of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ChartConfig {
    /// Name of its files.
    pub name: String,
    /// Its heading; the name by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Swept key along the horizontal axis, such as "loop.n_real".
    pub x: String,
    /// Swept key along the vertical axis of a map; without it the metric is drawn in lines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub y: Option<String>,
    /// Swept key with one line a value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lines: Option<String>,
    /// Swept key with one panel a value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub panels: Option<String>,
    /// The metric, at the last generation.
    pub value: String,
    /// Values whose contours a map shows; the first is the middle of its colours.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub contours: Vec<f64>,
    /// Values of swept keys that a cell must have to be drawn.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", rename = "where")]
    pub only: BTreeMap<String, Value>,
}

impl ChartConfig {
    /// All keys that it names, with where.
    fn keys(&self) -> impl Iterator<Item = (String, &str)> {
        let named = [
            ("x", Some(&self.x)),
            ("y", self.y.as_ref()),
            ("lines", self.lines.as_ref()),
            ("panels", self.panels.as_ref()),
        ];
        let named = named.into_iter().filter_map(|(role, key)| Some((role.to_owned(), key?.as_str())));
        named.chain(self.only.keys().map(|key| ("where".to_owned(), key.as_str())))
    }
}

/// That names are distinct and fit for files, and every key is one of `known`.
pub(super) fn check(charts: &[ChartConfig], known: &[String]) -> Result<()> {
    let bad = |place: String, why: String| Err(Error::config(place, why));
    for (i, chart) in charts.iter().enumerate() {
        let place = |role: &str| format!("[[chart]] {}, {role}", i + 1);
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
        if chart.name.is_empty() || !chart.name.chars().all(plain) {
            return bad(place("name"), format!("\"{}\" names files; use letters, digits, - and _", chart.name));
        }
        if charts[..i].iter().any(|other| other.name == chart.name) {
            return bad(place("name"), format!("\"{}\" is another chart's name too; choose another", chart.name));
        }
        for (role, key) in chart.keys() {
            if !known.iter().any(|name| name == key) {
                let hint = did_you_mean(key, known.iter().map(String::as_str));
                let why = format!("there is no key {key}{hint}; name a key that is swept, such as loop.n_real");
                return bad(place(&role), why);
            }
        }
        if chart.y.is_some() && chart.lines.is_some() {
            return bad(place("lines"), "a map (with y) has no lines; leave one of them out, or use panels".into());
        }
        if let Some(value) = chart.contours.iter().find(|value| !value.is_finite()) {
            return bad(place("contours"), format!("{value} is no value of a metric"));
        }
    }
    Ok(())
}
