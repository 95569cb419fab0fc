//! `madloop score`: a real and a generated set, compared.

use anyhow::bail;
use madloop::comparison::{Cache, Comparison, Like, Options, Progress, compare, feature_metrics};
use madloop_core::Scores;
use serde_json::{Map, Value, json};

use crate::args::ScoreArgs;
use crate::progress::{comparing, images_bar};
use crate::{output, table};

use super::{feature_options, read_options};

pub(crate) fn score(args: &ScoreArgs) -> anyhow::Result<()> {
    if args.metrics.iter().any(|name| name == "list") {
        return describe(args.json);
    }
    let (Some(real), Some(generated)) = (&args.real, &args.generated) else {
        bail!("score compares two sets: give both --real A and --gen B (or --metrics list, to describe the metrics)");
    };
    let all = || feature_metrics(args.map.features.as_deref());
    let metrics = if args.metrics.iter().any(|name| name == "all") { all() } else { args.metrics.clone() };
    let bar = images_bar();
    let options = Options {
        metrics,
        k: args.k,
        n: args.n,
        seed: args.seed,
        features: args.map.features.clone(),
        map: feature_options(&args.map),
        like: args.like.as_deref().and_then(Like::find),
        bootstrap: args.bootstrap.map(|replicates| replicates as usize),
        per_class: args.per_class,
        train: args.train.clone(),
        cache: if args.no_cache { None } else { Cache::from_env() },
        progress: Progress::new({
            let bar = bar.clone();
            move |what, done, of| comparing(&bar, what, done, of)
        }),
    };
    let read = madloop::data::ReadOptions { ignore_labels: !args.per_class, ..read_options(&args.images)? };
    let result = compare(real, generated, &read, &options);
    bar.finish_and_clear();
    let result = result?;
    if args.json {
        output::line(&serde_json::to_string_pretty(&json(&result))?);
    } else {
        output::line(&roles(&result.provenance));
        show(&result.scores, &result.provenance);
        if !result.per_class.is_empty() {
            show_classes(&result);
        }
    }
    for warning in &result.warnings {
        output::note(&format!("note: {warning}"));
    }
    Ok(())
}

fn json(result: &Comparison) -> Value {
    let mut json = object(&result.scores);
    if !result.per_class.is_empty() {
        let classes: Map<String, Value> =
            result.per_class.iter().map(|(class, scores)| (class.to_string(), object(scores))).collect();
        json["per_class"] = classes.into();
    }
    json["warnings"] = json!(result.warnings);
    json["provenance"] = result.provenance.clone();
    json
}

fn object(scores: &Scores) -> Value {
    let intervals: Map<String, Value> =
        scores.intervals.iter().map(|(name, interval)| (name.clone(), json!([interval.low, interval.high]))).collect();
    json!({ "metrics": scores.values, "ci": intervals, "undefined": scores.undefined })
}

/// Which file is which, and how they were compared.
fn roles(provenance: &Value) -> String {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let set = |role: &str| {
        let path = text(&provenance[role]["path"]);
        match provenance[role]["samples"].as_u64() {
            Some(samples) => format!("{path} ({samples} samples)"),
            None => path,
        }
    };
    let mut line = format!("real: {}   generated: {}   features: ", set("real"), set("gen"));
    line += &text(&provenance["features"]);
    let input = &provenance["features_input"];
    if let (Some(side), Some(network)) = (input["size"][0].as_u64(), input["network"].as_str()) {
        line += &format!(" ({network}, {side} pixels, resized as {})", text(&input["resize"]));
    }
    line += &format!("   k = {}, inside: d {} r", provenance["k"], text(&provenance["inside"]));
    if !provenance["like"].is_null() {
        line += &format!("   like {}", text(&provenance["like"]));
    }
    line
}

/// One metric a line, in the catalogue's order.
fn show(scores: &Scores, provenance: &Value) {
    let network = provenance["features_input"]["network"].as_str();
    let mut table = table::plain();
    table.set_header(["metric", "value", "95 % interval", ""]);
    for info in madloop::metric_infos() {
        let Some(value) = scores.values.get(&info.name) else { continue };
        let note = scores.undefined.get(&info.name).cloned();
        let interval = scores.intervals.get(&info.name);
        let interval = interval.map(|i| format!("{} to {}", table::number(i.low), table::number(i.high)));
        let value = value.map_or_else(|| "undefined".to_owned(), table::number);
        // A distance of other features than Inception's is not to be taken for FID.
        let title = match network {
            Some(network) if info.name == "frechet_distance" => format!("{}: FD({network})", info.title),
            _ => info.title,
        };
        table.add_row([info.name, value, interval.unwrap_or_default(), note.unwrap_or(title)]);
    }
    output::line(&table.to_string());
}

/// One class a line, one metric a column.
fn show_classes(result: &Comparison) {
    let mut table = table::plain();
    let metrics: Vec<String> = madloop::metric_infos()
        .into_iter()
        .map(|info| info.name)
        .filter(|name| result.per_class.values().any(|scores| scores.values.contains_key(name)))
        .collect();
    table.set_header(["class".to_owned()].into_iter().chain(metrics.iter().cloned()));
    for (class, scores) in &result.per_class {
        let value = |name: &String| match scores.values.get(name).copied().flatten() {
            Some(value) => table::number(value),
            None => "undefined".to_owned(),
        };
        table.add_row([class.to_string()].into_iter().chain(metrics.iter().map(value)));
    }
    output::line(&table.to_string());
    let reasons = result.per_class.values().flat_map(|scores| &scores.undefined);
    let mut told = std::collections::BTreeSet::new();
    for (name, reason) in reasons.filter(|(name, _)| told.insert((*name).clone())) {
        output::note(&format!("note: {name} is undefined in a class: {reason}"));
    }
}

/// The catalogue.
fn describe(as_json: bool) -> anyhow::Result<()> {
    let better = |metric: &madloop_metrics::Metric| match metric.direction {
        madloop_metrics::Direction::HigherIsBetter => "higher",
        madloop_metrics::Direction::LowerIsBetter => "lower",
        madloop_metrics::Direction::Neither => "",
    };
    if as_json {
        let end = |value: f64| if value.is_finite() { json!(value) } else { Value::Null };
        let metric = |metric: &madloop_metrics::Metric| {
            json!({
                "name": metric.name,
                "symbol": metric.symbol,
                "better": better(metric),
                "range": [end(metric.range.0), end(metric.range.1)],
                "symmetric": metric.symmetric,
                "needs": metric.minimum_n,
                "bias": metric.bias,
                "what": metric.what,
                "reference": metric.reference,
            })
        };
        let all: Vec<Value> = madloop_metrics::CATALOG.iter().map(metric).collect();
        output::line(&serde_json::to_string_pretty(&all)?);
        return Ok(());
    }
    let mut table = table::plain();
    table.set_header(["metric", "better", "needs", "with the number of samples", "what it is"]);
    for metric in &madloop_metrics::CATALOG {
        table.add_row([metric.name, better(metric), metric.minimum_n, metric.bias, metric.what]);
    }
    output::line(&table.to_string());
    Ok(())
}
