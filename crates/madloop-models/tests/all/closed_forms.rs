//! The Gaussian loop, drawn sample by sample, against PAPER.md's closed forms. Seeds are fixed, so the tests are deterministic;
//! over fresh seeds a bound of 4 standard errors would be crossed with probability 6e-5 a comparison.

use std::sync::{Arc, Mutex};

use madloop_core::*;
use madloop_models::GaussianConfig;
use rayon::prelude::*;

use crate::common::*;

/// Keeps each generation's (|mu|^2, tr Sigma, squared W2 to N(0, I) on the diagonal route is left to madloop-metrics).
struct Moments(Mutex<Vec<(f64, f64)>>);

impl Evaluator for Moments {
    fn rows(&self) -> u64 {
        0
    }
    fn lambda(&self) -> Option<SamplingBias> {
        None
    }
    fn held_out(&self, _: Seeds) -> Result<Samples> {
        Samples::from_f32(Shape::vector(1), Vec::new())
    }
    fn score(&self, judged: Judged<'_>) -> Result<Scores> {
        if let Some(gaussian) = judged.model.and_then(Generator::gaussian) {
            let d = gaussian.mean.len();
            let trace = (0..d).map(|i| gaussian.covariance[i * d + i]).sum();
            let mean = gaussian.mean.iter().map(|value| value * value).sum();
            self.0.lock().unwrap().push((mean, trace));
        }
        Ok(Scores::default())
    }
}

fn run(plan: &Loop, d: usize, generations: u32, seed: u64) -> Vec<(f64, f64)> {
    let trainer = GaussianConfig::default().trainer();
    let moments = Moments(Mutex::default());
    let real = RealPool::new(Real::Infinite(Arc::new(StandardGaussian(d))), Seeds::new(seed), plan.on_exhausted);
    let parts = Parts {
        trainer: trainer.as_ref(),
        evaluator: &moments,
        real: &real,
        classes: None,
        observer: &Silent,
        cancel: &Cancel::default(),
    };
    let cell = Cell {
        name: "test".into(),
        seed,
        plan: plan.clone(),
        generations,
        schedule: ScoreSchedule::Every(1),
        template: Record::default(),
        latents: 0,
        first: Arc::default(),
    };
    run_cell(&cell, &parts, &mut MemoryJournal::default()).unwrap();
    moments.0.into_inner().unwrap()
}

fn plan(kind: LoopKind, n_initial: u64, n_real: u64, n_synthetic: u64, bias: f64) -> Loop {
    Loop {
        kind,
        n_initial,
        n_real,
        n_synthetic,
        lambda: lambda(bias),
        history: History::Last(1),
        pool: Pool::Redraw,
        synthetic_count: SyntheticCount::Total,
        on_exhausted: OnExhausted::Error,
    }
}

#[test]
fn fully_synthetic_moments_follow_the_martingale() {
    // E tr Sigma_t = lambda^(t-1) d; E |mu_t|^2 = (d / n) (1 - lambda^t) / (1 - lambda), t d / n at lambda = 1; t <= n / 10.
    let n = 100;
    for d in [1, 10, 100] {
        for bias in [1.0_f64, 0.8] {
            let plan = plan(LoopKind::FullySynthetic, n, 0, n, bias);
            let runs: Vec<_> = (0..400_u64).into_par_iter().map(|seed| run(&plan, d, 10, seed)).collect();
            for t in 1..=10 {
                let (means, traces): (Vec<f64>, Vec<f64>) = runs.iter().map(|run| run[t - 1]).unzip();
                let t = t as i32;
                let trace = bias.powi(t - 1) * d as f64;
                let steps = if bias == 1.0 { f64::from(t) } else { (1.0 - bias.powi(t)) / (1.0 - bias) };
                for (what, values, expected) in [("trace", traces, trace), ("mean", means, steps * d as f64 / n as f64)]
                {
                    let (mean, error) = mean_and_error(&values);
                    assert!(
                        (mean - expected).abs() < 4.0 * error,
                        "{what}, d {d}, lambda {bias}, t {t}: {mean} +- {error} against {expected}"
                    );
                }
            }
        }
    }
}

