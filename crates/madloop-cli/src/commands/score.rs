//! `madloop score`: a real and a generated set, compared.

use anyhow::bail;
use madloop::comparison::{Comparison, Options, compare, feature_metrics};
use serde_json::json;

use crate::args::ScoreArgs;
use crate::{output, table};

use super::{check_features, read_options};

pub(crate) fn score(args: &ScoreArgs) -> anyhow::Result<()> {
    if args.metrics.iter().any(|name| name == "list") {
        describe();
        return Ok(());
    }
    check_features(args.features.as_deref())?;
    let (Some(real), Some(generated)) = (&args.real, &args.generated) else {
        bail!("score compares two sets: give both --real A and --gen B (or --metrics list, to describe the metrics)");
    };
    let metrics = if args.metrics.iter().any(|name| name == "all") { feature_metrics() } else { args.metrics.clone() };
    let options = Options { metrics, k: args.k, n: args.n, seed: args.seed, features: args.features.clone() };
    let result = compare(real, generated, &read_options(&args.images)?, &options)?;
    if args.json {
        output::line(&serde_json::to_string_pretty(&json(&result))?);
    } else {
        let mut table = table::plain();
        table.set_header(["metric", "value", ""]);
        for (name, value) in &result.scores.values {
            let note = result.scores.undefined.get(name).map(String::as_str);
            let what = madloop::metric_infos().into_iter().find(|info| info.name == *name).map(|info| info.title);
            let value = value.map_or_else(|| "undefined".to_owned(), table::number);
            table.add_row([name.clone(), value, note.map(str::to_owned).or(what).unwrap_or_default()]);
        }
        output::line(&table.to_string());
    }
    Ok(())
}

fn json(result: &Comparison) -> serde_json::Value {
    json!({
        "metrics": result.scores.values,
        "ci": {},
        "undefined": result.scores.undefined,
        "provenance": result.provenance,
    })
}

fn describe() {
    let mut table = table::plain();
    table.set_header(["metric", "better", "what it is"]);
    for info in madloop::metric_infos() {
        let better = match info.direction {
            madloop::report::Direction::Higher => "higher",
            madloop::report::Direction::Lower => "lower",
            madloop::report::Direction::Neither => "",
        };
        table.add_row([info.name.as_str(), better, &info.what]);
    }
    output::line(&table.to_string());
}
