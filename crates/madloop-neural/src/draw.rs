//! Drawing samples in blocks, so that which rows are asked for changes nothing; the same for all families.

use std::ops::Range;

use madloop_core::{Cancel, Progress, Samples, Shape, Watch};

use crate::Result;
use crate::backend::Device;
use crate::scale::Scale;

/// How a family draws.
pub(crate) struct Blocks<'a> {
    pub(crate) device: &'a Device,
    /// Rows that are made together (8 times as many where a GPU wants them).
    pub(crate) block: usize,
    /// Values of a row.
    pub(crate) dim: usize,
    pub(crate) family: &'static str,
}

impl Blocks<'_> {
    /// Rows `rows` of a draw, `[rows, dim]`, of the whole blocks that `one` makes.
    ///
    /// Blocks begin at multiples of their length and are always whole, so that a row meets the same arithmetic whichever rows are
    /// asked for: products may round differently for other numbers of rows.
    ///
    /// # Errors
    /// Those of `one`, values that are not finite, and the request to stop.
    pub(crate) fn draw(
        &self,
        rows: Range<u64>,
        watch: Watch<'_>,
        one: impl Fn(Range<u64>) -> Result<Vec<f32>>,
    ) -> Result<Vec<f32>> {
        self.draw_as(rows, watch, one, |values, all| all.extend_from_slice(values))
    }

    /// The same as samples. u8 pixels become so block by block: as f32 a large draw would take four times its memory.
    ///
    /// # Errors
    /// Those of [`Blocks::draw`].
    pub(crate) fn samples(
        &self,
        rows: Range<u64>,
        watch: Watch<'_>,
        (shape, scale): (Shape, &Scale),
        one: impl Fn(Range<u64>) -> Result<Vec<f32>>,
    ) -> Result<Samples> {
        if !scale.bytes {
            return scale.to_samples(shape, self.draw(rows, watch, one)?);
        }
        let pixels = self.draw_as(rows, watch, one, |values, all| all.extend(scale.to_pixels(values)))?;
        Ok(Samples::from_u8(shape, pixels)?)
    }

    /// The same, as `keep` appends the blocks.
    ///
    /// # Errors
    /// Those of [`Blocks::draw`].
    pub(crate) fn draw_as<T>(
        &self,
        rows: Range<u64>,
        watch: Watch<'_>,
        one: impl Fn(Range<u64>) -> Result<Vec<f32>>,
        keep: impl Fn(&[f32], &mut Vec<T>),
    ) -> Result<Vec<T>> {
        let Self { device, dim, .. } = *self;
        let block = (self.block * if device.is_cpu() { 1 } else { 8 }) as u64;
        let of = rows.end - rows.start;
        let mut values = Vec::with_capacity(of as usize * dim);
        for at in rows.start / block..rows.end.div_ceil(block) {
            watch.cancel.check()?;
            let (start, end) = (at * block, (at + 1) * block);
            let drawn = device.guard("sampling", || one(start..end))?;
            let (from, to) = (rows.start.max(start) - start, rows.end.min(end) - start);
            let drawn = &drawn[from as usize * dim..to as usize * dim];
            if let Some(place) = drawn.iter().position(|value| !value.is_finite()) {
                let before = (rows.start.max(start) - rows.start) as usize;
                return Err(madloop_core::Error::NonFinite {
                    what: format!("the samples of the {} model", self.family),
                    row: before + place / dim,
                    column: place % dim,
                    value: drawn[place],
                }
                .into());
            }
            keep(drawn, &mut values);
            (watch.progress)(Progress { done: rows.end.min(end) - rows.start, of, loss: None });
        }
        Ok(values)
    }
}

/// Draws without anybody watching.
pub(crate) fn unwatched<T>(draw: impl FnOnce(Watch<'_>) -> T) -> T {
    draw(Watch { cancel: &Cancel::default(), progress: &|_| {} })
}
