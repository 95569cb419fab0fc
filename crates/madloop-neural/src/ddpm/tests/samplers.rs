//! Samplers with the exact noise estimate of a Gaussian or a mixture in place of a network, against moments that are
//! propagated through each sampler's own recursion, written here once more as its paper has it, in double precision.

use madloop_core::{Seeds, Stream};

use super::super::sampler::{self, Sampler};
use super::super::schedule::{NoiseSchedule, Schedule};
use crate::backend::Device;
use crate::params::{matrix, to_host};
use crate::random;

/// Components of a mixture on the line: weight, mean, variance.
type Law = Vec<[f64; 3]>;

/// Draws of each comparison.
const ROWS: usize = 200_000;
/// Standard errors that a mean or variance may be off: 4e-8 a comparison by chance over fresh seeds, < 2e-6 in all.
const ERRORS: f64 = 5.5;

/// E[e | alpha x + sigma e = at].
fn noise_estimate(law: &Law, alpha: f64, sigma: f64, at: f64) -> f64 {
    let (mut total, mut sum) = (0.0, 0.0);
    for [weight, mean, variance] in law {
        let spread = alpha * alpha * variance + sigma * sigma;
        let off = at - alpha * mean;
        let density = weight * (-off * off / (2.0 * spread)).exp() / spread.sqrt() + 1e-300;
        total += density;
        sum += density * sigma * off / spread;
    }
    sum / total
}

struct Case {
    schedule: Schedule,
    sampler: Sampler,
    steps: usize,
    conditional: Law,
    unconditional: Law,
    guidance: f64,
    /// Largest estimate of the data.
    limit: Option<f64>,
}

impl Case {
    fn estimate(&self, time: f64, at: f64) -> f64 {
        let (alpha, sigma) = (self.schedule.alpha(time), self.schedule.sigma(time));
        let one = |law| noise_estimate(law, alpha, sigma, at);
        (1.0 + self.guidance) * one(&self.conditional) - self.guidance * one(&self.unconditional)
    }

    /// The estimate that the recursion uses.
    fn limited(&self, time: f64, at: f64) -> f64 {
        let (alpha, sigma) = (self.schedule.alpha(time), self.schedule.sigma(time));
        let eps = self.estimate(time, at);
        match self.limit {
            None => eps,
            Some(limit) => (at - alpha * ((at - sigma * eps) / alpha).clamp(-limit, limit)) / sigma,
        }
    }

    /// Mean, variance and fourth central moment of samples.
    fn sampled(&self) -> [f64; 3] {
        let device = Device::cpu();
        let steps = sampler::steps(self.sampler, self.steps, &self.schedule);
        let mut rng = Seeds::new(5).at(1).rng(Stream::SAMPLE, 0);
        let mut noise = || {
            let mut values = vec![0.0; ROWS];
            random::fill_normal(&mut rng, &mut values);
            matrix(values, 1, device.inner())
        };
        let first = noise();
        let mut predict = |x: &burn::tensor::Tensor<2>, time: f64| {
            let at = to_host(x.clone(), "reading x")?;
            let eps = at.into_iter().map(|at| self.estimate(time, f64::from(at)) as f32).collect();
            Ok::<_, crate::Error>(matrix(eps, 1, device.inner()))
        };
        let samples = sampler::run(&steps, self.limit, first, &mut predict, &mut noise).expect("on the CPU");
        moments(
            to_host(samples, "reading samples")
                .expect("on the CPU")
                .into_iter()
                .map(|v| (1.0 / ROWS as f64, f64::from(v))),
        )
    }

    /// The same of the law that the recursion leads to.
    fn propagated(&self) -> [f64; 3] {
        match self.sampler {
            Sampler::Ancestral => self.propagate_density(),
            _ => moments(normal_grid().map(|(weight, x)| {
                let x = if self.sampler == Sampler::Ddim { self.ddim(x) } else { self.dpm_solver(x) };
                (weight, x)
            })),
        }
    }

