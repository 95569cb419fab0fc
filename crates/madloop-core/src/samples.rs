//! Samples: immutable, shared, u8 pixels or f32 values, over memory or a mapped file.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Bytes that somebody owns: a `Vec<u8>` or a map of a file.
pub type U8Buffer = Arc<dyn AsRef<[u8]> + Send + Sync>;
/// f32 values that somebody owns: a `Vec<f32>` or a map of a file.
pub type F32Buffer = Arc<dyn AsRef<[f32]> + Send + Sync>;

/// The shape of one sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shape {
    /// A vector in R^dim.
    Vector {
        /// Number of dimensions.
        dim: usize,
    },
    /// An image. In memory its values are ordered height, width, channel, as in image files and .npy arrays.
    Image {
        /// 1 (grey) or 3 (RGB).
        channels: usize,
        /// Rows of pixels.
        height: usize,
        /// Columns of pixels.
        width: usize,
    },
}

impl Shape {
    /// A vector in R^dim.
    pub fn vector(dim: usize) -> Self {
        Self::Vector { dim }
    }

    /// Values in one sample.
    pub fn len(self) -> usize {
        match self {
            Self::Vector { dim } => dim,
            Self::Image { channels, height, width } => channels * height * width,
        }
    }

    /// Whether a sample holds no value at all.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Whether a sample is an image.
    pub fn is_image(self) -> bool {
        matches!(self, Self::Image { .. })
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Vector { dim } => write!(f, "vector of {dim}"),
            Self::Image { channels, height, width } => write!(f, "image {height}x{width}x{channels}"),
        }
    }
}

/// The values of a set, row after row.
#[derive(Clone)]
pub enum Values {
    /// Pixels; v stands for v / 255.
    U8(U8Buffer),
    /// Any real numbers; pixels are in \[0, 1\] up to a model's overshoot.
    F32(F32Buffer),
}

/// A set of samples of one shape, with or without class labels. Cloning and slicing share the values.
#[derive(Clone)]
pub struct Samples {
    shape: Shape,
    values: Values,
    labels: Option<Arc<[u32]>>,
    rows: Range<usize>,
}

impl Samples {
    /// A set over f32 values (`[rows, shape.len()]`, row-major).
    pub fn from_f32(shape: Shape, values: Vec<f32>) -> Result<Self> {
        Self::from_values(shape, Values::F32(Arc::new(values)))
    }

    /// A set over u8 pixels (`[rows, shape.len()]`, row-major).
    pub fn from_u8(shape: Shape, values: Vec<u8>) -> Result<Self> {
        Self::from_values(shape, Values::U8(Arc::new(values)))
    }

    /// A set over any buffer whose length is a multiple of `shape.len()`.
    pub fn from_values(shape: Shape, values: Values) -> Result<Self> {
        let length = match &values {
            Values::U8(buffer) => (**buffer).as_ref().len(),
            Values::F32(buffer) => (**buffer).as_ref().len(),
        };
        if shape.is_empty() || !length.is_multiple_of(shape.len()) {
            return Err(Error::BufferLength { values: length, shape, labels: String::new() });
        }
        Ok(Self { shape, values, labels: None, rows: 0..length / shape.len() })
    }

    /// The same set with a class label a row.
    pub fn with_labels(self, labels: Vec<u32>) -> Result<Self> {
        if labels.len() != self.len() {
            let labels = format!(" with {} labels for {} rows", labels.len(), self.len());
            return Err(Error::BufferLength { values: self.len() * self.dim(), shape: self.shape, labels });
        }
        // Labels are indexed by the rows of the buffer, so a slice gets padded ones.
        let mut padded = vec![0; self.rows.start];
        padded.extend(labels);
        Ok(Self { labels: Some(padded.into()), ..self })
    }

    /// Shape of one sample.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// Values in one sample.
    pub fn dim(&self) -> usize {
        self.shape.len()
    }

    /// Number of samples.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is no sample.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Class labels, a row each.
    pub fn labels(&self) -> Option<&[u32]> {
        self.labels.as_deref().map(|labels| &labels[self.rows.clone()])
    }

    /// u8 pixels of all rows, if the set holds them.
    pub fn as_u8(&self) -> Option<&[u8]> {
        match &self.values {
            Values::U8(buffer) => Some(&(**buffer).as_ref()[self.span()]),
            Values::F32(_) => None,
        }
    }

    /// f32 values of all rows, if the set holds them.
    pub fn as_f32(&self) -> Option<&[f32]> {
        match &self.values {
            Values::U8(_) => None,
            Values::F32(buffer) => Some(&(**buffer).as_ref()[self.span()]),
        }
    }

    /// Bytes that the values of this set take.
    pub fn bytes(&self) -> u64 {
        let width = if matches!(self.values, Values::U8(_)) { 1 } else { 4 };
        (self.len() * self.dim() * width) as u64
    }

