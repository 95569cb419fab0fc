//! From sample values to what a network sees, and back; the same for all families.

use madloop_core::{Mix, Samples, Shape};

use crate::Result;
use crate::file::TensorFile;

const SHAPE: &str = "shape";
const OFFSET: &str = "scale.offset";
const UNIT: &str = "scale.unit";
const BYTES: &str = "scale.bytes";

/// The network sees (value - offset) / unit. Pixels go from \[0, 1\] to \[-1, 1\]; each dimension of vectors gets mean 0 and
/// variance 1 over the training set.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Scale {
    /// `[d]`, or one for all.
    pub(crate) offset: Vec<f32>,
    pub(crate) unit: Vec<f32>,
    /// Whether samples are u8 pixels: all of the training set were.
    pub(crate) bytes: bool,
}

impl Scale {
    pub(crate) fn of(mix: &Mix) -> Self {
        if mix.shape().is_image() {
            let bytes = mix.parts().iter().all(|part| part.samples.as_u8().is_some());
            return Self { offset: vec![0.5], unit: vec![0.5], bytes };
        }
        let (n, dim) = (mix.len() as f64, mix.dim());
        let (mut mean, mut variance) = (vec![0.0; dim], vec![0.0; dim]);
        let mut row = vec![0.0; dim];
        let mut over_rows = |add: &mut dyn FnMut(usize, f64)| {
            for i in 0..mix.len() {
                mix.copy_row(i, &mut row);
                row.iter().enumerate().for_each(|(column, &value)| add(column, f64::from(value)));
            }
        };
        over_rows(&mut |column, value| mean[column] += value / n);
        over_rows(&mut |column, value| variance[column] += (value - mean[column]).powi(2) / n);
        // A constant dimension stays constant: the network sees 0.
        let unit = variance.iter().map(|&variance| if variance > 0.0 { variance.sqrt() as f32 } else { 1.0 });
        Self { offset: mean.iter().map(|&mean| mean as f32).collect(), unit: unit.collect(), bytes: false }
    }

    /// To what the network sees, in place (`[rows, d]`).
    pub(crate) fn to_network(&self, values: &mut [f32]) {
        let (offset, unit) = (self.offset.iter().cycle(), self.unit.iter().cycle());
        values.iter_mut().zip(offset.zip(unit)).for_each(|(value, (offset, unit))| *value = (*value - offset) / unit);
    }

    /// Back to f32 samples; their values stay as they are.
    pub(crate) fn to_samples(&self, shape: Shape, mut values: Vec<f32>) -> Result<Samples> {
        let (offset, unit) = (self.offset.iter().cycle(), self.unit.iter().cycle());
        values.iter_mut().zip(offset.zip(unit)).for_each(|(value, (offset, unit))| *value = *value * unit + offset);
        Ok(Samples::from_f32(shape, values)?)
    }

    /// Back to u8 pixels, of whole rows, rounded to the nearest and limited to 0 and 255.
    pub(crate) fn to_pixels(&self, values: &[f32]) -> impl Iterator<Item = u8> {
        let (offset, unit) = (self.offset.iter().cycle(), self.unit.iter().cycle());
        // `as` saturates; values that are not numbers become 0 (the generator has refused them before).
        values
            .iter()
            .zip(offset.zip(unit))
            .map(|(value, (offset, unit))| ((value * unit + offset) * 255.0).round() as u8)
    }

    /// Puts the shape of samples and the scale into a model's file.
    pub(crate) fn put(&self, shape: Shape, file: &mut TensorFile) {
        let shape = match shape {
            Shape::Vector { dim } => vec![dim as u64],
            Shape::Image { channels, height, width } => vec![channels as u64, height as u64, width as u64],
        };
        file.put_u64(SHAPE, &shape);
        file.put_f32(OFFSET, &self.offset);
        file.put_f32(UNIT, &self.unit);
        file.put_u64(BYTES, &[u64::from(self.bytes)]);
    }

    /// Takes out what [`Scale::put`] put in.
    ///
    /// # Errors
    /// A tensor that is missing, or numbers that are no shape or do not belong to it.
    pub(crate) fn take(file: &mut TensorFile) -> Result<(Shape, Self)> {
        let shape = file.take_u64(SHAPE)?.into_iter().map(|v| v as usize).collect::<Vec<_>>();
        let shape = match shape[..] {
            [dim] if dim > 0 => Shape::Vector { dim },
            [channels, height, width] if channels * height * width > 0 => Shape::Image { channels, height, width },
            _ => return Err(file.bad(format!("{shape:?} is no shape of a sample"))),
        };
        let (offset, unit) = (file.take_f32(OFFSET)?, file.take_f32(UNIT)?);
        let bytes = file.take_u64(BYTES)? == [1];
        if ![1, shape.len()].contains(&offset.len()) || offset.len() != unit.len() {
            return Err(file.bad(format!("its scale has {} offsets and {} units", offset.len(), unit.len())));
        }
        Ok((shape, Self { offset, unit, bytes }))
    }
}
