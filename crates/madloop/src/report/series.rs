//! From records to settings (what differs only in seed) and their curves.

use std::collections::BTreeMap;

use madloop_core::Record;

use super::label::{self, Trait};
use super::view;

/// Records that differ only in their seed.
#[derive(Debug, Clone)]
pub struct Setting<'a> {
    /// Short name, made from what differs among the settings.
    pub label: String,
    /// The loop in words, such as `fully synthetic`.
    pub kind: String,
    /// What else than the loop tells this setting from the others, such as `λ = 0.8`; may be empty.
    pub details: String,
    /// Which colour and dashes it is drawn with: its place among the settings.
    pub style: usize,
    /// Its cells, one a seed, by seed.
    pub cells: Vec<Cell<'a>>,
}

/// The records of one cell.
#[derive(Debug, Clone)]
pub struct Cell<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its seed.
    pub seed: u64,
    /// Its records by generation.
    pub records: Vec<&'a Record>,
}

/// A metric at one generation, over seeds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// t.
    pub generation: u32,
    /// Mean over the seeds that have a value.
    pub mean: f64,
    /// The least of their values.
    pub low: f64,
    /// The greatest of their values.
    pub high: f64,
    /// How many seeds have a value.
    pub n_seeds: usize,
}

/// A metric of one setting over generations 1, 2, ...; generations without a value are left out.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// The setting's label.
    pub setting: String,
    /// The setting's style.
    pub style: usize,
    /// The curve.
    pub points: Vec<Point>,
}

/// A metric of one setting in a table.
#[derive(Debug, Clone, PartialEq)]
pub struct SummaryRow {
    /// Name of the metric.
    pub metric: String,
    /// Label of the setting.
    pub setting: String,
    /// Generation 0: held-out real data against the reference, mean over seeds.
    pub baseline: Option<f64>,
    /// At the first generation that has a value.
    pub first: Option<Point>,
    /// At the last generation that has a value.
    pub last: Option<Point>,
    /// Change a generation: the least-squares slope over generations 1 to T, mean over cells.
    pub slope: Option<f64>,
    /// Cells of the setting.
    pub n_cells: usize,
}

/// Groups the records of a run.
pub fn settings(records: &[Record]) -> Vec<Setting<'_>> {
    settings_of(&[("", records)])
}

/// Cells of one run with the same traits.
struct Group<'a> {
    run: usize,
    traits: Vec<Trait>,
    cells: Vec<Cell<'a>>,
}

/// Groups the records of several runs, each with its name; runs are never pooled.
pub(crate) fn settings_of<'a>(runs: &[(&str, &'a [Record])]) -> Vec<Setting<'a>> {
    let mut groups: Vec<Group<'a>> = Vec::new();
    for (run, (_, records)) in runs.iter().enumerate() {
        let mut cells: BTreeMap<(&str, u64), BTreeMap<u32, &'a Record>> = BTreeMap::new();
        for record in *records {
            // A generation that is there twice counts once: the last one read.
            cells.entry((&record.cell, record.seed)).or_default().insert(record.generation, record);
        }
        for ((name, seed), records) in cells {
            let Some(last) = records.values().next_back() else { continue };
            let traits = label::traits(last);
            let cell = Cell { name, seed, records: records.into_values().collect() };
            // Two cells of one seed differ in something that records do not tell.
            let fits = |group: &&mut Group<'_>| {
                group.run == run && group.traits == traits && group.cells.iter().all(|other| other.seed != seed)
            };
            match groups.iter_mut().find(fits) {
                Some(group) => group.cells.push(cell),
                None => groups.push(Group { run, traits, cells: vec![cell] }),
            }
        }
    }
    groups.sort_by(|a, b| a.run.cmp(&b.run).then_with(|| label::compare(&a.traits, &b.traits)));
    let traits: Vec<_> = groups.iter().map(|group| group.traits.clone()).collect();
    let fallback: Vec<_> = groups.iter().map(|group| fallback(group, &groups, runs)).collect();
    let named = groups.into_iter().zip(label::names(&traits, &fallback)).enumerate();
    named
        .map(|(style, (Group { traits, mut cells, .. }, name))| {
            cells.sort_by_key(|cell| cell.seed);
            let kind = traits.iter().find(|t| t.key == "loop").map(|t| t.text.clone()).unwrap_or_default();
            Setting { label: name.label, kind, details: name.details, style, cells }
        })
        .collect()
}

/// What tells a group from another of the same label: its run, or its first cell where even the run is the same.
fn fallback(group: &Group<'_>, groups: &[Group<'_>], runs: &[(&str, &[Record])]) -> String {
    let twins = groups.iter().filter(|other| other.run == group.run && other.traits == group.traits).count() > 1;
    let cell = group.cells.first().map_or("", |cell| cell.name);
    if twins || runs.len() == 1 { cell.to_owned() } else { runs[group.run].0.to_owned() }
}

impl Setting<'_> {
    /// The curve of a metric.
    pub fn series(&self, metric: &str) -> Series {
        let mut values: BTreeMap<u32, Vec<f64>> = BTreeMap::new();
        for cell in &self.cells {
            for (generation, value) in cell.values(metric) {
                values.entry(generation).or_default().push(value);
            }
        }
        let points = values.into_iter().map(|(generation, values)| Point {
            generation,
            mean: mean(&values).unwrap_or(f64::NAN),
            low: values.iter().copied().fold(f64::INFINITY, f64::min),
            high: values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            n_seeds: values.len(),
        });
        Series { setting: self.label.clone(), style: self.style, points: points.collect() }
    }

    /// Generation 0 of a metric: its mean over seeds.
    pub fn baseline(&self, metric: &str) -> Option<f64> {
        mean(&self.cells.iter().filter_map(|cell| cell.baseline(metric)).collect::<Vec<_>>())
    }

    /// Mean over cells of their slopes.
    pub fn slope(&self, metric: &str) -> Option<f64> {
        mean(&self.cells.iter().filter_map(|cell| cell.slope(metric)).collect::<Vec<_>>())
    }

    /// The last generation of any cell.
    pub fn generations(&self) -> u32 {
        self.cells.iter().flat_map(|cell| &cell.records).map(|record| record.generation).max().unwrap_or(0)
    }
}

