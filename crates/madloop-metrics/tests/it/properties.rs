//! What must hold for any two sets, by the laws of the metrics.

use std::collections::{BTreeMap, BTreeSet};

use madloop_core::{Features, Seeds, Stream};
use madloop_metrics::{CATALOG, Of, Reference, Settings, find};
use proptest::prelude::*;
use rand_distr::{Distribution, StandardNormal};

use crate::laws::{LAWS, Law, Twice, law};

const K: usize = 3;
/// Metrics that need more rows than the small sets have.
const OF_MANY: [&str; 2] = ["fd_infinity", "kid_std"];

fn names() -> Vec<&'static str> {
    CATALOG.iter().filter(|metric| metric.of == Of::Features).map(|metric| metric.name).collect()
}

/// The defined ones of `names`; those that are not must have the reason of their law.
fn scored(real: &Features, generated: &Features, k: usize, names: &[&str]) -> BTreeMap<String, f64> {
    let settings = Settings { k, seeds: Seeds::new(5), ..Settings::default() };
    let reference = Reference::new(real.clone(), settings, names).expect("a valid reference");
    let scores = reference.score(generated, names).expect("a valid set");
    for (name, reason) in &scores.undefined {
        assert!(law(name).undefined.is_some_and(|part| reason.contains(part)), "{name}: {reason}");
    }
    scores.values.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

fn scores(real: &Features, generated: &Features) -> BTreeMap<String, f64> {
    scored(real, generated, K, &names())
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

fn picked(set: &Features, rows: impl Iterator<Item = usize>) -> Features {
    let values: Vec<f32> = rows.flat_map(|row| set.row(row)).copied().collect();
    Features { rows: values.len() / set.dim, values, ..*set }
}

fn reversed(set: &Features) -> Features {
    picked(set, (0..set.rows).rev())
}

/// Every row twice: the set once, then again.
fn doubled(set: &Features) -> Features {
    picked(set, (0..set.rows).chain(0..set.rows))
}

/// The largest squared norm, or 1.
fn size(sets: [&Features; 2]) -> f64 {
    let norm = |row: &[f32]| row.iter().map(|&v| f64::from(v) * f64::from(v)).sum::<f64>();
    sets.iter().flat_map(|set| (0..set.rows).map(move |row| norm(set.row(row)))).fold(1.0, f64::max)
}

/// The metric must be defined in the second scores as in the first, with the value that `expected` makes of it.
fn follows(
    first: &BTreeMap<String, f64>,
    second: &BTreeMap<String, f64>,
    size: f64,
    expected: impl Fn(&Law, f64) -> Option<f64>,
) -> Result<(), TestCaseError> {
    for (name, &value) in first {
        let law = law(name);
        let Some(expected) = expected(law, value) else { continue };
        prop_assert!(second.contains_key(name), "{name} has no value any more");
        let found = second[name];
        prop_assert!(
            (found - expected).abs() <= (law.rounding)(size),
            "{name}: {found}, not {expected} (from {value})"
        );
    }
    Ok(())
}

#[test]
fn every_metric_of_features_has_a_law() {
    let (named, lawful): (BTreeSet<_>, BTreeSet<_>) =
        (names().into_iter().collect(), LAWS.iter().map(|law| law.name).collect());
    assert_eq!(named, lawful);
    assert_eq!(lawful.len(), LAWS.len(), "one law each");
}

/// N(`mean`, diag(`deviations`)^2), in multiples of 2^-12, so that shifts are exact.
fn normal(seed: u64, rows: usize, mean: f32, deviations: [f32; 3]) -> Features {
    let mut rng = Seeds::new(seed).rng(Stream::named("properties"), 0);
    let draw = |at: usize| {
        let normal: f32 = StandardNormal.sample(&mut rng);
        let value: f32 = mean + deviations[at % 3] * normal;
        (value * 4096.0).round() / 4096.0
    };
    Features { rows, dim: 3, values: (0..3 * rows).map(draw).collect() }
}

#[test]
fn a_collapsed_generator_is_precise_and_recalls_little() {
    let sets = |rows| (normal(1, rows, 0.0, [1.0; 3]), normal(2, rows, 0.5, [0.05, 0.005, 0.005]));
    let small: Vec<_> = names().into_iter().filter(|name| !OF_MANY.contains(name)).collect();
    for (rows, names) in [(600, &small[..]), (5200, &OF_MANY)] {
        let (real, generated) = sets(rows);
        let found = scored(&real, &generated, 5, names);
        assert_eq!(found.len(), names.len());
        for (name, value) in found {
            let (low, high) = law(&name).collapsed;
            assert!((low..=high).contains(&value), "{name} {value}");
        }
    }
}

#[test]
fn metrics_of_many_samples_follow_their_laws() {
    let (real, generated) = (normal(3, 5100, 0.0, [1.0; 3]), normal(4, 5300, 0.25, [0.5, 1.0, 2.0]));
    let first = scored(&real, &generated, K, &OF_MANY);
    assert!(first.len() == 2 && first["kid_std"] > 0.0);
    let of = |f: &dyn Fn(f32) -> f32| {
        let (x, y) = (map(&real, f), map(&generated, f));
        (scored(&x, &y, K, &OF_MANY), size([&x, &y]))
    };
    let (shifted, size) = of(&|value| value + 16.0);
    follows(&first, &shifted, size, |law, value| law.translation.then_some(value)).expect("lawful");
    let (scaled, size) = of(&|value| 3.0 * value);
    follows(&first, &scaled, size, |law, value| Some(3.0_f64.powi(law.scale?) * value)).expect("lawful");
}

proptest! {
    #[test]
    fn values_lie_in_their_ranges((real, generated) in pair()) {
        let size = size([&real, &generated]);
        for (name, value) in scores(&real, &generated) {
            let ((low, high), rounding) = (find(&name).expect("a metric").range, (law(&name).rounding)(size));
            prop_assert!((low - rounding..=high + rounding).contains(&value), "{name} {value}");
        }
    }

    #[test]
    fn the_order_of_samples_does_not_matter((real, generated) in pair()) {
        let turned = scores(&reversed(&real), &reversed(&generated));
        let size = size([&real, &generated]);
        follows(&scores(&real, &generated), &turned, size, |law, value| law.unordered.then_some(value))?;
    }

    #[test]
    fn symmetric_metrics_are((real, generated) in pair()) {
        let (there, back) = (scores(&real, &generated), scores(&generated, &real));
        follows(&there, &back, size([&real, &generated]), |law, value| {
            find(law.name).expect("a metric").symmetric.then_some(value)
        })?;
        prop_assert_eq!(there["precision"], back["recall"]);
        prop_assert_eq!(there["recall"], back["precision"]);
    }

    #[test]
    fn a_shift_of_both_sets_does_not_matter((real, generated) in pair(), shift in -1000_i16..1000) {
        let shifted = |set: &Features| map(set, |value| value + f32::from(shift));
        let (x, y) = (shifted(&real), shifted(&generated));
        let size = size([&x, &y]);
        follows(&scores(&real, &generated), &scores(&x, &y), size, |law, value| law.translation.then_some(value))?;
    }

    #[test]
    fn a_common_factor_comes_out((real, generated) in pair()) {
        // Not a power of 2, which would be exact.
        let scaled = |set: &Features| map(set, |value| 3.0 * value);
        let (x, y) = (scaled(&real), scaled(&generated));
        let size = size([&x, &y]);
        follows(&scores(&real, &generated), &scores(&x, &y), size, |law, value| Some(3.0_f64.powi(law.scale?) * value))?;
    }

    #[test]
    fn twins_say_what_their_law_says((real, generated) in pair()) {
        let (n, m) = (real.rows as f64, generated.rows as f64);
        let (x, y) = (doubled(&real), doubled(&generated));
        let (first, size) = (scores(&real, &generated), size([&real, &generated]));
        // (n - 1) / n becomes (2 n - 1) / 2 n.
        let divisor = |n: f64| 2.0 * (n - 1.0) / (2.0 * n - 1.0);
        let mean = |set: &Features, j| (0..set.rows).map(|i| f64::from(set.row(i)[j])).sum::<f64>() / set.rows as f64;
        let means: f64 = (0..real.dim).map(|j| (mean(&real, j) - mean(&generated, j)).powi(2)).sum();
        let trace = |set: &Features| scored(set, set, K, &["trace_cov"])["trace_cov"];
        let (trace_real, trace_generated) = (trace(&real), trace(&generated));
        let new = (0..generated.rows).filter(|&i| (0..real.rows).all(|j| real.row(j) != generated.row(i))).count();
        follows(&first, &scores(&x, &y), size, |law, value| match law.twice {
            Twice::Same => Some(value),
            Twice::Divisor => Some(divisor(m) * value),
            Twice::Frechet => {
                let root = trace_real + trace_generated + means - value;
                let traces = divisor(n) * trace_real + divisor(m) * trace_generated;
                Some(means + traces - (divisor(n) * divisor(m)).sqrt() * root)
            }
            Twice::Copies => Some(100.0 * (new as f64 / m)),
            Twice::WithTwiceTheNeighbours | Twice::Pairs | Twice::Drawn => None,
        })?;
        follows(&first, &scored(&x, &y, 2 * K, &names()), size, |law, value| {
            (law.twice == Twice::WithTwiceTheNeighbours).then_some(value)
        })?;
    }

    #[test]
    fn a_set_is_at_no_distance_from_itself((real, _) in pair()) {
        let size = size([&real, &real]);
        let own = scores(&real, &real);
        prop_assert!(own["frechet_distance"].abs() <= 2e-7 * size);
        for name in ["sliced_w2", "w2_sq", "sinkhorn", "auth_pct"] {
            prop_assert_eq!(own[name], 0.0, "{}", name);
        }
        prop_assert_eq!((own["precision"], own["recall"], own["coverage"]), (1.0, 1.0, 1.0));
    }
}
