//! What a planner asks of the theory: for any spectrum, also a large one, how much synthetic data is safe, what it is worth, and how
//! long diversity lasts.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use madloop_core::{LoopKind, Pool, SamplingBias};
use rayon::prelude::*;

use crate::forms::{effective_dimension, log_variance_drift, threshold_large_n_real_spectrum};
use crate::threshold::predicted;
use crate::{
    Effort, Estimate, GaussianLoop, RealCovariance, Result, SampleCurve, TheoryError, Threshold, curve, limit_on,
    threshold_on,
};

/// Directions that loops are simulated in.
pub const MOST_DIRECTIONS: usize = 96;
/// Share of the variance that the leading directions must carry to stand for all.
const CARRIED: f64 = 0.9;
/// Generations that are simulated for a half-life.
const LONGEST: u32 = 2000;
const LONGEST_POOL: u32 = 400;
/// A loop that loses no more than this share of the way to a half, and no longer changes, has settled.
const SETTLED: f64 = 0.9;
/// Loops over which a half-life is averaged: the standard error of E log variance is about 0.04 where it is ln 2.
const REPLICATES: u32 = 400;

/// A covariance's spectrum, made small enough to simulate.
///
/// Up to [`MOST_DIRECTIONS`] dimensions nothing changes. Beyond, either the leading directions stand for all of them, where
/// they carry 90 % of the variance; or every direction is one of several like it: the eigenvalues are averaged in groups of
/// equal size and all counts are divided by that size, since in many dimensions loops depend on n / d and the shape of the
/// spectrum alone. Thresholds are then corrected by the ratio of the exact large-n_real thresholds of both spectra.
#[derive(Debug)]
pub struct Planned {
    full: Vec<f64>,
    used: Vec<f64>,
    /// Dimensions that one of the used stands for: counts are divided by it.
    group: f64,
    curve: SampleCurve,
    covariance: RealCovariance,
}

/// What a loop with an amount of synthetic data comes to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Worth {
    /// The amount a generation.
    pub n_synthetic: u64,
    /// Real samples with which one model alone is as good.
    pub n_e: f64,
    /// n_e over the fresh real samples of a generation.
    pub n_e_over_n_r: Estimate,
}

/// When the variance along a direction has halved.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HalfLife {
    /// The first generation t with exp(E log variance) at most half of the real data's; `None` when it has not come to that.
    pub generations: Option<u64>,
    /// exp(E log variance) over the real data's: at `seen`, or where it settles.
    pub share: f64,
    /// The last generation that was looked at.
    pub seen: u64,
}

impl Planned {
    /// For a covariance with these eigenvalues, those above 0.
    ///
    /// # Errors
    /// No eigenvalue above 0, or one that is negative or not finite.
    pub fn new(eigenvalues: &[f64]) -> Result<Self> {
        effective_dimension(eigenvalues)?;
        let mut full: Vec<f64> = eigenvalues.iter().copied().filter(|&value| value > 0.0).collect();
        full.sort_by(|a, b| b.total_cmp(a));
        // In units of the mean, so that no power of an eigenvalue leaves the range of f64.
        let mean = full.iter().sum::<f64>() / full.len() as f64;
        full.iter_mut().for_each(|value| *value /= mean);
        full.retain(|&value| value > 0.0);
        let (used, group) = compress(&full);
        let covariance = RealCovariance::Diagonal(used.clone());
        Ok(Self { curve: SampleCurve::new(&covariance)?, covariance, full, used, group })
    }

    /// Dimensions with variance.
    pub fn dim(&self) -> usize {
        self.full.len()
    }

    /// [`effective_dimension`] of the whole spectrum: the dimension that carries the answer.
    pub fn effective_dimension(&self) -> f64 {
        effective_dimension(&self.full).unwrap_or(f64::NAN)
    }

    /// Directions that were simulated.
    pub fn directions(&self) -> usize {
        self.used.len()
    }

    /// Dimensions that each of them stands for; 1 where they stand for themselves.
    pub fn group(&self) -> f64 {
        self.group
    }

    /// The share of the variance that they carry.
    pub fn variance_share(&self) -> f64 {
        if self.group > 1.0 { 1.0 } else { self.used.iter().sum::<f64>() / self.full.iter().sum::<f64>() }
    }

