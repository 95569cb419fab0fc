//! How noise grows over diffusion time.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The variances beta_t of the noise steps, t = 0 ... T - 1: x_t = sqrt(1 - beta_t) x_(t-1) + sqrt(beta_t) e_t.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum NoiseSchedule {
    /// beta_t from 1e-4 to 0.02 in equal steps (Ho et al. 2020, section 4), both times 1000 / T, so that the noise at the end is
    /// about the same for every T; at most 0.999.
    Linear,
    /// alpha-bar_t = f(t + 1) / f(0), f(t) = cos^2(pi / 2 (t / T + 0.008) / 1.008), beta_t at most 0.999 (Nichol and Dhariwal
    /// 2021, eq. 17).
    Cosine,
}

/// The largest beta, which keeps alpha-bar above 0.
const LARGEST_BETA: f64 = 0.999;

/// A schedule of T steps: x_t = alpha_t x + sigma_t e with alpha_t^2 = alpha-bar_t = prod_(s <= t) (1 - beta_s) and
/// sigma_t^2 = 1 - alpha_t^2.
#[derive(Debug, Clone)]
pub(crate) struct Schedule {
    pub(crate) betas: Vec<f64>,
    /// log alpha_t, falling.
    log_alphas: Vec<f64>,
}

impl Schedule {
    pub(crate) fn new(kind: NoiseSchedule, timesteps: usize) -> Self {
        let total = timesteps as f64;
        let linear = |t: usize| 1e-4 + (0.02 - 1e-4) * t as f64 / (total - 1.0);
        let cosine = |t: usize| ((t as f64 / total + 0.008) / 1.008 * std::f64::consts::FRAC_PI_2).cos().powi(2);
        let beta = |t: usize| match kind {
            NoiseSchedule::Linear => 1000.0 / total * linear(t),
            NoiseSchedule::Cosine => 1.0 - cosine(t + 1) / cosine(t),
        };
        let betas: Vec<f64> = (0..timesteps).map(|t| beta(t).min(LARGEST_BETA)).collect();
        let log_alphas = betas
            .iter()
            .scan(0.0, |sum, beta| {
                *sum += 0.5 * (-beta).ln_1p();
                Some(*sum)
            })
            .collect();
        Self { betas, log_alphas }
    }

    /// T.
    pub(crate) fn len(&self) -> usize {
        self.betas.len()
    }

    /// alpha at time `time` in \[0, T - 1\]; between two steps, log alpha is linear (Lu et al. 2022, appendix D.4).
    pub(crate) fn alpha(&self, time: f64) -> f64 {
        self.log_alpha(time).exp()
    }

    /// sigma = sqrt(1 - alpha^2).
    pub(crate) fn sigma(&self, time: f64) -> f64 {
        (-(2.0 * self.log_alpha(time)).exp_m1()).sqrt()
    }

    /// log(alpha / sigma), half the log signal-to-noise ratio.
    pub(crate) fn half_log_snr(&self, time: f64) -> f64 {
        self.log_alpha(time) - self.sigma(time).ln()
    }

    /// The time of a [`Schedule::half_log_snr`], limited to \[0, T - 1\].
    pub(crate) fn time_of(&self, half_log_snr: f64) -> f64 {
        // alpha^2 = 1 / (1 + exp(-2 half_log_snr)).
        let negative = -2.0 * half_log_snr;
        let softplus = negative.max(0.0) + (-negative.abs()).exp().ln_1p();
        let log_alpha = -0.5 * softplus;
        let after = self.log_alphas.partition_point(|&known| known > log_alpha);
        if after == 0 {
            return 0.0;
        }
        match self.log_alphas.get(after) {
            None => (self.len() - 1) as f64,
            Some(&low) => {
                let high = self.log_alphas[after - 1];
                (after - 1) as f64 + (high - log_alpha) / (high - low)
            }
        }
    }

    fn log_alpha(&self, time: f64) -> f64 {
        let time = time.clamp(0.0, (self.len() - 1) as f64);
        let before = time.floor() as usize;
        let fraction = time - before as f64;
        let low = self.log_alphas[before];
        match self.log_alphas.get(before + 1) {
            Some(next) if fraction > 0.0 => low + fraction * (next - low),
            _ => low,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn numbers(value: &Value) -> Vec<f64> {
        value.as_array().expect("a list").iter().map(|v| v.as_f64().expect("a number")).collect()
    }

    #[test]
    fn schedules_are_those_of_pytorch() {
        let golden: Value =
            serde_json::from_str(include_str!("../../tests/golden/schedules.json")).expect("valid JSON");
        let cases = golden["schedules"].as_array().expect("a list");
        assert_eq!(cases.len(), 8);
        for case in cases {
            let kind: NoiseSchedule = serde_json::from_value(case["kind"].clone()).expect("a known kind");
            let schedule = Schedule::new(kind, case["timesteps"].as_u64().expect("T") as usize);
            let close = |key: &str, ours: &dyn Fn(usize) -> f64| {
                for (&t, theirs) in numbers(&case["t"]).iter().zip(numbers(&case[key])) {
                    let ours = ours(t as usize);
                    let tolerance = 1e-11 * theirs.abs().max(1e-3);
                    assert!((ours - theirs).abs() < tolerance, "{kind:?} {key} at {t}: {ours} for {theirs}");
                }
            };
            close("beta", &|t| schedule.betas[t]);
            close("alpha_bar", &|t| schedule.alpha(t as f64).powi(2));
            close("half_log_snr", &|t| schedule.half_log_snr(t as f64));
        }
    }

    #[test]
    fn times_and_signal_to_noise_ratios_are_each_others_inverse() {
        for (kind, timesteps) in [(NoiseSchedule::Linear, 500), (NoiseSchedule::Cosine, 100)] {
            let schedule = Schedule::new(kind, timesteps);
            for i in 0..=200 {
                let time = i as f64 / 200.0 * (timesteps - 1) as f64;
                let back = schedule.time_of(schedule.half_log_snr(time));
                assert!((back - time).abs() < 1e-6, "{kind:?}: {back} for {time}");
            }
            assert_eq!(schedule.time_of(f64::INFINITY), 0.0);
            assert_eq!(schedule.time_of(f64::NEG_INFINITY), (timesteps - 1) as f64);
        }
    }
}
