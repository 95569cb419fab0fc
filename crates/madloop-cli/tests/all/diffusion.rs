//! What the diffusion presets must show, at smoke scale and on seeds fixed in advance.
//!
//! Everything is addressed by the seed, so the outcome is fixed; the margins are several times what other seeds differ by.

use crate::common::*;

/// Values of a metric over generations 0, 1, ... of the cells with this lambda, by seed.
fn over_generations(records: &[serde_json::Value], lambda: f64, metric: &str) -> Vec<Vec<f64>> {
    let value = |seed: u64, t: u64| {
        let is_it = |record: &&serde_json::Value| {
            record["lambda"] == lambda && record["seed"] == seed && record["generation"] == t
        };
        records.iter().find(is_it).and_then(|record| record[metric].as_f64()).unwrap()
    };
    let last = records.iter().filter_map(|record| record["generation"].as_u64()).max().unwrap();
    let mut seeds: Vec<u64> = records.iter().filter_map(|record| record["seed"].as_u64()).collect();
    seeds.sort_unstable();
    seeds.dedup();
    seeds.into_iter().map(|seed| (0..=last).map(|t| value(seed, t)).collect()).collect()
}

const METRICS: &str = "score.metrics=[\"frechet_distance\", \"recall\", \"precision\"]";

#[test]
fn diffusion_loses_quality_and_diversity_and_guidance_trades_them() {
    let folder = tempfile::tempdir().unwrap();
    let of = |records: &[serde_json::Value], lambda: f64, metric: &str| over_generations(records, lambda, metric);
    let full = run(folder.path(), &["fig16", "--scale", "smoke", "--set", METRICS, "--set", "sweep.seeds=2"]);
    for lambda in [1.0, 0.5] {
        for distance in of(&full, lambda, "frechet_distance") {
            assert!(distance.windows(2).all(|pair| pair[1] > pair[0]), "lambda {lambda}: {distance:?}");
            assert!(distance[3] > 1.5 * distance[1], "lambda {lambda}: {distance:?}");
        }
        for recall in of(&full, lambda, "recall") {
            assert!(recall.windows(2).all(|pair| pair[1] < pair[0]), "lambda {lambda}: {recall:?}");
        }
    }
    let (unbiased, guided) = (of(&full, 1.0, "recall"), of(&full, 0.5, "recall"));
    for (unbiased, guided) in unbiased.iter().zip(&guided) {
        assert!(guided[3] < 0.6 * unbiased[3], "recall {guided:?} against {unbiased:?}");
    }
    for precision in of(&full, 0.5, "precision") {
        assert!(precision[3] > 0.85 * precision[1], "precision at lambda 0.5: {precision:?}");
    }

    // A fixed real set slows the decay.
    let arguments =
        ["fig9", "--scale", "smoke", "--set", METRICS, "--set", "sweep.seeds=2", "--set", "loop.lambda=1.0"];
    let fixed = run(folder.path(), &arguments);
    let rises = |records: &[serde_json::Value]| -> Vec<f64> {
        of(records, 1.0, "frechet_distance").iter().map(|distance| distance[3] - distance[1]).collect()
    };
    for (full, fixed) in rises(&full).iter().zip(rises(&fixed)) {
        assert!(0.0 < fixed && fixed < 0.8 * full, "rises by {fixed} with a fixed set, {full} without");
    }
}

#[test]
fn fresh_data_forget_how_many_there_were_at_first() {
    let folder = tempfile::tempdir().unwrap();
    let records = run(folder.path(), &["fig10-mnist", "--scale", "smoke", "--set", METRICS]);
    let distance = |n_initial: u64, t: u64| {
        let is_it =
            |record: &&serde_json::Value| record["params.loop.n_initial"] == n_initial && record["generation"] == t;
        records.iter().find(is_it).and_then(|record| record["frechet_distance"].as_f64()).unwrap()
    };
    let last = records.iter().filter_map(|record| record["generation"].as_u64()).max().unwrap();
    let (few, many) = (distance(300, last), distance(500, last));
    assert!((few - many).abs() < 0.15 * few.max(many), "generation {last}: {few} and {many}");
}

#[test]
fn what_cannot_be_done_is_refused_before_anything_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |sets: &[&str]| {
        let mut command = madloop(folder.path());
        command.args(["run", "fig4-ddpm", "--scale", "smoke", "--set", METRICS]);
        for set in sets {
            command.args(["--set", set]);
        }
        let output = command.assert().code(1);
        String::from_utf8(output.get_output().stderr.clone()).unwrap()
    };
    let cases: [(&[&str], &str); 6] = [
        (&["loop.lambda=0"], "use a lambda above 0"),
        (&["loop.lambda=0.5", "model.condition_dropout=0"], "use model.condition_dropout = 0.1"),
        (&["score.lambda=0.5", "model.condition_dropout=0"], "use model.condition_dropout = 0.1"),
        (&["loop.lambda=0.5", "data.source=grid25", "score.features=none"], "use a labelled data set"),
        (&["model.network=unet", "data.source=rosenbrock", "score.features=none"], "the unet network cannot take"),
        (&["model.batch=1000000", "model.width=8192"], "try model.batch = "),
    ];
    for (set, expected) in cases {
        let said = refused(set);
        assert!(said.contains(expected), "{set:?}: {said}");
    }
    assert!(!folder.path().join("runs").exists());
}

#[test]
fn samples_that_are_not_numbers_end_the_cell() {
    let folder = tempfile::tempdir().unwrap();
    let mut arguments = vec!["fig4-ddpm", "--scale", "smoke", "--set", METRICS];
    for set in ["model.steps=1", "model.learning_rate=1e30", "model.ema=0", "model.clip_data=false"] {
        arguments.extend(["--set", set]);
    }
    let records = run(folder.path(), &arguments);
    let last = records.last().unwrap();
    assert_eq!((last["outcome"].as_str(), last["generation"].as_u64()), (Some("ended"), Some(1)), "{last}");
    assert!(last["outcome_reason"].as_str().unwrap().contains("must be finite"), "{last}");
}