    /// The large-n_real threshold of the whole spectrum over that of the simulated one, in samples of the whole.
    fn correction(&self, lambda: f64) -> Result<f64> {
        let bias = bias(lambda)?;
        let (full, used) =
            (threshold_large_n_real_spectrum(&self.full, bias)?, threshold_large_n_real_spectrum(&self.used, bias)?);
        Ok(full.zip(used).map_or(1.0, |(full, used)| full / (used * self.group)))
    }

    fn counted(&self, n: u64) -> u64 {
        (n as f64 / self.group).round() as u64
    }

    /// The largest admissible amount of synthetic data beside `n_real` fresh samples; see [`threshold_on`].
    ///
    /// # Errors
    /// As [`threshold_on`]; fewer than 2 real samples a group of dimensions.
    pub fn threshold(&self, n_real: u64, lambda: f64, effort: Effort) -> Result<Threshold> {
        self.check(n_real)?;
        if let Some(threshold) = self.far(n_real, lambda)? {
            return Ok(threshold);
        }
        let scale = self.group * self.correction(lambda)?;
        let found = threshold_on(&self.curve, &self.covariance, self.counted(n_real), lambda, effort)?;
        Ok(Threshold {
            // The interval's own point is the root; its floor is what is admissible.
            n_synthetic_max: found.n_synthetic_max.map(|n| (n as f64 * scale).floor() as u64),
            ci: found.ci.map(|(low, high)| (low * scale, high * scale)),
            unbounded: found.unbounded,
        })
    }

    /// The exact large-n_real threshold, where n_real is so large that what it leaves out is below 2 %.
    fn far(&self, n_real: u64, lambda: f64) -> Result<Option<Threshold>> {
        let Some(root) = threshold_large_n_real_spectrum(&self.full, bias(lambda)?)? else { return Ok(None) };
        let error = (self.effective_dimension() + root) / n_real as f64;
        Ok((error <= 0.02).then(|| Threshold {
            n_synthetic_max: Some(root.floor() as u64),
            ci: Some((root * (1.0 - error), root * (1.0 + error))),
            unbounded: false,
        }))
    }

    /// The limit with `n_synthetic` synthetic samples.
    ///
    /// # Errors
    /// As [`limit_on`]; fewer than 2 real samples a group of dimensions.
    pub fn worth(&self, n_real: u64, n_synthetic: u64, lambda: f64, effort: Effort) -> Result<Worth> {
        self.check(n_real)?;
        // Amounts are corrected as thresholds are, so that both agree where n_e = n_real.
        let corrected = n_synthetic as f64 / self.correction(lambda)? / self.group;
        let settings = GaussianLoop {
            covariance: self.covariance.clone(),
            ..GaussianLoop::fresh_data(1, self.counted(n_real), corrected.round().min(9e15) as u64, lambda)
        };
        let limit = limit_on(&self.curve, &settings, effort)?;
        let se = limit.n_e_se / self.counted(n_real) as f64;
        Ok(Worth {
            n_synthetic,
            n_e: limit.n_e_over_n_r * n_real as f64,
            n_e_over_n_r: Estimate { mean: limit.n_e_over_n_r, se },
        })
    }

    /// The worth of each amount, in parallel.
    ///
    /// # Errors
    /// As [`Planned::worth`].
    pub fn worths(&self, settings: &[(u64, u64, f64)], effort: Effort) -> Result<Vec<Worth>> {
        let one = |&(n_real, n_synthetic, lambda): &(u64, u64, f64)| self.worth(n_real, n_synthetic, lambda, effort);
        settings.par_iter().map(one).collect()
    }

    /// n_e / n_real over every pair of `reals` and `synthetic` amounts at their lambdas (`settings[i][j]`), for a map: where a
    /// ratio is within 2 standard errors of 1, the predicted threshold says on which side of 1 it is.
    ///
    /// # Errors
    /// As [`Planned::worth`].
    pub fn map(&self, settings: &[Vec<(u64, u64, f64)>], effort: Effort) -> Result<Vec<Vec<f64>>> {
        let flat: Vec<_> = settings.iter().flatten().copied().collect();
        let worths = self.worths(&flat, effort)?;
        let coarse = self.curve.coarse();
        let mut known: BTreeMap<(u64, u64), f64> = BTreeMap::new();
        for &(n_real, _, lambda) in &flat {
            if let Entry::Vacant(place) = known.entry((n_real, lambda.to_bits())) {
                let scale = self.group * self.correction(lambda)?;
                place.insert(predicted(&coarse, self.counted(n_real), lambda)? * scale);
            }
        }
        let threshold = |&(n_real, _, lambda): &(u64, u64, f64)| known[&(n_real, lambda.to_bits())];
        let sided = |(worth, settings): (&Worth, &(u64, u64, f64))| {
            let Estimate { mean, se } = worth.n_e_over_n_r;
            match worth.n_synthetic as f64 <= threshold(settings) {
                _ if (mean - 1.0).abs() > 2.0 * se.max(1e-3) => mean,
                true => mean.max(1.0 + 1e-9),
                false => mean.min(1.0 - 1e-9),
            }
        };
        let mut values = worths.iter().zip(&flat).map(sided);
        Ok(settings.iter().map(|column| values.by_ref().take(column.len()).collect()).collect())
    }

