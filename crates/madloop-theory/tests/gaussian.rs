//! Gaussian loops against the closed forms of PAPER.md section 2, and their manners. Seeds are fixed; over fresh ones a bound of
//! 4 standard errors would be crossed with probability 6e-5 a comparison.

use madloop_core::{History, LoopKind, Pool, SyntheticCount};
use madloop_theory::*;

fn near(what: &str, got: Estimate, expected: f64) {
    assert!((got.mean - expected).abs() < 4.0 * got.se, "{what}: {got:?} against {expected}");
}

#[test]
fn fresh_data_moments_follow_the_exact_recursion() {
    let (d, n_r, n_s) = (10, 20_u64, 80_u64);
    for lambda in [1.0, 0.8] {
        let settings = GaussianLoop { n_initial: 50, ..GaussianLoop::fresh_data(d, n_r, n_s, lambda) };
        let (d, r, s) = (d as f64, n_r as f64, n_s as f64);
        let (n, a) = (r + s, s / (r + s));
        let (mut v, mut tau) = (d / 50.0, d);
        for point in curve(&settings, 20, 2000, 1).unwrap() {
            near("V", point.mean_sq, v);
            near("tau", point.trace, tau);
            let next = (1.0 - a).powi(2) * d / r + a * a * (v + lambda * tau / s);
            tau = ((r - r / n) * d + (s - 1.0 + r / n) * lambda * tau + r * s / n * v) / (n - 1.0);
            v = next;
        }
    }
}

#[test]
fn fully_synthetic_moments_are_martingales_at_any_count() {
    for n in [40_u64, 1_000_000_000] {
        for lambda in [1.0_f64, 0.9] {
            let settings = GaussianLoop {
                kind: LoopKind::FullySynthetic,
                n_initial: n,
                covariance: RealCovariance::Diagonal(vec![3.0, 1.0, 1.0]),
                ..GaussianLoop::fresh_data(3, 0, n, lambda)
            };
            for point in curve(&settings, 4, 4000, 2).unwrap() {
                let t = point.generation as i32;
                let steps = if lambda == 1.0 { f64::from(t) } else { (1.0 - lambda.powi(t)) / (1.0 - lambda) };
                near("V", point.mean_sq, 5.0 / n as f64 * steps);
                near("tau", point.trace, 5.0 * lambda.powi(t - 1));
            }
        }
    }
}

#[test]
fn the_mean_of_several_models_follows_the_autoregression() {
    // n_e / n_r = 1 + rho K / (K + rho) by the mean's variance, up to 1 / n.
    let (d, n_r, n_s) = (40, 2000, 6000);
    for (k, generations) in [(1, 25), (5, 50)] {
        let settings = GaussianLoop { history: History::Last(k), ..GaussianLoop::fresh_data(d, n_r, n_s, 1.0) };
        let (rho, k) = (3.0, f64::from(k));
        let last = *curve(&settings, generations, 800, 3).unwrap().last().unwrap();
        let expected = d as f64 / (n_r as f64 * (1.0 + rho * k / (k + rho)));
        assert!((last.mean_sq.mean - expected).abs() < 4.0 * last.mean_sq.se + 2e-3 * expected, "{k}: {last:?}");
    }
}

#[test]
fn collapse_goes_on_for_as_long_as_there_are_numbers() {
    let settings =
        GaussianLoop { kind: LoopKind::FullySynthetic, n_initial: 10, ..GaussianLoop::fresh_data(4, 0, 10, 0.5) };
    let points = curve(&settings, 300, 4, 4).unwrap();
    assert!(points.iter().all(|point| point.w2_sq.mean.is_finite() && point.trace.mean >= 0.0));
    assert!(points[299].trace.mean < 1e-80);
    let log = points[299].log_det.unwrap().mean;
    assert!(log < -4.0 * 80.0 * 10.0_f64.ln(), "{log}");
}

#[test]
fn what_the_first_models_lack_no_later_model_of_theirs_has() {
    // 4 rows span 3 dimensions; the fixed 3 and all samples stay there, though 7 rows could span more.
    let settings =
        GaussianLoop { kind: LoopKind::SyntheticAugmentation, n_initial: 4, ..GaussianLoop::fresh_data(4, 3, 4, 0.9) };
    let points = curve(&settings, 6, 50, 4).unwrap();
    assert!(points.iter().all(|point| point.log_det.is_none() && point.w2_sq.mean > 0.0));
}

