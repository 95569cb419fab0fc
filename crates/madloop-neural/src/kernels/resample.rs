//! Images of twice the size: each pixel four times.

use rayon::prelude::*;

/// `y[b, i, j, c] = x[b, i / 2, j / 2, c]`; x is `[batch, height, width, channels]`, given as `[height, width, channels]`.
///
/// # Panics
/// If y is not four times as long as x, or x no number of images.
pub fn double(size: [usize; 3], x: &[f32], y: &mut [f32]) {
    check(size, x.len(), y.len());
    let [_, width, c] = size;
    if x.is_empty() {
        return;
    }
    y.par_chunks_mut(4 * width * c).zip(x.par_chunks(width * c)).with_min_len(16).for_each(|(y, x)| {
        let (above, below) = y.split_at_mut(2 * width * c);
        for (y, x) in above.chunks_exact_mut(2 * c).zip(x.chunks_exact(c)) {
            y[..c].copy_from_slice(x);
            y[c..].copy_from_slice(x);
        }
        below.copy_from_slice(above);
    });
}

/// The gradient of [`double`]: dx is the sum of the four pixels of dy.
///
/// # Panics
/// As [`double`].
pub fn double_gradient(size: [usize; 3], dy: &[f32], dx: &mut [f32]) {
    check(size, dx.len(), dy.len());
    let [_, width, c] = size;
    if dx.is_empty() {
        return;
    }
    dx.par_chunks_mut(width * c).zip(dy.par_chunks(4 * width * c)).with_min_len(16).for_each(|(dx, dy)| {
        let (above, below) = dy.split_at(2 * width * c);
        for ((dx, above), below) in dx.chunks_exact_mut(c).zip(above.chunks_exact(2 * c)).zip(below.chunks_exact(2 * c))
        {
            for i in 0..c {
                dx[i] = (above[i] + above[c + i]) + (below[i] + below[c + i]);
            }
        }
    });
}

fn check([height, width, c]: [usize; 3], x: usize, y: usize) {
    assert_eq!(4 * x, y, "twice the size is four times the pixels");
    let image = height * width * c;
    assert!(x == 0 || (image > 0 && x.is_multiple_of(image)), "{x} numbers are no images of {height} x {width} x {c}");
}
