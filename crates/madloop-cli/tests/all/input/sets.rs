//! Sets of one shape that are odd: constant, identical, swapped, of strange types, or not there at all.

use serde_json::Value;

use super::Bench;
use super::data::{npy, pairs};

/// Scores every metric with `--json`; each has a value or a reason.
fn score(bench: &Bench, real: &str, generated: &str, more: &[&str]) -> Value {
    let args = [&["score", "--json", "--metrics", "all", "--real", real, "--gen", generated], more].concat();
    let stdout = bench.succeeds(&args).stdout;
    let value: Value = serde_json::from_str(&stdout).unwrap();
    for (name, metric) in value["metrics"].as_object().unwrap() {
        assert_eq!(metric.is_null(), value["undefined"][name].is_string(), "{name}: {stdout}");
    }
    assert!(value["metrics"].as_object().unwrap().len() >= 16, "{stdout}");
    value
}

fn number(scores: &Value, name: &str) -> f64 {
    scores["metrics"][name].as_f64().unwrap_or_else(|| panic!("{name}: {scores}"))
}

fn reason<'a>(scores: &'a Value, name: &str) -> &'a str {
    scores["undefined"][name].as_str().unwrap_or_else(|| panic!("{name}: {scores}"))
}

/// 40 points of a unit grid, 30 of a fine one about one of its middle points, and 20 times the same point.
fn bench() -> Bench {
    let bench = Bench::new();
    let grid = |rows: usize, width: usize| (0..rows).flat_map(move |i| [(i % width) as f32, (i / width) as f32]);
    bench.write("wide.npy", pairs(grid(40, 8).map(|value| value + 0.25)));
    bench.write("narrow.npy", pairs(grid(30, 6).map(|value| value / 16.0 + 3.125)));
    bench.write("same.npy", pairs([1.5; 40]));
    bench.write("other.npy", pairs([2.5; 40]));
    bench
}

#[test]
fn constant_sets_have_defined_values() {
    let bench = bench();
    let both = score(&bench, "same.npy", "same.npy", &[]);
    for (name, value) in [
        ("frechet_distance", 0.0),
        ("precision", 1.0),
        ("recall", 1.0),
        // Each of 20 samples lies in all 20 balls, over k = 5.
        ("density", 4.0),
        ("coverage", 1.0),
        ("auth_pct", 0.0),
        ("sliced_w2", 0.0),
        ("w2_sq", 0.0),
        ("sinkhorn", 0.0),
        ("trace_cov", 0.0),
    ] {
        assert_eq!(number(&both, name), value, "{name}");
    }
    assert!(number(&both, "kid").abs() < 1e-12 && (number(&both, "vendi") - 1.0).abs() < 1e-12, "{both}");
    assert!(reason(&both, "effective_rank").contains("the 20 generated samples have no variance"), "{both}");
    assert!(reason(&both, "mmd_rbf").contains("the median distance of n = 20 real samples is 0"), "{both}");

    let apart = score(&bench, "same.npy", "other.npy", &[]);
    // (1, 1) apart: 2 squared, half of it as a cost.
    for (name, value) in [("frechet_distance", 2.0), ("w2_sq", 2.0), ("sinkhorn", 1.0), ("auth_pct", 100.0)] {
        assert!((number(&apart, name) - value).abs() < 1e-12, "{name}: {apart}");
    }
    for name in ["precision", "recall", "density", "coverage"] {
        assert_eq!(number(&apart, name), 0.0, "{name}");
    }

    let collapsed = score(&bench, "wide.npy", "same.npy", &[]);
    assert_eq!((number(&collapsed, "recall"), number(&collapsed, "trace_cov")), (0.0, 0.0));
    assert!(number(&collapsed, "frechet_distance") > 1.0 && number(&collapsed, "mmd_rbf") > 0.0, "{collapsed}");
    assert!(reason(&collapsed, "effective_rank").contains("no variance"), "{collapsed}");
    let reference = score(&bench, "same.npy", "wide.npy", &[]);
    assert_eq!((number(&reference, "precision"), number(&reference, "coverage")), (0.0, 0.0));
    assert!(number(&reference, "effective_rank") > 1.0, "{reference}");
}

