//! Closed forms of discrete loops at lambda = 1; heterozygosity is H = 1 - sum p^2, H_0 that of the truth.

use crate::{Result, TheoryError};

/// E H_t of the fully synthetic loop of n samples a generation: H_0 (1 - 1/n)^t.
///
/// Pure Wright-Fisher drift of a haploid population of n: two samples share their parent with probability 1/n (Ewens 2004,
/// "Mathematical Population Genetics", section 1.2). Exact for any number of categories; t = 1 is the real generation.
///
/// # Errors
/// H_0 outside [0, 1), n = 0.
pub fn drift_heterozygosity(h0: f64, n: u64, t: u64) -> Result<f64> {
    Ok(fraction(h0)? * power(1.0 - 1.0 / count("n", n)?, t))
}

/// E H_t of the fresh data loop at generation t >= 1 (0 is taken for 1).
///
/// H_1 = H_0 (1 - 1/n_initial), then with a = n_s / (n_r + n_s), as E p_t is the truth throughout,
///
/// H' = H_0 \[(1-a)^2 (1 - 1/n_r) + 2 a (1-a)\] + a^2 (1 - 1/n_s) H.
///
/// Drift with immigration from the truth; exact for any number of categories (docs/theory.md).
///
/// # Errors
/// H_0 outside [0, 1), a count of 0.
pub fn fresh_heterozygosity(h0: f64, n_initial: u64, n_real: u64, n_synthetic: u64, t: u64) -> Result<f64> {
    let start = drift_heterozygosity(h0, n_initial, 1)?;
    let limit = fresh_heterozygosity_limit(h0, n_real, n_synthetic)?;
    Ok(limit + power(memory(n_real, n_synthetic)?, t.saturating_sub(1)) * (start - limit))
}

/// The limit of [`fresh_heterozygosity`]: H_0 \[(1-a)^2 (1 - 1/n_r) + 2 a (1-a)\] / \[1 - a^2 (1 - 1/n_s)\].
///
/// # Errors
/// H_0 outside [0, 1), a count of 0.
pub fn fresh_heterozygosity_limit(h0: f64, n_real: u64, n_synthetic: u64) -> Result<f64> {
    let a = share(n_real, n_synthetic)?;
    let gain = (1.0 - a).powi(2) * (1.0 - 1.0 / n_real as f64) + 2.0 * a * (1.0 - a);
    Ok(fraction(h0)? * gain / (1.0 - memory(n_real, n_synthetic)?))
}

/// E H_t of the synthetic augmentation loop at generation t >= 1 (0 is taken for 1) whose fixed set is all of generation 1: n_initial = n_real.
///
/// Given the fixed set E p_t are its frequencies, so H' = H_r (1 - a^2) + a^2 (1 - 1/n_s) H with E H_r = H_1 = H_0 (1 - 1/n_r),
/// a = n_s / (n_r + n_s). Exact for any number of categories (docs/theory.md).
///
/// # Errors
/// H_0 outside [0, 1), a count of 0.
pub fn fixed_set_heterozygosity(h0: f64, n_real: u64, n_synthetic: u64, t: u64) -> Result<f64> {
    let start = drift_heterozygosity(h0, n_real, 1)?;
    let limit = fixed_set_heterozygosity_limit(h0, n_real, n_synthetic)?;
    Ok(limit + power(memory(n_real, n_synthetic)?, t.saturating_sub(1)) * (start - limit))
}

/// The limit of [`fixed_set_heterozygosity`]: H_0 (1 - 1/n_r) (1 - a^2) / \[1 - a^2 (1 - 1/n_s)\].
///
/// # Errors
/// H_0 outside [0, 1), a count of 0.
pub fn fixed_set_heterozygosity_limit(h0: f64, n_real: u64, n_synthetic: u64) -> Result<f64> {
    let a = share(n_real, n_synthetic)?;
    Ok(drift_heterozygosity(h0, n_real, 1)? * (1.0 - a * a) / (1.0 - memory(n_real, n_synthetic)?))
}

