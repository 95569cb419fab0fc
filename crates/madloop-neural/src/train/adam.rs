//! Adam with clipping by the global norm, a decaying rate and an exponential moving average of the parameters.

use std::mem::take;

use burn::tensor::Tensor;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::State;
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
    /// Largest norm of the gradient; infinite for none.
    pub(crate) clip: f64,
    pub(crate) ema: f64,
}

const BETA: [f32; 2] = [0.9, 0.999];
const EPS: f32 = 1e-8;

impl Adam {
    /// Takes the state one step on; `norm` is the gradient's.
    pub(crate) fn step(&self, state: &mut State, gradients: Vec<Tensor<1>>, norm: f64, steps: u64) -> Result<()> {
        let before = state.losses.len() as f64;
        let now = before + 1.0;
        let step = u32::try_from(state.losses.len() + 1).unwrap_or(u32::MAX);
        let rate = match self.decay {
            Decay::Constant => self.rate,
            Decay::Linear => self.rate * (1.0 - before / steps as f64),
        };
        let by = kernels::adam::Adam {
            rate: rate as f32,
            betas: BETA,
            epsilon: EPS,
            decay: 0.0,
            scale: if norm > self.clip { (self.clip / norm) as f32 } else { 1.0 },
            average: self.ema.min((1.0 + now) / (10.0 + now)) as f32,
        };

        // Old values are moved in, so that their memory is used again.
        let all = take(&mut state.weights.values).into_iter().zip(gradients);
        let moments = take(&mut state.first.values).into_iter().zip(take(&mut state.second.values));
        let averages = take(&mut state.average.values);
        for (((w, g), (m, v)), e) in all.zip(moments).zip(averages) {
            let [w, m, v, e] = ops::adam(&by, step, [w, m, v, e], g)?;
            state.weights.values.push(w);
            state.first.values.push(m);
            state.second.values.push(v);
            state.average.values.push(e);
        }
        Ok(())
    }
}
