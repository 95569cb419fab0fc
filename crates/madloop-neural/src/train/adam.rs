//! Adam with clipping by the global norm, a decaying rate and an exponential moving average of the parameters.

use std::mem::take;

use burn::tensor::Tensor;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::State;
use crate::Result;
use crate::fused::{self, Update};

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

const BETA: [f64; 2] = [0.9, 0.999];
const EPS: f64 = 1e-8;

impl Adam {
    /// Takes the state one step on; `norm` is the gradient's.
    pub(crate) fn step(&self, state: &mut State, gradients: Vec<Tensor<1>>, norm: f64, steps: u64) -> Result<()> {
        let before = state.losses.len() as f64;
        let now = before + 1.0;
        let rate = match self.decay {
            Decay::Constant => self.rate,
            Decay::Linear => self.rate * (1.0 - before / steps as f64),
        };
        let scale = if norm > self.clip { self.clip / norm } else { 1.0 };
        let correction = BETA.map(|beta| 1.0 - beta.powf(now));
        let keep = self.ema.min((1.0 + now) / (10.0 + now));

        let by = Update {
            scale: scale as f32,
            beta: BETA.map(|beta| beta as f32),
            rate: (rate / correction[0]) as f32,
            root: correction[1].sqrt().recip() as f32,
            eps: EPS as f32,
            keep: keep as f32,
        };

        // Old values are moved in, so that their memory is used again.
        let all = take(&mut state.weights.values).into_iter().zip(gradients);
        let moments = take(&mut state.first.values).into_iter().zip(take(&mut state.second.values));
        let averages = take(&mut state.average.values);
        for (((w, g), (m, v)), e) in all.zip(moments).zip(averages) {
            let old = [w, m, v, e];
            let [w, m, v, e] = if fused::on_cpu(&g) { fused::adam(by, old, g)? } else { composed(by, old, g) };
            state.weights.values.push(w);
            state.first.values.push(m);
            state.second.values.push(v);
            state.average.values.push(e);
        }
        Ok(())
    }
}

/// The same by the library's operations.
fn composed(by: Update, [w, m, v, e]: [Tensor<1>; 4], g: Tensor<1>) -> [Tensor<1>; 4] {
    let g = g * by.scale;
    let m = m * by.beta[0] + g.clone() * (1.0 - by.beta[0]);
    let v = v * by.beta[1] + g.clone() * g * (1.0 - by.beta[1]);
    let w = w - m.clone() * by.rate / (v.clone().sqrt() * by.root + by.eps);
    let e = e * by.keep + w.clone() * (1.0 - by.keep);
    [w, m, v, e]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::Device;
    use crate::params::{flat, to_host};

    #[test]
    fn updates_are_adams_fused_or_composed() {
        let device = Device::cpu();
        let of = |phase: f64| (0..50_000).map(|at| (at as f64 * 0.37 + phase).sin()).collect::<Vec<_>>();
        let all = [of(0.0), of(1.0), of(2.0).iter().map(|v| v * v).collect(), of(3.0), of(4.0)];
        let tensor = |at: usize| flat(all[at].iter().map(|&v: &f64| v as f32).collect(), device.inner());
        let by = Update { scale: 0.5, beta: [0.9, 0.999], rate: 0.01, root: 1.7, eps: 1e-8, keep: 0.97 };
        let state = || [tensor(0), tensor(1), tensor(2), tensor(3)];
        let fused = fused::adam(by, state(), tensor(4)).expect("on the CPU");
        let composed = composed(by, state(), tensor(4));
        let host = |state: [Tensor<1>; 4]| state.map(|value| to_host(value, "reading state").expect("on the CPU"));
        for state in [host(fused), host(composed)] {
            for at in 0..50_000 {
                let [w, m, v, e, g] = [0, 1, 2, 3, 4].map(|part| all[part][at]);
                let g = 0.5 * g;
                let (m, v) = (0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g);
                let w = w - 0.01 * m / (v.sqrt() * 1.7 + 1e-8);
                let e = 0.97 * e + 0.03 * w;
                for (found, expected) in state.iter().zip([w, m, v, e]) {
                    // v near 0 is a difference of rounded numbers in f32.
                    let close = 1e-5 * expected.abs().max(1.0);
                    assert!(
                        (f64::from(found[at]) - expected).abs() < close || v < 1e-6,
                        "{} for {expected}",
                        found[at]
                    );
                }
            }
        }
    }
}
