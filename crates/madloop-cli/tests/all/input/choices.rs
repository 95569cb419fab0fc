//! Choices of `madloop score`: other tools', intervals, classes, training sets.

use serde_json::Value;

use super::Bench;
use super::data::{npy, zip};

/// A value in [0, 1) for each address.
fn noise(at: u32) -> f32 {
    let mut bits = at.wrapping_mul(0x9e37_79b9) ^ 0x5bd1_e995;
    bits = (bits ^ (bits >> 15)).wrapping_mul(0x85eb_ca6b);
    bits = (bits ^ (bits >> 13)).wrapping_mul(0xc2b2_ae35);
    ((bits ^ (bits >> 16)) >> 8) as f32 / 16_777_216.0
}

fn features(seed: u32, rows: u32, scale: f32) -> Vec<u8> {
    let values: Vec<f32> = (0..3 * rows).map(|at| scale * noise(seed * 1_000_003 + at)).collect();
    npy("<f4", &format!("{rows}, 3"), &values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<_>>())
}

/// 60 samples of classes 0 and 1.
fn classes(seed: u32) -> Vec<u8> {
    let labels: Vec<u8> = (0..60_i64).flat_map(|row| (row % 2).to_le_bytes()).collect();
    zip(&[("x.npy", &features(seed, 60, 1.0)), ("labels.npy", &npy("<i8", "60,", &labels))])
}

fn bench() -> Bench {
    let bench = Bench::new();
    bench.write("real.npy", features(1, 300, 1.0));
    bench.write("gen.npy", features(2, 280, 0.8));
    bench.write("train.npy", features(3, 400, 1.0));
    bench
}

fn score(bench: &Bench, more: &[&str]) -> Value {
    let args = [&["score", "--json", "--real", "real.npy", "--gen", "gen.npy"], more].concat();
    serde_json::from_str(&bench.succeeds(&args).stdout).unwrap()
}

#[test]
fn a_tool_brings_its_metrics_and_choices() {
    let bench = bench();
    let names = |scores: &Value| scores["metrics"].as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let prdc = score(&bench, &["--like", "prdc"]);
    assert_eq!(names(&prdc), ["coverage", "density", "precision", "recall"]);
    assert_eq!((&prdc["provenance"]["inside"], &prdc["provenance"]["k"]), (&"<".into(), &5.into()));
    let fidelity = score(&bench, &["--like", "torch-fidelity"]);
    assert_eq!(names(&fidelity), ["frechet_distance", "kid", "kid_std", "precision", "recall"]);
    assert_eq!((&fidelity["provenance"]["inside"], &fidelity["provenance"]["k"]), (&"<=".into(), &3.into()));
    assert_eq!(fidelity["provenance"]["kid"]["draws"], "numpy RandomState(2020)");
    let why = fidelity["undefined"]["kid"].as_str().unwrap();
    assert!(why.contains("n = 300") && why.contains("1000"), "{why}");
    let k = score(&bench, &["--like", "torch-fidelity", "--k", "7", "--metrics", "recall"]);
    assert_eq!((names(&k), &k["provenance"]["k"]), (vec!["recall".to_owned()], &7.into()));
    bench.refuses(
        &["score", "--real", "real.npy", "--gen", "gen.npy", "--like", "fid"],
        &["torch-fidelity", "clean-fid"],
    );
}

#[test]
fn intervals_hold_their_values() {
    let bench = bench();
    let scores = score(&bench, &["--bootstrap", "20"]);
    for (name, value) in scores["metrics"].as_object().unwrap() {
        let (Some(value), Some(interval)) = (value.as_f64(), scores["ci"][name].as_array()) else {
            assert!(["kid_std", "rank"].contains(&name.as_str()), "{name} has no interval: {scores}");
            continue;
        };
        assert!(interval[0].as_f64().unwrap() <= value && value <= interval[1].as_f64().unwrap(), "{name}: {scores}");
    }
    assert_eq!(scores["provenance"]["ci"]["methods"]["recall"], "half-sampling");
    assert_eq!(scores["provenance"]["ci"]["methods"]["frechet_distance"], "weighted bootstrap");
    assert_eq!(score(&bench, &["--bootstrap", "20", "--seed", "0"])["ci"], scores["ci"]);
    assert!(score(&bench, &[])["ci"]["recall"].is_null());
    bench.refuses(&["score", "--real", "real.npy", "--gen", "gen.npy", "--bootstrap", "3"], &["10"]);
}

