//! The sentences, from made-up records.

use madloop_core::Outcome;

use super::*;
use crate::report::testing::{cell, info, record};

fn three() -> Vec<Record> {
    let mut records = Vec::new();
    for seed in 0..2 {
        let noise = 0.005 * seed as f64;
        for (kind, values) in [
            ("fully-synthetic", [0.83, 0.71, 0.5, 0.3, 0.08]),
            ("synthetic-augmentation", [0.83, 0.71, 0.6, 0.5, 0.33]),
            ("fresh-data", [0.83, 0.61, 0.62, 0.60, 0.61]),
        ] {
            records.extend(cell(kind, seed, "recall", &values.map(|v| v + noise)));
        }
    }
    records
}

#[test]
fn three_loops_are_told_apart() {
    assert_eq!(
        meaning(&three(), &[]),
        "Over 4 generations the recall of the fully synthetic loop fell from 0.71 to 0.08 (real data: 0.83): its \
         samples cover ever less of the real distribution. Fresh real data in every generation held it at 0.61, a \
         fixed real set only slowed the loss (0.71 to 0.33)."
    );
}

#[test]
fn one_setting_is_told_by_two_metrics() {
    let mut records = cell("fully-synthetic", 0, "recall", &[0.8, 0.7, 0.4, 0.2]);
    for (record, precision) in records.iter_mut().zip([0.8, 0.80, 0.805, 0.81]) {
        record.scores.set("precision", Ok(precision));
    }
    let text = meaning(&records, &[]);
    assert!(text.ends_with("Meanwhile the precision hardly changed (0.80 to 0.81) (real data: 0.80): quality held while diversity was lost."), "{text}");
    let lone = meaning(&cell("fully-synthetic", 0, "recall", &[0.8, 0.7, 0.4]), &[]);
    assert!(lone.ends_with("One seed was run, so chance is not averaged out."), "{lone}");
}

#[test]
fn nothing_is_claimed_when_nothing_falls() {
    let mut records = cell("fresh-data", 0, "recall", &[0.8, 0.6, 0.61, 0.6]);
    let text = meaning(&records, &[]);
    assert!(text.contains("stayed at 0.60 (real data: 0.80), so by this measure nothing was clearly"), "{text}");
    records.extend(cell("fully-synthetic", 0, "recall", &[0.8, 0.4, 0.5, 0.6]));
    let text = meaning(&records, &[]);
    assert_eq!(
        text,
        "Over 3 generations no setting got clearly worse by the recall: the 2 settings ended at 0.60 (real data: \
         0.80). All of them ended alike."
    );
}

#[test]
fn a_change_within_the_spread_of_seeds_is_not_clear() {
    let mut records = cell("fresh-data", 0, "recall", &[0.8, 0.60, 0.50]);
    records.extend(cell("fresh-data", 1, "recall", &[0.8, 0.50, 0.52]));
    let text = meaning(&records, &[]);
    assert!(text.contains("did not clearly change (0.55 to 0.51)"), "{text}");
}

#[test]
fn distances_and_traces_have_their_own_words() {
    let text = meaning(&cell("fully-synthetic", 0, "frechet_distance", &[0.1, 1.0, 3.0, 9.0]), &[]);
    assert!(text.contains("rose from 1 to 9 (real data: 0.10): its samples moved ever further"), "{text}");
    let text = meaning(&cell("fully-synthetic", 0, "model_trace_cov", &[1.0, 0.9, 0.5, 1e-6]), &[]);
    assert!(text.contains("variance of the model of the fully synthetic loop fell from 0.90 to 1.00×10⁻⁶"), "{text}");
    let info = info("kid_like", Direction::Lower);
    let text = meaning(&cell("fully-synthetic", 0, "kid_like", &[0.1, 1.0, 3.0]), &[info]);
    assert!(
        text.contains(
            "the KID like of the fully synthetic loop rose from 1 to 3 (real data: 0.10): by this measure it got worse"
        ),
        "{text}"
    );
}

#[test]
fn sweeps_name_the_best_and_the_range() {
    let mut records = Vec::new();
    for (lambda, last) in [(1.0, 0.5), (0.8, 0.3), (0.66, 0.2), (0.5, 0.1)] {
        let mut one = cell("fully-synthetic", 0, "recall", &[0.8, 0.7, last]);
        for record in &mut one {
            record.fixed.lambda = lambda;
            record.fixed.score_lambda = lambda;
            record.fixed.cell = format!("lambda-{lambda}");
        }
        records.extend(one);
    }
    let text = meaning(&records, &[]);
    assert!(text.contains("the fully synthetic loop with λ = 0.5 fell from 0.70 to 0.10"), "{text}");
    assert!(text.contains("With λ = 1 it fell from 0.70 to 0.50; the other 2 ended between 0.20 and 0.30."), "{text}");
}

#[test]
fn missing_values_and_ends_are_said() {
    assert!(meaning(&[], &[]).starts_with("No metric has a value yet"));
    let only = [record("fresh-data", 0, 0, &[("recall", 0.8)]), record("fresh-data", 0, 1, &[("recall", 0.7)])];
    let text = meaning(&only, &[]);
    assert!(text.starts_with("At generation 1 the recall is 0.70 (real data: 0.80)."), "{text}");
    let mut records = three();
    records.retain(|r| r.cell != "fully-synthetic-s1" || r.generation < 3);
    let mut end = record("fully-synthetic", 1, 3, &[]);
    end.outcome = Outcome::Ended("the loss is NaN".into());
    records.push(end);
    let text = meaning(&records, &[]);
    assert!(text.ends_with("; 1 of 6 cells ended early, without a model."), "{text}");
    let mut other = record("other", 0, 1, &[]);
    other.scores.set("recall", Err("n < k".into()));
    records.push(other);
    assert!(meaning(&records, &[]).ends_with("1 of 4 settings have no value of this metric."));
}

#[test]
fn lengths_differ() {
    let mut records = cell("fully-synthetic", 0, "recall", &[0.8, 0.7, 0.5, 0.3, 0.1]);
    records.extend(cell("fresh-data", 0, "recall", &[0.8, 0.7, 0.6]));
    let text = meaning(&records, &[]);
    assert!(text.contains("did not stop the fall (0.70 to 0.60) by generation 2"), "{text}");
}
