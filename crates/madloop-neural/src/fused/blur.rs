//! Images of half and of twice the size by the filter \[1, 3, 3, 1\], and squares of pixels as one.

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::Tensor;

use super::{recycle, register, values, whole, written};
use crate::kernels::blur;

/// `[n, h, w, c]` -> `[n, 2 h, 2 w, c]`.
pub(crate) fn up(x: Tensor<4>) -> Tensor<4> {
    Tensor::from_dispatch(<Dispatch as BlurOp>::fused_blur_up(x.into_dispatch(), 1.0))
}

/// `[n, 2 h, 2 w, c]` -> `[n, h, w, c]`.
pub(crate) fn down(x: Tensor<4>) -> Tensor<4> {
    Tensor::from_dispatch(<Dispatch as BlurOp>::fused_blur_down(x.into_dispatch(), 1.0))
}

/// `[n, 2 h, 2 w, c]` -> `[n, h, w, 4 c]`.
pub(crate) fn fold(x: Tensor<4>) -> Tensor<4> {
    Tensor::from_dispatch(<Dispatch as BlurOp>::fused_fold(x.into_dispatch()))
}

/// `[n, h, w, 4 c]` -> `[n, 2 h, 2 w, c]`.
pub(crate) fn unfold(x: Tensor<4>) -> Tensor<4> {
    Tensor::from_dispatch(<Dispatch as BlurOp>::fused_unfold(x.into_dispatch()))
}

/// The operations on a backend; filters times a factor.
#[backend_extension(Flex, Autodiff)]
pub(crate) trait BlurOp: Backend {
    fn fused_blur_up(x: FloatTensor<Self>, factor: f32) -> FloatTensor<Self>;
    fn fused_blur_down(x: FloatTensor<Self>, factor: f32) -> FloatTensor<Self>;
    fn fused_fold(x: FloatTensor<Self>) -> FloatTensor<Self>;
    fn fused_unfold(x: FloatTensor<Self>) -> FloatTensor<Self>;
}

impl BlurOp for Flex {
    fn fused_blur_up(x: FlexTensor, factor: f32) -> FlexTensor {
        let x = whole(x);
        let [n, h, w, c] = x.shape().dims();
        let y = written([n, 2 * h, 2 * w, c], |y| blur::up([h, w, c], factor, values(&x), y));
        recycle(x);
        y
    }

    fn fused_blur_down(x: FlexTensor, factor: f32) -> FlexTensor {
        let x = whole(x);
        let [n, h, w, c] = x.shape().dims();
        let y = written([n, h / 2, w / 2, c], |y| blur::down([h / 2, w / 2, c], factor, values(&x), y));
        recycle(x);
        y
    }

    fn fused_fold(x: FlexTensor) -> FlexTensor {
        let x = whole(x);
        let [n, h, w, c] = x.shape().dims();
        let y = written([n, h / 2, w / 2, 4 * c], |y| blur::fold([h / 2, w / 2, c], values(&x), y));
        recycle(x);
        y
    }

    fn fused_unfold(x: FlexTensor) -> FlexTensor {
        let x = whole(x);
        let [n, h, w, c] = x.shape().dims();
        let y = written([n, 2 * h, 2 * w, c / 4], |y| blur::unfold([h, w, c / 4], values(&x), y));
        recycle(x);
        y
    }
}

impl<C: CheckpointStrategy> BlurOp for Autodiff<Flex, C> {
    fn fused_blur_up(x: FloatTensor<Self>, factor: f32) -> FloatTensor<Self> {
        apply::<C>(x, Resize::Up(factor))
    }

    fn fused_blur_down(x: FloatTensor<Self>, factor: f32) -> FloatTensor<Self> {
        apply::<C>(x, Resize::Down(factor))
    }

    fn fused_fold(x: FloatTensor<Self>) -> FloatTensor<Self> {
        apply::<C>(x, Resize::Fold)
    }

    fn fused_unfold(x: FloatTensor<Self>) -> FloatTensor<Self> {
        apply::<C>(x, Resize::Unfold)
    }
}

fn apply<C: CheckpointStrategy>(x: FloatTensor<Autodiff<Flex, C>>, resize: Resize) -> FloatTensor<Autodiff<Flex, C>> {
    let (x, guard) = x.into_parts();
    match Transposed.prepare::<C>([guard]).compute_bound().stateful() {
        OpsKind::Tracked(prep) => prep.finish(resize, resize.of(x)),
        OpsKind::UnTracked(prep) => prep.finish(resize.of(x)),
    }
}

/// A linear map of images.
#[derive(Debug, Clone, Copy)]
enum Resize {
    Up(f32),
    Down(f32),
    Fold,
    Unfold,
}

impl Resize {
    fn of(self, x: FlexTensor) -> FlexTensor {
        match self {
            Self::Up(factor) => Flex::fused_blur_up(x, factor),
            Self::Down(factor) => Flex::fused_blur_down(x, factor),
            Self::Fold => Flex::fused_fold(x),
            Self::Unfold => Flex::fused_unfold(x),
        }
    }

    fn transposed(self) -> Self {
        match self {
            Self::Up(factor) => Self::Down(4.0 * factor),
            Self::Down(factor) => Self::Up(factor / 4.0),
            Self::Fold => Self::Unfold,
            Self::Unfold => Self::Fold,
        }
    }
}

#[derive(Debug)]
struct Transposed;

impl Backward<Flex, 1> for Transposed {
    type State = Resize;

    fn backward(self, ops: Ops<Self::State, 1>, gradients: &mut Gradients, _checkpointer: &mut Checkpointer) {
        let back = ops.state.transposed();
        let dy = gradients.consume::<Flex>(&ops.node);
        if let [Some(of_x)] = ops.parents {
            register(gradients, of_x.id, back.of(dy));
        }
    }
}
