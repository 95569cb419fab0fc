//! Values of scipy, prdc and POT, made by tests/golden/make_golden.py.

use madloop_core::{Features, Seeds};
use madloop_metrics::{Settings, frechet_distance, kid, manifold, sliced_w2, trace_cov};
use serde::Deserialize;

#[derive(Deserialize)]
struct Golden {
    k: usize,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    dim: usize,
    real: String,
    generated: String,
    frechet_distance: f64,
    kid: f64,
    trace_cov: f64,
    precision: f64,
    recall: f64,
    density: f64,
    coverage: f64,
    w2_1d: f64,
}

fn features(text: &str, dim: usize) -> Features {
    let values: Vec<f32> = text.split(' ').map(|value| value.parse().expect("a number")).collect();
    Features { rows: values.len() / dim, dim, values }
}

fn first_column(set: &Features) -> Features {
    Features { rows: set.rows, dim: 1, values: set.values.iter().step_by(set.dim).copied().collect() }
}

#[test]
fn the_reference_tools_agree() {
    let golden: Golden = serde_json::from_str(include_str!("../golden/golden.json")).expect("golden values");
    assert_eq!(golden.cases.len(), 9);
    for case in golden.cases {
        let (real, generated) = (features(&case.real, case.dim), features(&case.generated, case.dim));
        let close = |what: &str, value: f64, expected: f64, relative: f64, absolute: f64| {
            let allowed = relative * expected.abs() + absolute;
            assert!((value - expected).abs() <= allowed, "{} of {}: {value}, not {expected}", what, case.name);
        };
        let frechet = frechet_distance(&real, &generated).expect("defined");
        close("frechet_distance", frechet, case.frechet_distance, 1e-6, 1e-14);
        let kid = kid(&real, &generated, Seeds::new(0)).expect("defined");
        // The kernel's own size decides how much cancels: numpy's sums have this rounding, too.
        let norm = |row: &[f32]| row.iter().map(|&v| f64::from(v) * f64::from(v)).sum::<f64>();
        let largest = (0..generated.rows).map(|row| norm(generated.row(row))).fold(0.0, f64::max);
        close("kid", kid.mean, case.kid, 1e-12, 1e-14 * (largest / case.dim as f64 + 1.0).powi(3));
        close("trace_cov", trace_cov(&generated).expect("defined"), case.trace_cov, 1e-12, 0.0);
        let (x, y) = (first_column(&real), first_column(&generated));
        close("w2_1d", sliced_w2(&x, &y, Seeds::new(0)).expect("defined"), case.w2_1d, 1e-12, 0.0);
        // Counts, so equal.
        let found = manifold(&real, &generated, &Settings { k: golden.k, ..Settings::default() }).expect("finite");
        assert_eq!(found.precision, Ok(case.precision), "{}", case.name);
        assert_eq!(found.recall, Ok(case.recall), "{}", case.name);
        assert_eq!(found.density, Ok(case.density), "{}", case.name);
        assert_eq!(found.coverage, Ok(case.coverage), "{}", case.name);
    }
}
