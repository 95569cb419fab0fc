//! The folder of one generation: what is always in it, and reading it back.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use madloop_core::{Entry, Map, Record, Timing};

use super::files::{self, CHECK_OUTPUT};
use super::samples;
use crate::report::{Scene, picture_in, strip};
use crate::{Error, Result};

const RECORD: &str = "record.json";
const TIMING: &str = "timing.json";
const PICTURE: &str = "grid.png";
const LATENTS: &str = "latents.png";
const LOSSES: &str = "loss.json";
const MAP: &str = "map.json";
pub(super) const MODEL: &str = "model";
/// Points of a loss curve that are kept, evenly chosen means.
const LOSS_POINTS: usize = 200;

/// Writes all but model and samples; two-dimensional samples are shown in `scene`.
pub(super) fn write(folder: &Path, entry: &Entry, scene: Option<&Scene>) -> Result<()> {
    let put = |name: &str, value: serde_json::Result<String>| {
        let text = value.map_err(madloop_core::Error::other)? + "\n";
        files::write(&folder.join(name), text.as_bytes())
    };
    put(RECORD, serde_json::to_string(&entry.record))?;
    put(TIMING, serde_json::to_string(&entry.timing))?;
    if let Some(losses) = entry.model.as_ref().map(|model| model.losses()).filter(|losses| !losses.is_empty()) {
        put(LOSSES, serde_json::to_string(&thinned(losses)))?;
    }
    if let Some(map) = &entry.map {
        put(MAP, serde_json::to_string(map))?;
    }
    if let Some(png) = entry.latents.as_ref().and_then(strip) {
        files::write(&folder.join(LATENTS), &png)?;
    }
    let scored = entry.record.n_eval > 0;
    if let Some(draw) = entry.draw.as_ref().filter(|_| scored)
        && let Some(png) = picture_in(draw, entry.model.as_deref(), scene)?
    {
        files::write(&folder.join(PICTURE), &png)?;
    }
    Ok(())
}

/// `gen-0001` and so on.
pub(crate) fn generation_folder(cell: &Path, generation: u32) -> PathBuf {
    cell.join(format!("gen-{generation:04}"))
}

pub(super) fn is_heavy(folder: &Path) -> bool {
    [MODEL, samples::SAMPLES, samples::LABELS].iter().any(|name| folder.join(name).exists())
}

/// All numbers that have a folder.
pub(super) fn numbered(cell: &Path) -> Result<BTreeSet<u32>> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(cell).map_err(Error::io("read", cell, CHECK_OUTPUT))? {
        let name = entry.map_err(Error::io("read", cell, CHECK_OUTPUT))?.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix("gen-")?.parse::<u32>().ok());
        found.extend(number.filter(|&t| generation_folder(cell, t).file_name() == Some(&name)));
    }
    Ok(found)
}

/// The generations of a cell from 0 on, without a gap.
pub(crate) fn generations(cell: &Path) -> Result<Vec<u32>> {
    Ok(numbered(cell)?.into_iter().zip(0..).take_while(|(found, expected)| found == expected).map(|(t, _)| t).collect())
}

/// Remedy for a generation that cannot be read.
pub(super) const DAMAGED: &str = "delete the folder of its cell and run again";

/// Record and timing of a generation's folder.
pub(crate) fn read_generation(folder: &Path) -> Result<(Record, Timing)> {
    let read = |name: &str| {
        let path = folder.join(name);
        fs::read_to_string(&path).map_err(Error::io("read", &path, DAMAGED))
    };
    let damaged = |name: &str, error: serde_json::Error| Error::bad_file(folder.join(name), error.to_string(), DAMAGED);
    let record = serde_json::from_str(&read(RECORD)?).map_err(|error| damaged(RECORD, error))?;
    let timing = serde_json::from_str(&read(TIMING)?).map_err(|error| damaged(TIMING, error))?;
    Ok((record, timing))
}

/// Means over stretches of equal length, with the last step of each.
fn thinned(losses: &[f64]) -> Vec<(usize, f64)> {
    let length = losses.len().div_ceil(LOSS_POINTS).max(1);
    let mean = |part: &[f64]| part.iter().sum::<f64>() / part.len() as f64;
    losses.chunks(length).enumerate().map(|(i, part)| (i * length + part.len(), mean(part))).collect()
}

/// The loss curve of a generation's folder, if it has one: (step, mean loss up to it).
pub(crate) fn read_losses(folder: &Path) -> Vec<(usize, f64)> {
    fs::read(folder.join(LOSSES)).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
}

/// The map of a generation's folder, if it has one.
pub(crate) fn read_map(folder: &Path) -> Option<Map> {
    let map: Map = serde_json::from_slice(&fs::read(folder.join(MAP)).ok()?).ok()?;
    (map.real.is_whole() && map.generated.is_whole()).then_some(map)
}

/// The samples of shared latents in a generation's folder, if it has some.
pub(crate) fn read_latents(folder: &Path) -> Option<Arc<[u8]>> {
    fs::read(folder.join(LATENTS)).ok().map(Into::into)
}

/// The picture of a generation's folder, if it has one.
pub(crate) fn read_picture(folder: &Path) -> Option<Arc<[u8]>> {
    fs::read(folder.join(PICTURE)).ok().map(Into::into)
}
