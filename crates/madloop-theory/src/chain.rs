//! Generations of one replicate, and curves over replicates.

use std::collections::VecDeque;

use madloop_core::{History, LoopKind, Pool, Seeds, Stream, SyntheticCount};
use rand::Rng;
use rand_distr::{Binomial, Distribution};
use rayon::prelude::*;

use crate::blocks::{Block, Model};
use crate::gaussian::check_count;
use crate::linalg::Factor;
use crate::{Estimate, GaussianLoop, GaussianMoments, Result, TheoryError};

/// Mean and scatter of a block.
const BLOCK: Stream = Stream::named("theory-block");
/// How many rows each earlier model supplies.
const SHARES: Stream = Stream::named("theory-shares");

/// Runs `replicates` independent loops and gives each one's generations 1 to `generations`.
///
/// Exact in distribution at a cost that does not depend on the counts: a block of n rows from N(m, S) has mean ~ N(m, S/n) and
/// scatter ~ Wishart_d(S, n - 1) by Bartlett's decomposition, and blocks merge exactly. Replicate r is the same whatever the
/// number of replicates, generations or threads.
///
/// # Errors
/// Settings out of range; fewer than 1 replicate or generation.
pub fn simulate(
    settings: &GaussianLoop,
    generations: u32,
    replicates: u32,
    seed: u64,
) -> Result<Vec<Vec<GaussianMoments>>> {
    settings.check()?;
    for (name, value) in [("generations", generations), ("replicates", replicates)] {
        if value == 0 {
            return Err(TheoryError::Setting { name, value: 0.0, must: "at least 1" });
        }
    }
    if settings.synthetic_count == SyntheticCount::PerModel || settings.pool == Pool::Accumulate {
        check_count("n_synthetic of all models together", settings.n_synthetic.saturating_mul(generations.into()))?;
    }
    let spectrum = settings.covariance.spectrum()?;
    let run = |replicate| {
        let mut chain = Chain::new(settings, &spectrum, Seeds::new(seed), replicate);
        let mut moments = Vec::new();
        for _ in 0..generations {
            chain.step();
            moments.push(chain.measure());
        }
        moments
    };
    Ok((0..replicates).into_par_iter().map(run).collect())
}

/// One generation of a curve: means over replicates.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CurvePoint {
    /// From 1.
    pub generation: u32,
    /// Squared W2 of the model to P_r.
    pub w2_sq: Estimate,
    /// |mu|^2.
    pub mean_sq: Estimate,
    /// tr Sigma.
    pub trace: Estimate,
    /// log det Sigma; `None` when it is singular in any replicate.
    pub log_det: Option<Estimate>,
}

/// Means and standard errors over `replicates` loops for generations 1 to `generations`.
///
/// # Errors
/// As [`simulate`]; at least 2 replicates.
pub fn curve(settings: &GaussianLoop, generations: u32, replicates: u32, seed: u64) -> Result<Vec<CurvePoint>> {
    if replicates < 2 {
        let must = "at least 2: a standard error has replicates - 1 degrees of freedom";
        return Err(TheoryError::Setting { name: "replicates", value: replicates.into(), must });
    }
    let runs = simulate(settings, generations, replicates, seed)?;
    let point = |t: usize| {
        let of = |value: fn(&GaussianMoments) -> f64| {
            Estimate::of(&runs.iter().map(|run| value(&run[t])).collect::<Vec<_>>())
        };
        let logs: Option<Vec<f64>> = runs.iter().map(|run| run[t].log_det).collect();
        CurvePoint {
            generation: t as u32 + 1,
            w2_sq: of(|moments| moments.w2_sq),
            mean_sq: of(|moments| moments.mean_sq),
            trace: of(|moments| moments.trace),
            log_det: logs.map(|logs| Estimate::of(&logs)),
        }
    };
    Ok((0..generations as usize).map(point).collect())
}

/// One replicate.
pub(crate) struct Chain<'a> {
    settings: &'a GaussianLoop,
    seeds: Seeds,
    replicate: u32,
    /// Generations made.
    generation: u32,
    /// N(0, S), in the eigenbasis of S.
    real: Model,
    /// Roots of the eigenvalues of S.
    roots: Vec<f64>,
    /// Models that may supply samples, latest first.
    models: VecDeque<Model>,
    /// The fixed real set of the augmentation loop.
    fixed: Option<Block>,
    /// Every synthetic sample so far, of a pool that accumulates.
    pool: Option<Block>,
}