/// The mean number of generations until one of two categories is lost, in the fully synthetic loop of n samples.
///
/// -2 n \[p ln p + (1-p) ln(1-p)\], p the true share of one: the diffusion limit n -> infinity of the haploid Wright-Fisher model,
/// whose variance a generation is p (1-p) / n (Ewens 2004, equation 3.5, for 2N = n). Counted from the truth, so that the real
/// generation is 1. It exceeds the exact mean by a few generations, about (ln n) / 2 at most: at p = 1/2 by 6 % for n = 20
/// and 1.5 % for n = 100.
///
/// # Errors
/// p outside (0, 1), n = 0.
pub fn fixation_time_two(p: f64, n: u64) -> Result<f64> {
    let n = count("n", n)?;
    if !(p > 0.0 && p < 1.0) {
        return Err(TheoryError::Setting { name: "the share p", value: p, must: "above 0 and below 1" });
    }
    Ok(-2.0 * n * (p * p.ln() + (1.0 - p) * (-p).ln_1p()))
}

/// The expected number of categories that n samples of `probabilities` (`[v]`, any scale) hold: sum 1 - (1 - p_i)^n.
///
/// Exact for generation 1 of any loop, and for any next generation of the fully synthetic one, given its model.
///
/// # Errors
/// A probability that is negative or not finite, or none above 0.
pub fn expected_kept(probabilities: &[f64], n: u64) -> Result<f64> {
    Ok(super::normalized(probabilities)?.iter().map(|&p| seen(p, n as f64)).sum())
}

/// A lower and an upper bound.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bounds {
    /// Lower bound.
    pub lower: f64,
    /// Upper bound.
    pub upper: f64,
}

/// Bounds on the probability that a category of true share p still occurs at generation t of the fully synthetic loop of n samples.
///
/// Lower: the larger of p (p_t is a martingale and at most 1) and 1 - exp(-n p (1 - q)), q the probability that a
/// branching process of Poisson(1) offspring is extinct after t - 1 generations, q_0 = 0, q_{s+1} = exp(q_s - 1): extinction
/// under binomial sampling is never likelier, as (1 - x/n)^n <= exp(-x), by induction from the last generation. Close to
/// the truth while n p_t << n, that is for rare categories and t << n; there survival of one sample is about 2 / t.
///
/// Upper: the smaller of 1 - (1-p)^n and p + n p (1-p) (1 - 1/n)^(t-1): fixed, at most p, or segregating, where p_t (1 - p_t) is at least
/// (1/n) (1 - 1/n) while its mean is p (1-p) (1 - 1/n)^t. Both are the exact value at t = 1 but for the lower's (1 - x/n)^n.
///
/// # Errors
/// p outside [0, 1], n = 0, t = 0.
pub fn survival_bounds(p: f64, n: u64, t: u64) -> Result<Bounds> {
    if !(0.0..=1.0).contains(&p) {
        return Err(TheoryError::Setting { name: "the share p", value: p, must: "from 0 to 1" });
    }
    let n = count("n", n)?;
    count("t", t)?;
    let survival = branching_survival(t - 1);
    let lower = f64::max(p, -(-n * p * survival).exp_m1());
    let segregating = n * p * (1.0 - p) * power(1.0 - 1.0 / n, t - 1);
    // At p = 1 rounding must not put one bound past the other.
    let upper = seen(p, n).min(p + segregating).max(lower.min(1.0));
    Ok(Bounds { lower, upper })
}

/// 1 - q_t: the probability that a Poisson(1) branching process of one ancestor lives after t generations, or barely less.
fn branching_survival(t: u64) -> f64 {
    const STEPS: u64 = 1_000_000;
    let mut survival = 1.0_f64;
    for _ in 0..t.min(STEPS) {
        survival = -(-survival).exp_m1();
    }
    // 1 / (1 - e^-u) <= 1/u + 1/2 + u/12, and u falls: so far out a lower bound that is exact to 1e-12 a step.
    let further = t.saturating_sub(STEPS) as f64;
    1.0 / (1.0 / survival + further * (0.5 + survival / 12.0))
}

