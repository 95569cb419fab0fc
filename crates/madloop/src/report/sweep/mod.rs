//! Charts over a sweep: the last value of a metric in every cell, against the values that were swept.

mod draw;
mod lines;
mod losses;
mod map;
mod page;
mod rows;

use std::collections::{BTreeMap, BTreeSet};

use madloop_core::Record;
use serde_json::Value;

use super::MetricInfo;
use super::axis::{Axis, map_axis, value_axis};
use super::label::plain;
use crate::config::ChartConfig;

pub(crate) use losses::losses;
pub(crate) use page::{figure, page};

/// A chart as a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChartTable {
    /// The chart's heading.
    pub title: String,
    /// What the numbers are.
    pub what: String,
    /// Names of the columns.
    pub header: Vec<String>,
    /// The rows; the first column is the horizontal axis.
    pub rows: Vec<Vec<String>>,
}

/// Every chart that the records have values for, as a table: the values of its lines, or up to where a map stays at or above its
/// first contour.
pub fn chart_tables(records: &[Record], charts: &[ChartConfig], metrics: &[MetricInfo]) -> Vec<ChartTable> {
    sweeps(records, charts, metrics).iter().map(rows::table).collect()
}

/// A chart laid out.
#[derive(Debug, Clone)]
pub(crate) struct Sweep {
    pub(crate) name: String,
    pub(crate) title: String,
    pub(crate) metric: MetricInfo,
    pub(crate) x: Scale,
    pub(crate) body: Body,
}

/// What is drawn.
#[derive(Debug, Clone)]
pub(crate) enum Body {
    /// A map a panel over x and y.
    Maps { y: Scale, panels: Vec<Map>, contours: Vec<f64> },
    /// Lines over x, in panels.
    Lines { y: Axis, panels: Vec<Panel> },
}

/// The values along an axis.
#[derive(Debug, Clone)]
pub(crate) struct Scale {
    pub(crate) title: String,
    pub(crate) values: Vec<f64>,
    pub(crate) axis: Axis,
}

/// A map: `values[x][y]`.
#[derive(Debug, Clone)]
pub(crate) struct Map {
    pub(crate) title: String,
    pub(crate) values: Vec<Vec<Option<f64>>>,
    /// Places that are marked, with their labels.
    pub(crate) marks: Vec<(f64, f64, String)>,
}

/// A panel of lines.
#[derive(Debug, Clone)]
pub(crate) struct Panel {
    pub(crate) title: String,
    pub(crate) lines: Vec<Line>,
}

/// A line; points by x.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    pub(crate) label: String,
    pub(crate) points: Vec<Point>,
}

/// A value and its range: over seeds, or else its 95 % interval.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Point {
    pub(crate) x: f64,
    pub(crate) mean: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
}

impl Sweep {
    /// A single map with marks.
    pub(crate) fn map(
        name: &str,
        title: String,
        metric: MetricInfo,
        [(x_title, xs), (y_title, ys)]: [(&str, Vec<f64>); 2],
        map: Map,
        contour: f64,
    ) -> Self {
        let scale =
            |title: &str, values: Vec<f64>| Scale { title: title.into(), axis: map_axis(&values, true), values };
        let body = Body::Maps { y: scale(y_title, ys), panels: vec![map], contours: vec![contour] };
        Self { name: name.into(), title, metric, x: scale(x_title, xs), body }
    }
}

/// All charts that the records have values for.
pub(crate) fn sweeps(records: &[Record], charts: &[ChartConfig], metrics: &[MetricInfo]) -> Vec<Sweep> {
    let last = last_records(records);
    charts.iter().filter_map(|chart| lay_out(&last, chart, metrics)).collect()
}

/// The last record of every cell.
fn last_records(records: &[Record]) -> Vec<&Record> {
    let mut last: BTreeMap<&str, &Record> = BTreeMap::new();
    for record in records.iter().filter(|record| record.generation > 0) {
        let known = last.entry(&record.cell).or_insert(record);
        if record.generation >= known.generation {
            *known = record;
        }
    }
    last.into_values().collect()
}

