//! What must hold of transport, kernels, spectra and the audit for any two sets.

use madloop_core::Features;
use madloop_metrics::{
    Bandwidth, MetricsError, cmmd, effective_rank, lambda_eff, lambda_eff_fresh, mmd_rbf, numerical_rank, sinkhorn,
    vendi, w2_sq,
};
use proptest::prelude::*;

/// Multiples of 1/8, so that shifts by whole numbers are exact; small ranges make duplicates and collapsed sets.
fn set(dim: usize) -> impl Strategy<Value = Features> {
    (1..25_usize, prop::sample::select(vec![0_i16, 1, 40])).prop_flat_map(move |(rows, range)| {
        prop::collection::vec(-range..=range, rows * dim).prop_map(move |values| Features {
            rows,
            dim,
            values: values.iter().map(|&v| f32::from(v) / 8.0).collect(),
        })
    })
}

fn three() -> impl Strategy<Value = (Features, Features, Features)> {
    (1..5_usize).prop_flat_map(|dim| (set(dim), set(dim), set(dim)))
}

fn shifted(set: &Features) -> Features {
    Features { values: set.values.iter().map(|value| value + 3.0).collect(), ..*set }
}

fn reversed(set: &Features) -> Features {
    Features { values: (0..set.rows).rev().flat_map(|row| set.row(row)).copied().collect(), ..*set }
}

fn w2(x: &Features, y: &Features) -> f64 {
    w2_sq(x, y).expect("small sets").sqrt()
}

fn near(a: f64, b: f64, size: f64) -> bool {
    (a - b).abs() <= 1e-10 * size.max(1.0)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn w2_is_a_distance((x, y, z) in three()) {
        prop_assert_eq!(w2_sq(&x, &reversed(&x)), Ok(0.0));
        prop_assert!(near(w2(&x, &y), w2(&reversed(&y), &x), 1.0));
        prop_assert!(near(w2(&x, &y), w2(&shifted(&x), &shifted(&y)), 1.0));
        prop_assert!(w2(&x, &z) <= w2(&x, &y) + w2(&y, &z) + 1e-10);
        // At least the distance of the means, at most the mean cost of coupling all with all.
        let mean = |set: &Features, j| (0..set.rows).map(|i| f64::from(set.row(i)[j])).sum::<f64>() / set.rows as f64;
        let means: f64 = (0..x.dim).map(|j| (mean(&x, j) - mean(&y, j)).powi(2)).sum();
        let spread = |set: &Features| -> f64 {
            let of = |j| (0..set.rows).map(|i| (f64::from(set.row(i)[j]) - mean(set, j)).powi(2)).sum::<f64>();
            (0..set.dim).map(of).sum::<f64>() / set.rows as f64
        };
        let value = w2_sq(&x, &y).expect("small sets");
        prop_assert!(means - 1e-10 <= value && value <= means + spread(&x) + spread(&y) + 1e-10);
    }

    #[test]
    fn the_divergence_is_symmetric((x, y, _) in three(), blur in 0.05..2.0) {
        let of = |x: &Features, y: &Features| sinkhorn(x, y, blur, 0.7).expect("defined");
        let value = of(&x, &y);
        prop_assert!(near(value, of(&y, &x), 100.0) && near(value, of(&shifted(&x), &shifted(&y)), 100.0));
        prop_assert!(near(value, of(&reversed(&x), &y), 100.0));
        prop_assert_eq!(of(&x, &x), 0.0);
    }

    #[test]
    fn kernels_are_bounded((x, y, _) in three(), sigma in 0.1..10.0) {
        let biased = cmmd(&x, &y).expect("defined");
        prop_assert!((-1e-9..=2000.0).contains(&biased) && near(biased, cmmd(&y, &reversed(&x)).expect("defined"), 1000.0));
        match mmd_rbf(&x, &y, Bandwidth::Fixed(sigma)) {
            Ok(mmd) => {
                prop_assert!((-2.0..=2.0).contains(&mmd.squared) && mmd.se >= 0.0 && mmd.sigma == sigma);
                let swapped = mmd_rbf(&reversed(&y), &x, Bandwidth::Fixed(sigma)).expect("defined");
                prop_assert!(near(mmd.squared, swapped.squared, 1.0) && near(mmd.se, swapped.se, 1.0));
            }
            Err(error) => prop_assert!(error.is_undefined() && x.rows.min(y.rows) < 2),
        }
        if let Err(error) = mmd_rbf(&x, &y, Bandwidth::Median) {
            let coincide = matches!(error, MetricsError::TooFew { .. } | MetricsError::NoBandwidth { .. });
            prop_assert!(coincide, "{}", error);
        }
    }

    #[test]
    fn spectra_are_within_their_ranges((x, _, _) in three()) {
        let most = x.rows.min(x.dim) as f64;
        match vendi(&x) {
            Ok(score) => prop_assert!(score >= 1.0 && score <= most + 1e-9, "{score}"),
            Err(error) => {
                let zero = matches!(error, MetricsError::ZeroRow { .. });
                prop_assert!(zero, "{}", error);
            }
        }
        match (effective_rank(&x), numerical_rank(&x, 1e-12)) {
            (Ok(effective), Ok(rank)) => {
                prop_assert!(effective >= 1.0 && effective <= rank as f64 + 1e-9 && rank <= x.dim.min(x.rows - 1));
                prop_assert!(near(effective, effective_rank(&shifted(&reversed(&x))).expect("varies"), 1.0));
            }
            (Err(error), rank) => prop_assert!(error.is_undefined() && (x.rows < 2 || rank == Ok(0))),
            (Ok(_), Err(error)) => prop_assert!(false, "{error}"),
        }
    }

    #[test]
    fn the_audit_has_a_value_or_a_reason((x, y, _) in three()) {
        for audit in [lambda_eff, lambda_eff_fresh] {
            match audit(&x, &y) {
                Ok(found) => {
                    prop_assert!(0.0 <= found.low && found.low <= found.value && found.value <= found.high);
                    prop_assert!(found.high.is_finite() || found.se_log > 100.0, "{found:?}");
                    let twice = Features { values: y.values.iter().map(|v| v * 2.0).collect(), ..y.clone() };
                    let scaled = audit(&x, &twice).expect("as before");
                    prop_assert!(near(scaled.value, 4.0 * found.value, scaled.value), "{found:?} {scaled:?}");
                }
                Err(error) => prop_assert!(error.is_undefined(), "{error}"),
            }
        }
    }
}
