//! Operations of flows.

use burn::tensor::{Tensor, TensorData};

use crate::fused::{self, on_cpu};
use crate::kernels::lu::shuffled;

/// An affine coupling: each row (a, b) becomes (a, s b + t), with `raw` = (r, t) and ln s = 4 sigmoid(r) - 2: `[m, c]`, `[m, 2 k]` ->
/// `[m, c]`, b the last k of c. (Dinh et al. 2017, arXiv:1605.08803, eq. 4 and 5, with a bounded s.)
pub fn couple(x: Tensor<2>, raw: Tensor<2>) -> Tensor<2> {
    if on_cpu(&x) { fused::coupling::couple(x, raw) } else { composed::couple(x, raw) }
}

/// The inverse of [`couple`] in x, without gradient on the CPU.
pub fn uncouple(y: Tensor<2>, raw: Tensor<2>) -> Tensor<2> {
    if on_cpu(&y) { fused::coupling::uncouple(y, raw) } else { composed::uncouple(y, raw) }
}

/// ln |det| of [`couple`], the sum of ln s over all rows of a sample: `[samples * pixels, 2 k]` -> `[samples]`.
pub fn coupling_log_det(raw: Tensor<2>, samples: usize) -> Tensor<1> {
    if on_cpu(&raw) { fused::coupling::log_det(raw, samples) } else { composed::log_det(raw, samples) }
}

/// W = P L U D from its parameters, `[c, c]` -> `[c, c]`: below the diagonal L, above it U, on it ln D, so that ln |det W| is their
/// trace; P takes row 2 j + 1 first (see [`shuffled`]).
pub fn lu_matrix(a: Tensor<2>) -> Tensor<2> {
    if on_cpu(&a) { fused::lu::lu_matrix(a) } else { composed::lu_matrix(a) }
}

/// The same of the library's operations.
pub(super) mod composed {
    use burn::tensor::activation::sigmoid;

    use super::*;

    /// The first c - k columns of x, the last k, and s and t.
    fn parts(x: Tensor<2>, raw: Tensor<2>) -> [Tensor<2>; 4] {
        let ([m, c], [_, twice]) = (x.dims(), raw.dims());
        let (k, columns) = (twice / 2, |x: &Tensor<2>, from: usize, to: usize| x.clone().slice([0..m, from..to]));
        [columns(&x, 0, c - k), columns(&x, c - k, c), columns(&raw, 0, k), columns(&raw, k, 2 * k)]
    }

    fn log_scale(r: Tensor<2>) -> Tensor<2> {
        sigmoid(r) * 4.0 - 2.0
    }

    pub(in crate::ops) fn couple(x: Tensor<2>, raw: Tensor<2>) -> Tensor<2> {
        let [a, b, r, t] = parts(x, raw);
        Tensor::cat(vec![a, b * log_scale(r).exp() + t], 1)
    }

    pub(in crate::ops) fn uncouple(y: Tensor<2>, raw: Tensor<2>) -> Tensor<2> {
        let [a, b, r, t] = parts(y, raw);
        Tensor::cat(vec![a, (b - t) * (-log_scale(r)).exp()], 1)
    }

    pub(in crate::ops) fn log_det(raw: Tensor<2>, samples: usize) -> Tensor<1> {
        let [m, twice] = raw.dims();
        let r = raw.slice([0..m, 0..twice / 2]);
        log_scale(r).reshape([samples, m * twice / 2 / samples]).sum_dim(1).reshape([samples])
    }

    pub(in crate::ops) fn lu_matrix(a: Tensor<2>) -> Tensor<2> {
        let [c, _] = a.dims();
        let device = a.device().without_autodiff();
        let mask = |of: &dyn Fn(usize, usize) -> bool| {
            let ones: Vec<f32> = (0..c * c).map(|at| f32::from(u8::from(of(at / c, at % c)))).collect();
            Tensor::<2>::from_data(TensorData::new(ones, [c, c]), &device)
        };
        let one = mask(&|i, j| i == j);
        let lower = a.clone() * mask(&|i, j| i > j) + one.clone();
        let upper = a.clone() * mask(&|i, j| i < j) + one.clone();
        let scale = (a * one).sum_dim(0).exp(); // [1, c]
        mask(&|i, j| shuffled(c, j) == i).matmul(lower.matmul(upper) * scale)
    }
}