    fn check(&self, n_real: u64) -> Result<()> {
        if self.counted(n_real) >= 2 {
            return Ok(());
        }
        let must = "at least 2 for every 96th of the dimensions: for so few samples use features of fewer dimensions";
        Err(TheoryError::Setting { name: "n_real", value: n_real as f64, must })
    }
}

fn bias(lambda: f64) -> Result<SamplingBias> {
    let must = "a number from 0 (modes only) to 1 (unbiased)";
    SamplingBias::new(lambda).map_err(|_| TheoryError::Setting { name: "lambda", value: lambda, must })
}

/// The spectrum to simulate and how many dimensions one of its directions stands for.
fn compress(full: &[f64]) -> (Vec<f64>, f64) {
    let d = full.len();
    if d <= MOST_DIRECTIONS {
        return (full.to_vec(), 1.0);
    }
    let carried: f64 = full[..MOST_DIRECTIONS].iter().sum();
    if carried >= CARRIED * full.iter().sum::<f64>() {
        return (full[..MOST_DIRECTIONS].to_vec(), 1.0);
    }
    let bounds = |i: usize| i * d / MOST_DIRECTIONS;
    let groups = (0..MOST_DIRECTIONS).map(|i| &full[bounds(i)..bounds(i + 1)]);
    let means = groups.map(|group| group.iter().sum::<f64>() / group.len() as f64);
    (means.collect(), d as f64 / MOST_DIRECTIONS as f64)
}

