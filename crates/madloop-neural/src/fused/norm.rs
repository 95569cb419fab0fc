//! SiLU after group normalisation, alone or added onto another tensor.

use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::Tensor;

use super::{alike, recycle, values, whole, written};
use crate::kernels::norm::{self, GroupNorm};

/// Keeps a group's variance away from 0.
pub(crate) const EPS: f32 = 1e-5;

/// `[n, h, w, c]`, `[c]`, `[c]`.
pub(crate) fn group_norm_silu(x: Tensor<4>, gain: Tensor<1>, bias: Tensor<1>, groups: usize) -> Tensor<4> {
    let (x, gain, bias) = (x.into_dispatch(), gain.into_dispatch(), bias.into_dispatch());
    Tensor::from_dispatch(<Dispatch as NormOp>::fused_group_norm_silu(x, gain, bias, groups))
}

/// [`group_norm_silu`] plus `other`, of the shape of x.
pub(crate) fn group_norm_silu_onto(
    other: Tensor<4>,
    x: Tensor<4>,
    gain: Tensor<1>,
    bias: Tensor<1>,
    groups: usize,
) -> Tensor<4> {
    let (other, x) = (other.into_dispatch(), x.into_dispatch());
    let (gain, bias) = (gain.into_dispatch(), bias.into_dispatch());
    Tensor::from_dispatch(<Dispatch as NormOp>::fused_group_norm_silu_onto(other, x, gain, bias, groups))
}

/// The operations on a backend.
#[backend_extension(Flex, Autodiff)]
pub(crate) trait NormOp: Backend {
    fn fused_group_norm_silu(
        x: FloatTensor<Self>,
        gain: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        groups: usize,
    ) -> FloatTensor<Self>;
    fn fused_group_norm_silu_onto(
        other: FloatTensor<Self>,
        x: FloatTensor<Self>,
        gain: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        groups: usize,
    ) -> FloatTensor<Self>;
}

impl NormOp for Flex {
    fn fused_group_norm_silu(x: FlexTensor, gain: FlexTensor, bias: FlexTensor, groups: usize) -> FlexTensor {
        untracked(forward([x, gain, bias], None, groups))
    }

    fn fused_group_norm_silu_onto(
        other: FlexTensor,
        x: FlexTensor,
        gain: FlexTensor,
        bias: FlexTensor,
        groups: usize,
    ) -> FlexTensor {
        untracked(forward([x, gain, bias], Some(other), groups))
    }
}

impl<C: CheckpointStrategy> NormOp for Autodiff<Flex, C> {
    fn fused_group_norm_silu(
        x: FloatTensor<Self>,
        gain: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        groups: usize,
    ) -> FloatTensor<Self> {
        let [(x, of_x), (gain, of_gain), (bias, of_bias)] = [x, gain, bias].map(|tensor| tensor.into_parts());
        let (y, state) = forward([x, gain, bias], None, groups);
        match Norm.prepare::<C>([of_x, of_gain, of_bias]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish(state, y),
            OpsKind::UnTracked(prep) => prep.finish(untracked((y, state))),
        }
    }

    fn fused_group_norm_silu_onto(
        other: FloatTensor<Self>,
        x: FloatTensor<Self>,
        gain: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        groups: usize,
    ) -> FloatTensor<Self> {
        let [(other, of_other), (x, of_x), (gain, of_gain), (bias, of_bias)] =
            [other, x, gain, bias].map(|tensor| tensor.into_parts());
        let (y, state) = forward([x, gain, bias], Some(other), groups);
        match Norm.prepare::<C>([of_x, of_gain, of_bias, of_other]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish(state, y),
            OpsKind::UnTracked(prep) => prep.finish(untracked((y, state))),
        }
    }
}

/// What the gradients need.
#[derive(Debug, Clone)]
struct State {
    size: GroupNorm,
    /// x, gain and bias.
    inputs: [FlexTensor; 3],
    /// Of each group of each image.
    mean: Vec<f32>,
    rstd: Vec<f32>,
}

fn forward(inputs: [FlexTensor; 3], other: Option<FlexTensor>, groups: usize) -> (FlexTensor, State) {
    let [batch, height, width, channels] = inputs[0].shape().dims();
    let size = GroupNorm { batch, pixels: height * width, channels, groups, epsilon: EPS, silu: true };
    let inputs = inputs.map(whole);
    let other = other.map(whole);
    let (mut mean, mut rstd) = (vec![0.0; batch * groups], vec![0.0; batch * groups]);
    let [x, gain, bias] = inputs.each_ref().map(values);
    let y = alike(&inputs[0], |y| {
        norm::forward(&size, x, gain, bias, other.as_ref().map(values), y, &mut mean, &mut rstd);
    });
    if let Some(other) = other {
        recycle(other);
    }
    (y, State { size, inputs, mean, rstd })
}

/// The output where no gradient is wanted.
fn untracked((y, state): (FlexTensor, State)) -> FlexTensor {
    let [x, ..] = state.inputs;
    recycle(x);
    y
}

impl State {
    /// Registers the gradients of x, gain and bias that are wanted.
    fn backward(self, dy: &FlexTensor, of: [Option<NodeId>; 3], gradients: &mut Gradients) {
        if of.iter().all(Option::is_none) {
            return;
        }
        let Self { size, inputs, mean, rstd } = &self;
        let [x, gain, bias] = inputs.each_ref().map(values);
        let (mut dgain, mut dbias) = (vec![0.0; size.channels], vec![0.0; size.channels]);
        let dx = alike(&inputs[0], |dx| {
            norm::backward(size, x, gain, bias, mean, rstd, values(dy), dx, &mut dgain, &mut dbias);
        });
        let line = |values: &[f32]| written([values.len()], |out| out.copy_from_slice(values));
        for (of, gradient) in of.into_iter().zip([dx, line(&dgain), line(&dbias)]) {
            if let Some(of) = of {
                gradients.register::<Flex>(of, gradient);
            }
        }
        let [x, ..] = self.inputs;
        recycle(x);
    }
}

#[derive(Debug)]
struct Norm;

impl Backward<Flex, 3> for Norm {
    type State = State;

    fn backward(self, ops: Ops<State, 3>, gradients: &mut Gradients, _checkpointer: &mut Checkpointer) {
        let dy = whole(gradients.consume::<Flex>(&ops.node));
        ops.state.backward(&dy, ops.parents.map(|parent| parent.map(|parent| parent.id)), gradients);
        recycle(dy);
    }
}

impl Backward<Flex, 4> for Norm {
    type State = State;

    fn backward(self, ops: Ops<State, 4>, gradients: &mut Gradients, _checkpointer: &mut Checkpointer) {
        let dy = whole(gradients.consume::<Flex>(&ops.node));
        let [of_x, of_gain, of_bias, of_other] = ops.parents.map(|parent| parent.map(|parent| parent.id));
        ops.state.backward(&dy, [of_x, of_gain, of_bias], gradients);
        match of_other {
            Some(of) => gradients.register::<Flex>(of, dy),
            None => recycle(dy),
        }
    }
}
