//! Exact first and second moments of the fresh-data loop with history 1.
//!
//! One generation is mu' = (1-a) m_r + a m_s and (n-1) Sigma' = C_r + C_s + h delta delta^T with a = n_s/n, h = n_r n_s/n,
//! delta = m_s - m_r and, given the last model (mu, Sigma), independent
//! C_r ~ Wishart(S, n_r - 1), C_s ~ Wishart(lambda Sigma, n_s - 1), m_r ~ N(0, S/n_r), m_s ~ N(mu, lambda Sigma/n_s).
//! mu' and delta are jointly normal with covariances H = ((1-a) S + a lambda Sigma)/n, B = S/n_r + lambda Sigma/n_s and
//! cross-covariance G = (lambda Sigma - S)/n. From E tr W^2 = k(k+1) tr A^2 + k (tr A)^2 and E (tr W)^2 = k^2 (tr A)^2 + 2k tr A^2
//! for W ~ Wishart(A, k), and Isserlis' theorem, the expected next value of each of the invariants below is linear in
//! them: a closed recursion of 10 numbers, whatever d.

/// 1, V = |mu|^2, tau = tr Sigma, mu^T S mu, tr S Sigma, tr Sigma^2, tau^2, mu^T Sigma mu, V tau, V^2.
const SIZE: usize = 10;
const V: usize = 1;
const TAU: usize = 2;
const V_S: usize = 3;
const TAU_S: usize = 4;
const Q: usize = 5;
const TAU_TAU: usize = 6;
const MU_SIGMA_MU: usize = 7;
const V_TAU: usize = 8;
const V_V: usize = 9;

type Row = [f64; SIZE];
type Matrix = [Row; SIZE];

/// c + v V + t tau.
#[derive(Clone, Copy)]
struct Scalar {
    c: f64,
    v: f64,
    t: f64,
}

impl Scalar {
    fn times(self, other: Self) -> Row {
        let mut row = [0.0; SIZE];
        row[0] = self.c * other.c;
        row[V] = self.c * other.v + self.v * other.c;
        row[TAU] = self.c * other.t + self.t * other.c;
        row[V_V] = self.v * other.v;
        row[V_TAU] = self.v * other.t + self.t * other.v;
        row[TAU_TAU] = self.t * other.t;
        row
    }

    fn plus_v(self, v: f64) -> Self {
        Self { v: self.v + v, ..self }
    }
}

/// real S + model Sigma.
#[derive(Clone, Copy)]
struct Symmetric {
    real: f64,
    model: f64,
}

/// tr S and tr S^2.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Traces {
    pub(crate) first: f64,
    pub(crate) second: f64,
}

impl Traces {
    pub(crate) fn of(spectrum: &[f64]) -> Self {
        Self { first: spectrum.iter().sum(), second: spectrum.iter().map(|value| value * value).sum() }
    }

    fn trace(self, m: Symmetric) -> Scalar {
        Scalar { c: m.real * self.first, v: 0.0, t: m.model }
    }

    /// tr M N.
    fn product(self, m: Symmetric, n: Symmetric) -> Row {
        let mut row = [0.0; SIZE];
        row[0] = m.real * n.real * self.second;
        row[TAU_S] = m.real * n.model + m.model * n.real;
        row[Q] = m.model * n.model;
        row
    }
}

/// mu^T M mu.
fn quadratic(m: Symmetric) -> Row {
    let mut row = [0.0; SIZE];
    row[V_S] = m.real;
    row[MU_SIGMA_MU] = m.model;
    row
}

fn sum(terms: &[(f64, Row)]) -> Row {
    let mut out = [0.0; SIZE];
    for (factor, row) in terms {
        for (out, value) in out.iter_mut().zip(row) {
            *out += factor * value;
        }
    }
    out
}

/// The stationary moments of a fresh-data loop with history 1, n_real >= 1 and n_synthetic >= 1.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stationary {
    /// E |mu|^2.
    pub(crate) mean_sq: f64,
    /// E tr Sigma.
    pub(crate) trace: f64,
    /// E tr Sigma^2; `None` where second moments grow without bound.
    pub(crate) squared_trace: Option<f64>,
    /// Factor by which what is left of the initial model's first (and, where finite, second) moments shrinks a generation.
    pub(crate) contraction: f64,
}

impl Stationary {
    /// The fixed point of the recursion. Counts may be fractions.
    pub(crate) fn of(traces: Traces, n_real: f64, n_synthetic: f64, lambda: f64) -> Self {
        let matrix = recursion(traces, n_real, n_synthetic, lambda);
        let first = solve(&matrix, TAU_S).unwrap_or([f64::NAN; SIZE]);
        let (slow, all) = (radius(&matrix, 1..Q), radius(&matrix, 1..SIZE));
        // Close to 1 the sampled second moments converge too slowly to be of use.
        let second = (all < 1.0 - 1e-7).then(|| solve(&matrix, V_V)).flatten().map(|x| x[Q]);
        let second = second.filter(|&q| q.is_finite() && q > 0.0);
        let contraction = if second.is_some() { all } else { slow };
        Self { mean_sq: first[V], trace: first[TAU], squared_trace: second, contraction }
    }
}