#[test]
fn fresh_data_moments_follow_the_exact_recursion_and_forget_n_initial() {
    // PAPER.md section 2, with n = n_r + n_s and a = n_s / n; d = 100, n_r = 100, n_s = 900 as in Fig. 10.
    let (d, n_r, n_s, generations) = (100.0_f64, 100.0, 900.0, 20_u32);
    let (n, a): (f64, f64) = (n_r + n_s, n_s / (n_r + n_s));
    for bias in [1.0_f64, 0.8] {
        let mut ends = Vec::new();
        for n_initial in [100, 1000] {
            let plan = plan(LoopKind::FreshData, n_initial, n_r as u64, n_s as u64, bias);
            let runs: Vec<_> =
                (0..60_u64).into_par_iter().map(|seed| run(&plan, d as usize, generations, seed)).collect();
            let (mut v, mut tau) = (d / n_initial as f64, d);
            for t in 1..=generations as usize {
                let (means, traces): (Vec<f64>, Vec<f64>) = runs.iter().map(|run| run[t - 1]).unzip();
                for (what, values, expected) in [("trace", &traces, tau), ("mean", &means, v)] {
                    let (mean, error) = mean_and_error(values);
                    assert!(
                        (mean - expected).abs() < 4.5 * error,
                        "{what}, n_ini {n_initial}, t {t}: {mean} +- {error}, {expected}"
                    );
                }
                if t == generations as usize {
                    ends.push((mean_and_error(&means), mean_and_error(&traces)));
                }
                let next = (1.0 - a).powi(2) * d / n_r + a * a * (v + bias * tau / n_s);
                tau = ((n_r - n_r / n) * d + (n_s - 1.0 + n_r / n) * bias * tau + n_r * n_s / n * v) / (n - 1.0);
                v = next;
            }
        }
        // From both n_ini the same limit: |mu|^2 within 4 standard errors of the difference, tr Sigma within 1 % (what is left of
        // a^40 after 20 generations) plus 4.
        let [small, large] = ends[..] else { panic!("two runs") };
        for ((a, b), slack) in [((small.0, large.0), 0.02 * large.0.0), ((small.1, large.1), 0.01 * large.1.0)] {
            assert!((a.0 - b.0).abs() < 4.0 * a.1.hypot(b.1) + slack, "lambda {bias}: {a:?} against {b:?}");
        }
    }
}

#[test]
fn variance_is_lost_in_the_long_run() {
    // d = 1: E log(Sigma_t / Sigma_{t-1}) = log lambda + digamma((n-1)/2) - log((n-1)/2), n = 20, t = 200.
    let digamma = |x: f64| {
        // Shifted asymptotic series, to 1e-12.
        let (mut x, mut sum) = (x, 0.0);
        while x < 10.0 {
            sum -= 1.0 / x;
            x += 1.0;
        }
        let y = 1.0 / (x * x);
        sum + x.ln() - 0.5 / x - y * (1.0 / 12.0 - y * (1.0 / 120.0 - y * (1.0 / 252.0 - y / 240.0)))
    };
    let n = 20;
    for bias in [1.0_f64, 0.9] {
        let plan = plan(LoopKind::FullySynthetic, n, 0, n, bias);
        let half = (n - 1) as f64 / 2.0;
        let drift = digamma(half) - half.ln();
        // Generation 1 is fitted to real data, without lambda.
        let expected = 60.0 * drift + 59.0 * bias.ln();
        let logs: Vec<f64> = (0..400_u64).into_par_iter().map(|seed| run(&plan, 1, 60, seed)[59].1.ln()).collect();
        let (mean, error) = mean_and_error(&logs);
        assert!((mean - expected).abs() < 4.0 * error, "lambda {bias}: {mean} +- {error} against {expected}");
    }
}
