//! Each pixel four times.

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind, unary};
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::Tensor;

use super::{recycle, values, whole, written};
use crate::kernels::resample::{double, double_gradient};

/// `[n, h, w, c]` -> `[n, 2 h, 2 w, c]`.
pub(crate) fn upsample(x: Tensor<4>) -> Tensor<4> {
    Tensor::from_dispatch(<Dispatch as UpsampleOp>::fused_upsample(x.into_dispatch()))
}

/// The operation on a backend.
#[backend_extension(Flex, Autodiff)]
pub(crate) trait UpsampleOp: Backend {
    fn fused_upsample(x: FloatTensor<Self>) -> FloatTensor<Self>;
}

impl UpsampleOp for Flex {
    fn fused_upsample(x: FlexTensor) -> FlexTensor {
        let x = whole(x);
        let [n, h, w, c] = x.shape().dims();
        let y = written([n, 2 * h, 2 * w, c], |y| double([h, w, c], values(&x), y));
        recycle(x);
        y
    }
}

impl<C: CheckpointStrategy> UpsampleOp for Autodiff<Flex, C> {
    fn fused_upsample(x: FloatTensor<Self>) -> FloatTensor<Self> {
        let (x, guard) = x.into_parts();
        match Upsample.prepare::<C>([guard]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish(x.shape().dims(), Flex::fused_upsample(x)),
            OpsKind::UnTracked(prep) => prep.finish(Flex::fused_upsample(x)),
        }
    }
}

#[derive(Debug)]
struct Upsample;

impl Backward<Flex, 1> for Upsample {
    /// The shape of x.
    type State = [usize; 4];

    fn backward(self, ops: Ops<Self::State, 1>, gradients: &mut Gradients, _checkpointer: &mut Checkpointer) {
        let [n, h, w, c] = ops.state;
        unary::<Flex, _>(ops.parents, ops.node, gradients, |dy| {
            let dy = whole(dy);
            let dx = written([n, h, w, c], |dx| double_gradient([h, w, c], values(&dy), dx));
            recycle(dy);
            dx
        });
    }
}