#[test]
fn limits_are_where_long_loops_end() {
    let cases = [(4, 10, 20, 0.8, 1), (3, 12, 30, 1.0, 1), (12, 6, 9, 0.9, 1), (3, 20, 40, 1.0, 4)];
    for (d, n_r, n_s, lambda, k) in cases {
        let settings = GaussianLoop { history: History::Last(k), ..GaussianLoop::fresh_data(d, n_r, n_s, lambda) };
        let limit = limit(&settings, Effort::default()).unwrap();
        let end = curve(&settings, 60, 2000, 5).unwrap()[59].w2_sq;
        let se = end.se.hypot(limit.w2_sq_se);
        assert!((end.mean - limit.w2_sq).abs() < 4.0 * se, "{settings:?}: {end:?} {limit:?}");
        assert!(limit.n_e_se < 0.01 * limit.n_e);
        assert_eq!(limit.admissible, limit.n_e_over_n_r >= 1.0);
    }
    // Rotated, and with a direction that no data has.
    let limit_of = |covariance| {
        let settings = GaussianLoop { covariance, ..GaussianLoop::fresh_data(3, 8, 16, 0.9) };
        limit(&settings, Effort::default()).unwrap()
    };
    let full = vec![2.0, 1.0, 0.0, 1.0, 2.0, 0.0, 0.0, 0.0, 0.0];
    let (a, b) =
        (limit_of(RealCovariance::Full { dim: 3, values: full }), limit_of(RealCovariance::Diagonal(vec![3.0, 1.0])));
    assert!((a.w2_sq / b.w2_sq - 1.0).abs() < 1e-9 && (a.n_e / b.n_e - 1.0).abs() < 1e-9, "{a:?} {b:?}");
    // Without synthetic data, n_real samples are worth n_real.
    let none = limit(&GaussianLoop::fresh_data(5, 30, 0, 0.5), Effort::default()).unwrap();
    assert!(none.n_e == 30.0 && none.n_e_over_n_r == 1.0 && none.admissible);
}

#[test]
fn thresholds_separate_what_helps_from_what_harms() {
    for (d, n_r, lambda) in [(1, 100, 0.7), (5, 40, 0.8), (20, 30, 0.5)] {
        let found = threshold(d, n_r, lambda, Effort::default()).unwrap();
        let (n, (low, high)) = (found.n_synthetic_max.unwrap(), found.ci.unwrap());
        assert!(low <= n as f64 + 1.0 && n as f64 <= high && high < 1.1 * low, "{found:?}");
        let ratio = |n: f64| {
            limit(&GaussianLoop::fresh_data(d, n_r, n as u64, lambda), Effort { seed: 9, ..Effort::default() })
                .unwrap()
                .n_e_over_n_r
        };
        assert!(ratio(0.8 * low) > 1.0 && ratio(1.25 * high) < 1.0, "{found:?}");
    }
    let unbounded = Threshold { n_synthetic_max: None, ci: None, unbounded: true };
    assert_eq!(threshold(100, 100, 1.0, Effort::default()).unwrap(), unbounded);
    // 3 samples of 100 dimensions are worse than a point.
    assert_eq!(threshold(100, 3, 0.1, Effort::default()).unwrap(), unbounded);
}

#[test]
fn threads_change_no_bit() {
    let settings = GaussianLoop { history: History::Last(2), ..GaussianLoop::fresh_data(7, 9, 12, 0.9) };
    let all = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let runs = simulate(&settings, 5, 9, 1).unwrap();
            let effort = Effort { relative_se: 0.02, seed: 1 };
            (runs, limit(&settings, effort).unwrap(), threshold(3, 20, 0.6, effort).unwrap())
        })
    };
    let one = all(1);
    assert_eq!(one, all(2));
    assert_eq!(one, all(5));
    // Nor do replicates or generations beside it.
    let more = simulate(&settings, 6, 12, 1).unwrap();
    assert!(one.0.iter().zip(&more).all(|(few, more)| few[..] == more[..5]));
}

