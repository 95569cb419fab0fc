//! Output that cannot be written, runs that are there already, readers that leave.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use super::Bench;

fn run<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&["run", "small.toml", "--out", "out"], more].concat()
}

/// The one cell of the run `out`.
fn cell(bench: &Bench) -> String {
    let first = fs::read_dir(bench.path("out/cells")).unwrap().next().unwrap().unwrap();
    format!("out/cells/{}", first.file_name().to_string_lossy())
}

#[test]
fn folders_that_cannot_take_a_run_are_refused() {
    let bench = Bench::with_experiment();
    let out = |path, parts| bench.refuses(&["run", "small.toml", "--out", path], parts);
    out("small.toml", &["small.toml", "choose another"]);
    out("small.toml/below", &["small.toml/below", "choose another"]);
    #[cfg(target_os = "linux")]
    out("/proc/nowhere", &["/proc", "another folder"]);
    bench.write("full/own.txt", "mine");
    let before = bench.files("full");
    out("full", &["full", "not empty", "holds no run", "--out"]);
    assert_eq!(bench.files("full"), before);
    bench.write("data.npy", super::data::pairs((0..8).map(|i| i as f32)));
    let stats = |path, parts| bench.refuses(&["stats", "data.npy", "-o", path], parts);
    stats("small.toml/a.npz", &["small.toml", "choose another"]);
    stats("full", &["full", "is a folder", "name of a file"]);
    bench.refuses(&["man", "--output", "small.toml/man"], &["small.toml/man", "choose another"]);
    assert_eq!(fs::read_dir(bench.path(".")).unwrap().count(), 3, "a temporary file is left");
}

#[test]
fn a_run_larger_than_the_disk_is_refused_before_it_begins() {
    let bench = Bench::with_experiment();
    let settings = ["data.dim=1000", "loop.n_synthetic=1000000", "store.keep=all", "generations=100000"];
    let mut args = vec!["small.toml"];
    settings.iter().for_each(|setting| args.extend(["--set", setting]));
    bench.refuses_run(&args, &["free", "needs about", " TB;", "store.keep = \"last\"", "--out"]);
}

#[test]
fn another_experiment_leaves_the_run_as_it_is() {
    let bench = Bench::with_experiment();
    bench.succeeds(&run(&[]));
    let before = bench.files("out");
    let refused = |more: &[&str], parts: &[&str]| {
        bench.refuses(&run(more), &[&["out holds another experiment", "--out"], parts].concat());
        assert!(bench.files("out") == before, "{more:?} changed the run");
    };
    refused(&["--set", "loop.lambda=0.5"], &["loop.lambda: 1.0 there, 0.5 here"]);
    refused(&["--seed", "3"], &["seed: 0 there, 3 here"]);
    refused(&["--set", "data.dim=3", "--set", "score.k=4"], &["data.dim: 2 there, 3 here", "score.k: 3 there, 4 here"]);
    refused(&["--set", "model.family=kde"], &["model.family: \"gaussian\" there, \"kde\" here"]);
    bench.refuses(&run(&["--set", "loop.lambda=5"]), &["lambda is 5"]);
    assert!(bench.files("out") == before);
    // The same again: nothing is computed or written anew.
    bench.succeeds(&run(&[]));
    let cells = |files: &std::collections::BTreeMap<std::path::PathBuf, Vec<u8>>| {
        let mut files = files.clone();
        files.retain(|path, _| path.components().any(|part| part.as_os_str() == "cells"));
        files
    };
    let after = bench.files("out");
    assert!(cells(&after) == cells(&before));
    // What may grow, grows; what was there stays.
    for more in [&["--generations", "4"][..], &["--set", "sweep.seeds=3"], &["--set", "sweep.loop.lambda=[1.0, 0.5]"]] {
        let before = cells(&bench.files("out"));
        bench.succeeds(&run(more));
        let after = cells(&bench.files("out"));
        let records = |(path, _): &(&std::path::PathBuf, &Vec<u8>)| path.ends_with("record.json");
        assert!(before.iter().filter(records).all(|(path, bytes)| after.get(path) == Some(bytes)), "{more:?}");
        assert!(
            after.keys().filter(|path| path.ends_with("record.json")).count() > before.iter().filter(records).count()
        );
    }
}

#[test]
fn a_report_needs_a_whole_run() {
    let bench = Bench::with_experiment();
    bench.write("full/own.txt", "mine");
    for path in ["nowhere", "full", "small.toml"] {
        bench.refuses(&["report", path], &[path, "not the folder of a run", "experiment.toml"]);
    }
    bench.refuses(&["report"], &["RUN"]);
    bench.succeeds(&run(&[]));
    bench.succeeds(&["report", "out"]);
    bench.refuses(&["report", "out", "-o", "full"], &["full", "folder"]);
    bench.refuses(&["report", "out", "-o", "small.toml/page.html"], &["small.toml/page.html"]);
    let record = format!("{}/gen-0001/record.json", cell(&bench));
    let whole = fs::read(bench.path(&record)).unwrap();
    for damaged in [&b"{\"a\""[..], b"", b"\xff", b"[]", &whole[..whole.len() / 2]] {
        bench.write(&record, damaged);
        let before = bench.files("out");
        bench.refuses(&["report", "out"], &[&record, "delete the folder of its cell"]);
        assert!(bench.files("out") == before, "a damaged record spread");
        bench.refuses(&run(&[]), &[&record]);
    }
    fs::remove_file(bench.path(&record)).unwrap();
    bench.refuses(&["report", "out"], &[&record, "delete the folder of its cell"]);
    // The remedy works.
    fs::remove_dir_all(bench.path(&cell(&bench))).unwrap();
    bench.succeeds(&run(&[]));
    assert_eq!(fs::read(bench.path(&record)).unwrap(), whole);
    bench.write("out/experiment.toml", "x = [");
    bench.refuses(&run(&[]), &["out/experiment.toml", "line 1", "--out"]);
}

