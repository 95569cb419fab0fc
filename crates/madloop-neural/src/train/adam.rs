//! Adam with clipping by the global norm, a decaying rate and an exponential moving average of the parameters.

use std::mem::take;

use burn::tensor::Tensor;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::checkpoint::Learner;
use crate::ops::AdamState;
use crate::{Result, kernels, ops};

/// How the learning rate goes over training.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Decay {
    /// Always the same.
    Constant,
    /// rate * (1 - s / S) at step s of S, s counted from 0.
    Linear,
}

/// Adam (Kingma and Ba 2015, algorithm 1) on w, with m_0 = v_0 = 0:
///
/// m_s = b1 m_(s-1) + (1 - b1) g, v_s = b2 v_(s-1) + (1 - b2) g^2,
/// w_s = w_(s-1) - rate_s (m_s / (1 - b1^s)) / (sqrt(v_s / (1 - b2^s)) + eps).
///
/// g is the gradient, scaled to the norm `clip` (over all parameters together) where it is longer. The average begins as
/// w_0 and follows e_s = d e_(s-1) + (1 - d) w_s with d = min(ema, (1 + s) / (10 + s)), so that short trainings forget
/// their beginning.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Adam {
    pub(crate) rate: f64,
    pub(crate) decay: Decay,
    /// b1 and b2.
    pub(crate) betas: [f32; 2],
    /// Largest norm of the gradient; infinite for none.
    pub(crate) clip: f64,
    /// Decay of the average; 0 for none: then the weights stand for it.
    pub(crate) ema: f64,
}

const EPS: f32 = 1e-8;

impl Adam {
    /// The b1 and b2 that the algorithm's authors give.
    pub(crate) const BETAS: [f32; 2] = [0.9, 0.999];

    /// Update `update` of `of`, counted from 0; `norm` is the gradient's. The average follows where `averages`.
    pub(crate) fn step(
        &self,
        learner: &mut Learner,
        gradients: Vec<Tensor<1>>,
        norm: f64,
        [update, of]: [u64; 2],
        averages: bool,
    ) -> Result<()> {
        let before = update as f64;
        let now = before + 1.0;
        let step = u32::try_from(update + 1).unwrap_or(u32::MAX);
        let rate = match self.decay {
            Decay::Constant => self.rate,
            Decay::Linear => self.rate * (1.0 - before / of as f64),
        };
        let by = kernels::adam::Adam {
            rate: rate as f32,
            betas: self.betas,
            epsilon: EPS,
            decay: 0.0,
            scale: if norm > self.clip { (self.clip / norm) as f32 } else { 1.0 },
            average: if averages { self.ema.min((1.0 + now) / (10.0 + now)) as f32 } else { 1.0 },
        };

        // Old values are moved in, so that their memory is used again.
        let all = take(&mut learner.weights.values).into_iter().zip(gradients);
        let moments = take(&mut learner.first.values).into_iter().zip(take(&mut learner.second.values));
        let mut averages = learner.average.as_mut().map(|average| take(&mut average.values).into_iter());
        for ((w, g), (m, v)) in all.zip(moments) {
            let average = averages.as_mut().and_then(Iterator::next);
            let AdamState { state: [w, m, v], average } =
                ops::adam(&by, step, AdamState { state: [w, m, v], average }, g)?;
            learner.weights.values.push(w);
            learner.first.values.push(m);
            learner.second.values.push(v);
            if let (Some(all), Some(average)) = (&mut learner.average, average) {
                all.values.push(average);
            }
        }
        Ok(())
    }
}
