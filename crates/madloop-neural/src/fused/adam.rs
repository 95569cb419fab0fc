//! Adam's update, and the norm that gradients are clipped by.

use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, Flex, backend_extension};
use burn::tensor::{Device, Tensor};

use super::{values, whole, written};
use crate::kernels::adam::{Adam, sum_of_squares};
use crate::ops::AdamState;
use crate::{Error, Result};

/// One step in place, `[n]` each.
pub(crate) fn adam(by: &Adam, step: u32, of: AdamState, gradient: Tensor<1>) -> Result<AdamState> {
    // The library hands a buffer over without a copy where nobody else has it.
    let [mut weights, mut first, mut second] = of.state.map(Tensor::into_data);
    let mut average = of.average.map(Tensor::into_data);
    let gradient = gradient.into_data();
    by.update(
        step,
        weights.as_mut_slice().map_err(unreadable)?,
        gradient.as_slice().map_err(unreadable)?,
        first.as_mut_slice().map_err(unreadable)?,
        second.as_mut_slice().map_err(unreadable)?,
        average.as_mut().map(|average| average.as_mut_slice().map_err(unreadable)).transpose()?,
    );
    let back = |data| Tensor::from_data(data, &Device::flex());
    Ok(AdamState { state: [weights, first, second].map(back), average: average.map(back) })
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
