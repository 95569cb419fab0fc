//! How good one model of n real samples is: the curve that effective sample sizes are read from.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use madloop_core::{Seeds, Stream};
use rayon::prelude::*;

use crate::blocks::{bartlett, chi};
use crate::controls::coefficients;
use crate::linalg::{Factor, isotropic_spread};
use crate::second::Traces;
use crate::{Estimate, RealCovariance, Result, TheoryError};

const WISHART: Stream = Stream::named("theory-sample-curve");
/// Nodes are every k = n - 1 up to here, then a constant ratio apart.
const DENSE: usize = 12;
const RATIO: f64 = 1.12;
/// Beyond this multiple of d the curve is its asymptote and a correction in 1/k.
const FAR: f64 = 300.0;
/// Above it the log-log segment between two integers is the curve itself to 1e-8.
const SEGMENTS: f64 = 4096.0;

/// n -> E dist(G(n), P_r): expected squared W2 to P_r = N(0, S) of one model (divisor n - 1) fitted to n >= 2 real samples.
///
/// tr S / n + E tr(Sigma + S - 2 (S^{1/2} Sigma S^{1/2})^{1/2}) with Sigma ~ Wishart(S / k, k), k = n - 1. For S = s I the roots
/// are the singular values of Dumitriu and Edelman's bidiagonal matrix (arXiv:math-ph/0206043), O(d^2) a draw, otherwise of
/// S^{1/2} times Bartlett's factor; control variates tr Sigma and tr Sigma^2, whose expectations are exact. Made where it
/// is asked for, at nodes 12 % apart, with the same random numbers at each; between nodes log(curve / asymptote) is a cubic
/// in log k. The asymptote is tr S / n + sum_ij s_i s_j (1 + [i = j]) / (s_i + s_j) / 2k. Relative error about 3e-4.
#[derive(Debug)]
pub struct SampleCurve {
    spectrum: Vec<f64>,
    roots: Vec<f64>,
    traces: Traces,
    /// k times the spread at large k.
    asymptote: f64,
    /// Draws a node, as a share of the usual.
    effort: f64,
    nodes: Mutex<BTreeMap<usize, Node>>,
}

/// log(curve / asymptote) and its standard error.
#[derive(Debug, Clone, Copy)]
struct Node {
    log_k: f64,
    log: f64,
    se: f64,
}

impl SampleCurve {
    /// The curve for P_r = N(0, `covariance`).
    ///
    /// # Errors
    /// As [`RealCovariance::spectrum`].
    pub fn new(covariance: &RealCovariance) -> Result<Self> {
        let spectrum = covariance.spectrum()?;
        let pairs = |&s: &f64| spectrum.iter().map(|&other| s * other / (s + other)).sum::<f64>() + s / 2.0;
        let asymptote = spectrum.iter().map(pairs).sum::<f64>() / 2.0;
        let roots = spectrum.iter().map(|value| value.sqrt()).collect();
        Ok(Self { roots, traces: Traces::of(&spectrum), asymptote, effort: 1.0, nodes: Mutex::default(), spectrum })
    }

    /// The same at a sixteenth of the cost and 4 times the error.
    pub(crate) fn coarse(&self) -> Self {
        let (spectrum, roots) = (self.spectrum.clone(), self.roots.clone());
        Self { spectrum, roots, effort: 1.0 / 16.0, nodes: Mutex::default(), ..*self }
    }

    pub(crate) fn spectrum(&self) -> &[f64] {
        &self.spectrum
    }

    pub(crate) fn traces(&self) -> Traces {
        self.traces
    }

    /// The curve at `n` >= 2 samples, which need not be whole.
    ///
    /// # Errors
    /// `n` below 2 or not finite.
    pub fn w2_sq(&self, n: f64) -> Result<Estimate> {
        if n.is_finite() && n >= 2.0 {
            return Ok(self.at(n));
        }
        Err(TheoryError::Setting { name: "n", value: n, must: "at least 2: a covariance has n - 1 degrees of freedom" })
    }

