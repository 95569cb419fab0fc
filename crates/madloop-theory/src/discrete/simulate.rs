//! Replicates of a discrete loop, generation by generation.

use madloop_core::{LoopKind, SamplingBias, Seeds, Stream};
use rayon::prelude::*;

use super::measures::{Diversity, heterozygosity, tempered};
use super::multinomial::{MAX_SAMPLES, draw};
use crate::{Result, TheoryError};

const REAL: Stream = Stream::named("discrete-real");
const INITIAL: Stream = Stream::named("discrete-initial");
const SYNTHETIC: Stream = Stream::named("discrete-synthetic");

/// The most generations of one curve.
const MAX_GENERATIONS: u32 = 1_000_000;

/// Curves that are in memory at once, by generations; their sums are taken in order, so it changes no digit.
fn together(generations: u32) -> u64 {
    (4_000_000 / u64::from(generations)).clamp(4, 256)
}

/// A loop of categorical models, each the frequencies of its training set. Counts are samples a generation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DiscreteLoop {
    /// Which real data later generations see: none, a fixed set, or new samples.
    pub kind: LoopKind,
    /// Real samples of generation 1.
    pub n_initial: u64,
    /// Real samples of later generations: the first n_real of generation 1 when fixed; not used by the fully synthetic loop.
    pub n_real: u64,
    /// Samples of the previous model in later generations.
    pub n_synthetic: u64,
    /// Temperature of those samples, see [`temper`](super::temper).
    pub lambda: SamplingBias,
}

/// Mean over replicates.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// The mean.
    pub mean: f64,
    /// Its standard error; `None` for a single replicate.
    pub se: Option<f64>,
}

/// [`Diversity`] of one generation, averaged over replicates; fields as there.
#[derive(Debug, Clone, Copy, PartialEq)]
#[expect(missing_docs, reason = "the fields are those of Diversity")]
pub struct DiscreteGeneration {
    pub generation: u32,
    pub heterozygosity: Estimate,
    pub relative: Estimate,
    pub entropy: Estimate,
    pub kept: Estimate,
    pub lost_mass: Estimate,
    pub kl: Estimate,
    pub total_variation: Estimate,
}

/// What [`DiscreteLoop::simulate`] finds.
#[derive(Debug, Clone, PartialEq)]
pub struct DiscreteCurve {
    /// The true distribution itself.
    pub truth: Diversity,
    /// Generations 1, 2, ...
    pub generations: Vec<DiscreteGeneration>,
    /// First generation of each replicate whose model has a single category; `None` if there was none.
    ///
    /// The fully synthetic loop stays there: this is its fixation time. Real data can bring categories back.
    pub fixed_at: Vec<Option<u32>>,
}

impl DiscreteLoop {
    /// Runs `replicates` loops of `generations` generations on the distribution proportional to `truth` (`[v]`).
    ///
    /// O(v) a generation, whatever the counts are. Replicate r draws from the addresses (seed, generation, stream, r):
    /// results are bit-identical on any number of threads, and the first replicates of a longer call are those of a shorter one.
    ///
    /// # Errors
    /// Counts that leave a generation without samples, n_real above n_initial in the augmentation loop, more than 2^53
    /// samples, fewer than two categories of positive probability, a probability that is negative or not finite,
    /// generations outside \[1, 10^6\], replicates outside \[1, 2^32\].
    pub fn simulate(&self, truth: &[f64], generations: u32, replicates: u64, seed: u64) -> Result<DiscreteCurve> {
        self.check()?;
        let truth = super::normalized(truth)?;
        let setting = |name, value: f64, must| Err(TheoryError::Setting { name, value, must });
        let categories = truth.iter().filter(|&&p| p > 0.0).count();
        if categories < 2 {
            let must = "at least 2: a single category cannot change";
            return setting("the number of categories of positive probability", categories as f64, must);
        }
        if !(1..=MAX_GENERATIONS).contains(&generations) {
            return setting("generations", generations.into(), "from 1 to 1000000");
        }
        if !(1..=1 << 32).contains(&replicates) {
            return setting("replicates", replicates as f64, "from 1 to 2^32");
        }
        let true_heterozygosity = heterozygosity(&truth);
        let mut sums = vec![Sums::default(); generations as usize];
        let mut fixed_at = Vec::new();
        let together = together(generations);
        for start in (0..replicates).step_by(together as usize) {
            let rows = start..(start + together).min(replicates);
            let run = |row| self.replicate(&truth, true_heterozygosity, generations, Seeds::new(seed), row);
            let runs: Vec<(Vec<Diversity>, Option<u32>)> = rows.into_par_iter().map(run).collect();
            for (curve, fixed) in runs {
                sums.iter_mut().zip(curve).for_each(|(sums, diversity)| sums.add(diversity));
                fixed_at.push(fixed);
            }
        }
        Ok(DiscreteCurve {
            truth: Diversity::of(&truth, &truth, true_heterozygosity),
            generations: sums.iter().zip(1..).map(|(sums, generation)| sums.generation(generation)).collect(),
            fixed_at,
        })
    }

