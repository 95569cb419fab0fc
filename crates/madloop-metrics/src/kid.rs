//! The kernel inception distance: an unbiased squared maximum mean discrepancy over subsets.

use madloop_core::{Features, Seeds, Stream};
use rand_mt::Mt;

use crate::error::check_pair;
use crate::pairs::{PairsReference, Want};
use crate::settings::Settings;
use crate::subsets::Subsets;
use crate::{MetricsError, Result};

/// Subsets drawn of each set.
pub const KID_SUBSETS: usize = 100;
/// Samples of a subset.
pub const KID_SUBSET_SIZE: usize = 1000;
/// The first row of [`Stream::SCORE`] that draws subsets: subset s of the real set uses row 2 s, of the generated one 2 s + 1.
const FIRST_ROW: u64 = 0;

/// How the subsets of the kernel inception distance are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KidSubsets {
    /// Number of subsets.
    pub count: usize,
    /// Samples of each set in a subset.
    pub size: usize,
    /// Where the draws come from.
    pub draws: Draws,
}

/// A source of subsets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Draws {
    /// The addressed stream [`Stream::SCORE`]. When the smaller set has at most `size` samples, all samples
    /// of both sets form the only subset.
    Addressed,
    /// NumPy's `RandomState(seed).choice(n, size, replace=False)`, one generator for all subsets, a subset of the generated
    /// set before one of the real set: torch-fidelity's subsets with the generated set as its first input.
    NumpyRandomState(u32),
}

impl Default for KidSubsets {
    fn default() -> Self {
        Self { count: KID_SUBSETS, size: KID_SUBSET_SIZE, draws: Draws::Addressed }
    }
}

/// The kernel inception distance over subsets.
#[derive(Debug, Clone, PartialEq)]
pub struct Kid {
    /// Mean over the subsets. Range (-inf, inf): the estimate is unbiased, so that equal distributions scatter around 0.
    pub mean: f64,
    /// Standard deviation over the subsets (divisor: their number), or why there is none.
    pub std: Result<f64>,
    /// An estimate of the standard error of `mean` as a function of the whole sets, where there are subsets and the sets are
    /// of about one size: subsets of m of
    /// n samples without replacement scatter by about s ((1 - m / n) / m)^{1/2}, the whole by s / n^{1/2}, and
    /// the mean over B subsets adds its own `std` / B^{1/2}.
    pub standard_error: Option<f64>,
}

/// The kernel inception distance of two sets of features (`[n_r, d]` and `[n_g, d]`), without units.
///
/// MMD^2 = E k(x, x') + E k(y, y') - 2 E k(x, y) with the kernel k(x, y) = (x.y / d + 1)^3, unbiased: the first two are
/// means over pairs of different samples. Mean and standard deviation over 100 subsets of 1000, drawn without
/// replacement by the addressed stream [`Stream::SCORE`] (Binkowski et al. 2018, arXiv:1801.01401). When the
/// smaller set has at most 1000 samples, all samples of both sets form the only subset. Range (-inf, inf).
///
/// # Errors
/// Undefined for n < 2 or values that are not finite; an error when the dimensions differ.
pub fn kid(real: &Features, generated: &Features, seeds: Seeds) -> Result<Kid> {
    check_pair(real, generated)?;
    let settings = Settings { seeds, ..Settings::default() };
    let want = Want { kid: true, ..Want::default() };
    let reference = PairsReference::new(real, want, &settings)?;
    reference.compare(real, generated, want, &settings)?.kid
}

/// The subsets of both sets, or why there are none.
pub(crate) fn draw(n_real: usize, n_generated: usize, how: KidSubsets, seeds: Seeds) -> Result<(Subsets, Subsets)> {
    const WHY: &str = "the unbiased estimate has pairs within the set";
    let KidSubsets { count, size, draws } = how;
    if count == 0 || size < 2 {
        let (name, value) =
            if count == 0 { ("the number of KID subsets", count) } else { ("the KID subset size", size) };
        return Err(MetricsError::Setting {
            name,
            value: value as f64,
            must: "1 subset or more, of 2 samples or more",
        });
    }
    let least = match draws {
        Draws::Addressed => 2,
        Draws::NumpyRandomState(_) => size,
    };
    for (set, n) in [("real", n_real), ("generated", n_generated)] {
        if n < least {
            let why = if least == 2 { WHY } else { "every subset is drawn without replacement" };
            return Err(MetricsError::TooFew { set, n, needs: least, why });
        }
    }
    match draws {
        Draws::Addressed if n_real.min(n_generated) <= size => {
            Ok((Subsets::whole(n_real), Subsets::whole(n_generated)))
        }
        Draws::Addressed => {
            let subsets = |n: usize, parity: u64| {
                let draw = |s: usize| {
                    let mut rng = seeds.rng(Stream::SCORE, FIRST_ROW + 2 * s as u64 + parity);
                    rand::seq::index::sample(&mut rng, n, size).iter().map(|row| row as u32).collect()
                };
                Subsets::new(n, (0..count).map(draw).collect())
            };
            Ok((subsets(n_real, 0), subsets(n_generated, 1)))
        }
        Draws::NumpyRandomState(seed) => {
            let mut generator = Mt::new(seed);
            let (mut real, mut generated) = (Vec::new(), Vec::new());
            for _ in 0..count {
                generated.push(numpy_choice(&mut generator, n_generated, size));
                real.push(numpy_choice(&mut generator, n_real, size));
            }
            Ok((Subsets::new(n_real, real), Subsets::new(n_generated, generated)))
        }
    }
}

