//! One step of a flow: an invertible linear map and an affine coupling.

use burn::tensor::{Device, Tensor};

use crate::nets::{Conv, Linear};
use crate::params::{Declare, Handle, Init, Weights, flat, matrix, to_host};
use crate::{Result, ops};

/// x -> x W + b with W = P L U D, then (a, b) -> (a, s(a) b + t(a)), on rows of c numbers: samples, or pixels of images.
pub(super) struct Step {
    /// The parameters of W, `[c, c]`.
    map: Handle,
    bias: Handle,
    net: Net,
    /// Numbers a row, and how many of them the coupling changes.
    c: usize,
    k: usize,
    /// Height and width; 1 x 1 for vectors.
    size: [usize; 2],
}

/// What gives r and t: two hidden layers, the last layer beginning at 0, so that the coupling begins as the identity.
enum Net {
    Rows { first: Linear, second: Linear, last: Linear, class: Option<Linear> },
    Images { first: Conv, second: Linear, last: Conv, class: Option<Linear> },
}

/// Below this deviation a dimension has collapsed, and is not scaled up.
const LEAST_DEVIATION: f64 = 1e-6;

impl Step {
    pub(super) fn new(
        mut declare: Declare<'_>,
        c: usize,
        size: [usize; 2],
        is_image: bool,
        hidden: usize,
        n_classes: usize,
    ) -> Self {
        // Where c is odd, the greater part is changed.
        let (kept, k) = (c / 2, c - c / 2);
        let map = declare.param("map", &[c, c], Init::Zeros);
        let bias = declare.param("bias", &[c], Init::Zeros);
        let one_hot = Init::Normal { std: 1.0 };
        let class = (n_classes > 0).then(|| Linear::without_bias(declare.at("class"), n_classes, hidden, one_hot));
        let second = Linear::new(declare.at("second"), hidden, hidden, Init::kaiming(hidden));
        let net = match is_image {
            false => Net::Rows {
                first: Linear::new(declare.at("first"), kept, hidden, Init::kaiming(kept)),
                second,
                last: Linear::new(declare.at("last"), hidden, 2 * k, Init::Zeros),
                class,
            },
            true => Net::Images {
                first: Conv::three(declare.at("first"), [kept, hidden]),
                second,
                last: Conv::new(declare.at("last"), [hidden, 2 * k], 3, 1, Init::Zeros),
                class,
            },
        };
        Self { map, bias, net, c, k, size }
    }

    /// Rows of a sample.
    fn pixels(&self) -> usize {
        self.size[0] * self.size[1]
    }

    /// `[m, c]` -> `[m, c]`, and the coupling's log-determinant of each sample, `[samples]`.
    pub(super) fn forward(
        &self,
        weights: &Weights,
        x: Tensor<2>,
        classes: Option<&Tensor<2>>,
    ) -> (Tensor<2>, Tensor<1>) {
        let samples = x.dims()[0] / self.pixels();
        let h = self.mapped(weights, x);
        let raw = self.raw(weights, &h, classes);
        (ops::couple(h, raw.clone()), ops::coupling_log_det(raw, samples))
    }

    fn mapped(&self, weights: &Weights, x: Tensor<2>) -> Tensor<2> {
        ops::linear(x, ops::lu_matrix(weights.get(self.map)), Some(weights.get(self.bias)))
    }

    /// The inverse; `map` is the inverse of W.
    pub(super) fn inverse(
        &self,
        weights: &Weights,
        map: Tensor<2>,
        y: Tensor<2>,
        classes: Option<&Tensor<2>>,
    ) -> Tensor<2> {
        let raw = self.raw(weights, &y, classes);
        let bias: Tensor<1> = weights.get(self.bias);
        ops::linear(ops::uncouple(y, raw) - bias.unsqueeze(), map, None)
    }

    /// The inverse of W, from its parameters in double precision.
    pub(super) fn inverse_map(&self, weights: &Weights, device: &Device) -> Result<Tensor<2>> {
        let parameters = to_host(weights.get::<2>(self.map), "reading parameters")?;
        let inverse = crate::kernels::lu::inverse(&parameters, self.c);
        Ok(matrix(inverse.into_iter().map(|value| value as f32).collect(), self.c, device))
    }

    /// (r, t) of every row from its part that is kept.
    fn raw(&self, weights: &Weights, h: &Tensor<2>, classes: Option<&Tensor<2>>) -> Tensor<2> {
        let m = h.dims()[0];
        let kept = self.c - self.k;
        let a = h.clone().slice([0..m, 0..kept]);
        match &self.net {
            Net::Rows { first, second, last, class } => {
                let mut hidden = first.forward(weights, a);
                if let (Some(class), Some(classes)) = (class, classes) {
                    hidden = hidden + class.forward(weights, classes.clone());
                }
                let hidden = ops::silu(second.forward(weights, ops::silu(hidden)));
                last.forward(weights, hidden)
            }
            Net::Images { first, second, last, class } => {
                let ([height, width], n) = (self.size, m / self.pixels());
                let mut hidden = first.forward(weights, a.reshape([n, height, width, kept]));
                if let (Some(class), Some(classes)) = (class, classes) {
                    hidden = ops::add_per_image(hidden, class.forward(weights, classes.clone()));
                }
                let [.., width_of_net] = hidden.dims();
                let hidden = ops::silu(hidden).reshape([m, width_of_net]);
                let hidden = ops::silu(second.forward(weights, hidden)).reshape([n, height, width, width_of_net]);
                last.forward(weights, hidden).reshape([m, 2 * self.k])
            }
        }
    }

    /// Sets scale and shift of the map, so that its outputs have mean 0 and variance 1 over x (Kingma and Dhariwal 2018, section 3.1).
    pub(super) fn normalise(&self, weights: &mut Weights, x: &Tensor<2>, device: &Device) -> Result<()> {
        let h = to_host(self.mapped(weights, x.clone()), "reading a batch")?;
        let n = (h.len() / self.c) as f64;
        let (mut map, mut bias) = (vec![0.0; self.c * self.c], vec![0.0; self.c]);
        for j in 0..self.c {
            let column = || h.iter().skip(j).step_by(self.c).map(|&value| f64::from(value));
            let mean = column().sum::<f64>() / n;
            let deviation = (column().map(|value| (value - mean).powi(2)).sum::<f64>() / n).sqrt();
            let scale = if deviation > LEAST_DEVIATION { deviation.recip() } else { 1.0 };
            map[j * self.c + j] = scale.ln() as f32;
            bias[j] = (-mean * scale) as f32;
        }
        weights.set(self.map, flat(map, device));
        weights.set(self.bias, flat(bias, device));
        Ok(())
    }

    /// The parameters whose diagonal, times the pixels, is the map's log-determinant: the values, and what each is worth.
    pub(super) fn trace(&self, weights: &Weights) -> Tensor<1> {
        weights.get::<2>(self.map).reshape([self.c * self.c])
    }

    pub(super) fn trace_worth(&self) -> Vec<f32> {
        let diagonal = |at: usize| at / self.c == at % self.c;
        (0..self.c * self.c).map(|at| if diagonal(at) { self.pixels() as f32 } else { 0.0 }).collect()
    }

    /// About how many floating-point operations a sample takes.
    pub(super) fn flops(&self) -> f64 {
        let pixels = self.pixels();
        let net = match &self.net {
            Net::Rows { first, second, last, .. } => first.flops + second.flops + last.flops,
            Net::Images { first, second, last, .. } => {
                first.flops(pixels) + last.flops(pixels) + second.flops * pixels as f64
            }
        };
        net + 2.0 * (self.c * self.c * pixels) as f64
    }
}
