//! FD-infinity: the Frechet distance extrapolated to endless samples.

use madloop_core::Features;

use crate::error::check_pair;
use crate::frechet::FrechetReference;
use crate::scatter::ScatterBuilder;
use crate::{MetricsError, Result};

/// Fewest generated samples of a point of the fit.
pub const FD_INFINITY_FROM: usize = 5000;
/// Points of the fit.
pub const FD_INFINITY_POINTS: usize = 15;

/// The Frechet distance of endless generated samples, squared units of the features.
///
/// Of the first N generated samples, for 15 numbers N from 5000 to n_g evenly spaced, the Frechet distance to the whole real set
/// is regressed on 1/N by least squares; the value is the intercept (Chong and Forsyth 2020, arXiv:1911.07023). The
/// samples must be in no order (by class, for instance): [`crate::Reference`] shuffles them first. Each point's moments are
/// those of the point before and the rows between. Range (-inf, inf): the finite real set keeps its own bias, and noise can
/// carry the intercept below 0.
///
/// # Errors
/// Undefined unless n_g > 5000 and n_r >= 2, or for values that are not finite; an error when the dimensions differ.
pub fn fd_infinity(real: &Features, generated: &Features) -> Result<f64> {
    check_pair(real, generated)?;
    let order: Vec<usize> = (0..generated.rows).collect();
    infinity(&FrechetReference::new(real)?, real, generated, &order)
}

/// [`fd_infinity`] of checked sets, of the generated rows in `order`.
pub(crate) fn infinity(
    reference: &FrechetReference,
    real: &Features,
    generated: &Features,
    order: &[usize],
) -> Result<f64> {
    let n = order.len();
    if n <= FD_INFINITY_FROM {
        let why = "the extrapolation starts there";
        return Err(MetricsError::TooFew { set: "generated", n, needs: FD_INFINITY_FROM + 1, why });
    }
    let d = generated.dim;
    let mut builder = ScatterBuilder::new(d)?;
    let mut points = Vec::with_capacity(FD_INFINITY_POINTS);
    let (mut done, mut slab) = (0, Vec::new());
    for size in sizes(n) {
        let distance = if size < d {
            let values = order[..size].iter().flat_map(|&row| generated.row(row)).copied().collect();
            reference.distance(real, &Features { rows: size, dim: d, values })?
        } else {
            for rows in order[done..size].chunks(1024) {
                slab.clear();
                slab.extend(rows.iter().flat_map(|&row| generated.row(row)));
                builder.push(&slab)?;
            }
            done = size;
            reference.distance_to(real, &builder.clone().finish().into_moments()?)?
        };
        points.push((1.0 / size as f64, distance));
    }
    Ok(intercept(&points))
}

/// The whole parts of 15 evenly spaced numbers from 5000 to `n`.
fn sizes(n: usize) -> impl Iterator<Item = usize> {
    let step = (n - FD_INFINITY_FROM) as f64 / (FD_INFINITY_POINTS - 1) as f64;
    (0..FD_INFINITY_POINTS).map(move |point| match point + 1 {
        FD_INFINITY_POINTS => n,
        _ => (FD_INFINITY_FROM as f64 + point as f64 * step) as usize,
    })
}

/// The value at 0 of the least-squares line.
fn intercept(points: &[(f64, f64)]) -> f64 {
    let count = points.len() as f64;
    let (x_mean, y_mean) = points.iter().fold((0.0, 0.0), |(x, y), point| (x + point.0 / count, y + point.1 / count));
    let (xy, xx) = points
        .iter()
        .fold((0.0, 0.0), |(xy, xx), (x, y)| (xy + (x - x_mean) * (y - y_mean), xx + (x - x_mean) * (x - x_mean)));
    // From 5001 samples on some points coincide, but never all.
    y_mean - xy / xx * x_mean
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::gaussian;

    #[test]
    fn sizes_are_those_of_linspace() {
        let found: Vec<_> = sizes(6000).collect();
        assert_eq!(found[..3], [5000, 5071, 5142]);
        assert_eq!((found.len(), found[14]), (15, 6000));
        assert_eq!(sizes(5001).filter(|&size| size == 5001).count(), 1);
    }

    #[test]
    fn a_line_is_continued_to_zero() {
        let points: Vec<_> = (1..9).map(|i| (1.0 / f64::from(i), 2.5 + 7.0 / f64::from(i))).collect();
        assert!((intercept(&points) - 2.5).abs() < 1e-14);
    }

    #[test]
    fn prefixes_are_those_of_the_whole_distance() {
        let (real, generated) = (gaussian(1, 700, 3, 0.0), gaussian(2, 5600, 3, 0.1));
        let points: Vec<_> = sizes(5600)
            .map(|size| {
                let prefix = Features { rows: size, dim: 3, values: generated.values[..3 * size].to_vec() };
                (1.0 / size as f64, crate::frechet_distance(&real, &prefix).expect("defined"))
            })
            .collect();
        let value = fd_infinity(&real, &generated).expect("defined");
        assert!((value - intercept(&points)).abs() < 1e-9, "{value}");
        let few = Features { rows: 5000, dim: 3, values: generated.values[..15_000].to_vec() };
        let error = fd_infinity(&real, &few).expect_err("no extrapolation");
        assert!(error.is_undefined() && error.to_string().contains("5001"), "{error}");
    }
}