impl<'a> Chain<'a> {
    /// Before generation 1.
    pub(crate) fn new(settings: &'a GaussianLoop, spectrum: &[f64], seeds: Seeds, replicate: u32) -> Self {
        Self {
            settings,
            seeds,
            replicate,
            generation: 0,
            real: Model { mean: vec![0.0; spectrum.len()], factor: Factor::diagonal(spectrum) },
            roots: spectrum.iter().map(|value| value.sqrt()).collect(),
            models: VecDeque::new(),
            fixed: None,
            pool: None,
        }
    }

    /// Generation 1 is `model`.
    pub(crate) fn start(mut self, model: Model) -> Self {
        self.models.push_front(model);
        self.generation = 1;
        self
    }

    /// The latest model.
    pub(crate) fn model(&self) -> &Model {
        &self.models[0]
    }

    /// Trains the next generation.
    pub(crate) fn step(&mut self) {
        self.generation += 1;
        let model = if self.generation == 1 { self.first() } else { self.next() };
        let keep = match (self.settings.pool, self.settings.history) {
            (Pool::Accumulate, _) => 1,
            (Pool::Redraw, History::Last(k)) => k as usize,
            (Pool::Redraw, History::All) => usize::MAX,
        };
        self.models.truncate(keep - 1);
        self.models.push_front(model);
    }

    fn rng(&self, block: u32) -> impl Rng + use<> {
        self.seeds.at(self.generation).rng(BLOCK, u64::from(self.replicate) << 32 | u64::from(block))
    }

    /// `count` rows of the real data, of this generation.
    fn real(&self, count: u64, block: u32) -> Block {
        Block::draw(&self.real, 1.0, count, &mut self.rng(block))
    }

    fn first(&mut self) -> Model {
        let (all, kept) = (self.settings.n_initial, self.settings.n_real);
        if self.settings.kind != LoopKind::SyntheticAugmentation || kept == 0 {
            return Block::fit(&[&self.real(all, 0)]);
        }
        let fixed = self.real(kept, 0);
        let model = if kept == all { Block::fit(&[&fixed]) } else { Block::fit(&[&fixed, &self.real(all - kept, 1)]) };
        self.fixed = Some(fixed);
        model
    }

    fn next(&mut self) -> Model {
        let fresh = (self.settings.kind == LoopKind::FreshData && self.settings.n_real > 0)
            .then(|| self.real(self.settings.n_real, 0));
        let drawn: Vec<Block> = self
            .shares()
            .into_iter()
            .enumerate()
            .filter(|&(_, count)| count > 0)
            .map(|(age, count)| {
                let mut rng = self.rng(1 + age as u32);
                Block::draw(&self.models[age], self.settings.lambda, count, &mut rng)
            })
            .collect();
        let synthetic = if self.settings.pool == Pool::Accumulate && !drawn.is_empty() {
            let all: Vec<&Block> = self.pool.iter().chain(&drawn).collect();
            let pool = Block::merge(&all);
            vec![&*self.pool.insert(pool)]
        } else {
            drawn.iter().collect()
        };
        let all: Vec<&Block> = fresh.iter().chain(&self.fixed).chain(synthetic).collect();
        Block::fit(&all)
    }

    /// Rows that each of the kept models supplies: multinomial, each row from a model drawn uniformly.
    fn shares(&self) -> Vec<u64> {
        let (mut left, models) = (self.settings.n_synthetic, self.models.len());
        if self.settings.synthetic_count == SyntheticCount::PerModel {
            return vec![left; models];
        }
        let mut rng = self.seeds.at(self.generation).rng(SHARES, u64::from(self.replicate));
        let share = |index: usize| {
            let law = Binomial::new(left, 1.0 / (models - index) as f64);
            let count = if index + 1 == models { left } else { law.map_or(0, |law| law.sample(&mut rng)) };
            left -= count;
            count
        };
        (0..models).map(share).collect()
    }

    /// What the latest model is worth.
    pub(crate) fn measure(&self) -> GaussianMoments {
        let model = self.model();
        let (mean_sq, trace) = (mean_sq(model), model.factor.trace());
        let w2_sq = mean_sq + model.factor.spread(&self.roots);
        // Directions that S lacks make the determinant 0 whatever the model.
        let whole = model.mean.len() == self.settings.covariance.dim();
        GaussianMoments { w2_sq, mean_sq, trace, log_det: model.factor.log_det().filter(|_| whole) }
    }
}

/// |mu|^2.
pub(crate) fn mean_sq(model: &Model) -> f64 {
    model.mean.iter().map(|value| value * value).sum()
}
