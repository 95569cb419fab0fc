//! Two sets that cannot be compared, or only in part.

use serde_json::Value;

use super::Bench;
use super::data::{npy, pairs, zip};

pub(crate) fn vector(values: &[f64]) -> Vec<u8> {
    npy("<f8", &format!("{},", values.len()), &values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<_>>())
}

pub(crate) fn matrix(rows: usize, values: &[f64]) -> Vec<u8> {
    let data: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    npy("<f8", &format!("{rows}, {}", values.len() / rows), &data)
}

fn bench() -> Bench {
    let bench = Bench::new();
    bench.write("good.npy", pairs((0..40).map(|i| (i * 37 % 11) as f32)));
    bench.write("one.npy", pairs([1.0, 2.0]));
    bench.write("three.npy", pairs([1.0, 2.0, 3.0, 5.0, 4.0, 4.0]));
    bench.write("same.npy", pairs([1.5; 40]));
    bench.write("wide.npy", npy("<f4", "10, 3", &[0; 120]));
    bench
        .write("stats.npz", zip(&[("mu.npy", &vector(&[0.0, 0.0])), ("sigma.npy", &matrix(2, &[1.0, 0.0, 0.0, 1.0]))]));
    bench
}

/// Scores with `--json`, which must succeed without a silent NaN.
fn score(bench: &Bench, args: &[&str]) -> Value {
    let stdout = bench.succeeds(&[&["score", "--json"], args].concat()).stdout;
    let value: Value = serde_json::from_str(&stdout).unwrap();
    for (name, metric) in value["metrics"].as_object().unwrap() {
        assert_eq!(metric.is_null(), value["undefined"][name].is_string(), "{name}: {stdout}");
    }
    value
}

#[test]
fn sets_that_do_not_fit_are_refused() {
    let bench = bench();
    let both = |real, generated, more: &[&str], parts: &[&str]| {
        bench.refuses(&[&["score", "--real", real, "--gen", generated], more].concat(), parts);
    };
    both("good.npy", "wide.npy", &[], &["wide.npy", "vector of 2", "vector of 3", "one shape"]);
    both("good.npy", "good.npy", &["--n", "100"], &["good.npy", "20 samples", "--n 100", "lower --n"]);
    both("good.npy", "good.npy", &["--n", "0"], &["--n", "at least 1"]);
    both("good.npy", "good.npy", &["--k", "0"], &["--k", "at least 1"]);
    both("good.npy", "good.npy", &["--features", "pixels"], &["--features", "pixels", "none"]);
    both("good.npy", "good.npy", &["--features", "inception"], &["--features inception", "none"]);
    both("good.npy", "good.npy", &["--resize", "8"], &["good.npy", "vectors", "resize"]);
    both("good.npy", "good.npy", &["--metrics", "kdi"], &["--metrics", "\"kdi\"", "did you mean \"kid\"?"]);
    both("good.npy", "good.npy", &["--metrics", "modes_kept"], &["--metrics", "modes_kept", "loops only"]);
    both("good.npy", "missing.npy", &[], &["missing.npy", "No such file", "exists"]);
    both("one.npy", "stats.npz", &[], &["one.npy", "n = 1", "less than 2"]);
    bench.refuses(&["stats", "one.npy", "-o", "a.npz"], &["one.npy", "1 samples", "at least 2"]);
    bench.refuses(&["stats", "stats.npz", "-o", "a.npz"], &["stats.npz", "statistics", "samples"]);
    bench.refuses(&["data", "info", "nosuch"], &["\"nosuch\" is not known; there are digits8"]);
    bench.refuses(&["score", "--real", "good.npy"], &["--gen"]);
}

#[test]
fn small_and_degenerate_sets_have_reasons() {
    let bench = bench();
    let few = score(&bench, &["--real", "three.npy", "--gen", "three.npy"]);
    for metric in ["precision", "recall", "density", "coverage"] {
        assert!(few["undefined"][metric].as_str().unwrap().contains("n = 3 is not more than k = 5"), "{few}");
    }
    assert!(few["metrics"]["frechet_distance"].as_f64().unwrap().abs() < 1e-9, "{few}");
    let one = score(&bench, &["--real", "good.npy", "--gen", "one.npy"]);
    assert!(one["undefined"]["kid"].as_str().unwrap().contains("less than 2"), "{one}");
    let same = score(&bench, &["--real", "same.npy", "--gen", "same.npy"]);
    assert_eq!(same["metrics"]["frechet_distance"], 0.0, "{same}");
    assert_eq!(same["metrics"]["trace_cov"], 0.0, "{same}");
    let stats = score(&bench, &["--real", "good.npy", "--gen", "stats.npz"]);
    assert!(stats["undefined"]["kid"].as_str().unwrap().contains("give the samples"), "{stats}");
    score(&bench, &["--real", "good.npy", "--gen", "same.npy", "--n", "1"]);
    score(&bench, &["--real", "good.npy", "--gen", "same.npy", "--k", "1000000"]);
}
