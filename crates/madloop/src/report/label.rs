//! Names of settings, made from what differs among them.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use madloop_core::Record;
use serde_json::Value;

/// One thing that tells settings apart.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Trait {
    /// Where it comes from: `loop`, `lambda`, `params.loop.n_initial`.
    pub(crate) key: String,
    /// Its value, exactly.
    pub(crate) value: String,
    /// How it reads in a label.
    pub(crate) text: String,
    order: Order,
}

#[derive(Debug, Clone, PartialEq)]
enum Order {
    Number(f64),
    Text(String),
}

/// The name of a setting: `label` whole, and in two parts for sentences.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Name {
    pub(crate) label: String,
    /// What else than the loop differs, such as `λ = 0.8`.
    pub(crate) details: String,
}

/// Keys of swept parameters that a fixed field of the record repeats.
const REPEATED: [&str; 9] = [
    "seed",
    "loop.kind",
    "loop.lambda",
    "loop.history",
    "model.family",
    "score.lambda",
    "score.features",
    "score.reference",
    "score.k",
];

/// A loop's kind in words.
pub(crate) fn kind_words(kind: &str) -> String {
    kind.replace(['-', '_'], " ")
}

/// Everything that makes a record's setting, seed apart.
pub(crate) fn traits(record: &Record) -> Vec<Trait> {
    let fixed = &record.fixed;
    let mut all = Vec::new();
    let rank = match fixed.kind.as_str() {
        "fully-synthetic" => 0.0,
        "synthetic-augmentation" => 1.0,
        "fresh-data" => 2.0,
        _ => 3.0,
    };
    let text = |value: &str| Order::Text(value.to_owned());
    let mut add = |key: &str, value: String, text: String, order: Order| {
        all.push(Trait { key: key.to_owned(), value, text, order });
    };
    add("loop", fixed.kind.clone(), kind_words(&fixed.kind), Order::Number(rank));
    add("model", fixed.model.clone(), fixed.model.clone(), text(&fixed.model));
    let lambda = fixed.lambda;
    add("lambda", lambda.to_string(), format!("λ = {}", plain(lambda)), Order::Number(-lambda));
    let (history, order) = value_text(&fixed.history);
    add("history", history.clone(), format!("history {history}"), order);
    let scored = fixed.score_lambda;
    if scored != lambda {
        add("score_lambda", scored.to_string(), format!("scored at λ = {}", plain(scored)), Order::Number(-scored));
    }
    add("features", fixed.features.clone(), format!("{} features", fixed.features), text(&fixed.features));
    add("reference", fixed.reference.clone(), format!("against {}", fixed.reference), text(&fixed.reference));
    add("k", fixed.k.to_string(), format!("k = {}", fixed.k), Order::Number(f64::from(fixed.k)));
    if let Some(sampler) = &fixed.sampler {
        add("sampler", sampler.clone(), sampler.clone(), text(sampler));
    }
    if let Some(steps) = fixed.steps {
        add("steps", steps.to_string(), format!("{steps} steps"), Order::Number(f64::from(steps)));
    }
    for (key, value) in &record.params {
        let (value, order) = value_text(value);
        let repeated = match last_segment(key) {
            "sampler" => fixed.sampler.as_deref() == Some(value.as_str()),
            "steps" => fixed.steps.is_some_and(|steps| steps.to_string() == value),
            _ => REPEATED.contains(&key.as_str()),
        };
        if !repeated {
            add(&format!("params.{key}"), value.clone(), value, order);
        }
    }
    all
}

/// The order of settings on charts and in tables: by loop, then by each trait in turn.
pub(crate) fn compare(a: &[Trait], b: &[Trait]) -> Ordering {
    for (a, b) in a.iter().zip(b) {
        let order = a.key.cmp(&b.key).then_with(|| match (&a.order, &b.order) {
            (Order::Number(a), Order::Number(b)) => a.total_cmp(b),
            (Order::Text(a), Order::Text(b)) => a.cmp(b),
            (Order::Number(_), Order::Text(_)) => Ordering::Less,
            (Order::Text(_), Order::Number(_)) => Ordering::Greater,
        });
        let order = order.then_with(|| a.value.cmp(&b.value));
        if order != Ordering::Equal {
            return order;
        }
    }
    a.len().cmp(&b.len())
}

