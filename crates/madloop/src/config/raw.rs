//! From a TOML file or preset, a scale and overrides to a resolved experiment and its cells.

use std::path::Path;

use toml::{Table, Value};

use super::cells::SWEPT;
use super::check::{check_names, check_tag, keys_of};
use super::names::did_you_mean;
use super::presets::presets;
use super::schema::json_schema;
use super::{Experiment, Swept};
use crate::device::Device;
use crate::{Error, Result};

/// Bytes of an experiment file.
const MOST_BYTES: u64 = 1 << 20;
/// Generations of one cell: each has its folder.
const MOST_GENERATIONS: u32 = 1_000_000;
/// Latents of a figure.
const MOST_LATENTS: u64 = 32;

/// How large an experiment is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// Seconds: does it run?
    Smoke,
    /// Minutes to hours on a laptop.
    Laptop,
    /// The paper's own size.
    Paper,
}

impl Scale {
    /// All scales, smallest first.
    pub const ALL: [Self; 3] = [Self::Smoke, Self::Laptop, Self::Paper];

    /// `smoke`, `laptop` or `paper`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Smoke => "smoke",
            Self::Laptop => "laptop",
            Self::Paper => "paper",
        }
    }
}

/// What the command line changes.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// The scale; laptop by default.
    pub scale: Option<Scale>,
    /// `KEY=VALUE` each, in order.
    pub set: Vec<String>,
    /// First seed.
    pub seed: Option<u64>,
    /// Last generation.
    pub generations: Option<u32>,
}

/// Reads EXPERIMENT (a preset's name or a TOML file), applies the scale and the overrides, and expands the sweep.
pub fn load(experiment: &str, overrides: &Overrides) -> Result<Swept> {
    let (place, text) = read(experiment)?;
    let mut table: Table =
        text.parse().map_err(|error: toml::de::Error| Error::config(&place, error.to_string().trim_end()))?;
    let mut schema = json_schema();
    schema["properties"]["scale"] = serde_json::json!({ "type": "string" });
    let check = |table: &Table, place: &str| {
        check_tag(table, &schema, "model", "family", place)?;
        check_names(table, &schema, place)
    };
    check_scales(&table, &place, check)?;
    let folder = Path::new(experiment).parent().filter(|_| Path::new(experiment).is_file());
    make_absolute(&mut table, folder.unwrap_or(Path::new("")))?;
    let scale = apply_scale(&mut table, overrides.scale, &place)?;
    let mut sweep = take_sweep(&mut table, &place)?;
    for setting in &overrides.set {
        apply_set(&mut table, &mut sweep, setting, check)?;
    }
    make_absolute(&mut table, Path::new(""))?;
    if let Some(seed) = overrides.seed {
        table.insert("seed".into(), Value::Integer(seed as i64));
    }
    if let Some(generations) = overrides.generations {
        table.insert("generations".into(), Value::Integer(i64::from(generations)));
    }
    // A limit has no generations: its one record stands for all that come.
    if table.contains_key("theory") && !table.contains_key("generations") {
        table.insert("generations".into(), Value::Integer(1));
    }
    table.insert("scale".into(), Value::String(scale.name().into()));

    check(&table, &place)?;
    let base = deserialize(&table, &place)?;
    let known: Vec<String> = SWEPT.iter().flat_map(|section| keys_of(section, &schema)).collect();
    super::chart::check(&base.charts, &known)?;
    super::map::check(&base)?;
    let cells = sweep.cells(&table, base.seed, |table, cell| {
        let place = format!("{place}, {cell}");
        check(table, &place)?;
        deserialize(table, &place)
    })?;
    Ok(Swept { base, sweep, cells })
}

#[expect(clippy::disallowed_methods, reason = "the one file that configuration reads")]
fn read(experiment: &str) -> Result<(String, String)> {
    if let Some(preset) = presets().iter().find(|preset| preset.name == experiment) {
        return Ok((format!("preset {experiment}"), preset.text.to_owned()));
    }
    let path = Path::new(experiment);
    if experiment.ends_with(".toml") || path.is_file() {
        let remedy = "give a preset's name (`madloop list` shows them) or a TOML file";
        let bytes = std::fs::metadata(path).map_err(Error::io("read", path, remedy))?.len();
        if bytes > MOST_BYTES {
            let why = format!("it has {bytes} bytes, and no experiment file is larger than {MOST_BYTES}");
            return Err(Error::bad_file(path, why, remedy));
        }
        let text = std::fs::read_to_string(path).map_err(Error::io("read", path, remedy))?;
        return Ok((experiment.to_owned(), text));
    }
    let hint = did_you_mean(experiment, presets().iter().map(|preset| preset.name));
    let why = format!("there is no preset and no TOML file of this name{hint}; `madloop list` shows the presets");
    Err(Error::config(format!("experiment {experiment}"), why))
}

