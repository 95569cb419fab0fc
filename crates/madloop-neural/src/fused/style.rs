//! What style-based layers do to every number: factors of channels; noise, bias and rectifier.

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::Tensor;

use super::{alike, recycle, register, values, whole, written};
use crate::kernels::style::{self, Noise};

/// `[n, h, w, c]`, `[n, c]` -> `[n, h, w, c]`.
pub(crate) fn modulate(x: Tensor<4>, scale: Tensor<2>) -> Tensor<4> {
    Tensor::from_dispatch(<Dispatch as StyleOp>::fused_modulate(x.into_dispatch(), scale.into_dispatch()))
}

/// `[n, h, w, c]`, `[n, c]`, `[n, h, w]`, `[1]`, `[c]` -> `[n, h, w, c]`; the noise has no gradient, and scales are not 0.
pub(crate) fn activate(
    x: Tensor<4>,
    scale: Tensor<2>,
    noise: Tensor<3>,
    strength: Tensor<1>,
    bias: Tensor<1>,
    slope: f32,
) -> Tensor<4> {
    let (x, scale, noise) = (x.into_dispatch(), scale.into_dispatch(), noise.into_dispatch());
    let (strength, bias) = (strength.into_dispatch(), bias.into_dispatch());
    Tensor::from_dispatch(<Dispatch as StyleOp>::fused_activate(x, scale, noise, strength, bias, slope))
}

/// The operations on a backend.
#[backend_extension(Flex, Autodiff)]
pub(crate) trait StyleOp: Backend {
    fn fused_modulate(x: FloatTensor<Self>, scale: FloatTensor<Self>) -> FloatTensor<Self>;
    fn fused_activate(
        x: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        noise: FloatTensor<Self>,
        strength: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        slope: f32,
    ) -> FloatTensor<Self>;
}

impl StyleOp for Flex {
    fn fused_modulate(x: FlexTensor, scale: FlexTensor) -> FlexTensor {
        let [x, scale] = [x, scale].map(whole);
        let [_, c] = scale.shape().dims();
        let y = alike(&x, |y| style::modulate(c, values(&x), values(&scale), y));
        recycle(x);
        y
    }

    fn fused_activate(
        x: FlexTensor,
        scale: FlexTensor,
        noise: FlexTensor,
        strength: FlexTensor,
        bias: FlexTensor,
        slope: f32,
    ) -> FlexTensor {
        let [mut x, scale, noise, strength, bias] = [x, scale, noise, strength, bias].map(whole);
        let noise = Noise { values: values(&noise), strength: strength_of(&strength) };
        // In place where nobody else reads x.
        let fits = x.bytes().len() == size_of_val(values(&x));
        if fits && let Some(y) = x.try_storage_mut::<f32>() {
            style::activate(slope, values(&scale), noise, values(&bias), y);
            return x;
        }
        alike(&x, |y| {
            y.copy_from_slice(values(&x));
            style::activate(slope, values(&scale), noise, values(&bias), y);
        })
    }
}

fn strength_of(strength: &FlexTensor) -> f32 {
    values(strength).first().copied().unwrap_or(0.0)
}

impl<C: CheckpointStrategy> StyleOp for Autodiff<Flex, C> {
    fn fused_modulate(x: FloatTensor<Self>, scale: FloatTensor<Self>) -> FloatTensor<Self> {
        let [(x, of_x), (scale, of_scale)] = [x, scale].map(|tensor| tensor.into_parts());
        match Modulate.prepare::<C>([of_x, of_scale]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish([x.clone(), scale.clone()], Flex::fused_modulate(x, scale)),
            OpsKind::UnTracked(prep) => prep.finish(Flex::fused_modulate(x, scale)),
        }
    }

