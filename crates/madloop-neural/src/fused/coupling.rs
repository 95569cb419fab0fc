//! Affine couplings and the logarithms of their determinants.

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind, unary};
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::Tensor;

use super::{alike, recycle, values, whole, written};
use crate::kernels::coupling::{self, Split};

/// `[m, c]`, `[m, 2 k]` -> `[m, c]`.
pub(crate) fn couple(x: Tensor<2>, raw: Tensor<2>) -> Tensor<2> {
    Tensor::from_dispatch(<Dispatch as CouplingOp>::fused_couple(x.into_dispatch(), raw.into_dispatch()))
}

/// `[m, 2 k]` -> `[samples]`.
pub(crate) fn log_det(raw: Tensor<2>, samples: usize) -> Tensor<1> {
    Tensor::from_dispatch(<Dispatch as CouplingOp>::fused_log_det(raw.into_dispatch(), samples))
}

/// The inverse of [`couple`], without gradient.
pub(crate) fn uncouple(y: Tensor<2>, raw: Tensor<2>) -> Tensor<2> {
    Tensor::from_dispatch(<Dispatch as UncoupleOp>::fused_uncouple(y.into_dispatch(), raw.into_dispatch()))
}

/// The operations on a backend.
#[backend_extension(Flex, Autodiff)]
pub(crate) trait CouplingOp: Backend {
    fn fused_couple(x: FloatTensor<Self>, raw: FloatTensor<Self>) -> FloatTensor<Self>;
    fn fused_log_det(raw: FloatTensor<Self>, samples: usize) -> FloatTensor<Self>;
}

/// What only sampling does.
#[backend_extension(Flex)]
pub(crate) trait UncoupleOp: Backend {
    fn fused_uncouple(y: FloatTensor<Self>, raw: FloatTensor<Self>) -> FloatTensor<Self>;
}

fn split(x: &FlexTensor, raw: &FlexTensor) -> Split {
    let ([_, all], [_, changed]) = (x.shape().dims(), raw.shape().dims());
    Split { all, changed: changed / 2 }
}

fn changed(raw: &FlexTensor) -> usize {
    let [_, twice] = raw.shape().dims();
    twice / 2
}

impl CouplingOp for Flex {
    fn fused_couple(x: FlexTensor, raw: FlexTensor) -> FlexTensor {
        let [x, raw] = [x, raw].map(whole);
        let y = alike(&x, |y| coupling::couple(split(&x, &raw), values(&x), values(&raw), y));
        recycle(x);
        recycle(raw);
        y
    }

    fn fused_log_det(raw: FlexTensor, samples: usize) -> FlexTensor {
        let raw = whole(raw);
        let out = written([samples], |out| coupling::log_det(changed(&raw), values(&raw), out));
        recycle(raw);
        out
    }
}

impl UncoupleOp for Flex {
    fn fused_uncouple(y: FlexTensor, raw: FlexTensor) -> FlexTensor {
        let [y, raw] = [y, raw].map(whole);
        let x = alike(&y, |x| coupling::uncouple(split(&y, &raw), values(&y), values(&raw), x));
        recycle(y);
        recycle(raw);
        x
    }
}

impl<C: CheckpointStrategy> CouplingOp for Autodiff<Flex, C> {
    fn fused_couple(x: FloatTensor<Self>, raw: FloatTensor<Self>) -> FloatTensor<Self> {
        let [(x, of_x), (raw, of_raw)] = [x, raw].map(|tensor| tensor.into_parts());
        match Couple.prepare::<C>([of_x, of_raw]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish([x.clone(), raw.clone()], Flex::fused_couple(x, raw)),
            OpsKind::UnTracked(prep) => prep.finish(Flex::fused_couple(x, raw)),
        }
    }

    fn fused_log_det(raw: FloatTensor<Self>, samples: usize) -> FloatTensor<Self> {
        let (raw, guard) = raw.into_parts();
        match LogDet.prepare::<C>([guard]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish(raw.clone(), Flex::fused_log_det(raw, samples)),
            OpsKind::UnTracked(prep) => prep.finish(Flex::fused_log_det(raw, samples)),
        }
    }
}

#[derive(Debug)]
struct Couple;

impl Backward<Flex, 2> for Couple {
    /// x and raw.
    type State = [FlexTensor; 2];

    fn backward(self, ops: Ops<Self::State, 2>, gradients: &mut Gradients, _checkpointer: &mut Checkpointer) {
        let dy = whole(gradients.consume::<Flex>(&ops.node));
        let [x, raw] = ops.state.map(whole);
        let mut of_raw = None;
        let of_x = alike(&x, |dx| {
            of_raw = Some(alike(&raw, |draw| {
                coupling::couple_gradient(split(&x, &raw), values(&x), values(&raw), values(&dy), dx, draw);
            }));
        });
        for used in [x, raw, dy] {
            recycle(used);
        }
        for (parent, gradient) in ops.parents.into_iter().zip([Some(of_x), of_raw]) {
            if let (Some(parent), Some(gradient)) = (parent, gradient) {
                gradients.register::<Flex>(parent.id, gradient);
            }
        }
    }
}

#[derive(Debug)]
struct LogDet;

impl Backward<Flex, 1> for LogDet {
    /// raw.
    type State = FlexTensor;

    fn backward(self, ops: Ops<Self::State, 1>, gradients: &mut Gradients, _checkpointer: &mut Checkpointer) {
        let raw = whole(ops.state);
        unary::<Flex, _>(ops.parents, ops.node, gradients, |d| {
            let d = whole(d);
            let draw = alike(&raw, |draw| coupling::log_det_gradient(changed(&raw), values(&raw), values(&d), draw));
            recycle(raw);
            draw
        });
    }
}
