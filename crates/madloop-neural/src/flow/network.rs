//! The whole flow: steps on vectors, or on the levels of an image.

use burn::tensor::{Device, Tensor};
use madloop_core::Shape;

use super::config::FlowConfig;
use super::step::Step;
use crate::params::{Declare, Weights, flat};
use crate::{Error, Result};

/// x `[n, d]` <-> z `[n, d]`. Images are squeezed on every level (2 x 2 pixels become one of four times the channels), and half of the channels
/// leave the flow after every level but the last (Dinh et al. 2017, arXiv:1605.08803, section 3.6).
pub(super) struct Network {
    levels: Vec<Level>,
    is_image: bool,
    dim: usize,
}

struct Level {
    steps: Vec<Step>,
    /// Height, width and channels inside the level.
    size: [usize; 3],
    /// Channels that go on to the next level; all at the last.
    on: usize,
}

impl Network {
    /// That a flow of samples of this shape exists.
    pub(super) fn check(shape: Shape, levels: usize) -> Result<()> {
        let wrong = |why| Err(Error::SampleShape { network: "flow", shape, why });
        match shape {
            Shape::Vector { dim } if dim < 2 => wrong(
                "a coupling changes one part of the dimensions by the other, so it needs 2 or more; use \
                 model.family = \"gmm\" or \"kde\""
                    .into(),
            ),
            Shape::Vector { .. } => Ok(()),
            Shape::Image { height, width, .. } => {
                let often = height.trailing_zeros().min(width.trailing_zeros()) as usize;
                let multiple = 1_usize << levels;
                match often >= levels {
                    true => Ok(()),
                    false if often == 0 => wrong(format!(
                        "{height} x {width} cannot be squeezed, as both sides must be even; bring the images to sides that are \
                         multiples of {multiple} with data.resize, such as data.resize = {}",
                        height.max(width).next_multiple_of(multiple)
                    )),
                    false => wrong(format!(
                        "{height} x {width} can be squeezed {often} times and model.levels is {levels}; lower it to {often}, or bring \
                         the images to sides that are multiples of {multiple} with data.resize"
                    )),
                }
            }
        }
    }

    pub(super) fn new(declare: &mut Declare<'_>, shape: Shape, config: &FlowConfig, n_classes: usize) -> Self {
        let (is_image, mut size) = match shape {
            Shape::Vector { dim } => (false, [1, 1, dim]),
            Shape::Image { channels, height, width } => (true, [height, width, channels]),
        };
        let count = if is_image { config.levels } else { 1 };
        let mut levels = Vec::new();
        for at in 0..count {
            if is_image {
                size = [size[0] / 2, size[1] / 2, 4 * size[2]];
            }
            let [height, width, c] = size;
            let step = |i: usize| {
                let place = declare.at(format_args!("level.{at}.step.{i}"));
                Step::new(place, c, [height, width], is_image, config.hidden, n_classes)
            };
            let steps = (0..config.couplings).map(step).collect();
            let on = if at + 1 < count { c / 2 } else { c };
            levels.push(Level { steps, size, on });
            size[2] = on;
        }
        Self { levels, is_image, dim: shape.len() }
    }

    fn steps(&self) -> impl Iterator<Item = &Step> {
        self.levels.iter().flat_map(|level| &level.steps)
    }

    pub(super) fn dim(&self) -> usize {
        self.dim
    }

    /// About how many floating-point operations one sample takes.
    pub(super) fn flops(&self) -> f64 {
        self.steps().map(Step::flops).sum()
    }

    /// The number of steps.
    pub(super) fn len(&self) -> usize {
        self.steps().count()
    }

    /// Samples that are drawn together.
    pub(super) fn block(&self) -> usize {
        if self.is_image { 64 } else { 1024 }
    }

    /// What each number of all maps' parameters together is worth in the log-determinant: constant, and made once.
    pub(super) fn trace_worth(&self, device: &Device) -> Tensor<1> {
        flat(self.steps().flat_map(Step::trace_worth).collect(), device)
    }