    fn fused_activate(
        x: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        noise: FloatTensor<Self>,
        strength: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        slope: f32,
    ) -> FloatTensor<Self> {
        let [(x, of_x), (scale, of_scale), (strength, of_strength), (bias, of_bias)] =
            [x, scale, strength, bias].map(|tensor| tensor.into_parts());
        let (noise, _constant) = noise.into_parts();
        match Activate.prepare::<C>([of_x, of_scale, of_strength, of_bias]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                let rest = [scale.clone(), noise.clone(), strength.clone(), bias.clone()];
                let y = Flex::fused_activate(x, scale, noise, strength, bias, slope);
                prep.finish((y.clone(), rest, slope), y)
            }
            OpsKind::UnTracked(prep) => prep.finish(Flex::fused_activate(x, scale, noise, strength, bias, slope)),
        }
    }
}

#[derive(Debug)]
struct Modulate;

impl Backward<Flex, 2> for Modulate {
    /// x and the scale.
    type State = [FlexTensor; 2];

    fn backward(self, ops: Ops<Self::State, 2>, gradients: &mut Gradients, _checkpointer: &mut Checkpointer) {
        let dy = whole(gradients.consume::<Flex>(&ops.node));
        let [x, scale] = ops.state.map(whole);
        let [_, c] = scale.shape().dims();
        let [of_x, of_scale] = ops.parents.map(|parent| parent.map(|parent| parent.id));
        let mut dx = None;
        match (of_x, of_scale) {
            (Some(_), None) => dx = Some(alike(&x, |dx| style::modulate(c, values(&dy), values(&scale), dx))),
            (_, Some(of_scale)) => {
                let dscale = alike(&scale, |dscale| {
                    let mut run = |dx: Option<&mut [f32]>| {
                        style::modulate_gradient(c, values(&x), values(&scale), values(&dy), dx, dscale)
                    };
                    match of_x {
                        None => run(None),
                        Some(_) => dx = Some(alike(&x, |dx| run(Some(dx)))),
                    }
                });
                gradients.register::<Flex>(of_scale, dscale);
            }
            (None, None) => {}
        }
        if let (Some(of_x), Some(dx)) = (of_x, dx) {
            register(gradients, of_x, dx);
        }
        recycle(x);
        recycle(dy);
    }
}

#[derive(Debug)]
struct Activate;

impl Backward<Flex, 4> for Activate {
    /// y; scale, noise, strength and bias; the slope.
    type State = (FlexTensor, [FlexTensor; 4], f32);

    fn backward(self, ops: Ops<Self::State, 4>, gradients: &mut Gradients, _checkpointer: &mut Checkpointer) {
        let mut dy = whole(gradients.consume::<Flex>(&ops.node));
        let (y, rest, slope) = ops.state;
        let (y, [scale, noise, strength, bias]) = (whole(y), rest.map(whole));
        let noise = Noise { values: values(&noise), strength: strength_of(&strength) };
        let (mut dscale, mut dbias) = (vec![0.0; values(&scale).len()], vec![0.0; values(&bias).len()]);
        let mut run = |dy: &mut [f32]| {
            let (scale, bias) = (values(&scale), values(&bias));
            style::activate_gradient(slope, values(&y), scale, noise, bias, dy, &mut dscale, &mut dbias)
        };
        let fits = dy.bytes().len() == size_of_val(values(&dy));
        let (dx, dstrength) = match dy.try_storage_mut::<f32>().filter(|_| fits) {
            Some(space) => {
                let dstrength = run(space);
                (dy, dstrength)
            }
            None => {
                let mut dstrength = 0.0;
                let dx = alike(&dy, |dx| {
                    dx.copy_from_slice(values(&dy));
                    dstrength = run(dx);
                });
                (dx, dstrength)
            }
        };
        let of = |values: Vec<f32>, like: &FlexTensor| written(like.shape(), |out| out.copy_from_slice(&values));
        let all = [dx, of(dscale, &scale), of(vec![dstrength], &strength), of(dbias, &bias)];
        for (parent, gradient) in ops.parents.into_iter().zip(all) {
            if let Some(parent) = parent {
                gradients.register::<Flex>(parent.id, gradient);
            }
        }
        recycle(y);
    }
}
