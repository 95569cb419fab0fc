//! Convolution, alone or added onto another tensor.

use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::Tensor;

use super::{alike, recycle, register, values, whole, written};
use crate::kernels::conv::{self, Conv2d, Onto};

/// `[n, h, w, i]`, `[k, k, i, o]`, `[o]` -> `[n, ceil(h / stride), ceil(w / stride), o]`, k odd, with a zero border.
pub(crate) fn conv2d(x: Tensor<4>, weight: Tensor<4>, bias: Tensor<1>, stride: usize) -> Tensor<4> {
    let (x, weight, bias) = (x.into_dispatch(), weight.into_dispatch(), bias.into_dispatch());
    Tensor::from_dispatch(<Dispatch as ConvOp>::fused_conv2d(x, weight, bias, stride))
}

/// [`conv2d`] plus `other`, of its shape.
pub(crate) fn conv2d_onto(
    other: Tensor<4>,
    x: Tensor<4>,
    weight: Tensor<4>,
    bias: Tensor<1>,
    stride: usize,
) -> Tensor<4> {
    let (other, x) = (other.into_dispatch(), x.into_dispatch());
    let (weight, bias) = (weight.into_dispatch(), bias.into_dispatch());
    Tensor::from_dispatch(<Dispatch as ConvOp>::fused_conv2d_onto(other, x, weight, bias, stride))
}

/// The operations on a backend.
#[backend_extension(Flex, Autodiff)]
pub(crate) trait ConvOp: Backend {
    fn fused_conv2d(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        stride: usize,
    ) -> FloatTensor<Self>;
    fn fused_conv2d_onto(
        other: FloatTensor<Self>,
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        stride: usize,
    ) -> FloatTensor<Self>;
}

impl ConvOp for Flex {
    fn fused_conv2d(x: FlexTensor, weight: FlexTensor, bias: FlexTensor, stride: usize) -> FlexTensor {
        let shape = shape_of(&x, &weight, stride);
        let [x, weight, bias] = [x, weight, bias].map(whole);
        let y = written(out_of(&shape), |y| {
            conv::forward(&shape, values(&x), values(&weight), Some(values(&bias)), Onto::Nothing, y);
        });
        recycle(x);
        y
    }

    fn fused_conv2d_onto(
        other: FlexTensor,
        x: FlexTensor,
        weight: FlexTensor,
        bias: FlexTensor,
        stride: usize,
    ) -> FlexTensor {
        let shape = shape_of(&x, &weight, stride);
        let [mut other, x, weight, bias] = [other, x, weight, bias].map(whole);
        let run = |onto: Onto<'_>, y: &mut [f32]| {
            conv::forward(&shape, values(&x), values(&weight), Some(values(&bias)), onto, y);
        };
        // In place where nobody else reads the other.
        let fits = values(&other).len() == shape.out_len() && other.bytes().len() == 4 * shape.out_len();
        if fits && let Some(y) = other.try_storage_mut::<f32>() {
            run(Onto::Itself, y);
            recycle(x);
            return other;
        }
        let y = written(out_of(&shape), |y| run(Onto::Values(values(&other)), y));
        recycle(x);
        y
    }
}

impl<C: CheckpointStrategy> ConvOp for Autodiff<Flex, C> {
    fn fused_conv2d(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        stride: usize,
    ) -> FloatTensor<Self> {
        let [(x, of_x), (weight, of_weight), (bias, of_bias)] = [x, weight, bias].map(|tensor| tensor.into_parts());
        match Conv.prepare::<C>([of_x, of_weight, of_bias]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                let state = State { x: x.clone(), weight: weight.clone(), stride };
                prep.finish(state, Flex::fused_conv2d(x, weight, bias, stride))
            }
            OpsKind::UnTracked(prep) => prep.finish(Flex::fused_conv2d(x, weight, bias, stride)),
        }
    }

    fn fused_conv2d_onto(
        other: FloatTensor<Self>,
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        stride: usize,
    ) -> FloatTensor<Self> {
        let [(other, of_other), (x, of_x), (weight, of_weight), (bias, of_bias)] =
            [other, x, weight, bias].map(|tensor| tensor.into_parts());
        match Conv.prepare::<C>([of_x, of_weight, of_bias, of_other]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                let state = State { x: x.clone(), weight: weight.clone(), stride };
                prep.finish(state, Flex::fused_conv2d_onto(other, x, weight, bias, stride))
            }
            OpsKind::UnTracked(prep) => prep.finish(Flex::fused_conv2d_onto(other, x, weight, bias, stride)),
        }
    }
}

#[derive(Debug)]
struct Conv;

/// What the gradients need.
#[derive(Debug, Clone)]
struct State {
    x: FlexTensor,
    weight: FlexTensor,
    stride: usize,
}

impl State {
    /// Registers the gradients of x, weight and bias that are wanted.
    fn backward(self, dy: &FlexTensor, [of_x, of_weight, of_bias]: [Option<NodeId>; 3], gradients: &mut Gradients) {
        let shape = shape_of(&self.x, &self.weight, self.stride);
        let [x, weight] = [self.x, self.weight].map(whole);
        if of_weight.is_some() || of_bias.is_some() {
            let mut db = vec![0.0; shape.c_out];
            let dw = alike(&weight, |dw| {
                conv::weight_gradient(&shape, values(&x), values(dy), dw, Some(&mut db));
            });
            if let Some(of) = of_weight {
                gradients.register::<Flex>(of, dw);
            }
            if let Some(of) = of_bias {
                gradients.register::<Flex>(of, written([shape.c_out], |out| out.copy_from_slice(&db)));
            }
        }
        if let Some(of) = of_x {
            let dx = alike(&x, |dx| conv::input_gradient(&shape, values(dy), values(&weight), Onto::Nothing, dx));
            register(gradients, of, dx);
        }
        recycle(x);
    }
}

impl Backward<Flex, 3> for Conv {
    type State = State;

    fn backward(self, ops: Ops<State, 3>, gradients: &mut Gradients, _checkpointer: &mut Checkpointer) {
        let dy = whole(gradients.consume::<Flex>(&ops.node));
        ops.state.backward(&dy, ops.parents.map(|parent| parent.map(|parent| parent.id)), gradients);
        recycle(dy);
    }
}

impl Backward<Flex, 4> for Conv {
    type State = State;

    fn backward(self, ops: Ops<State, 4>, gradients: &mut Gradients, _checkpointer: &mut Checkpointer) {
        let dy = whole(gradients.consume::<Flex>(&ops.node));
        let [of_x, of_weight, of_bias, of_other] = ops.parents.map(|parent| parent.map(|parent| parent.id));
        ops.state.backward(&dy, [of_x, of_weight, of_bias], gradients);
        match of_other {
            Some(of) => register(gradients, of, dy),
            None => recycle(dy),
        }
    }
}

fn shape_of(x: &FlexTensor, weight: &FlexTensor, stride: usize) -> Conv2d {
    let ([n, h, w, _], [kernel, _, i, o]) = (x.shape().dims(), weight.shape().dims());
    Conv2d::same(n, [h, w], [i, o], kernel, stride)
}

fn out_of(shape: &Conv2d) -> [usize; 4] {
    let [h, w] = shape.out_size();
    [shape.batch, h, w, shape.c_out]
}