    /// z and ln |det dz/dx| of each row: `[n, d]`, `[n]`; `classes` are rows of the identity.
    pub(super) fn forward(
        &self,
        weights: &Weights,
        trace_worth: &Tensor<1>,
        x: Tensor<2>,
        classes: Option<&Tensor<2>>,
    ) -> (Tensor<2>, Tensor<1>) {
        let n = x.dims()[0];
        let traces = Tensor::cat(self.steps().map(|step| step.trace(weights)).collect(), 0) * trace_worth.clone();
        let m = traces.dims()[0];
        let mut log_det = traces.reshape([1, m]).sum_dim(1).reshape([1]); // added to every row
        let (mut h, mut out) = (x, Vec::new());
        for level in &self.levels {
            h = level.enter(h, n, self.is_image);
            for step in &level.steps {
                let (y, more) = step.forward(weights, h, classes);
                (h, log_det) = (y, log_det + more);
            }
            h = level.leave(h, n, &mut out);
        }
        let z = if out.len() == 1 { out.remove(0) } else { Tensor::cat(out, 1) };
        (z, log_det)
    }

    /// The inverse of all maps W.
    pub(super) fn inverse_maps(&self, weights: &Weights, device: &Device) -> Result<Vec<Tensor<2>>> {
        self.steps().map(|step| step.inverse_map(weights, device)).collect()
    }

    /// x of z: `[n, d]`.
    pub(super) fn inverse(
        &self,
        weights: &Weights,
        maps: &[Tensor<2>],
        z: Tensor<2>,
        classes: Option<&Tensor<2>>,
    ) -> Tensor<2> {
        let n = z.dims()[0];
        let mut maps = maps.iter().rev();
        let mut end = self.dim;
        let mut h: Option<Tensor<2>> = None;
        for level in self.levels.iter().rev() {
            let own = level.size.iter().product::<usize>() - h.as_ref().map_or(0, |h| h.dims()[1]);
            let part = z.clone().slice([0..n, end - own..end]);
            end -= own;
            let mut y = level.join(h, part, n);
            for (step, map) in level.steps.iter().rev().zip(&mut maps) {
                y = step.inverse(weights, map.clone(), y, classes);
            }
            h = Some(level.undo_enter(y, n, self.is_image));
        }
        h.unwrap_or(z)
    }

    /// Sets every map's scale and shift by what it is given of x.
    pub(super) fn normalise(
        &self,
        mut weights: Weights,
        x: Tensor<2>,
        classes: Option<&Tensor<2>>,
        device: &Device,
    ) -> Result<Weights> {
        let n = x.dims()[0];
        let mut h = x;
        for level in &self.levels {
            h = level.enter(h, n, self.is_image);
            for step in &level.steps {
                step.normalise(&mut weights, &h, device)?;
                h = step.forward(&weights, h, classes).0;
            }
            h = level.leave(h, n, &mut Vec::new());
        }
        Ok(weights)
    }
}

impl Level {
    fn pixels(&self) -> usize {
        self.size[0] * self.size[1]
    }

    /// `[n, values]` as rows of this level, `[n * pixels, c]`.
    fn enter(&self, x: Tensor<2>, n: usize, is_image: bool) -> Tensor<2> {
        let [h, w, c] = self.size;
        match is_image {
            false => x,
            true => x.reshape([n, h, 2, w, 2, c / 4]).permute([0, 1, 3, 2, 4, 5]).reshape([n * h * w, c]),
        }
    }

    fn undo_enter(&self, x: Tensor<2>, n: usize, is_image: bool) -> Tensor<2> {
        let [h, w, c] = self.size;
        match is_image {
            false => x,
            true => x.reshape([n, h, w, 2, 2, c / 4]).permute([0, 1, 3, 2, 4, 5]).reshape([n, h * w * c]),
        }
    }

    /// Puts what leaves the flow here into `out`, and gives what goes on, `[n, values]`.
    fn leave(&self, y: Tensor<2>, n: usize, out: &mut Vec<Tensor<2>>) -> Tensor<2> {
        let ([_, _, c], pixels) = (self.size, self.pixels());
        if self.on == c {
            let y = y.reshape([n, pixels * c]);
            out.push(y.clone());
            return y;
        }
        let part =
            |from: usize, to: usize| y.clone().slice([0..n * pixels, from..to]).reshape([n, pixels * (to - from)]);
        out.push(part(self.on, c));
        part(0, self.on)
    }

    /// The inverse of [`Level::leave`].
    fn join(&self, on: Option<Tensor<2>>, part: Tensor<2>, n: usize) -> Tensor<2> {
        let ([_, _, c], rows) = (self.size, n * self.pixels());
        match on {
            None => part.reshape([rows, c]),
            Some(on) => Tensor::cat(vec![on.reshape([rows, self.on]), part.reshape([rows, c - self.on])], 1),
        }
    }
}
