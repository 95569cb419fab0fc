//! What must hold for any two sets.

use std::collections::BTreeMap;

use madloop_core::{Features, Seeds};
use madloop_metrics::{CATALOG, Of, Reference, Settings};
use proptest::prelude::*;

const K: usize = 3;

fn names() -> Vec<&'static str> {
    CATALOG.iter().filter(|metric| metric.of == Of::Features).map(|metric| metric.name).collect()
}

/// Every defined feature metric.
fn scores(real: &Features, generated: &Features) -> BTreeMap<String, f64> {
    let settings = Settings { k: K, seeds: Seeds::new(5), ..Settings::default() };
    let reference = Reference::new(real.clone(), settings, &names()).expect("a valid reference");
    let scores = reference.score(generated, &names()).expect("a valid set");
    assert!(scores.undefined.keys().all(|name| name == "kid_std"), "{:?}", scores.undefined);
    scores.values.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

/// Multiples of 1/16, so that shifts by whole numbers are exact; small ranges make duplicates and equal distances.
fn set(rows: usize, dim: usize, range: i16) -> impl Strategy<Value = Features> {
    prop::collection::vec(-range..=range, rows * dim).prop_map(move |values| Features {
        rows,
        dim,
        values: values.iter().map(|&v| f32::from(v) / 16.0).collect(),
    })
}

fn pair() -> impl Strategy<Value = (Features, Features)> {
    (K + 1..40_usize, K + 1..40_usize, 1..7_usize, prop::sample::select(vec![1_i16, 8, 300]))
        .prop_flat_map(|(n, m, dim, range)| (set(n, dim, range), set(m, dim, range)))
}

fn map(set: &Features, f: impl Fn(f32) -> f32) -> Features {
    Features { values: set.values.iter().map(|&value| f(value)).collect(), ..*set }
}

fn reversed(set: &Features) -> Features {
    Features { values: (0..set.rows).rev().flat_map(|row| set.row(row)).copied().collect(), ..*set }
}

/// Counts must be equal; sums may differ in their rounding, which goes with the squared size of the values
/// (its cube for the kernel, and a root of eps where a covariance is singular).
fn agree(name: &str, a: f64, b: f64, size: f64) -> bool {
    let allowed = match name {
        "precision" | "recall" | "density" | "coverage" => 0.0,
        "kid" => 1e-13 * (size + 1.0).powi(3),
        "frechet_distance" => 2e-7 * size,
        _ => 1e-12 * size,
    };
    (a - b).abs() <= allowed
}

/// The largest squared norm, or 1.
fn size(sets: [&Features; 2]) -> f64 {
    let norm = |row: &[f32]| row.iter().map(|&v| f64::from(v) * f64::from(v)).sum::<f64>();
    sets.iter().flat_map(|set| (0..set.rows).map(move |row| norm(set.row(row)))).fold(1.0, f64::max)
}

proptest! {
    #[test]
    fn values_lie_in_their_ranges((real, generated) in pair()) {
        let size = size([&real, &generated]);
        for (name, value) in scores(&real, &generated) {
            let (low, high) = madloop_metrics::find(&name).expect("a metric").range;
            let rounding = if name == "frechet_distance" { 2e-7 * size } else { 0.0 };
            prop_assert!((low - rounding..=high).contains(&value), "{name} {value}");
        }
    }

    #[test]
    fn the_order_of_samples_does_not_matter((real, generated) in pair()) {
        let size = size([&real, &generated]);
        let turned = scores(&reversed(&real), &reversed(&generated));
        for (name, value) in scores(&real, &generated) {
            prop_assert!(agree(&name, value, turned[&name], size), "{name}: {value}, {}", turned[&name]);
        }
    }

    #[test]
    fn symmetric_metrics_are((real, generated) in pair()) {
        let size = size([&real, &generated]);
        let (there, back) = (scores(&real, &generated), scores(&generated, &real));
        for metric in CATALOG.iter().filter(|metric| metric.symmetric && there.contains_key(metric.name)) {
            let (a, b) = (there[metric.name], back[metric.name]);
            prop_assert!(agree(metric.name, a, b, size), "{}: {a}, {b}", metric.name);
        }
        prop_assert_eq!(there["precision"], back["recall"]);
    }

    #[test]
    fn a_shift_of_both_sets_does_not_matter((real, generated) in pair(), shift in -1000_i16..1000) {
        let shifted = |set: &Features| map(set, |value| value + f32::from(shift));
        let moved = scores(&shifted(&real), &shifted(&generated));
        let size = size([&shifted(&real), &shifted(&generated)]);
        for (name, value) in scores(&real, &generated) {
            // The kernel knows where the origin is.
            if !name.starts_with("kid") {
                prop_assert!(agree(&name, value, moved[&name], size), "{name}: {value}, {}", moved[&name]);
            }
        }
    }

    #[test]
    fn distances_scale((real, generated) in pair()) {
        let scaled = scores(&map(&real, |value| 4.0 * value), &map(&generated, |value| 4.0 * value));
        let size = 16.0 * size([&real, &generated]);
        for (name, value) in scores(&real, &generated) {
            let factor = match name.as_str() {
                "kid" => continue,
                "frechet_distance" | "trace_cov" => 16.0,
                "sliced_w2" => 4.0,
                _ => 1.0,
            };
            prop_assert!(agree(&name, factor * value, scaled[&name], size), "{name}: {value}, {}", scaled[&name]);
        }
    }

    #[test]
    fn a_set_is_at_no_distance_from_itself((real, _) in pair()) {
        let size = size([&real, &real]);
        let own = scores(&real, &real);
        prop_assert!(own["frechet_distance"].abs() <= 2e-7 * size);
        prop_assert_eq!(own["sliced_w2"], 0.0);
        prop_assert_eq!((own["precision"], own["recall"], own["coverage"]), (1.0, 1.0, 1.0));
    }
}
