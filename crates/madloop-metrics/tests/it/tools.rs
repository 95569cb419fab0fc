//! Values of the reference tools, run as their users run them by tests/golden/make_tools.py.

mod read;

use madloop_core::Features;
use madloop_metrics::{
    Bandwidth, Draws, Inside, KidSubsets, Manifold, Reference, Settings, effective_rank, fd_infinity, frechet_distance,
    manifold, mmd_rbf, sinkhorn, sliced_w2, sliced_w2_along, trace_cov, vendi, w2_sq,
};

use read::{Auth, Case, Frechet, Kid, Prdc, Sinkhorn, Sliced, TorchPrc, cases, golden};

impl Case {
    /// Within `relative` of the expected value, or within `floor`.
    fn close(&self, what: &str, found: f64, expected: f64, relative: f64, floor: f64) {
        close(&format!("{what} of {}", self.set.name), found, expected, relative, floor);
    }
}

fn close(what: &str, found: f64, expected: f64, relative: f64, floor: f64) {
    let allowed = (relative * expected.abs()).max(floor);
    assert!((found - expected).abs() <= allowed, "{what}: {found}, not {expected} within {allowed:e}");
}

#[test]
fn frechet_distances_are_those_of_pytorch_fid_and_torch_fidelity() {
    for case in cases() {
        let Frechet { pytorch_fid, torch_fidelity_float64, torch_fidelity_float32, nuclear_norm } =
            &case.set.frechet_distance;
        let value = frechet_distance(&case.real, &case.generated).expect("defined");
        let traces =
            trace_cov(&case.real).expect("two rows or more") + trace_cov(&case.generated).expect("two rows or more");
        // The truth by another route, all in f64; the traces are what cancels for identical sets.
        case.close("nuclear norm", value, *nuclear_norm, 1e-11, 1e-14 * traces);
        // So do the tools, also with n < d: of a singular product they miss the truth by up to 2e-7 of it.
        let exact = case.set.name != "rank-deficient" && !case.set.name.contains("fewer rows");
        let relative = if exact { 1e-11 } else { 1e-6 };
        case.close("torch-fidelity", value, *torch_fidelity_float64, relative, 1e-14 * traces);
        let by_pytorch_fid = pytorch_fid.value.expect("finite in all of these sets");
        case.close("pytorch-fid", value, by_pytorch_fid, relative, 1e-14 * traces);
        // Means in f32: half an ulp each of the distance of the means.
        case.close("torch-fidelity f32", value, *torch_fidelity_float32, 1e-6, 1e-14 * traces);
    }
}

#[test]
fn kid_is_that_of_torch_fidelity() {
    for case in cases() {
        let Kid { seed, subsets, subset_size, ref float64, ref float32 } = case.set.kid;
        let kid = KidSubsets { count: subsets, size: subset_size, draws: Draws::NumpyRandomState(seed) };
        let metrics = ["kid", "kid_std"];
        let scored = |generated_rows| {
            let settings = Settings { kid, generated_rows, ..Settings::default() };
            let reference = Reference::new(case.real.clone(), settings, &metrics).expect("valid");
            let scores = reference.score(&case.generated, &metrics).expect("valid");
            metrics.map(|name| scores.values[name].expect("defined"))
        };
        let [mean, std] = scored(None);
        assert_eq!([mean, std], scored(Some(case.generated.rows)), "{}: prepared for the rows, or not", case.set.name);
        // Far from the origin terms of 5e9 leave 1.6e6: 4 digits of 16 are gone, elsewhere 1 or 2.
        let far = case.set.name == "collapsed far away";
        case.close("mean", mean, float64.mean, if far { 1e-11 } else { 1e-13 }, 0.0);
        case.close("std", std, float64.std, 1e-12, 0.0);
        // The kernel in f32: the same digits of 7 are gone.
        let relative = if far { 2e-4 } else { 1e-5 };
        case.close("mean in f32", mean, float32.mean, relative, 0.0);
        case.close("std in f32", std, float32.std, relative, 0.0);
    }
}

/// A share as the count that it is.
fn count(value: f64, rows: usize) -> usize {
    (value * rows as f64).round() as usize
}

