//! Operations with kernels of our own on the CPU, forward and backward, as extensions of the tensor library.
//!
//! An operation is: a pair of functions on slices; a method of [`Kernels`] for each, which takes tensors apart and puts them
//! together; a method of [`FusedOps`], which the library routes to the backend of its tensors, and whose `Autodiff`
//! implementation records the backward pass; and a function on [`Tensor`]s for the networks, which composes the library's own
//! operations on every other device.

mod adam;
mod norm;
mod silu;

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind, unary};
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::{Device, Tensor, TensorData};

use crate::{Error, Result};

pub(crate) use adam::Update;
pub(crate) use norm::EPS as NORM_EPS;

/// x s(x), s the logistic function; `None` on a device without the kernel.
pub(crate) fn silu<const D: usize>(x: &Tensor<D>) -> Option<Tensor<D>> {
    on_cpu(x).then(|| Tensor::from_dispatch(<Dispatch as FusedOps>::fused_silu(x.clone().into_dispatch())))
}

/// SiLU after group normalisation: `[n, h, w, c]`, `[c]`, `[c]`; `None` on a device without the kernel.
pub(crate) fn group_norm_silu(x: &Tensor<4>, gain: &Tensor<1>, bias: &Tensor<1>, groups: usize) -> Option<Tensor<4>> {
    let apply = || {
        let [x, gain, bias] = [x.clone().into_dispatch(), gain.clone().into_dispatch(), bias.clone().into_dispatch()];
        Tensor::from_dispatch(<Dispatch as FusedOps>::fused_group_norm_silu(x, gain, bias, groups))
    };
    on_cpu(x).then(apply)
}

/// One step of Adam in place: weights, first and second moment, average, and the gradient, `[n]` each, all on the CPU.
pub(crate) fn adam(by: Update, state: [Tensor<1>; 4], gradient: Tensor<1>) -> Result<[Tensor<1>; 4]> {
    // The library hands a buffer over without a copy where nobody else has it.
    let [mut weights, mut first, mut second, mut average] = state.map(Tensor::into_data);
    let gradient = gradient.into_data();
    adam::update(
        by,
        adam::Slices {
            weights: weights.as_mut_slice().map_err(unreadable)?,
            first: first.as_mut_slice().map_err(unreadable)?,
            second: second.as_mut_slice().map_err(unreadable)?,
            average: average.as_mut_slice().map_err(unreadable)?,
            gradient: gradient.as_slice().map_err(unreadable)?,
        },
    );
    Ok([weights, first, second, average].map(|data| Tensor::from_data(data, &Device::flex())))
}

fn unreadable(error: impl std::fmt::Debug) -> Error {
    Error::Device { what: "reading the optimiser's state", why: format!("{error:?}") }
}

/// The extension panics on other devices than those that it names, so this is asked before.
pub(crate) fn on_cpu<const D: usize>(x: &Tensor<D>) -> bool {
    x.device() == Device::flex()
}

/// The kernels of a backend.
pub(crate) trait Kernels: Backend {
    fn silu(x: FloatTensor<Self>) -> FloatTensor<Self>;
    fn silu_backward(x: FloatTensor<Self>, gradient: FloatTensor<Self>) -> FloatTensor<Self>;
    fn group_norm_silu(inputs: [FloatTensor<Self>; 3], groups: usize) -> FloatTensor<Self>;
    /// Gradients of the three inputs.
    fn group_norm_silu_backward(
        inputs: [FloatTensor<Self>; 3],
        groups: usize,
        gradient: FloatTensor<Self>,
    ) -> [FloatTensor<Self>; 3];
}

impl Kernels for Flex {
    fn silu(x: FlexTensor) -> FlexTensor {
        map(&x, silu::forward)
    }

    fn silu_backward(x: FlexTensor, gradient: FlexTensor) -> FlexTensor {
        let gradient = whole(&gradient);
        map(&x, |x, out| silu::backward(x, values(&gradient), out))
    }

    fn group_norm_silu(inputs: [FlexTensor; 3], groups: usize) -> FlexTensor {
        let size = image_size(&inputs[0], groups);
        let [x, gain, bias] = inputs.map(|input| whole(&input));
        map(&x, |x, y| norm::forward(size, x, values(&gain), values(&bias), y))
    }

    fn group_norm_silu_backward(inputs: [FlexTensor; 3], groups: usize, gradient: FlexTensor) -> [FlexTensor; 3] {
        let size = image_size(&inputs[0], groups);
        let shapes = inputs.each_ref().map(TensorMetadata::shape);
        let [x, gain, bias] = inputs.map(|input| whole(&input));
        let gradient = whole(&gradient);
        let all = norm::backward(size, values(&x), values(&gain), values(&bias), values(&gradient));
        let mut shapes = shapes.into_iter();
        all.map(|values| {
            let length = values.len();
            let shape = shapes.next().unwrap_or_else(|| [length].into());
            FlexTensor::from_data(TensorData::new(values, shape))
        })
    }
}

