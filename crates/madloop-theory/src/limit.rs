//! Where the fresh-data loop settles.

use madloop_core::{History, LoopKind, Pool, Seeds, Stream, SyntheticCount};
use rayon::prelude::*;

use crate::blocks::{Block, Model};
use crate::chain::{Chain, mean_sq};
use crate::controls::coefficients;
use crate::linalg::Factor;
use crate::samples::SampleCurve;
use crate::second::{Stationary, Traces};
use crate::{Estimate, GaussianLoop, Result, TheoryError};

const START: Stream = Stream::named("theory-start");
/// Independent chains, whose means give the standard error, and models that each measures before the first look at it, which
/// is followed by as many again, and so on. In few dimensions models vary more, are cheaper, and get more of both.
fn sizes(dim: usize) -> (u32, u32) {
    let share = |all: usize, least: usize, most: usize| (all / dim).clamp(least, most) as u32;
    (share(640, 16, 64), share(256, 8, 256))
}
/// Looks at the standard error.
pub(crate) const ROUNDS: u32 = 8;

/// The limit of the fresh-data loop, by expected squared W2.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limit {
    /// lim E dist(G^t, P_r), squared units of the data.
    pub w2_sq: f64,
    /// Its standard error.
    pub w2_sq_se: f64,
    /// Real samples with which one model alone is as good ([`SampleCurve::effective_n`]).
    pub n_e: f64,
    /// Its standard error.
    pub n_e_se: f64,
    /// n_e / n_real.
    pub n_e_over_n_r: f64,
    /// Whether synthetic data helps or does no harm: n_e / n_real >= 1.
    pub admissible: bool,
}

/// How exactly a limit is wanted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Effort {
    /// Standard error of n_e over n_e at which to stop; it is reported, and missed only where 256 correlation times of at
    /// least 16 chains are not enough.
    pub relative_se: f64,
    /// Seed; limits of one seed share random numbers.
    pub seed: u64,
}

impl Default for Effort {
    /// 0.15 %.
    fn default() -> Self {
        Self { relative_se: 0.0015, seed: 0 }
    }
}

impl Effort {
    pub(crate) fn check(self) -> Result<()> {
        if self.relative_se > 0.0 {
            return Ok(());
        }
        Err(TheoryError::Setting { name: "relative_se", value: self.relative_se, must: "above 0" })
    }
}

/// The limit of a fresh-data loop; see [`limit_on`].
///
/// # Errors
/// As [`limit_on`].
pub fn limit(settings: &GaussianLoop, effort: Effort) -> Result<Limit> {
    limit_on(&SampleCurve::new(&settings.covariance)?, settings, effort)
}

/// The limit of a fresh-data loop (n_initial has no part in it), with the curve of its real data, which many limits can share.
///
/// Stationary chains (16 or, below 40 dimensions, up to 64) measure E dist; with history 1 the exact stationary |mu|^2, tr Sigma and tr Sigma^2 are control
/// variates, and set the state that chains start from and the burn-in: 1/20 of what is left of the start's error, at the rate
/// at which the exact recursion forgets. Without real data there is no limit.
///
/// # Errors
/// Settings out of range; n_real below 2; another loop or pool; a history without end, which never settles; a curve of other
/// real data.
pub fn limit_on(curve: &SampleCurve, settings: &GaussianLoop, effort: Effort) -> Result<Limit> {
    check_limit(settings)?;
    effort.check()?;
    if curve.spectrum() != settings.covariance.spectrum()? {
        let value = curve.spectrum().len() as f64;
        return Err(TheoryError::Setting { name: "the rank of the curve", value, must: "of the same real covariance" });
    }
    let n_real = settings.n_real as f64;
    if settings.n_synthetic == 0 {
        let Estimate { mean, se } = curve.at(n_real);
        let (n_e, n_e_se) = (n_real, 0.0);
        return Ok(Limit { w2_sq: mean, w2_sq_se: se, n_e, n_e_se, n_e_over_n_r: 1.0, admissible: true });
    }
    let mut chains = Chains::new(curve, settings, effort.seed);
    loop {
        let Estimate { mean, se } = chains.round();
        let n_e = curve.effective_n(mean, se)?;
        if n_e.se <= effort.relative_se * n_e.mean || chains.rounds >= ROUNDS {
            let ratio = n_e.mean / n_real;
            return Ok(Limit {
                w2_sq: mean,
                w2_sq_se: se,
                n_e: n_e.mean,
                n_e_se: n_e.se,
                n_e_over_n_r: ratio,
                admissible: ratio >= 1.0,
            });
        }
    }
}

