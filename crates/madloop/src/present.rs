//! From a run directory to its report and figures.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use madloop_core::Record;

use crate::config::ModelConfig;
use crate::data::{DataConfig, DataSource};
use crate::report::{
    Direction, LossCurve, MapView, MetricInfo, Picture, RunView, are_limits, html, write_charts, write_figures,
    write_latents, write_maps, write_panels,
};
use crate::store::{RunDir, write_atomically};
use crate::{Error, Result};

/// Every metric of the catalogue as a reader sees it, in the order of display.
pub fn metric_infos() -> Vec<MetricInfo> {
    let info = |metric: &madloop_metrics::Metric| MetricInfo {
        name: metric.name.into(),
        title: metric.title.into(),
        what: metric.what.into(),
        direction: match metric.direction {
            madloop_metrics::Direction::HigherIsBetter => Direction::Higher,
            madloop_metrics::Direction::LowerIsBetter => Direction::Lower,
            madloop_metrics::Direction::Neither => Direction::Neither,
        },
    };
    crate::limits::metric_infos().into_iter().chain(madloop_metrics::CATALOG.iter().map(info)).collect()
}

/// The metrics in the order in which an experiment asks for them, then the rest of the catalogue.
fn in_order_of(experiment: &toml::Table) -> Vec<MetricInfo> {
    let mut all = metric_infos();
    let asked = experiment.get("score").and_then(|score| score.get("metrics")).and_then(toml::Value::as_array);
    let asked: Vec<&str> = asked.into_iter().flatten().filter_map(toml::Value::as_str).collect();
    all.sort_by_key(|info| asked.iter().position(|name| *name == info.name).unwrap_or(usize::MAX));
    all
}

/// All that a report shows of a run.
pub fn view(run: &RunDir) -> Result<RunView> {
    let config_toml = run.experiment()?;
    let experiment: toml::Table = config_toml.parse().map_err(|error: toml::de::Error| {
        Error::bad_file(
            run.path().join("experiment.toml"),
            error.to_string(),
            "run the experiment again to write it anew",
        )
    })?;
    let charts = match experiment.get("chart") {
        None => Vec::new(),
        Some(charts) => charts.clone().try_into().map_err(|error: toml::de::Error| {
            Error::bad_file(run.path().join("experiment.toml"), error.to_string(), "correct its [[chart]] tables")
        })?,
    };
    let report = match experiment.get("report") {
        None => crate::config::ReportConfig::default(),
        Some(report) => report.clone().try_into().map_err(|error: toml::de::Error| {
            Error::bad_file(run.path().join("experiment.toml"), error.to_string(), "correct its [report] table")
        })?,
    };
    let text = |key: &str| experiment.get(key).and_then(toml::Value::as_str).unwrap_or_default().to_owned();
    let (mut records, mut pictures): (Vec<Record>, Vec<Picture>) = (Vec::new(), Vec::new());
    let (mut losses, mut maps, mut latents) = (Vec::new(), Vec::new(), Vec::new());
    for stored in run.generations()? {
        let (cell, generation) = (stored.record.cell.clone(), stored.record.generation);
        if !stored.losses.is_empty() {
            losses.push(LossCurve { cell: cell.clone(), generation, points: stored.losses });
        }
        maps.extend(stored.map.map(|map| MapView { cell: cell.clone(), generation, map }));
        let picture_of = |png: Arc<[u8]>| Picture { cell: cell.clone(), generation, png: png.to_vec() };
        latents.extend(stored.latents.map(picture_of));
        pictures.extend(stored.picture.map(|png| Picture { cell, generation, png: png.to_vec() }));
        records.push(stored.record);
    }
    Ok(RunView {
        name: text("name"),
        title: text("title"),
        note: text("shows"),
        records,
        config_toml,
        provenance: run.provenance()?,
        pictures,
        latents,
        picture_note: picture_note(&experiment),
        losses,
        maps,
        charts,
        report,
        metrics: in_order_of(&experiment),
    })
}

/// What the pictures of an experiment show beside its samples.
fn picture_note(experiment: &toml::Table) -> String {
    let (data, model) = (experiment.get("data"), experiment.get("model"));
    let data: Option<DataConfig> = data.and_then(|data| data.clone().try_into().ok());
    let known = data.is_some_and(|data| match data.source {
        DataSource::Rosenbrock | DataSource::Grid25 => true,
        DataSource::Gaussian => data.dim == Some(2),
        _ => false,
    });
    let model: Option<ModelConfig> = model.and_then(|model| model.clone().try_into().ok());
    let dense = model.is_some_and(|model| model.knows_density());
    match (known, dense) {
        (false, _) => String::new(),
        (true, false) => "Lines enclose 50, 90 and 99 % of the real law.".into(),
        (true, true) => "Lines enclose 50, 90 and 99 % of the real law. Below the samples, the model's own density: the darker, the denser (by its root), and black \
                         where it is above all of the real law."
            .into(),
    }
}

/// Writes one page about the runs to `target`, replacing what was there.
pub fn write_report(runs: &[RunView], target: &Path) -> Result<()> {
    write_atomically(target, html(runs).as_bytes())
}

/// Writes report.html and figures/ into the run's folder; returns the page and the figures.
pub fn report_run(run: &RunDir, view: &RunView) -> Result<(PathBuf, Vec<PathBuf>)> {
    let page = run.path().join("report.html");
    write_report(std::slice::from_ref(view), &page)?;
    let folder = run.path().join("figures");
    let mut figures = write_charts(&view.records, &view.charts, &view.metrics, &folder)?;
    figures.extend(write_maps(&view.records, &view.maps, &folder)?);
    // A limit is one number a cell: there is nothing to draw over generations.
    if !are_limits(&view.records) {
        figures.extend(write_panels(view, &folder)?);
        figures.extend(write_latents(view, &folder)?);
        figures.extend(write_figures(&view.records, &view.metrics, &folder)?);
    }
    Ok((page, figures))
}
