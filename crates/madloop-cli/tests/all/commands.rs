//! The smaller commands: show, score, stats, report, data, completions, man.

use std::path::Path;

use serde_json::Value;

use crate::common::*;

fn stdout(folder: &Path, arguments: &[&str]) -> String {
    let output = madloop(folder).args(arguments).assert().success();
    String::from_utf8(output.get_output().stdout.clone()).unwrap()
}

#[test]
fn the_resolved_configuration_is_what_it_was() {
    // A change here changes what users' files mean: say it in CHANGELOG.md.
    let folder = tempfile::tempdir().unwrap();
    let shown = stdout(folder.path(), &["show", "quickstart", "--set", "loop.lambda=0.5", "--seed", "7"]);
    insta::assert_snapshot!(shown);
}

#[test]
fn overrides_are_literals_or_strings_and_end_sweeps() {
    let folder = tempfile::tempdir().unwrap();
    let shown =
        stdout(folder.path(), &["show", "quickstart", "--set", "loop.kind=fresh-data", "--set", "loop.history=all"]);
    let table: toml::Table = shown.parse().unwrap();
    assert_eq!(table["loop"]["kind"].as_str(), Some("fresh-data"));
    assert_eq!(table["loop"]["history"].as_str(), Some("all"));
    assert!(!table["sweep"].as_table().unwrap().contains_key("loop.kind"));
    let swept = stdout(folder.path(), &["show", "quickstart", "--set", "sweep.\"loop.lambda\"=[1.0, 0.5]"]);
    let table: toml::Table = swept.parse().unwrap();
    assert_eq!(table["sweep"]["loop.lambda"].as_array().unwrap().len(), 2);
}

/// A .csv of 300 points of a Gaussian-like cloud around (shift, shift).
fn cloud(path: &Path, shift: f64) {
    let mut text = String::from("x,y\n");
    for i in 0..300_u32 {
        let angle = f64::from(i) * 2.399_963;
        let radius = (-2.0 * ((f64::from(i) + 0.5) / 300.0).ln()).sqrt();
        text += &format!("{},{}\n", shift + radius * angle.cos(), shift + radius * angle.sin());
    }
    std::fs::write(path, text).unwrap();
}

#[test]
fn two_sets_are_scored_and_their_statistics_agree() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    cloud(&folder.path().join("a.csv"), 0.0);
    cloud(&folder.path().join("b.csv"), 0.5);
    let score = |real: &str, generated: &str, more: &[&str]| -> Value {
        let arguments = [&["score", "--real", real, "--gen", generated, "--json"], more].concat();
        serde_json::from_str(&stdout(folder.path(), &arguments)).unwrap()
    };
    let both = score("a.csv", "b.csv", &[]);
    // Equal covariances: the distance is |shift|^2 = 0.5.
    assert!((both["metrics"]["frechet_distance"].as_f64().unwrap() - 0.5).abs() < 1e-5, "{both}");
    assert_eq!(both["metrics"]["kid_std"], Value::Null);
    assert!(both["undefined"]["kid_std"].is_string());
    assert_eq!(both["provenance"]["k"], 5);
    let same = score("a.csv", "a.csv", &["--metrics", "precision,recall,coverage"]);
    assert_eq!(same["metrics"], serde_json::json!({ "precision": 1.0, "recall": 1.0, "coverage": 1.0 }));
    for name in ["a", "b"] {
        let written = stdout(folder.path(), &["stats", &format!("{name}.csv"), "-o", &at(&format!("{name}.npz"))]);
        assert!(written.contains(".npz"));
    }
    let of_stats = score("a.npz", "b.npz", &["--metrics", "frechet_distance,recall"]);
    let (distance, direct) = (&of_stats["metrics"]["frechet_distance"], &both["metrics"]["frechet_distance"]);
    assert!((distance.as_f64().unwrap() - direct.as_f64().unwrap()).abs() < 1e-9);
    assert!(of_stats["undefined"]["recall"].as_str().unwrap().contains("mean and covariance"));
    assert_eq!(std::fs::read(at("a.npz")).unwrap(), {
        stdout(folder.path(), &["stats", "a.csv", "-o", "again.npz"]);
        std::fs::read(at("again.npz")).unwrap()
    });
    assert!(stdout(folder.path(), &["score", "--real", "a.csv", "--gen", "b.csv"]).contains("recall"));
    assert!(stdout(folder.path(), &["score", "--metrics", "list"]).contains("diversity"));
}

#[test]
fn faces_are_scored_from_a_tar() {
    let Some(data) = shared_data("faces") else { return };
    let folder = tempfile::tempdir().unwrap();
    let faces = data.join("lfw-64.tar");
    let faces = faces.to_str().unwrap();
    let arguments = [
        "score",
        "--real",
        faces,
        "--gen",
        faces,
        "--resize",
        "8",
        "--color",
        "grey",
        "--n",
        "500",
        "--metrics",
        "recall",
        "--json",
    ];
    let scores: Value = serde_json::from_str(&stdout(folder.path(), &arguments)).unwrap();
    assert_eq!(scores["metrics"]["recall"], 1.0);
    assert_eq!(scores["provenance"]["features"], "pixels");
}

#[test]
fn one_page_about_two_runs() {
    let folder = tempfile::tempdir().unwrap();
    run(folder.path(), &["quickstart", "--scale", "smoke", "--out", "a"]);
    run(folder.path(), &["fig17-kde", "--scale", "smoke", "--out", "b"]);
    assert_eq!(stdout(folder.path(), &["report", "a", "b", "-o", "both.html"]), "both.html\n");
    let page = std::fs::read_to_string(folder.path().join("both.html")).unwrap();
    assert!(page.contains("Rosenbrock") && page.contains("handwritten"));
    let before = std::fs::read(folder.path().join("a/report.html")).unwrap();
    stdout(folder.path(), &["report", "a"]);
    assert_eq!(std::fs::read(folder.path().join("a/report.html")).unwrap(), before);
}

#[test]
fn data_sets_are_listed_and_described() {
    let folder = tempfile::tempdir().unwrap();
    let list: Value = serde_json::from_str(&stdout(folder.path(), &["data", "list", "--json"])).unwrap();
    assert!(list.as_array().unwrap().iter().any(|entry| entry["name"] == "mnist"));
    assert!(stdout(folder.path(), &["data", "list"]).contains("digits8"));
    let info = stdout(folder.path(), &["data", "info", "mnist"]);
    assert!(info.contains("CC BY-SA") && info.contains("train-images"), "{info}");
}

#[test]
fn shells_and_manuals() {
    let folder = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        assert!(stdout(folder.path(), &["completions", shell]).contains("madloop"));
    }
    assert!(stdout(folder.path(), &["man"]).contains(".TH"));
    stdout(folder.path(), &["man", "-o", "pages"]);
    assert!(folder.path().join("pages/madloop-run.1").is_file());
    assert!(stdout(folder.path(), &["--version"]).starts_with("madloop 0."));
}