/// Paths in a file are relative to the file, those of `--set` to the working folder; the resolved ones are absolute, so that a
/// run finds its data from anywhere. A plain name that is not there stays: it is looked for in the data folders.
fn make_absolute(table: &mut Table, base: &Path) -> Result<()> {
    let Some(Value::Table(data)) = table.get_mut("data") else { return Ok(()) };
    for key in ["path", "reference"] {
        if let Some(Value::String(path)) = data.get_mut(key).filter(|path| path.as_str() != Some("")) {
            let joined = base.join(&*path);
            if Path::new(&*path).components().count() == 1 && !joined.exists() {
                continue;
            }
            let absolute = std::path::absolute(&joined).map_err(Error::io("find", joined, "give an absolute path"))?;
            *path = absolute.to_string_lossy().into_owned();
        }
    }
    Ok(())
}

/// Checks the names in all `[scale.*]` tables, those of the scales that are not run included.
fn check_scales(table: &Table, place: &str, check: impl Fn(&Table, &str) -> Result<()>) -> Result<()> {
    let Some(Value::Table(scales)) = table.get("scale") else { return Ok(()) };
    for (name, overrides) in scales {
        let Value::Table(overrides) = overrides else { continue };
        let place = format!("{place}, [scale.{name}]");
        let mut table = table.clone();
        table.remove("scale");
        for (key, value) in flatten(overrides) {
            insert(&mut table, &key, value).map_err(|why| Error::config(&place, why))?;
        }
        check(&table, &place)?;
    }
    Ok(())
}

/// Takes the `[scale.*]` tables out and merges the chosen one.
fn apply_scale(table: &mut Table, asked: Option<Scale>, place: &str) -> Result<Scale> {
    let scale = match table.remove("scale") {
        // A resolved file names the scale that it was resolved at.
        Some(Value::String(name)) => {
            let resolved = Scale::ALL.into_iter().find(|scale| scale.name() == name);
            return match (resolved, asked) {
                (None, _) => {
                    Err(Error::config(place, format!("scale is \"{name}\"; it must be smoke, laptop or paper")))
                }
                (Some(is), Some(asked)) if is != asked => Err(Error::config(
                    place,
                    format!("it was resolved at scale {name} and cannot be run at {}; use the original", asked.name()),
                )),
                (Some(is), _) => Ok(is),
            };
        }
        Some(Value::Table(scales)) => scales,
        None => Table::new(),
        Some(other) => {
            return Err(Error::config(place, format!("scale is {other}; it must be tables such as [scale.smoke]")));
        }
    };
    for (name, overrides) in &scale {
        if Scale::ALL.iter().all(|known| known.name() != name) {
            let hint = did_you_mean(name, Scale::ALL.map(Scale::name));
            let why = format!("[scale.{name}] is none of [scale.smoke], [scale.laptop], [scale.paper]{hint}");
            return Err(Error::config(place, why));
        }
        if !overrides.is_table() {
            let why = format!("scale.{name} is {overrides}; it must be a table of keys, such as [scale.{name}]");
            return Err(Error::config(place, why));
        }
    }
    let chosen = asked.unwrap_or(Scale::Laptop);
    match scale.get(chosen.name()) {
        Some(Value::Table(overrides)) => {
            for (key, value) in flatten(overrides) {
                insert(table, &key, value)
                    .map_err(|why| Error::config(format!("{place}, scale.{}", chosen.name()), why))?;
            }
            Ok(chosen)
        }
        // The file itself is the laptop scale unless it says otherwise.
        None if chosen == Scale::Laptop => Ok(chosen),
        _ => {
            let known: Vec<&str> = scale.keys().map(String::as_str).chain(["laptop"]).collect();
            Err(Error::config(place, format!("it has no scale {}; it has {}", chosen.name(), known.join(", "))))
        }
    }
}

/// Leaves of a table with their dotted keys; keys that hold dots already are taken as paths.
pub(crate) fn flatten(table: &Table) -> Vec<(String, Value)> {
    let mut leaves = Vec::new();
    for (key, value) in table {
        match value {
            Value::Table(inner) => {
                leaves.extend(flatten(inner).into_iter().map(|(rest, value)| (format!("{key}.{rest}"), value)));
            }
            value => leaves.push((key.clone(), value.clone())),
        }
    }
    leaves
}

/// Sets the value at a dotted key, making tables on the way.
pub(crate) fn insert(table: &mut Table, key: &str, value: Value) -> Result<(), String> {
    match key.split_once('.') {
        None => {
            table.insert(key.to_owned(), value);
            Ok(())
        }
        Some((first, rest)) => match table.entry(first).or_insert_with(|| Value::Table(Table::new())) {
            Value::Table(inner) => insert(inner, rest, value),
            other => Err(format!("{first} is {other} and has no key {rest}")),
        },
    }
}

fn take_sweep(table: &mut Table, place: &str) -> Result<super::cells::Sweep> {
    match table.remove("sweep") {
        None => Ok(super::cells::Sweep::default()),
        Some(Value::Table(sweep)) => super::cells::Sweep::parse(&sweep, place),
        Some(other) => Err(Error::config(place, format!("sweep is {other}; it must be a table"))),
    }
}