/// When the variance along a fixed direction has halved in a loop of Gaussian models: the typical variance, exp(E log).
///
/// The projection of a Gaussian loop on a direction is the loop in one dimension, whatever the covariance: whitening the data
/// whitens every generation. So the half-life is the same along every direction, those of the tail included, where the
/// least variance is and is missed first; it depends on the counts and lambda alone. The fully synthetic loop has a closed form,
/// 1/2 = exp(t (log lambda + digamma((n-1)/2) - log((n-1)/2))), the first generation's training on real data counted with
/// lambda = 1; others are simulated until they have
/// settled, 2000 generations at most (400 of a pool that accumulates).
///
/// # Errors
/// As [`curve`].
pub fn half_life(settings: &GaussianLoop, seed: u64) -> Result<HalfLife> {
    let settings = GaussianLoop { covariance: RealCovariance::Identity(1), ..settings.clone() };
    settings.check()?;
    let half = 0.5_f64.ln();
    if settings.kind == LoopKind::FullySynthetic && settings.pool == Pool::Redraw {
        let first = log_variance_drift(settings.n_initial, SamplingBias::UNBIASED)?;
        let each = log_variance_drift(settings.n_synthetic, bias(settings.lambda)?)?;
        let generations = if first <= half { 1.0 } else { 1.0 + ((half - first) / each).ceil().max(1.0) };
        let share = (first + (generations - 1.0) * each).exp();
        let generations = generations as u64;
        return Ok(HalfLife { generations: Some(generations), share: share.min(0.5), seen: generations });
    }
    let longest = if settings.pool == Pool::Accumulate { LONGEST_POOL } else { LONGEST };
    let mut length = 50;
    loop {
        let points = curve(&settings, length, REPLICATES, seed)?;
        let logs: Vec<f64> =
            points.iter().map(|point| point.log_det.map_or(f64::NEG_INFINITY, |log| log.mean)).collect();
        if let Some(at) = logs.iter().position(|&log| log <= half) {
            let seen = at as u64 + 1;
            return Ok(HalfLife { generations: Some(seen), share: logs[at].exp(), seen });
        }
        let third = logs.len() / 3;
        let mean = |logs: &[f64]| logs.iter().sum::<f64>() / logs.len() as f64;
        let (middle, last) = (mean(&logs[third..2 * third]), mean(&logs[2 * third..]));
        let has_settled = last > SETTLED * half && middle - last < 0.02;
        if length == longest || has_settled {
            return Ok(HalfLife { generations: None, share: last.exp(), seen: u64::from(length) });
        }
        length = (length * 6).min(longest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::threshold;

    const EFFORT: Effort = Effort { relative_se: 0.01, seed: 0 };

    #[test]
    fn few_dimensions_are_simulated_as_they_are() {
        let planned = Planned::new(&[4.0; 5]).expect("a spectrum");
        assert_eq!((planned.directions(), planned.dim(), planned.group()), (5, 5, 1.0));
        let of_plan = planned.threshold(100, 0.7, EFFORT).expect("a threshold");
        assert_eq!(of_plan, threshold(5, 100, 0.7, EFFORT).expect("a threshold"));
        let most = of_plan.n_synthetic_max.expect("bounded");
        let ratio = |n| planned.worth(100, n, 0.7, EFFORT).expect("a limit").n_e_over_n_r.mean;
        assert!(ratio(most / 2) > 1.0 && ratio(most * 2) < 1.0);
        // Far out the closed form is taken.
        let far = planned.threshold(1_000_000, 0.7, EFFORT).expect("a threshold");
        let exact = threshold_large_n_real_spectrum(&[4.0; 5], SamplingBias::new(0.7).expect("in range"));
        assert_eq!(far.n_synthetic_max, exact.expect("valid").map(|root| root as u64));
    }

    /// Measured over flat and power-law spectra of 192 dimensions: within 10 %, mostly 2 %.
    #[test]
    fn many_dimensions_are_grouped_within_a_tenth() {
        let planned = Planned::new(&[1.0; 120]).expect("a spectrum");
        assert_eq!((planned.directions(), planned.group()), (MOST_DIRECTIONS, 1.25));
        let grouped = planned.threshold(600, 0.8, EFFORT).expect("a threshold").n_synthetic_max.expect("bounded");
        let whole = threshold(120, 600, 0.8, EFFORT).expect("a threshold").n_synthetic_max.expect("bounded");
        assert!((grouped as f64 / whole as f64 - 1.0).abs() < 0.1, "{grouped} {whole}");
        let steep: Vec<f64> = (1..400).map(|i| f64::from(i).powi(-2)).collect();
        let leading = Planned::new(&steep).expect("a spectrum");
        assert_eq!((leading.directions(), leading.group()), (MOST_DIRECTIONS, 1.0));
        assert!(leading.variance_share() > 0.99 && leading.effective_dimension() < 30.0);
        assert!(Planned::new(&[1.0; 120]).expect("a spectrum").threshold(1, 0.8, EFFORT).is_err());
        assert!(Planned::new(&[0.0, 0.0]).is_err() && Planned::new(&[1.0, f64::NAN]).is_err());
    }

    #[test]
    fn half_lives_are_those_of_the_simulation() {
        let fresh = GaussianLoop::fresh_data(1, 100, 100, 0.9);
        let synthetic = GaussianLoop { kind: LoopKind::FullySynthetic, ..fresh.clone() };
        let closed = half_life(&synthetic, 0).expect("a half-life");
        let t = closed.generations.expect("it halves");
        let points = curve(&synthetic, t as u32, 400, 1).expect("a curve");
        let log = |t: u64| points[t as usize - 1].log_det.expect("one dimension").mean;
        // The standard error of a mean of 400 logarithms is 0.02.
        assert!((log(t) - closed.share.ln()).abs() < 0.1 && log(t) < 0.6_f64.ln() && log(t - 1) > 0.45_f64.ln());
        let settled = half_life(&fresh, 0).expect("a half-life");
        assert_eq!(settled.generations, None);
        // E tr Sigma = (1 - a) / (1 - a lambda) at large n, a = 1/2.
        assert!((settled.share / (0.5 / 0.55) - 1.0).abs() < 0.03, "{settled:?}");
        let none = half_life(&GaussianLoop { lambda: 0.0, ..synthetic.clone() }, 0).expect("a half-life");
        assert_eq!(none.generations, Some(2));
        let few = GaussianLoop { n_real: 2, n_synthetic: 500, ..fresh };
        assert!(half_life(&few, 0).expect("a half-life").generations.is_some());
    }
}
