//! Bringing images to a network's size as other tools do it: the step in which they differ most.

use std::fmt;

/// How images are brought to a network's size. Values are from 0 to 255 and stay unrounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resizing {
    /// TensorFlow 1's bilinear: source = i in / out, corners not aligned, no antialiasing; as torch-fidelity.
    TorchFidelity,
    /// PyTorch's bilinear: source = (i + 1/2) in / out - 1/2, no antialiasing; as pytorch-fid.
    PytorchFid,
    /// Pillow's bicubic (a = -1/2) a channel in f32, widened by the scale when images shrink, cut to 0..255; as clean-fid.
    CleanFid,
}

impl Resizing {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::TorchFidelity, Self::PytorchFid, Self::CleanFid];

    /// The tool whose choice it is.
    pub fn name(self) -> &'static str {
        match self {
            Self::TorchFidelity => "torch-fidelity",
            Self::PytorchFid => "pytorch-fid",
            Self::CleanFid => "clean-fid",
        }
    }

    /// The one of this name.
    pub fn find(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|how| how.name() == name)
    }

    /// Where the values of `to` pixels come from, `from` pixels being there.
    pub(super) fn taps(self, from: usize, to: usize) -> Vec<Taps> {
        match self {
            Self::CleanFid => bicubic(from, to),
            _ => (0..to).map(|at| self.two(at, from, to)).collect(),
        }
    }

    fn two(self, at: usize, from: usize, to: usize) -> Taps {
        let scale = (from as f64 / to as f64) as f32;
        let source = match self {
            Self::TorchFidelity => at as f32 * scale,
            _ => ((at as f32 + 0.5) * scale - 0.5).max(0.0),
        };
        let first = (source as usize).min(from - 1);
        let share = f64::from(source - first as f32);
        Taps { first, next: (first + 1).min(from - 1), weights: vec![1.0 - share, share] }
    }
}

impl fmt::Display for Resizing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What one pixel is made of.
pub(super) struct Taps {
    first: usize,
    /// The second of two taps; that of more follow the first.
    next: usize,
    weights: Vec<f64>,
}

fn bicubic(from: usize, to: usize) -> Vec<Taps> {
    const A: f64 = -0.5;
    let kernel = |x: f64| match x.abs() {
        x if x < 1.0 => ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0,
        x if x < 2.0 => (((x - 5.0) * x + 8.0) * x - 4.0) * A,
        _ => 0.0,
    };
    let scale = from as f64 / to as f64;
    let wide = scale.max(1.0);
    let one = |at: usize| {
        let center = (at as f64 + 0.5) * scale;
        let first = (center - 2.0 * wide + 0.5).max(0.0) as usize;
        let end = ((center + 2.0 * wide + 0.5) as usize).min(from);
        let mut weights: Vec<f64> = (first..end).map(|x| kernel((x as f64 - center + 0.5) * (1.0 / wide))).collect();
        let sum: f64 = weights.iter().sum();
        weights.iter_mut().for_each(|weight| *weight /= sum);
        Taps { first, next: first + 1, weights }
    };
    (0..to).map(one).collect()
}

/// Images of one size, brought to another.
pub(super) struct Resizer {
    how: Resizing,
    from: [usize; 2],
    to: [usize; 2],
    rows: Vec<Taps>,
    columns: Vec<Taps>,
}

impl Resizer {
    pub(super) fn new(how: Resizing, from: [usize; 2], to: [usize; 2]) -> Self {
        Self { how, from, to, rows: how.taps(from[0], to[0]), columns: how.taps(from[1], to[1]) }
    }

    /// `pixels` (`[height, width, 3]`) in the other size, row by row: `write(row, values)`.
    pub(super) fn run(&self, pixels: &[f32], mut write: impl FnMut(usize, &[f32])) {
        if self.how == Resizing::CleanFid {
            return self.bicubic(pixels, write);
        }
        let mut line = vec![0.0; self.to[1] * 3];
        let row = |at: usize| &pixels[at * self.from[1] * 3..][..self.from[1] * 3];
        for (at, taps) in self.rows.iter().enumerate() {
            let (upper, lower) = (row(taps.first), row(taps.next));
            for (out, column) in line.as_chunks_mut::<3>().0.iter_mut().zip(&self.columns) {
                let (left, right) = (column.first * 3, column.next * 3);
                for (c, out) in out.iter_mut().enumerate() {
                    let of = |row: &[f32]| self.mix(row[left + c], row[right + c], column);
                    *out = self.mix(of(upper), of(lower), taps);
                }
            }
            write(at, &line);
        }
    }

    /// The two tools add in different orders.
    fn mix(&self, a: f32, b: f32, taps: &Taps) -> f32 {
        let share = taps.weights[1] as f32;
        match self.how {
            Resizing::TorchFidelity => a + (b - a) * share,
            _ => (1.0 - share) * a + share * b,
        }
    }

    fn bicubic(&self, pixels: &[f32], mut write: impl FnMut(usize, &[f32])) {
        let width = self.to[1] * 3;
        // Pillow leaves out a pass that changes nothing.
        let narrowed;
        let lines = if self.from[1] == self.to[1] {
            pixels
        } else {
            let mut all = vec![0.0_f32; self.from[0] * width];
            for (line, pixels) in all.chunks_exact_mut(width).zip(pixels.chunks_exact(self.from[1] * 3)) {
                for (out, taps) in line.as_chunks_mut::<3>().0.iter_mut().zip(&self.columns) {
                    let mut sums = [0.0_f64; 3];
                    let from = pixels[taps.first * 3..].as_chunks::<3>().0;
                    for (weight, pixel) in taps.weights.iter().zip(from) {
                        for (sum, &value) in sums.iter_mut().zip(pixel) {
                            *sum += f64::from(value) * weight;
                        }
                    }
                    *out = sums.map(|sum| sum as f32);
                }
            }
            narrowed = all;
            &narrowed
        };
        let mut sums = vec![0.0_f64; width];
        let mut line = vec![0.0_f32; width];
        for (at, taps) in self.rows.iter().enumerate() {
            if self.from[0] == self.to[0] {
                line.copy_from_slice(&lines[at * width..][..width]);
            } else {
                sums.fill(0.0);
                for (weight, row) in taps.weights.iter().zip(lines[taps.first * width..].chunks_exact(width)) {
                    for (sum, &value) in sums.iter_mut().zip(row) {
                        *sum += f64::from(value) * weight;
                    }
                }
                line.iter_mut().zip(&sums).for_each(|(value, sum)| *value = *sum as f32);
            }
            line.iter_mut().for_each(|value| *value = value.clamp(0.0, 255.0));
            write(at, &line);
        }
    }
}
