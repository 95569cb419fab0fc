//! Progress on a terminal: one bar a running cell, and one for the run. Silent elsewhere.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use indicatif::{HumanDuration, MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use madloop_core::{Observer, Record, Stage, Stopwatch, Timing};

use crate::output;

pub(crate) struct Progress {
    bars: MultiProgress,
    run: ProgressBar,
    cells: Mutex<BTreeMap<String, CellBar>>,
}

struct CellBar {
    bar: ProgressBar,
    /// What it is at.
    stage: Stage,
    /// Since the stage first told how far it is, and the steps that were done then.
    begun: Option<(Stopwatch, u64)>,
}

impl Progress {
    /// Progress of `cells` cells of `generations` generations each.
    pub(crate) fn new(cells: usize, generations: u32) -> Self {
        let bars = MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(10));
        let run = bars.add(ProgressBar::new(cells as u64 * u64::from(generations)));
        run.set_style(style("{bar:30.cyan} {pos}/{len} generations, {elapsed}, {eta} left"));
        if !bars.is_hidden() {
            run.enable_steady_tick(Duration::from_millis(500));
        }
        Self { bars, run, cells: Mutex::default() }
    }

    /// Clears the bars.
    pub(crate) fn finish(&self) {
        self.run.finish_and_clear();
        let _ = self.bars.clear();
    }

    fn with(&self, cell: &str, act: impl FnOnce(&mut CellBar)) {
        let mut cells = self.cells.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bar) = cells.get_mut(cell) {
            act(bar);
        }
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("━╸─")
}

impl Observer for Progress {
    fn cell_started(&self, cell: &str, from: u32, to: u32) {
        self.run.inc(u64::from(from));
        let bar = self.bars.insert_before(&self.run, ProgressBar::new(u64::from(to)).with_position(u64::from(from)));
        bar.set_style(style("{prefix:40!} {bar:20} t = {pos}/{len} {msg}"));
        // Without the eight hexadecimal digits.
        bar.set_prefix(cell.rsplit_once('-').map_or(cell, |(name, _)| name).to_owned());
        self.cells
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(cell.to_owned(), CellBar { bar, stage: Stage::Mix, begun: None });
    }

    fn stage(&self, cell: &str, _generation: u32, stage: Stage) {
        self.with(cell, |cell| {
            cell.bar.set_message(stage.name());
            (cell.stage, cell.begun) = (stage, None);
        });
    }

    fn progress(&self, cell: &str, progress: madloop_core::Progress) {
        let madloop_core::Progress { done, of, loss } = progress;
        self.with(cell, |cell| {
            let (since, from) = cell.begun.get_or_insert_with(|| (Stopwatch::new(), done));
            let rate = (done - *from) as f64 / since.seconds();
            let left = match rate > 0.0 {
                true => format!(", {}", HumanDuration(Duration::from_secs_f64((of - done) as f64 / rate))),
                false => String::new(),
            };
            let loss = loss.map_or_else(String::new, |loss| format!(", loss {loss:.4}"));
            cell.bar.set_message(format!("{} {done}/{of}{loss}{left}", cell.stage.name()));
        });
    }

    fn generation_done(&self, record: &Record, _timing: &Timing) {
        if record.generation > 0 {
            self.with(&record.cell, |cell| cell.bar.set_position(u64::from(record.generation)));
            self.run.inc(1);
        }
    }

    fn cell_finished(&self, cell: &str) {
        self.with(cell, |cell| cell.bar.finish_and_clear());
    }

    fn warn(&self, message: &str) {
        let message = format!("madloop: {message}");
        if self.bars.is_hidden() {
            output::note(&message);
        } else {
            let _ = self.bars.println(message);
        }
    }
}

/// A bar for bytes, such as a download's.
pub(crate) fn bytes_bar() -> ProgressBar {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(10));
    bar.set_style(style("{prefix} {bar:30.cyan} {bytes}/{total_bytes}, {bytes_per_sec}, {eta} left"));
    bar
}

/// A bar for training steps.
pub(crate) fn steps_bar() -> ProgressBar {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(10));
    bar.set_style(style("{bar:30.cyan} step {pos}/{len}, {msg}, {eta} left"));
    bar
}

/// A spinner while data are loaded and reference sets prepared.
pub(crate) fn loading(name: &str) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(10));
    bar.set_style(style("{spinner} {msg}"));
    bar.set_message(format!("{name}: loading data"));
    if !bar.is_hidden() {
        bar.enable_steady_tick(Duration::from_millis(200));
    }
    bar
}

/// Shows on a spinner how many images are read.
pub(crate) fn images_read(bar: &ProgressBar, done: u64, of: u64) {
    if bar.length() != Some(of) {
        bar.set_length(of);
        bar.set_style(style("{spinner} {msg} {bar:30.cyan} {pos}/{len} images, {eta} left"));
    }
    if done == of || done.is_multiple_of(64) {
        bar.set_position(done);
    }
}

/// A bar for images that are read, or whose features are computed.
pub(crate) fn images_bar() -> ProgressBar {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(10));
    bar.set_style(style("{msg} {bar:30.cyan} {pos}/{len} images, {eta} left"));
    bar
}

/// Shows on it how far a comparison is.
pub(crate) fn comparing(bar: &ProgressBar, what: &str, done: u64, of: u64) {
    if bar.message() != what {
        bar.reset();
        bar.set_length(of);
        bar.set_message(what.to_owned());
    }
    if done == of || done.is_multiple_of(64) {
        bar.set_position(done);
    }
}
