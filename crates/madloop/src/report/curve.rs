//! One setting's metric from its first to its last value, in numbers and in words.

use super::series::{Point, Setting};
use super::text::{count, pair, short};
use super::{Direction, MetricInfo};

/// The direction of a metric; of the preferred ones it is known even when nobody described them.
pub(crate) fn direction(info: &MetricInfo) -> Direction {
    match info.name.as_str() {
        "recall" | "coverage" | "modes_kept" | "precision" | "density" => Direction::Higher,
        "frechet_distance" | "kid" => Direction::Lower,
        _ => info.direction,
    }
}

/// A setting's metric from its first to its last value.
pub(crate) struct Curve<'a> {
    pub(crate) setting: &'a Setting<'a>,
    pub(crate) first: Point,
    pub(crate) last: Point,
    pub(crate) baseline: Option<f64>,
    /// How much worse the last value is than the first.
    pub(crate) loss: f64,
    /// Whether the change is more than rounding and, with several seeds, more than 3 standard errors.
    pub(crate) clear: bool,
    /// Whether the change is no more than rounding.
    pub(crate) small: bool,
    /// Whether the means of the first, second and last third follow the change.
    pub(crate) steady: bool,
}

impl<'a> Curve<'a> {
    pub(crate) fn new(setting: &'a Setting<'a>, metric: &str, direction: Direction) -> Option<Self> {
        let points = setting.series(metric).points;
        let (first, last) = (*points.first()?, *points.last()?);
        let baseline = setting.baseline(metric);
        let change = last.mean - first.mean;
        let loss = match direction {
            Direction::Higher => -change,
            Direction::Lower => change,
            Direction::Neither => {
                let goal = baseline.unwrap_or(first.mean);
                (last.mean - goal).abs() - (first.mean - goal).abs()
            }
        };
        let smallest = match metric {
            "recall" | "coverage" | "precision" => 0.015,
            "modes_kept" | "modes_hit" => 0.5,
            _ => 0.05 * first.mean.abs().max(last.mean.abs()),
        };
        let lone = first.n_seeds == 1 && last.n_seeds == 1;
        let small = change == 0.0 || change.abs() < smallest;
        let clear = !small && (lone || is_clear(setting, metric));
        let third = points.len().div_ceil(3);
        let mean = |part: &[Point]| part.iter().map(|p| p.mean).sum::<f64>() / part.len() as f64;
        let (start, end) = (mean(&points[..third]), mean(&points[points.len() - third..]));
        let middle = mean(&points[(points.len() - third) / 2..][..third]);
        let steady = if change < 0.0 { start >= middle && middle >= end } else { start <= middle && middle <= end };
        Some(Self { setting, first, last, baseline, loss, clear, small, steady })
    }

    pub(crate) fn lost(&self) -> bool {
        self.clear && self.loss > 0.0
    }

    pub(crate) fn fell(&self) -> bool {
        self.last.mean < self.first.mean
    }

    pub(crate) fn values(&self) -> (String, String) {
        pair(self.first.mean, self.last.mean)
    }

    /// `fell from a to b`, or what else it did.
    pub(crate) fn did(&self) -> String {
        let (a, b) = self.values();
        match (self.clear, self.fell()) {
            _ if self.first.generation == self.last.generation => format!("has one value, {b}"),
            (true, true) => format!("fell from {a} to {b}"),
            (true, false) => format!("rose from {a} to {b}"),
            (false, _) if self.first.mean == self.last.mean => format!("stayed at {b}"),
            (false, _) if self.first.n_seeds > 1 => format!("did not clearly change ({a} to {b})"),
            (false, _) => format!("hardly changed ({a} to {b})"),
        }
    }

    /// `Over 10 generations`, or the two ends when the first is not generation 1.
    pub(crate) fn when(&self) -> String {
        match (self.first.generation, self.last.generation) {
            (1, last) => format!("Over {}", count(last as usize, "generation")),
            (first, last) => format!("From generation {first} to {last}"),
        }
    }

    pub(crate) fn real(&self) -> String {
        self.baseline.map_or(String::new(), |value| format!("real data: {}", short(value)))
    }

    /// `the fully synthetic loop with λ = 0.8`.
    pub(crate) fn name(&self) -> String {
        let Setting { kind, details, .. } = self.setting;
        if details.is_empty() { format!("the {kind} loop") } else { format!("the {kind} loop with {details}") }
    }
}

/// Whether a change is clear over several seeds: cells of one seed are paired, so it is the mean of their own changes against
/// three of its standard errors.
fn is_clear(setting: &Setting<'_>, metric: &str) -> bool {
    let change = |values: Vec<(u32, f64)>| Some(values.last()?.1 - values.first()?.1);
    let changes: Vec<f64> = setting.cells.iter().filter_map(|cell| change(cell.values(metric).collect())).collect();
    let n = changes.len() as f64;
    if n < 2.0 {
        return false;
    }
    let mean = changes.iter().sum::<f64>() / n;
    let variance = changes.iter().map(|change| (change - mean).powi(2)).sum::<f64>() / (n - 1.0);
    mean.abs() > 3.0 * (variance / n).sqrt()
}

/// The metric inside a sentence.
pub(crate) fn noun(info: &MetricInfo) -> String {
    match info.name.as_str() {
        "modes_kept" => "number of modes kept".into(),
        "frechet_distance" => "Fréchet distance".into(),
        "trace_cov" => "variance of the samples".into(),
        "model_trace_cov" => "variance of the model".into(),
        "kid" => "kernel distance (KID)".into(),
        "recall" | "coverage" | "precision" | "density" => info.name.clone(),
        _ => info.title.clone(),
    }
}
