//! The table of metrics in docs/scoring.md is the catalogue's.

use madloop_metrics::{CATALOG, Direction, Of};

const DOCS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/scoring.md");

fn table() -> String {
    let mut table = String::from("| metric | better | range | swap | of | needs | with n | what it is | source |\n");
    table += "|---|---|---|---|---|---|---|---|---|\n";
    for metric in &CATALOG {
        let better = match metric.direction {
            Direction::HigherIsBetter => "higher",
            Direction::LowerIsBetter => "lower",
            Direction::Neither => "",
        };
        let of = match metric.of {
            Of::Features => "features",
            Of::Model => "model",
            Of::Modes => "modes",
            Of::Tail => "samples of a known law",
            Of::Likelihood => "held-out real samples and a density",
            Of::Training => "features and training set",
            Of::Inception => "Inception's outputs",
            Of::Downstream => "labelled samples",
        };
        let end = |value: f64| if value.is_infinite() { "inf".to_owned() } else { value.to_string() };
        let (low, high) = metric.range;
        let open = if low.is_infinite() { "(-inf".to_owned() } else { format!("[{}", end(low)) };
        let close = if high.is_infinite() { "inf)".to_owned() } else { format!("{}]", end(high)) };
        let swap = if metric.symmetric { "same" } else { "" };
        let row = [
            format!("`{}`", metric.name),
            better.to_owned(),
            format!("{open}, {close}"),
            swap.to_owned(),
            of.to_owned(),
            metric.minimum_n.to_owned(),
            metric.bias.to_owned(),
            metric.what.replace('|', "\\|"),
            metric.reference.to_owned(),
        ];
        table += &format!("| {} |\n", row.join(" | "));
    }
    table
}

/// `MADLOOP_UPDATE_DOCS=1 cargo test -p madloop-metrics docs` writes the table.
#[test]
#[expect(clippy::disallowed_methods, reason = "a test of a file")]
fn the_table_of_metrics_is_the_catalogue() {
    const ENDS: [&str; 2] = ["<!-- metrics -->\n", "<!-- /metrics -->"];
    let text = std::fs::read_to_string(DOCS).expect("docs/scoring.md");
    let start = text.find(ENDS[0]).expect("the table's beginning") + ENDS[0].len();
    let end = text.find(ENDS[1]).expect("the table's end");
    if std::env::var_os("MADLOOP_UPDATE_DOCS").is_some() {
        std::fs::write(DOCS, format!("{}{}{}", &text[..start], table(), &text[end..])).expect("docs/scoring.md");
    } else {
        assert!(
            text[start..end] == table(),
            "docs/scoring.md differs: MADLOOP_UPDATE_DOCS=1 cargo test -p madloop-metrics docs"
        );
    }
}
