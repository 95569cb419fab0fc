//! Settings of a Gaussian loop and what its generations are measured by.

use madloop_core::{History, Loop, LoopKind, Pool, SyntheticCount};

use crate::{RealCovariance, Result, TheoryError};

/// Largest count that every calculation here holds exactly: 2^53.
const LARGEST: u64 = 1 << 53;

/// A self-consuming loop of Gaussian models (PAPER.md section 2): mu = sample mean, Sigma = sample covariance with divisor
/// n - 1, samples from N(mu, lambda Sigma), real data from N(0, S).
#[derive(Debug, Clone, PartialEq)]
pub struct GaussianLoop {
    /// Which real data later generations see.
    pub kind: LoopKind,
    /// Real samples of generation 1; at least 2.
    pub n_initial: u64,
    /// Real samples of later generations, fixed (the first of the initial ones) or fresh; not used by the fully synthetic loop.
    pub n_real: u64,
    /// Synthetic samples of later generations.
    pub n_synthetic: u64,
    /// Sampling bias in \[0, 1\]; scales the covariance.
    pub lambda: f64,
    /// Which models supply synthetic samples.
    pub history: History,
    /// Whether earlier synthetic samples are kept.
    pub pool: Pool,
    /// What n_synthetic counts.
    pub synthetic_count: SyntheticCount,
    /// S.
    pub covariance: RealCovariance,
}

impl GaussianLoop {
    /// The paper's fresh-data loop on N(0, I): generation 1 on `n_real` samples, then `n_real` fresh and `n_synthetic` from
    /// the last model.
    pub fn fresh_data(dim: usize, n_real: u64, n_synthetic: u64, lambda: f64) -> Self {
        Self {
            kind: LoopKind::FreshData,
            n_initial: n_real,
            n_real,
            n_synthetic,
            lambda,
            history: History::Last(1),
            pool: Pool::Redraw,
            synthetic_count: SyntheticCount::Total,
            covariance: RealCovariance::Identity(dim),
        }
    }

    /// The loop that `plan` describes, on real data from N(0, `covariance`), of which there is no end.
    pub fn from_plan(plan: &Loop, covariance: RealCovariance) -> Self {
        Self {
            kind: plan.kind,
            n_initial: plan.n_initial,
            n_real: plan.n_real,
            n_synthetic: plan.n_synthetic,
            lambda: plan.lambda.lambda(),
            history: plan.history,
            pool: plan.pool,
            synthetic_count: plan.synthetic_count,
            covariance,
        }
    }

    /// Checks everything but the covariance.
    ///
    /// # Errors
    /// Names the setting, its value and the remedy.
    pub fn check(&self) -> Result<()> {
        let error = |name, value: f64, must| Err(TheoryError::Setting { name, value, must });
        check_lambda(self.lambda)?;
        for (name, count) in [("n_initial", self.n_initial), ("n_real", self.n_real), ("n_synthetic", self.n_synthetic)]
        {
            check_count(name, count)?;
        }
        if self.n_initial < 2 {
            return error("n_initial", self.n_initial as f64, "at least 2: a covariance has n - 1 degrees of freedom");
        }
        if self.history == History::Last(0) {
            return error("history", 0.0, "at least 1 earlier model, or all");
        }
        let real = if self.kind == LoopKind::FullySynthetic { 0 } else { self.n_real };
        if self.kind == LoopKind::SyntheticAugmentation && self.n_real > self.n_initial {
            return error(
                "n_real",
                self.n_real as f64,
                "at most n_initial: the fixed set is the first n_real of those",
            );
        }
        if self.n_synthetic == 0 && real < 2 {
            return error(
                "n_synthetic",
                0.0,
                "at least 2 when there is no real sample, at least 1 beside a single one",
            );
        }
        if self.n_synthetic + real < 2 {
            return error("n_synthetic", self.n_synthetic as f64, "at least 2 together with the real samples");
        }
        if let (Pool::Accumulate, History::Last(k @ 2..)) = (self.pool, self.history) {
            return error("history", f64::from(k), "1 or all with a pool that accumulates every model's samples");
        }
        Ok(())
    }
}

pub(crate) fn check_lambda(lambda: f64) -> Result<()> {
    if (0.0..=1.0).contains(&lambda) {
        return Ok(());
    }
    Err(TheoryError::Setting { name: "lambda", value: lambda, must: "a number from 0 (modes only) to 1 (unbiased)" })
}

pub(crate) fn check_count(name: &'static str, count: u64) -> Result<()> {
    if count <= LARGEST {
        return Ok(());
    }
    Err(TheoryError::Setting { name, value: count as f64, must: "at most 2^53" })
}

/// One model of one replicate, in units of the data.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GaussianMoments {
    /// Squared W2 to P_r: |mu|^2 + tr(Sigma + S - 2 (S^{1/2} Sigma S^{1/2})^{1/2}).
    pub w2_sq: f64,
    /// |mu|^2.
    pub mean_sq: f64,
    /// tr Sigma.
    pub trace: f64,
    /// log det Sigma; `None` where Sigma is singular (n - 1 < d, or variance below the range of f64).
    pub log_det: Option<f64>,
}

/// A mean over replicates and its standard error.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// The mean.
    pub mean: f64,
    /// Its standard error; NaN for a single replicate.
    pub se: f64,
}

impl Estimate {
    /// Of independent values.
    pub(crate) fn of(values: &[f64]) -> Self {
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let squares: f64 = values.iter().map(|value| (value - mean) * (value - mean)).sum();
        Self { mean, se: (squares / (n - 1.0) / n).sqrt() }
    }
}
