//! The fresh-data planner: from a user's own features to how much synthetic data is safe beside how much fresh real data.

mod input;
mod page;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use madloop_core::LoopKind;
use madloop_theory::{Effort, GaussianLoop, HalfLife, Planned, TheoryError, Threshold, Worth, half_life};
use serde_json::{Value, json};

use crate::data::ReadOptions;
use crate::{Error, Result};

use self::input::{Bias, Input};

/// What the Gaussian theory does not see, in plain words.
pub const CANNOT_SEE: [&str; 5] = [
    "It sees means and covariances of the features alone: modes, rare classes and everything else that a Gaussian of the \
     same covariance would have too can be lost while it reports no harm.",
    "The answer grows with the dimension of the features: with more dimensions even real samples estimate a covariance \
     badly, and synthetic ones look better beside them. It holds for these features, not for others.",
    "The model is taken to be a Gaussian fitted without error of its own. A network that cannot fit its training data, or \
     forgets parts of it, adds a bias in every generation that no amount of fresh data here accounts for.",
    "Lambda is one number here, the same in every direction; a sampler that cuts tails harder than the middle does more harm.",
    "Fresh real data is taken to be independent and from the distribution of the set that was given, in every generation.",
];

/// What is asked.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The sampling bias, or `lambda_from`.
    pub lambda: Option<f64>,
    /// A set that a model trained on the real one generated: lambda is estimated from it.
    pub lambda_from: Option<PathBuf>,
    /// Fresh real samples of a generation; the rows of the real set by default.
    pub budget_real: Option<u64>,
    /// Synthetic samples of a generation that are intended.
    pub budget_synthetic: Option<u64>,
    /// The feature map by name; `none` or `pixels`, whichever fits, when `None`.
    pub features: Option<String>,
    /// Weights and preprocessing of the feature map.
    pub map: crate::FeatureOptions,
    /// Seed of the simulations.
    pub seed: u64,
}

/// What was found.
#[derive(Debug)]
pub struct Plan {
    input: Input,
    planned: Planned,
    n_real: u64,
    safe: Safe,
    best: Option<Worth>,
    budget: Option<Worth>,
    lasting: Vec<Lasting>,
    maps: [Grid; 2],
}

/// The largest safe amount; its interval includes that of an estimated lambda.
#[derive(Debug, Clone, Copy)]
struct Safe {
    threshold: Threshold,
    low: Option<f64>,
    high: Option<f64>,
}

/// How long diversity lasts under one policy.
#[derive(Debug)]
struct Lasting {
    policy: &'static str,
    what: String,
    half_life: HalfLife,
}

/// n_e / n_r over two settings.
#[derive(Debug)]
struct Grid {
    xs: Vec<f64>,
    ys: Vec<f64>,
    /// `[x][y]`.
    values: Vec<Vec<Option<f64>>>,
}

const EFFORT: f64 = 0.01;
/// A map is for the eye.
const MAP_EFFORT: f64 = 0.03;
/// What an amount without bound is illustrated at, times the real samples.
const PLENTY: u64 = 10;

/// Plans for the features of the set at `real`.
///
/// # Errors
/// A set that cannot be read or has no variance; features that are not numbers; a lambda outside \[0, 1\], neither or both of
/// lambda and a set to estimate it from; fewer than 2 real samples.
pub fn plan(real: &Path, read: &ReadOptions, options: &Options) -> Result<Plan> {
    let input = Input::load(real, read, options)?;
    let planned = Planned::new(&input.eigenvalues).map_err(|error| bad(real, &error))?;
    let n_real = match (options.budget_real, input.rows) {
        (Some(n), _) | (None, Some(n)) => n,
        (None, None) => {
            let why =
                "a statistics file does not say how many samples it is of; give the fresh real samples of a generation";
            return Err(Error::config("--budget-real", why));
        }
    };
    let theory = |error: TheoryError| Error::config("the plan", error.to_string());
    let effort = Effort { relative_se: EFFORT, seed: options.seed };
    let lambda = input.bias.value;
    let threshold = |lambda| planned.threshold(n_real, lambda, effort).map_err(theory);
    let safe = safe(&input.bias, threshold)?;
    let worth = |n: u64| planned.worth(n_real, n, lambda, effort).map_err(theory);
    let budget = options.budget_synthetic.map(worth).transpose()?;
    let best = match safe.threshold.n_synthetic_max {
        Some(0) => None,
        most => {
            let most = most.unwrap_or(PLENTY * n_real).min(options.budget_synthetic.unwrap_or(u64::MAX)).max(1);
            let amounts: Vec<_> = amounts(most).into_iter().map(|n| (n_real, n, lambda)).collect();
            let all = planned.worths(&amounts, effort).map_err(theory)?;
            all.into_iter().max_by(|a, b| a.n_e.total_cmp(&b.n_e)).filter(|worth| worth.n_e > n_real as f64)
        }
    };
    let n_synthetic = options.budget_synthetic.or(best.map(|best| best.n_synthetic)).unwrap_or(n_real).max(1);
    let lasting = lasting(n_real, n_synthetic, lambda, options.seed).map_err(theory)?;
    let maps = maps(&planned, n_real, n_synthetic, lambda, options.seed).map_err(theory)?;
    Ok(Plan { input, planned, n_real, safe, best, budget, lasting, maps })
}

fn bad(real: &Path, error: &TheoryError) -> Error {
    Error::bad_file(real, error.to_string(), "give features that vary")
}

/// The threshold at lambda, and the ends of the intervals at the ends of lambda's.
fn safe(bias: &Bias, threshold: impl Fn(f64) -> Result<Threshold>) -> Result<Safe> {
    let middle = threshold(bias.value)?;
    let (low, high) = match bias.interval {
        None => (middle, middle),
        Some((low, high)) => (threshold(low)?, threshold(high)?),
    };
    Ok(Safe { threshold: middle, low: low.ci.map(|(low, _)| low), high: high.ci.map(|(_, high)| high) })
}

