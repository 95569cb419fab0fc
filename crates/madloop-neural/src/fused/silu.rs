//! x s(x), s the logistic function.

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind, unary};
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension};
use burn::tensor::Tensor;

use super::{alike, recycle, values, whole};
use crate::kernels::exp::{silu_gradient, silu_of};

pub(crate) fn silu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    Tensor::from_dispatch(<Dispatch as SiluOp>::fused_silu(x.into_dispatch()))
}

/// The operation on a backend.
#[backend_extension(Flex, Autodiff)]
pub(crate) trait SiluOp: Backend {
    fn fused_silu(x: FloatTensor<Self>) -> FloatTensor<Self>;
}

impl SiluOp for Flex {
    fn fused_silu(x: FlexTensor) -> FlexTensor {
        let x = whole(x);
        let y = alike(&x, |y| silu_of(values(&x), y));
        recycle(x);
        y
    }
}

impl<C: CheckpointStrategy> SiluOp for Autodiff<Flex, C> {
    fn fused_silu(x: FloatTensor<Self>) -> FloatTensor<Self> {
        let (x, guard) = x.into_parts();
        match Silu.prepare::<C>([guard]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish(x.clone(), Flex::fused_silu(x)),
            OpsKind::UnTracked(prep) => prep.finish(Flex::fused_silu(x)),
        }
    }
}

#[derive(Debug)]
struct Silu;

impl Backward<Flex, 1> for Silu {
    /// x.
    type State = FlexTensor;

    fn backward(self, ops: Ops<Self::State, 1>, gradients: &mut Gradients, _checkpointer: &mut Checkpointer) {
        let x = whole(ops.state);
        unary::<Flex, _>(ops.parents, ops.node, gradients, |dy| {
            let dy = whole(dy);
            let dx = alike(&x, |dx| silu_gradient(values(&x), values(&dy), dx));
            recycle(x);
            recycle(dy);
            dx
        });
    }
}
