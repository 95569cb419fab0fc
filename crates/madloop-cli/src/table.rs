//! The table at the end of a run: what each setting came to.

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use madloop::report::{MetricInfo, SummaryRow, summary};
use madloop_core::Record;

/// One row a setting, one column a metric: its value at the first and the last generation, means over seeds. Returns the table
/// and the number of metrics for which there was no room.
pub(crate) fn of_records(records: &[Record], metrics: &[MetricInfo]) -> (Table, usize) {
    const MOST: usize = 6;
    let rows = summary(records);
    let known = |info: &&MetricInfo| rows.iter().any(|row| row.metric == info.name && row.last.is_some());
    let mut shown: Vec<&MetricInfo> = metrics.iter().filter(known).collect();
    let hidden = shown.len().saturating_sub(MOST);
    shown.truncate(MOST);
    let mut settings: Vec<&str> = Vec::new();
    for row in &rows {
        if !settings.contains(&row.setting.as_str()) {
            settings.push(&row.setting);
        }
    }
    let find = |setting: &str, metric: &str| rows.iter().find(|row| row.setting == setting && row.metric == metric);
    let mut table = plain();
    let last = records.iter().map(|record| record.generation).max().unwrap_or(0);
    let heading = format!("generation 1 -> {last}");
    table.set_header(std::iter::once(heading.as_str()).chain(shown.iter().map(|info| info.name.as_str())));
    let baseline = |info: &&MetricInfo| {
        let value = settings.iter().find_map(|setting| find(setting, &info.name)?.baseline);
        value.map_or_else(String::new, number)
    };
    table.add_row(std::iter::once("real data".to_owned()).chain(shown.iter().map(baseline)));
    for setting in &settings {
        let cell = |info: &&MetricInfo| find(setting, &info.name).map_or_else(String::new, change);
        table.add_row(std::iter::once((*setting).to_owned()).chain(shown.iter().map(cell)));
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    (table, hidden)
}

fn change(row: &SummaryRow) -> String {
    match (&row.first, &row.last) {
        (Some(first), Some(last)) if first.generation != last.generation => {
            format!("{} -> {}", number(first.mean), number(last.mean))
        }
        (_, Some(last)) => number(last.mean),
        _ => "undefined".into(),
    }
}

/// Three significant digits.
pub(crate) fn number(value: f64) -> String {
    match value.abs() {
        0.0 => "0".into(),
        size if !(0.001..100_000.0).contains(&size) => format!("{value:.2e}"),
        size => {
            let digits = (2 - size.log10().floor() as i32).max(0) as usize;
            format!("{value:.digits$}")
        }
    }
}

/// A table in this program's style.
pub(crate) fn plain() -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY).set_content_arrangement(ContentArrangement::Dynamic);
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_digits() {
        let cases =
            [(0.0, "0"), (0.123456, "0.123"), (1.0, "1.00"), (-12.345, "-12.3"), (1234.6, "1235"), (1e-7, "1.00e-7")];
        for (value, text) in cases {
            assert_eq!(number(value), text);
        }
    }
}