#[test]
fn settings_out_of_range_are_named() {
    let base = || GaussianLoop::fresh_data(3, 10, 10, 0.9);
    let full = |dim, values| GaussianLoop { covariance: RealCovariance::Full { dim, values }, ..base() };
    let bad = [
        (GaussianLoop { lambda: 1.5, ..base() }, "lambda is 1.5"),
        (GaussianLoop { lambda: f64::NAN, ..base() }, "lambda is NaN"),
        (GaussianLoop { n_initial: 1, ..base() }, "n_initial is 1"),
        (GaussianLoop { n_real: u64::MAX, ..base() }, "at most 2^53"),
        (GaussianLoop { kind: LoopKind::FullySynthetic, n_synthetic: 0, ..base() }, "n_synthetic is 0"),
        (GaussianLoop { n_real: 0, n_synthetic: 1, ..base() }, "n_synthetic is 1"),
        (GaussianLoop { kind: LoopKind::SyntheticAugmentation, n_real: 11, ..base() }, "n_real is 11"),
        (GaussianLoop { history: History::Last(0), ..base() }, "history is 0"),
        (GaussianLoop { history: History::Last(2), pool: Pool::Accumulate, ..base() }, "history is 2"),
        (GaussianLoop::fresh_data(0, 10, 10, 0.9), "dim is 0"),
        (
            GaussianLoop { covariance: RealCovariance::Diagonal(vec![1.0, 0.0]), ..base() },
            "variance of the real data is 0",
        ),
        (full(2, vec![1.0; 3]), "is 3; it must be dim * dim"),
        (full(2, vec![1.0, f64::NAN, 0.0, 1.0]), "is NaN"),
        (full(2, vec![1.0, 0.5, 0.0, 1.0]), "asymmetry"),
        (full(2, vec![1.0, 2.0, 2.0, 1.0]), "eigenvalue of the real covariance is -1"),
        (full(1, vec![0.0]), "the real data is constant"),
    ];
    for (settings, message) in bad {
        let error = simulate(&settings, 2, 2, 0).unwrap_err().to_string();
        assert!(error.contains(message), "{error} lacks {message}");
    }
    let effort = Effort::default();
    let bad = [
        (simulate(&base(), 0, 2, 0).unwrap_err(), "generations is 0"),
        (curve(&base(), 2, 1, 0).unwrap_err(), "replicates is 1"),
        (limit(&GaussianLoop::fresh_data(3, 1, 10, 0.9), effort).unwrap_err(), "n_real is 1"),
        (limit(&GaussianLoop { kind: LoopKind::FullySynthetic, ..base() }, effort).unwrap_err(), "fresh-data loop"),
        (limit(&GaussianLoop { history: History::All, ..base() }, effort).unwrap_err(), "never settles"),
        (limit(&base(), Effort { relative_se: 0.0, seed: 0 }).unwrap_err(), "relative_se is 0"),
        (threshold(0, 10, 0.5, effort).unwrap_err(), "dim is 0"),
        (threshold(2, 1, 0.5, effort).unwrap_err(), "n_real is 1"),
        (threshold(2, 10, -0.5, effort).unwrap_err(), "lambda is -0.5"),
    ];
    for (error, message) in bad {
        assert!(error.to_string().contains(message), "{error} lacks {message}");
    }
}

#[test]
fn plans_of_the_core_are_understood() {
    let plan = madloop_core::Loop {
        kind: LoopKind::FreshData,
        n_initial: 30,
        n_real: 20,
        n_synthetic: 10,
        lambda: madloop_core::SamplingBias::new(0.5).unwrap(),
        history: History::Last(2),
        pool: Pool::Redraw,
        synthetic_count: SyntheticCount::PerModel,
        on_exhausted: madloop_core::OnExhausted::Error,
    };
    let loops = GaussianLoop::from_plan(&plan, RealCovariance::Identity(2));
    let expected = GaussianLoop {
        n_initial: 30,
        history: History::Last(2),
        synthetic_count: SyntheticCount::PerModel,
        ..GaussianLoop::fresh_data(2, 20, 10, 0.5)
    };
    assert_eq!(loops, expected);
}