impl Cell<'_> {
    /// The values of a metric over generations 1, 2, ...
    pub fn values(&self, metric: &str) -> impl Iterator<Item = (u32, f64)> {
        let later = self.records.iter().filter(|record| record.generation > 0);
        later.filter_map(move |record| record.metric(metric).map(|value| (record.generation, value)))
    }

    /// Generation 0 of a metric.
    pub fn baseline(&self, metric: &str) -> Option<f64> {
        self.records.iter().find(|record| record.generation == 0).and_then(|record| record.metric(metric))
    }

    /// The least-squares slope of a metric against the generation, over generations 1 to T.
    pub fn slope(&self, metric: &str) -> Option<f64> {
        let points: Vec<_> = self.values(metric).map(|(t, value)| (f64::from(t), value)).collect();
        let n = points.len() as f64;
        let (x, y) = (points.iter().map(|p| p.0).sum::<f64>() / n, points.iter().map(|p| p.1).sum::<f64>() / n);
        let spread: f64 = points.iter().map(|p| (p.0 - x).powi(2)).sum();
        let shared: f64 = points.iter().map(|p| (p.0 - x) * (p.1 - y)).sum();
        (points.len() > 1).then_some(shared / spread)
    }
}

/// First, last and baseline value and slope of every metric and setting, by metric name.
pub fn summary(records: &[Record]) -> Vec<SummaryRow> {
    let settings = settings(records);
    let metrics = view::described(records, &[]);
    metrics.iter().flat_map(|metric| settings.iter().map(|setting| row(setting, &metric.name))).collect()
}

/// One row of the table.
pub(crate) fn row(setting: &Setting<'_>, metric: &str) -> SummaryRow {
    let points = setting.series(metric).points;
    SummaryRow {
        metric: metric.to_owned(),
        setting: setting.label.clone(),
        baseline: setting.baseline(metric),
        first: points.first().copied(),
        last: points.last().copied(),
        slope: setting.slope(metric),
        n_cells: setting.cells.len(),
    }
}

pub(crate) fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::testing::{cell, record};

    #[test]
    fn seeds_are_pooled_and_generation_0_is_apart() {
        let mut records = cell("fully-synthetic", 0, "recall", &[0.8, 0.7, 0.5, 0.3]);
        records.extend(cell("fully-synthetic", 1, "recall", &[0.9, 0.6, 0.4]));
        records.extend(cell("fresh-data", 0, "recall", &[0.8, 0.7, 0.7, 0.7]));
        let all = settings(&records);
        assert_eq!(all.iter().map(|s| s.label.as_str()).collect::<Vec<_>>(), ["fully synthetic", "fresh data"]);
        let points = all[0].series("recall").points;
        assert_eq!(points.len(), 3);
        assert_eq!(points[0], Point { generation: 1, mean: (0.7 + 0.6) / 2.0, low: 0.6, high: 0.7, n_seeds: 2 });
        assert_eq!(points[2].n_seeds, 1);
        assert!((all[0].baseline("recall").expect("scored") - 0.85).abs() < 1e-12);
        assert!((all[0].slope("recall").expect("several points") + 0.2).abs() < 1e-12);
        let rows = summary(&records);
        assert_eq!(rows.len(), 2);
        assert_eq!(rows[0].last.map(|p| (p.generation, p.n_seeds)), Some((3, 1)));
        assert_eq!(rows[0].n_cells, 2);
    }

    #[test]
    fn missing_values_leave_gaps() {
        let mut records = cell("fresh-data", 0, "kid", &[0.1, 0.2, 0.3]);
        records[2].scores.set("kid", Err("n < 2".into()));
        records.push(record("fresh-data", 0, 3, &[]));
        let all = settings(&records);
        assert_eq!(all[0].series("kid").points.len(), 1);
        assert_eq!(all[0].slope("kid"), None);
        assert_eq!(all[0].series("absent").points, []);
        assert_eq!(all[0].generations(), 3);
        assert!(settings(&[]).is_empty() && summary(&[]).is_empty());
    }

    #[test]
    fn cells_of_one_seed_are_never_pooled() {
        let mut records = cell("fresh-data", 0, "kid", &[0.1, 0.2]);
        let mut twin = cell("fresh-data", 0, "kid", &[0.1, 0.9]);
        twin.iter_mut().for_each(|record| record.fixed.cell = "twin".into());
        records.extend(twin);
        let labels: Vec<_> = settings(&records).into_iter().map(|s| s.label).collect();
        assert_eq!(labels, ["fresh data (fresh-data-s0)", "fresh data (twin)"]);
    }

    #[test]
    fn runs_are_kept_apart() {
        let (a, b) = (cell("fresh-data", 0, "kid", &[0.1, 0.2]), cell("fresh-data", 1, "kid", &[0.1, 0.3]));
        let all = settings_of(&[("one", &a), ("two", &b)]);
        assert_eq!(all.iter().map(|s| s.label.as_str()).collect::<Vec<_>>(), ["fresh data (one)", "fresh data (two)"]);
    }
}
