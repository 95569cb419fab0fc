//! The report: one HTML file that needs nothing else.

use std::collections::BTreeSet;

use serde_json::Value;

use super::plot::{COLOURS, dashes, plot};
use super::series::{Setting, settings, settings_of};
use super::text::{count, escape, sentence_case};
use super::view::described;
use super::{Direction, MetricInfo, RunView, chart, gallery, latents, limits, maps, meaning, panels, sweep, tables};

const CSS: &str = include_str!("../../assets/report.css");
const JS: &str = include_str!("../../assets/report.js");
/// Points of all charts of the page together, about: what keeps a long sweep's page small.
const POINTS: usize = 24_000;
/// Generations that one chart draws at most; its figure file draws them all.
const GENERATIONS: usize = 240;

/// The report of one or several runs: a page that works without a network and fetches nothing.
pub fn html(runs: &[RunView]) -> String {
    let title = match runs {
        [] => "No runs".to_owned(),
        [run] => run.heading().to_owned(),
        _ => count(runs.len(), "run"),
    };
    let mut body = String::new();
    let budget = budget(runs);
    match runs {
        [] => body.push_str("<header><h1>No runs</h1><p class=\"lede\">There is nothing to report yet.</p></header>"),
        [run] => body.push_str(&section(run, 0, true, budget)),
        _ => {
            body.push_str(&format!("<header><p class=\"over\">Self-consuming loops, compared</p><h1>{title}</h1>"));
            body.push_str("<nav><ul>");
            for (i, run) in runs.iter().enumerate() {
                body.push_str(&format!(r##"<li><a href="#run-{i}">{}</a></li>"##, escape(run.heading())));
            }
            body.push_str("</ul></nav></header>");
            body.push_str(&together(runs, budget));
            for (i, run) in runs.iter().enumerate() {
                body.push_str(&section(run, i, false, budget));
            }
        }
    }
    document(&title, &body)
}

/// A page in the report's style: complete in itself, and fetching nothing.
pub(crate) fn document(title: &str, body: &str) -> String {
    format!(
        r#"<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<meta name="color-scheme" content="light dark"><meta name="generator" content="madloop {version}">
<title>{} · madloop</title>
<style>
{CSS}</style></head>
<body><main>
{body}
<footer>Made by madloop {version}. This page is complete in itself and loads nothing from elsewhere.</footer>
</main><div id="tip" role="status" hidden></div>
<script>
{JS}</script></body></html>
"#,
        escape(title),
        version = env!("CARGO_PKG_VERSION"),
    )
}

/// Generations a chart may draw so that all charts together stay small.
fn budget(runs: &[RunView]) -> usize {
    let lines = |run: &RunView| settings(&run.records).len() * described(&run.records, &[]).len();
    let lines: usize = runs.iter().map(lines).sum::<usize>() * if runs.len() > 1 { 2 } else { 1 };
    (POINTS / lines.max(1)).clamp(6, GENERATIONS)
}

/// A run's part of the page.
fn section(run: &RunView, index: usize, alone: bool, budget: usize) -> String {
    let settings = settings(&run.records);
    let metrics = described(&run.records, &run.metrics);
    let id = format!("r{index}");
    let mut out = format!(r#"<article class="scope" id="run-{index}"><header>"#);
    let over = if alone { "A self-consuming loop, measured" } else { "Run" };
    let name = if run.title.is_empty() { String::new() } else { format!(" · {}", escape(&run.name)) };
    out.push_str(&format!(r#"<p class="over">{over}{name}</p>"#));
    let level = if alone { "h1" } else { "h2" };
    out.push_str(&format!("<{level}>{}</{level}>", escape(run.heading())));
    out.push_str(&format!(r#"<p class="lede">{}</p>"#, escape(&meaning(&run.records, &run.metrics))));
    out.push_str(&facts(run, &settings));
    if !run.note.trim().is_empty() {
        out.push_str(&format!(r#"<p class="note"><b>Expected.</b> {}</p>"#, escape(run.note.trim())));
    }
    out.push_str("</header>");
    let over_the_sweep = part("Over the sweep", &sweep::page(&run.records, &run.charts, &run.metrics));
    if limits::are_limits(&run.records) {
        out.push_str(&over_the_sweep);
        out.push_str(&part("All limits", &tables::limits(&run.records)));
    } else {
        out.push_str(&legend(&settings));
        out.push_str(&part("Over the generations", &charts(&settings, &metrics, &id, budget)));
        out.push_str(&over_the_sweep);
        out.push_str(&part("Training", &sweep::losses(&settings, &run.losses)));
        out.push_str(&part("Maps", &maps::page(&settings, &run.maps)));
        let mut samples = panels::figure(run) + &latents::figure(run) + &gallery::gallery(&settings, &run.pictures);
        if !samples.is_empty() && !run.picture_note.is_empty() {
            samples.push_str(&format!(r#"<p class="note">{}</p>"#, escape(&run.picture_note)));
        }
        out.push_str(&part("Samples", &samples));
        out.push_str(&part("First and last values", &tables::numbers(&settings, &metrics)));
    }
    out.push_str(&part("Outcomes", &tables::outcomes(&settings, &metrics)));
    let mut details = String::new();
    if !run.config_toml.trim().is_empty() {
        let toml = escape(run.config_toml.trim());
        let summary = "<summary>Configuration, as resolved</summary>";
        details.push_str(&format!(r#"<details>{summary}<pre tabindex="0"><code>{toml}</code></pre></details>"#));
    }
    if !run.provenance.is_null() {
        details.push_str("<details><summary>Provenance</summary>");
        details.push_str(&provenance(&run.provenance));
        details.push_str("</details>");
    }
    out.push_str(&part("How it was made", &details));
    out.push_str("</article>");
    out
}

/// Charts of the metrics that at least two runs share, with the settings of all.
fn together(runs: &[RunView], budget: usize) -> String {
    let groups: Vec<_> = runs.iter().map(|run| (run.name.as_str(), run.records.as_slice())).collect();
    let settings = settings_of(&groups);
    let mut metrics: Vec<MetricInfo> = Vec::new();
    for run in runs {
        for info in described(&run.records, &run.metrics) {
            let has = |run: &&RunView| run.records.iter().any(|r| r.metric(&info.name).is_some());
            if runs.iter().filter(has).count() > 1 && metrics.iter().all(|known| known.name != info.name) {
                metrics.push(info);
            }
        }
    }
    let charts = charts(&settings, &metrics, "all", budget);
    if charts.is_empty() {
        return String::new();
    }
    format!(
        r#"<article class="scope" id="together">{}{}{}</article>"#,
        legend(&settings),
        part("Together", &charts),
        part("First and last values of all runs", &tables::numbers(&settings, &metrics)),
    )
}

pub(crate) fn part(title: &str, content: &str) -> String {
    if content.is_empty() {
        String::new()
    } else {
        format!("<section><h3 class=\"part\">{title}</h3>{content}</section>")
    }
}

/// What was run, in a line of short facts.
fn facts(run: &RunView, settings: &[Setting<'_>]) -> String {
    let seeds: BTreeSet<u64> = settings.iter().flat_map(|s| &s.cells).map(|cell| cell.seed).collect();
    let generations = settings.iter().map(Setting::generations).max().unwrap_or(0);
    let mut facts = match limits::are_limits(&run.records) {
        true => vec![count(settings.len(), "limit"), count(seeds.len(), "seed")],
        false => vec![
            count(settings.len(), "setting"),
            count(seeds.len(), "seed"),
            count(generations as usize, "generation"),
        ],
    };
    let each = |value: &dyn Fn(&madloop_core::Record) -> String| {
        let all: BTreeSet<String> = run.records.iter().map(value).filter(|text| !text.is_empty()).collect();
        all.into_iter().collect::<Vec<_>>().join(", ")
    };
    let models = each(&|r| r.model.clone());
    if !models.is_empty() {
        facts.push(format!("model {models}"));
    }
    if seeds.len() > 1 {
        facts.push("lines: means over seeds, bands: least to largest seed".into());
    }
    let features = each(&|r| r.features.clone());
    if !features.is_empty() {
        facts.push(format!("features {features}"));
    }
    if let Some(n) = run.records.iter().map(|r| r.n_eval).max().filter(|n| *n > 0) {
        facts.push(format!("{n} samples scored"));
    }
    let items: Vec<String> = facts.iter().map(|fact| format!("<li>{}</li>", escape(fact))).collect();
    format!(r#"<ul class="facts">{}</ul>"#, items.concat())
}

/// The legend of a scope: it switches the lines of all its charts.
fn legend(settings: &[Setting<'_>]) -> String {
    if settings.is_empty() {
        return String::new();
    }
    // A long legend would cover the charts if it stayed in view.
    let long = if settings.len() > 8 { " long" } else { "" };
    let mut out = format!(r#"<div class="legend{long}" role="group" aria-label="settings shown">"#);
    for setting in settings {
        let strokes: Vec<String> = dashes(setting.style).iter().map(f64::to_string).collect();
        out.push_str(&format!(
            r#"<button type="button" class="c{}" data-key="{}" aria-pressed="true"><svg class="swatch" viewBox="0 0 28 10" aria-hidden="true"><line x1="1" x2="27" y1="5" y2="5" stroke-dasharray="{}"/></svg><span>{}</span></button>"#,
            setting.style % COLOURS,
            setting.style,
            if strokes.is_empty() { "none".into() } else { strokes.join(" ") },
            escape(&setting.label),
        ));
    }
    out.push_str(r#"<span class="realkey"><svg class="swatch" viewBox="0 0 28 10" aria-hidden="true"><line class="base" x1="1" x2="27" y1="5" y2="5"/></svg>real data</span></div>"#);
    out
}

fn charts(settings: &[Setting<'_>], metrics: &[MetricInfo], id: &str, budget: usize) -> String {
    let mut cards = String::new();
    for (i, info) in metrics.iter().enumerate() {
        let Some(plot) = plot(settings, info) else { continue };
        let all = plot.generations.len();
        let plot = plot.thinned(budget);
        let mut what: Vec<String> = Vec::new();
        if !info.what.trim().is_empty() {
            what.push(sentence_case(info.what.trim().trim_end_matches('.')));
        }
        if plot.generations.len() < all {
            what.push(format!("Drawn at {} of {all} generations", plot.generations.len()));
        }
        let what = if what.is_empty() { String::new() } else { format!("{}.", what.join(". ")) };
        let way = match (chart::better(info.direction), info.direction) {
            (Some(words), Direction::Higher) => format!(r#"<span class="way">↑ {words}</span>"#),
            (Some(words), _) => format!(r#"<span class="way">↓ {words}</span>"#),
            (None, _) => String::new(),
        };
        cards.push_str(&format!(
            r#"<figure><figcaption><h4>{}</h4>{way}<p>{}</p></figcaption>{}</figure>"#,
            escape(&info.title),
            escape(&what),
            chart::svg(&plot, &format!("{id}-{i}")),
        ));
    }
    if cards.is_empty() { cards } else { format!(r#"<div class="charts">{cards}</div>"#) }
}

/// Provenance as a list of names and values; what is nested is shown as JSON.
fn provenance(value: &Value) -> String {
    let text = |value: &Value| match value {
        Value::String(text) => escape(text),
        Value::Array(_) | Value::Object(_) => {
            format!("<pre>{}</pre>", escape(&serde_json::to_string_pretty(value).unwrap_or_default()))
        }
        other => escape(&other.to_string()),
    };
    let Value::Object(map) = value else { return format!(r#"<div class="plain">{}</div>"#, text(value)) };
    let rows = map.iter().map(|(key, value)| format!("<dt>{}</dt><dd>{}</dd>", escape(key), text(value)));
    format!("<dl>{}</dl>", rows.collect::<Vec<_>>().concat())
}

#[cfg(test)]
#[path = "html_tests.rs"]
mod tests;
