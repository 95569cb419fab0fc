//! Images side by side in their channels.

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::Tensor;

use super::{recycle, values, whole, written};
use crate::kernels::join;

/// `[n, h, w, c]`, `[n, h, w, d]` -> `[n, h, w, c + d]`.
pub(crate) fn join(a: Tensor<4>, b: Tensor<4>) -> Tensor<4> {
    Tensor::from_dispatch(<Dispatch as JoinOp>::fused_join(a.into_dispatch(), b.into_dispatch()))
}

/// The operation on a backend.
#[backend_extension(Flex, Autodiff)]
pub(crate) trait JoinOp: Backend {
    fn fused_join(a: FloatTensor<Self>, b: FloatTensor<Self>) -> FloatTensor<Self>;
}

impl JoinOp for Flex {
    fn fused_join(a: FlexTensor, b: FlexTensor) -> FlexTensor {
        let [a, b] = [a, b].map(whole);
        let ([n, h, w, c_a], [.., c_b]) = (a.shape().dims(), b.shape().dims::<4>());
        let y = written([n, h, w, c_a + c_b], |y| join::join([c_a, c_b], values(&a), values(&b), y));
        recycle(a);
        recycle(b);
        y
    }
}

impl<C: CheckpointStrategy> JoinOp for Autodiff<Flex, C> {
    fn fused_join(a: FloatTensor<Self>, b: FloatTensor<Self>) -> FloatTensor<Self> {
        let [(a, of_a), (b, of_b)] = [a, b].map(|tensor| tensor.into_parts());
        match Join.prepare::<C>([of_a, of_b]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish([a.shape().dims(), b.shape().dims()], Flex::fused_join(a, b)),
            OpsKind::UnTracked(prep) => prep.finish(Flex::fused_join(a, b)),
        }
    }
}

#[derive(Debug)]
struct Join;

impl Backward<Flex, 2> for Join {
    /// The shapes of a and b.
    type State = [[usize; 4]; 2];

    fn backward(self, ops: Ops<Self::State, 2>, gradients: &mut Gradients, _checkpointer: &mut Checkpointer) {
        let dy = whole(gradients.consume::<Flex>(&ops.node));
        let [a, b] = ops.state;
        let mut second = None;
        let first = written(a, |da| {
            second = Some(written(b, |db| join::split([a[3], b[3]], values(&dy), da, db)));
        });
        recycle(dy);
        for (parent, gradient) in ops.parents.into_iter().zip([Some(first), second]) {
            if let (Some(parent), Some(gradient)) = (parent, gradient) {
                gradients.register::<Flex>(parent.id, gradient);
            }
        }
    }
}