#[test]
fn shares_are_those_of_torch_fidelity_and_prdc_to_the_last_count() {
    for case in cases() {
        let (n, m) = (case.real.rows, case.generated.rows);
        for k in [3, 5] {
            let of = |inside| {
                manifold(&case.real, &case.generated, &Settings { k, inside, ..Settings::default() }).expect("finite")
            };
            let (at_most, below) = (of(Inside::AtMost), of(Inside::Below));
            let key = format!("k{k}");
            let what = format!("{}, k = {k}", case.set.name);
            let same = |found: &Manifold, expected: &Prdc| {
                assert_eq!(found.precision, Ok(expected.precision), "{what}");
                assert_eq!(found.recall, Ok(expected.recall), "{what}");
                assert_eq!(found.density, Ok(expected.density), "{what}");
                assert_eq!(found.coverage, Ok(expected.coverage), "{what}");
            };
            same(&at_most, &case.set.exact[&key].le);
            same(&below, &case.set.exact[&key].lt);
            // prdc's own means differ from these quotients in the last bit: density alone counts pairs.
            let Prdc { precision, recall, density, coverage } = case.set.prdc[&key];
            let of_counts = Prdc {
                precision: count(precision, m) as f64 / m as f64,
                recall: count(recall, n) as f64 / n as f64,
                density: count(density, k * m) as f64 / (k * m) as f64,
                coverage: count(coverage, n) as f64 / n as f64,
            };
            same(&below, &of_counts);
            let counts = |precision: f64, recall: f64| (count(precision, m), count(recall, n));
            let found = counts(at_most.precision.expect("m > 0"), at_most.recall.expect("m > k"));
            // Its means are f32, of features of both types.
            let TorchPrc { float64, float32 } = &case.set.torch_fidelity_prc[&key];
            assert_eq!(found, counts(float64.precision, float64.recall), "{what}, f64");
            assert_eq!(found, counts(float32.precision, float32.recall), "{what}, f32");
        }
    }
}

#[test]
fn a_sample_is_authentic_if_it_is_so_by_every_nearest_real_one() {
    let mut tied = 0;
    for case in cases() {
        let Auth { value, lowest, highest } = case.set.auth_pct;
        let found = manifold(&case.real, &case.generated, &Settings::default()).expect("finite").auth_pct;
        assert_eq!(found, Ok(lowest), "{}", case.set.name);
        if lowest == highest {
            assert_eq!(lowest, value, "{}", case.set.name);
        } else {
            tied += 1;
        }
    }
    assert_eq!(tied, 1, "the lattice, where tools that take the first find more");
}

#[test]
fn spectra_are_those_of_vendi_score_and_numpy() {
    let mut scored = 0;
    for case in cases() {
        // An entropy of at most 130 eigenvalues of a few ulp each.
        let rank = effective_rank(&case.generated).expect("varies");
        case.close("effective rank", rank, case.set.effective_rank, 1e-12, 0.0);
        if let Some(expected) = case.set.vendi {
            case.close("vendi", vendi(&case.generated).expect("no row of zeros"), expected, 1e-12, 0.0);
            scored += 1;
        }
    }
    assert!(scored >= 7, "{scored}");
}

#[test]
fn transport_is_that_of_pot() {
    let (mut exact, mut sliced) = (0, 0);
    for case in cases() {
        let first = |set: &Features| Features {
            rows: set.rows,
            dim: 1,
            values: set.values.iter().step_by(set.dim).copied().collect(),
        };
        // POT adds the weights up in f64, which costs it 2e-14, or 3e-12 where the sets differ in size; here they are whole.
        let (x, y) = (first(&case.real), first(&case.generated));
        let (relative, expected) = (if x.rows == y.rows { 1e-13 } else { 1e-11 }, case.set.w2_sq_first_column);
        case.close("w2_sq of column 0", w2_sq(&x, &y).expect("one column"), expected, relative, 0.0);
        let root = sliced_w2(&x, &y, Settings::default().seeds).expect("defined");
        case.close("sliced_w2 of column 0", root, expected.sqrt(), relative, 0.0);
        if let Some(expected) = case.set.w2_sq {
            // Exact couplings, sums of nonnegative costs: rounding alone.
            case.close("w2_sq", w2_sq(&case.real, &case.generated).expect("small"), expected, 1e-12, 0.0);
            exact += 1;
        }
        if let Some(Sliced { value, projections }) = &case.set.sliced_w2 {
            let found = sliced_w2_along(&case.real, &case.generated, &projections.concat()).expect("defined");
            // POT's weights again, over 50 projections.
            case.close("sliced_w2", found, *value, relative, 0.0);
            sliced += 1;
        }
    }
    assert!(exact >= 5 && sliced >= 4, "{exact} {sliced}");
}

