//! SIGKILL at any moment, and on again.

use std::os::unix::process::ExitStatusExt;
use std::time::{Duration, Instant};

use super::common::{Chance, Lab, assert_same, digits};

const WORKERS: [&str; 4] = ["--jobs", "2", "--threads", "1"];

/// Kills a run `kills` times, at moments that are spread over all of it, resumes it after each, and compares its files with
/// those of an undisturbed run. On a busy machine all kills may come too late: then it is done again, with other moments.
fn torture(toml: &str, kills: usize, seed: u64) {
    let midway = (0..8).map(|attempt| attempt_torture(toml, kills, 1000 * attempt + seed));
    let too_late = midway.take_while(|&midway| midway * 6 < kills).count();
    assert!(too_late < 8, "in 8 attempts too few of {kills} kills came in the middle of the work");
}

/// The same once; returns how many kills came in the middle of the work.
fn attempt_torture(toml: &str, kills: usize, seed: u64) -> usize {
    let lab = Lab::of_toml(toml, &WORKERS);
    let clock = Instant::now();
    lab.run("whole", &[]);
    let whole = clock.elapsed().as_secs_f64();
    let (expected, all) = (lab.files("whole"), lab.committed("whole"));
    let clock = Instant::now();
    lab.run("whole", &[]);
    let idle = clock.elapsed().as_secs_f64();
    assert_same(&expected, &lab.files("whole"), &[], "after a run that had nothing to do");

    let mut chance = Chance(seed);
    let (mut killed, mut midway, mut finished) = (0, 0, 0);
    while killed < kills {
        let mut run = lab.start("killed", &[]);
        // A quarter while the run starts; the others at some moment after so much of the work is on disk, the last few while
        // the report is written.
        let wait = if killed % 4 == 0 {
            idle * chance.next()
        } else {
            let goal = (all * (killed + 1) * 10 / (kills * 9)).min(all);
            while lab.committed("killed") < goal && run.try_wait().unwrap().is_none() {
                std::thread::sleep(Duration::from_millis(1));
            }
            if goal < all { (whole - idle).max(0.0) / kills as f64 * chance.next() } else { idle * chance.next() }
        };
        std::thread::sleep(Duration::from_secs_f64(wait));
        run.kill().unwrap();
        match run.wait().unwrap() {
            status if status.signal() == Some(9) => killed += 1,
            status => {
                assert!(status.success(), "{status}: {}", std::io::read_to_string(run.stderr.unwrap()).unwrap());
                finished += 1;
                assert!(finished < 100, "the run is done before it can be killed");
            }
        }
        let there = lab.committed("killed");
        midway += usize::from(there > 0 && there < all);
    }
    lab.run("killed", &[]);
    assert_same(&expected, &lab.files("killed"), &[], &format!("after {kills} kills"));
    midway
}

#[test]
fn twenty_four_kills_change_nothing() {
    torture(&digits(40, "", "commit_seconds = 0.02"), 24, 1);
}

#[test]
fn kills_spare_what_history_needs() {
    torture(&digits(20, "history = 3", "commit_seconds = 0.004"), 6, 2);
    torture(&digits(16, "history = \"all\"", "commit_seconds = 0.004"), 6, 3);
}

#[test]
fn kills_spare_what_accumulates() {
    torture(&digits(16, "pool = \"accumulate\"", "commit_seconds = 0.004"), 8, 4);
}

#[test]
fn kills_spare_what_is_kept() {
    torture(&digits(16, "", "keep = \"all\"\ncommit_seconds = 0.004"), 6, 5);
    torture(&digits(16, "history = 2", "keep = 2\ncommit_seconds = 0.004"), 6, 6);
}