    fn check(&self) -> Result<()> {
        let setting = |name, value: u64, must| Err(TheoryError::Setting { name, value: value as f64, must });
        if self.n_initial == 0 {
            return setting("n_initial", 0, "at least 1: generation 1 trains on real samples");
        }
        if self.n_synthetic == 0 && (self.kind == LoopKind::FullySynthetic || self.n_real == 0) {
            return setting("n_synthetic", 0, "at least 1, or generation 2 has no training sample");
        }
        if self.kind == LoopKind::SyntheticAugmentation && self.n_real > self.n_initial {
            return setting("n_real", self.n_real, "at most n_initial: the fixed set is its first n_real samples");
        }
        let most = "at most 2^53 = 9007199254740992, all samples of a generation together";
        for (name, count) in [("n_initial", self.n_initial), ("n_real", self.n_real), ("n_synthetic", self.n_synthetic)]
        {
            if count > MAX_SAMPLES {
                return setting(name, count, most);
            }
        }
        if self.n_real + self.n_synthetic > MAX_SAMPLES {
            return setting("n_real + n_synthetic", self.n_real + self.n_synthetic, most);
        }
        Ok(())
    }

    /// One loop: the diversity of each generation, and when a single category was left.
    fn replicate(
        &self,
        truth: &[f64],
        true_heterozygosity: f64,
        generations: u32,
        seeds: Seeds,
        row: u64,
    ) -> (Vec<Diversity>, Option<u32>) {
        let mut counts = vec![0; truth.len()];
        let mut fixed = Vec::new();
        if self.kind == LoopKind::SyntheticAugmentation {
            draw(truth, self.n_real, seeds.at(1), REAL, row, &mut counts);
            fixed.clone_from(&counts);
            draw(truth, self.n_initial - self.n_real, seeds.at(1), INITIAL, row, &mut counts);
        } else {
            draw(truth, self.n_initial, seeds.at(1), REAL, row, &mut counts);
        }
        let mut curve: Vec<Diversity> = Vec::with_capacity(generations as usize);
        let mut fixed_at = None;
        for t in 1..=generations {
            let absorbed = fixed_at.is_some() && self.kind == LoopKind::FullySynthetic;
            if let (true, Some(&last)) = (absorbed, curve.last()) {
                curve.push(last);
                continue;
            }
            let n = counts.iter().sum::<u64>() as f64;
            let model: Vec<f64> = counts.iter().map(|&count| count as f64 / n).collect();
            let diversity = Diversity::of(&model, truth, true_heterozygosity);
            if diversity.kept == 1 && fixed_at.is_none() {
                fixed_at = Some(t);
            }
            curve.push(diversity);
            if t == generations {
                break;
            }
            match self.kind {
                LoopKind::SyntheticAugmentation => counts.clone_from(&fixed),
                LoopKind::FullySynthetic | LoopKind::FreshData => counts.fill(0),
            }
            if self.kind == LoopKind::FreshData {
                draw(truth, self.n_real, seeds.at(t + 1), REAL, row, &mut counts);
            }
            draw(&tempered(&model, self.lambda), self.n_synthetic, seeds.at(t + 1), SYNTHETIC, row, &mut counts);
        }
        (curve, fixed_at)
    }
}

