//! Samplers: from noise to samples by a network's estimate of the noise.

use burn::tensor::Tensor;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::schedule::Schedule;

/// How samples are drawn from a trained network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Sampler {
    /// All T steps backwards with noise of variance beta_t (Ho et al. 2020, algorithm 2). At T = 500 it keeps the variance of
    /// N(., 1/4) to 0.6 %; the posterior variance, the other choice there, loses 3 % a generation.
    Ancestral,
    /// Deterministic steps over evenly spaced times (Song et al. 2021, eq. 12 with sigma = 0). With few steps it narrows the
    /// samples, which is a sampling bias of its own.
    Ddim,
    /// DPM-Solver++(2M) (Lu et al. 2022b, algorithm 2): second order, times evenly spaced in log(alpha / sigma), the last step of
    /// first order. 20 to 50 steps suffice.
    DpmSolver,
}

impl Sampler {
    /// The name in configurations and records.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ancestral => "ancestral",
            Self::Ddim => "ddim",
            Self::DpmSolver => "dpm-solver",
        }
    }
}

/// DPM-Solver++ begins no lower than here, where alpha = 0.0025: the cosine schedule reaches -9 and would spend a third of the steps
/// below. Beginning with mean 0 instead of alpha E x moves the mean of samples by 0.1 %.
const LOWEST_HALF_LOG_SNR: f64 = -6.0;

/// One step: x' = x `x` + eps(x, `time`) `eps` + D' `previous` + noise `noise`, D' being the estimate of the data in the step before,
/// D = (x - sigma eps) / alpha.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Step {
    pub(crate) time: f64,
    pub(crate) x: f64,
    pub(crate) eps: f64,
    pub(crate) previous: f64,
    pub(crate) noise: f64,
    alpha: f64,
    sigma: f64,
}

/// All steps of a sampler, from noise to data. The last leads to D itself.
pub(crate) fn steps(sampler: Sampler, count: usize, schedule: &Schedule) -> Vec<Step> {
    match sampler {
        Sampler::Ancestral => ancestral(schedule),
        Sampler::Ddim => ddim(count, schedule),
        Sampler::DpmSolver => dpm_solver(count, schedule),
    }
}

fn ancestral(schedule: &Schedule) -> Vec<Step> {
    let step = |t: usize| {
        let (alpha, sigma) = (schedule.alpha(t as f64), schedule.sigma(t as f64));
        let beta = schedule.betas[t];
        let x = (1.0 - beta).sqrt().recip();
        let noise = if t == 0 { 0.0 } else { beta.sqrt() };
        Step { time: t as f64, x, eps: -x * beta / sigma, previous: 0.0, noise, alpha, sigma }
    };
    (0..schedule.len()).rev().map(step).collect()
}

fn ddim(count: usize, schedule: &Schedule) -> Vec<Step> {
    let last = (schedule.len() - 1) as f64;
    let times: Vec<f64> = (0..count).map(|i| (last * (1.0 - i as f64 / (count.max(2) - 1) as f64)).round()).collect();
    let step = |i: usize| {
        let (alpha, sigma) = (schedule.alpha(times[i]), schedule.sigma(times[i]));
        let (to_alpha, to_sigma) = times.get(i + 1).map_or((1.0, 0.0), |&to| (schedule.alpha(to), schedule.sigma(to)));
        let x = to_alpha / alpha;
        Step { time: times[i], x, eps: to_sigma - x * sigma, previous: 0.0, noise: 0.0, alpha, sigma }
    };
    (0..count).map(step).collect()
}

fn dpm_solver(count: usize, schedule: &Schedule) -> Vec<Step> {
    let first = schedule.half_log_snr((schedule.len() - 1) as f64).max(LOWEST_HALF_LOG_SNR);
    let last = schedule.half_log_snr(0.0);
    let ratio = |i: usize| first + (last - first) * i as f64 / (count.max(2) - 1) as f64;
    let times: Vec<f64> = (0..count).map(|i| schedule.time_of(ratio(i))).collect();
    let step = |i: usize| {
        let (alpha, sigma) = (schedule.alpha(times[i]), schedule.sigma(times[i]));
        // x' = keep x + give ((1 + c) D - c D'), D and D' by the exponential integrator with c = h / (2 h').
        let (keep, give, c) = match times.get(i + 1) {
            None => (0.0, 1.0, 0.0),
            Some(&to) => {
                let half = |at: f64| schedule.half_log_snr(at);
                let h = half(to) - half(times[i]);
                let c = if i == 0 { 0.0 } else { h / (2.0 * (half(times[i]) - half(times[i - 1]))) };
                (schedule.sigma(to) / sigma, -schedule.alpha(to) * (-h).exp_m1(), c)
            }
        };
        let data = give * (1.0 + c);
        let (x, eps) = (keep + data / alpha, -data * sigma / alpha);
        Step { time: times[i], x, eps, previous: -give * c, noise: 0.0, alpha, sigma }
    };
    (0..count).map(step).collect()
}

/// Runs the steps on x ~ N(0, I), `[n, d]`. `predict` estimates the noise in x at a time; `noise` draws fresh N(0, I). With a `limit`, the
/// estimate D of the data is held in \[-limit, limit\], and eps is what agrees with it.
pub(crate) fn run<E>(
    steps: &[Step],
    limit: Option<f64>,
    mut x: Tensor<2>,
    predict: &mut dyn FnMut(&Tensor<2>, f64) -> Result<Tensor<2>, E>,
    noise: &mut dyn FnMut() -> Tensor<2>,
) -> Result<Tensor<2>, E> {
    let mut previous: Option<Tensor<2>> = None;
    for (i, step) in steps.iter().enumerate() {
        let mut eps = predict(&x, step.time)?;
        let estimate = |eps: &Tensor<2>| (x.clone() - eps.clone() * step.sigma) / step.alpha;
        if let Some(limit) = limit {
            eps = (x.clone() - estimate(&eps).clamp(-limit, limit) * step.alpha) / step.sigma;
        }
        let kept = steps.get(i + 1).is_some_and(|next| next.previous != 0.0);
        let data = kept.then(|| estimate(&eps));
        x = x * step.x + eps * step.eps;
        if let Some(previous) = previous.filter(|_| step.previous != 0.0) {
            x = x + previous * step.previous;
        }
        if step.noise != 0.0 {
            x = x + noise() * step.noise;
        }
        previous = data;
    }
    Ok(x)
}
