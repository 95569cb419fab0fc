//! `madloop run`: cells, progress, table, report.

use std::path::PathBuf;

use anyhow::{anyhow, bail};
use comfy_table::CellAlignment;
use madloop::config::load;
use madloop::data::{DataDir, ImageCache, Opening};
use madloop::device::Device;
use madloop::report::{ChartTable, RunView, are_limits, chart_tables, limit_table};
use madloop::{Session, Workers, report_run, view};
use madloop_core::{Observer, Record, Timing};

use super::overrides;
use crate::args::RunArgs;
use crate::output;
use crate::progress::{Progress, images_read, loading};
use crate::signals::Signals;
use crate::table;

/// Threads of all cells together.
const MOST_THREADS: usize = 4096;

pub(crate) fn run(args: &RunArgs, signals: &Signals) -> anyhow::Result<()> {
    let device: Device = args.device.parse().map_err(|why| anyhow!("--device {}: {why}", args.device))?;
    let swept = load(&args.experiment.experiment, &overrides(&args.experiment))?;
    let scale = swept.base.scale.clone().unwrap_or_default();
    let out = args.out.clone().unwrap_or_else(|| PathBuf::from("runs").join(format!("{}-{scale}", swept.base.name)));
    let workers = Workers::new(args.jobs, args.threads, swept.cells.len());
    if workers.jobs * workers.threads > MOST_THREADS {
        bail!(
            "--jobs {} of --threads {} each are more than {MOST_THREADS} threads; lower one of them",
            workers.jobs,
            workers.threads
        );
    }
    let generations = swept.base.generations;
    let loading = loading(&swept.base.name);
    let dirs = DataDir::from_env(args.data_dir.data_dir.clone());
    let cache = ImageCache::from_env();
    let reading = |done, of| images_read(&loading, done, of);
    let opening = Opening { dirs: &dirs, cache: cache.as_ref(), progress: &reading };
    let session = Session::prepare(swept, opening, workers, &device);
    loading.finish_and_clear();
    let session = session?;
    session.left_out().iter().for_each(|sentence| output::note(&format!("note: {sentence}")));
    output::note(&format!("{} -> {}", session.forecast(&out), out.display()));

    let progress = Progress::new(session.n_cells(), generations);
    let json = args.json;
    let on_commit = |record: &Record, timing: &Timing| {
        if json {
            output::line(&json_line(record, timing));
        }
    };
    let result = session.run(&out, &signals.cancel(), &progress, &on_commit);
    progress.finish();
    let run = result?;

    let view = view(&run)?;
    let (page, figures) = report_run(&run, &view)?;
    if !json && are_limits(&view.records) {
        limits(&view);
        output::line(&madloop::report::meaning(&view.records, &view.metrics));
    } else if !json {
        let (table, hidden) = table::of_records(&view.records, &view.metrics);
        output::line(&table.to_string());
        if hidden > 0 {
            output::note(&format!(
                "{hidden} more {} in the report",
                if hidden == 1 { "metric is" } else { "metrics are" }
            ));
        }
        output::line(&madloop::report::meaning(&view.records, &view.metrics));
    }
    for reason in outcomes(&view.records) {
        progress.warn(&reason);
    }
    output::note(&format!(
        "report: {}  figures: {} files in {}",
        page.display(),
        figures.len(),
        run.path().join("figures").display()
    ));
    Ok(())
}

/// The charts of calculated limits as tables; without charts, the limits themselves.
fn limits(view: &RunView) {
    let mut tables = chart_tables(&view.records, &view.charts, &view.metrics);
    if tables.is_empty() {
        let (header, rows) = limit_table(&view.records);
        tables.push(ChartTable { title: String::new(), what: String::new(), header, rows });
    }
    for ChartTable { title, what, header, rows } in tables {
        if !title.is_empty() {
            output::line(&format!("{title}: {what}"));
        }
        let mut table = table::plain();
        table.set_header(header);
        table.add_rows(rows);
        table.column_iter_mut().for_each(|column| column.set_cell_alignment(CellAlignment::Right));
        output::line(&table.to_string());
    }
}

/// A record with its times, as one line.
fn json_line(record: &Record, timing: &Timing) -> String {
    let mut map = record.to_json();
    map.insert("train_seconds".into(), timing.train_seconds.into());
    map.insert("sample_seconds".into(), timing.sample_seconds.into());
    map.insert("score_seconds".into(), timing.score_seconds.into());
    serde_json::Value::Object(map).to_string()
}

/// Cells that ended before their time.
fn outcomes(records: &[Record]) -> Vec<String> {
    let ended = records.iter().filter(|record| record.outcome.is_end());
    ended
        .map(|record| {
            let why = record.outcome.reason().unwrap_or_default();
            format!("cell {} ended at generation {}: {why}", record.cell, record.generation)
        })
        .collect()
}
