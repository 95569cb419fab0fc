//! Threads and jobs change how long a run takes, not what comes out.

use super::common::{Lab, REPORT, assert_same};

#[test]
fn threads_and_jobs_change_nothing() {
    for preset in ["quickstart", "fig14-gmm", "fig17-kde"] {
        let lab = Lab::of_preset(preset, &["--scale", "smoke"]);
        lab.run("1", &["--jobs", "1", "--threads", "1"]);
        let expected = lab.files("1");
        for (jobs, threads) in [("1", "3"), ("2", "2"), ("3", "7")] {
            let name = format!("{jobs}-{threads}");
            lab.run(&name, &["--jobs", jobs, "--threads", threads]);
            assert_same(&expected, &lab.files(&name), &REPORT[..1], &format!("{preset} {name}"));
        }
    }
}