/// Row i gives the expected next invariant i.
fn recursion(s: Traces, n_r: f64, n_s: f64, lambda: f64) -> Matrix {
    let n = n_r + n_s;
    let (a, h) = (n_s / n, n_r * n_s / n);
    let identity = Symmetric { real: 1.0, model: 0.0 };
    let synthetic = Symmetric { real: 0.0, model: lambda };
    let b_cov = Symmetric { real: 1.0 / n_r, model: lambda / n_s };
    let h_cov = Symmetric { real: (1.0 - a) / n, model: a * lambda / n };
    let g_cov = Symmetric { real: -1.0 / n, model: lambda / n };
    let (k_r, k_s) = (n_r - 1.0, n_s - 1.0);
    // E |delta|^2 given the last model, E |mu'|^2, E mu' delta.
    let delta = s.trace(b_cov).plus_v(1.0);
    let mean = s.trace(h_cov).plus_v(a * a);
    let cross = s.trace(g_cov).plus_v(a);
    let (trace_r, trace_s) = (s.trace(identity), s.trace(synthetic));
    let mut m = [[0.0; SIZE]; SIZE];
    m[0][0] = 1.0;
    let linear = |x: Scalar, y: Scalar, z: Scalar| Scalar {
        c: k_r * x.c + k_s * y.c + h * z.c,
        v: h * z.v,
        t: k_s * y.t + h * z.t,
    };
    let trace = linear(trace_r, trace_s, delta);
    for (scalar, v, out) in [(mean, V, V), (trace, V, TAU)] {
        let divisor = if out == TAU { n - 1.0 } else { 1.0 };
        m[out][0] = scalar.c / divisor;
        m[out][v] = scalar.v / divisor;
        m[out][TAU] = scalar.t / divisor;
        // The same with S Sigma and S S for Sigma and S.
        m[out + 2][0] = scalar.c / divisor * s.second / s.first;
        m[out + 2][V_S] = scalar.v / divisor;
        m[out + 2][TAU_S] = scalar.t / divisor;
    }
    // E |delta|^4.
    let fourth = sum(&[(1.0, delta.times(delta)), (2.0, s.product(b_cov, b_cov)), (4.0, quadratic(b_cov))]);
    let (rr, ss) = (s.product(identity, identity), s.product(synthetic, synthetic));
    let rs = s.product(identity, synthetic);
    let (rr2, ss2) = (trace_r.times(trace_r), trace_s.times(trace_s));
    // E tr S delta delta^T and E tr lambda Sigma delta delta^T.
    let r_delta = sum(&[(1.0, quadratic(identity)), (1.0, s.product(identity, b_cov))]);
    let s_delta = sum(&[(1.0, quadratic(synthetic)), (1.0, s.product(synthetic, b_cov))]);
    let square = |row: Row| row.map(|value| value / ((n - 1.0) * (n - 1.0)));
    m[Q] = square(sum(&[
        (k_r * (k_r + 1.0), rr),
        (k_r, rr2),
        (k_s * (k_s + 1.0), ss),
        (k_s, ss2),
        (h * h, fourth),
        (2.0 * k_r * k_s, rs),
        (2.0 * k_r * h, r_delta),
        (2.0 * k_s * h, s_delta),
    ]));
    m[TAU_TAU] = square(sum(&[
        (k_r * k_r, rr2),
        (2.0 * k_r, rr),
        (k_s * k_s, ss2),
        (2.0 * k_s, ss),
        (h * h, fourth),
        (2.0 * k_r * k_s, trace_r.times(trace_s)),
        (2.0 * k_r * h, trace_r.times(delta)),
        (2.0 * k_s * h, trace_s.times(delta)),
    ]));
    let gg = s.product(g_cov, g_cov);
    // E (mu' delta)^2 and E |mu'|^2 |delta|^2.
    let cross_sq = sum(&[
        (1.0, cross.times(cross)),
        (a * a, quadratic(b_cov)),
        (1.0, quadratic(h_cov)),
        (2.0 * a, quadratic(g_cov)),
        (1.0, s.product(h_cov, b_cov)),
        (1.0, gg),
    ]);
    let both = sum(&[(1.0, mean.times(delta)), (2.0, gg), (4.0 * a, quadratic(g_cov))]);
    let over = |row: Row| row.map(|value| value / (n - 1.0));
    m[MU_SIGMA_MU] = over(sum(&[
        (k_r * a * a, quadratic(identity)),
        (k_r, s.product(identity, h_cov)),
        (k_s * a * a, quadratic(synthetic)),
        (k_s, s.product(synthetic, h_cov)),
        (h, cross_sq),
    ]));
    m[V_TAU] = over(sum(&[(k_r, mean.times(trace_r)), (k_s, mean.times(trace_s)), (h, both)]));
    m[V_V] = sum(&[(1.0, mean.times(mean)), (2.0, s.product(h_cov, h_cov)), (4.0 * a * a, quadratic(h_cov))]);
    m
}

