//! `madloop theory` through the binary.

use serde_json::Value;

use crate::common::madloop;

fn json(arguments: &[&str]) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let output = madloop(folder.path()).arg("theory").args(arguments).arg("--json").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn refusal(arguments: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let output = madloop(folder.path()).arg("theory").args(arguments).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{arguments:?}");
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn a_limit_says_what_synthetic_data_are_worth() {
    let arguments = ["limit", "--dim", "10", "--n-real", "50", "--n-synthetic", "50", "--lambda", "1"];
    let limit = json(&arguments);
    let value = |key: &str| limit[key].as_f64().unwrap();
    assert!(value("w2_sq") > 0.0 && value("w2_sq_se") > 0.0 && value("n_e_se") > 0.0, "{limit}");
    assert!(limit["admissible"].as_bool().unwrap() && value("n_e_over_n_r") > 1.0, "{limit}");
    assert!((value("n_e") / 50.0 - value("n_e_over_n_r")).abs() < 1e-12);
    assert_eq!(json(&arguments), limit);
    // Without synthetic data the loop is one model on its fresh samples.
    let alone = json(&["limit", "--dim", "10", "--n-real", "50", "--n-synthetic", "0"]);
    assert!((alone["n_e"].as_f64().unwrap() - 50.0).abs() < 0.5, "{alone}");
    let biased = json(&["limit", "--dim", "10", "--n-real", "50", "--n-synthetic", "5000", "--lambda", "0.5"]);
    assert_eq!(biased["admissible"], false, "{biased}");
}

#[test]
fn a_threshold_lies_between_help_and_harm() {
    let at = |n_synthetic: u64| {
        let n = n_synthetic.to_string();
        json(&["limit", "--dim", "5", "--n-real", "200", "--n-synthetic", &n, "--lambda", "0.7"])["n_e_over_n_r"]
            .as_f64()
            .unwrap()
    };
    let threshold = json(&["threshold", "--dim", "5", "--n-real", "200", "--lambda", "0.7"]);
    let most = threshold["n_synthetic_max"].as_u64().unwrap();
    assert_eq!(threshold["unbounded"], false);
    let (low, high) = (threshold["ci"][0].as_f64().unwrap(), threshold["ci"][1].as_f64().unwrap());
    assert!(low <= most as f64 + 1.0 && most as f64 <= high, "{threshold}");
    assert!(at(most * 2 / 3) > 1.0 && at(most * 3 / 2) < 1.0, "{threshold}");
    let unbiased = json(&["threshold", "--dim", "5", "--n-real", "200", "--lambda", "1"]);
    assert!(unbiased["n_synthetic_max"].is_null() && unbiased["unbounded"] == true, "{unbiased}");
}

#[test]
fn a_curve_has_a_point_a_generation() {
    let arguments = ["curve", "--loop", "fully-synthetic", "--dim", "4", "--n-synthetic", "50", "--generations", "7"];
    let curve = json(&arguments);
    let points = curve["generations"].as_array().unwrap();
    assert_eq!(points.len(), 7);
    let last = &points[6];
    // E |mu_7|^2 = 7 tr S / n at lambda = 1, and E tr Sigma = tr S.
    for (key, expected) in [("mean_sq", 7.0 * 4.0 / 50.0), ("trace_cov", 4.0)] {
        let (value, se) = (last[key].as_f64().unwrap(), last[format!("{key}_se")].as_f64().unwrap());
        assert!((value - expected).abs() < 5.0 * se, "{key}: {value} +- {se}, not {expected}");
    }
}

#[test]
fn settings_out_of_range_are_named() {
    for (arguments, parts) in [
        (vec!["limit", "--dim", "3", "--n-real", "1", "--n-synthetic", "5"], ["n_real is 1", "at least 2"]),
        (vec!["limit", "--dim", "0", "--n-real", "9", "--n-synthetic", "5"], ["--dim", "at least 1"]),
        (vec!["threshold", "--dim", "3", "--n-real", "9", "--lambda", "1.5"], ["lambda is 1.5", "from 0"]),
        (vec!["curve", "--dim", "3", "--n-synthetic", "5"], ["--n-real is 0", "give their number"]),
        (
            vec!["limit", "--dim", "3", "--n-real", "9", "--n-synthetic", "5", "--history", "some"],
            ["--history some", "all"],
        ),
    ] {
        let why = refusal(&arguments);
        assert!(parts.iter().all(|part| why.contains(part)), "{arguments:?}: {why}");
    }
}

#[test]
fn a_plan_is_printed_and_written() {
    let folder = tempfile::tempdir().unwrap();
    let rows: String = (0..60u32).map(|i| format!("{},{},1\n", i * 37 % 61, i * i % 53)).collect();
    std::fs::write(folder.path().join("real.csv"), rows).unwrap();
    let plan = |more: &[&str]| {
        let output = madloop(folder.path()).args(["plan", "--real", "real.csv"]).args(more).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    let (code, text, _) = plan(&["--lambda", "0.7", "--budget-real", "200", "-o", "out"]);
    assert_eq!(code, Some(0));
    assert!(text.contains("Safe amount: up to ") && text.contains("fully synthetic"), "{text}");
    assert!(text.contains("The answer grows with the dimension"), "{text}");
    assert!(folder.path().join("out/report.html").exists() && folder.path().join("out/phase-lambda.png").exists());
    let (code, text, _) = plan(&["--lambda", "1", "--json"]);
    let json: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((code, &json["safe"]["unbounded"], &json["constant_columns"]), (Some(0), &true.into(), &1.into()));
    let (code, _, error) = plan(&["--lambda", "2"]);
    assert!(code == Some(1) && error.contains("from 0 (modes only) to 1"), "{error}");
    let (code, _, error) = plan(&[]);
    assert!(code == Some(1) && error.contains("--lambda-from"), "{error}");
}
