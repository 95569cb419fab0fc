//! The tables of the page: first and last values, outcomes, metrics without a value.

use std::collections::BTreeMap;

use madloop_core::Record;

use super::plot::COLOURS;
use super::series::{Point, row};
use super::text::{count, escape, number};
use super::{Direction, MetricInfo, Setting};

/// Rows of a list of outcomes or reasons before the rest is only counted.
const LISTED: usize = 40;

/// First and last values, their slope and real data's value, by metric and setting.
pub(crate) fn numbers(settings: &[Setting<'_>], metrics: &[MetricInfo]) -> String {
    let mut out = String::from(
        r#"<div class="scroll" tabindex="0" role="region" aria-label="first and last values"><table class="numbers"><thead><tr><th scope="col">metric</th><th scope="col">setting</th><th scope="col">first</th><th scope="col">last</th><th scope="col">change per generation</th><th scope="col">real data</th><th scope="col">seeds</th></tr></thead>"#,
    );
    let mut any = false;
    for metric in metrics {
        let rows: Vec<_> = settings.iter().map(|s| (s.style, row(s, &metric.name))).collect();
        if rows.iter().all(|(_, row)| row.first.is_none()) {
            continue;
        }
        any = true;
        out.push_str("<tbody>");
        let arrow = match metric.direction {
            Direction::Higher => r#" <span class="way" title="higher is better">↑</span>"#,
            Direction::Lower => r#" <span class="way" title="lower is better">↓</span>"#,
            Direction::Neither => "",
        };
        for (i, (style, row)) in rows.iter().enumerate() {
            out.push_str(&format!(r#"<tr class="c{}" data-s="{style}">"#, style % COLOURS));
            let metric = if i == 0 { format!("{}{arrow}", escape(&metric.title)) } else { String::new() };
            let header = if i == 0 { r#"th scope="row""# } else { "td" };
            out.push_str(&format!(r#"<{header} class="metric">{metric}</{}>"#, &header[..2]));
            out.push_str(&format!(r#"<td class="name"><i class="key"></i>{}</td>"#, escape(&row.setting)));
            out.push_str(&format!("<td>{}</td><td>{}</td>", at(row.first), at(row.last)));
            let slope = row.slope.map_or("–".into(), |slope| {
                let sign = if slope > 0.0 { "+" } else { "" };
                format!("{sign}{}", number(slope, 2))
            });
            let real = row.baseline.map_or("–".into(), |value| number(value, 3));
            let seeds = match row.last {
                Some(last) if last.n_seeds < row.n_cells => format!("{} of {}", last.n_seeds, row.n_cells),
                _ => row.n_cells.to_string(),
            };
            out.push_str(&format!("<td>{slope}</td><td>{real}</td><td>{seeds}</td></tr>"));
        }
        out.push_str("</tbody>");
    }
    out.push_str("</table></div>");
    if any { out } else { String::new() }
}

fn at(point: Option<Point>) -> String {
    point.map_or("–".into(), |p| format!(r#"{} <span class="t">t = {}</span>"#, number(p.mean, 3), p.generation))
}

/// All limits, folded when they are many.
pub(crate) fn limits(records: &[Record]) -> String {
    let (header, rows) = super::limits::table(records);
    let table = plain(&header, &rows, "limits");
    match rows.len() {
        0 => String::new(),
        n if n > LISTED => format!("<details><summary>{}</summary>{table}</details>", count(n, "limit")),
        _ => table,
    }
}

/// A table of texts; the first column names its rows.
pub(crate) fn plain(header: &[String], rows: &[Vec<String>], label: &str) -> String {
    let label = escape(label);
    let has_words = |text: &String| text.split(' ').filter(|word| word.chars().all(char::is_alphabetic)).count() > 2;
    let words = if rows.iter().flatten().any(has_words) { " words" } else { "" };
    let mut out = format!(
        r#"<div class="scroll" tabindex="0" role="region" aria-label="{label}"><table class="numbers plain{words}"><thead><tr>"#
    );
    header.iter().for_each(|name| out.push_str(&format!(r#"<th scope="col">{}</th>"#, escape(name))));
    out.push_str("</tr></thead><tbody>");
    for row in rows {
        let cells: Vec<String> = row.iter().map(|text| format!("<td>{}</td>", escape(text))).collect();
        out.push_str(&format!("<tr>{}</tr>", cells.concat()));
    }
    out.push_str("</tbody></table></div>");
    out
}

/// Cells that ended and models that became degenerate, and metrics without a value, with the reasons.
pub(crate) fn outcomes(settings: &[Setting<'_>], metrics: &[MetricInfo]) -> String {
    let mut items = Vec::new();
    for setting in settings {
        for cell in &setting.cells {
            for (name, word) in [("ended", "ended"), ("degenerate", "became degenerate")] {
                let found: Vec<_> = cell.records.iter().filter(|r| r.outcome.name() == name).collect();
                let Some(first) = found.first() else { continue };
                let why = escape(first.outcome.reason().unwrap_or_default());
                let later = found.len() - 1;
                let more =
                    if later > 0 { format!(" ({} later too)", count(later, "generation")) } else { String::new() };
                items.push(format!(
                    "<li><b>{}</b>, seed {}: {word} at generation {}{more}: {why}</li>",
                    escape(&setting.label),
                    cell.seed,
                    first.generation
                ));
            }
        }
    }
    let mut out = String::new();
    if !items.is_empty() {
        out.push_str(&format!("<h3>How cells ended</h3>{}", listing(items)));
    }
    let undefined = undefined(settings, metrics);
    if !undefined.is_empty() {
        out.push_str(&format!("<h3>Metrics without a value</h3>{}", listing(undefined)));
    }
    out
}

/// One item for each metric and reason.
fn undefined(settings: &[Setting<'_>], metrics: &[MetricInfo]) -> Vec<String> {
    /// Where a metric has no value for one reason.
    #[derive(Default)]
    struct Where<'a> {
        settings: Vec<&'a str>,
        first: u32,
        last: u32,
        records: usize,
    }
    let mut found: BTreeMap<(&str, &str), Where<'_>> = BTreeMap::new();
    for setting in settings {
        for record in setting.cells.iter().flat_map(|cell| &cell.records) {
            for (metric, why) in &record.scores.undefined {
                let new = Where { first: record.generation, ..Where::default() };
                let at = found.entry((metric, why)).or_insert(new);
                at.first = at.first.min(record.generation);
                at.last = at.last.max(record.generation);
                at.records += 1;
                if at.settings.last() != Some(&setting.label.as_str()) {
                    at.settings.push(&setting.label);
                }
            }
        }
    }
    let item = |((metric, why), at): ((&str, &str), Where<'_>)| {
        let title = metrics.iter().find(|info| info.name == metric).map_or(metric, |info| &info.title);
        let when = if at.first == at.last {
            format!("generation {}", at.first)
        } else {
            format!("{} from generation {} to {}", count(at.records, "record"), at.first, at.last)
        };
        let of = if at.settings.len() == settings.len() { "all settings".into() } else { at.settings.join("; ") };
        format!("<li><b>{}</b>: {} <span class=\"t\">({}; {when})</span></li>", escape(title), escape(why), escape(&of))
    };
    found.into_iter().map(item).collect()
}

fn listing(mut items: Vec<String>) -> String {
    let more = items.len().saturating_sub(LISTED);
    items.truncate(LISTED);
    if more > 0 {
        items.push(format!("<li>and {more} more</li>"));
    }
    format!("<ul>{}</ul>", items.concat())
}

#[cfg(test)]
mod tests {
    use madloop_core::Outcome;

    use super::*;
    use crate::report::testing::{cell, info};
    use crate::report::{settings, view};

    #[test]
    fn numbers_and_reasons_are_listed() {
        let mut records = cell("fully-synthetic", 4, "recall", &[0.8, 0.6, 0.5, 0.4]);
        records[2].outcome = Outcome::Degenerate("rank 1 of 2".into());
        records[3].outcome = Outcome::Degenerate("rank 1 of 2".into());
        for record in &mut records[2..] {
            record.scores.set("kid", Err("n < 2 & so on".into()));
        }
        let metrics = view::described(&records, &[info("recall", Direction::Higher)]);
        let settings = settings(&records);
        let table = numbers(&settings, &metrics);
        assert!(table.contains("0.600 <span class=\"t\">t = 1</span>"), "{table}");
        assert!(table.contains("−0.10") && table.contains("0.800") && !table.contains("KID"), "{table}");
        let text = outcomes(&settings, &metrics);
        assert!(
            text.contains("seed 4: became degenerate at generation 2 (1 generation later too): rank 1 of 2"),
            "{text}"
        );
        assert!(text.contains("<b>KID</b>: n &lt; 2 &amp; so on"), "{text}");
        assert!(text.contains("2 records from generation 2 to 3"), "{text}");
        assert_eq!(outcomes(&settings[..0], &metrics), "");
        assert_eq!(numbers(&settings[..0], &metrics), "");
        assert_eq!(listing(vec!["<li></li>".into(); 50]).matches("<li>").count(), LISTED + 1);
    }
}
