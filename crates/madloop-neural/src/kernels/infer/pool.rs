//! Pooling of one image.

use super::super::simd::{Level, simd};
use super::{Plane, Window};

/// How a window is summed up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pool {
    /// The largest value; of the border too, so that values must not be negative where the window has padding.
    Max,
    /// The mean of the image's own values, the border not counted.
    Mean,
}

/// Writes the pooled image to channels `first..` of `y`.
///
/// # Panics
/// If shapes do not fit, or the border of `x` is narrower than the padding.
pub fn pool(level: Level, how: Pool, window: &Window, x: &Plane, y: &mut Plane, first: usize) {
    assert!(x.has_border(window.before, window.after), "a border narrower than the padding");
    assert_eq!(y.size(), window.out_size(x.size()), "the output's size");
    assert!(first + x.channels() <= y.channels(), "output channels");
    simd!(level, s => {
        let _ = s;
        rows(how, window, x, y, first);
    });
}

#[inline(always)]
fn rows(how: Pool, window: &Window, x: &Plane, y: &mut Plane, first: usize) {
    let (c, all, [height, width]) = (x.channels(), y.channels(), y.size());
    for row in 0..height {
        let from = &x.values()[x.at(row * window.stride, 0, window.before)..];
        let inside = |axis: usize, at: usize| {
            let start = (at * window.stride) as isize - window.before[axis] as isize;
            let end = start + window.kernel[axis] as isize;
            (end.min(x.size()[axis] as isize) - start.max(0)) as f32
        };
        for (column, y) in y.row_mut(row).chunks_exact_mut(all).enumerate().take(width) {
            let y = &mut y[first..first + c];
            let at = |u: usize, v: usize| &from[u * x.row_step() + (column * window.stride + v) * c..][..c];
            y.copy_from_slice(at(0, 0));
            for u in 0..window.kernel[0] {
                for v in (0..window.kernel[1]).skip(usize::from(u == 0)) {
                    match how {
                        Pool::Max => y.iter_mut().zip(at(u, v)).for_each(|(y, &x)| *y = if x > *y { x } else { *y }),
                        Pool::Mean => y.iter_mut().zip(at(u, v)).for_each(|(y, x)| *y += x),
                    }
                }
            }
            if how == Pool::Mean {
                let share = 1.0 / (inside(0, row) * inside(1, column));
                y.iter_mut().for_each(|y| *y *= share);
            }
        }
    }
}

/// The mean of each channel.
pub fn global_mean(x: &Plane) -> Vec<f32> {
    let ([height, width], c) = (x.size(), x.channels());
    let mut sums = vec![0.0_f32; c];
    for row in 0..height {
        for pixel in x.row(row).chunks_exact(c) {
            sums.iter_mut().zip(pixel).for_each(|(sum, x)| *sum += x);
        }
    }
    let n = (height * width) as f32;
    sums.iter_mut().for_each(|sum| *sum /= n);
    sums
}