#[test]
fn readers_that_leave_end_a_command_quietly() {
    let bench = Bench::with_experiment();
    let binary = assert_cmd::cargo::cargo_bin("madloop");
    for args in
        ["list", "list --json", "show quickstart", "completions bash", "man", "score --real a --gen b --metrics list"]
    {
        let script = format!("set -o pipefail; {} {args} | head -c 1 > /dev/null", binary.display());
        let output = Command::new("bash").args(["-c", &script]).output().unwrap();
        let code = output.status.code();
        assert!(code == Some(0), "{args}: {code:?} {}", String::from_utf8_lossy(&output.stderr));
    }
    // Nobody listens to the progress: the run is whole all the same.
    let mut child = Command::new(&binary)
        .args(run(&[]))
        .current_dir(bench.path("."))
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stderr.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(bench.path("out/report.html").is_file());
    #[cfg(target_os = "linux")]
    for args in [&["list"][..], &["completions", "bash"], &["man"]] {
        let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let output = Command::new(&binary).args(args).stdout(full).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{args:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("cannot write to stdout"), "{args:?}");
    }
}

/// A small file system of its own, where mounting is permitted.
struct Tmpfs<'a>(&'a Path);

impl<'a> Tmpfs<'a> {
    fn mount(path: &'a Path, size: &str) -> Option<Self> {
        fs::create_dir_all(path).unwrap();
        let status =
            Command::new("mount").args(["-t", "tmpfs", "-o", &format!("size={size}"), "none"]).arg(path).output();
        status.is_ok_and(|output| output.status.success()).then_some(Self(path))
    }
}

impl Drop for Tmpfs<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0).status();
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_loses_nothing() {
    let bench = Bench::with_experiment();
    let place = bench.path("small-disk");
    let Some(_disk) = Tmpfs::mount(&place, "1m") else {
        return println!("skipped: a file system cannot be mounted here");
    };
    // Too small from the start.
    let filler = bench.write("small-disk/filler", vec![0_u8; 1020 << 10]);
    bench.refuses(&["run", "small.toml", "--out", "small-disk/out"], &["free", "needs about", "another folder"]);
    assert!(!bench.path("small-disk/out").exists());
    // Enough for the samples, not for all that is drawn from them.
    fs::write(&filler, vec![0_u8; 900 << 10]).unwrap();
    let args = ["run", "small.toml", "--generations", "12", "--set", "store.commit_seconds=0", "--out"];
    bench.refuses(&[&args[..], &["small-disk/out"]].concat(), &["small-disk/out", "No space left", "free space"]);
    fs::remove_file(&filler).unwrap();
    bench.succeeds(&[&args[..], &["small-disk/out"]].concat());
    bench.succeeds(&[&args[..], &["other"]].concat());
    let records = |run: &str| fs::read(bench.path(run).join("records.jsonl")).unwrap();
    assert!(records("small-disk/out") == records("other"));
}

#[test]
fn data_that_changed_since_are_not_mixed_into_a_run() {
    let bench = Bench::new();
    let table = |shift: u32| (0..60_u32).map(|i| format!("{},{}\n", shift + i * i % 17, i % 7)).collect::<String>();
    bench.write("sub/data.csv", table(0));
    // The path is relative to the file.
    let experiment =
        super::GAUSSIAN.replace("source = \"gaussian\"\ndim = 2", "source = \"path\"\npath = \"data.csv\"");
    bench.write("sub/own.toml", experiment.replace("= 30", "= 10"));
    bench.succeeds(&["run", "sub/own.toml", "--out", "run"]);
    let before = bench.files("run");
    bench.write("sub/data.csv", table(1));
    bench.refuses(
        &["run", "sub/own.toml", "--out", "run", "--generations", "4"],
        &["data.csv", "sha256", "there", "--out"],
    );
    assert_eq!(bench.files("run"), before);
    bench.write("sub/data.csv", table(0));
    bench.succeeds(&["run", "sub/own.toml", "--out", "run", "--generations", "4"]);
}

#[test]
fn a_schedule_that_scores_nothing_is_refused() {
    let bench = Bench::with_experiment();
    for at in ["[]", "[3, 99]"] {
        bench.refuses_run(
            &["small.toml", "--set", &format!("score.at={at}")],
            &["score.at", "no generation from 1 to 2"],
        );
    }
}
