#![expect(clippy::disallowed_methods, reason = "tests write their files")]

use super::*;

/// A text file of n rows in d columns, from a fixed recurrence.
fn table(dir: &Path, name: &str, n: usize, scales: &[f64]) -> PathBuf {
    let mut state = 88_172_645_463_325_252_u64;
    let mut uniform = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as f64 / u64::MAX as f64
    };
    let mut text = String::new();
    for _ in 0..n {
        let row: Vec<String> = scales
            .iter()
            .map(|scale| format!("{:.6}", scale * ((0..12).map(|_| uniform()).sum::<f64>() - 6.0)))
            .collect();
        text += &(row.join(",") + "\n");
    }
    let path = dir.join(name);
    std::fs::write(&path, text).expect("written");
    path
}

fn read() -> ReadOptions {
    ReadOptions { ignore_labels: true, ..ReadOptions::default() }
}

#[test]
fn a_plan_answers_with_numbers_that_agree() {
    let dir = tempfile::tempdir().expect("a folder");
    let real = table(dir.path(), "real.csv", 300, &[1.0, 1.0, 1.0, 2.0]);
    let options = Options { lambda: Some(0.8), budget_synthetic: Some(5000), ..Options::default() };
    let plan = plan(&real, &read(), &options).expect("a plan");
    let json = plan.to_json();
    let number = |path: &str| json.pointer(path).and_then(Value::as_f64).unwrap_or_else(|| panic!("{path}: {json}"));
    let safe = number("/safe/n_synthetic_max");
    assert!(number("/safe/ci/0") <= safe + 1.0 && safe <= number("/safe/ci/1"));
    // d_eff lies between 1 and 4, and so the threshold near its large-n_real value.
    let d = number("/effective_dimension");
    assert!((3.0..4.0).contains(&d));
    let large = (4.0 * 1.2 + (d + 1.0) * (0.5 + 1.2 - 0.64)) / 0.04;
    assert!((safe / large - 1.0).abs() < 0.5, "{safe} {large}");
    assert!(number("/best/n_e_over_n_r") >= 1.0 && number("/best/n_synthetic") <= safe);
    assert!(number("/budget/n_e_over_n_r") < 1.0);
    assert_eq!(json["lasting"][0]["policy"], "fully-synthetic");
    assert!(json["lasting"][0]["generations_to_half"].as_u64().is_some_and(|t| (4..=6).contains(&t)));
    // a = 5000 / 5300: the fresh loop keeps (1 - a) / (1 - a lambda) = 0.23 of the variance, the best amount keeps most of it.
    assert!(json["lasting"][2]["generations_to_half"].as_u64().is_some());
    let page = plan.write(&dir.path().join("out")).expect("written");
    let html = std::fs::read_to_string(page).expect("a page");
    assert!(html.contains("synthetic samples are safe beside 300 fresh real ones"), "{}", &html[..200]);
    for file in ["plan.json", "phase-n_real.svg", "phase-n_real.png", "phase-lambda.svg"] {
        assert!(dir.path().join("out").join(file).exists(), "{file}");
    }
}

#[test]
fn lambda_is_estimated_from_a_generated_set() {
    let dir = tempfile::tempdir().expect("a folder");
    let real = table(dir.path(), "real.csv", 400, &[1.0, 1.0]);
    let generated = table(dir.path(), "gen.csv", 400, &[0.5_f64.sqrt(), 0.5_f64.sqrt()]);
    let options = Options { lambda_from: Some(generated), ..Options::default() };
    let json = plan(&real, &read(), &options).expect("a plan").to_json();
    let lambda = json["lambda"].as_f64().expect("a number");
    assert!((lambda - 0.5).abs() < 1e-3, "{lambda}");
    assert!(json["lambda_ci"][0].as_f64() < Some(0.5) && json["lambda_ci"][1].as_f64() > Some(0.5));
    let same = Options { lambda_from: Some(real.clone()), ..Options::default() };
    let json = plan(&real, &read(), &same).expect("a plan").to_json();
    assert_eq!((json["lambda"].as_f64(), json["safe"]["unbounded"].as_bool()), (Some(1.0), Some(true)));
}

#[test]
fn bad_input_is_named() {
    let dir = tempfile::tempdir().expect("a folder");
    let real = table(dir.path(), "real.csv", 20, &[1.0, 1.0]);
    let says = |real: &Path, options: &Options| plan(real, &read(), options).expect_err("bad input").to_string();
    let given = Options { lambda: Some(0.8), ..Options::default() };
    assert!(says(&real, &Options::default()).contains("--lambda-from"));
    assert!(says(&real, &Options { lambda: Some(1.2), ..Options::default() }).contains("1.2 must be a number from 0"));
    assert!(says(&real, &Options { budget_real: Some(1), ..given.clone() }).contains("at least 2"));
    let both = Options { lambda_from: Some(real.clone()), ..given.clone() };
    assert!(says(&real, &both).contains("leave one out"));
    let constant = dir.path().join("constant.csv");
    std::fs::write(&constant, "1,2\n1,2\n1,2\n").expect("written");
    let text = says(&constant, &given);
    assert!(text.contains("constant.csv") && text.contains("vary"), "{text}");
    let nan = dir.path().join("nan.csv");
    std::fs::write(&nan, "1,2\nnan,2\n1,3\n").expect("written");
    assert!(says(&nan, &given).contains("nan.csv"));
    // A constant column among others is left out and said.
    let some = dir.path().join("some.csv");
    std::fs::write(&some, "1,2\n2,2\n4,2\n1,2\n").expect("written");
    let json = plan(&some, &read(), &given).expect("a plan").to_json();
    assert_eq!((json["constant_columns"].as_u64(), json["dim"].as_u64()), (Some(1), Some(2)));
}
