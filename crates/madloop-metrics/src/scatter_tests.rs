//! Tests of [`Scatter`](super::Scatter).

use madloop_core::Features;
use proptest::prelude::*;

use super::*;
use crate::testing::{gaussian, in_pool};

fn scatter(set: &Features, batch: usize) -> Scatter {
    let mut builder = ScatterBuilder::new(set.dim).expect("d x d");
    for rows in set.values.chunks(batch * set.dim) {
        builder.push(rows).expect("whole rows");
    }
    assert_eq!(builder.n(), set.rows as u64);
    builder.finish()
}

fn rows(set: &Features, rows: Range<usize>) -> Features {
    let values = set.values[rows.start * set.dim..rows.end * set.dim].to_vec();
    Features { rows: rows.len(), dim: set.dim, values }
}

/// The largest difference of two matrices, relative to the largest entry.
fn apart(a: &[f64], b: &[f64]) -> f64 {
    let largest = a.iter().fold(0.0_f64, |largest, value| largest.max(value.abs()));
    a.iter().zip(b).fold(0.0_f64, |apart, (a, b)| apart.max((a - b).abs())) / largest
}

#[test]
fn one_pass_gives_the_moments_of_two() {
    for (n, d) in [(2, 1), (7, 3), (1024, 5), (2500, 33), (3000, 150), (20, 600)] {
        let set = gaussian(1, n, d, 0.5);
        let moments = Moments::new(&set).expect("two rows or more");
        let found = scatter(&set, 100).into_moments().expect("two rows or more");
        assert_eq!(found.n, n);
        assert!(apart(&moments.mean, &found.mean) < 1e-14, "{n} x {d}");
        assert!(apart(&moments.covariance, &found.covariance) < 1e-13, "{n} x {d}");
        for i in 0..d {
            for j in 0..i {
                assert_eq!(found.covariance[i * d + j], found.covariance[j * d + i]);
            }
        }
    }
}

#[test]
fn batches_and_threads_change_no_bit() {
    for (n, d) in [(5000, 7), (2100, 530)] {
        let set = gaussian(2, n, d, 3.0);
        let whole = in_pool(1, || scatter(&set, n));
        for (threads, batch) in [(1, 1), (3, 700), (2, 1024), (3, 3000)] {
            assert!(whole == in_pool(threads, || scatter(&set, batch)), "{threads} threads, {batch} rows");
        }
    }
}

#[test]
fn identical_rows_have_exactly_no_scatter() {
    let row = [0.1_f32, -3.7e6, 1e-20, 3e38];
    let set = Features { rows: 5001, dim: 4, values: row.repeat(5001) };
    let whole = scatter(&set, 99);
    let merged = scatter(&rows(&set, 0..3), 1).merge(&scatter(&rows(&set, 3..5001), 1)).expect("4 dimensions");
    for scatter in [whole, merged] {
        assert_eq!(scatter.mean(), row.map(f64::from));
        assert_eq!((scatter.rest(), scatter.scatter()), (&[0.0; 4][..], &[0.0; 16][..]));
    }
}

/// Rows of deviation 1 about `offset`, on a grid that f32 holds exactly there.
fn far(n: usize, d: usize, offset: f32) -> Features {
    let mut set = gaussian(3, n, d, 0.0);
    set.values.iter_mut().for_each(|value| *value = (*value * 16.0).round() / 16.0 + offset);
    set
}

#[test]
fn far_from_zero_nothing_is_lost() {
    // The same rows, moved by an exact 1e6: C is the same, and the mean moves by 1e6.
    let (near, far) = (scatter(&far(10_000, 6, 0.0), 512), scatter(&far(10_000, 6, 1e6), 512));
    assert!(apart(near.scatter(), far.scatter()) < 1e-14);
    for i in 0..6 {
        let moved = (far.mean()[i] - 1e6) + far.rest()[i];
        assert!((moved - (near.mean()[i] + near.rest()[i])).abs() < 1e-14, "{moved}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn shards_merge_to_the_whole(
        cuts in prop::collection::btree_set(1_usize..3000, 0..6),
        offset in prop::sample::select(vec![0.0_f32, -40.0, 1e6]),
    ) {
        let set = far(3000, 5, offset);
        let whole = scatter(&set, 3000);
        let ends = cuts.iter().copied().chain([3000]);
        let starts = [0].into_iter().chain(cuts.iter().copied());
        let shards: Vec<Scatter> = starts.zip(ends).map(|(a, b)| scatter(&rows(&set, a..b), 64)).collect();
        // From the left, and from the right: the order is rounding alone.
        let left = shards.iter().try_fold(Scatter::empty(5).expect("5 x 5"), Scatter::merge).expect("5 dimensions");
        let right = shards.iter().rev().try_fold(Scatter::empty(5).expect("5 x 5"), |right, shard| {
            shard.clone().merge(&right)
        }).expect("5 dimensions");
        for merged in [&left, &right] {
            prop_assert_eq!(merged.n(), 3000);
            prop_assert!(apart(whole.scatter(), merged.scatter()) < 1e-12);
            for i in 0..5 {
                let apart = (merged.mean()[i] - whole.mean()[i]) + (merged.rest()[i] - whole.rest()[i]);
                prop_assert!(apart.abs() < 1e-12, "{}", apart);
            }
            for i in 0..5 {
                for j in 0..i {
                    prop_assert_eq!(merged.scatter()[5 * i + j], merged.scatter()[5 * j + i]);
                }
            }
        }
    }
}

#[test]
fn single_rows_are_parts_too() {
    let set = gaussian(4, 9, 3, 2.0);
    let whole = scatter(&set, 9).into_moments().expect("nine rows");
    let merged = (0..9).try_fold(Scatter::empty(3).expect("3 x 3"), |total, row| {
        let one = Scatter::from_covariance(
            1,
            set.row(row).iter().map(|&v| v.into()).collect(),
            vec![0.0; 3],
            vec![f64::NAN; 9],
        );
        total.merge(&one.expect("one row"))
    });
    let merged = merged.and_then(Scatter::into_moments).expect("nine rows");
    assert!(apart(&whole.covariance, &merged.covariance) < 1e-14);
}

#[test]
fn misuse_is_named() {
    let mut builder = ScatterBuilder::new(3).expect("3 x 3");
    assert!(builder.push(&[0.0; 4]).unwrap_err().to_string().contains("4 values of the rows"));
    assert!(ScatterBuilder::new(0).is_err());
    assert!(ScatterBuilder::new(1 << 40).unwrap_err().to_string().contains("1099511627776"));
    builder.push(&[0.0; 3]).expect("a row");
    let one = builder.finish();
    let error = one.clone().merge(&Scatter::empty(2).expect("2 x 2")).unwrap_err().to_string();
    assert!(error.contains('3') && error.contains('2'), "{error}");
    assert!(one.into_moments().unwrap_err().is_undefined());
    assert!(Scatter::from_covariance(0, vec![0.0], vec![0.0], vec![0.0]).is_err());
    assert!(Scatter::from_covariance(5, vec![0.0], vec![0.0], vec![0.0; 2]).is_err());
    assert!(Scatter::from_covariance(5, vec![0.0], vec![], vec![0.0]).is_err());
}