/// What the cells of one place in a chart add up to.
#[derive(Default)]
struct Pooled {
    values: Vec<f64>,
    interval: Option<(f64, f64)>,
}

impl Pooled {
    fn point(&self, x: f64) -> Point {
        let mean = self.values.iter().sum::<f64>() / self.values.len() as f64;
        let least = self.values.iter().copied().fold(f64::INFINITY, f64::min);
        let most = self.values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let (low, high) = match self.interval {
            Some(interval) if self.values.len() == 1 => interval,
            _ => (least, most),
        };
        Point { x, mean, low, high }
    }
}

fn lay_out(records: &[&Record], chart: &ChartConfig, metrics: &[MetricInfo]) -> Option<Sweep> {
    let drawn: Vec<&&Record> =
        records.iter().filter(|record| chart.only.iter().all(|(key, value)| has(record, key, value))).collect();
    let number = |record: &Record, key: &str| value_of(record, key)?.as_f64();
    // A key that is swept no longer has the same value everywhere, and tells nothing apart.
    let y_key = chart.y.as_deref().filter(|key| drawn.iter().any(|record| number(record, key).is_some()));
    let group = |record: &Record, key: &Option<String>| key.as_deref().and_then(|key| value_of(record, key));
    // (panel, line, x, y) -> values; ordered, so that nothing depends on the order of records.
    let mut pooled: BTreeMap<[Key; 4], Pooled> = BTreeMap::new();
    for record in &drawn {
        let (Some(x), Some(value)) = (number(record, &chart.x), record.metric(&chart.value)) else { continue };
        let y = match y_key {
            None => 0.0,
            Some(key) => match number(record, key) {
                Some(y) => y,
                None => continue,
            },
        };
        let key = [
            Key::of(group(record, &chart.panels)),
            Key::of(group(record, &chart.lines)),
            Key::Number(x),
            Key::Number(y),
        ];
        let place = pooled.entry(key).or_default();
        place.values.push(value);
        place.interval = record.scores.intervals.get(&chart.value).map(|interval| (interval.low, interval.high));
    }
    let distinct = |index: usize| -> Vec<Key> {
        pooled.keys().map(|key| key[index].clone()).collect::<BTreeSet<Key>>().into_iter().collect()
    };
    let numbers = |index: usize| -> Vec<f64> { distinct(index).iter().filter_map(Key::number).collect() };
    let xs = numbers(2);
    if xs.is_empty() {
        return None;
    }
    let metric = metrics.iter().find(|info| info.name == chart.value);
    let metric = metric.cloned().unwrap_or_else(|| MetricInfo::unknown(&chart.value));
    let heading = |key: &Option<String>, value: &Key| match (key, value) {
        (Some(key), value) if *value != Key::None => format!("{} = {}", symbol(key), value.text()),
        _ => String::new(),
    };
    let body = match y_key {
        Some(y_key) => {
            let ys = numbers(3);
            let value = |panel: &Key, x: f64, y: f64| {
                let key = [panel.clone(), Key::None, Key::Number(x), Key::Number(y)];
                pooled.get(&key).map(|place| place.point(x).mean)
            };
            let column = |panel: &Key, x: f64| ys.iter().map(|&y| value(panel, x, y)).collect::<Vec<_>>();
            let map = |panel: &Key| Map {
                title: heading(&chart.panels, panel),
                values: xs.iter().map(|&x| column(panel, x)).collect(),
                marks: Vec::new(),
            };
            let panels = distinct(0).iter().map(map).collect();
            let y = Scale { title: words(y_key), axis: map_axis(&ys, true), values: ys };
            Body::Maps { y, panels, contours: chart.contours.clone() }
        }
        None => {
            let points = |panel: &Key, line: &Key| -> Vec<Point> {
                let here = pooled.iter().filter(|(key, _)| key[0] == *panel && key[1] == *line);
                here.filter_map(|(key, place)| Some(place.point(key[2].number()?))).collect()
            };
            let line =
                |panel: &Key, line: &Key| Line { label: heading(&chart.lines, line), points: points(panel, line) };
            let panel = |panel: &Key| Panel {
                title: heading(&chart.panels, panel),
                lines: distinct(1).iter().map(|key| line(panel, key)).filter(|line| !line.points.is_empty()).collect(),
            };
            let panels: Vec<Panel> = distinct(0).iter().map(panel).collect();
            let all = panels.iter().flat_map(|panel| &panel.lines).flat_map(|line| &line.points);
            let values: Vec<f64> = all.flat_map(|point| [point.low, point.mean, point.high]).collect();
            Body::Lines { y: value_axis(&values, super::Direction::Lower), panels }
        }
    };
    let x = Scale { title: words(&chart.x), axis: map_axis(&xs, y_key.is_some()), values: xs };
    let title = chart.title.clone().unwrap_or_else(|| metric.title.clone());
    Some(Sweep { name: chart.name.clone(), title, metric, x, body })
}

