//! Drawing samples in blocks, so that which rows are asked for changes nothing; the same for all families.

use std::ops::Range;

use madloop_core::{Cancel, Progress, Watch};

use crate::Result;
use crate::backend::Device;

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
        let Self { device, dim, .. } = *self;
        let block = (self.block * if device.is_cpu() { 1 } else { 8 }) as u64;
        let of = rows.end - rows.start;
        let mut values = Vec::with_capacity(of as usize * dim);
        for at in rows.start / block..rows.end.div_ceil(block) {
            watch.cancel.check()?;
            let (start, end) = (at * block, (at + 1) * block);
            let drawn = device.guard("sampling", || one(start..end))?;
            let (from, to) = (rows.start.max(start) - start, rows.end.min(end) - start);
            values.extend_from_slice(&drawn[from as usize * dim..to as usize * dim]);
            (watch.progress)(Progress { done: rows.end.min(end) - rows.start, of, loss: None });
        }
        match values.iter().position(|value| !value.is_finite()) {
            None => Ok(values),
            Some(at) => Err(madloop_core::Error::NonFinite {
                what: format!("the samples of the {} model", self.family),
                row: at / dim,
                column: at % dim,
                value: values[at],
            }
            .into()),
        }
    }
}

/// Draws without anybody watching.
pub(crate) fn unwatched<T>(draw: impl FnOnce(Watch<'_>) -> T) -> T {
    draw(Watch { cancel: &Cancel::default(), progress: &|_| {} })
}
