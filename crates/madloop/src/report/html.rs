//! The report: one HTML file that needs nothing else.

use std::collections::BTreeSet;

use serde_json::Value;

use super::plot::{COLOURS, dashes, plot};
use super::series::{Setting, settings, settings_of};
use super::text::{count, escape, sentence_case};
use super::view::described;
use super::{Direction, MetricInfo, RunView, chart, gallery, limits, meaning, panels, sweep, tables};

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
        let samples = panels::figure(run) + &gallery::gallery(&settings, &run.pictures);
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
mod tests {
    use madloop_core::{Record, Samples, Shape};

    use super::*;
    use crate::report::testing::{cell, info};
    use crate::report::{Picture, picture};

    /// Fails unless every tag is closed in order.
    fn well_formed(html: &str) {
        const VOID: [&str; 5] = ["meta", "img", "br", "!doctype", "link"];
        let start = html.find("<style>").expect("a style");
        let end = html.find("</style>").expect("a style");
        let script = html.rfind("<script>").expect("a script");
        let last = html.rfind("</script>").expect("a script");
        let text = [&html[..start], &html[end + 8..script], &html[last + 9..]].concat();
        let mut open: Vec<String> = Vec::new();
        for piece in text.split('<').skip(1) {
            let (tag, after) = piece.split_once('>').expect("a closed bracket");
            assert!(!after.contains('>'), "a bare bracket: {piece}");
            assert!(tag.matches('"').count().is_multiple_of(2), "quotes: {tag}");
            let name: String = tag.trim_start_matches('/').chars().take_while(|c| !" /\n".contains(*c)).collect();
            if tag.starts_with('/') {
                assert_eq!(open.pop().as_deref(), Some(name.as_str()), "at {piece}");
            } else if !tag.ends_with('/') && !VOID.contains(&name.as_str()) {
                open.push(name);
            }
        }
        assert!(open.is_empty(), "{open:?}");
    }

    fn run(name: &str, records: Vec<Record>) -> RunView {
        RunView {
            name: name.into(),
            records,
            config_toml: "name = \"<b>\"\n".into(),
            provenance: serde_json::json!({"cpu": "x<y", "versions": {"madloop": "0"}}),
            metrics: vec![info("recall", Direction::Higher)],
            ..RunView::default()
        }
    }

    fn two(metric: &str) -> Vec<Record> {
        let mut records = cell("fully-synthetic", 0, metric, &[0.8, 0.7, 0.3]);
        records.extend(cell("fresh-data", 0, metric, &[0.8, 0.7, 0.7]));
        records
    }

    #[test]
    fn a_page_is_well_formed_and_fetches_nothing() {
        let mut view = run("a", two("recall"));
        let shape = Shape::Image { channels: 1, height: 2, width: 2 };
        let png = picture(&Samples::from_u8(shape, vec![7; 16]).expect("four rows"), None).expect("images");
        view.pictures = vec![Picture { cell: "fresh-data-s0".into(), generation: 0, png }];
        view.note = "Recall falls.".into();
        let page = html(&[view]);
        well_formed(&page);
        for part in ["http:", "https:", "url(", "@import", "src=\"/"] {
            assert!(!page.contains(part), "{part}");
        }
        assert_eq!(page.matches("<img").count(), 1);
        assert_eq!(page.matches("class=\"legend\"").count(), 1);
        assert!(page.contains("Fresh real data in every generation held it at 0.70"));
        assert!(page.contains("name = &quot;&lt;b&gt;&quot;") && page.contains("x&lt;y"));
    }

