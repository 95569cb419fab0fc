//! One image within a border of zeros.

use super::super::scratch::Scratch;

/// Values `[height, width, channels]` of one image, with zeros around it.
#[derive(Debug)]
pub struct Plane {
    data: Scratch,
    height: usize,
    width: usize,
    channels: usize,
    /// Rows and columns of zeros before and after the image.
    before: [usize; 2],
    after: [usize; 2],
}

impl Plane {
    /// Zeros of `[height, width]` pixels within `border` pixels on each side.
    pub fn new(size: [usize; 2], channels: usize, border: usize) -> Self {
        Self::bordered(size, channels, [border; 2], [border; 2])
    }

    /// The same with rows and columns of zeros `before` the image and `after` it.
    pub fn bordered([height, width]: [usize; 2], channels: usize, before: [usize; 2], after: [usize; 2]) -> Self {
        let [rows, columns] = [height + before[0] + after[0], width + before[1] + after[1]];
        let len = rows * columns * channels;
        let bare = before == [0; 2] && after == [0; 2];
        // Without a border every value is written before it is read.
        let data = if bare { Scratch::new(len) } else { Scratch::zeros(len) };
        Self { data, height, width, channels, before, after }
    }

    /// Height and width.
    pub fn size(&self) -> [usize; 2] {
        [self.height, self.width]
    }

    /// Values of a pixel.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// Values from a row to the next.
    pub(super) fn row_step(&self) -> usize {
        (self.before[1] + self.width + self.after[1]) * self.channels
    }

    /// Whether the border is at least as wide as this.
    pub(super) fn has_border(&self, before: [usize; 2], after: [usize; 2]) -> bool {
        (0..2).all(|axis| self.before[axis] >= before[axis] && self.after[axis] >= after[axis])
    }

    /// Whether the pixels of all rows follow each other.
    pub(super) fn is_bare(&self) -> bool {
        self.before[1] + self.after[1] == 0
    }

    /// Where the window lies whose first pixel is `up` rows above and `left` columns before the image's pixel at (row, column).
    pub(super) fn at(&self, row: usize, column: usize, [up, left]: [usize; 2]) -> usize {
        (self.before[0] + row - up) * self.row_step() + (self.before[1] + column - left) * self.channels
    }

    pub(super) fn values(&self) -> &[f32] {
        &self.data
    }

    pub(super) fn values_mut(&mut self) -> &mut [f32] {
        &mut self.data
    }

    /// The values of a row, `[width, channels]`.
    pub fn row(&self, row: usize) -> &[f32] {
        let from = self.at(row, 0, [0; 2]);
        &self.data[from..][..self.width * self.channels]
    }

    /// The same, to be written.
    pub fn row_mut(&mut self, row: usize) -> &mut [f32] {
        let from = self.at(row, 0, [0; 2]);
        let len = self.width * self.channels;
        &mut self.data[from..][..len]
    }
}
