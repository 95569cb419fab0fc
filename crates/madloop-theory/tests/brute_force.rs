//! Simulation by sufficient statistics against loops that draw every sample, by Kolmogorov and Smirnov's two-sample test.
//!
//! Seeds are fixed. Over fresh ones a comparison would alarm with probability 2 exp(-2 C^2) = 1e-8, all 68 together below 1e-6.

use madloop_core::{History, LoopKind, Pool, Seeds, Stream, SyntheticCount};
use madloop_theory::{GaussianLoop, GaussianMoments, RealCovariance, simulate};
use rand::{Rng, RngExt};
use rand_distr::{Distribution, StandardNormal};
use rayon::prelude::*;

const C: f64 = 3.1;
const REPLICATES: u32 = 12_000;
const GENERATIONS: u32 = 6;

type Rows = Vec<Vec<f64>>;

/// A model that can sample without a factorisation: N(mean, Y^T Y / (n - 1)) is mean + Y^T z / (n - 1)^{1/2}.
#[derive(Clone)]
struct Fitted {
    mean: Vec<f64>,
    centred: Rows,
}

fn normal(rng: &mut impl Rng) -> f64 {
    StandardNormal.sample(rng)
}

impl Fitted {
    fn new(rows: &[Vec<f64>]) -> Self {
        let (n, d) = (rows.len() as f64, rows[0].len());
        let mean: Vec<f64> = (0..d).map(|j| rows.iter().map(|row| row[j]).sum::<f64>() / n).collect();
        let centred = rows.iter().map(|row| row.iter().zip(&mean).map(|(x, m)| x - m).collect()).collect();
        Self { mean, centred }
    }

    fn sample(&self, lambda: f64, rng: &mut impl Rng) -> Vec<f64> {
        let scale = (lambda / (self.centred.len() as f64 - 1.0)).sqrt();
        let mut out = self.mean.clone();
        for row in &self.centred {
            let z = scale * normal(rng);
            out.iter_mut().zip(row).for_each(|(out, value)| *out += z * value);
        }
        out
    }

    /// `root` is A with A A^T = S, row by row.
    fn moments(&self, root: &Rows) -> GaussianMoments {
        let (d, n) = (self.mean.len(), self.centred.len() as f64);
        let sigma: Rows = (0..d)
            .map(|i| (0..d).map(|j| self.centred.iter().map(|r| r[i] * r[j]).sum::<f64>() / (n - 1.0)).collect())
            .collect();
        let entry = |i: usize, j: usize| {
            let terms = (0..d).flat_map(|k| (0..d).map(move |l| (k, l)));
            terms.map(|(k, l)| root[k][i] * sigma[k][l] * root[l][j]).sum()
        };
        let product: Rows = (0..d).map(|i| (0..d).map(|j| entry(i, j)).collect()).collect();
        let real: f64 = root.iter().flatten().map(|v| v * v).sum();
        let trace: f64 = (0..d).map(|i| sigma[i][i]).sum();
        let mean_sq = self.mean.iter().map(|v| v * v).sum::<f64>();
        let roots: f64 = jacobi(product).iter().map(|v| v.max(0.0).sqrt()).sum();
        let log_det = jacobi(sigma).iter().map(|v| v.ln()).sum::<f64>();
        let whole = self.centred.len() > d;
        GaussianMoments {
            w2_sq: mean_sq + trace + real - 2.0 * roots,
            mean_sq,
            trace,
            log_det: whole.then_some(log_det),
        }
    }
}

/// Eigenvalues by Jacobi's rotations.
fn jacobi(mut a: Rows) -> Vec<f64> {
    let d = a.len();
    for _ in 0..30 {
        for p in 0..d {
            for q in p + 1..d {
                if a[p][q].abs() < 1e-300 {
                    continue;
                }
                let theta = (a[q][q] - a[p][p]) / (2.0 * a[p][q]);
                let t = theta.signum() / (theta.abs() + (theta * theta + 1.0).sqrt());
                let (c, s) = (1.0 / (t * t + 1.0).sqrt(), t / (t * t + 1.0).sqrt());
                for row in &mut a {
                    (row[p], row[q]) = (c * row[p] - s * row[q], s * row[p] + c * row[q]);
                }
                let (above, below) = a.split_at_mut(q);
                for (x, y) in above[p].iter_mut().zip(&mut below[0]) {
                    (*x, *y) = (c * *x - s * *y, s * *x + c * *y);
                }
            }
        }
    }
    (0..d).map(|i| a[i][i]).collect()
}

fn brute_force(settings: &GaussianLoop, root: &Rows, replicate: u64) -> Vec<GaussianMoments> {
    let mut rng = Seeds::new(99).rng(Stream::named("brute-force"), replicate);
    let d = root.len();
    let real = |count: u64, rng: &mut _| -> Rows {
        let mut one = || {
            let z: Vec<f64> = (0..d).map(|_| normal(rng)).collect();
            root.iter().map(|row| row.iter().zip(&z).map(|(a, z)| a * z).sum()).collect()
        };
        (0..count).map(|_| one()).collect()
    };
    let initial = real(settings.n_initial, &mut rng);
    let mut models = vec![Fitted::new(&initial)];
    let mut pool: Rows = Vec::new();
    while models.len() < GENERATIONS as usize {
        let mut rows = match settings.kind {
            LoopKind::FullySynthetic => Vec::new(),
            LoopKind::SyntheticAugmentation => initial[..settings.n_real as usize].to_vec(),
            LoopKind::FreshData => real(settings.n_real, &mut rng),
        };
        let reach = match settings.history {
            _ if settings.pool == Pool::Accumulate => 1,
            History::Last(k) => models.len().min(k as usize),
            History::All => models.len(),
        };
        let recent = models[models.len() - reach..].to_vec();
        let drawn: Rows = match settings.synthetic_count {
            SyntheticCount::Total => (0..settings.n_synthetic)
                .map(|_| recent[rng.random_range(0..reach)].sample(settings.lambda, &mut rng))
                .collect(),
            SyntheticCount::PerModel => recent
                .iter()
                .flat_map(|model| vec![model; settings.n_synthetic as usize])
                .map(|model| model.sample(settings.lambda, &mut rng))
                .collect(),
        };
        if settings.pool == Pool::Accumulate {
            pool.extend(drawn);
            rows.extend(pool.iter().cloned());
        } else {
            rows.extend(drawn);
        }
        models.push(Fitted::new(&rows));
    }
    models.iter().map(|model| model.moments(root)).collect()
}

