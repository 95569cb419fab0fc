//! Statistics files that are not what they should be, and parts that do not belong together.

use serde_json::Value;

use super::Bench;
use super::data::{npy, pairs, zip};
use super::score::{matrix, vector};

/// A file of mu and sigma, and of more.
fn stats(mu: &[u8], sigma: &[u8], more: &[(&str, &[u8])]) -> Vec<u8> {
    zip(&[&[("mu.npy", mu), ("sigma.npy", sigma)], more].concat())
}

/// Sound statistics of two dimensions, as other programs write them.
fn sound() -> Vec<u8> {
    stats(&vector(&[0.0, 0.0]), &matrix(2, &[2.0, 0.5, 0.5, 1.0]), &[])
}

fn count(n: f64) -> Vec<u8> {
    npy("<f8", "", &n.to_le_bytes())
}

/// The file must be refused by `score` (as either set) and by `stats merge` in the same words.
fn refused(files: &[(&str, Vec<u8>, &[&str])]) {
    let bench = Bench::new();
    bench.write("sound.npz", sound());
    bench.write("n.npz", stats(&vector(&[0.0, 0.0]), &matrix(2, &[2.0, 0.5, 0.5, 1.0]), &[("n.npy", &count(9.0))]));
    for (name, bytes, parts) in files {
        bench.write(name, bytes);
        let parts = &[&[*name], *parts].concat();
        bench.refuses(&["score", "--real", name, "--gen", "sound.npz"], parts);
        bench.refuses(&["score", "--real", "sound.npz", "--gen", name], parts);
        bench.refuses(&["stats", "merge", "n.npz", name, "-o", "out.npz", "--n", "9,9"], parts);
        assert!(!bench.path("out.npz").exists());
    }
}

#[test]
fn files_that_are_not_whole_are_named() {
    let (mu, sigma) = (vector(&[0.0, 0.0]), matrix(2, &[1.0, 0.0, 0.0, 1.0]));
    let whole = sound();
    let members = zip(&[("mu.npy", &mu), ("sigma.npy", &sigma[..100])]);
    let mut claims = stats(&mu, &sigma, &[]);
    for at in (0..claims.len() - 4).filter(|&at| claims[at..at + 4] == *b"PK\x01\x02").collect::<Vec<_>>() {
        claims[at + 24..at + 28].copy_from_slice(&4_000_000_000_u32.to_le_bytes());
    }
    refused(&[
        ("mu.npz", zip(&[("mu.npy", &mu)]), &["sigma is missing", "mu [d] and sigma [d, d]"]),
        ("sigma.npz", zip(&[("sigma.npy", &sigma)]), &["mu is missing", "numpy.cov"]),
        ("empty.npz", zip(&[]), &["no array at all", "mu [d] and sigma [d, d]"]),
        ("cut.npz", whole[..whole.len() - 30].to_vec(), &["zip archive cannot be read", "again"]),
        ("half.npz", whole[..whole.len() / 2].to_vec(), &["zip archive cannot be read", "again"]),
        ("none.npz", Vec::new(), &["zip archive cannot be read"]),
        ("head.npz", members, &["sigma.npy", "header is truncated"]),
        ("numbers.npz", stats(&mu, &sigma[..sigma.len() - 8], &[]), &["sigma.npy", "truncated", "32 bytes", "24"]),
        ("claims.npz", claims, &["claim to unpack to 4000000000 bytes"]),
        ("noise.npz", b"PK\x03\x04 noise".to_vec(), &["zip archive cannot be read"]),
    ]);
}

