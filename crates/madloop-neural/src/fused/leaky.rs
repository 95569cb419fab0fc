//! The leaky rectifier and its derivative along a direction.

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind, unary};
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension};
use burn::tensor::Tensor;

use super::{alike, recycle, values, whole};
use crate::kernels::leaky;

pub(crate) fn leaky<const D: usize>(x: Tensor<D>, slope: f32) -> Tensor<D> {
    Tensor::from_dispatch(<Dispatch as LeakyOp>::fused_leaky(x.into_dispatch(), slope))
}

/// The tangent where y is above 0, slope times it elsewhere; y has no gradient.
pub(crate) fn leaky_along<const D: usize>(y: Tensor<D>, tangent: Tensor<D>, slope: f32) -> Tensor<D> {
    let (y, tangent) = (y.into_dispatch(), tangent.into_dispatch());
    Tensor::from_dispatch(<Dispatch as LeakyOp>::fused_leaky_along(y, tangent, slope))
}

/// The operations on a backend.
#[backend_extension(Flex, Autodiff)]
pub(crate) trait LeakyOp: Backend {
    fn fused_leaky(x: FloatTensor<Self>, slope: f32) -> FloatTensor<Self>;
    fn fused_leaky_along(y: FloatTensor<Self>, tangent: FloatTensor<Self>, slope: f32) -> FloatTensor<Self>;
}

impl LeakyOp for Flex {
    fn fused_leaky(x: FlexTensor, slope: f32) -> FlexTensor {
        let x = whole(x);
        let y = alike(&x, |y| leaky::leaky(slope, values(&x), y));
        recycle(x);
        y
    }

    fn fused_leaky_along(y: FlexTensor, tangent: FlexTensor, slope: f32) -> FlexTensor {
        let [y, tangent] = [y, tangent].map(whole);
        let out = alike(&tangent, |out| leaky::gate(slope, values(&y), values(&tangent), out));
        recycle(tangent);
        recycle(y);
        out
    }
}

impl<C: CheckpointStrategy> LeakyOp for Autodiff<Flex, C> {
    fn fused_leaky(x: FloatTensor<Self>, slope: f32) -> FloatTensor<Self> {
        let (x, guard) = x.into_parts();
        match Gate.prepare::<C>([guard]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                let y = Flex::fused_leaky(x, slope);
                prep.finish((y.clone(), slope), y)
            }
            OpsKind::UnTracked(prep) => prep.finish(Flex::fused_leaky(x, slope)),
        }
    }

    fn fused_leaky_along(y: FloatTensor<Self>, tangent: FloatTensor<Self>, slope: f32) -> FloatTensor<Self> {
        let (y, _constant) = y.into_parts();
        let (tangent, guard) = tangent.into_parts();
        match Gate.prepare::<C>([guard]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish((y.clone(), slope), Flex::fused_leaky_along(y, tangent, slope)),
            OpsKind::UnTracked(prep) => prep.finish(Flex::fused_leaky_along(y, tangent, slope)),
        }
    }
}

/// Both are linear in what is tracked, with the same gradient.
#[derive(Debug)]
struct Gate;

impl Backward<Flex, 1> for Gate {
    /// What decides by its sign, and the slope.
    type State = (FlexTensor, f32);

    fn backward(self, ops: Ops<Self::State, 1>, gradients: &mut Gradients, _checkpointer: &mut Checkpointer) {
        let (gate, slope) = ops.state;
        let gate = whole(gate);
        unary::<Flex, _>(ops.parents, ops.node, gradients, |dy| {
            let dy = whole(dy);
            let dx = alike(&dy, |dx| leaky::gate(slope, values(&gate), values(&dy), dx));
            recycle(gate);
            recycle(dy);
            dx
        });
    }
}