/// `KEY=VALUE`: a TOML literal, else a string.
fn apply_set(
    table: &mut Table,
    sweep: &mut super::cells::Sweep,
    setting: &str,
    check: impl Fn(&Table, &str) -> Result<()>,
) -> Result<()> {
    let place = format!("--set {setting}");
    let Some((key, value)) = setting.split_once('=') else {
        return Err(Error::config(place, "it must be KEY=VALUE, such as loop.lambda=0.8"));
    };
    let literal: Result<Table, _> = format!("{key} = {value}").parse();
    let parsed = match literal {
        Ok(parsed) => parsed,
        Err(_) => {
            let quoted = Value::String(value.to_owned());
            format!("{key} = {quoted}").parse().map_err(|error: toml::de::Error| {
                let why =
                    format!("\"{key}\" is no key ({}); it must be KEY=VALUE, such as loop.lambda=0.8", error.message());
                Error::config(&place, why)
            })?
        }
    };
    for (key, value) in flatten(&parsed) {
        if key == "scale" || key.starts_with("scale.") {
            return Err(Error::config(place, "choose the scale with --scale smoke|laptop|paper"));
        }
        match key.strip_prefix("sweep.") {
            Some(swept) => sweep.set(swept, &value, &place)?,
            None => {
                sweep.fix(&key);
                insert(table, &key, value).map_err(|why| Error::config(&place, why))?;
                check(table, &place)?;
            }
        }
    }
    Ok(())
}

fn deserialize(table: &Table, place: &str) -> Result<Experiment> {
    let experiment: Experiment = serde_path_to_error::deserialize(Value::Table(table.clone())).map_err(|error| {
        let path = error.path().to_string();
        let why = error.into_inner().to_string();
        let why = why.trim().trim_end_matches('.');
        let path = if path == "." { String::new() } else { path };
        let missing = why.strip_prefix("missing field `").and_then(|rest| rest.split_once('`'));
        Error::config(
            place,
            match missing {
                Some((key, _)) if path.is_empty() || path.ends_with(key) => {
                    format!("{} is missing; set it", if path.is_empty() { key } else { &path })
                }
                Some((key, _)) => format!("{path}.{key} is missing; set it"),
                None if path.is_empty() => why.to_owned(),
                None => format!("{path}: {why}"),
            },
        )
    })?;
    validate(&experiment).map_err(|error| match error {
        Error::Config { place: key, why } => Error::config(place, format!("{key}: {why}")),
        other => Error::config(place, other.to_string()),
    })?;
    Ok(experiment)
}

/// What the types cannot say.
fn validate(experiment: &Experiment) -> Result<()> {
    let bad = |key: &str, why: String| Err(Error::config(key, why));
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if experiment.name.is_empty() || !experiment.name.chars().all(plain) || experiment.name.starts_with('.') {
        let why = format!("\"{}\" names a folder; use letters, digits, - and _", experiment.name);
        return bad("name", why);
    }
    if experiment.generations == 0 {
        return bad("generations", "0 generations leave nothing to run; ask for at least 1".into());
    }
    if experiment.generations > MOST_GENERATIONS {
        let why = format!("{} generations are more than the {MOST_GENERATIONS} of a cell", experiment.generations);
        return bad("generations", why);
    }
    experiment.data.check()?;
    let plan = experiment.plan.resolve()?;
    plan.check(None, u64::from(experiment.generations))?;
    experiment.model.trainer(&Device::cpu())?;
    if experiment.theory.is_some() {
        super::theory::gaussian_loop(experiment)?;
    }
    let score = &experiment.score;
    if score.k == 0 {
        return bad("score.k", "0 neighbours define no neighbourhood; use at least 1 (the paper's is 5)".into());
    }
    if u32::try_from(score.k).is_err() {
        return bad("score.k", format!("{} neighbours are more than any set has; the paper's is 5", score.k));
    }
    if experiment.report.latents > MOST_LATENTS {
        let why =
            format!("{} latents are more than a figure holds; use at most {MOST_LATENTS}", experiment.report.latents);
        return bad("report.latents", why);
    }
    if score.n == Some(0) {
        return bad("score.n", "0 samples cannot be scored; leave it out or ask for at least 2".into());
    }
    if score.every == 0 {
        return bad("score.every", "0 is no step; use 1 to score every generation".into());
    }
    if let Some(at) = score.at.as_ref().filter(|at| !at.iter().any(|t| (1..=experiment.generations).contains(t))) {
        let why =
            format!("{at:?} names no generation from 1 to {}; leave it out to score every one", experiment.generations);
        return bad("score.at", why);
    }
    if let Some(lambda) = score.lambda {
        madloop_core::SamplingBias::new(lambda).map_err(|error| Error::config("score.lambda", error.to_string()))?;
    }
    for name in score.metrics.iter().flatten() {
        crate::scoring::check_metric(name)?;
    }
    let seconds = experiment.store.commit_seconds;
    if !(0.0..=3600.0).contains(&seconds) {
        return bad("store.commit_seconds", format!("{seconds} must be from 0 to 3600"));
    }
    Ok(())
}