#[test]
fn types_and_shapes_are_checked_before_numbers_are_read() {
    let (mu, sigma) = (vector(&[0.0, 0.0]), matrix(2, &[1.0, 0.0, 0.0, 1.0]));
    let vast = npy("<f8", "4000000000, 4000000000", &[0; 64]);
    refused(&[
        ("flat.npz", stats(&mu, &matrix(2, &[1.0; 6]), &[]), &["mu is [2] and sigma [2, 3]"]),
        ("other.npz", stats(&mu, &matrix(3, &[1.0; 9]), &[]), &["mu is [2] and sigma [3, 3]"]),
        ("line.npz", stats(&mu, &vector(&[1.0; 4]), &[]), &["mu is [2] and sigma [4]"]),
        ("column.npz", stats(&matrix(2, &[0.0, 0.0]), &sigma, &[]), &["mu is [2, 1], not [d]"]),
        ("zero.npz", stats(&vector(&[]), &npy("<f8", "0, 0", &[]), &[]), &["mu is [0]", "1 to 32768"]),
        ("vast.npz", stats(&mu, &vast, &[]), &["sigma.npy", "truncated", "4000000000 x 4000000000"]),
        ("long.npz", stats(&npy("<f8", "40000,", &[0; 320_000]), &sigma, &[]), &["mu is [40000]", "32768"]),
        ("int.npz", stats(&mu, &npy("<i8", "2, 2", &[0; 32]), &[]), &["sigma is an array of int64", "f64 or f32"]),
        ("half.npz", stats(&npy("<f2", "2,", &[0; 4]), &sigma, &[]), &["mu is an array of float16"]),
        ("complex.npz", stats(&mu, &npy("<c16", "2, 2", &[0; 64]), &[]), &["sigma.npy", "<c16", "f64 or f32"]),
        ("object.npz", stats(&npy("|O", "2,", b"\x80\x04]\x94."), &sigma, &[]), &["mu.npy", "pickled", "never read"]),
        ("text.npz", stats(&npy("<U3", "2,", &[0; 24]), &sigma, &[]), &["mu.npy", "<U3"]),
        ("n2.npz", stats(&mu, &sigma, &[("n.npy", &vector(&[5.0, 5.0]))]), &["n is an array of shape [2]"]),
        ("n0.npz", stats(&mu, &sigma, &[("n.npy", &count(0.0))]), &["n is [0.0]", "at least 2 samples"]),
        ("n-.npz", stats(&mu, &sigma, &[("n.npy", &count(-3.0))]), &["n is [-3.0]"]),
        ("n.5.npz", stats(&mu, &sigma, &[("n.npy", &count(7.5))]), &["n is [7.5]"]),
        ("nan.npz", stats(&mu, &sigma, &[("n.npy", &count(f64::NAN))]), &["n is [NaN]"]),
        ("rest.npz", stats(&mu, &sigma, &[("mu_rest.npy", &vector(&[1.0, 0.0]))]), &["mu_rest[0] = 1e0", "mu[0]"]),
        ("json.npz", stats(&mu, &sigma, &[("provenance.npy", &npy("|u1", "3,", b"{x}"))]), &["provenance", "line 1"]),
    ]);
}

#[test]
fn what_is_no_covariance_is_told_with_its_numbers() {
    let mu = vector(&[0.0, 0.0, 0.0]);
    let with = |values: [f64; 9]| stats(&mu, &matrix(3, &values), &[]);
    refused(&[
        (
            "sides.npz",
            with([1.0, 0.5, 0.25, 0.5, 1.0, 0.0, 0.125, 0.0, 1.0]),
            &["sigma is not symmetric", "[0, 2] and [2, 0] differ by 1.25e-1", "largest entry 1e0", "numpy.cov"],
        ),
        (
            "negative.npz",
            with([-1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]),
            &["sigma has the eigenvalue -1e0", "not a covariance"],
        ),
        (
            "saddle.npz",
            with([1.0, 3.0, 0.0, 3.0, 1.0, 0.0, 0.0, 0.0, 1.0]),
            &["sigma has the eigenvalue -2e0", "not a covariance"],
        ),
        (
            "nan.npz",
            with([1.0, 0.0, 0.0, 0.0, 1.0, f64::NAN, 0.0, f64::NAN, 1.0]),
            &["sigma[1, 2] is NaN", "mu [d] and sigma [d, d]"],
        ),
        ("inf.npz", with([1.0, 0.0, 0.0, 0.0, f64::INFINITY, 0.0, 0.0, 0.0, 1.0]), &["sigma[1, 1] is inf"]),
        ("mu.npz", stats(&vector(&[0.0, f64::NAN]), &matrix(2, &[1.0, 0.0, 0.0, 1.0]), &[]), &["mu[1] is NaN"]),
    ]);
}

#[test]
fn what_rounding_does_is_accepted() {
    let bench = Bench::new();
    let mu = vector(&[0.0, 0.0]);
    bench.write("sound.npz", sound());
    for (name, values) in [
        ("sides.npz", [1.0, 0.5 + 1e-9, 0.5, 1.0]),
        ("negative.npz", [1.0, 0.0, 0.0, -1e-17]),
        ("singular.npz", [1.0, 1.0, 1.0, 1.0]),
        ("none.npz", [0.0; 4]),
    ] {
        bench.write(name, stats(&mu, &matrix(2, &values), &[]));
        let scored =
            bench.succeeds(&["score", "--real", name, "--gen", "sound.npz", "--metrics", "frechet_distance", "--json"]);
        let scored: Value = serde_json::from_str(&scored.stdout).unwrap();
        assert!(scored["metrics"]["frechet_distance"].is_number(), "{name}: {scored}");
    }
    let single = |values: &[f32]| values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>();
    let f32s = stats(&npy("<f4", "2,", &single(&[0.0; 2])), &npy("<f4", "2, 2", &single(&[1.0, 0.1, 0.1, 1.0])), &[]);
    bench.write("f32.npz", f32s);
    bench.succeeds(&["score", "--real", "f32.npz", "--gen", "sound.npz", "--metrics", "frechet_distance"]);
}

