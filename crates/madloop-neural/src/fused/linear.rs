//! x W + b.

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::Tensor;

use super::{alike, recycle, values, whole, written};
use crate::kernels::matmul;

/// `[n, i]`, `[i, o]`, `[o]` -> `[n, o]`.
pub(crate) fn linear(x: Tensor<2>, weight: Tensor<2>, bias: Tensor<1>) -> Tensor<2> {
    let (x, weight, bias) = (x.into_dispatch(), weight.into_dispatch(), bias.into_dispatch());
    Tensor::from_dispatch(<Dispatch as LinearOp>::fused_linear(x, weight, bias))
}

/// The operation on a backend.
#[backend_extension(Flex, Autodiff)]
pub(crate) trait LinearOp: Backend {
    fn fused_linear(x: FloatTensor<Self>, weight: FloatTensor<Self>, bias: FloatTensor<Self>) -> FloatTensor<Self>;
}

impl LinearOp for Flex {
    fn fused_linear(x: FlexTensor, weight: FlexTensor, bias: FlexTensor) -> FlexTensor {
        let [x, weight, bias] = [x, weight, bias].map(whole);
        let ([n, _], size) = (x.shape().dims(), weight.shape().dims());
        let y = written([n, size[1]], |y| matmul::linear(values(&x), values(&weight), Some(values(&bias)), size, y));
        recycle(x);
        y
    }
}

impl<C: CheckpointStrategy> LinearOp for Autodiff<Flex, C> {
    fn fused_linear(x: FloatTensor<Self>, weight: FloatTensor<Self>, bias: FloatTensor<Self>) -> FloatTensor<Self> {
        let [(x, of_x), (weight, of_weight), (bias, of_bias)] = [x, weight, bias].map(|tensor| tensor.into_parts());
        match Linear.prepare::<C>([of_x, of_weight, of_bias]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish([x.clone(), weight.clone()], Flex::fused_linear(x, weight, bias)),
            OpsKind::UnTracked(prep) => prep.finish(Flex::fused_linear(x, weight, bias)),
        }
    }
}

#[derive(Debug)]
struct Linear;

impl Backward<Flex, 3> for Linear {
    /// x and the weight.
    type State = [FlexTensor; 2];

    fn backward(self, ops: Ops<Self::State, 3>, gradients: &mut Gradients, _checkpointer: &mut Checkpointer) {
        let dy = whole(gradients.consume::<Flex>(&ops.node));
        let [x, weight] = ops.state.map(whole);
        let size: [usize; 2] = weight.shape().dims();
        let [of_x, of_weight, of_bias] = ops.parents;
        if of_weight.is_some() || of_bias.is_some() {
            let mut db = vec![0.0; size[1]];
            let dw = alike(&weight, |dw| {
                matmul::linear_weight_gradient(values(&x), values(&dy), size, dw, Some(&mut db));
            });
            if let Some(of) = of_weight {
                gradients.register::<Flex>(of.id, dw);
            }
            if let Some(of) = of_bias {
                gradients.register::<Flex>(of.id, written([size[1]], |out| out.copy_from_slice(&db)));
            }
        }
        if let Some(of) = of_x {
            let dx = alike(&x, |dx| matmul::linear_input_gradient(values(&dy), values(&weight), size, dx));
            gradients.register::<Flex>(of.id, dx);
        }
        recycle(x);
        recycle(dy);
    }
}
