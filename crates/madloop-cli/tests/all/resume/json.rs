//! --json of a run that was interrupted.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;

use super::common::{Lab, digits, text};

/// (cell, generation) of each line, and the lines without times, in the order of records.jsonl.
fn parse(stdout: &str) -> (Vec<(String, u64)>, Vec<String>) {
    let (mut names, mut lines) = (Vec::new(), Vec::new());
    for line in stdout.lines() {
        let Value::Object(mut record) = serde_json::from_str(line).unwrap() else { panic!("{line} is no object") };
        for time in ["train_seconds", "sample_seconds", "score_seconds"] {
            assert!(record.shift_remove(time).is_some_and(|time| time.is_number()), "{line} lacks {time}");
        }
        names.push((record["cell"].as_str().unwrap().to_owned(), record["generation"].as_u64().unwrap()));
        lines.push(Value::Object(record).to_string());
    }
    lines.sort_unstable();
    (names, lines)
}

#[test]
fn every_record_is_printed_once() {
    let lab = Lab::of_toml(&digits(12, "history = 2", "commit_seconds = 0.05"), &["--jobs", "2", "--threads", "1"]);
    let whole = lab.run("whole", &["--json"]);
    let (names, lines) = parse(&text(&whole.stdout));
    assert_eq!(names.len(), 4 * 13);
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
    let mut stored: Vec<_> = text(&lab.files("whole")["records.jsonl"]).lines().map(str::to_owned).collect();
    stored.sort_unstable();
    assert_eq!(lines, stored);

    let mut run = lab.start("killed", &["--json"]);
    while lab.committed("killed") < 15 {
        std::thread::sleep(Duration::from_millis(2));
    }
    run.kill().unwrap();
    assert!(!run.wait().unwrap().success());
    // Once when it goes on, and once when there is nothing left to do.
    for _ in 0..2 {
        let resumed = lab.run("killed", &["--json"]);
        let (names, resumed) = parse(&text(&resumed.stdout));
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
        assert_eq!(resumed, lines);
    }
}
