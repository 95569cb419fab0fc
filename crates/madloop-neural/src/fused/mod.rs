//! The CPU kernels as operations of the tensor library, forward and backward.
//!
//! Each file is an operation: a trait whose calls the library routes to the backend of its tensors, implemented for the CPU and, with a
//! backward pass that computes the gradients that are wanted and no other, for its automatic differentiation; and a function on
//! [`Tensor`]s for `ops.rs`, which asks [`on_cpu`] before, because other devices have no such backend.

pub(crate) mod adam;
pub(crate) mod blur;
pub(crate) mod conv;
pub(crate) mod coupling;
pub(crate) mod join;
pub(crate) mod leaky;
pub(crate) mod linear;
pub(crate) mod lu;
pub(crate) mod norm;
mod pool;
pub(crate) mod silu;
pub(crate) mod style;
pub(crate) mod tanh;
pub(crate) mod upsample;

use pool::recycle;

use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::flex::FlexTensor;
use burn::backend::{Flex, TensorMetadata};
use burn::tensor::{Device, Shape, Tensor, TensorData};

/// Whether a tensor is where the kernels are.
pub(crate) fn on_cpu<const D: usize>(x: &Tensor<D>) -> bool {
    x.device() == Device::flex()
}

/// A tensor whose values lie in order, copied where they do not.
fn whole(x: FlexTensor) -> FlexTensor {
    if x.as_slice::<f32>().is_some() { x } else { x.to_contiguous() }
}

/// Values of a [`whole`] tensor; empty for another type than f32, which the networks never use.
fn values(x: &FlexTensor) -> &[f32] {
    x.as_slice().unwrap_or(&[])
}

/// A tensor all of which a kernel writes.
fn written(shape: impl Into<Shape>, kernel: impl FnOnce(&mut [f32])) -> FlexTensor {
    let shape = shape.into();
    let mut out = pool::take(shape.num_elements());
    kernel(&mut out);
    FlexTensor::from_data(TensorData::new(out, shape))
}

/// A tensor of the shape of x all of which a kernel writes.
fn alike(x: &FlexTensor, kernel: impl FnOnce(&mut [f32])) -> FlexTensor {
    written(x.shape(), kernel)
}

/// Registers a gradient. Where there is one of the same node already, the sum goes into its buffer and this one's is used again.
fn register(gradients: &mut Gradients, of: NodeId, gradient: FlexTensor) {
    // A tensor that is shared is not written to, and the other one is.
    let shared = gradient.clone();
    gradients.register::<Flex>(of, gradient);
    recycle(shared);
}
