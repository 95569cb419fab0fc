//! Drawing samples in blocks, so that which rows are asked for changes nothing; the same for all families.

use std::ops::Range;

use crate::Result;
use crate::backend::Device;

/// Rows `rows` of a draw, `[rows, dim]`: `one` makes whole blocks of `block` rows (8 times as many where a GPU wants them).
///
/// Blocks begin at multiples of their length and are always whole, so that a row meets the same arithmetic whichever rows are asked
/// for: products may round differently for other numbers of rows.
///
/// # Errors
/// Those of `one`, and values that are not finite.
pub(crate) fn in_blocks(
    device: &Device,
    rows: Range<u64>,
    block: usize,
    dim: usize,
    family: &str,
    one: impl Fn(Range<u64>) -> Result<Vec<f32>>,
) -> Result<Vec<f32>> {
    let block = (block * if device.is_cpu() { 1 } else { 8 }) as u64;
    let mut values = Vec::with_capacity((rows.end - rows.start) as usize * dim);
    for at in rows.start / block..rows.end.div_ceil(block) {
        let (start, end) = (at * block, (at + 1) * block);
        let drawn = device.guard("sampling", || one(start..end))?;
        let (from, to) = (rows.start.max(start) - start, rows.end.min(end) - start);
        values.extend_from_slice(&drawn[from as usize * dim..to as usize * dim]);
    }
    match values.iter().position(|value| !value.is_finite()) {
        None => Ok(values),
        Some(at) => Err(madloop_core::Error::NonFinite {
            what: format!("the samples of the {family} model"),
            row: at / dim,
            column: at % dim,
            value: values[at],
        }
        .into()),
    }
}
