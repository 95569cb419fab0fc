//! Invertible matrices with a determinant that is read off: W = P L U D, from one matrix of parameters.
//!
//! L is lower, U upper triangular, both with ones on their diagonal; D is diagonal and positive. The c x c parameters hold what is
//! below the diagonal of L, what is above it of U, and ln D on it, so that ln |det W| is their trace (Kingma and Dhariwal 2018,
//! arXiv:1807.03039, eq. 10 and 11). P is fixed: see [`shuffled`].

use super::Scratch;
use super::matmul::{Matrix, products};

/// Which of c numbers comes to place j: of an even c the odd ones first, of an odd c all in turn by half of them. Repeated, it brings every number
/// into both halves; two numbers are swapped.
pub fn shuffled(c: usize, j: usize) -> usize {
    match (c.is_multiple_of(2), j < c / 2) {
        (true, true) => 2 * j + 1,
        (true, false) => 2 * (j - c / 2),
        (false, _) => (j + c / 2) % c,
    }
}

/// L and U as whole matrices.
fn factors(a: &[f32], c: usize) -> [Scratch; 2] {
    assert_eq!(a.len(), c * c, "the parameters of a {c} x {c} matrix");
    let (mut l, mut u) = (Scratch::zeros(c * c), Scratch::zeros(c * c));
    for i in 0..c {
        let row = i * c;
        l[row..row + i].copy_from_slice(&a[row..row + i]);
        u[row + i + 1..row + c].copy_from_slice(&a[row + i + 1..row + c]);
        (l[row + i], u[row + i]) = (1.0, 1.0);
    }
    [l, u]
}

/// w = P L U D, `[c, c]`: row `shuffled(c, j)` of w is row j of L U D.
///
/// # Panics
/// If lengths do not fit.
pub fn product(a: &[f32], c: usize, w: &mut [f32]) {
    assert_eq!(w.len(), c * c, "a {c} x {c} matrix");
    let [l, u] = factors(a, c);
    let mut v = Scratch::new(c * c);
    products(1, 1.0, Matrix::new(&l, c, c), Matrix::new(&u, c, c), &mut v);
    let scale: Vec<f32> = (0..c).map(|j| a[j * c + j].exp()).collect();
    for (j, v) in v.chunks_exact(c).enumerate() {
        let to = shuffled(c, j) * c;
        for ((w, v), scale) in w[to..to + c].iter_mut().zip(v).zip(&scale) {
            *w = v * scale;
        }
    }
}

/// The gradient of the parameters from that of w.
///
/// # Panics
/// If lengths do not fit.
pub fn gradient(a: &[f32], c: usize, dw: &[f32], da: &mut [f32]) {
    assert!(dw.len() == c * c && da.len() == c * c, "gradients of a {c} x {c} matrix");
    let [l, u] = factors(a, c);
    let scale: Vec<f32> = (0..c).map(|j| a[j * c + j].exp()).collect();
    // g = P' dw D: the gradient of L U.
    let mut g = Scratch::new(c * c);
    for (j, g) in g.chunks_exact_mut(c).enumerate() {
        let from = shuffled(c, j) * c;
        for ((g, dw), scale) in g.iter_mut().zip(&dw[from..from + c]).zip(&scale) {
            *g = dw * scale;
        }
    }
    let [mut v, mut dl, mut du] = [(); 3].map(|()| Scratch::new(c * c));
    let (lower, upper, outer) = (Matrix::new(&l, c, c), Matrix::new(&u, c, c), Matrix::new(&g, c, c));
    products(1, 1.0, lower, upper, &mut v);
    products(1, 1.0, outer, upper.t(), &mut dl);
    products(1, 1.0, lower.t(), outer, &mut du);
    for i in 0..c {
        for j in 0..c {
            let at = i * c + j;
            da[at] = match i.cmp(&j) {
                std::cmp::Ordering::Greater => dl[at],
                std::cmp::Ordering::Less => du[at],
                std::cmp::Ordering::Equal => (0..c).map(|row| g[row * c + j] * v[row * c + j]).sum(),
            };
        }
    }
}

/// W^-1 in f64, by substitution.
///
/// # Panics
/// If lengths do not fit.
pub fn inverse(a: &[f32], c: usize) -> Vec<f64> {
    assert_eq!(a.len(), c * c, "the parameters of a {c} x {c} matrix");
    let at = |i: usize, j: usize| f64::from(a[i * c + j]);
    let mut out = vec![0.0; c * c];
    // Row i of the inverse solves x P L U D = e_i.
    for i in 0..c {
        let row = &mut out[i * c..(i + 1) * c];
        row[i] = (-at(i, i)).exp();
        // x U = e D^-1, from left to right; then x L, from right to left.
        for j in i + 1..c {
            row[j] = -(i..j).map(|k| row[k] * at(k, j)).sum::<f64>();
        }
        for j in (0..c).rev() {
            row[j] -= (j + 1..c).map(|k| row[k] * at(k, j)).sum::<f64>();
        }
        // x P: the number of row j of L U D goes back to where it came from.
        let solved = row.to_vec();
        for (j, value) in solved.into_iter().enumerate() {
            row[shuffled(c, j)] = value;
        }
    }
    out
}
