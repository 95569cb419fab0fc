//! Greedy k-means++ seeding.

use rand::{Rng, RngExt};

/// Indices of at most `k` distinct points: the first uniform, each next one the best (least remaining potential) of
/// `candidates` draws with probability proportional to the squared distance to the nearest centre so far (Arthur and
/// Vassilvitskii 2007, section 7). Ends early when all points coincide with a centre.
pub(crate) fn greedy_k_means<R: Rng>(
    points: &[f64],
    n: usize,
    d: usize,
    k: usize,
    candidates: usize,
    rng: &mut R,
) -> Vec<usize> {
    let point = |i: usize| &points[i * d..(i + 1) * d];
    let mut centres = vec![rng.random_range(0..n)];
    let mut nearest: Vec<f64> = (0..n).map(|i| squared_distance(point(i), point(centres[0]))).collect();
    let mut trial = vec![0.0; n];
    let mut best = vec![0.0; n];
    while centres.len() < k {
        let total: f64 = nearest.iter().sum();
        if !(total > 0.0 && total.is_finite()) {
            break;
        }
        let mut best_potential = f64::INFINITY;
        let mut best_index = 0;
        for _ in 0..candidates {
            let candidate = pick(&nearest, rng.random::<f64>() * total);
            let mut potential = 0.0;
            for (i, (trial, &now)) in trial.iter_mut().zip(&nearest).enumerate() {
                *trial = now.min(squared_distance(point(i), point(candidate)));
                potential += *trial;
            }
            if potential < best_potential {
                (best_potential, best_index) = (potential, candidate);
                std::mem::swap(&mut best, &mut trial);
            }
        }
        centres.push(best_index);
        nearest.copy_from_slice(&best);
    }
    centres
}

/// The index at which the running sum of `weights` passes `target`; never one of weight 0.
fn pick(weights: &[f64], target: f64) -> usize {
    let mut sum = 0.0;
    let mut last = 0;
    for (i, &weight) in weights.iter().enumerate().filter(|(_, weight)| **weight > 0.0) {
        sum += weight;
        last = i;
        if sum > target {
            break;
        }
    }
    last
}

/// |a - b|^2, summed in a fixed order.
pub(crate) fn squared_distance(a: &[f64], b: &[f64]) -> f64 {
    const LANES: usize = 8;
    let mut sums = [0.0; LANES];
    let (a_chunks, a_rest) = a.as_chunks::<LANES>();
    let (b_chunks, b_rest) = b.as_chunks::<LANES>();
    for (a, b) in a_chunks.iter().zip(b_chunks) {
        for lane in 0..LANES {
            sums[lane] += (a[lane] - b[lane]) * (a[lane] - b[lane]);
        }
    }
    let rest: f64 = a_rest.iter().zip(b_rest).map(|(a, b)| (a - b) * (a - b)).sum();
    sums.iter().sum::<f64>() + rest
}

#[cfg(test)]
mod tests {
    use madloop_core::{Seeds, Stream};
    use rand_distr::{Distribution, StandardNormal};

    use super::*;

    /// The 25 centres of the grid with 40 points each, sigma 0.1.
    fn grid() -> Vec<f64> {
        let mut rng = Seeds::new(1).rng(Stream::REAL, 0);
        let mut near =
            |centre: usize| centre as f64 - 2.0 + 0.1 * Distribution::<f64>::sample(&StandardNormal, &mut rng);
        (0..1000).flat_map(|i| [near(i % 5), near(i % 25 / 5)]).collect()
    }

    #[test]
    fn greedy_seeding_finds_the_grid_far_more_often_than_plain() {
        let points = grid();
        let found = |candidates: usize| {
            let all = |seed: &u64| {
                let mut rng = Seeds::new(*seed).rng(Stream::TRAIN, 0);
                let centres = greedy_k_means(&points, 1000, 2, 25, candidates, &mut rng);
                let modes: std::collections::BTreeSet<usize> = centres.iter().map(|i| i % 25).collect();
                modes.len() == 25
            };
            (0..200).filter(all).count()
        };
        let (plain, greedy) = (found(1), found(5));
        // Expected 7 % and 81 % of 200 draws; the binomial chance of crossing either bound is below 1e-7.
        assert!(plain < 40, "plain: {plain} of 200");
        assert!(greedy > 125, "greedy: {greedy} of 200");
    }

    #[test]
    fn coinciding_points_give_one_centre() {
        let mut rng = Seeds::new(1).rng(Stream::TRAIN, 0);
        assert_eq!(greedy_k_means(&[1.0; 12], 6, 2, 4, 5, &mut rng).len(), 1);
    }
}