    #[test]
    fn names_cannot_carry_markup() {
        const EVIL: &str = "</script><script>alert(1)</script>\"'<img src=x>";
        let mut records = two("recall");
        for record in &mut records {
            record.scores.set(EVIL, Ok(1.0));
            record.scores.set("kid", Err(EVIL.into()));
            record.fixed.kind = format!("{}{EVIL}", record.fixed.kind);
            record.fixed.model = EVIL.into();
            record.fixed.features = EVIL.into();
            record.params.insert(EVIL.into(), EVIL.into());
            record.outcome = madloop_core::Outcome::Degenerate(EVIL.into());
        }
        let mut view = run(EVIL, records);
        (view.title, view.note, view.config_toml) = (EVIL.into(), EVIL.into(), EVIL.into());
        view.provenance = serde_json::json!({EVIL: EVIL, "b": [EVIL]});
        let page = html(&[view.clone(), view]);
        well_formed(&page);
        assert_eq!(page.matches("<script").count(), 1);
        assert!(!page.contains("<img") && !page.contains("alert(1)</script>\""));
    }

    #[test]
    fn several_runs_share_charts() {
        let page = html(&[run("one", two("recall")), run("two", two("recall")), run("three", two("kid"))]);
        well_formed(&page);
        assert_eq!(page.matches("<svg class=\"chart\"").count(), 4);
        assert!(page.contains("id=\"together\"") && page.contains("fresh data (two)"));
        assert_eq!(page.matches("id=\"all-0-t\"").count(), 1);
        let apart = html(&[run("one", two("recall")), run("three", two("kid"))]);
        assert!(!apart.contains("id=\"together\""));
    }

    #[test]
    fn empty_runs_are_pages_too() {
        well_formed(&html(&[]));
        let page = html(&[RunView { name: "nothing yet".into(), ..RunView::default() }]);
        well_formed(&page);
        assert!(page.contains("No metric has a value yet"));
    }

    #[test]
    fn long_sweeps_stay_small() {
        let mut records = Vec::new();
        for setting in 0..12u32 {
            for seed in 0..2 {
                for generation in 0..=2000u32 {
                    let mut record = crate::report::testing::record("fully-synthetic", seed, generation, &[]);
                    record.fixed.cell = format!("{setting}-{seed}");
                    record.params.insert("loop.n_synthetic".into(), (setting * 100).into());
                    for metric in ["recall", "precision", "frechet_distance", "trace_cov", "kid", "coverage"] {
                        let value = 1.0 + f64::from(generation * (setting + 1) + seed as u32).sin() / 3.0;
                        record.scores.set(metric, Ok(value));
                    }
                    records.push(record);
                }
            }
        }
        let page = html(&[run("long", records)]);
        assert!(page.len() < 2_000_000, "{}", page.len());
        assert!(page.contains("of 2000 generations."));
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]
        /// Whatever the numbers, there is a page and no number on it is NaN.
        #[test]
        fn any_numbers_make_a_page(
            cells in proptest::collection::vec(
                (0usize..4, 0u64..3, proptest::collection::vec(proptest::option::of(-1e9f64..1e9), 0..12), 0u32..3),
                0..8,
            ),
            scale in proptest::sample::select(vec![1e-15, 1e-9, 1.0, 1e9, 0.0]),
        ) {
            let mut records = Vec::new();
            for (kind, seed, values, outcome) in cells {
                let kind = ["fully-synthetic", "synthetic-augmentation", "fresh-data", "other"][kind];
                for (generation, value) in (0..).zip(values) {
                    let mut record = crate::report::testing::record(kind, seed, generation, &[]);
                    for metric in ["recall", "kid"] {
                        record.scores.set(metric, value.map(|v| (v * scale).abs()).ok_or("none".into()));
                    }
                    record.scores.set("signed", value.map(|v| v * scale).ok_or("none".into()));
                    if outcome == 1 {
                        record.outcome = madloop_core::Outcome::Ended("the loss is not a number".into());
                    }
                    records.push(record);
                }
            }
            let view = run("any", records);
            let text = meaning(&view.records, &view.metrics);
            proptest::prop_assert!(text.ends_with('.') && !text.contains("NaN") && !text.contains("  "), "{}", text);
            let page = html(&[view]);
            well_formed(&page);
            proptest::prop_assert!(!page.contains("NaN") && !page.contains("inf\""), "{}", page);
        }
    }
}