    /// Song et al. 2021, eq. 12: x' = alpha' (x - sigma eps) / alpha + sigma' eps.
    fn ddim(&self, mut x: f64) -> f64 {
        let last = self.schedule.len() - 1;
        let time = |i: usize| ((last * (self.steps - 1 - i)) as f64 / (self.steps - 1) as f64).round();
        for i in 0..self.steps {
            let (alpha, sigma) = (self.schedule.alpha(time(i)), self.schedule.sigma(time(i)));
            let eps = self.limited(time(i), x);
            let data = (x - sigma * eps) / alpha;
            if i + 1 == self.steps {
                return data;
            }
            x = self.schedule.alpha(time(i + 1)) * data + self.schedule.sigma(time(i + 1)) * eps;
        }
        x
    }

    /// Lu et al. 2022b, algorithm 2: x' = sigma' / sigma x - alpha' (e^-h - 1) ((1 + 1 / 2r) D - 1 / 2r D').
    fn dpm_solver(&self, mut x: f64) -> f64 {
        let log_snr = |time: f64| (self.schedule.alpha(time) / self.schedule.sigma(time)).ln();
        let (low, high) = (log_snr((self.schedule.len() - 1) as f64).max(-6.0), log_snr(0.0));
        let ratio = |i: usize| low + (high - low) * i as f64 / (self.steps - 1) as f64;
        let h = ratio(1) - ratio(0);
        let mut before = None;
        for i in 0..self.steps {
            let time = self.schedule.time_of(ratio(i));
            let (alpha, sigma) = (self.schedule.alpha(time), self.schedule.sigma(time));
            let data = (x - sigma * self.limited(time, x)) / alpha;
            if i + 1 == self.steps {
                return data;
            }
            // r = 1, since all steps are equal.
            let extrapolated = before.map_or(data, |before: f64| 1.5 * data - 0.5 * before);
            let to = self.schedule.time_of(ratio(i + 1));
            x = self.schedule.sigma(to) / sigma * x - self.schedule.alpha(to) * ((-h).exp() - 1.0) * extrapolated;
            before = Some(data);
        }
        x
    }

    /// Ho et al. 2020, algorithm 2, as a Markov chain on a grid.
    fn propagate_density(&self) -> [f64; 3] {
        const SPACING: f64 = 0.01;
        let grid: Vec<f64> = (-800..=800).map(|i| f64::from(i) * SPACING).collect();
        let mut density: Vec<f64> = grid.iter().map(|x| (-x * x / 2.0).exp()).collect();
        for t in (0..self.schedule.len()).rev() {
            let beta = self.schedule.betas[t];
            let sigma = self.schedule.sigma(t as f64);
            let centre = |x: f64| (x - beta / sigma * self.limited(t as f64, x)) / (1.0 - beta).sqrt();
            if t == 0 {
                let total: f64 = density.iter().sum();
                return moments(grid.iter().zip(&density).map(|(&x, &weight)| (weight / total, centre(x))));
            }
            let mut next = vec![0.0; grid.len()];
            for (&x, &weight) in grid.iter().zip(&density) {
                let centre = centre(x);
                let reach = 8.0 * beta.sqrt();
                let from = grid.partition_point(|&to| to < centre - reach);
                let until = grid.partition_point(|&to| to < centre + reach);
                for at in from..until {
                    next[at] += weight * (-(grid[at] - centre).powi(2) / (2.0 * beta)).exp();
                }
            }
            let total: f64 = next.iter().sum();
            density = next.into_iter().map(|weight| weight / total).collect();
        }
        [f64::NAN; 3]
    }

    fn check(&self) -> [f64; 2] {
        let [mean, variance, _] = self.propagated();
        let [found_mean, found_variance, fourth] = self.sampled();
        let rows = ROWS as f64;
        let off = (found_mean - mean).abs() / (found_variance / rows).sqrt();
        let off_variance =
            (found_variance - variance).abs() / ((fourth - found_variance * found_variance) / rows).sqrt();
        assert!(
            off < ERRORS && off_variance < ERRORS,
            "{:?} w = {}: mean {found_mean} for {mean}, variance {found_variance} for {variance}",
            self.sampler,
            self.guidance
        );
        [mean, variance]
    }
}