/// NumPy's legacy `choice(n, size, replace=False)`: the head of a permutation, shuffled from its end, with indices
/// drawn by masked rejection of 32-bit words. `n` is at most 2^32.
pub(crate) fn numpy_choice(generator: &mut Mt, n: usize, size: usize) -> Vec<u32> {
    let mut rows: Vec<u32> = (0..n as u32).collect();
    for last in (1..n as u32).rev() {
        let mask = u32::MAX >> last.leading_zeros();
        let other = loop {
            let value = generator.next_u32() & mask;
            if value <= last {
                break value;
            }
        };
        rows.swap(last as usize, other as usize);
    }
    rows.truncate(size);
    rows
}

/// Mean, spread and standard error from the sums of the kernel over the pairs of each subset: within the real and the
/// generated part (each pair once), and between them.
pub(crate) fn from_sums(real: &Subsets, generated: &Subsets, sums: [&[f64]; 3]) -> Kid {
    let [within_real, within_generated, between] = sums;
    let values: Vec<f64> = (0..real.count())
        .map(|s| {
            let (n, m) = (real.rows[s].len() as f64, generated.rows[s].len() as f64);
            2.0 * within_real[s] / (n * (n - 1.0)) + 2.0 * within_generated[s] / (m * (m - 1.0))
                - 2.0 * between[s] / (n * m)
        })
        .collect();
    let (n, m) = (real.total(), generated.total());
    let size = real.rows[0].len();
    if values.len() == 1 {
        let why = MetricsError::OneSubset { n: n.min(m), size: KID_SUBSET_SIZE };

        return Kid { mean: values[0], std: Err(why), standard_error: None };
    }
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let variance = values.iter().map(|value| (value - mean) * (value - mean)).sum::<f64>() / count;
    // With size = n the subsets are the whole and say nothing about its error.
    let share = size as f64 / n.min(m) as f64;
    // And of sets of unlike sizes they do not say which of the two scatters.
    let alike = n.max(m) * 10 <= n.min(m) * 11;
    let standard_error = (share < 1.0 && alike).then(|| (variance * (share / (1.0 - share) + 1.0 / count)).sqrt());
    Kid { mean, std: Ok(variance.sqrt()), standard_error }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{gaussian, in_pool};

    fn brute_force(x: &Features, y: &Features) -> f64 {
        let kernel = |a: &[f32], b: &[f32]| {
            let dot: f64 = a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum();
            (dot / a.len() as f64 + 1.0).powi(3)
        };
        let pairs = |x: &Features, y: &Features, same: bool| {
            let mut sum = 0.0;
            for i in 0..x.rows {
                for j in (0..y.rows).filter(|&j| !same || i != j) {
                    sum += kernel(x.row(i), y.row(j));
                }
            }
            sum
        };
        let (m, n) = (x.rows as f64, y.rows as f64);
        pairs(x, x, true) / (m * (m - 1.0)) + pairs(y, y, true) / (n * (n - 1.0)) - 2.0 * pairs(x, y, false) / (m * n)
    }

    #[test]
    fn it_is_the_direct_sum() {
        for (m, n, d) in [(2, 2, 1), (300, 517, 3), (40, 260, 600)] {
            let (x, y) = (gaussian(1, m, d, 0.0), gaussian(2, n, d, 0.2));
            let kid = kid(&x, &y, Seeds::new(0)).expect("defined");
            let expected = brute_force(&x, &y);
            assert!((kid.mean - expected).abs() < 1e-12 * expected.abs().max(1.0), "{} {expected}", kid.mean);
            assert!(kid.std.expect_err("one subset").to_string().contains(&format!("n = {}", m.min(n))));
        }
    }

    #[test]
    fn subsets_follow_the_seed_alone() {
        let (x, y) = (gaussian(3, 1300, 4, 0.0), gaussian(4, 1200, 4, 0.5));
        let of = |seed, threads| in_pool(threads, || kid(&x, &y, Seeds::new(seed)).expect("defined"));
        assert_eq!(of(0, 1), of(0, 3));
        assert_ne!(of(0, 2).mean, of(1, 2).mean);
        let (subsets, whole) = (of(0, 2), brute_force(&x, &y));
        let std = subsets.std.expect("100 subsets");
        // The subsets overlap; the mean of 100 still lies well within one deviation of the whole.
        assert!(std > 0.0 && (subsets.mean - whole).abs() < std, "{} {whole} {std}", subsets.mean);
        assert!(subsets.standard_error.is_some_and(|error| error > std));
    }

    #[test]
    fn each_subset_is_its_own_direct_sum() {
        let (x, y) = (gaussian(3, 70, 4, 0.0), gaussian(4, 90, 4, 0.5));
        let kid_subsets = KidSubsets { count: 7, size: 23, draws: Draws::Addressed };
        let settings = Settings { kid: kid_subsets, ..Settings::default() };
        let want = Want { kid: true, ..Want::default() };
        let reference = PairsReference::new(&x, want, &settings).expect("prepared");
        let found = reference.compare(&x, &y, want, &settings).expect("finite").kid.expect("defined");
        let (real, generated) = draw(70, 90, kid_subsets, settings.seeds).expect("subsets");
        let pick = |set: &Features, rows: &[u32]| Features {
            rows: rows.len(),
            dim: set.dim,
            values: rows.iter().flat_map(|&row| set.row(row as usize)).copied().collect(),
        };
        let values: Vec<f64> = real
            .rows
            .iter()
            .zip(&generated.rows)
            .map(|(real, generated)| brute_force(&pick(&x, real), &pick(&y, generated)))
            .collect();
        let mean = values.iter().sum::<f64>() / 7.0;
        let std = (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / 7.0).sqrt();
        assert!((found.mean - mean).abs() < 1e-13, "{} {mean}", found.mean);
        assert!((found.std.expect("seven") - std).abs() < 1e-13);
    }

    #[test]
    fn a_row_far_out_spoils_no_digits() {
        let (mut x, y) = (gaussian(5, 1900, 600, 0.0), gaussian(6, 1800, 600, 0.1));
        x.values[..600].fill(3e4);
        let numpy = KidSubsets { count: 3, size: 200, draws: Draws::NumpyRandomState(1) };
        let settings = Settings { kid: numpy, ..Settings::default() };
        let want = Want { kid: true, ..Want::default() };
        let reference = PairsReference::new(&x, want, &settings).expect("prepared");
        let found = reference.compare(&x, &y, want, &settings).expect("finite").kid.expect("defined");
        let (real, generated) = draw(1900, 1800, numpy, settings.seeds).expect("subsets");
        let pick = |set: &Features, rows: &[u32]| Features {
            rows: rows.len(),
            dim: set.dim,
            values: rows.iter().flat_map(|&row| set.row(row as usize)).copied().collect(),
        };
        let of = |s: usize| brute_force(&pick(&x, &real.rows[s]), &pick(&y, &generated.rows[s]));
        let expected = (0..3).map(of).sum::<f64>() / 3.0;
        assert!((found.mean - expected).abs() < 1e-6 * expected.abs(), "{} {expected}", found.mean);
    }

    #[test]
    fn collapsed_sets_have_a_value() {
        let point = |value: f32| Features { rows: 20, dim: 2, values: vec![value; 40] };
        let kid = |x: &Features, y: &Features| kid(x, y, Seeds::new(0)).expect("defined").mean;
        assert!(kid(&point(1.0), &point(1.0)).abs() < 1e-13);
        // 8 + 1 - 2: k(1, 1) = (1 + 1)^3, k(0, .) = 1.
        assert!((kid(&point(1.0), &point(0.0)) - 7.0).abs() < 1e-13);
    }

    #[test]
    fn too_few_for_a_tool_is_no_value() {
        let numpy = KidSubsets { draws: Draws::NumpyRandomState(2020), ..KidSubsets::default() };
        let error = draw(1000, 999, numpy, Seeds::new(0)).expect_err("999 < 1000");
        assert!(error.is_undefined() && error.to_string().contains("n = 999"), "{error}");
        let none = KidSubsets { count: 0, ..numpy };
        assert!(!draw(1000, 1000, none, Seeds::new(0)).expect_err("no subset").is_undefined());
    }
    #[test]
    fn numpys_stream_and_choices_are_numpys() {
        let golden: serde_json::Value =
            serde_json::from_str(include_str!("../tests/golden/tools.json")).expect("golden values");
        let numbers = |value: &serde_json::Value| -> Vec<u32> {
            serde_json::from_value(value.clone()).expect("whole numbers of 32 bits")
        };
        let rng = &golden["rng"];
        let fresh = || Mt::new(rng["seed"].as_u64().expect("a seed") as u32);
        let (mut generator, raw) = (fresh(), numbers(&rng["raw_u32"]));
        assert_eq!(raw.len(), 20);
        assert_eq!(raw, raw.iter().map(|_| generator.next_u32()).collect::<Vec<_>>());
        let draws = rng["draws"].as_array().expect("draws");
        assert_eq!(draws.len(), 4);
        for draw in draws {
            let (mut generator, size) = (fresh(), draw["size"].as_u64().expect("a size") as usize);
            let populations = numbers(&draw["populations"]);
            assert!(populations.len() >= 2);
            for (&n, first) in populations.iter().zip(draw["first"].as_array().expect("indices")) {
                let rows = numpy_choice(&mut generator, n as usize, size);
                assert_eq!((rows.len(), &rows[..10]), (size, &numbers(first)[..]));
            }
        }
    }
}
