//! SIGTERM and SIGINT stop a run between generations.

use std::process::ExitStatus;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::common::{Lab, assert_same, digits, text};

/// Sends a signal once a few generations are on disk; returns how the run ended and what it said.
fn stop(lab: &Lab, name: &str, signal: Signal) -> (ExitStatus, String) {
    let run = lab.start(name, &[]);
    let begun = Instant::now();
    while lab.committed(name) < 5 {
        assert!(begun.elapsed() < Duration::from_secs(60), "the run does not get going");
        std::thread::sleep(Duration::from_millis(2));
    }
    kill_process(Pid::from_child(&run), signal).unwrap();
    let output = run.wait_with_output().unwrap();
    (output.status, text(&output.stderr))
}

#[test]
fn a_signal_stops_after_a_whole_generation() {
    let lab = Lab::of_toml(&digits(30, "", "commit_seconds = 0.02"), &["--jobs", "2", "--threads", "1"]);
    lab.run("whole", &[]);
    let (expected, all) = (lab.files("whole"), lab.committed("whole"));
    for (name, signal, code) in [("term", Signal::TERM, 75), ("int", Signal::INT, 130)] {
        let (status, said) = stop(&lab, name, signal);
        assert_eq!(status.code(), Some(code), "{status}: {said}");
        assert!(said.contains("stopped on request; run the same command again to go on"), "{said}");
        let there = lab.files(name);
        let records = there.get("records.jsonl").map(|bytes| text(bytes).lines().count());
        assert_eq!(records, Some(lab.committed(name)), "records.jsonl holds what is committed");
        assert!(there.keys().all(|name| !name.contains(".tmp")), "{:?}", there.keys());
        assert!(lab.committed(name) < all, "it was not stopped");
        lab.run(name, &[]);
        assert_same(&expected, &lab.files(name), &[], name);
    }
}