fn same(what: &str, mut x: Vec<f64>, mut y: Vec<f64>) {
    x.sort_by(f64::total_cmp);
    y.sort_by(f64::total_cmp);
    let mut largest = 0.0_f64;
    for value in x.iter().chain(&y) {
        let share = |set: &[f64]| set.partition_point(|v| v <= value) as f64 / set.len() as f64;
        largest = largest.max((share(&x) - share(&y)).abs());
    }
    let statistic = largest * (x.len() as f64 / 2.0).sqrt();
    assert!(statistic < C, "{what}: {statistic}");
}

fn compare(name: &str, settings: &GaussianLoop, root: &Rows) {
    let fast = simulate(settings, GENERATIONS, REPLICATES, 7).expect("settings in range");
    let slow: Vec<_> =
        (0..u64::from(REPLICATES)).into_par_iter().map(|replicate| brute_force(settings, root, replicate)).collect();
    for t in [1, GENERATIONS as usize - 1] {
        let column = |runs: &[Vec<GaussianMoments>], value: fn(&GaussianMoments) -> f64| {
            runs.iter().map(|run| value(&run[t])).collect::<Vec<f64>>()
        };
        let check = |what: &str, value| {
            same(&format!("{name}, generation {}, {what}", t + 1), column(&fast, value), column(&slow, value));
        };
        check("|mu|^2", |m| m.mean_sq);
        check("trace", |m| m.trace);
        check("W2", |m| m.w2_sq);
        assert_eq!(fast[0][t].log_det.is_some(), slow[0][t].log_det.is_some(), "{name}");
        if fast[0][t].log_det.is_some() {
            check("log det", |m| m.log_det.expect("full rank"));
        }
    }
}

fn diagonal(variances: &[f64]) -> (RealCovariance, Rows) {
    let d = variances.len();
    let entry = |i, j| if i == j { f64::sqrt(variances[i]) } else { 0.0 };
    (RealCovariance::Diagonal(variances.to_vec()), (0..d).map(|i| (0..d).map(|j| entry(i, j)).collect()).collect())
}

fn plan(covariance: RealCovariance, kind: LoopKind, counts: [u64; 3], lambda: f64) -> GaussianLoop {
    let [n_initial, n_real, n_synthetic] = counts;
    let dim = covariance.dim();
    GaussianLoop { kind, n_initial, covariance, ..GaussianLoop::fresh_data(dim, n_real, n_synthetic, lambda) }
}

#[test]
fn fresh_data() {
    let (covariance, root) = diagonal(&[4.0, 1.0, 0.5]);
    compare("fresh", &plan(covariance, LoopKind::FreshData, [6, 4, 5], 0.8), &root);
    let covariance = RealCovariance::Full { dim: 2, values: vec![2.0, 0.9, 0.9, 1.0] };
    // Cholesky's factor of it.
    let (a, b) = (2.0_f64.sqrt(), 0.9 / 2.0_f64.sqrt());
    let root = vec![vec![a, 0.0], vec![b, (1.0 - b * b).sqrt()]];
    compare("fresh, correlated", &plan(covariance, LoopKind::FreshData, [5, 3, 4], 1.0), &root);
}

#[test]
fn fewer_samples_than_dimensions() {
    let (_, root) = diagonal(&[1.0; 6]);
    compare("fresh", &plan(RealCovariance::Identity(6), LoopKind::FreshData, [3, 2, 3], 0.9), &root);
    let (covariance, root) = diagonal(&[2.0, 1.0, 1.0, 0.5]);
    compare("fully synthetic", &plan(covariance, LoopKind::FullySynthetic, [3, 0, 4], 1.0), &root);
    // Enough in all, each block too few.
    let (covariance, root) = diagonal(&[2.0, 1.0, 1.0, 0.5]);
    compare("augmentation", &plan(covariance, LoopKind::SyntheticAugmentation, [5, 3, 4], 0.9), &root);
}

#[test]
fn fully_synthetic() {
    let (covariance, root) = diagonal(&[1.0, 1.0, 1.0]);
    compare("fully synthetic", &plan(covariance, LoopKind::FullySynthetic, [5, 0, 8], 1.0), &root);
}

#[test]
fn histories_and_pools() {
    let (covariance, root) = diagonal(&[2.0, 1.0]);
    let base = plan(covariance, LoopKind::FreshData, [5, 4, 6], 0.9);
    compare("last 3", &GaussianLoop { history: History::Last(3), ..base.clone() }, &root);
    let augmentation = GaussianLoop { kind: LoopKind::SyntheticAugmentation, ..base };
    let all = GaussianLoop { history: History::All, synthetic_count: SyntheticCount::PerModel, ..augmentation.clone() };
    compare("all, 6 each", &all, &root);
    compare("accumulate", &GaussianLoop { pool: Pool::Accumulate, ..augmentation }, &root);
}
