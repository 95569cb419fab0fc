//! The loss of training, generation by generation.

use super::super::axis::{map_axis, value_axis};
use super::super::{Direction, LossCurve, MetricInfo, Setting};
use super::{Body, Line, Panel, Point, Scale, Sweep, figure};

/// Generations whose curves are drawn, evenly chosen.
const MOST_LINES: usize = 6;
/// Settings that have a panel.
const MOST_PANELS: usize = 9;

/// A figure with a panel a setting and a line a generation, of the setting's first seed; empty without losses.
pub(crate) fn losses(settings: &[Setting<'_>], all: &[LossCurve]) -> String {
    let panel = |setting: &Setting<'_>| {
        let cell = setting.cells.first()?.name;
        let own: Vec<_> = all.iter().filter(|curve| curve.cell == cell).collect();
        let chosen = |i: usize| {
            let wanted = own.len().min(MOST_LINES);
            (0..wanted).any(|line| line * own.len().saturating_sub(1) / wanted.saturating_sub(1).max(1) == i)
        };
        let lines: Vec<Line> = own
            .iter()
            .enumerate()
            .filter(|(i, _)| chosen(*i))
            .map(|(_, LossCurve { generation, points, .. })| {
                let point = |&(step, loss): &(usize, f64)| Point { x: step as f64, mean: loss, low: loss, high: loss };
                Line { label: format!("t = {generation}"), points: points.iter().map(point).collect() }
            })
            .collect();
        (!lines.is_empty()).then(|| Panel { title: setting.label.clone(), lines })
    };
    let panels: Vec<Panel> = settings.iter().filter_map(panel).take(MOST_PANELS).collect();
    let points = || panels.iter().flat_map(|panel| &panel.lines).flat_map(|line| &line.points);
    let values: Vec<f64> = points().map(|point| point.mean).filter(|loss| loss.is_finite()).collect();
    let mut steps: Vec<f64> = points().map(|point| point.x).collect();
    steps.sort_by(f64::total_cmp);
    steps.dedup();
    if values.is_empty() || steps.is_empty() {
        return String::new();
    }
    let what =
        "the loss that training minimises (the critic's in a GAN), means over stretches of steps; one seed a setting"
            .into();
    let metric = MetricInfo { title: "Training loss".into(), what, ..MetricInfo::unknown("loss") };
    let ends = [steps[0].min(1.0), steps[steps.len() - 1]];
    let x = Scale { title: "training step".into(), axis: map_axis(&ends, false), values: steps };
    let body = Body::Lines { y: value_axis(&values, Direction::Lower), panels };
    figure(&Sweep { name: "loss".into(), title: metric.title.clone(), metric, x, body })
}
