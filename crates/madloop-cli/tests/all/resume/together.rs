//! Two processes on one run.

use std::time::Duration;

use super::common::{Chance, Lab, assert_same, digits, text};

const WORKERS: [&str; 4] = ["--jobs", "2", "--threads", "1"];

#[test]
fn two_processes_share_a_run() {
    let lab = Lab::of_toml(&digits(6, "", "commit_seconds = 0"), &WORKERS);
    lab.run("alone", &[]);
    let expected = lab.files("alone");
    let mut chance = Chance(7);
    for round in 0..6 {
        let name = format!("round{round}");
        let first = lab.start(&name, &[]);
        // Together from the start, or the second while the first is at work.
        std::thread::sleep(Duration::from_secs_f64(if round < 3 { 0.0 } else { 0.3 * chance.next() }));
        let second = lab.start(&name, &[]);
        for process in [first, second] {
            let output = process.wait_with_output().unwrap();
            assert!(output.status.success(), "{}: {}", output.status, text(&output.stderr));
        }
        assert_same(&expected, &lab.files(&name), &[], &name);
    }
}

#[test]
fn the_other_process_takes_over() {
    let lab = Lab::of_toml(&digits(10, "history = 2", "commit_seconds = 0.02"), &WORKERS);
    lab.run("alone", &[]);
    let expected = lab.files("alone");
    let mut chance = Chance(8);
    let mut killed = 0;
    for round in 0..5 {
        let name = format!("round{round}");
        let mut first = lab.start(&name, &[]);
        while !lab.out(&name).join("cells").exists() {
            std::thread::sleep(Duration::from_millis(2));
        }
        let second = lab.start(&name, &[]);
        std::thread::sleep(Duration::from_secs_f64(0.05 + 0.2 * chance.next()));
        first.kill().unwrap();
        killed += usize::from(!first.wait().unwrap().success());
        let output = second.wait_with_output().unwrap();
        assert!(output.status.success(), "{}: {}", output.status, text(&output.stderr));
        assert_same(&expected, &lab.files(&name), &[], &name);
    }
    assert!(killed >= 3, "only {killed} of 5 were killed at work");
}
