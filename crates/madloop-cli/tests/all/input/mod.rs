//! Bad input through the real binary: the exit code, what stderr says, and what is left on the disk.

mod choices;
mod config;
mod data;
mod output;
mod score;
mod sets;
mod stats;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use assert_cmd::Command;
use tempfile::TempDir;

/// A folder of its own in which the binary runs.
pub(crate) struct Bench {
    dir: TempDir,
}

/// What a command left behind.
#[derive(Debug)]
pub(crate) struct Outcome {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

/// A small experiment on a source that never runs out.
pub(crate) const GAUSSIAN: &str = r#"
name = "small"
generations = 2
[data]
source = "gaussian"
dim = 2
[model]
family = "gaussian"
[loop]
kind = "fully-synthetic"
n_initial = 30
n_synthetic = 30
[score]
n = 30
k = 3
metrics = ["frechet_distance"]
"#;

impl Bench {
    pub(crate) fn new() -> Self {
        Self { dir: TempDir::new().unwrap() }
    }

    /// With `small.toml` in it.
    pub(crate) fn with_experiment() -> Self {
        let bench = Self::new();
        bench.write("small.toml", GAUSSIAN);
        bench
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        path
    }

    pub(crate) fn command(&self) -> Command {
        let mut command = Command::cargo_bin("madloop").unwrap();
        let seconds = std::time::Duration::from_secs(60);
        command.current_dir(self.dir.path()).timeout(seconds).env_remove("MADLOOP_DATA").env_remove("XDG_DATA_HOME");
        command.env("HOME", self.path("home"));
        command
    }

    /// Runs the binary; it must never panic.
    pub(crate) fn run(&self, args: &[&str]) -> Outcome {
        let output = self.command().args(args).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let outcome =
            Outcome { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) };
        for sign in ["panicked", "defect of madloop", "stack backtrace", "RUST_BACKTRACE", "allocation of"] {
            assert!(!outcome.stderr.contains(sign), "{args:?}: {outcome:?}");
        }
        outcome
    }

    /// Runs the binary, which must refuse its input and say all of `parts`, in few words.
    pub(crate) fn refuses(&self, args: &[&str], parts: &[&str]) {
        let outcome = self.run(args);
        assert_eq!(outcome.code, Some(1), "{args:?}: {outcome:?}");
        assert_eq!(outcome.stdout, "", "{args:?}");
        assert!(outcome.stderr.len() < 2000, "{args:?}: {outcome:?}");
        for part in parts {
            assert!(outcome.stderr.contains(part), "{args:?}: no {part:?} in\n{}", outcome.stderr);
        }
    }

    /// [`Bench::refuses`] for `madloop run`, which must leave no run behind.
    pub(crate) fn refuses_run(&self, args: &[&str], parts: &[&str]) {
        self.refuses(&[&["run"], args, &["--out", "out"]].concat(), parts);
        assert!(!self.path("out").exists(), "{args:?} left a run");
    }

    /// Runs the binary, which must succeed.
    pub(crate) fn succeeds(&self, args: &[&str]) -> Outcome {
        let outcome = self.run(args);
        assert_eq!(outcome.code, Some(0), "{args:?}: {outcome:?}");
        outcome
    }

    /// All files below a folder with their bytes.
    pub(crate) fn files(&self, name: &str) -> BTreeMap<PathBuf, Vec<u8>> {
        fn walk(folder: &Path, found: &mut BTreeMap<PathBuf, Vec<u8>>) {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    walk(&path, found);
                } else {
                    found.insert(path.clone(), fs::read(&path).unwrap());
                }
            }
        }
        let mut found = BTreeMap::new();
        walk(&self.path(name), &mut found);
        found
    }
}