/// 1 - (1-p)^n without cancellation.
fn seen(p: f64, n: f64) -> f64 {
    if p >= 1.0 {
        // ln(1 - p) is -infinity; no sample holds nothing.
        return if n > 0.0 { 1.0 } else { 0.0 };
    }
    -(n * (-p).ln_1p()).exp_m1()
}

fn power(x: f64, t: u64) -> f64 {
    x.powf(t as f64)
}

fn fraction(h0: f64) -> Result<f64> {
    if (0.0..1.0).contains(&h0) {
        return Ok(h0);
    }
    Err(TheoryError::Setting { name: "the heterozygosity H_0", value: h0, must: "at least 0 and below 1" })
}

fn count(name: &'static str, value: u64) -> Result<f64> {
    if value == 0 { Err(TheoryError::Setting { name, value: 0.0, must: "at least 1" }) } else { Ok(value as f64) }
}

/// a = n_s / (n_r + n_s).
fn share(n_real: u64, n_synthetic: u64) -> Result<f64> {
    let (n_r, n_s) = (count("n_real", n_real)?, count("n_synthetic", n_synthetic)?);
    Ok(n_s / (n_r + n_s))
}

/// a^2 (1 - 1/n_s): what a generation keeps of the last one's deviation.
fn memory(n_real: u64, n_synthetic: u64) -> Result<f64> {
    Ok(share(n_real, n_synthetic)?.powi(2) * (1.0 - 1.0 / n_synthetic as f64))
}

#[cfg(test)]
mod tests {
    use madloop_core::{LoopKind, SamplingBias};

    use super::*;
    use crate::discrete::{DiscreteCurve, DiscreteLoop, Estimate, heterozygosity};
    use crate::forms::testing::assert_mean;

    const TRUTH: [f64; 6] = [0.4, 0.25, 0.15, 0.1, 0.07, 0.03];

    fn run(kind: LoopKind, counts: [u64; 3], generations: u32, replicates: u64) -> DiscreteCurve {
        let [n_initial, n_real, n_synthetic] = counts;
        let plan = DiscreteLoop { kind, n_initial, n_real, n_synthetic, lambda: SamplingBias::UNBIASED };
        plan.simulate(&TRUTH, generations, replicates, 11).expect("valid")
    }

    #[track_caller]
    fn close(found: Estimate, expected: f64) {
        let se = found.se.expect("replicates");
        assert!(se < 0.01 * expected && (found.mean - expected).abs() < 4.0 * se, "{found:?} is not {expected}");
    }

    #[test]
    fn heterozygosity_follows_each_loop() {
        let h0 = heterozygosity(&TRUTH);
        let curve = run(LoopKind::FullySynthetic, [10, 0, 10], 12, 40_000);
        for g in &curve.generations {
            close(g.heterozygosity, drift_heterozygosity(h0, 10, g.generation.into()).expect("valid"));
        }
        let curve = run(LoopKind::FreshData, [9, 3, 12], 30, 20_000);
        for g in &curve.generations {
            close(g.heterozygosity, fresh_heterozygosity(h0, 9, 3, 12, g.generation.into()).expect("valid"));
        }
        close(curve.generations[29].heterozygosity, fresh_heterozygosity_limit(h0, 3, 12).expect("valid"));
        let curve = run(LoopKind::SyntheticAugmentation, [5, 5, 15], 30, 20_000);
        for g in &curve.generations {
            close(g.heterozygosity, fixed_set_heterozygosity(h0, 5, 15, g.generation.into()).expect("valid"));
        }
        close(curve.generations[29].heterozygosity, fixed_set_heterozygosity_limit(h0, 5, 15).expect("valid"));
    }

    #[test]
    fn categories_are_kept_as_expected() {
        let curve = run(LoopKind::FullySynthetic, [20, 0, 20], 1, 20_000);
        close(curve.generations[0].kept, expected_kept(&TRUTH, 20).expect("valid"));
        assert_eq!(expected_kept(&[1.0, 0.0], 3), Ok(1.0));
        assert_eq!(expected_kept(&[1.0, 1.0], 0), Ok(0.0));
        assert!((expected_kept(&[1e-18, 1.0], 1_000_000).expect("valid") - 1.0 - 1e-12).abs() < 1e-15);
    }

