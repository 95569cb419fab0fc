//! A run: the folder with the cells of one experiment.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use madloop_core::{Map, Record, Timing};
use serde_json::Value;
use toml::Table;

use super::files::{self, CHECK_OUTPUT, write_atomically};
use super::generation::{
    DAMAGED, generation_folder, generations, read_generation, read_latents, read_losses, read_map, read_picture,
};
use crate::config::Swept;
use crate::{Error, Result};

const EXPERIMENT: &str = "experiment.toml";
const PROVENANCE: &str = "provenance.json";
const RECORDS: &str = "records.jsonl";
const CELLS: &str = "cells";
const FIGURES: &str = "figures";

/// A run directory.
#[derive(Debug, Clone)]
pub struct RunDir {
    path: PathBuf,
}

/// A generation read back from a run.
#[derive(Debug, Clone)]
pub struct StoredGeneration {
    /// Its record.
    pub record: Record,
    /// How long it took.
    pub timing: Timing,
    /// Its picture (PNG), if it has one.
    pub picture: Option<Arc<[u8]>>,
    /// Samples of the latents that all generations share (PNG, one row), if it has some.
    pub latents: Option<Arc<[u8]>>,
    /// Its loss curve, of families that have one: (step, mean loss since the last point).
    pub losses: Vec<(usize, f64)>,
    /// Its map beside real samples, if it has one.
    pub map: Option<Map>,
}

impl RunDir {
    /// Makes the run's folder, or opens it for going on if the experiment there is the same: its data, model, loop, score, seed
    /// and scale; generations, sweep lists and seeds may differ.
    pub fn create(path: &Path, experiment: &Swept, provenance: &Value) -> Result<Self> {
        let run = Self { path: path.to_owned() };
        let resolved = experiment.to_toml()?;
        files::make_folder(path)?;
        let mut foreign = false;
        for entry in fs::read_dir(path).map_err(Error::io("read", path, CHECK_OUTPUT))? {
            let name = entry.map_err(Error::io("read", path, CHECK_OUTPUT))?.file_name();
            foreign |= !files::is_leftover(&name);
        }
        // Looked at after the names: another process may be making the same run.
        if path.join(EXPERIMENT).exists() {
            run.check_same(&resolved)?;
        } else if foreign {
            let why = "the folder is not empty and holds no run";
            return Err(Error::bad_file(path, why, "choose another with --out"));
        }
        run.remove_leftovers()?;
        let provenance = run.merged_provenance(provenance)?;
        // The experiment comes first: whatever else is in the folder of an interrupted run, it is there.
        if !run.covers(experiment)? {
            write_atomically(&path.join(EXPERIMENT), resolved.as_bytes())?;
        }
        files::make_folder(&path.join(CELLS))?;
        let provenance = serde_json::to_string_pretty(&provenance).map_err(madloop_core::Error::other)? + "\n";
        write_atomically(&path.join(PROVENANCE), provenance.as_bytes())?;
        files::sync_folder(path)?;
        Ok(run)
    }

    /// Whether the run that is there has all cells of `experiment` and as many generations, so that its file need not change.
    fn covers(&self, experiment: &Swept) -> Result<bool> {
        if !self.path.join(EXPERIMENT).exists() {
            return Ok(false);
        }
        let there: Option<Table> = self.experiment()?.parse().ok();
        let generations = there.and_then(|there| there.get("generations")?.as_integer()).unwrap_or(0);
        let has_cells = experiment.cells.iter().all(|cell| self.cell(&cell.name).is_dir());
        Ok(has_cells && generations > i64::from(experiment.base.generations))
    }

    /// The provenance of this process, with that of earlier ones that differ: data sets by name, machines under `earlier`.
    ///
    /// # Errors
    /// [`Error::OtherRun`] if a data set has changed since.
    fn merged_provenance(&self, ours: &Value) -> Result<Value> {
        let mut ours = ours.clone();
        if !self.path.join(PROVENANCE).exists() {
            return Ok(ours);
        }
        let mut theirs = self.provenance()?;
        let sets = |value: &Value| value["data"].as_array().cloned().unwrap_or_default();
        let (known, mut all) = (sets(&theirs), sets(&ours));
        let mut differences = Vec::new();
        for set in known {
            match all.iter().find(|ours| ours["name"] == set["name"]) {
                None => all.push(set),
                Some(ours) => {
                    let files = ours["sha256"].as_object().into_iter().flatten();
                    differences.extend(files.filter(|(file, sum)| set["sha256"][file] != **sum).map(|(file, sum)| {
                        format!("  data {}, {file}: sha256 {} there, {sum} here", set["name"], set["sha256"][file])
                    }));
                }
            }
        }
        let maps = |value: &Value| value["features"].as_object().cloned().unwrap_or_default();
        let here = maps(&ours);
        differences.extend(maps(&theirs).iter().filter_map(|(name, there)| {
            let here = here.get(name).filter(|here| *here != there)?;
            Some(format!("  features {name}: sha256 {there} there, {here} here"))
        }));
        if !differences.is_empty() {
            return Err(Error::OtherRun { path: self.path.clone(), difference: differences.join("\n") });
        }
        ours["data"] = all.into();
        let mut earlier = theirs["earlier"].as_array().cloned().unwrap_or_default();
        if let Some(theirs) = theirs.as_object_mut() {
            theirs.retain(|key, _| key != "earlier" && key != "data");
        }
        let same = theirs.as_object().into_iter().flatten().all(|(key, value)| ours[key] == *value);
        if !same && !earlier.contains(&theirs) {
            earlier.push(theirs);
        }
        if !earlier.is_empty() {
            ours["earlier"] = earlier.into();
        }
        Ok(ours)
    }

