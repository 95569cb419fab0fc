//! Tests of the page.

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