    #[test]
    fn survival_lies_between_its_bounds() {
        for (n, last) in [(8_u64, 20), (60, 100)] {
            let curve = run(LoopKind::FullySynthetic, [n, 0, n], last, 20_000);
            for g in &curve.generations {
                let bounds = TRUTH.map(|p| survival_bounds(p, n, g.generation.into()).expect("valid"));
                let se = 4.0 * g.kept.se.expect("replicates");
                let (lower, upper) =
                    bounds.iter().fold((0.0, 0.0), |(lower, upper), b| (lower + b.lower, upper + b.upper));
                assert!(lower <= g.kept.mean + se && g.kept.mean <= upper + se, "{lower} {:?} {upper}", g.kept);
            }
        }
        // Rare among many: the branching process is the truth, 2 / t for one sample.
        let rare = survival_bounds(1e-9, 1_000_000_000, 2000).expect("valid");
        assert!((rare.lower * 1000.0 - 1.0).abs() < 0.01);
        let (n, t, p) = (2000, 8, 0.001);
        let plan = DiscreteLoop {
            kind: LoopKind::FullySynthetic,
            n_initial: n,
            n_real: 0,
            n_synthetic: n,
            lambda: SamplingBias::UNBIASED,
        };
        let curve = plan.simulate(&[p, 1.0 - p], 8, 40_000, 3).expect("valid");
        let survived = curve.generations[7].kept.mean - 1.0;
        let bounds = survival_bounds(p, n, t).expect("valid");
        assert!((survived / bounds.lower - 1.0).abs() < 0.03, "{survived} {bounds:?}");
        assert!((branching_survival(1_000_100) - branching_survival(1_000_000) + 2e-10).abs() < 1e-13);
        assert!((branching_survival(1_000_000_000_000) * 5e11 - 1.0).abs() < 1e-4);
        for p in [0.0, 1.0] {
            assert_eq!(survival_bounds(p, 5, 7), Ok(Bounds { lower: p, upper: p }));
        }
    }

    #[test]
    fn two_categories_fix_when_diffusion_says() {
        let mean_time = |p: f64, n: u64| {
            let plan = DiscreteLoop {
                kind: LoopKind::FullySynthetic,
                n_initial: n,
                n_real: 0,
                n_synthetic: n,
                lambda: SamplingBias::UNBIASED,
            };
            let curve = plan.simulate(&[p, 1.0 - p], 30 * n as u32, 6000, 2).expect("valid");
            curve.fixed_at.into_iter().map(|t| f64::from(t.expect("fixed"))).collect::<Vec<f64>>()
        };
        // Means of the chain itself, from its transition matrix: (I - P) t = 1 over the n - 1 mixed states.
        let exact = [
            (0.2, 20, 18.735_075_821_5),
            (0.5, 20, 26.229_485_348_0),
            (0.1, 100, 63.454_463_306),
            (0.5, 100, 136.602_278_382),
        ];
        for (p, n, mean) in exact {
            assert_mean(mean_time(p, n), mean, 0.02);
            let excess = fixation_time_two(p, n).expect("valid") - mean;
            assert!(excess > 0.0 && excess < 0.5 * (n as f64).ln(), "{excess}");
        }
        // Exact for n = 2 from p = 1/2: absorbed with probability 1/2 a generation, 2 in the mean.
        assert_mean(mean_time(0.5, 2), 2.0, 0.02);
    }

    #[test]
    fn bad_settings_name_the_remedy() {
        let error = fixation_time_two(1.0, 5).expect_err("no second category").to_string();
        assert!(error.contains("p is 1") && error.contains("below 1"), "{error}");
        assert!(drift_heterozygosity(1.0, 5, 1).is_err() && drift_heterozygosity(0.5, 0, 1).is_err());
        assert!(fresh_heterozygosity(0.5, 5, 0, 5, 1).is_err() && fixed_set_heterozygosity_limit(0.5, 5, 0).is_err());
        assert!(survival_bounds(1.5, 5, 1).is_err() && survival_bounds(0.5, 5, 0).is_err());
    }
}
