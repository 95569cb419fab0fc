//! A fitted mixture.

use madloop_core::{Result, SamplingBias, Seeds, Stream};
use rand::RngExt;

use super::Covariance;
use super::em::Mixture;
use crate::light::Model;
use crate::linalg::Factor;
use crate::tensors::Tensors;

pub(crate) struct GmmModel {
    dim: usize,
    /// `[k]`, summing to 1.
    weights: Vec<f64>,
    /// `[k, d]`.
    means: Vec<f64>,
    /// A square root of each component's covariance.
    roots: Vec<Root>,
}

/// A square root of a covariance.
#[derive(Clone)]
enum Root {
    Full(Factor),
    /// Standard deviations, `[d]` or `[1]`.
    Deviations(Vec<f64>),
}

impl GmmModel {
    /// `None` if a covariance has no square root.
    pub(crate) fn of(mixture: Mixture, covariance: Covariance, dim: usize) -> Option<Self> {
        let k = mixture.weights.len();
        let roots = mixture.covariances.chunks_exact(mixture.covariances.len() / k).map(|values| match covariance {
            Covariance::Full => Factor::of_covariance(values, dim).map(Root::Full),
            _ => Some(Root::Deviations(values.iter().map(|variance| variance.sqrt()).collect())),
        });
        let roots = roots.collect::<Option<Vec<_>>>()?;
        Some(Self { dim, weights: mixture.weights, means: mixture.means, roots })
    }

    fn component(&self, uniform: f64) -> usize {
        let mut sum = 0.0;
        let passed = |weight: &f64| {
            sum += weight;
            sum > uniform
        };
        // Rounding may leave the sum a little under 1: then the last component that has weight.
        let last = self.weights.iter().rposition(|&weight| weight > 0.0).unwrap_or(0);
        self.weights.iter().position(passed).unwrap_or(last)
    }
}

impl Model for GmmModel {
    fn draw(&self, rows: &[u64], lambda: SamplingBias, seeds: Seeds, out: &mut [f64]) {
        let scale = lambda.deviation_scale();
        for (&row, out) in rows.iter().zip(out.chunks_exact_mut(self.dim)) {
            let mut rng = seeds.rng(Stream::SAMPLE, row);
            let j = self.component(rng.random());
            out.copy_from_slice(&self.means[j * self.dim..(j + 1) * self.dim]);
            match &self.roots[j] {
                Root::Full(factor) => factor.add_normal(std::slice::from_mut(&mut rng), scale, out),
                Root::Deviations(deviations) => {
                    let normals = rng.sample_iter::<f64, _>(rand_distr::StandardNormal);
                    for ((out, normal), i) in out.iter_mut().zip(normals).zip(0..) {
                        *out += scale * normal * deviations[i % deviations.len()];
                    }
                }
            }
        }
    }

    fn write(&self, tensors: &mut Tensors) {
        let k = self.weights.len();
        tensors.put_f64("weights", &[k], &self.weights);
        tensors.put_f64("means", &[k, self.dim], &self.means);
        for (j, root) in self.roots.iter().enumerate() {
            match root {
                Root::Full(factor) => tensors.put_f64(&format!("factor.{j}"), &[factor.rank(), self.dim], &factor.rows),
                Root::Deviations(values) => tensors.put_f64(&format!("deviations.{j}"), &[values.len()], values),
            }
        }
    }

    fn read(tensors: &mut Tensors, dim: usize) -> Result<Self> {
        let (_, weights) = tensors.take_f64("weights")?;
        let (_, means) = tensors.take_f64("means")?;
        if weights.is_empty() || means.len() != weights.len() * dim {
            return Err(tensors.bad(format!(
                "{} weights with {} means in {dim} dimensions",
                weights.len(),
                means.len()
            )));
        }
        let root = |j: usize| {
            if tensors.has(&format!("deviations.{j}")) {
                let (_, values) = tensors.take_f64(&format!("deviations.{j}"))?;
                return match values.len() {
                    n if n == 1 || n == dim => Ok(Root::Deviations(values)),
                    n => Err(tensors.bad(format!("component {j} has {n} deviations in {dim} dimensions"))),
                };
            }
            let (_, rows) = tensors.take_f64(&format!("factor.{j}"))?;
            match rows.len().is_multiple_of(dim) {
                true => Ok(Root::Full(Factor { dim, rows })),
                false => Err(tensors.bad(format!("factor {j} has {} values in {dim} dimensions", rows.len()))),
            }
        };
        let roots = (0..weights.len()).map(root).collect::<Result<Vec<_>>>()?;
        Ok(Self { dim, weights, means, roots })
    }
}
