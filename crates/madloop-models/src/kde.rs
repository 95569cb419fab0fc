//! Kernel density estimation with a Gaussian kernel shaped as the sample covariance.

use madloop_core::{Context, Cost, Mix, Result, SamplingBias, Seeds, Stream, Trainer};
use rand::RngExt;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::light::{Family, Fit, LightTrainer, Model};
use crate::linalg::{Factor, singular};
use crate::tensors::Tensors;

/// Options of the kernel density family.
///
/// A sample is x = m + sqrt(lambda) (x_i - m + h e) / sqrt(1 + h^2) with a uniformly drawn training sample x_i, their mean m and
/// e ~ N(0, S), S the sample covariance (divisor n - 1). The division keeps the covariance; without it (`shrinkage = false`) each
/// generation inflates it by 1 + h^2, which shows the opposite of model collapse.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct KdeConfig {
    /// "scott", "silverman" or a number: the kernel's width h in units of the data's standard deviation.
    pub bandwidth: Bandwidth,
    /// Whether samples are shrunk towards the mean so that the covariance is preserved.
    pub shrinkage: bool,
    /// A density a class instead of one for the whole (labelled) set.
    pub per_class: bool,
}

impl Default for KdeConfig {
    fn default() -> Self {
        Self { bandwidth: Bandwidth::Rule(Rule::Scott), shrinkage: true, per_class: false }
    }
}

/// The kernel's width h.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Bandwidth {
    /// A rule of thumb.
    Rule(Rule),
    /// h itself, at least 0.
    Fixed(f64),
}

/// A rule of thumb for the kernel's width.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Rule {
    /// h = n^(-1/(d+4)) (Scott 1992).
    Scott,
    /// h = (n (d+2) / 4)^(-1/(d+4)) (Silverman 1986).
    Silverman,
}

impl Bandwidth {
    /// h for n samples in d dimensions.
    pub fn width(self, n: usize, d: usize) -> f64 {
        let (n, d) = (n as f64, d as f64);
        match self {
            Self::Rule(Rule::Scott) => n.powf(-1.0 / (d + 4.0)),
            Self::Rule(Rule::Silverman) => (n * (d + 2.0) / 4.0).powf(-1.0 / (d + 4.0)),
            Self::Fixed(width) => width,
        }
    }
}

impl KdeConfig {
    /// The trainer with these options.
    ///
    /// # Errors
    /// A bandwidth below 0 or not finite, in words.
    pub fn trainer(&self) -> Result<Box<dyn Trainer>, String> {
        match self.bandwidth {
            Bandwidth::Fixed(width) if !(width >= 0.0 && width.is_finite()) => Err(format!(
                "model.bandwidth is {width}; it must be \"scott\", \"silverman\" or a number of at least 0"
            )),
            bandwidth => Ok(LightTrainer::boxed(Kde { bandwidth, shrinkage: self.shrinkage }, self.per_class)),
        }
    }
}

struct Kde {
    bandwidth: Bandwidth,
    shrinkage: bool,
}

struct KdeModel {
    /// The training samples, `[n, d]`.
    points: Vec<f32>,
    mean: Vec<f64>,
    factor: Factor,
    width: f64,
    /// 1 / sqrt(1 + h^2), or 1 for the plain kernel.
    shrink: f64,
}

impl Family for Kde {
    type Model = KdeModel;
    const NAME: &'static str = "kde";

    fn fit(&self, mix: &Mix, _class: u32, _context: &Context<'_>) -> Result<Fit<KdeModel>> {
        let Some((mean, factor)) = Factor::of_mix(mix) else {
            return Ok(Fit::Ended("the sample covariance is not finite".into()));
        };
        let why = singular(factor.rank(), mix.dim(), mix.len());
        let mut points = vec![0.0; mix.len() * mix.dim()];
        points.chunks_exact_mut(mix.dim()).enumerate().for_each(|(row, out)| mix.copy_row(row, out));
        let width = self.bandwidth.width(mix.len(), mix.dim());
        let shrink = if self.shrinkage { (1.0 + width * width).sqrt().recip() } else { 1.0 };
        let model = KdeModel { points, mean, factor, width, shrink };
        Ok(match why {
            None => Fit::Model(model),
            Some(why) => Fit::Degenerate(model, why),
        })
    }

    fn cost(&self, rows: f64, dim: f64) -> Cost {
        let side = rows.min(dim);
        Cost {
            train: 2.0 * rows * dim * side + 25.0 * side.powi(3) + 4.0 * rows * dim,
            sample_row: 2.0 * dim * side + 40.0 * side + 10.0 * dim,
            model_bytes: 4.0 * rows * dim + 8.0 * dim * (side + 1.0),
            ..Cost::default()
        }
    }
}

impl Model for KdeModel {
    fn draw(&self, rows: &[u64], lambda: SamplingBias, seeds: Seeds, out: &mut [f64]) {
        let dim = self.mean.len();
        let mut rngs: Vec<_> = rows.iter().map(|&row| seeds.rng(Stream::SAMPLE, row)).collect();
        // First the deviation x_i - m + h e, then its scale.
        for (out, rng) in out.chunks_exact_mut(dim).zip(&mut rngs) {
            let i = rng.random_range(0..self.points.len() / dim);
            let point = &self.points[i * dim..(i + 1) * dim];
            out.iter_mut().zip(point).zip(&self.mean).for_each(|((out, &x), mean)| *out = f64::from(x) - mean);
        }
        self.factor.add_normal(&mut rngs, self.width, out);
        let scale = lambda.deviation_scale() * self.shrink;
        for out in out.chunks_exact_mut(dim) {
            out.iter_mut().zip(&self.mean).for_each(|(out, mean)| *out = mean + scale * *out);
        }
    }

    fn write(&self, tensors: &mut Tensors) {
        let dim = self.mean.len();
        tensors.put_f32("points", &[self.points.len() / dim, dim], &self.points);
        tensors.put_f64("mean", &[dim], &self.mean);
        tensors.put_f64("factor", &[self.factor.rank(), dim], &self.factor.rows);
        tensors.put_f64("width_and_shrink", &[2], &[self.width, self.shrink]);
    }

    fn read(tensors: &mut Tensors, dim: usize) -> Result<Self> {
        let (_, points) = tensors.take_f32("points")?;
        let (_, mean) = tensors.take_f64("mean")?;
        let (_, rows) = tensors.take_f64("factor")?;
        let (_, scales) = tensors.take_f64("width_and_shrink")?;
        let whole = |length: usize| length.is_multiple_of(dim);
        let [width, shrink] = scales[..] else {
            return Err(tensors.bad(format!("width_and_shrink holds {} numbers instead of 2", scales.len())));
        };
        if points.is_empty() || !whole(points.len()) || !whole(rows.len()) || mean.len() != dim {
            return Err(tensors.bad(format!("its tensors do not fit {dim} dimensions")));
        }
        Ok(Self { points, mean, factor: Factor { dim, rows }, width, shrink })
    }
}