    pub(crate) fn at(&self, n: f64) -> Estimate {
        let (log, se) = self.log_ratio(n - 1.0);
        let mean = (self.traces.first / n + self.asymptote / (n - 1.0)) * log.exp();
        Estimate { mean, se: mean * se }
    }

    /// The part of the curve that is not the mean's: E tr(Sigma + S - 2 (...)^{1/2}) with `k` >= 1 degrees of freedom.
    pub(crate) fn spread(&self, k: f64) -> f64 {
        self.at(k + 1.0).mean - self.traces.first / (k + 1.0)
    }

    /// The number of samples n with E dist(G(n), P_r) = `w2_sq`, log-log between integers, and its standard error, `se` being
    /// that of `w2_sq`.
    ///
    /// A value above the curve's at n = 2 goes on along the segment from 2 to 3, to 1 at the least; above 2^53 the curve is
    /// its asymptote.
    ///
    /// # Errors
    /// `w2_sq` must be finite and above 0.
    pub fn effective_n(&self, w2_sq: f64, se: f64) -> Result<Estimate> {
        if !(w2_sq.is_finite() && w2_sq > 0.0) {
            return Err(TheoryError::Setting { name: "w2_sq", value: w2_sq, must: "finite and above 0" });
        }
        let above = |n: f64| self.at(n).mean > w2_sq;
        let mut low = ((self.traces.first + self.asymptote) / w2_sq + 1.0).floor().max(2.0);
        if low >= (1_u64 << 53) as f64 {
            return Ok(Estimate { mean: low, se: low * se / w2_sq });
        }
        while low > 2.0 && !above(low) {
            low = (low / 1.3).floor().max(2.0);
        }
        let mut high = low + 1.0;
        while above(high) {
            (low, high) = (high, (high * 1.3).ceil());
        }
        // The integers on both sides, or, where they are too near for the difference, two points within 1e-6.
        while high - low > (1e-6 * low).max(1.0) || (low <= SEGMENTS && high - low > 1.0) {
            let middle = ((low + high) / 2.0).floor();
            if above(middle) { low = middle } else { high = middle }
        }
        let (left, right) = if low > SEGMENTS { (low / 1.01, low * 1.01) } else { (low, low + 1.0) };
        let (left_value, right_value) = (self.at(left), self.at(right));
        let slope = (right_value.mean / left_value.mean).ln() / (right / left).ln();
        let mean = (left * ((w2_sq / left_value.mean).ln() / slope).exp()).max(1.0);
        let relative = (se / w2_sq).hypot(left_value.se / left_value.mean) / slope.abs();
        Ok(Estimate { mean, se: mean * relative })
    }

    fn grid(index: usize) -> f64 {
        if index < DENSE { (index + 1) as f64 } else { (DENSE as f64 * RATIO.powi((index + 1 - DENSE) as i32)).round() }
    }

    /// log(curve / asymptote) at k = n - 1, and its standard error.
    fn log_ratio(&self, k: f64) -> (f64, f64) {
        let far = (0..).find(|&index| Self::grid(index) >= FAR * self.spectrum.len() as f64).unwrap_or(0);
        if k >= Self::grid(far) {
            let node = self.node(far);
            let shrink = Self::grid(far) / k;
            return (node.log * shrink, node.se * shrink);
        }
        let left = (0..far).rev().find(|&index| Self::grid(index) <= k).unwrap_or(0);
        if Self::grid(left) == k {
            let node = self.node(left);
            return (node.log, node.se);
        }
        let nodes: Vec<Node> = (0..4).map(|i| self.node(left.saturating_sub(1) + i)).collect();
        let x = k.ln();
        let weight = |i: usize| -> f64 {
            let others = nodes.iter().enumerate().filter(|&(j, _)| j != i);
            others.map(|(_, other)| (x - other.log_k) / (nodes[i].log_k - other.log_k)).product()
        };
        let log = (0..4).map(|i| weight(i) * nodes[i].log).sum();
        (log, nodes.iter().map(|node| node.se).fold(0.0, f64::max))
    }

