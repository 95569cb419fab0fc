//! Gaussian mixtures by expectation maximisation.

mod em;
mod init;
mod model;

use madloop_core::{Context, Cost, Mix, Result, Stream, Trainer};
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::light::{Family, Fit, LightTrainer};
use em::Em;
use model::GmmModel;

/// Options of the Gaussian mixture family.
///
/// Each restart begins with greedy k-means++ and runs EM to convergence; the restart with the best likelihood is kept. There is no
/// warm start from earlier generations. Samples of component j come from N(mu_j, lambda Sigma_j) (lambda for mixtures is
/// madloop's extension; the paper uses lambda = 1).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct GmmConfig {
    /// Number of components.
    pub components: usize,
    /// Shape of the components' covariances.
    pub covariance: Covariance,
    /// Restarts, of which the best likelihood is kept.
    pub restarts: usize,
    /// Candidates for each centre of greedy k-means++; 1 is plain k-means++.
    pub candidates: usize,
    /// EM steps of a restart at most.
    pub max_iterations: usize,
    /// A restart has converged when the mean log-likelihood of a sample (in nats) gains less than this.
    pub tolerance: f64,
    /// Least variance of a component in any direction; at 0 a component may become singular, which is an outcome.
    pub covariance_floor: f64,
    /// A mixture a class instead of one for the whole (labelled) set.
    pub per_class: bool,
}

impl Default for GmmConfig {
    fn default() -> Self {
        Self {
            components: 10,
            covariance: Covariance::Full,
            restarts: 10,
            candidates: 5,
            max_iterations: 200,
            tolerance: 1e-4,
            covariance_floor: 0.0,
            per_class: false,
        }
    }
}

/// Shape of a component's covariance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Covariance {
    /// Any positive definite matrix.
    Full,
    /// A variance a dimension.
    Diagonal,
    /// One variance.
    Spherical,
}

impl GmmConfig {
    /// The trainer with these options.
    ///
    /// # Errors
    /// A count of 0, or a tolerance or floor below 0, in words.
    pub fn trainer(&self) -> Result<Box<dyn Trainer>, String> {
        let counts = [
            ("components", self.components),
            ("restarts", self.restarts),
            ("candidates", self.candidates),
            ("max_iterations", self.max_iterations),
        ];
        if let Some((key, _)) = counts.iter().find(|(_, count)| *count == 0) {
            return Err(format!("model.{key} is 0; it must be at least 1"));
        }
        for (key, value) in [("tolerance", self.tolerance), ("covariance_floor", self.covariance_floor)] {
            if !(value >= 0.0 && value.is_finite()) {
                return Err(format!("model.{key} is {value}; it must be a number of at least 0"));
            }
        }
        Ok(LightTrainer::boxed(Gmm { options: self.clone() }, self.per_class))
    }
}

struct Gmm {
    options: GmmConfig,
}

/// Random numbers of the restarts: row (class << 32) + restart.
const RESTART: Stream = Stream::named("train/gmm-restart");

impl Family for Gmm {
    type Model = GmmModel;
    const NAME: &'static str = "gmm";

    fn fit(&self, mix: &Mix, class: u32, context: &Context<'_>) -> Result<Fit<GmmModel>> {
        let (n, d) = (mix.len(), mix.dim());
        let mut points = vec![0.0; n * d];
        mix.copy_rows_f64(0, &mut points);
        let em = Em::new(&points, n, d, &self.options);
        let restarts: Vec<u64> = (0..self.options.restarts as u64).collect();
        let (cancel, seeds) = (context.cancel, context.seeds);
        let fits = restarts.par_iter().map(|restart| {
            cancel.check()?;
            let mut rng = seeds.rng(RESTART, (u64::from(class) << 32) + restart);
            Ok(em.run(&mut rng))
        });
        let fits = fits.collect::<Result<Vec<_>>>()?;
        // Restarts without a singular component first, then the likelihood; the earliest wins a tie.
        let best = fits.into_iter().reduce(|best, next| {
            let better = next.n_singular < best.n_singular
                || next.n_singular == best.n_singular && next.log_likelihood > best.log_likelihood;
            if better { next } else { best }
        });
        let Some(best) = best else { return Ok(Fit::Ended("no restart was run".into())) };
        if !best.is_finite() {
            return Ok(Fit::Ended("the mixture's parameters are not finite".into()));
        }
        let why = if best.n_used < self.options.components {
            let k = self.options.components;
            Some(format!("only {} of {k} components have distinct samples to stand on (n = {n})", best.n_used))
        } else if best.n_singular > 0 {
            Some(format!("{} of {} components are singular (n = {n}, d = {d})", best.n_singular, best.n_used))
        } else {
            None
        };
        Ok(match (why, GmmModel::of(best, self.options.covariance, d)) {
            (_, None) => Fit::Ended("a component's covariance has no square root".into()),
            (None, Some(model)) => Fit::Model(model),
            (Some(why), Some(model)) => Fit::Degenerate(model, why),
        })
    }

    fn cost(&self, rows: f64, dim: f64) -> Cost {
        let (k, restarts) = (self.options.components as f64, self.options.restarts as f64);
        let parameters = if self.options.covariance == Covariance::Full { dim * dim } else { dim };
        let step = rows * k * (2.0 * parameters + 20.0);
        let init = rows * k * 3.0 * dim * self.options.candidates as f64;
        Cost {
            train: restarts * (init + 40.0 * step),
            sample_row: 2.0 * parameters + 40.0 * dim,
            model_bytes: 8.0 * k * (1.0 + dim + parameters),
            ..Cost::default()
        }
    }
}