#[test]
fn parts_merge_to_the_whole_and_strangers_do_not() {
    let bench = Bench::new();
    let rows = |rows: std::ops::Range<usize>| pairs(rows.flat_map(|i| [(i * 37 % 11) as f32, (i * i % 23) as f32]));
    for (name, range) in [("all", 0..300), ("a", 0..1), ("b", 1..120), ("c", 120..300)] {
        bench.write(&format!("{name}.npy"), rows(range));
        bench.succeeds(&["stats", &format!("{name}.npy"), "-o", &format!("{name}.npz"), "--shard"]);
    }
    let merged = bench.succeeds(&["stats", "merge", "a.npz", "b.npz", "c.npz", "-o", "abc.npz"]);
    assert!(merged.stderr.contains("300 samples") && merged.stdout == "abc.npz\n", "{merged:?}");
    let metrics = ["--metrics", "frechet_distance", "--json"];
    let distance = |real: &str, generated: &str| {
        let scored = bench.succeeds(&[&["score", "--real", real, "--gen", generated], &metrics[..]].concat());
        let scored: Value = serde_json::from_str(&scored.stdout).unwrap();
        scored["metrics"]["frechet_distance"].as_f64().unwrap()
    };
    assert!(distance("all.npz", "abc.npz").abs() < 1e-10);
    assert!(distance("all.npy", "abc.npz").abs() < 1e-10);

    // One sample is a part and no set.
    bench.refuses(&["score", "--real", "all.npz", "--gen", "a.npz"], &["a.npz", "n = 1", "merge"]);
    bench.refuses(&["stats", "a.npy", "-o", "x.npz"], &["a.npy", "1 samples", "--shard"]);
    bench.refuses(&["stats", "merge", "a.npz", "-o", "x.npz"], &["a.npz", "1 sample", "at least 2"]);

    // Files of other programs do not say n.
    bench.write("foreign.npz", sound());
    bench.write("other.npz", sound());
    let merge = |args: &[&str], parts: &[&str]| {
        bench.refuses(&[&["stats", "merge", "-o", "x.npz"], args].concat(), parts);
        assert!(!bench.path("x.npz").exists());
    };
    merge(&["foreign.npz", "other.npz"], &["foreign.npz", "does not hold n", "--n N1,N2"]);
    merge(&["foreign.npz", "other.npz", "--n", "5"], &["--n", "1 numbers for 2 files"]);
    merge(&["foreign.npz", "other.npz", "--n", "5,1"], &["other.npz", "1 samples", "at least 2"]);
    merge(&["b.npz", "c.npz", "--n", "119,18"], &["c.npz", "n = 180", "--n says 18"]);
    merge(&["foreign.npz", "b.npz", "--n", "5,119"], &["b.npz", "features none (vector of 2)", "unknown features"]);
    merge(&["b.npz", "all.npy"], &["all.npy", "zip archive cannot be read"]);
    let merged = bench.succeeds(&["stats", "merge", "foreign.npz", "other.npz", "--n", "5,7", "-o", "both.npz"]);
    assert!(merged.stderr.contains("12 samples") && merged.stderr.contains("not checked"), "{merged:?}");

    // Features, shapes and preprocessing must agree.
    bench.write("wide.npy", npy("<f4", "10, 3", &[0; 120]));
    bench.write("p.npy", npy("|u1", "9, 1, 2", &[7; 18]));
    bench.write("q.npy", npy("|u1", "9, 2, 2", &[7; 36]));
    bench.succeeds(&["stats", "wide.npy", "-o", "wide.npz", "--features", "none"]);
    bench.succeeds(&["stats", "p.npy", "-o", "p.npz", "--features", "pixels"]);
    bench.succeeds(&["stats", "q.npy", "-o", "q.npz", "--resize", "1x2"]);
    merge(&["b.npz", "wide.npz"], &["wide.npz", "3 dimensions", "b.npz", "2 dimensions"]);
    merge(&["b.npz", "p.npz"], &["p.npz", "pixels (image 1x2x1)", "b.npz", "none (vector of 2)"]);
    merge(&["p.npz", "q.npz"], &["q.npz", "resize 1x2 by lanczos", "p.npz", "same options"]);
    bench.write("samples.npz", zip(&[("arr_0.npy", &rows(0..9))]));
    merge(&["b.npz", "samples.npz"], &["samples.npz", "no statistics", "madloop stats INPUT"]);
    bench.refuses(&["stats", "b.npz", "-o", "x.npz"], &["b.npz", "statistics mu and sigma", "stats merge"]);
    bench.refuses(&["stats", "p.npy", "-o", "x.npz", "--features", "none"], &["--features", "pixels"]);
    bench.refuses(&["stats", "p.npy", "-o", "x.npz", "--features", "lenet"], &["--features lenet", "pixels"]);
    bench.refuses(&["stats", "p.npy"], &["--output"]);
    bench.refuses(&["stats", "merge", "-o", "x.npz"], &["FILE.npz"]);
}

#[test]
fn a_set_called_merge_is_still_a_set() {
    let bench = Bench::new();
    bench.write("merge", pairs((0..20).map(|i| (i * 7 % 5) as f32)));
    bench.succeeds(&["stats", "./merge", "-o", "a.npz"]);
    assert!(bench.path("a.npz").exists());
}