    /// Generations of a cell that are on disk.
    pub(crate) fn done(path: &Path, cell: &str) -> usize {
        generations(&path.join(CELLS).join(cell)).map_or(0, |all| all.len().saturating_sub(1))
    }

    /// Removes what interrupted processes left half-written. One that is at work writes its file again.
    pub(crate) fn remove_leftovers(&self) -> Result<()> {
        files::remove_leftovers(&self.path)?;
        files::remove_leftovers(&self.path.join(FIGURES))
    }

    /// Opens a run for reading.
    pub fn open(path: &Path) -> Result<Self> {
        if !path.join(EXPERIMENT).is_file() {
            let why = "it is not the folder of a run: it holds no experiment.toml";
            return Err(Error::bad_file(
                path,
                why,
                "give the folder that `madloop run` named, such as runs/quickstart-laptop",
            ));
        }
        Ok(Self { path: path.to_owned() })
    }

    /// Its folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The folder of a cell.
    pub fn cell(&self, name: &str) -> PathBuf {
        self.path.join(CELLS).join(name)
    }

    /// The resolved configuration, as TOML.
    pub fn experiment(&self) -> Result<String> {
        self.read(EXPERIMENT)
    }

    /// Versions, machine and checksums.
    pub fn provenance(&self) -> Result<Value> {
        let path = self.path.join(PROVENANCE);
        serde_json::from_str(&self.read(PROVENANCE)?)
            .map_err(|error| Error::bad_file(path, error.to_string(), "run the experiment again to write it anew"))
    }

    /// All generations of all cells, in (cell, generation) order.
    pub fn generations(&self) -> Result<Vec<StoredGeneration>> {
        let mut all = Vec::new();
        for cell in self.cells()? {
            let folder = self.cell(&cell);
            for generation in generations(&folder)? {
                let folder = generation_folder(&folder, generation);
                let (record, timing) = read_generation(&folder)?;
                let (picture, latents) = (read_picture(&folder), read_latents(&folder));
                let (losses, map) = (read_losses(&folder), read_map(&folder));
                all.push(StoredGeneration { record, timing, picture, latents, losses, map });
            }
        }
        Ok(all)
    }

    /// Rewrites records.jsonl from the cells.
    pub fn write_records(&self) -> Result<()> {
        let mut text = String::new();
        for cell in self.cells()? {
            let folder = self.cell(&cell);
            for generation in generations(&folder)? {
                let path = generation_folder(&folder, generation).join("record.json");
                text += &fs::read_to_string(&path).map_err(Error::io("read", &path, DAMAGED))?;
            }
        }
        write_atomically(&self.path.join(RECORDS), text.as_bytes())
    }

    /// Names of the cells.
    fn cells(&self) -> Result<BTreeSet<String>> {
        let folder = self.path.join(CELLS);
        let mut names = BTreeSet::new();
        for entry in fs::read_dir(&folder).map_err(Error::io("read", &folder, CHECK_OUTPUT))? {
            let entry = entry.map_err(Error::io("read", &folder, CHECK_OUTPUT))?;
            if entry.path().is_dir() {
                names.insert(entry.file_name().to_string_lossy().into_owned());
            }
        }
        Ok(names)
    }

    fn read(&self, name: &str) -> Result<String> {
        let path = self.path.join(name);
        fs::read_to_string(&path).map_err(Error::io("read", &path, "check its permissions"))
    }

    /// That the experiment there is this one, but for what may grow.
    fn check_same(&self, resolved: &str) -> Result<()> {
        let path = self.path.join(EXPERIMENT);
        let parse = |text: &str| {
            text.parse::<Table>().map_err(|error| {
                Error::bad_file(&path, error.to_string().trim_end(), "choose another folder with --out")
            })
        };
        let (there, here) = (parse(&self.experiment()?)?, parse(resolved)?);
        let both_map = there.contains_key("map") && here.contains_key("map");
        let swept: Vec<String> = [&there, &here].into_iter().flat_map(swept_keys).collect();
        let leaves = |table: &Table| -> Vec<(String, toml::Value)> {
            // Maps may come later, to other generations, but must be comparable.
            let map = if both_map { "map" } else { "" };
            let identity = ["data", "model", "loop", "score", "seed", "scale", map];
            let table: Table = table
                .iter()
                .filter(|(key, _)| identity.contains(&key.as_str()))
                .map(|(k, v)| (k.clone(), v.clone()))
                .collect();
            let mut leaves = crate::config::flatten(&table);
            leaves.retain(|(key, _)| !swept.contains(key) && key != "map.at");
            leaves
        };
        let (there, here) = (leaves(&there), leaves(&here));
        let find = |all: &[(String, toml::Value)], key: &str| {
            all.iter()
                .find(|(known, _)| known == key)
                .map_or_else(|| "not set".to_owned(), |(_, value)| value.to_string())
        };
        let keys: BTreeSet<&str> = there.iter().chain(&here).map(|(key, _)| key.as_str()).collect();
        let differences: Vec<String> = keys
            .into_iter()
            .filter(|key| find(&there, key) != find(&here, key))
            .map(|key| format!("  {key}: {} there, {} here", find(&there, key), find(&here, key)))
            .collect();
        match differences.is_empty() {
            true => Ok(()),
            false => Err(Error::OtherRun { path: self.path.clone(), difference: differences.join("\n") }),
        }
    }
}

fn swept_keys(table: &Table) -> Vec<String> {
    let Some(toml::Value::Table(sweep)) = table.get("sweep") else { return Vec::new() };
    let mut keys: Vec<String> = sweep.keys().filter(|key| *key != "case").cloned().collect();
    for case in sweep.get("case").and_then(toml::Value::as_array).into_iter().flatten() {
        keys.extend(case.as_table().into_iter().flat_map(Table::keys).cloned());
    }
    keys
}