/// Amounts up to `most`, evenly in their logarithms.
fn amounts(most: u64) -> Vec<u64> {
    const STEPS: u32 = 10;
    let at = |step: u32| (most as f64).powf(f64::from(step) / f64::from(STEPS)).round() as u64;
    let mut all: Vec<u64> = (3..=STEPS).map(at).collect();
    all.dedup();
    all
}

/// The policies, each with as much data a generation.
fn lasting(n_real: u64, n_synthetic: u64, lambda: f64, seed: u64) -> Result<Vec<Lasting>, TheoryError> {
    let fresh = GaussianLoop::fresh_data(1, n_real, n_synthetic, lambda);
    let policies = [
        (
            "fully-synthetic",
            format!("{} synthetic samples, no real ones", n_real + n_synthetic),
            GaussianLoop {
                kind: LoopKind::FullySynthetic,
                n_initial: n_real,
                n_synthetic: n_real + n_synthetic,
                ..fresh.clone()
            },
        ),
        (
            "synthetic-augmentation",
            format!("the same {n_real} real samples and {n_synthetic} synthetic ones"),
            GaussianLoop { kind: LoopKind::SyntheticAugmentation, ..fresh.clone() },
        ),
        ("fresh-data", format!("{n_real} fresh real samples and {n_synthetic} synthetic ones"), fresh),
    ];
    let one = |(policy, what, settings): (&'static str, String, GaussianLoop)| {
        Ok(Lasting { policy, what, half_life: half_life(&settings, seed)? })
    };
    policies.into_iter().map(one).collect()
}

/// n_e / n_r over (n_r, n_s) at lambda, and over (lambda, n_s) at n_r.
fn maps(planned: &Planned, n_real: u64, n_synthetic: u64, lambda: f64, seed: u64) -> Result<[Grid; 2], TheoryError> {
    let effort = Effort { relative_se: MAP_EFFORT, seed };
    let around = |n: u64, factors: &[f64], least: f64| -> Vec<f64> {
        let mut all: Vec<f64> = factors.iter().map(|factor| (factor * n as f64).round().max(least)).collect();
        all.dedup();
        all
    };
    let n_least = (2.0 * planned.group()).ceil();
    let reals = around(n_real, &[0.1, 0.2, 0.4, 0.7, 1.0, 1.5, 2.5, 5.0, 10.0], n_least);
    // Both the real samples and the amount that is planned lie well inside.
    let (low, high) = ((n_real.min(n_synthetic) as f64 / 20.0).max(1.0), n_real.max(n_synthetic) as f64 * 20.0);
    let mut synthetic: Vec<f64> = (0..9).map(|i| (low * (high / low).powf(f64::from(i) / 8.0)).round()).collect();
    synthetic.dedup();
    let mut lambdas = vec![0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 1.0];
    if lambdas.iter().all(|known: &f64| (known - lambda).abs() > 1e-9) {
        lambdas.push(lambda);
        lambdas.sort_by(f64::total_cmp);
    }
    let grid = |xs: Vec<f64>, at: &dyn Fn(f64, f64) -> (u64, u64, f64)| {
        let column = |&x: &f64| synthetic.iter().map(|&y| at(x, y)).collect::<Vec<_>>();
        let values = planned.map(&xs.iter().map(column).collect::<Vec<_>>(), effort)?;
        let values = values.into_iter().map(|column| column.into_iter().map(Some).collect()).collect();
        Ok(Grid { values, xs, ys: synthetic.clone() })
    };
    Ok([grid(reals, &|x, y| (x as u64, y as u64, lambda))?, grid(lambdas, &|x, y| (n_real, y as u64, x))?])
}

impl Plan {
    /// As one object; see docs/theory.md for its keys.
    pub fn to_json(&self) -> Value {
        let Self { input, planned, n_real, safe, best, budget, lasting, .. } = self;
        let worth = |worth: &Worth| {
            json!({
                "n_synthetic": worth.n_synthetic,
                "n_e": worth.n_e,
                "n_e_over_n_r": worth.n_e_over_n_r.mean,
                "n_e_over_n_r_se": worth.n_e_over_n_r.se,
                "admissible": worth.n_e_over_n_r.mean >= 1.0,
            })
        };
        let lasts = |lasting: &Lasting| {
            let HalfLife { generations, share, seen } = lasting.half_life;
            json!({
                "policy": lasting.policy,
                "each_generation": lasting.what,
                "generations_to_half": generations,
                "variance_share": share,
                "generations_seen": seen,
            })
        };
        json!({
            "real": input.path,
            "rows": input.rows,
            "features": input.features,
            "dim": input.dim,
            "constant_columns": input.constant,
            "shrinkage": input.shrinkage,
            "effective_dimension": planned.effective_dimension(),
            "simulated": {
                "directions": planned.directions(),
                "dimensions_each": planned.group(),
                "variance_share": planned.variance_share(),
            },
            "lambda": input.bias.value,
            "lambda_ci": input.bias.interval.map(|(low, high)| [low, high]),
            "lambda_from": input.bias.from,
            "n_real": n_real,
            "safe": {
                "n_synthetic_max": safe.threshold.n_synthetic_max,
                "ci": safe.threshold.ci.and(Some([safe.low, safe.high])),
                "unbounded": safe.threshold.unbounded,
            },
            "best": best.as_ref().map(worth),
            "budget": budget.as_ref().map(worth),
            "lasting": lasting.iter().map(lasts).collect::<Vec<_>>(),
            "notes": input.notes,
            "cannot_see": CANNOT_SEE,
        })
    }
}
