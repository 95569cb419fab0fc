//! Small helpers of these tests.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use assert_cmd::Command;
use serde_json::Value;

/// The binary, in `folder`, without the user's data folders.
pub(crate) fn madloop(folder: &Path) -> Command {
    let mut command = Command::cargo_bin("madloop").unwrap();
    command
        .current_dir(folder)
        .env_remove("MADLOOP_DATA")
        .env("XDG_DATA_HOME", folder.join("no-data"))
        .env("MADLOOP_CACHE", "");
    command
}

/// Runs an experiment and returns its records.
pub(crate) fn run(folder: &Path, arguments: &[&str]) -> Vec<Value> {
    let output = madloop(folder).arg("run").args(arguments).arg("--json").assert().success();
    let text = String::from_utf8(output.get_output().stdout.clone()).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Values of a metric over generations 1, 2, ... by (loop, seed).
pub(crate) fn curves(records: &[Value], metric: &str) -> BTreeMap<(String, u64), Vec<(f64, f64)>> {
    let mut curves: BTreeMap<(String, u64), Vec<(f64, f64)>> = BTreeMap::new();
    for record in records.iter().filter(|record| record["generation"] != 0 && !record[metric].is_null()) {
        let key = (record["loop"].as_str().unwrap().to_owned(), record["seed"].as_u64().unwrap());
        let point = (record["generation"].as_f64().unwrap(), record[metric].as_f64().unwrap());
        curves.entry(key).or_default().push(point);
    }
    curves
}

/// Least-squares slope.
pub(crate) fn slope(points: &[(f64, f64)]) -> f64 {
    let n = points.len() as f64;
    let (x, y) = (points.iter().map(|p| p.0).sum::<f64>() / n, points.iter().map(|p| p.1).sum::<f64>() / n);
    points.iter().map(|p| (p.0 - x) * (p.1 - y)).sum::<f64>() / points.iter().map(|p| (p.0 - x).powi(2)).sum::<f64>()
}

/// Mean and standard error.
pub(crate) fn mean_and_error(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (n - 1.0);
    (mean, (variance / n).sqrt())
}

/// The folder of real data beside the checkout, if there is one; says what is skipped without it.
pub(crate) fn shared_data(what: &str) -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!("skipped: {what} (no ../shared/data beside the checkout)");
    None
}