/// That a loop has a limit.
///
/// # Errors
/// As [`limit_on`], but for the covariance.
pub fn check_limit(settings: &GaussianLoop) -> Result<()> {
    let error = |name, value: f64, must| Err(TheoryError::Setting { name, value, must });
    // n_initial is of no consequence.
    GaussianLoop { n_initial: settings.n_initial.max(2), ..settings.clone() }.check()?;
    if settings.kind != LoopKind::FreshData || settings.pool != Pool::Redraw {
        return error("n_real of fresh data", 0.0, "above 0, with pool redraw: only the fresh-data loop has a limit");
    }
    if settings.n_real < 2 {
        return error("n_real", settings.n_real as f64, "at least 2: a covariance has n - 1 degrees of freedom");
    }
    if settings.history == History::All {
        return error("history", f64::INFINITY, "a number of models: a loop that samples all of them never settles");
    }
    Ok(())
}

/// What chains start from: Sigma = c Wishart(S / k, k), mu ~ N(0, v S / tr S).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Start {
    scale: f64,
    degrees: f64,
    mean_sq: f64,
}

impl Start {
    /// With the first two stationary moments of the model; without second moments, with those of `fallback` samples.
    pub(crate) fn matching(traces: Traces, exact: &Stationary, fallback: f64) -> Self {
        let scale = exact.trace / traces.first;
        let one = scale * scale * (traces.second + traces.first * traces.first);
        let degrees = exact.squared_trace.map(|q| one / (q - scale * scale * traces.second));
        let degrees = degrees.filter(|k| k.is_finite() && *k > 0.0).unwrap_or(fallback - 1.0).clamp(1.0, 9e15);
        Self { scale, degrees, mean_sq: exact.mean_sq }
    }

    /// E dist of such a model: near the limit, and without noise.
    pub(crate) fn w2_sq(&self, curve: &SampleCurve) -> f64 {
        let root = self.scale.sqrt();
        self.mean_sq + curve.traces().first * (1.0 - root) * (1.0 - root) + root * curve.spread(self.degrees)
    }

    fn model(&self, curve: &SampleCurve, seeds: Seeds, replicate: u32) -> Model {
        let spectrum = curve.spectrum();
        let real = Model { mean: vec![0.0; spectrum.len()], factor: Factor::diagonal(spectrum) };
        let count = self.degrees.round() as u64 + 1;
        let mut rng = seeds.rng(START, replicate.into());
        let mut model = Block::fit(&[&Block::draw(&real, self.scale, count, &mut rng)]);
        let stretch = (self.mean_sq / curve.traces().first * count as f64 / self.scale).sqrt();
        model.mean.iter_mut().for_each(|value| *value *= stretch);
        model
    }
}

/// What chains start from, and how many generations they need.
struct Pace {
    start: Start,
    exact: Option<Stationary>,
    burn_in: u32,
    /// Generations between measurements.
    stride: u32,
}

impl Pace {
    fn of(traces: Traces, settings: &GaussianLoop) -> Self {
        let (n_r, n_s) = (settings.n_real as f64, settings.n_synthetic as f64);
        let exact = (settings.history == History::Last(1)).then(|| Stationary::of(traces, n_r, n_s, settings.lambda));
        let (start, contraction) = match &exact {
            Some(exact) => (Start::matching(traces, exact, n_r), exact.contraction),
            None => several(traces, settings),
        };
        // Chains forget at rate log(1 / contraction) a generation; four measurements a correlation time are enough.
        let rate = -contraction.max(1e-3).ln();
        let burn_in = (20.0_f64.ln() / rate).ceil().clamp(4.0, 1e6) as u32;
        let stride = (0.25 / rate).round().clamp(1.0, 1e6) as u32;
        Self { start, exact, burn_in, stride }
    }
}

/// Generations that the calculation of a limit simulates at the least, all chains together: about d^3 operations each.
///
/// # Errors
/// As [`limit_on`].
pub fn limit_generations(settings: &GaussianLoop) -> Result<f64> {
    check_limit(settings)?;
    if settings.n_synthetic == 0 {
        return Ok(0.0);
    }
    let spectrum = settings.covariance.spectrum()?;
    let Pace { burn_in, stride, .. } = Pace::of(Traces::of(&spectrum), settings);
    let (replicates, first_round) = sizes(spectrum.len());
    Ok(f64::from(replicates) * (f64::from(burn_in) + f64::from(first_round) * f64::from(stride)))
}

