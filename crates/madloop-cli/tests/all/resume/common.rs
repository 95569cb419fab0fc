//! Runs of the binary and their files.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use tempfile::TempDir;

/// An experiment and the folder that its runs go to.
pub(crate) struct Lab {
    folder: TempDir,
    experiment: String,
    options: Vec<String>,
}

/// All files of a run that do not depend on time or machine, with their bytes.
pub(crate) type Files = BTreeMap<String, Vec<u8>>;

impl Lab {
    /// Runs of an experiment given as TOML.
    pub(crate) fn of_toml(toml: &str, options: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("experiment.toml");
        fs::write(&path, toml).unwrap();
        Self { experiment: path.display().to_string(), ..Self::new(folder, options) }
    }

    /// Runs of a preset.
    pub(crate) fn of_preset(name: &str, options: &[&str]) -> Self {
        Self { experiment: name.into(), ..Self::new(tempfile::tempdir().unwrap(), options) }
    }

    fn new(folder: TempDir, options: &[&str]) -> Self {
        Self { folder, experiment: String::new(), options: options.iter().map(|&option| option.to_owned()).collect() }
    }

    pub(crate) fn out(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, name: &str, more: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_madloop"));
        command.args(["run", &self.experiment]).args(&self.options).args(more).arg("--out").arg(self.out(name));
        command.stdin(Stdio::null());
        command
    }

    /// Runs into folder `name` to the end and returns what was printed.
    #[track_caller]
    pub(crate) fn run(&self, name: &str, more: &[&str]) -> Output {
        let output = self.command(name, more).output().unwrap();
        assert!(output.status.success(), "{}: {}", output.status, text(&output.stderr));
        output
    }

    /// Begins to run into folder `name`.
    pub(crate) fn start(&self, name: &str, more: &[&str]) -> Child {
        self.command(name, more).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// The files of the run in folder `name`.
    pub(crate) fn files(&self, name: &str) -> Files {
        let mut found = Files::new();
        walk(&self.out(name), &self.out(name), &mut found);
        assert!(found.keys().any(|name| name.ends_with("record.json")), "{:?}", found.keys());
        found
    }

    /// Generations on disk in folder `name`.
    pub(crate) fn committed(&self, name: &str) -> usize {
        let entries = |folder: &Path| fs::read_dir(folder).into_iter().flatten().flatten().collect::<Vec<_>>();
        let cells = entries(&self.out(name).join("cells"));
        let generations = cells.iter().flat_map(|cell| entries(&cell.path()));
        generations.filter(|entry| entry.file_name().to_string_lossy().starts_with("gen-")).count()
    }
}

fn walk(root: &Path, at: &Path, found: &mut Files) {
    const OF_THIS_RUN: [&str; 3] = ["timing.json", "lock", "provenance.json"];
    let Ok(entries) = fs::read_dir(at) else { return };
    for entry in entries {
        let path = entry.unwrap().path();
        let name = path.strip_prefix(root).unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            walk(root, &path, found);
        } else if !OF_THIS_RUN.iter().any(|own| path.ends_with(own)) {
            // A folder may be renamed while it is read.
            found.extend(fs::read(&path).ok().map(|bytes| (name, bytes)));
        }
    }
}

/// Files whose bytes tell how a run was called, apart from what came out.
pub(crate) const REPORT: [&str; 2] = ["report.html", "experiment.toml"];

/// That two runs left the same files with the same bytes, but for `aside`.
#[track_caller]
pub(crate) fn assert_same(expected: &Files, found: &Files, aside: &[&str], what: &str) {
    let names = |files: &Files| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(found), names(expected), "{what}");
    for (name, bytes) in expected.iter().filter(|(name, _)| !aside.contains(&name.as_str())) {
        assert!(found[name] == *bytes, "{what}: {name} differs");
    }
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Numbers in \[0, 1) that are the same in every test run.
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    pub(crate) fn next(&mut self) -> f64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// Digits with labels; `plan` and `store` are lines of `[loop]` and `[store]`.
pub(crate) fn digits(generations: u32, plan: &str, store: &str) -> String {
    format!(
        r#"
name = "digits"
generations = {generations}
[data]
source = "digits8"
[model]
family = "gaussian"
per_class = true
[loop]
kind = "synthetic-augmentation"
n_initial = 120
n_real = 60
n_synthetic = 120
lambda = 0.9
{plan}
[score]
n = 200
metrics = ["recall", "frechet_distance", "trace_cov"]
[store]
{store}
[sweep]
"loop.lambda" = [1.0, 0.9]
seeds = 2
"#
    )
}