    /// Rows `range` of this set, sharing its values.
    ///
    /// # Panics
    /// If the range reaches beyond the set.
    pub fn slice(&self, range: Range<usize>) -> Self {
        assert!(range.end <= self.len(), "rows {range:?} of a set of {}", self.len());
        let rows = self.rows.start + range.start..self.rows.start + range.end;
        Self { rows, ..self.clone() }
    }

    /// Copies row `row` as f32 (`[shape.len()]`; pixels divided by 255).
    pub fn copy_row(&self, row: usize, out: &mut [f32]) {
        let dim = self.dim();
        let span = (self.rows.start + row) * dim..(self.rows.start + row + 1) * dim;
        match &self.values {
            Values::F32(buffer) => out.copy_from_slice(&(**buffer).as_ref()[span]),
            Values::U8(buffer) => {
                for (out, &pixel) in out.iter_mut().zip(&(**buffer).as_ref()[span]) {
                    *out = f32::from(pixel) / 255.0;
                }
            }
        }
    }

    /// All rows as f32 (`[rows, shape.len()]`).
    pub fn to_f32(&self) -> Vec<f32> {
        let mut out = vec![0.0; self.len() * self.dim()];
        for (row, out) in out.chunks_exact_mut(self.dim()).enumerate() {
            self.copy_row(row, out);
        }
        out
    }

    /// A new set of the rows `indices`, in their order.
    pub fn select(&self, indices: &[usize]) -> Self {
        fn pick<T: Copy>(all: &[T], dim: usize, indices: &[usize]) -> Vec<T> {
            indices.iter().flat_map(|&row| &all[row * dim..(row + 1) * dim]).copied().collect()
        }
        let values = match &self.values {
            Values::U8(buffer) => Values::U8(Arc::new(pick(&(**buffer).as_ref()[self.span()], self.dim(), indices))),
            Values::F32(buffer) => Values::F32(Arc::new(pick(&(**buffer).as_ref()[self.span()], self.dim(), indices))),
        };
        let labels = self.labels().map(|labels| indices.iter().map(|&row| labels[row]).collect());
        Self { shape: self.shape, values, labels, rows: 0..indices.len() }
    }

    /// The first value that is not finite, as an error that names its place.
    pub fn check_finite(&self, what: &str) -> Result<()> {
        let Some(values) = self.as_f32() else { return Ok(()) };
        match values.iter().position(|value| !value.is_finite()) {
            None => Ok(()),
            Some(at) => Err(Error::NonFinite {
                what: what.to_owned(),
                row: at / self.dim(),
                column: at % self.dim(),
                value: values[at],
            }),
        }
    }

    fn span(&self) -> Range<usize> {
        self.rows.start * self.dim()..self.rows.end * self.dim()
    }
}

impl fmt::Debug for Samples {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if matches!(self.values, Values::U8(_)) { "u8" } else { "f32" };
        write!(f, "Samples({} x {}, {kind}, labels: {})", self.len(), self.shape, self.labels.is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_share_and_keep_labels() {
        let set = Samples::from_f32(Shape::vector(2), (0..10).map(|v| v as f32).collect())
            .and_then(|set| set.with_labels(vec![0, 1, 2, 3, 4]))
            .expect("whole rows");
        let part = set.slice(1..4).slice(1..3);
        assert_eq!(part.labels(), Some(&[2, 3][..]));
        assert_eq!(part.to_f32(), [4.0, 5.0, 6.0, 7.0]);
        assert_eq!(part.select(&[1, 0]).to_f32(), [6.0, 7.0, 4.0, 5.0]);
        assert_eq!(part.select(&[1, 0]).labels(), Some(&[3, 2][..]));
    }

    #[test]
    fn pixels_are_in_the_unit_interval() {
        let shape = Shape::Image { channels: 1, height: 1, width: 3 };
        let set = Samples::from_u8(shape, vec![0, 51, 255]).expect("one row");
        assert_eq!(set.to_f32(), [0.0, 0.2, 1.0]);
        assert_eq!(set.bytes(), 3);
    }

    #[test]
    fn bad_buffers_are_named() {
        let error = Samples::from_f32(Shape::vector(3), vec![0.0; 4]).unwrap_err().to_string();
        assert!(error.contains("4 values") && error.contains("vector of 3"), "{error}");
        let set = Samples::from_f32(Shape::vector(1), vec![0.0; 4]).expect("four rows");
        assert!(set.with_labels(vec![1]).unwrap_err().to_string().contains("1 labels for 4 rows"));
        let set = Samples::from_f32(Shape::vector(2), vec![0.0, 1.0, f32::NAN, 0.0]).expect("two rows");
        let error = set.check_finite("the real set").unwrap_err().to_string();
        assert!(error.contains("row 1, column 0 of the real set is NaN"), "{error}");
    }
}
