//! A metric laid out for drawing: the page and the figure files share it.

use std::collections::BTreeSet;

use super::axis::{Axis, generation_axis, value_axis};
use super::{MetricInfo, Series, Setting};

/// How many colours there are; further settings repeat them with other dashes.
pub(crate) const COLOURS: usize = 8;

/// Colours that people with any common colour-vision deficiency can tell apart, on white.
pub(crate) const PALETTE: [(u8, u8, u8); COLOURS] = [
    (200, 80, 0),
    (0, 104, 168),
    (0, 140, 104),
    (156, 74, 142),
    (196, 134, 0),
    (62, 160, 214),
    (214, 98, 140),
    (92, 100, 112),
];

/// Lengths of strokes and gaps, by how often the palette has been used up.
pub(crate) const DASHES: [&[f64]; 4] = [&[], &[8.0, 3.5], &[2.5, 2.5], &[9.0, 3.0, 2.0, 3.0]];

/// The strokes of a style.
pub(crate) fn dashes(style: usize) -> &'static [f64] {
    DASHES[style / COLOURS % DASHES.len()]
}

/// The line of real data: one for all settings, or one a setting where real data scores differently.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Baseline {
    pub(crate) style: Option<usize>,
    pub(crate) value: f64,
}

/// A metric of several settings, with its axes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Plot {
    pub(crate) metric: MetricInfo,
    pub(crate) lines: Vec<Series>,
    pub(crate) baselines: Vec<Baseline>,
    pub(crate) generations: Vec<u32>,
    pub(crate) x: Axis,
    pub(crate) y: Axis,
}

/// Lays a metric out; `None` when no generation has a value.
pub(crate) fn plot(settings: &[Setting<'_>], metric: &MetricInfo) -> Option<Plot> {
    let lines: Vec<Series> =
        settings.iter().map(|s| s.series(&metric.name)).filter(|series| !series.points.is_empty()).collect();
    let points = || lines.iter().flat_map(|line| &line.points);
    let generations: BTreeSet<u32> = points().map(|point| point.generation).collect();
    let (first, last) = (*generations.first()?, *generations.last()?);
    let spread = |pick: fn(f64, f64) -> f64, from| points().map(|p| p.mean).fold(from, pick);
    let range = spread(f64::max, f64::NEG_INFINITY) - spread(f64::min, f64::INFINITY);
    let baselines = baselines(settings, &metric.name, range);
    let values: Vec<f64> =
        points().flat_map(|p| [p.low, p.high]).chain(baselines.iter().map(|line| line.value)).collect();
    Some(Plot {
        metric: metric.clone(),
        baselines,
        generations: generations.into_iter().collect(),
        x: generation_axis(first, last),
        y: value_axis(&values, metric.direction),
        lines,
    })
}

/// One line when real data scores alike in all settings (to 2 % of its value or of the curves' range: cells under way may
/// lack seeds), else one a setting.
fn baselines(settings: &[Setting<'_>], metric: &str, range: f64) -> Vec<Baseline> {
    let each: Vec<_> = settings.iter().filter_map(|s| s.baseline(metric).map(|value| (s.style, value))).collect();
    let cells = settings.iter().flat_map(|s| &s.cells).filter_map(|cell| cell.baseline(metric));
    let Some(mean) = super::series::mean(&cells.collect::<Vec<_>>()) else { return Vec::new() };
    let tolerance = 0.02 * mean.abs().max(range);
    if each.iter().all(|(_, value)| (value - mean).abs() <= tolerance) {
        return vec![Baseline { style: None, value: mean }];
    }
    each.into_iter().map(|(style, value)| Baseline { style: Some(style), value }).collect()
}

impl Plot {
    /// The same plot at no more than `limit` generations, evenly chosen, the first and the last among them.
    pub(crate) fn thinned(mut self, limit: usize) -> Self {
        let kept = evenly(&self.generations, limit);
        if kept.len() < self.generations.len() {
            for line in &mut self.lines {
                // The last point of a cell that ended early stays.
                let last = line.points.last().map(|point| point.generation);
                line.points.retain(|p| kept.binary_search(&p.generation).is_ok() || Some(p.generation) == last);
            }
            let drawn: BTreeSet<u32> = self.lines.iter().flat_map(|l| &l.points).map(|p| p.generation).collect();
            self.generations = drawn.into_iter().collect();
        }
        self
    }
}

/// At most `limit` of the items, evenly chosen, the first and the last among them.
pub(crate) fn evenly<T: Copy>(items: &[T], limit: usize) -> Vec<T> {
    if items.len() <= limit.max(2) {
        return items.to_vec();
    }
    let limit = limit.max(2);
    (0..limit).map(|i| items[(2 * i * (items.len() - 1) + limit - 1) / (2 * (limit - 1))]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::testing::{cell, info};
    use crate::report::{Direction, settings};

    #[test]
    fn evenly_keeps_both_ends() {
        let all: Vec<u32> = (0..=2000).collect();
        let some = evenly(&all, 14);
        assert_eq!((some.len(), some[0], some[13]), (14, 0, 2000));
        assert!(some.windows(2).all(|w| (150..=160).contains(&(w[1] - w[0]))), "{some:?}");
        assert_eq!(evenly(&[1, 2, 3], 14), [1, 2, 3]);
        assert_eq!(evenly(&[1, 2, 3, 4], 0), [1, 4]);
    }

    #[test]
    fn equal_baselines_are_one_line() {
        let mut records = cell("fresh-data", 0, "recall", &[0.80, 0.7]);
        records.extend(cell("fully-synthetic", 0, "recall", &[0.81, 0.6]));
        let info = info("recall", Direction::Higher);
        let one = plot(&settings(&records), &info).expect("has points");
        assert_eq!(one.baselines.len(), 1);
        assert!((one.baselines[0].value - 0.805).abs() < 1e-12);
        records.extend(cell("other", 0, "recall", &[0.2, 0.1]));
        assert_eq!(plot(&settings(&records), &info).expect("has points").baselines.len(), 3);
        assert!(plot(&settings(&records[..1]), &info).is_none());
    }

    #[test]
    fn thinning_keeps_the_last_point_of_a_short_line() {
        let mut records = cell("fresh-data", 0, "recall", &vec![0.5; 2001]);
        records.extend(cell("fully-synthetic", 0, "recall", &vec![0.4; 778]));
        let thin = plot(&settings(&records), &info("recall", Direction::Higher)).expect("has points").thinned(100);
        assert!(thin.lines[0].points.len() <= 101 && thin.lines[1].points.len() == 100);
        assert_eq!(thin.lines[0].points.last().map(|p| p.generation), Some(777));
        assert_eq!(thin.generations.last(), Some(&2000));
    }
}
