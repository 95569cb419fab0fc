//! Sums in one pass against sums of the whole, for every kind of file.

#![allow(clippy::disallowed_methods, reason = "tests make files")]

use std::fs;
use std::path::{Path, PathBuf};

use madloop_core::{Features, Samples};
use madloop_metrics::{Moments, Scatter, ScatterBuilder};

use super::*;
use crate::data::{Color, Filter, Resize, read_samples};

/// A folder with `x.npy` (`[n, d]`, f32) in it.
fn array(n: usize, d: usize, value: impl Fn(usize) -> f32) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("x.npy");
    write_array(&path, n, d, value);
    (folder, path)
}

fn write_array(path: &Path, n: usize, d: usize, value: impl Fn(usize) -> f32) {
    let text = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({n}, {d}), }}\n");
    let values = (0..n * d).flat_map(|index| value(index).to_le_bytes());
    let head = [b"\x93NUMPY\x01\x00", &(text.len() as u16).to_le_bytes()[..], text.as_bytes()].concat();
    fs::write(path, head.into_iter().chain(values).collect::<Vec<u8>>()).expect("a file");
}

fn wild(index: usize) -> f32 {
    (index as u32).wrapping_mul(2_654_435_761) as f32 / 1e9
}

fn apart(a: &[f64], b: &[f64]) -> f64 {
    let largest = a.iter().fold(0.0_f64, |largest, value| largest.max(value.abs()));
    a.iter().zip(b).fold(0.0_f64, |apart, (a, b)| apart.max((a - b).abs())) / largest
}

fn of_whole(samples: &Samples) -> Scatter {
    let mut builder = ScatterBuilder::new(samples.dim()).expect("d x d");
    builder.push(&samples.to_f32()).expect("whole rows");
    builder.finish()
}

#[test]
fn one_pass_over_a_file_gives_the_moments_of_the_set() {
    let (_folder, path) = array(5000, 3, wild);
    let stats = measure(&path, &Options::default()).expect("5000 rows");
    let samples = read_samples(&path, &ReadOptions::default()).expect("5000 rows");
    assert_eq!(stats.scatter, of_whole(&samples));
    let two = Moments::new(&Features { rows: 5000, dim: 3, values: samples.to_f32() }).expect("5000 rows");
    let one = stats.scatter.into_moments().expect("5000 rows");
    assert!(apart(&two.mean, &one.mean) < 1e-14 && apart(&two.covariance, &one.covariance) < 1e-13);
    assert_eq!(stats.preprocessing.expect("known").to_string(), "of features none (vector of 3)");
}

#[test]
fn images_are_brought_to_one_size_batch_by_batch() {
    let folder = tempfile::tempdir().expect("a folder");
    for index in 0..40_u8 {
        let side = 8 + u32::from(index % 3);
        let image = image::RgbImage::from_fn(side, side, |x, y| image::Rgb([index * 6, x as u8 * 20, y as u8 * 20]));
        image.save(folder.path().join(format!("{index}.png"))).expect("an image");
    }
    let read = ReadOptions {
        resize: Some(Resize::Sides([4, 6])),
        filter: Filter::Area,
        color: Some(Color::Grey),
        ignore_labels: true,
        skip_unreadable: false,
    };
    let options = Options { read, ..Options::default() };
    let stats = measure(folder.path(), &options).expect("40 images");
    assert_eq!(stats.scatter, of_whole(&read_samples(folder.path(), &read).expect("40 images")));
    let said = stats.preprocessing.expect("known").to_string();
    assert_eq!(said, "of features pixels (image 4x6x1, resize 4x6 by area, color grey)");
}

#[test]
fn files_give_back_what_was_written_and_merge_to_the_whole() {
    // 1e6 with deviation 1 on a grid that f32 holds: the worst that shards of ordinary data can be.
    let far = |index: usize| 1e6 + (wild(index) * 16.0).round() / 16.0;
    let (folder, whole) = array(3000, 4, far);
    let at = |name: &str| folder.path().join(name);
    let mut parts = Vec::new();
    for (part, rows) in [0..1, 1..700, 700..702, 702..3000].into_iter().enumerate() {
        let (array, stats) = (at(&format!("{part}.npy")), at(&format!("{part}.npz")));
        write_array(&array, rows.len(), 4, |index| far(index + rows.start * 4));
        let part = measure(&array, &Options { shard: true, ..Options::default() }).expect("rows");
        write(&part, &stats).expect("a file");
        let known = read(&stats).expect("sound").expect("statistics");
        assert_eq!((known.n, known.mean.as_slice()), (Some(rows.len() as u64), part.scatter.mean()));
        assert_eq!((known.rest.as_slice(), known.preprocessing), (part.scatter.rest(), part.preprocessing));
        assert_eq!(known.covariance[0].is_nan(), rows.len() == 1);
        parts.push(stats);
    }
    let whole = measure(&whole, &Options::default()).expect("3000 rows").scatter;
    let merged = merge(&parts, None).expect("parts").scatter;
    parts.reverse();
    let reversed = merge(&parts, None).expect("parts").scatter;
    for merged in [merged, reversed] {
        assert_eq!(merged.n(), 3000);
        assert!(apart(whole.scatter(), merged.scatter()) < 1e-12, "{}", apart(whole.scatter(), merged.scatter()));
        assert!(apart(whole.mean(), merged.mean()) < 1e-15);
    }
    assert!(merge(&parts[3..], None).unwrap_err().to_string().contains("at least 2"));
}

#[test]
fn too_wide_sets_are_refused_before_they_are_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("x.npy");
    let text = "{'descr': '|u1', 'fortran_order': False, 'shape': (2, 200, 200), }\n";
    let head = [b"\x93NUMPY\x01\x00", &(text.len() as u16).to_le_bytes()[..], text.as_bytes()].concat();
    fs::write(&path, [head, vec![7; 80_000]].concat()).expect("a file");
    let error = measure(&path, &Options::default()).unwrap_err().to_string();
    assert!(error.contains("40000 features") && error.contains("32768") && error.contains("--resize"), "{error}");
    let options =
        Options { read: ReadOptions { resize: Some(Resize::Side(2)), ..ReadOptions::default() }, ..Options::default() };
    assert_eq!(measure(&path, &options).expect("two images").scatter.dim(), 4);
}
