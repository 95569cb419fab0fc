//! Sweep charts on the page: the figure as a picture, and its numbers folded below.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use madloop_core::Record;

use super::super::MetricInfo;
use super::super::canvas::svg;
use super::super::tables::plain;
use super::super::text::{escape, sentence_case};
use super::rows::table;
use super::{Sweep, sweeps};
use crate::config::ChartConfig;

/// All charts as figures of the page.
pub(crate) fn page(records: &[Record], charts: &[ChartConfig], metrics: &[MetricInfo]) -> String {
    sweeps(records, charts, metrics).iter().map(figure).collect::<Vec<_>>().concat()
}

/// One chart as a figure of the page.
pub(crate) fn figure(sweep: &Sweep) -> String {
    // A chart that cannot be drawn still has its numbers.
    let picture = svg(sweep).map_or_else(
        |_| String::new(),
        |text| {
            let (data, alt) = (STANDARD.encode(text), escape(&sweep.title));
            format!(r#"<img class="sweep" alt="{alt}" src="data:image/svg+xml;base64,{data}">"#)
        },
    );
    let table = table(sweep);
    format!(
        r#"<figure class="wide"><figcaption><p>{}.</p></figcaption>{picture}<details><summary>{}</summary>{}</details></figure>"#,
        escape(&sentence_case(sweep.metric.what.trim_end_matches('.'))),
        escape(&sentence_case(&table.what)),
        plain(&table.header, &table.rows, &table.title),
    )
}