/// Names for settings given by their traits; `fallback` tells apart those that their traits do not.
pub(crate) fn names(settings: &[Vec<Trait>], fallback: &[String]) -> Vec<Name> {
    let mut values: BTreeMap<&str, BTreeSet<Option<&str>>> = BTreeMap::new();
    for setting in settings {
        for trait_ in setting {
            values.entry(&trait_.key).or_default();
        }
    }
    for (key, seen) in &mut values {
        seen.extend(settings.iter().map(|s| s.iter().find(|t| t.key == *key).map(|t| t.value.as_str())));
    }
    let differs = |key: &str| values.get(key).is_some_and(|seen| seen.len() > 1);
    let clashes = |segment: &str| values.keys().filter(|key| differs(key) && last_segment(key) == segment).count() > 1;
    let details = |setting: &Vec<Trait>| -> Vec<String> {
        let differing = setting.iter().filter(|t| t.key != "loop" && differs(&t.key));
        let text = |t: &Trait| match t.key.strip_prefix("params.") {
            None => t.text.clone(),
            Some(key) if clashes(last_segment(key)) => format!("{key} = {}", t.text),
            Some(key) => format!("{} = {}", last_segment(key), t.text),
        };
        differing.map(text).collect()
    };
    let mut names: Vec<Name> = Vec::new();
    for setting in settings {
        let details = details(setting);
        let kind = setting.iter().find(|t| t.key == "loop").map(|t| t.text.clone()).unwrap_or_default();
        let mut parts = details.clone();
        if differs("loop") || parts.is_empty() {
            parts.insert(0, kind);
        }
        names.push(Name { label: parts.join(", "), details: details.join(", ") });
    }
    tell_apart(&mut names, fallback);
    names
}

/// Adds the fallback to labels that occur twice.
fn tell_apart(names: &mut [Name], fallback: &[String]) {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for name in names.iter() {
        *seen.entry(name.label.clone()).or_default() += 1;
    }
    for (name, extra) in names.iter_mut().zip(fallback) {
        if seen[&name.label] > 1 && !extra.is_empty() {
            name.label = format!("{} ({extra})", name.label);
        }
    }
}

fn last_segment(key: &str) -> &str {
    key.rsplit('.').next().unwrap_or(key)
}

fn value_text(value: &Value) -> (String, Order) {
    match value {
        Value::Number(number) if number.is_f64() => {
            let number = number.as_f64().unwrap_or(f64::NAN);
            (plain(number), Order::Number(number))
        }
        Value::Number(number) => (number.to_string(), Order::Number(number.as_f64().unwrap_or(f64::NAN))),
        Value::String(text) => (text.clone(), Order::Text(text.clone())),
        other => (other.to_string(), Order::Text(other.to_string())),
    }
}

/// A parameter's value without binary noise: 0.30000000000000004 reads 0.3.
pub(crate) fn plain(value: f64) -> String {
    let rounded: f64 = format!("{value:.11e}").parse().unwrap_or(value);
    rounded.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::testing::record;

    fn labels(records: &[Record]) -> Vec<String> {
        let all: Vec<_> = records.iter().map(traits).collect();
        let fallback: Vec<_> = records.iter().map(|r| r.run.clone()).collect();
        names(&all, &fallback).into_iter().map(|name| name.label).collect()
    }

    #[test]
    fn labels_say_what_differs() {
        let mut a = record("fully-synthetic", 0, 1, &[]);
        let mut b = record("fresh-data", 0, 1, &[]);
        assert_eq!(labels(&[a.clone(), b.clone()]), ["fully synthetic", "fresh data"]);
        assert_eq!(labels(&[a.clone()]), ["fully synthetic"]);
        a.fixed.lambda = 0.8;
        a.params.insert("loop.lambda".into(), 0.8.into());
        assert_eq!(labels(&[a.clone(), b.clone()])[0], "fully synthetic, λ = 0.8, scored at λ = 1");
        a.fixed.score_lambda = 0.8;
        assert_eq!(labels(&[a.clone(), b.clone()])[0], "fully synthetic, λ = 0.8");
        b.fixed.kind = "fully-synthetic".into();
        assert_eq!(labels(&[a.clone(), b.clone()]), ["λ = 0.8", "λ = 1"]);
        b.fixed.history = "all".into();
        assert_eq!(labels(&[a, b]), ["λ = 0.8, history 1", "λ = 1, history all"]);
    }

    #[test]
    fn swept_keys_are_short_unless_they_clash() {
        let mut a = record("fresh-data", 0, 1, &[]);
        let mut b = a.clone();
        a.params.insert("loop.n_initial".into(), 1000.into());
        b.params.insert("loop.n_initial".into(), 100.into());
        assert_eq!(labels(&[a.clone(), b.clone()]), ["n_initial = 1000", "n_initial = 100"]);
        assert_eq!(compare(&traits(&b), &traits(&a)), Ordering::Less);
        a.params.insert("x.n_initial".into(), 1.into());
        assert_eq!(labels(&[a, b])[0], "loop.n_initial = 1000, x.n_initial = 1");
    }

    #[test]
    fn twins_are_told_apart_by_their_runs() {
        let a = record("fresh-data", 0, 1, &[]);
        let mut b = a.clone();
        b.fixed.run = "second".into();
        assert_eq!(labels(&[a, b]), ["fresh data (test)", "fresh data (second)"]);
    }
}
