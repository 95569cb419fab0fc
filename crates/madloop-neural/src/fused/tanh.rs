//! The hyperbolic tangent.

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind, unary};
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension};
use burn::tensor::Tensor;

use super::{alike, recycle, values, whole};
use crate::kernels::exp::{tanh_gradient, tanh_of};

pub(crate) fn tanh<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    Tensor::from_dispatch(<Dispatch as TanhOp>::fused_tanh(x.into_dispatch()))
}

/// The operation on a backend.
#[backend_extension(Flex, Autodiff)]
pub(crate) trait TanhOp: Backend {
    fn fused_tanh(x: FloatTensor<Self>) -> FloatTensor<Self>;
}

impl TanhOp for Flex {
    fn fused_tanh(x: FlexTensor) -> FlexTensor {
        let x = whole(x);
        let y = alike(&x, |y| tanh_of(values(&x), y));
        recycle(x);
        y
    }
}

impl<C: CheckpointStrategy> TanhOp for Autodiff<Flex, C> {
    fn fused_tanh(x: FloatTensor<Self>) -> FloatTensor<Self> {
        let (x, guard) = x.into_parts();
        match Tanh.prepare::<C>([guard]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                let y = Flex::fused_tanh(x);
                prep.finish(y.clone(), y)
            }
            OpsKind::UnTracked(prep) => prep.finish(Flex::fused_tanh(x)),
        }
    }
}

#[derive(Debug)]
struct Tanh;

impl Backward<Flex, 1> for Tanh {
    /// The output.
    type State = FlexTensor;

    fn backward(self, ops: Ops<Self::State, 1>, gradients: &mut Gradients, _checkpointer: &mut Checkpointer) {
        let y = whole(ops.state);
        unary::<Flex, _>(ops.parents, ops.node, gradients, |dy| {
            let dy = whole(dy);
            let dx = alike(&y, |dx| tanh_gradient(values(&y), values(&dy), dx));
            recycle(y);
            recycle(dy);
            dx
        });
    }
}