/// Stationary chains of one loop.
pub(crate) struct Chains<'a> {
    chains: Vec<(Chain<'a>, Vec<[f64; 4]>)>,
    exact: Option<Stationary>,
    stride: u32,
    first_round: u32,
    pub(crate) rounds: u32,
}

impl<'a> Chains<'a> {
    pub(crate) fn new(curve: &SampleCurve, settings: &'a GaussianLoop, seed: u64) -> Self {
        let Pace { start, exact, burn_in, stride } = Pace::of(curve.traces(), settings);
        let seeds = Seeds::new(seed);
        let (replicates, first_round) = sizes(curve.spectrum().len());
        let begin = |replicate| {
            let model = start.model(curve, seeds, replicate);
            let mut chain = Chain::new(settings, curve.spectrum(), seeds, replicate).start(model);
            (0..burn_in).for_each(|_| chain.step());
            (chain, Vec::new())
        };
        let chains = (0..replicates).into_par_iter().map(begin).collect();
        Self { chains, exact, stride, first_round, rounds: 0 }
    }

    /// Doubles the measurements; gives E dist.
    pub(crate) fn round(&mut self) -> Estimate {
        let models = self.first_round << self.rounds.saturating_sub(1);
        self.rounds += 1;
        let stride = self.stride;
        self.chains.par_iter_mut().for_each(|(chain, seen)| {
            for _ in 0..models {
                (0..stride).for_each(|_| chain.step());
                let (moments, model) = (chain.measure(), chain.model());
                seen.push([moments.w2_sq, mean_sq(model), moments.trace, model.factor.squared_trace()]);
            }
        });
        let all = |index: usize| -> Vec<f64> {
            self.chains.iter().flat_map(|(_, seen)| seen.iter().map(move |values| values[index])).collect()
        };
        let (slopes, known) = match self.exact {
            None => ([0.0; 3], [0.0; 3]),
            // |mu|^2 and tr Sigma are terms of dist, and may vary without bound: taken out whole.
            Some(Stationary { mean_sq, trace, squared_trace: None, .. }) => ([1.0, 1.0, 0.0], [mean_sq, trace, 0.0]),
            Some(Stationary { mean_sq, trace, squared_trace: Some(squared), .. }) => {
                let slopes = coefficients(&all(0), &[all(1), all(2), all(3)]);
                ([slopes[0], slopes[1], slopes[2]], [mean_sq, trace, squared])
            }
        };
        let adjusted =
            |values: &[f64; 4]| values[0] - (0..3).map(|i| slopes[i] * (values[i + 1] - known[i])).sum::<f64>();
        let mean = |seen: &[[f64; 4]]| seen.iter().map(adjusted).sum::<f64>() / seen.len() as f64;
        Estimate::of(&self.chains.iter().map(|(_, seen)| mean(seen)).collect::<Vec<_>>())
    }
}

/// Start and contraction with K > 1 models, from the mean's autoregression mu_t = a (mu_{t-1} + ... + mu_{t-K}) / K + noise:
/// its effective sample size, and the largest root of x^K = a (x^{K-1} + ... + 1) / K, squared since dist is.
fn several(traces: Traces, settings: &GaussianLoop) -> (Start, f64) {
    let History::Last(models) = settings.history else { unreachable!("a history without end was refused") };
    let (n_r, k) = (settings.n_real as f64, f64::from(models));
    let copies = if settings.synthetic_count == SyntheticCount::PerModel { k } else { 1.0 };
    let n_s = settings.n_synthetic as f64 * copies;
    let (share, rho) = (n_s / (n_r + n_s), n_s / n_r);
    let root = |share: f64| {
        let (mut low, mut high) = (0.0_f64, 1.0_f64);
        for _ in 0..60 {
            let x = (low + high) / 2.0;
            // share (x^-1 + ... + x^-K) / K falls in x.
            let (mut power, mut sum) = (1.0, 0.0);
            for _ in 0..models {
                power /= x;
                sum += power;
            }
            if share * sum / k > 1.0 { low = x } else { high = x }
        }
        high
    };
    let n_e = n_r * (1.0 + rho * k / (k + rho));
    // Means of lambda < 1 are closer to 0, traces smaller: E tr Sigma = (1 - a) tr S + a lambda E tr Sigma, nearly.
    let scale = (1.0 - share) / (1.0 - share * settings.lambda);
    let mean_sq = traces.first * scale / n_e;
    (Start { scale, degrees: n_e - 1.0, mean_sq }, root(share).powi(2).max(root(share * settings.lambda)))
}