/// Operations that the networks call, on any backend that has [`Kernels`], recorded for the backward pass where asked.
#[backend_extension(Flex, Autodiff)]
pub(crate) trait FusedOps: Backend {
    fn fused_silu(x: FloatTensor<Self>) -> FloatTensor<Self>;
    fn fused_group_norm_silu(
        x: FloatTensor<Self>,
        gain: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        groups: usize,
    ) -> FloatTensor<Self>;
}

impl FusedOps for Flex {
    fn fused_silu(x: FlexTensor) -> FlexTensor {
        <Self as Kernels>::silu(x)
    }

    fn fused_group_norm_silu(x: FlexTensor, gain: FlexTensor, bias: FlexTensor, groups: usize) -> FlexTensor {
        <Self as Kernels>::group_norm_silu([x, gain, bias], groups)
    }
}

impl<B: Kernels, C: CheckpointStrategy> FusedOps for Autodiff<B, C> {
    fn fused_silu(x: FloatTensor<Self>) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct Silu;

        impl<B: Kernels> Backward<B, 1> for Silu {
            type State = FloatTensor<B>;

            fn backward(self, ops: Ops<Self::State, 1>, gradients: &mut Gradients, _checkpointer: &mut Checkpointer) {
                let x = ops.state;
                unary::<B, _>(ops.parents, ops.node, gradients, |gradient| B::silu_backward(x, gradient));
            }
        }

        let (x, guard) = x.into_parts();
        match Silu.prepare::<C>([guard]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish(x.clone(), B::silu(x)),
            OpsKind::UnTracked(prep) => prep.finish(B::silu(x)),
        }
    }

    fn fused_group_norm_silu(
        x: FloatTensor<Self>,
        gain: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        groups: usize,
    ) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct GroupNormSilu;

        impl<B: Kernels> Backward<B, 3> for GroupNormSilu {
            type State = ([FloatTensor<B>; 3], usize);

            fn backward(self, ops: Ops<Self::State, 3>, gradients: &mut Gradients, _checkpointer: &mut Checkpointer) {
                let (inputs, groups) = ops.state;
                let gradient = gradients.consume::<B>(&ops.node);
                let all = B::group_norm_silu_backward(inputs, groups, gradient);
                // Parents that need no gradient are none.
                for (parent, gradient) in ops.parents.into_iter().zip(all) {
                    if let Some(parent) = parent {
                        gradients.register::<B>(parent.id, gradient);
                    }
                }
            }
        }

        let guards = [x.node(), gain.node(), bias.node()];
        let inputs = [x.into_primitive(), gain.into_primitive(), bias.into_primitive()];
        match GroupNormSilu.prepare::<C>(guards).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                let output = B::group_norm_silu(inputs.clone(), groups);
                prep.finish((inputs, groups), output)
            }
            OpsKind::UnTracked(prep) => prep.finish(B::group_norm_silu(inputs, groups)),
        }
    }
}

/// The size of images `[n, h, w, c]`.
fn image_size(x: &FlexTensor, groups: usize) -> norm::Size {
    let [_, height, width, channels] = x.shape().dims();
    norm::Size { pixels: height * width, channels, groups }
}

/// A tensor whose values lie in order, copied where they do not.
fn whole(x: &FlexTensor) -> FlexTensor {
    x.to_contiguous()
}

/// Values of a [`whole`] tensor; empty for another type than f32, which the networks never use.
fn values(x: &FlexTensor) -> &[f32] {
    x.as_slice().unwrap_or(&[])
}

/// A tensor of the shape of x, written by a kernel.
fn map(x: &FlexTensor, kernel: impl FnOnce(&[f32], &mut [f32])) -> FlexTensor {
    let x = whole(x);
    let mut out = vec![0.0_f32; values(&x).len()];
    kernel(values(&x), &mut out);
    FlexTensor::from_data(TensorData::new(out, x.shape()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::activation::sigmoid;

    #[test]
    fn the_extension_is_the_composed_operation_in_value_and_gradient() {
        let values: Vec<f32> = (0..10_000).map(|at| (at as f32 * 0.7).sin() * 20.0).collect();
        // Transposed, so that the values do not lie in order.
        let x = Tensor::<2>::from_data(TensorData::new(values, [100, 100]), &Device::flex()).transpose();
        let run = |apply: &dyn Fn(Tensor<2>) -> Tensor<2>| {
            let x = x.clone().autodiff().require_grad();
            let y = apply(x.clone());
            let gradients = (y.clone() * x.clone()).sum().backward();
            let gradient = x.grad(&gradients).expect("x is a leaf");
            [y.without_autodiff(), gradient].map(|t| t.into_data().iter::<f64>().collect::<Vec<_>>())
        };
        let ours = run(&|x| silu(&x).expect("on the CPU"));
        let theirs = run(&|x| x.clone() * sigmoid(x));
        for (ours, theirs) in ours.iter().flatten().zip(theirs.iter().flatten()) {
            assert!((ours - theirs).abs() <= 1e-5 * theirs.abs().max(1.0), "{ours} for {theirs}");
        }
        let plain = silu(&x).expect("on the CPU").into_data().iter::<f64>().collect::<Vec<_>>();
        assert_eq!(plain, ours[0]);
    }
}
