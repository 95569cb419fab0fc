//! What calculated limits mean, in two sentences, and the table of all of them.

use std::collections::BTreeMap;

use madloop_core::Record;

use super::label::plain;
use super::text::{count, list, number, pair, sentence_case};

const RATIO: &str = "n_e_over_n_r";

/// Whether the records are of limits rather than of generations.
pub fn are_limits(records: &[Record]) -> bool {
    !records.is_empty() && records.iter().all(|record| record.quantity.as_deref() == Some("limit"))
}

/// The limits themselves, with n_e / n_r.
fn limits(records: &[Record]) -> Vec<(&Record, f64)> {
    let last = records.iter().filter(|record| record.generation > 0);
    last.filter_map(|record| Some((record, record.metric(RATIO)?))).collect()
}

/// Two sentences: in how many settings synthetic data does no harm, and how that depends on the sampling bias.
pub(crate) fn meaning(records: &[Record]) -> String {
    let limits = limits(records);
    let ratios = || limits.iter().map(|(_, ratio)| *ratio);
    let helps = |ratio: f64| ratio >= 1.0;
    let (low, high) = (ratios().fold(f64::INFINITY, f64::min), ratios().fold(f64::NEG_INFINITY, f64::max));
    if low > high {
        return "No limit is calculated yet, so there is nothing to compare.".into();
    }
    let good = ratios().filter(|&ratio| helps(ratio)).count();
    let of_all = |good: usize, all: usize| match good {
        0 => format!("none of {}", count(all, "setting")),
        good if good == all => format!("all {}", count(all, "setting")),
        good => format!("{good} of {}", count(all, "setting")),
    };
    let range = match pair(low, high) {
        (low, high) if low == high => low,
        (low, high) => format!("{low} to {high}"),
    };
    let first = match limits.len() {
        1 => format!(
            "In the limit the loop is worth {range} times its fresh real samples alone, so its synthetic data {}.",
            if good == 1 { "does no harm" } else { "harms" }
        ),
        all => format!(
            "In the limit {} are worth as much as their fresh real samples alone or more: n_e / n_r is {range}.",
            of_all(good, all)
        ),
    };
    let mut by_lambda: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
    for (record, ratio) in &limits {
        // Positive numbers are ordered as their bits are.
        by_lambda.entry(record.lambda.to_bits()).or_default().push(*ratio);
    }
    if by_lambda.len() < 2 {
        return sentence_case(&first);
    }
    let told = by_lambda.iter().rev().take(6).map(|(bits, ratios)| {
        let good = ratios.iter().filter(|&&ratio| helps(ratio)).count();
        format!("{} at λ = {}", of_all(good, ratios.len()), plain(f64::from_bits(*bits)))
    });
    format!("{first} Synthetic data does no harm in {}.", list(&told.collect::<Vec<_>>()))
}

/// A header and a row a limit.
pub fn table(records: &[Record]) -> (Vec<String>, Vec<Vec<String>>) {
    let header = ["λ", "history", "n_r", "n_s", "n_e / n_r", "95 %", "n_e", "squared W2", "real samples alone"];
    let alone: BTreeMap<&str, f64> = records
        .iter()
        .filter(|record| record.generation == 0)
        .filter_map(|record| Some((record.cell.as_str(), record.metric("model_w2_sq")?)))
        .collect();
    let row = |(record, ratio): &(&Record, f64)| {
        let value = |name: &str| record.metric(name).map_or_else(|| "–".into(), |value| number(value, 3));
        let interval = record.scores.intervals.get(RATIO);
        let history = record.history.as_str().map_or_else(|| record.history.to_string(), str::to_owned);
        vec![
            plain(record.lambda),
            history,
            record.n_real.to_string(),
            record.n_synthetic.to_string(),
            number(*ratio, 3),
            interval.map_or_else(|| "exact".into(), |i| format!("{} to {}", number(i.low, 3), number(i.high, 3))),
            value("n_e"),
            value("model_w2_sq"),
            alone.get(record.cell.as_str()).map_or_else(|| "–".into(), |value| number(*value, 3)),
        ]
    };
    let mut rows = limits(records);
    rows.sort_by(|(a, _), (b, _)| {
        let order = b.lambda.total_cmp(&a.lambda).then_with(|| a.history.as_u64().cmp(&b.history.as_u64()));
        order.then_with(|| (a.n_real, a.n_synthetic).cmp(&(b.n_real, b.n_synthetic)))
    });
    (header.map(str::to_owned).to_vec(), rows.iter().map(row).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::testing::record;

    fn limit(lambda: f64, n_synthetic: u64, ratio: f64) -> [Record; 2] {
        [0, 1].map(|generation| {
            let mut record = record("fresh-data", 0, generation, &[(RATIO, if generation == 0 { 1.0 } else { ratio })]);
            record.fixed.quantity = Some("limit".into());
            record.fixed.cell = format!("{lambda}-{n_synthetic}");
            (record.fixed.lambda, record.fixed.n_synthetic) = (lambda, n_synthetic);
            record
        })
    }

    #[test]
    fn limits_are_told_by_lambda() {
        let records: Vec<Record> =
            [limit(1.0, 10, 1.1), limit(1.0, 100, 1.8), limit(0.8, 10, 1.0), limit(0.8, 100, 0.25)].concat();
        assert!(are_limits(&records) && !are_limits(&[]));
        let text = meaning(&records);
        assert!(text.starts_with("In the limit 3 of 4 settings are worth"), "{text}");
        assert!(text.contains("0.25 to 1.80"), "{text}");
        assert!(text.ends_with("all 2 settings at λ = 1 and 1 of 2 settings at λ = 0.8."), "{text}");
        let one = meaning(&limit(0.5, 10, 0.3));
        assert!(one.contains("0.30 times") && one.contains("harms"), "{one}");
        let (header, rows) = table(&records);
        assert_eq!((header.len(), rows.len()), (rows[0].len(), 4));
        assert_eq!(rows[0][..5], ["1", "1", "0", "10", "1.10"]);
    }
}