/// A swept value as a key, in the order of display.
#[derive(Debug, Clone, PartialEq)]
enum Key {
    None,
    Number(f64),
    Text(String),
}

impl Eq for Key {}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Key {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        let rank = |key: &Self| match key {
            Self::None => 0,
            Self::Number(_) => 1,
            Self::Text(_) => 2,
        };
        match (self, other) {
            (Self::Number(a), Self::Number(b)) => a.total_cmp(b),
            (Self::Text(a), Self::Text(b)) => a.cmp(b),
            _ => rank(self).cmp(&rank(other)),
        }
    }
}

impl Key {
    fn of(value: Option<Value>) -> Self {
        match value {
            None => Self::None,
            Some(value) => match value.as_f64() {
                Some(number) => Self::Number(number),
                None => Self::Text(value.as_str().map_or_else(|| value.to_string(), str::to_owned)),
            },
        }
    }

    fn number(&self) -> Option<f64> {
        match self {
            Self::Number(number) => Some(*number),
            _ => None,
        }
    }

    fn text(&self) -> String {
        match self {
            Self::None => String::new(),
            Self::Number(number) => plain(*number),
            Self::Text(text) => text.clone(),
        }
    }
}

/// A swept key's value in a record.
fn value_of(record: &Record, key: &str) -> Option<Value> {
    record.params.get(key).cloned()
}

/// Whether a record has this value of a key; a key that is not swept rules nothing out.
fn has(record: &Record, key: &str, wanted: &Value) -> bool {
    let Some(value) = value_of(record, key) else { return true };
    match (value.as_f64(), wanted.as_f64()) {
        (Some(a), Some(b)) => a == b,
        _ => value == *wanted,
    }
}

/// The name of a key on an axis.
fn words(key: &str) -> String {
    match key {
        "loop.n_real" => "fresh real samples n_r".into(),
        "loop.n_synthetic" => "synthetic samples n_s".into(),
        "loop.n_initial" => "samples of generation 1".into(),
        "loop.n" => "samples of a generation n".into(),
        "loop.lambda" => "sampling bias λ".into(),
        "loop.history" => "earlier models K".into(),
        "loop.real_fraction" => "real share p".into(),
        _ => key.rsplit('.').next().unwrap_or(key).replace('_', " "),
    }
}

/// The symbol of a key in a heading.
fn symbol(key: &str) -> &str {
    match key {
        "loop.n_real" => "n_r",
        "loop.n_synthetic" => "n_s",
        "loop.n" => "n",
        "loop.lambda" => "λ",
        "loop.history" => "K",
        "loop.real_fraction" => "p",
        _ => key.rsplit('.').next().unwrap_or(key),
    }
}
