//! The Frechet distance against closed forms, other routes and scales.

use super::*;
use crate::testing::{gaussian, in_pool};

fn close(a: f64, b: f64, relative: f64) -> bool {
    (a - b).abs() <= relative * a.abs().max(b.abs())
}

#[test]
fn gaussians_with_commuting_covariances_have_a_closed_form() {
    let (a, b) = ([4.0, 0.0, 0.0, 9.0], [1.0, 0.0, 0.0, 16.0]);
    let value = gaussian_w2_sq(&[1.0, 2.0], &a, &[0.0, 0.0], &b).expect("covariances");
    assert!(close(value, 5.0 + 1.0 + 1.0, 1e-14), "{value}");
    // The same, turned by 30 degrees.
    let turn = |c: [f64; 4]| {
        let (cos, sin) = (0.75_f64.sqrt(), 0.5);
        let (p, q) = (c[0], c[3]);
        let off = (p - q) * cos * sin;
        [p * cos * cos + q * sin * sin, off, off, p * sin * sin + q * cos * cos]
    };
    let value = gaussian_w2_sq(&[1.0, 2.0], &turn(a), &[0.0, 0.0], &turn(b)).expect("covariances");
    assert!(close(value, 7.0, 1e-13), "{value}");
    let value = gaussian_w2_sq(&[3.0], &[4.0], &[1.0], &[0.25]).expect("variances");
    assert!(close(value, 4.0 + 2.25, 1e-15), "{value}");
}

#[test]
fn two_by_two_covariances_that_do_not_commute() {
    // tr (AB)^{1/2} = (tr AB + 2 (det AB)^{1/2})^{1/2} for 2 x 2.
    let (a, b) = ([2.0, 0.7, 0.7, 1.0], [1.5, -0.6, -0.6, 3.0]);
    let trace_ab: f64 = a[0] * b[0] + 2.0 * a[1] * b[1] + a[3] * b[3];
    let det = |m: [f64; 4]| m[0] * m[3] - m[1] * m[2];
    let expected = 3.0 + 4.5 - 2.0 * (trace_ab + 2.0 * (det(a) * det(b)).sqrt()).sqrt();
    let value = gaussian_w2_sq(&[0.0; 2], &a, &[0.0; 2], &b).expect("covariances");
    assert!(close(value, expected, 1e-13), "{value} {expected}");
}

#[test]
fn the_distance_to_the_standard_gaussian() {
    let value = w2_sq_to_standard(&[0.5, 0.0], &[0.25, 0.0, 0.0, 4.0]).expect("covariance");
    assert!(close(value, 0.25 + 0.25 + 1.0, 1e-15), "{value}");
    assert_eq!(w2_sq_to_standard(&[0.0; 3], &[0.0; 9]).expect("covariance"), 3.0);
    let correlated = [1.3, 0.4, 0.4, 0.2];
    let general = gaussian_w2_sq(&[1.0, -1.0], &correlated, &[0.0; 2], &[1.0, 0.0, 0.0, 1.0]).expect("covariances");
    let special = w2_sq_to_standard(&[1.0, -1.0], &correlated).expect("covariance");
    assert!(close(general, special, 1e-13));
    assert!(w2_sq_to_standard(&[0.0; 2], &[1.0, 2.0, 2.0, 1.0]).expect_err("indefinite").is_undefined());
    assert!(!w2_sq_to_standard(&[0.0; 2], &[1.0]).expect_err("too short").is_undefined());
    assert!(w2_sq_to_standard(&[f64::NAN], &[1.0]).is_err());
}

#[test]
fn one_dimension_is_the_difference_of_means_and_deviations() {
    let set = |values: &[f32]| Features { rows: values.len(), dim: 1, values: values.to_vec() };
    // Means 2 and 0, variances 4 and 1.
    let (a, b) = (set(&[0.0, 2.0, 4.0]), set(&[-1.0, 0.0, 1.0]));
    assert!(close(frechet_distance(&a, &b).expect("defined"), 4.0 + 1.0, 1e-14));
}