#[test]
fn small_and_unequal_sets_are_told() {
    let scores = score(&bench(), &[]);
    let warnings = scores["warnings"].to_string();
    assert!(warnings.contains("recall: n = 280 is small for it: 1000 or more are advised"), "{warnings}");
    assert!(warnings.contains("300 samples and the generated one 280") && warnings.contains("--n 280"), "{warnings}");
}

#[test]
fn the_training_set_tells_the_samplers_bias() {
    let bench = bench();
    let scores = score(&bench, &["--train", "train.npy", "--metrics", "recall"]);
    // Uniform on [0, 0.8) against [0, 1): the variances are as 0.64 to 1.
    let value = scores["metrics"]["lambda_eff"].as_f64().unwrap();
    let interval = &scores["ci"]["lambda_eff"];
    assert!((value - 0.64).abs() < 0.1, "{value}");
    assert!(interval[0].as_f64().unwrap() < 0.64 && 0.64 < interval[1].as_f64().unwrap(), "{interval}");
    bench.refuses(&["score", "--real", "real.npy", "--gen", "gen.npy", "--metrics", "lambda_eff"], &["--train"]);
    bench.write("other.npy", npy("<f4", "2, 2", &[0; 16]));
    bench.refuses(
        &["score", "--real", "real.npy", "--gen", "gen.npy", "--train", "other.npy"],
        &["other.npy", "each training one vector of 2"],
    );
}

#[test]
fn classes_are_scored_beside_the_whole() {
    let bench = bench();
    bench.write("a.npz", classes(5));
    bench.write("b.npz", classes(77));
    let metrics = "frechet_distance,recall";
    let args = ["score", "--json", "--real", "a.npz", "--gen", "b.npz", "--per-class", "--metrics", metrics];
    let scores: Value = serde_json::from_str(&bench.succeeds(&args).stdout).unwrap();
    let classes = scores["per_class"].as_object().unwrap();
    assert_eq!(classes.keys().collect::<Vec<_>>(), ["0", "1"]);
    for class in classes.values() {
        assert!(class["metrics"]["recall"].is_number() && class["metrics"]["frechet_distance"].is_number(), "{scores}");
    }
    let shown =
        bench.succeeds(&["score", "--real", "a.npz", "--gen", "b.npz", "--per-class", "--metrics", metrics]).stdout;
    assert!(shown.contains("class"), "{shown}");
    bench.refuses(
        &["score", "--real", "real.npy", "--gen", "gen.npy", "--per-class"],
        &["no class labels", "subfolders"],
    );
}

#[test]
fn statistics_have_no_intervals_or_classes() {
    let bench = bench();
    bench.succeeds(&["stats", "real.npy", "-o", "real.npz"]);
    bench.refuses(
        &["score", "--real", "real.npz", "--gen", "gen.npy", "--bootstrap", "20"],
        &["--bootstrap", "needs samples"],
    );
    let args = ["score", "--json", "--real", "real.npz", "--gen", "gen.npy", "--like", "pytorch-fid"];
    let from_stats: Value = serde_json::from_str(&bench.succeeds(&args).stdout).unwrap();
    let from_samples = score(&bench, &["--like", "pytorch-fid"]);
    let value = |scores: &Value| scores["metrics"]["frechet_distance"].as_f64().unwrap();
    assert!((value(&from_stats) - value(&from_samples)).abs() < 1e-12);
}
