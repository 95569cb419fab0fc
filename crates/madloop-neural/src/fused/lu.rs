//! Invertible matrices from their factors.

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind, unary};
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::Tensor;

use super::{alike, values, whole};
use crate::kernels::lu;

/// `[c, c]` -> `[c, c]`.
pub(crate) fn lu_matrix(a: Tensor<2>) -> Tensor<2> {
    Tensor::from_dispatch(<Dispatch as LuOp>::fused_lu(a.into_dispatch()))
}

/// The operation on a backend.
#[backend_extension(Flex, Autodiff)]
pub(crate) trait LuOp: Backend {
    fn fused_lu(a: FloatTensor<Self>) -> FloatTensor<Self>;
}

fn side(a: &FlexTensor) -> usize {
    let [c, _] = a.shape().dims();
    c
}

impl LuOp for Flex {
    fn fused_lu(a: FlexTensor) -> FlexTensor {
        let a = whole(a);
        alike(&a, |w| lu::product(values(&a), side(&a), w))
    }
}

impl<C: CheckpointStrategy> LuOp for Autodiff<Flex, C> {
    fn fused_lu(a: FloatTensor<Self>) -> FloatTensor<Self> {
        let (a, guard) = a.into_parts();
        match Lu.prepare::<C>([guard]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish(a.clone(), Flex::fused_lu(a)),
            OpsKind::UnTracked(prep) => prep.finish(Flex::fused_lu(a)),
        }
    }
}

#[derive(Debug)]
struct Lu;

impl Backward<Flex, 1> for Lu {
    /// The parameters.
    type State = FlexTensor;

    fn backward(self, ops: Ops<Self::State, 1>, gradients: &mut Gradients, _checkpointer: &mut Checkpointer) {
        let a = whole(ops.state);
        unary::<Flex, _>(ops.parents, ops.node, gradients, |dw| {
            let dw = whole(dw);
            alike(&a, |da| lu::gradient(values(&a), side(&a), values(&dw), da))
        });
    }
}
