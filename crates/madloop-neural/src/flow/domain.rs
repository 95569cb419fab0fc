//! From samples to what a flow sees, with the logarithm of the volume that is gained, and back.

use std::ops::Range;

use madloop_core::{Mix, Samples, Seeds, Shape, Stream, Watch};
use rand::RngExt;
use rayon::prelude::*;

use crate::Result;
use crate::draw::Blocks;
use crate::scale::Scale;

/// What samples are.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Domain {
    /// Vectors: each dimension has mean 0 and variance 1 over the training set.
    Reals(Scale),
    /// Pixels of L levels: k = 0, ..., L - 1 becomes v = (k + u) / L with u uniform, and v the logit of a + (1 - 2 a) v, which spreads
    /// what lies near black and white (Dinh et al. 2017, arXiv:1605.08803, section 4.1).
    Pixels {
        levels: u32,
        /// Whether samples are u8: all of the training set were.
        bytes: bool,
    },
}

/// a: it keeps the logit finite.
const MARGIN: f64 = 0.05;

impl Domain {
    pub(super) fn of(mix: &Mix, levels: u32) -> Self {
        match mix.shape() {
            Shape::Vector { .. } => Self::Reals(Scale::of(mix)),
            Shape::Image { .. } => {
                let bytes = levels == 256 && mix.parts().iter().all(|part| part.samples.as_u8().is_some());
                Self::Pixels { levels, bytes }
            }
        }
    }

    /// As a scale, by which it is saved.
    pub(super) fn scale(&self) -> Scale {
        match self {
            Self::Reals(scale) => scale.clone(),
            Self::Pixels { bytes, .. } => Scale { offset: vec![0.5], unit: vec![0.5], bytes: *bytes },
        }
    }

    /// Of a scale that was saved.
    pub(super) fn of_scale(scale: Scale, shape: Shape, levels: u32) -> Self {
        if shape.is_image() { Self::Pixels { levels, bytes: scale.bytes } } else { Self::Reals(scale) }
    }

    /// Why no density fits a training set, if none does: a dimension without variance. The flow leaves that dimension at its value.
    pub(super) fn degenerate(&self, mix: &Mix) -> Option<String> {
        let Self::Reals(scale) = self else { return None };
        let mut constant = vec![true; mix.dim()];
        let (mut first, mut row) = (vec![0.0; mix.dim()], vec![0.0; mix.dim()]);
        mix.copy_row(0, &mut first);
        for at in 1..mix.len() {
            mix.copy_row(at, &mut row);
            constant.iter_mut().zip(first.iter().zip(&row)).for_each(|(constant, (a, b))| *constant &= a == b);
        }
        let count = constant.iter().filter(|constant| **constant).count();
        let at = constant.iter().position(|constant| *constant)?;
        Some(format!(
            "{count} of {} dimensions have no variance (dimension {at} is always {}), so that their density has no bound",
            mix.dim(),
            scale.offset[at]
        ))
    }

    /// To what the flow sees, in place (`[rows, d]`); ln p(sample) - ln p(seen) of each row, in nats. The noise of row i is that of
    /// address `first` + i of `stream`.
    pub(super) fn to_network(
        &self,
        values: &mut [f32],
        dim: usize,
        seeds: Seeds,
        stream: Stream,
        first: u64,
    ) -> Vec<f64> {
        match self {
            Self::Reals(scale) => {
                scale.to_network(values);
                let log_det = -scale.unit.iter().map(|&unit| f64::from(unit).ln()).sum::<f64>();
                vec![log_det; values.len() / dim]
            }
            Self::Pixels { levels, .. } => {
                let top = f64::from(levels - 1);
                let row = |(at, row): (usize, &mut [f32])| {
                    let mut rng = seeds.rng(stream, first + at as u64);
                    let mut gained = dim as f64 * ((1.0 - 2.0 * MARGIN).ln() - f64::from(*levels).ln());
                    for value in row {
                        // A NaN becomes black; the trainer has refused it before.
                        let k = (f64::from(*value) * top).round().clamp(0.0, top);
                        let v = (k + rng.random::<f64>()) / f64::from(*levels);
                        let p = MARGIN + (1.0 - 2.0 * MARGIN) * v;
                        *value = (p / (1.0 - p)).ln() as f32;
                        gained -= (p * (1.0 - p)).ln();
                    }
                    gained
                };
                values.par_chunks_exact_mut(dim).enumerate().map(row).collect()
            }
        }
    }

    /// Draws samples of what the flow sees. Pixels below black and above white, which the margin allows, become black and white.
    ///
    /// # Errors
    /// Those of [`Blocks::draw`].
    pub(super) fn samples(
        &self,
        blocks: &Blocks<'_>,
        rows: Range<u64>,
        watch: Watch<'_>,
        shape: Shape,
        one: impl Fn(Range<u64>) -> Result<Vec<f32>>,
    ) -> Result<Samples> {
        let (levels, bytes) = match self {
            Self::Reals(scale) => return blocks.samples(rows, watch, (shape, scale), one),
            Self::Pixels { levels, bytes } => (f64::from(*levels), *bytes),
        };
        let level = |seen: &f32| {
            let p = 1.0 / (1.0 + (-f64::from(*seen)).exp());
            let v = (p - MARGIN) / (1.0 - 2.0 * MARGIN);
            (v * levels).floor().clamp(0.0, levels - 1.0)
        };
        Ok(if bytes {
            let keep = |seen: &[f32], all: &mut Vec<u8>| all.extend(seen.iter().map(|seen| level(seen) as u8));
            Samples::from_u8(shape, blocks.draw_as(rows, watch, one, keep)?)?
        } else {
            let mut values = blocks.draw(rows, watch, one)?;
            values.iter_mut().for_each(|value| *value = (level(value) / (levels - 1.0)) as f32);
            Samples::from_f32(shape, values)?
        })
    }
}