/// The fixed point of invariants 0 to `last`, by elimination with pivoting.
fn solve(matrix: &Matrix, last: usize) -> Option<Row> {
    // (I - A) x = b over the invariants 1..=last, b in column 0.
    let mut rows: Vec<Row> = (1..=last)
        .map(|i| {
            let mut row = matrix[i].map(|value| -value);
            row[i] += 1.0;
            row[0] = matrix[i][0];
            row
        })
        .collect();
    for pivot in 0..last {
        let best = (pivot..last).max_by(|&x, &y| rows[x][pivot + 1].abs().total_cmp(&rows[y][pivot + 1].abs()))?;
        rows.swap(pivot, best);
        let lead = rows[pivot];
        if lead[pivot + 1] == 0.0 {
            return None;
        }
        for (i, row) in rows.iter_mut().enumerate() {
            let factor = row[pivot + 1] / lead[pivot + 1];
            if i != pivot {
                row.iter_mut().zip(&lead).for_each(|(value, lead)| *value -= factor * lead);
            }
        }
    }
    let mut x = [0.0; SIZE];
    x[0] = 1.0;
    for i in 0..last {
        x[i + 1] = rows[i][0] / rows[i][i + 1];
    }
    Some(x)
}

/// The spectral radius of the block of `range`, by squaring: |A^N|^(1/N), N = 2^30.
fn radius(matrix: &Matrix, range: std::ops::Range<usize>) -> f64 {
    let mut power: Vec<Vec<f64>> = range.clone().map(|i| matrix[i][range.clone()].to_vec()).collect();
    let (mut log, mut weight) = (0.0, 1.0);
    for _ in 0..30 {
        let norm = power.iter().flatten().fold(0.0_f64, |m, v| m.max(v.abs()));
        if norm == 0.0 {
            return 0.0;
        }
        log += norm.ln() * weight;
        weight /= 2.0;
        let scaled: Vec<Vec<f64>> = power.iter().map(|row| row.iter().map(|v| v / norm).collect()).collect();
        let product = |i: usize, j: usize| (0..scaled.len()).map(|k| scaled[i][k] * scaled[k][j]).sum();
        power = (0..scaled.len()).map(|i| (0..scaled.len()).map(|j| product(i, j)).collect()).collect();
    }
    log.exp()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{GaussianLoop, RealCovariance, simulate};

    #[test]
    fn the_fixed_point_is_what_simulation_gives() {
        // 8,000 stationary models; fixed seeds, over fresh ones 4.5 standard errors alarm once in 1.5e5 comparisons.
        for (spectrum, n_r, n_s, lambda) in
            [(vec![1.0; 3], 20, 30, 0.9), (vec![4.0, 1.0, 0.5], 12, 40, 0.8), (vec![2.0], 10, 15, 1.0)]
        {
            let settings = GaussianLoop {
                covariance: RealCovariance::Diagonal(spectrum.clone()),
                ..GaussianLoop::fresh_data(1, n_r, n_s, lambda)
            };
            let exact = Stationary::of(Traces::of(&spectrum), n_r as f64, n_s as f64, lambda);
            let generations = (1e-5_f64.ln() / exact.contraction.ln()).ceil() as u32;
            let runs = simulate(&settings, generations, 8_000, 3).unwrap();
            let last: Vec<_> = runs.iter().map(|run| run[run.len() - 1]).collect();
            let check = |what: &str, values: Vec<f64>, expected: f64| {
                let got = crate::Estimate::of(&values);
                assert!((got.mean - expected).abs() < 4.5 * got.se, "{what}, {spectrum:?}: {got:?}, {expected}");
            };
            check("V", last.iter().map(|m| m.mean_sq).collect(), exact.mean_sq);
            check("tau", last.iter().map(|m| m.trace).collect(), exact.trace);
            let matrix = recursion(Traces::of(&spectrum), n_r as f64, n_s as f64, lambda);
            let x = solve(&matrix, V_V).unwrap();
            check("tau^2", last.iter().map(|m| m.trace * m.trace).collect(), x[TAU_TAU]);
            check("V tau", last.iter().map(|m| m.trace * m.mean_sq).collect(), x[V_TAU]);
            check("V^2", last.iter().map(|m| m.mean_sq * m.mean_sq).collect(), x[V_V]);
            if spectrum.len() == 1 {
                assert!((x[Q] / x[TAU_TAU] - 1.0).abs() < 1e-12, "tr Sigma^2 is tau^2 in one dimension");
                assert!((x[MU_SIGMA_MU] / x[V_TAU] - 1.0).abs() < 1e-12);
            }
        }
    }
}
