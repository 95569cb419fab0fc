//! The embedded digits.

use std::io::Read;
use std::path::Path;

use flate2::read::GzDecoder;
use madloop_core::{Samples, Shape};

use super::loaded::{Buffer, Loaded};
use crate::{Error, Result};

/// The embedded file: 64 values from 0 to 16 and the label a row.
pub(crate) const FILE: &[u8] = include_bytes!("../../assets/digits.csv.gz");
/// Rows in it.
pub(crate) const ROWS: usize = 1797;
/// Rows held back as the reference.
pub(crate) const REFERENCE: usize = 500;

/// The 1,297 digits of the training pool and the 500 of the reference: images of 8x8x1, f32 in \[0, 1\] (v / 16), labelled.
///
/// The split is fixed, in the classes' proportions.
pub(crate) fn digits8() -> Result<(Samples, Samples)> {
    let bad = || Error::bad_file("digits.csv.gz", "the embedded digits are damaged", "install madloop again");
    let mut text = String::new();
    GzDecoder::new(FILE).read_to_string(&mut text).map_err(Error::io(
        "unpack",
        Path::new("digits.csv.gz"),
        "install madloop again",
    ))?;
    let (mut values, mut labels) = (Vec::with_capacity(64 * ROWS), Vec::with_capacity(ROWS));
    for line in text.lines() {
        let row: Vec<u8> = line.split(',').map(str::parse).collect::<Result<_, _>>().map_err(|_| bad())?;
        let [pixels @ .., label] = &row[..] else { return Err(bad()) };
        values.extend(pixels.iter().map(|&value| f32::from(value) / 16.0));
        labels.push(u32::from(*label));
    }
    if labels.len() != ROWS || values.len() != 64 * ROWS {
        return Err(bad());
    }
    let shape = Shape::Image { channels: 1, height: 8, width: 8 };
    Loaded { shape, buffer: Buffer::F32(values), labels: Some(labels) }.split(REFERENCE)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sum of a row in sixteenths, and its label.
    fn row(set: &Samples, row: usize) -> (u32, u32) {
        let mut values = [0.0; 64];
        set.copy_row(row, &mut values);
        ((values.iter().sum::<f32>() * 16.0) as u32, set.labels().expect("labels")[row])
    }

    #[test]
    fn the_split_is_fixed_forever() {
        let (pool, reference) = digits8().expect("digits");
        assert_eq!((pool.len(), reference.len()), (1297, 500));
        let counts = |set: &Samples| {
            let mut counts = [0; 10];
            set.labels().expect("labels").iter().for_each(|&label| counts[label as usize] += 1);
            counts
        };
        assert_eq!(counts(&reference), [50, 51, 49, 51, 50, 51, 50, 50, 48, 50]);
        assert_eq!(counts(&pool), [128, 131, 128, 132, 131, 131, 131, 129, 126, 130]);
        let values = pool.to_f32();
        assert!(values.iter().all(|v| (0.0..=1.0).contains(v)) && values.contains(&1.0));
        // Changing any of these lets reference rows of published runs train.
        let found = ([0, 1, 648, 1296].map(|at| row(&pool, at)), [0, 1, 250, 499].map(|at| row(&reference, at)));
        assert_eq!(found, (POOL, HELD_BACK));
    }
    const POOL: [(u32, u32); 4] = [(294, 0), (313, 1), (308, 2), (392, 8)];
    const HELD_BACK: [(u32, u32); 4] = [(342, 5), (357, 8), (311, 1), (344, 9)];
}