#[test]
fn a_set_is_at_no_distance_from_its_own_file() {
    let bench = bench();
    let own = score(&bench, "wide.npy", "wide.npy", &[]);
    assert!(number(&own, "frechet_distance").abs() < 1e-9, "{own}");
    for (name, value) in [
        ("precision", 1.0),
        ("recall", 1.0),
        ("coverage", 1.0),
        ("auth_pct", 0.0),
        ("sliced_w2", 0.0),
        ("w2_sq", 0.0),
        ("sinkhorn", 0.0),
    ] {
        assert_eq!(number(&own, name), value, "{name}");
    }
    // Unbiased: a set against itself lies below 0.
    assert!(number(&own, "kid") < 0.0 && number(&own, "mmd_rbf") < 0.0, "{own}");
    assert_eq!(own["provenance"]["real"]["sha256"], own["provenance"]["gen"]["sha256"]);
}

#[test]
fn swapped_sets_swap_precision_and_recall_and_say_which_is_which() {
    let bench = bench();
    let there = score(&bench, "wide.npy", "narrow.npy", &[]);
    let back = score(&bench, "narrow.npy", "wide.npy", &[]);
    let of = |scores: &Value, name| number(scores, name);
    assert_eq!(of(&there, "precision"), of(&back, "recall"));
    assert_eq!(of(&there, "recall"), of(&back, "precision"));
    // All lie in the balls about the middle points; one of these lies among them.
    assert_eq!((of(&there, "precision"), of(&there, "recall")), (1.0, 1.0 / 40.0), "{there}");
    assert!((of(&there, "frechet_distance") - of(&back, "frechet_distance")).abs() < 1e-9);
    assert!(of(&there, "trace_cov") < of(&back, "trace_cov"));
    for (scores, real, generated) in [(&there, "wide.npy", "narrow.npy"), (&back, "narrow.npy", "wide.npy")] {
        let provenance = &scores["provenance"];
        assert_eq!((&provenance["real"]["path"], &provenance["gen"]["path"]), (&real.into(), &generated.into()));
    }
    assert_eq!(
        (&there["provenance"]["real"]["samples"], &there["provenance"]["gen"]["samples"]),
        (&40.into(), &30.into())
    );
}

#[test]
fn more_neighbours_than_samples_is_a_reason_with_the_role() {
    let bench = bench();
    let scores = score(&bench, "wide.npy", "narrow.npy", &["--k", "30"]);
    assert!(number(&scores, "precision") > 0.0);
    for part in ["n = 30 is not more than k = 30", "a generated sample", "lower k or score more samples"] {
        assert!(reason(&scores, "recall").contains(part), "{scores}");
    }
    let scores = score(&bench, "wide.npy", "narrow.npy", &["--k", "1000000"]);
    for name in ["precision", "density", "coverage"] {
        assert!(reason(&scores, name).contains("n = 40 is not more than k = 1000000: a real sample"), "{scores}");
    }
    assert!(number(&scores, "frechet_distance") > 0.0 && number(&scores, "auth_pct") >= 0.0, "{scores}");
}

#[test]
fn a_set_that_cannot_be_read_is_named_in_either_role() {
    let bench = bench();
    let nan = |value: f32| pairs((0..40).map(|i| if i == 7 { value } else { i as f32 }));
    std::fs::create_dir(bench.path("empty")).unwrap();
    bench.write("notes/readme.txt", "no image");
    let files: [(&str, Vec<u8>, &[&str]); 8] = [
        ("nan.npy", nan(f32::NAN), &["row 3, column 1 is NaN", "finite"]),
        ("inf.npy", nan(f32::NEG_INFINITY), &["row 3, column 1 is -inf", "finite"]),
        ("text.npy", npy("<U3", "4, 2", &[0; 96]), &["<U3", "float32"]),
        ("bytes.npy", npy("|S5", "4, 2", &[0; 40]), &["|S5", "float32"]),
        ("complex.npy", npy("<c8", "4, 2", &[0; 64]), &["<c8", "float32"]),
        ("int.npy", npy("<i4", "20, 2", &[0; 160]), &["int32", "uint8", "float32"]),
        ("no-columns.npy", npy("<f4", "4, 0", b""), &["[4, 0]"]),
        ("none.npy", Vec::new(), &["is empty"]),
    ];
    for (name, bytes, _) in &files {
        bench.write(name, bytes);
    }
    let folders: [(&str, &[&str]); 3] = [
        ("empty", &["no image", "png"]),
        ("notes", &["no image", "png"]),
        ("nowhere.npy", &["No such file", "exists"]),
    ];
    for (name, parts) in files.iter().map(|(name, _, parts)| (*name, *parts)).chain(folders) {
        let parts = [&[name], parts].concat();
        bench.refuses(&["score", "--real", "wide.npy", "--gen", name], &parts);
        bench.refuses(&["score", "--real", name, "--gen", "wide.npy"], &parts);
    }
}
