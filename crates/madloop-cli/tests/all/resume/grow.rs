//! A run that grows: more generations, seeds and swept values.

use super::common::{Lab, REPORT, assert_same, digits, text};

const PLANS: [&str; 4] = ["", "history = 3", "history = \"all\"", "pool = \"accumulate\""];

#[test]
fn generations_may_grow() {
    for plan in PLANS {
        for store in ["keep = 2", "commit_seconds = 0"] {
            let lab = Lab::of_toml(&digits(6, plan, store), &["--jobs", "2", "--threads", "1"]);
            lab.run("whole", &[]);
            lab.run("grown", &["--generations", "3"]);
            lab.run("grown", &[]);
            assert_same(&lab.files("whole"), &lab.files("grown"), &[], &format!("{plan} {store}"));
        }
    }
}

#[test]
fn what_is_scored_does_not_depend_on_where_a_run_stopped() {
    let lab = Lab::of_toml(&digits(9, "", ""), &["--set", "score.every=4", "--jobs", "2", "--threads", "1"]);
    lab.run("whole", &[]);
    lab.run("grown", &["--generations", "6"]);
    lab.run("grown", &[]);
    assert_same(&lab.files("whole"), &lab.files("grown"), &[], "every = 4");
}

#[test]
fn a_shorter_command_leaves_the_longer_run_as_it_is() {
    let lab = Lab::of_toml(&digits(5, "", ""), &["--jobs", "2", "--threads", "1"]);
    lab.run("whole", &["--set", "sweep.seeds=2"]);
    let before = lab.files("whole");
    lab.run("whole", &["--set", "sweep.seeds=1", "--generations", "3"]);
    assert_same(&before, &lab.files("whole"), &[], "fewer generations and seeds");
}

#[test]
fn seeds_and_sweeps_may_grow() {
    let lab = Lab::of_toml(&digits(3, "", ""), &["--jobs", "2", "--threads", "1"]);
    lab.run("whole", &["--set", "sweep.seeds=3"]);
    lab.run("seeds", &["--set", "sweep.seeds=1"]);
    lab.run("seeds", &["--set", "sweep.seeds=3"]);
    assert_same(&lab.files("whole"), &lab.files("seeds"), &[], "seeds 1, then 3");
    let short = Lab::of_toml(
        &digits(3, "", "").replace("\"loop.lambda\" = [1.0, 0.9]", "\"loop.lambda\" = [0.9]"),
        &["--jobs", "2", "--threads", "1"],
    );
    short.run("sweep", &["--set", "sweep.seeds=3"]);
    std::fs::rename(short.out("sweep"), lab.out("sweep")).unwrap();
    lab.run("sweep", &["--set", "sweep.seeds=3"]);
    assert_same(&lab.files("whole"), &lab.files("sweep"), &[], "one lambda, then two");
}

#[test]
fn generations_that_begin_at_the_one_before_may_grow() {
    let toml = r#"
name = "previous"
generations = 4
[data]
source = "digits8"
[model]
family = "wgan-gp"
network = "mlp"
width = 16
depth = 2
latent = 4
steps = 6
init = "previous"
[loop]
kind = "fully-synthetic"
n_initial = 120
[score]
n = 100
metrics = ["recall"]
[sweep]
"loop.history" = [1, "all"]
"#;
    let lab = Lab::of_toml(toml, &["--jobs", "2", "--threads", "1"]);
    lab.run("whole", &[]);
    lab.run("grown", &["--generations", "2"]);
    lab.run("grown", &[]);
    let files = lab.files("whole");
    assert_same(&files, &lab.files("grown"), &[], "init = previous");
    let records = text(&files["records.jsonl"]);
    assert!(records.lines().all(|line| line.contains(r#""init":"previous""#)));
    lab.run("scratch", &["--set", "model.init=\"scratch\""]);
    let other = text(&lab.files("scratch")["records.jsonl"]);
    assert!(other.lines().all(|line| !line.contains("\"init\"")));
}

#[test]
fn groups_change_nothing() {
    for plan in PLANS {
        let lab = |seconds| Lab::of_toml(&digits(5, plan, seconds), &["--jobs", "2", "--threads", "1"]);
        let (single, grouped) = (lab("commit_seconds = 0"), lab("commit_seconds = 1000"));
        single.run("run", &[]);
        grouped.run("run", &[]);
        assert_same(&single.files("run"), &grouped.files("run"), &REPORT, plan);
    }
}