    fn node(&self, index: usize) -> Node {
        let lock = || self.nodes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(&node) = lock().get(&index) {
            return node;
        }
        // Made without holding the lock: the draws run in parallel, and another thread would make the same bits.
        let node = self.make(Self::grid(index));
        lock().insert(index, node);
        node
    }

    /// Whether S = s I.
    fn flat(&self) -> bool {
        self.spectrum.iter().all(|&value| value == self.spectrum[0])
    }

    /// Exactly, of a Sigma with one variance above 0.
    fn single(&self, k: f64) -> Node {
        let first = self.traces.first;
        let root = self.spectrum[0] * chi_mean(k.max(self.spectrum.len() as f64)) / k.sqrt();
        let (mean, n) = (first / (k + 1.0) + 2.0 * (first - root), k + 1.0);
        Node { log_k: k.ln(), log: (mean / (first / n + self.asymptote / k)).ln(), se: 0.0 }
    }

    fn make(&self, k: f64) -> Node {
        if self.spectrum.len() == 1 || (k == 1.0 && self.flat()) {
            return self.single(k);
        }
        let d = self.spectrum.len() as f64;
        // Noise falls as 1/d, cost grows as d^2 or d^3.
        let draws = (self.effort * 4e6 / (d * d)).clamp(32.0, 100_000.0) as u32;
        let (scale, flat) = (self.spectrum[0], self.flat());
        let samples: Vec<[f64; 3]> = (0..draws)
            .into_par_iter()
            .map(|draw| {
                if flat {
                    let [spread, trace, squared] = isotropic(self.spectrum.len(), k as u64, draw);
                    return [scale * spread, scale * trace, scale * scale * squared];
                }
                let mut t = bartlett(self.spectrum.len(), k as u64, &mut Seeds::new(0).at(draw).rng(WISHART, 0));
                for j in 0..t.ncols() {
                    for i in j..t.nrows() {
                        t[(i, j)] *= self.roots[i] / k.sqrt();
                    }
                }
                let factor = Factor { matrix: t };
                [factor.spread(&self.roots), factor.trace(), factor.squared_trace()]
            })
            .collect();
        let Traces { first, second } = self.traces;
        let known = [first, ((k + 1.0) * second + first * first) / k];
        let column = |index: usize| samples.iter().map(|sample| sample[index]).collect::<Vec<f64>>();
        let controls = [column(1), column(2)];
        let slopes = coefficients(&column(0), &controls);
        let adjusted: Vec<f64> = samples
            .iter()
            .map(|sample| sample[0] - slopes[0] * (sample[1] - known[0]) - slopes[1] * (sample[2] - known[1]))
            .collect();
        let spread = Estimate::of(&adjusted);
        let n = k + 1.0;
        let mean = first / n + spread.mean;
        Node { log_k: k.ln(), log: (mean / (first / n + self.asymptote / k)).ln(), se: spread.se / mean }
    }
}

/// E of a chi variate with `k` degrees of freedom: 2^{1/2} Gamma((k + 1) / 2) / Gamma(k / 2).
fn chi_mean(k: f64) -> f64 {
    // r(x) = Gamma(x + 1/2) / Gamma(x) = r(x + 1) x / (x + 1/2), and its series at x >= 32, to 1e-12.
    let (mut x, mut factor) = (k / 2.0, 2.0_f64.sqrt());
    while x < 32.0 {
        factor *= x / (x + 0.5);
        x += 1.0;
    }
    let y = 1.0 / x;
    let series =
        1.0 - y * (1.0 / 8.0 - y * (1.0 / 128.0 + y * (5.0 / 1024.0 - y * (21.0 / 32768.0 + y * 399.0 / 262_144.0))));
    factor * x.sqrt() * series
}