#[test]
fn the_routes_agree() {
    // n >= d, so that all three routes are possible.
    for (n_r, n_g, d) in [(50, 40, 6), (30, 30, 30), (300, 200, 64), (9, 7, 7)] {
        let (real, generated) = (gaussian(3, n_r, d, 0.0), gaussian(4, n_g, d, 0.3));
        let whole = FrechetReference::new(&real).expect("prepared");
        let rows = FrechetReference { root: None, ..whole.clone() };
        let root = whole.root.as_ref().expect("n >= d");
        let by_eigenvalues = whole.by_eigenvalues(root, &Moments::new(&generated).expect("rows")).expect("defined");
        for other in [&whole, &rows] {
            let by_norm = other.by_nuclear_norm(&real, &generated).expect("defined");
            assert!(close(by_eigenvalues, by_norm, 1e-8), "{by_eigenvalues} {by_norm}");
        }
    }
}

#[test]
fn a_point_is_at_the_trace_of_the_other() {
    let real = gaussian(5, 80, 7, 0.0);
    let moments = Moments::new(&real).expect("moments");
    let point = Features { rows: 30, dim: 7, values: vec![0.5; 210] };
    let expected = trace_of(&moments.covariance, 7) + squared_distance(&moments.mean, &[0.5; 7]);
    assert!(close(frechet_distance(&real, &point).expect("defined"), expected, 1e-14));
    assert!(close(frechet_distance(&point, &real).expect("defined"), expected, 1e-14));
    let two = Features { rows: 2, dim: 7, values: vec![0.5; 14] };
    assert!(close(frechet_distance(&real, &two).expect("defined"), expected, 1e-14));
    assert!(close(frechet_distance(&two, &real).expect("defined"), expected, 1e-14));
    assert_eq!(frechet_distance(&two, &point).expect("defined"), 0.0);
}

#[test]
fn orthogonal_supports_do_not_overlap() {
    // Rank-deficient: one set varies along x only, the other along y only.
    let axis = |a: usize| Features {
        rows: 40,
        dim: 2,
        values: (0..40).flat_map(|i| if a == 0 { [i as f32, 0.0] } else { [19.5, i as f32 - 19.5] }).collect(),
    };
    let variance = (0..40).map(|i| (f64::from(i) - 19.5).powi(2)).sum::<f64>() / 39.0;
    let value = frechet_distance(&axis(0), &axis(1)).expect("defined");
    assert!(close(value, 2.0 * variance, 1e-12), "{value}");
}

#[test]
fn images_of_49152_values_need_no_square_matrix() {
    // d * d would be 19 GB. Both sets vary in the first three columns only.
    let (n, d) = (40, 49_152);
    let wide = |seed, shift: f32| {
        let narrow = gaussian(seed, n, 3, shift);
        let mut values = vec![0.25_f32; n * d];
        for (row, values) in values.chunks_exact_mut(d).enumerate() {
            values[..3].copy_from_slice(narrow.row(row));
        }
        (narrow, Features { rows: n, dim: d, values })
    };
    let ((narrow_r, wide_r), (narrow_g, wide_g)) = (wide(6, 0.0), wide(7, 1.0));
    let expected = frechet_distance(&narrow_r, &narrow_g).expect("defined");
    let value = frechet_distance(&wide_r, &wide_g).expect("defined");
    assert!(close(value, expected, 1e-9), "{value} {expected}");
}

#[test]
fn a_column_of_another_scale_hides_no_other() {
    // The same long column in both sets adds nothing; the others are of twice the deviation.
    let (n, d) = (400, 10);
    let narrow = gaussian(31, n, d, 0.0);
    let with = |scale: f32, long: f32| {
        let mut set = narrow.clone();
        for (i, row) in set.values.chunks_exact_mut(d).enumerate() {
            row.iter_mut().for_each(|value| *value *= scale);
            row[0] = long * ((i * 7919 % n) as f32 / n as f32 - 0.5);
        }
        set
    };
    let expected = frechet_distance(&with(1.0, 1.0), &with(2.0, 1.0)).expect("defined");
    let value = frechet_distance(&with(1.0, 1e5), &with(2.0, 1e5)).expect("defined");
    assert!(close(value, expected, 1e-3), "{value} {expected}");
}

#[test]
fn threads_change_no_bit() {
    for (n, d) in [(400, 300), (200, 300), (700, 600), (600, 900)] {
        let (real, generated) = (gaussian(8, n, d, 0.0), gaussian(9, n, d, 0.1));
        let one = in_pool(1, || frechet_distance(&real, &generated));
        assert_eq!(one, in_pool(3, || frechet_distance(&real, &generated)));
    }
}
