//! What the report is made from.

use std::collections::BTreeSet;

use madloop_core::{Map, Record};

use super::text::sentence_case;

/// Which way a metric gets better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Direction {
    /// More is better: shares, counts of modes.
    Higher,
    /// Less is better: distances.
    Lower,
    /// Neither; the value of real data is the one to keep.
    #[default]
    Neither,
}

/// A metric as a reader sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetricInfo {
    /// Its key in the records, such as `frechet_distance`.
    pub name: String,
    /// Its name in words, such as `Fréchet distance`.
    pub title: String,
    /// One line on what it measures.
    pub what: String,
    /// Which way it gets better.
    pub direction: Direction,
}

impl MetricInfo {
    /// A metric that no catalogue describes: its title is its name in words.
    pub fn unknown(name: &str) -> Self {
        const ACRONYMS: [&str; 5] = ["fid", "kid", "sfid", "mmd", "w2"];
        let word = |word| if ACRONYMS.contains(&word) { word.to_uppercase() } else { word.to_owned() };
        let title = sentence_case(&name.split('_').map(word).collect::<Vec<_>>().join(" "));
        Self { name: name.to_owned(), title, what: String::new(), direction: Direction::Neither }
    }
}

/// One picture of a generation's samples.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// The cell it belongs to, as in its records.
    pub cell: String,
    /// The generation; 0 is real data.
    pub generation: u32,
    /// The file, as [`picture`](super::picture()) makes it.
    pub png: Vec<u8>,
}

/// The loss of one training.
#[derive(Debug, Clone, PartialEq)]
pub struct LossCurve {
    /// The cell it belongs to.
    pub cell: String,
    /// The generation.
    pub generation: u32,
    /// Steps, and the mean loss since the step before in the list.
    pub points: Vec<(usize, f64)>,
}

/// The map of one generation.
#[derive(Debug, Clone, PartialEq)]
pub struct MapView {
    /// The cell it belongs to.
    pub cell: String,
    /// The generation; 0 is held-out real data.
    pub generation: u32,
    /// Its samples beside real ones.
    pub map: Map,
}

/// One run as the report shows it.
#[derive(Debug, Clone, Default)]
pub struct RunView {
    /// Name of the run.
    pub name: String,
    /// Its heading; the name is shown when it is empty.
    pub title: String,
    /// What the experiment is expected to show; may be empty.
    pub note: String,
    /// The records of all cells.
    pub records: Vec<Record>,
    /// The resolved configuration.
    pub config_toml: String,
    /// Versions, device and checksums.
    pub provenance: serde_json::Value,
    /// Pictures of samples.
    pub pictures: Vec<Picture>,
    /// Samples of the latents that all generations share.
    pub latents: Vec<Picture>,
    /// What the pictures show beside the samples; may be empty.
    pub picture_note: String,
    /// Loss curves of cells and generations.
    pub losses: Vec<LossCurve>,
    /// Maps of generations beside real samples.
    pub maps: Vec<MapView>,
    /// What is shown beside the charts.
    pub report: crate::config::ReportConfig,
    /// Charts over the sweep.
    pub charts: Vec<crate::config::ChartConfig>,
    /// The metrics in the order of display; one that only the records know comes after them.
    pub metrics: Vec<MetricInfo>,
}

impl RunView {
    /// The heading.
    pub(crate) fn heading(&self) -> &str {
        if self.title.is_empty() { &self.name } else { &self.title }
    }
}

/// Descriptions of every metric that occurs in the records: the given ones first, then the rest by name.
pub(crate) fn described<'a>(records: impl IntoIterator<Item = &'a Record>, metrics: &[MetricInfo]) -> Vec<MetricInfo> {
    let mut found: BTreeSet<&str> = BTreeSet::new();
    for record in records {
        found.extend(record.scores.values.keys().map(String::as_str));
    }
    let mut all: Vec<MetricInfo> = Vec::new();
    for info in metrics {
        if found.remove(info.name.as_str()) {
            all.push(info.clone());
        }
    }
    all.extend(found.into_iter().map(MetricInfo::unknown));
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::testing::record;

    #[test]
    fn unknown_metrics_come_after_the_known_ones() {
        let records = [record("a", 0, 1, &[("zeta_value", 1.0), ("recall", 0.5)])];
        let known = MetricInfo { title: "Recall".into(), ..MetricInfo::unknown("recall") };
        let absent = MetricInfo::unknown("kid");
        let all = described(&records, &[absent, known.clone()]);
        assert_eq!(all.len(), 2);
        assert_eq!(all[0], known);
        assert_eq!(all[1].title, "Zeta value");
    }
}