/// tr(Sigma + I - 2 Sigma^{1/2}), tr Sigma and tr Sigma^2 of Sigma ~ Wishart_d(I / k, k).
fn isotropic(d: usize, k: u64, draw: u32) -> [f64; 3] {
    let small = usize::try_from(k).unwrap_or(usize::MAX).min(d);
    let large = k.max(d as u64);
    // Every entry has its own address, so curves at neighbouring k see the same noise.
    let entry = |row: usize, degrees: u64| chi(degrees, &mut Seeds::new(0).at(draw).rng(WISHART, row as u64));
    let scale = 1.0 / (k as f64).sqrt();
    let on: Vec<f64> = (0..small).map(|i| scale * entry(2 * i, large - i as u64)).collect();
    let below: Vec<f64> = (0..small).map(|i| scale * entry(2 * i + 1, (small - 1 - i) as u64)).collect();
    let diagonal: Vec<f64> =
        (0..small).map(|i| on[i] * on[i] + if i == 0 { 0.0 } else { below[i - 1] * below[i - 1] }).collect();
    let off: Vec<f64> = (0..small).map(|i| on[i] * below[i]).collect();
    let squares: f64 = diagonal.iter().map(|v| v * v).sum::<f64>() + 2.0 * off.iter().map(|v| v * v).sum::<f64>();
    [isotropic_spread(&diagonal, &off, 1.0, d), diagonal.iter().sum(), squares]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_dimension_has_a_closed_form() {
        // 1 / n + 2 - 2 E chi_k / k^{1/2}: E chi_1 = (2 / pi)^{1/2}, E chi_2 = (pi / 2)^{1/2}, E chi_3 = 2 (2 / pi)^{1/2}.
        let pi = std::f64::consts::PI;
        let curve = SampleCurve::new(&RealCovariance::Identity(1)).unwrap();
        for (n, mean) in [(2.0, (2.0 / pi).sqrt()), (3.0, (pi / 4.0).sqrt()), (4.0, 2.0 * (2.0 / pi / 3.0).sqrt())] {
            let got = curve.w2_sq(n).unwrap().mean;
            assert!((got - (1.0 / n + 2.0 - 2.0 * mean)).abs() < 1e-12, "{n}: {got}");
        }
        // Between nodes and beyond them, against the formula itself.
        for k in [50.0_f64, 77.0, 1000.0, 20_000.0] {
            let exact = 1.0 / (k + 1.0) + 2.0 - 2.0 * chi_mean(k) / k.sqrt();
            assert!((curve.at(k + 1.0).mean / exact - 1.0).abs() < 1e-6, "{k}");
        }
    }

    #[test]
    fn both_ways_of_drawing_agree() {
        // Nearly equal variances are drawn in full, equal ones by their bidiagonal matrix.
        let flat = SampleCurve::new(&RealCovariance::Diagonal(vec![2.0; 6])).unwrap();
        let full = SampleCurve::new(&RealCovariance::Diagonal(vec![2.0, 2.0, 2.0, 2.0, 2.0, 2.0 + 1e-9])).unwrap();
        for n in [2.0, 4.0, 7.0, 30.0, 500.0, 1e5] {
            let (a, b) = (flat.w2_sq(n).unwrap(), full.w2_sq(n).unwrap());
            assert!((a.mean - b.mean).abs() <= 5.0 * a.se.hypot(b.se) + 1e-8 * a.mean, "{n}: {a:?} {b:?}");
        }
    }

    #[test]
    fn effective_sizes_invert_the_curve_between_integers() {
        let curve = SampleCurve::new(&RealCovariance::Identity(5)).unwrap();
        for n in [2.0, 3.0, 17.0, 250.0, 5000.0, 1e9] {
            let got = curve.effective_n(curve.w2_sq(n).unwrap().mean, 0.0).unwrap().mean;
            assert!((got / n - 1.0).abs() < 1e-4, "{n}: {got}");
        }
        let (two, three) = (curve.w2_sq(2.0).unwrap().mean, curve.w2_sq(3.0).unwrap().mean);
        let middle = curve.effective_n((two * three).sqrt(), 0.0).unwrap().mean;
        assert!((middle - 6.0_f64.sqrt()).abs() < 1e-9, "{middle}");
        assert_eq!(curve.effective_n(1e6, 0.0).unwrap().mean, 1.0);
        for bad in [f64::NAN, 0.0, -1.0] {
            assert!(curve.effective_n(bad, 0.0).is_err());
        }
        assert!(curve.w2_sq(1.5).unwrap_err().to_string().contains("n is 1.5"));
    }
}