/// Mean, variance and fourth central moment of weighted points whose weights sum to 1.
fn moments(points: impl Iterator<Item = (f64, f64)> + Clone) -> [f64; 3] {
    let mean: f64 = points.clone().map(|(weight, x)| weight * x).sum();
    let central = |power: i32| points.clone().map(|(weight, x)| weight * (x - mean).powi(power)).sum();
    [mean, central(2), central(4)]
}

/// N(0, 1) as weighted points; the trapezoidal rule is exact to 1e-12 for smooth maps.
fn normal_grid() -> impl Iterator<Item = (f64, f64)> + Clone {
    const SPACING: f64 = 0.01;
    (-800..=800).map(|i| {
        let x = f64::from(i) * SPACING;
        (SPACING * (-x * x / 2.0).exp() / std::f64::consts::TAU.sqrt(), x)
    })
}

fn gaussian() -> Law {
    vec![[1.0, 1.0, 0.25]]
}

fn standard() -> Law {
    vec![[1.0, 0.0, 1.0]]
}

fn mixture() -> Law {
    vec![[0.3, -1.5, 0.1], [0.7, 1.0, 0.25]]
}

const SAMPLERS: [(Sampler, usize); 3] = [(Sampler::Ancestral, 100), (Sampler::Ddim, 30), (Sampler::DpmSolver, 30)];

fn case(kind: NoiseSchedule, (sampler, steps): (Sampler, usize), laws: [Law; 2], guidance: f64) -> Case {
    let [conditional, unconditional] = laws;
    Case { schedule: Schedule::new(kind, 100), sampler, steps, conditional, unconditional, guidance, limit: None }
}

#[test]
fn samplers_follow_their_recursions_for_gaussians() {
    for sampler in SAMPLERS {
        for guidance in [0.0, 1.0] {
            case(NoiseSchedule::Linear, sampler, [gaussian(), standard()], guidance).check();
        }
    }
}

#[test]
fn samplers_follow_their_recursions_for_mixtures() {
    for sampler in SAMPLERS {
        // Guidance towards one component of the mixture.
        case(NoiseSchedule::Cosine, sampler, [mixture(), mixture()], 0.0).check();
        case(NoiseSchedule::Cosine, sampler, [gaussian(), mixture()], 0.5).check();
    }
}

#[test]
fn samplers_follow_their_recursions_with_limited_estimates() {
    for sampler in SAMPLERS {
        let laws = [gaussian(), mixture()];
        let limited = Case { limit: Some(1.4), ..case(NoiseSchedule::Linear, sampler, laws, 0.5) };
        let [mean, _] = limited.check();
        let [free, ..] = Case { limit: None, ..limited }.propagated();
        assert!((mean - free).abs() > 0.01, "the limit of 1.4 does nothing");
    }
}

/// What each sampler makes of N(1, 1/4), which is the bias that it brings into a loop by itself.
#[test]
fn samplers_keep_the_law_as_documented() {
    let moments = |kind, timesteps, sampler, steps, guidance| {
        let (conditional, unconditional) = (gaussian(), standard());
        let schedule = Schedule::new(kind, timesteps);
        let [mean, variance, _] =
            Case { schedule, sampler, steps, conditional, unconditional, guidance, limit: None }.propagated();
        (mean, variance / 0.25)
    };
    let near = |found: (f64, f64), mean: f64, variance: f64| {
        assert!((found.0 - mean).abs() < 2e-3 && (found.1 - variance).abs() < 2e-3, "{found:?}");
    };
    near(moments(NoiseSchedule::Linear, 500, Sampler::Ancestral, 500, 0.0), 1.0, 1.006);
    near(moments(NoiseSchedule::Cosine, 500, Sampler::DpmSolver, 40, 0.0), 0.9988, 1.009);
    near(moments(NoiseSchedule::Linear, 500, Sampler::Ddim, 50, 0.0), 0.9971, 0.892);
    // Guidance with w = 1 does not draw from p(x | c)^2 / p(x), whose mean is 1.143 and whose variance 4/7 of p(x | c)'s.
    near(moments(NoiseSchedule::Linear, 500, Sampler::Ancestral, 500, 1.0), 1.2507, 0.441);
}