#[test]
fn sinkhorn_divergences_are_those_of_geomloss() {
    let mut scored = 0;
    for case in cases() {
        for Sinkhorn { blur, scaling, value } in &case.set.sinkhorn {
            let found = sinkhorn(&case.real, &case.generated, *blur, *scaling).expect("defined");
            // The same schedule in f64: not converged, and yet equal.
            case.close("sinkhorn", found, *value, 1e-13, 0.0);
            scored += 1;
        }
    }
    assert!(scored >= 7, "{scored}");
}

#[test]
fn mmd_is_that_of_scikit_learns_kernel() {
    for case in cases() {
        let of = |bandwidth| mmd_rbf(&case.real, &case.generated, bandwidth).expect("defined");
        let (one, median) = (of(Bandwidth::Fixed(1.0)), of(Bandwidth::Median));
        // The three means cancel; each is at most 1.
        case.close("mmd, sigma 1", one.squared, case.set.mmd_rbf.sigma_1, 1e-12, 1e-15);
        case.close("mmd, median sigma", median.squared, case.set.mmd_rbf.sigma_median, 1e-12, 1e-15);
        // An exact sum of squares, then a root.
        case.close("median sigma", median.sigma, case.set.mmd_rbf.median_sigma, 1e-15, 0.0);
    }
}

/// The hash of make_tools.py: sums of four 12-bit numbers, about 0.
fn hashed(i: u32, j: u32, stream: u32) -> f32 {
    let h = |stream: u32| {
        let mut v = i.wrapping_mul(2_654_435_761).wrapping_add(j.wrapping_mul(40_503)).wrapping_add(stream);
        v = (v ^ (v >> 16)).wrapping_mul(0x7feb_352d);
        v = (v ^ (v >> 15)).wrapping_mul(0x846c_a68b);
        (v ^ (v >> 16)) >> 20
    };
    (0..4).map(|step| h(stream + 7919 * step)).sum::<u32>() as f32 - 8190.0
}

#[test]
fn fd_infinity_is_the_intercept_of_its_prefixes() {
    let golden = golden().fd_infinity;
    let (rows, dim) = (golden.rows, golden.dim);
    let set = |stream: u32, of: &dyn Fn(f32) -> f32| Features {
        rows,
        dim,
        values: (0..(rows * dim) as u32).map(|at| of(hashed(at / dim as u32, at % dim as u32, stream))).collect(),
    };
    let real = set(1, &|value| value / 1024.0);
    let generated = set(1_000_000_007, &|value| value * 7.0 / 8192.0 + 0.25);
    assert_eq!(real.row(0), golden.real_first_row);
    assert_eq!(generated.row(0), golden.generated_first_row);
    assert_eq!(generated.row(rows - 1), golden.generated_last_row);
    assert_eq!((golden.sizes.len(), golden.frechet_distance.len()), (15, 15));
    for (&size, &expected) in golden.sizes.iter().zip(&golden.frechet_distance) {
        let prefix = Features { rows: size, dim, values: generated.values[..size * dim].to_vec() };
        let found = frechet_distance(&real, &prefix).expect("defined");
        // Full rank, in f64 throughout.
        close(&format!("the first {size}"), found, expected, 1e-12, 0.0);
    }
    // A line through points of 1e-12, continued to 5 times the length it spans.
    close("intercept", fd_infinity(&real, &generated).expect("n > 5000"), golden.intercept, 1e-11, 0.0);
}
