//! Adam's update, and the norm that gradients are clipped by.

use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, Flex, backend_extension};
use burn::tensor::{Device, Tensor};

use super::{values, whole, written};
use crate::kernels::adam::{Adam, sum_of_squares};
use crate::{Error, Result};

/// One step in place: weights, first and second moment, average, and the gradient, `[n]` each.
pub(crate) fn adam(by: &Adam, step: u32, state: [Tensor<1>; 4], gradient: Tensor<1>) -> Result<[Tensor<1>; 4]> {
    // The library hands a buffer over without a copy where nobody else has it.
    let [mut weights, mut first, mut second, mut average] = state.map(Tensor::into_data);
    let gradient = gradient.into_data();
    by.update(
        step,
        weights.as_mut_slice().map_err(unreadable)?,
        gradient.as_slice().map_err(unreadable)?,
        first.as_mut_slice().map_err(unreadable)?,
        second.as_mut_slice().map_err(unreadable)?,
        Some(average.as_mut_slice().map_err(unreadable)?),
    );
    Ok([weights, first, second, average].map(|data| Tensor::from_data(data, &Device::flex())))
}

fn unreadable(error: impl std::fmt::Debug) -> Error {
    Error::Device { what: "reading the optimiser's state", why: format!("{error:?}") }
}

/// The sum of x^2, `[1]`.
pub(crate) fn squares(x: Tensor<1>) -> Tensor<1> {
    Tensor::from_dispatch(<Dispatch as SquaresOp>::fused_squares(x.into_dispatch()))
}

/// The operation on a backend.
#[backend_extension(Flex)]
pub(crate) trait SquaresOp: Backend {
    fn fused_squares(x: FloatTensor<Self>) -> FloatTensor<Self>;
}

impl SquaresOp for Flex {
    fn fused_squares(x: FlexTensor) -> FlexTensor {
        let x = whole(x);
        written([1], |out| out.fill(sum_of_squares(values(&x)) as f32))
    }
}
