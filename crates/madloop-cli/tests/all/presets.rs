//! Every preset at its smallest, and what a run leaves behind.

use crate::common::*;

/// Those that train on faces.
const FACES: [&str; 3] = ["fig4-stylegan", "fig6-stylegan", "fig8"];

/// Runs it; returns the folder that it ran in.
fn smoke(preset: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut arguments = vec![preset, "--scale", "smoke"];
    let data = shared_data("mnist");
    if preset == "mnist-gmm" {
        let Some(data) = &data else { return folder };
        arguments.extend(["--data-dir", data.to_str().unwrap()]);
    }
    if FACES.contains(&preset) {
        let Some(data) = &data else { return folder };
        // That they learn is tested with fig1.
        arguments.extend(["--data-dir", data.to_str().unwrap(), "--set", "model.steps=20"]);
    }
    let records = run(folder.path(), &arguments);
    let run = folder.path().join(format!("runs/{preset}-smoke"));
    let text = std::fs::read_to_string(run.join("records.jsonl")).unwrap();
    assert_eq!(text.lines().count(), records.len());
    let generations = records.iter().filter_map(|record| record["generation"].as_u64()).max().unwrap();
    let resolved: toml::Table = std::fs::read_to_string(run.join("experiment.toml")).unwrap().parse().unwrap();
    assert_eq!(resolved["generations"].as_integer(), Some(generations as i64));
    assert_eq!(resolved["scale"].as_str(), Some("smoke"));
    assert!(!resolved.contains_key("cost") && resolved["loop"].get("kind").is_some());
    let asked = resolved["score"]["metrics"].as_array().unwrap();
    for record in &records {
        if record["outcome"] != "ok" {
            assert!(record["outcome_reason"].as_str().unwrap().len() > 10, "{record}");
        }
        for metric in asked.iter().filter_map(toml::Value::as_str) {
            let is_scored = record["n_eval"] != 0 || metric.starts_with("model_");
            if is_scored && record[metric].is_null() {
                assert!(record["undefined"][metric].is_string(), "{metric} is null without a reason: {record}");
            }
        }
    }
    let page = std::fs::read_to_string(run.join("report.html")).unwrap();
    assert!(page.len() < 2_000_000 && page.contains("</html>"));
    assert!(run.join("figures").read_dir().unwrap().count() >= 2 * asked.len() - 2);
    let provenance: serde_json::Value =
        serde_json::from_slice(&std::fs::read(run.join("provenance.json")).unwrap()).unwrap();
    assert!(provenance["data"][0]["name"].is_string() && provenance["cpu_features"].is_array());
    // The resolved file is an experiment too, with the same cells.
    let again = madloop(folder.path()).args(["show", run.join("experiment.toml").to_str().unwrap()]).assert().success();
    let again: toml::Table = String::from_utf8(again.get_output().stdout.clone()).unwrap().parse().unwrap();
    assert_eq!(again, resolved);
    folder
}

/// A preset of calculated limits at its smallest: (0, 1) records a limit, its charts, and nothing over generations.
fn smoke_limits(preset: &str, limits: usize, charts: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let records = run(folder.path(), &[preset, "--scale", "smoke"]);
    assert_eq!(records.len(), 2 * limits);
    for record in &records {
        assert_eq!(record["quantity"], "limit");
        assert!(record["n_e_over_n_r"].as_f64().unwrap() > 0.0 && record["model_w2_sq"].as_f64().unwrap() > 0.0);
    }
    let precise = records.iter().filter(|record| record["generation"] == 1).all(|record| {
        let ratio = record["n_e_over_n_r"].as_f64().unwrap();
        let interval = &record["intervals"]["n_e_over_n_r"];
        interval.is_null() || interval["high"].as_f64().unwrap() - ratio < 0.02 * ratio * 1.96
    });
    assert!(precise, "a standard error above 2 %");
    let run = folder.path().join(format!("runs/{preset}-smoke"));
    let mut figures: Vec<_> = run.join("figures").read_dir().unwrap().map(|file| file.unwrap().file_name()).collect();
    figures.sort();
    let mut expected: Vec<String> =
        charts.iter().flat_map(|name| [format!("{name}.png"), format!("{name}.svg")]).collect();
    expected.sort();
    assert_eq!(figures, expected.iter().map(std::ffi::OsString::from).collect::<Vec<_>>());
    let page = std::fs::read_to_string(run.join("report.html")).unwrap();
    assert_eq!(page.matches("class=\"sweep\"").count(), charts.len());
    assert!(!page.contains("Over the generations") && page.contains("In the limit"));
    // The same command goes on from what is there, to the same records.
    let before = std::fs::read(run.join("records.jsonl")).unwrap();
    let output = madloop(folder.path()).args(["run", preset, "--scale", "smoke"]).output().unwrap();
    assert!(output.status.success() && String::from_utf8_lossy(&output.stderr).contains("all of them are there"));
    assert_eq!(std::fs::read(run.join("records.jsonl")).unwrap(), before);
}

#[test]
fn fig11() {
    smoke_limits("fig11", 18, &["n_e-over-n_r"]);
}

#[test]
fn fig12() {
    smoke_limits("fig12", 18, &["n_e-over-n_r"]);
}

#[test]
fn fig30() {
    smoke_limits("fig30", 3, &["n_e-over-n_r"]);
}

#[test]
fn fig31() {
    smoke_limits("fig31", 18, &["real-share", "sampling-bias"]);
}

#[test]
fn quickstart_ddpm() {
    smoke("quickstart-ddpm");
}

#[test]
fn fig5() {
    let folder = smoke("fig5");
    let run = folder.path().join("runs/fig5-smoke");
    let figures = run.join("figures");
    assert!(figures.join("maps.svg").is_file() && figures.join("maps.png").is_file());
    assert!(std::fs::read_to_string(run.join("report.html")).unwrap().contains("t-SNE map"));
    let cell = run.join("cells").read_dir().unwrap().next().unwrap().unwrap().path();
    let map = std::fs::read(cell.join("gen-0003/map.json")).unwrap();
    let map: serde_json::Value = serde_json::from_slice(&map).unwrap();
    assert!(map["real"]["x"].as_array().unwrap().len() == 300 && map["generated"]["labels"].is_array());
}

#[test]
fn fig13() {
    smoke("fig13");
}

#[test]
fn faces() {
    FACES.iter().for_each(|preset| drop(smoke(preset)));
}

#[test]
fn quickstart() {
    smoke("quickstart");
}

#[test]
fn fig10_gaussian() {
    smoke("fig10-gaussian");
}

#[test]
fn fig14_gmm() {
    smoke("fig14-gmm");
}

#[test]
fn fig17() {
    smoke("fig17");
}

#[test]
fn mnist_flow() {
    smoke("mnist-flow");
}

#[test]
fn fig17_kde() {
    smoke("fig17-kde");
}

#[test]
fn mnist_gmm() {
    smoke("mnist-gmm");
}

#[test]
fn the_paper_scale_of_every_preset_resolves() {
    let folder = tempfile::tempdir().unwrap();
    let list = madloop(folder.path()).args(["list", "--json"]).assert().success();
    let list: serde_json::Value = serde_json::from_slice(&list.get_output().stdout).unwrap();
    for preset in list.as_array().unwrap() {
        for scale in ["smoke", "laptop", "paper"] {
            assert!(preset["cost"][scale].is_string(), "{preset}");
            madloop(folder.path())
                .args(["show", preset["name"].as_str().unwrap(), "--scale", scale])
                .assert()
                .success();
        }
        assert!(preset["shows"].as_str().unwrap().len() > 100, "{preset}");
    }
}