/// Running mean and sum of squared deviations (Welford) of each measure.
#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    count: f64,
    mean: [f64; 7],
    squares: [f64; 7],
}

impl Sums {
    fn add(&mut self, d: Diversity) {
        let values = [d.heterozygosity, d.relative, d.entropy, d.kept as f64, d.lost_mass, d.kl, d.total_variation];
        self.count += 1.0;
        for ((mean, squares), value) in self.mean.iter_mut().zip(&mut self.squares).zip(values) {
            let gap = value - *mean;
            *mean += gap / self.count;
            *squares += gap * (value - *mean);
        }
    }

    fn generation(&self, generation: u32) -> DiscreteGeneration {
        let estimate = |i: usize| {
            let se = (self.count > 1.0).then(|| (self.squares[i] / (self.count - 1.0) / self.count).sqrt());
            Estimate { mean: self.mean[i], se }
        };
        DiscreteGeneration {
            generation,
            heterozygosity: estimate(0),
            relative: estimate(1),
            entropy: estimate(2),
            kept: estimate(3),
            lost_mass: estimate(4),
            kl: estimate(5),
            total_variation: estimate(6),
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::RngExt;

    use super::*;
    use crate::forms::testing::{mean_se, replicates};

    const TRUTH: [f64; 5] = [0.4, 0.3, 0.15, 0.1, 0.05];

    fn plan(kind: LoopKind, lambda: f64) -> DiscreteLoop {
        let lambda = SamplingBias::new(lambda).expect("in range");
        DiscreteLoop { kind, n_initial: 12, n_real: 5, n_synthetic: 8, lambda }
    }

    /// (heterozygosity, kept) of the loop by samples drawn one at a time.
    fn plainly(seed: u64, plan: DiscreteLoop, generations: u32) -> Vec<(f64, f64)> {
        replicates(seed, 40_000, |rng| {
            let mut pick = |p: &[f64]| {
                let mut left: f64 = rng.random();
                p.iter()
                    .position(|p| {
                        left -= p;
                        left < 0.0
                    })
                    .unwrap_or(0)
            };
            let initial: Vec<usize> = (0..plan.n_initial).map(|_| pick(&TRUTH)).collect();
            let mut set = initial.clone();
            let frequencies = |set: &[usize]| {
                let count = |i| set.iter().filter(|&&j| j == i).count() as f64;
                (0..5).map(|i| count(i) / set.len() as f64).collect::<Vec<f64>>()
            };
            for _ in 1..generations {
                let raised: Vec<f64> = frequencies(&set).iter().map(|p| p.powf(1.0 / plan.lambda.lambda())).collect();
                let sum: f64 = raised.iter().sum();
                let model: Vec<f64> = raised.iter().map(|p| p / sum).collect();
                set = match plan.kind {
                    LoopKind::FullySynthetic => Vec::new(),
                    LoopKind::SyntheticAugmentation => initial[..plan.n_real as usize].to_vec(),
                    LoopKind::FreshData => (0..plan.n_real).map(|_| pick(&TRUTH)).collect(),
                };
                set.extend((0..plan.n_synthetic).map(|_| pick(&model)));
            }
            let p = frequencies(&set);
            (1.0 - p.iter().map(|p| p * p).sum::<f64>(), p.iter().filter(|p| **p > 0.0).count() as f64)
        })
    }

    #[test]
    fn loops_are_those_of_plain_draws() {
        let kinds = [LoopKind::FullySynthetic, LoopKind::SyntheticAugmentation, LoopKind::FreshData];
        for (seed, kind) in kinds.into_iter().enumerate() {
            for lambda in [1.0, 0.6] {
                let plan = plan(kind, lambda);
                let last = plan.simulate(&TRUTH, 4, 40_000, 7).expect("valid").generations[3];
                let plain = plainly(seed as u64, plan, 4);
                let close = |found: Estimate, plain: (f64, f64)| {
                    let se = found.se.expect("replicates").hypot(plain.1);
                    assert!(se < 0.01 * plain.0 && (found.mean - plain.0).abs() < 4.0 * se, "{found:?} {plain:?}");
                };
                close(last.heterozygosity, mean_se(plain.iter().map(|run| run.0)));
                close(last.kept, mean_se(plain.iter().map(|run| run.1)));
            }
        }
    }

    #[test]
    fn temperature_selects_the_frequent() {
        // With 2^50 samples nothing drifts: the odds 2 : 1 are squared in each of 3 steps, 2^8 : 1.
        let huge = DiscreteLoop { n_initial: 1 << 50, n_synthetic: 1 << 50, ..plan(LoopKind::FullySynthetic, 0.5) };
        let last = huge.simulate(&[2.0, 1.0], 4, 2, 1).expect("valid").generations[3];
        let p = 256.0 / 257.0;
        assert!((last.heterozygosity.mean / (2.0 * p * (1.0 - p)) - 1.0).abs() < 1e-5);
        let cold = DiscreteLoop { n_initial: 1 << 50, ..plan(LoopKind::FullySynthetic, 0.0) };
        let cold = cold.simulate(&TRUTH, 3, 5, 1).expect("valid");
        assert_eq!(cold.fixed_at, [Some(2); 5]);
        assert_eq!((cold.generations[2].kept.mean, cold.generations[2].kl.mean), (1.0, -(0.4_f64).ln()));
    }

    #[test]
    fn threads_and_further_replicates_do_not_matter() {
        let wide: Vec<f64> = (1..20_000).map(|i| 1.0 / f64::from(i)).collect();
        let plan =
            DiscreteLoop { n_initial: 100_000, n_real: 1000, n_synthetic: 50_000, ..plan(LoopKind::FreshData, 0.9) };
        let on = |threads, replicates| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
            pool.install(|| plan.simulate(&wide, 3, replicates, 5).expect("valid"))
        };
        assert_eq!(on(1, 30), on(3, 30));
        let single = on(2, 1);
        assert!(single.generations.iter().all(|g| g.entropy.se.is_none() && g.entropy.mean > 0.0));
        let fixing =
            |replicates| self::plan(LoopKind::FullySynthetic, 1.0).simulate(&TRUTH, 99, replicates, 5).expect("valid");
        assert_eq!(fixing(300).fixed_at[..30], fixing(30).fixed_at);
    }

    #[test]
    fn bad_settings_name_the_remedy() {
        let good = plan(LoopKind::SyntheticAugmentation, 1.0);
        let error = |plan: DiscreteLoop, truth: &[f64], generations, replicates| {
            plan.simulate(truth, generations, replicates, 0).expect_err("bad").to_string()
        };
        assert!(error(DiscreteLoop { n_initial: 0, ..good }, &TRUTH, 1, 1).contains("n_initial is 0"));
        assert!(error(DiscreteLoop { n_real: 13, ..good }, &TRUTH, 1, 1).contains("n_real is 13"));
        assert!(
            error(DiscreteLoop { n_synthetic: MAX_SAMPLES, ..good }, &TRUTH, 1, 1).contains("n_real + n_synthetic")
        );
        let none = DiscreteLoop { n_synthetic: 0, ..plan(LoopKind::FullySynthetic, 1.0) };
        assert!(error(none, &TRUTH, 1, 1).contains("n_synthetic is 0"));
        assert!(error(good, &[1.0, 0.0], 1, 1).contains("is 1; it must be at least 2"));
        assert!(error(good, &[1.0, -1.0], 1, 1).contains("-1"));
        assert!(error(good, &TRUTH, 0, 1).contains("generations is 0"));
        assert!(error(good, &TRUTH, u32::MAX, 1).contains("from 1 to 1000000"));
        assert!(error(good, &TRUTH, 1, 0).contains("replicates"));
    }
}
