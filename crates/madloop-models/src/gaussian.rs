//! The Gaussian family: sample mean and full sample covariance (PAPER.md section 2).

use madloop_core::{Context, Cost, GaussianParameters, Mix, Result, SamplingBias, Seeds, Stream, Trainer};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::light::{Family, Fit, LightTrainer, Model};
use crate::linalg::{Factor, singular};
use crate::tensors::Tensors;

/// Options of the Gaussian family.
///
/// The model is mu = sample mean, Sigma = sample covariance with divisor n - 1; samples are drawn from
/// N(mu, lambda Sigma). It works when n <= d: the covariance is then singular and the outcome `degenerate`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct GaussianConfig {
    /// A Gaussian a class instead of one for the whole (labelled) set.
    pub per_class: bool,
}

impl GaussianConfig {
    /// The trainer with these options.
    pub fn trainer(&self) -> Box<dyn Trainer> {
        LightTrainer::boxed(Gaussian, self.per_class)
    }
}

struct Gaussian;

struct GaussianModel {
    mean: Vec<f64>,
    factor: Factor,
}

impl Family for Gaussian {
    type Model = GaussianModel;
    const NAME: &'static str = "gaussian";

    fn fit(&self, mix: &Mix, _class: u32, _context: &Context<'_>) -> Result<Fit<GaussianModel>> {
        let Some((mean, factor)) = Factor::of_mix(mix) else {
            return Ok(Fit::Ended("the sample covariance is not finite".into()));
        };
        let why = singular(factor.rank(), mix.dim(), mix.len());
        let model = GaussianModel { mean, factor };
        Ok(match why {
            None => Fit::Model(model),
            Some(why) => Fit::Degenerate(model, why),
        })
    }

    fn cost(&self, rows: f64, dim: f64) -> Cost {
        // Scatter, then eigenvalues and eigenvectors of the smaller side.
        let side = rows.min(dim);
        Cost {
            train: 2.0 * rows * dim * side + 25.0 * side.powi(3) + 4.0 * rows * dim,
            sample_row: 2.0 * dim * side + 40.0 * side,
            model_bytes: 8.0 * dim * (side + 1.0),
            ..Cost::default()
        }
    }
}

impl Model for GaussianModel {
    fn draw(&self, rows: &[u64], lambda: SamplingBias, seeds: Seeds, out: &mut [f64]) {
        out.chunks_exact_mut(self.mean.len()).for_each(|out| out.copy_from_slice(&self.mean));
        let mut rngs: Vec<_> = rows.iter().map(|&row| seeds.rng(Stream::SAMPLE, row)).collect();
        self.factor.add_normal(&mut rngs, lambda.deviation_scale(), out);
    }

    fn write(&self, tensors: &mut Tensors) {
        tensors.put_f64("mean", &[self.mean.len()], &self.mean);
        tensors.put_f64("factor", &[self.factor.rank(), self.factor.dim], &self.factor.rows);
    }

    fn read(tensors: &mut Tensors, dim: usize) -> Result<Self> {
        let (_, mean) = tensors.take_f64("mean")?;
        let (_, rows) = tensors.take_f64("factor")?;
        if mean.len() != dim || !rows.len().is_multiple_of(dim) {
            return Err(tensors.bad(format!(
                "mean of {} and factor of {} values in {dim} dimensions",
                mean.len(),
                rows.len()
            )));
        }
        Ok(Self { mean, factor: Factor { dim, rows } })
    }

    fn gaussian(&self) -> Option<GaussianParameters> {
        Some(GaussianParameters { mean: self.mean.clone(), covariance: self.factor.covariance() })
    }
}
