//! Images of half and of twice the size by the filter \[1, 3, 3, 1\], and squares of pixels as one.
//!
//! Images are `[batch, height, width, channels]`, given as `[height, width, channels]`; what is beyond the border is 0.

use super::scratch::Scratch;
use super::simd::{Level, simd};
use rayon::prelude::*;

/// `y[i, j]` = factor / 64 sum over u, v in -1..=2 of f_u f_v `x[2 i + u, 2 j + v]`, f = 1, 3, 3, 1; the size is y's. The gradient of [`up`] is this with
/// 4 times the factor.
///
/// # Panics
/// If x is not four times as long as y, or y no number of images.
pub fn down(size: [usize; 3], factor: f32, x: &[f32], y: &mut [f32]) {
    check(size, y.len(), x.len());
    let [height, width, c] = size;
    if x.is_empty() {
        return;
    }
    let (level, row) = (Level::current(), 2 * width * c);
    let factor = factor / 64.0;
    y.par_chunks_mut(width * c).enumerate().with_min_len(4).for_each(|(at, y)| {
        let (image, i) = (at / height, at % height);
        let x = &x[image * 2 * height * row..][..2 * height * row];
        // Rows above and below the image are of zeros, and so are the pixels beside the sum of rows.
        let zero = Scratch::zeros(row);
        let of = |line: usize| {
            let line = (2 * i + line).wrapping_sub(1);
            if line < 2 * height { &x[line * row..][..row] } else { &zero[..] }
        };
        let lines = [of(0), of(1), of(2), of(3)];
        let mut sum = Scratch::new(row + 2 * c);
        sum[..c].fill(0.0);
        sum[row + c..].fill(0.0);
        simd!(level, s => {
            let _ = s;
            let [a, b, d, e] = lines;
            let of_lines = a.iter().zip(b).zip(d.iter().zip(e));
            for (sum, ((a, b), (d, e))) in sum[c..row + c].iter_mut().zip(of_lines) {
                *sum = (a + e) + 3.0 * (b + d);
            }
            for (j, y) in y.chunks_exact_mut(c).enumerate() {
                let four = &sum[2 * j * c..][..4 * c];
                let (a, rest) = four.split_at(c);
                let (b, rest) = rest.split_at(c);
                let (d, e) = rest.split_at(c);
                for (y, ((a, b), (d, e))) in y.iter_mut().zip(a.iter().zip(b).zip(d.iter().zip(e))) {
                    *y = factor * ((a + e) + 3.0 * (b + d));
                }
            }
        });
    });
}

/// `y[2 i + a, 2 j + b]` = factor / 16 times the sum of 3 x 3 parts of `x[i, j]`, 3 of its neighbour on the side of a, 3 on that of b, and 1 across;
/// the size is x's. The gradient of [`down`] is this with a quarter of the factor.
///
/// # Panics
/// If y is not four times as long as x, or x no number of images.
pub fn up(size: [usize; 3], factor: f32, x: &[f32], y: &mut [f32]) {
    check(size, x.len(), y.len());
    let [height, width, c] = size;
    if x.is_empty() {
        return;
    }
    let (level, row) = (Level::current(), width * c);
    let factor = factor / 16.0;
    y.par_chunks_mut(2 * row).enumerate().with_min_len(4).for_each(|(at, y)| {
        let (image, line) = (at / (2 * height), at % (2 * height));
        let x = &x[image * height * row..][..height * row];
        let (near, far) = (line / 2, (line / 2 + line % 2).wrapping_sub(1 - line % 2));
        let zero = Scratch::zeros(row);
        let near = &x[near * row..][..row];
        let far = if far < height { &x[far * row..][..row] } else { &zero[..] };
        let mut sum = Scratch::new(row + 2 * c);
        sum[..c].fill(0.0);
        sum[row + c..].fill(0.0);
        simd!(level, s => {
            let _ = s;
            for (sum, (near, far)) in sum[c..row + c].iter_mut().zip(near.iter().zip(far)) {
                *sum = factor * (3.0 * near + far);
            }
            for (j, y) in y.chunks_exact_mut(2 * c).enumerate() {
                let (left, right) = y.split_at_mut(c);
                let three = &sum[j * c..][..3 * c];
                let (a, rest) = three.split_at(c);
                let (b, d) = rest.split_at(c);
                let both = left.iter_mut().zip(right).zip(a.iter().zip(b).zip(d));
                for ((left, right), ((a, b), d)) in both {
                    *left = a + 3.0 * b;
                    *right = 3.0 * b + d;
                }
            }
        });
    });
}

/// `y[i, j, (a, b, c)] = x[2 i + a, 2 j + b, c]`; the size is y's without its fourfold channels.
///
/// # Panics
/// If lengths do not fit.
pub fn fold(size: [usize; 3], x: &[f32], y: &mut [f32]) {
    check_equal(size, x.len(), y.len());
    let [_, width, c] = size;
    if x.is_empty() {
        return;
    }
    let row = 4 * width * c;
    y.par_chunks_mut(row).zip(x.par_chunks(row)).with_min_len(4).for_each(|(y, x)| {
        let (above, below) = x.split_at(row / 2);
        let both = above.chunks_exact(2 * c).zip(below.chunks_exact(2 * c));
        for (y, (above, below)) in y.chunks_exact_mut(4 * c).zip(both) {
            y[..2 * c].copy_from_slice(above);
            y[2 * c..].copy_from_slice(below);
        }
    });
}

/// The inverse of [`fold`], and its gradient.
///
/// # Panics
/// If lengths do not fit.
pub fn unfold(size: [usize; 3], x: &[f32], y: &mut [f32]) {
    check_equal(size, x.len(), y.len());
    let [_, width, c] = size;
    if x.is_empty() {
        return;
    }
    let row = 4 * width * c;
    y.par_chunks_mut(row).zip(x.par_chunks(row)).with_min_len(4).for_each(|(y, x)| {
        let (above, below) = y.split_at_mut(row / 2);
        let both = above.chunks_exact_mut(2 * c).zip(below.chunks_exact_mut(2 * c));
        for (x, (above, below)) in x.chunks_exact(4 * c).zip(both) {
            above.copy_from_slice(&x[..2 * c]);
            below.copy_from_slice(&x[2 * c..]);
        }
    });
}

fn check([height, width, c]: [usize; 3], small: usize, large: usize) {
    assert_eq!(4 * small, large, "twice the size is four times the pixels");
    let image = height * width * c;
    let fits = small == 0 || (image > 0 && small.is_multiple_of(image));
    assert!(fits, "{small} numbers are no images of {height} x {width} x {c}");
}

fn check_equal([height, width, c]: [usize; 3], x: usize, y: usize) {
    assert_eq!(x, y, "folding keeps all numbers");
    check([height, width, c], x / 4, y);
}
