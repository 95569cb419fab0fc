//! `madloop theory`: Gaussian loops, calculated.

use anyhow::{anyhow, bail};
use madloop_core::{History, LoopKind, Pool, SyntheticCount};
use madloop_theory::{
    CurvePoint, Effort, Estimate, GaussianLoop, Limit, RealCovariance, Threshold, curve, limit, threshold,
};
use serde_json::{Value, json};

use crate::args::{CurveArgs, LimitArgs, TheoryArgs, TheoryCommand, ThresholdArgs};
use crate::{output, table};

pub(crate) fn theory(args: &TheoryArgs) -> anyhow::Result<()> {
    match &args.command {
        TheoryCommand::Curve(args) => of_curve(args),
        TheoryCommand::Limit(args) => of_limit(args),
        TheoryCommand::Threshold(args) => of_threshold(args),
    }
}

fn history(text: &str) -> anyhow::Result<History> {
    match text {
        "all" => Ok(History::All),
        _ => match text.parse() {
            Ok(models) if models > 0 => Ok(History::Last(models)),
            _ => Err(anyhow!("--history {text}: give a number of models from 1 on, or all")),
        },
    }
}

fn of_curve(args: &CurveArgs) -> anyhow::Result<()> {
    let kind = match args.kind.as_str() {
        "fully-synthetic" => LoopKind::FullySynthetic,
        "synthetic-augmentation" => LoopKind::SyntheticAugmentation,
        _ => LoopKind::FreshData,
    };
    if kind != LoopKind::FullySynthetic && args.n_real == 0 {
        bail!("--n-real is 0, and the {} loop has real samples in every generation: give their number", args.kind);
    }
    let first = if kind == LoopKind::FullySynthetic { args.n_synthetic } else { args.n_real };
    let settings = GaussianLoop {
        kind,
        n_initial: args.n_initial.unwrap_or(first),
        n_real: args.n_real,
        n_synthetic: args.n_synthetic,
        lambda: args.calculation.lambda,
        history: history(&args.history)?,
        pool: Pool::Redraw,
        synthetic_count: SyntheticCount::Total,
        covariance: RealCovariance::Identity(args.calculation.dim),
    };
    let points = curve(&settings, args.generations, args.replicates, args.calculation.seed)?;
    if args.calculation.json {
        output::line(&serde_json::to_string_pretty(&json!({
            "loop": args.kind,
            "replicates": args.replicates,
            "generations": points.iter().map(point).collect::<Vec<_>>(),
        }))?);
        return Ok(());
    }
    let mut table = table::plain();
    table.set_header(["generation", "squared W2", "|mu|^2", "tr Sigma"]);
    for point in &points {
        let number = |estimate: Estimate| format!("{} +- {}", table::number(estimate.mean), table::number(estimate.se));
        table.add_row([point.generation.to_string(), number(point.w2_sq), number(point.mean_sq), number(point.trace)]);
    }
    output::line(&table.to_string());
    Ok(())
}

/// A number, or null where it is not finite.
fn finite(value: f64) -> Value {
    if value.is_finite() { json!(value) } else { Value::Null }
}

fn point(point: &CurvePoint) -> Value {
    json!({
        "generation": point.generation,
        "w2_sq": finite(point.w2_sq.mean),
        "w2_sq_se": finite(point.w2_sq.se),
        "mean_sq": finite(point.mean_sq.mean),
        "mean_sq_se": finite(point.mean_sq.se),
        "trace_cov": finite(point.trace.mean),
        "trace_cov_se": finite(point.trace.se),
    })
}

fn of_limit(args: &LimitArgs) -> anyhow::Result<()> {
    let calculation = &args.calculation;
    let settings = GaussianLoop {
        history: history(&args.history)?,
        ..GaussianLoop::fresh_data(calculation.dim, args.n_real, args.n_synthetic, calculation.lambda)
    };
    let effort = Effort { relative_se: args.relative_se, seed: calculation.seed };
    let found = limit(&settings, effort)?;
    let Limit { w2_sq, w2_sq_se, n_e, n_e_se, n_e_over_n_r, admissible } = found;
    if calculation.json {
        output::line(&serde_json::to_string_pretty(&json!({
            "w2_sq": finite(w2_sq),
            "w2_sq_se": finite(w2_sq_se),
            "n_e": finite(n_e),
            "n_e_se": finite(n_e_se),
            "n_e_over_n_r": finite(n_e_over_n_r),
            "admissible": admissible,
        }))?);
        return Ok(());
    }
    let number = table::number;
    output::line(&format!("squared W2 in the limit: {} +- {}", number(w2_sq), number(w2_sq_se)));
    output::line(&format!(
        "worth {} +- {} real samples at once: {} of the {} fresh ones",
        number(n_e),
        number(n_e_se),
        number(n_e_over_n_r),
        args.n_real
    ));
    output::line(if admissible { "the synthetic data does no harm" } else { "the synthetic data harms" });
    Ok(())
}

fn of_threshold(args: &ThresholdArgs) -> anyhow::Result<()> {
    let calculation = &args.calculation;
    let effort = Effort { relative_se: args.relative_se, seed: calculation.seed };
    let Threshold { n_synthetic_max, ci, unbounded } =
        threshold(calculation.dim, args.n_real, calculation.lambda, effort)?;
    if calculation.json {
        output::line(&serde_json::to_string_pretty(&json!({
            "n_synthetic_max": n_synthetic_max,
            "ci": ci.map(|(low, high)| [low, high]),
            "unbounded": unbounded,
        }))?);
        return Ok(());
    }
    output::line(&match (n_synthetic_max, ci) {
        (Some(0), _) => "any synthetic sample harms".to_owned(),
        (Some(most), Some((low, high))) => format!(
            "up to {most} synthetic samples a generation do no harm beside {} fresh real ones (95 %: {} to {})",
            args.n_real,
            table::number(low),
            table::number(high)
        ),
        (Some(most), None) => {
            format!("up to {most} synthetic samples a generation do no harm beside {} fresh real ones", args.n_real)
        }
        (None, _) => "no amount of synthetic samples harms".to_owned(),
    });
    Ok(())
}
