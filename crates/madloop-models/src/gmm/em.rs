//! One restart of expectation maximisation.

use rand::Rng;

use super::init::{greedy_k_means, squared_distance};
use super::{Covariance, GmmConfig};

/// Responsibilities below e^-40 of a sample's largest (4e-18, under f64's resolution) count as 0.
const NEGLIGIBLE: f64 = 40.0;
/// A variance below this share of the data's mean variance is at the resolution of f32 samples: singular.
const SINGULAR: f64 = 1e-14;

/// Where a restart came to rest.
#[derive(Debug, Clone)]
pub(crate) struct Mixture {
    /// `[k]`, summing to 1.
    pub(crate) weights: Vec<f64>,
    /// `[k, d]`.
    pub(crate) means: Vec<f64>,
    /// `[k, p]` with p = d * d, d or 1.
    pub(crate) covariances: Vec<f64>,
    /// Mean over samples, in nats.
    pub(crate) log_likelihood: f64,
    pub(crate) n_singular: usize,
    /// Components that found a distinct sample to begin with.
    pub(crate) n_used: usize,
}

impl Mixture {
    pub(crate) fn is_finite(&self) -> bool {
        [&self.weights, &self.means, &self.covariances]
            .iter()
            .all(|values| values.iter().all(|value| value.is_finite()))
    }
}

/// The data and options of all restarts of one fit.
pub(crate) struct Em<'a> {
    points: &'a [f64],
    n: usize,
    d: usize,
    options: &'a GmmConfig,
    /// Mean over dimensions of the data's variance.
    scale: f64,
}

/// A component ready for evaluation: log density = constant - |whitening (x - mean)|^2 / 2.
struct Component {
    constant: f64,
    /// Inverse Cholesky factor (lower, `[d, d]`), inverse deviations `[d]`, or one inverse deviation.
    whitening: Vec<f64>,
}

impl<'a> Em<'a> {
    pub(crate) fn new(points: &'a [f64], n: usize, d: usize, options: &'a GmmConfig) -> Self {
        let mut scale = 0.0;
        for j in 0..d {
            let column = || points.iter().skip(j).step_by(d);
            let mean = column().sum::<f64>() / n as f64;
            scale += column().map(|x| (x - mean) * (x - mean)).sum::<f64>() / n as f64;
        }
        Self { points, n, d, options, scale: scale / d as f64 }
    }

    /// Greedy k-means++, then EM until the likelihood rests or the steps are used up. A component that becomes singular keeps
    /// its parameters and its share of every sample from then on; the others go on with what is left.
    pub(crate) fn run<R: Rng>(&self, rng: &mut R) -> Mixture {
        let centres =
            greedy_k_means(self.points, self.n, self.d, self.options.components, self.options.candidates, rng);
        let k = centres.len();
        let mut responsibilities = vec![0.0; self.n * k];
        let mut mixture = self.begin(&centres, &mut responsibilities);
        let mut last = f64::NEG_INFINITY;
        for _ in 0..self.options.max_iterations {
            let components = self.prepare(&mut mixture);
            if mixture.n_singular == k {
                break;
            }
            mixture.log_likelihood = self.expect(&mixture, &components, &mut responsibilities);
            self.maximise(&mut mixture, &responsibilities);
            if (mixture.log_likelihood - last).abs() < self.options.tolerance || !mixture.log_likelihood.is_finite() {
                break;
            }
            last = mixture.log_likelihood;
        }
        // Counts the singular components of the last step too.
        self.prepare(&mut mixture);
        mixture
    }

    /// Samples go to their nearest centre; every component begins with the pooled covariance within.
    fn begin(&self, centres: &[usize], hard: &mut [f64]) -> Mixture {
        let (k, d) = (centres.len(), self.d);
        for i in 0..self.n {
            let distance = |j: &usize| squared_distance(self.point(i), self.point(centres[*j]));
            let nearest = (0..k).min_by(|a, b| distance(a).total_cmp(&distance(b))).unwrap_or(0);
            hard[i * k + nearest] = 1.0;
        }
        let p = self.parameters();
        let mut mixture = Mixture {
            weights: vec![0.0; k],
            means: vec![0.0; k * d],
            covariances: vec![0.0; k * p],
            log_likelihood: f64::NEG_INFINITY,
            n_singular: 0,
            n_used: k,
        };
        self.maximise(&mut mixture, hard);
        let mut pooled = vec![0.0; p];
        for (weight, covariance) in mixture.weights.iter().zip(mixture.covariances.chunks_exact(p)) {
            pooled.iter_mut().zip(covariance).for_each(|(pooled, value)| *pooled += weight * value);
        }
        mixture.covariances.chunks_exact_mut(p).for_each(|covariance| covariance.copy_from_slice(&pooled));
        mixture
    }

    /// Factors all covariances; `None` for those that are singular, whose number is noted.
    fn prepare(&self, mixture: &mut Mixture) -> Vec<Option<Component>> {
        let p = self.parameters();
        let least = SINGULAR * self.scale;
        let constant = -0.5 * self.d as f64 * (2.0 * std::f64::consts::PI).ln();
        let components: Vec<Option<Component>> = mixture
            .covariances
            .chunks_exact_mut(p)
            .zip(&mixture.weights)
            .map(|(covariance, weight)| {
                let (whitening, log_root) = match self.options.covariance {
                    Covariance::Full => inverse_cholesky(covariance, self.d, least)?,
                    _ => {
                        if covariance.iter().any(|&variance| variance.is_nan() || variance <= least) {
                            return None;
                        }
                        let per_value = (self.d / p) as f64;
                        let log_root = covariance.iter().map(|variance| 0.5 * per_value * variance.ln()).sum();
                        (covariance.iter().map(|variance| variance.sqrt().recip()).collect(), log_root)
                    }
                };
                Some(Component { constant: constant - log_root + weight.ln(), whitening })
            })
            .collect();
        mixture.n_singular = components.iter().filter(|component| component.is_none()).count();
        components
    }

    /// Responsibilities `[n, k]` of the regular components for what the singular ones leave of each sample; returns the mean
    /// log-likelihood of that.
    fn expect(&self, mixture: &Mixture, components: &[Option<Component>], responsibilities: &mut [f64]) -> f64 {
        let k = components.len();
        let mut total = 0.0;
        let mut buffer = vec![0.0; self.d];
        for (i, row) in responsibilities.chunks_exact_mut(k).enumerate() {
            let x = self.point(i);
            let mut largest = f64::NEG_INFINITY;
            let mut left = 1.0;
            for ((log, component), mean) in row.iter_mut().zip(components).zip(mixture.means.chunks_exact(self.d)) {
                let Some(component) = component else {
                    left -= *log;
                    continue;
                };
                *log = component.constant - 0.5 * self.mahalanobis(component, x, mean, &mut buffer);
                largest = largest.max(*log);
            }
            let mut sum = 0.0;
            let regular = |(_, component): &(&mut f64, &Option<Component>)| component.is_some();
            for (value, _) in row.iter_mut().zip(components).filter(regular) {
                *value = if *value < largest - NEGLIGIBLE { 0.0 } else { (*value - largest).exp() };
                sum += *value;
            }
            let left = f64::max(left, 0.0);
            row.iter_mut().zip(components).filter(regular).for_each(|(value, _)| *value *= left / sum);
            total += left * (largest + sum.ln());
        }
        total / self.n as f64
    }

    fn mahalanobis(&self, component: &Component, x: &[f64], mean: &[f64], buffer: &mut [f64]) -> f64 {
        let d = self.d;
        match (self.options.covariance, &component.whitening[..]) {
            (Covariance::Full, &[a, _, b, c]) => {
                let (u, v) = (x[0] - mean[0], x[1] - mean[1]);
                let (p, q) = (a * u, b * u + c * v);
                p * p + q * q
            }
            (Covariance::Full, whitening) => {
                buffer.iter_mut().zip(x).zip(mean).for_each(|((out, x), mean)| *out = x - mean);
                let row = |i: usize| -> f64 {
                    whitening[i * d..i * d + i + 1].iter().zip(&*buffer).map(|(w, b)| w * b).sum()
                };
                (0..d).map(|i| row(i).powi(2)).sum()
            }
            (Covariance::Diagonal, whitening) => {
                buffer.iter_mut().zip(x).zip(whitening).for_each(|((out, x), w)| *out = x * w);
                buffer.iter().zip(mean).zip(whitening).map(|((scaled, mean), w)| (scaled - mean * w).powi(2)).sum()
            }
            (Covariance::Spherical, whitening) => squared_distance(x, mean) * whitening[0] * whitening[0],
        }
    }

    /// Weights, means and covariances from responsibilities; the covariance around the new mean, in a second pass.
    fn maximise(&self, mixture: &mut Mixture, responsibilities: &[f64]) {
        let (n, d, k, p) = (self.n, self.d, mixture.weights.len(), self.parameters());
        let (weights, means) = (&mut mixture.weights, &mut mixture.means);
        weights.fill(0.0);
        means.fill(0.0);
        for (i, row) in responsibilities.chunks_exact(k).enumerate() {
            for (j, &share) in row.iter().enumerate().filter(|(_, share)| **share > 0.0) {
                weights[j] += share;
                means[j * d..(j + 1) * d].iter_mut().zip(self.point(i)).for_each(|(mean, x)| *mean += share * x);
            }
        }
        for (mean, &weight) in means.chunks_exact_mut(d).zip(weights.iter()).filter(|(_, weight)| **weight > 0.0) {
            mean.iter_mut().for_each(|value| *value /= weight);
        }
        mixture.covariances.fill(0.0);
        let mut offset = vec![0.0; d];
        for (i, row) in responsibilities.chunks_exact(k).enumerate() {
            for (j, &share) in row.iter().enumerate().filter(|(_, share)| **share > 0.0) {
                let mean = &mixture.means[j * d..(j + 1) * d];
                offset.iter_mut().zip(self.point(i)).zip(mean).for_each(|((out, x), mean)| *out = x - mean);
                add_scatter(&mut mixture.covariances[j * p..(j + 1) * p], &offset, share);
            }
        }
        for (covariance, &weight) in mixture.covariances.chunks_exact_mut(p).zip(mixture.weights.iter()) {
            if weight > 0.0 {
                // One shared variance averages over dimensions too.
                let divisor = if p == 1 { weight * d as f64 } else { weight };
                covariance.iter_mut().for_each(|value| *value /= divisor);
            }
            self.raise_to_floor(covariance);
        }
        mixture.weights.iter_mut().for_each(|weight| *weight /= n as f64);
    }

    /// Raises variances (eigenvalues of a full covariance) below the floor to it.
    fn raise_to_floor(&self, covariance: &mut [f64]) {
        let floor = self.options.covariance_floor;
        if floor <= 0.0 {
            return;
        }
        match self.options.covariance {
            Covariance::Full => crate::linalg::raise_eigenvalues(covariance, self.d, floor),
            _ => covariance.iter_mut().for_each(|variance| *variance = variance.max(floor)),
        }
    }

    fn parameters(&self) -> usize {
        match self.options.covariance {
            Covariance::Full => self.d * self.d,
            Covariance::Diagonal => self.d,
            Covariance::Spherical => 1,
        }
    }

    fn point(&self, i: usize) -> &[f64] {
        &self.points[i * self.d..(i + 1) * self.d]
    }
}

/// Adds share * offset offset^T, its diagonal, or its trace, by the target's size.
fn add_scatter(target: &mut [f64], offset: &[f64], share: f64) {
    let d = offset.len();
    if target.len() == d * d && d > 1 {
        for (row, &value) in target.chunks_exact_mut(d).zip(offset) {
            row.iter_mut().zip(offset).for_each(|(out, other)| *out += share * value * other);
        }
    } else if target.len() == d {
        target.iter_mut().zip(offset).for_each(|(out, value)| *out += share * value * value);
    } else {
        target[0] += share * offset.iter().map(|value| value * value).sum::<f64>();
    }
}

/// L^-1 of covariance = L L^T and log det L; `None` if a pivot is at most `least`.
fn inverse_cholesky(covariance: &[f64], d: usize, least: f64) -> Option<(Vec<f64>, f64)> {
    let mut lower = vec![0.0; d * d];
    let mut log_root = 0.0;
    for i in 0..d {
        for j in 0..=i {
            let dot: f64 = (0..j).map(|m| lower[i * d + m] * lower[j * d + m]).sum();
            let rest = covariance[i * d + j] - dot;
            if i == j {
                if rest.is_nan() || rest <= least {
                    return None;
                }
                lower[i * d + i] = rest.sqrt();
                log_root += 0.5 * rest.ln();
            } else {
                lower[i * d + j] = rest / lower[j * d + j];
            }
        }
    }
    let mut inverse = vec![0.0; d * d];
    for j in 0..d {
        inverse[j * d + j] = lower[j * d + j].recip();
        for i in j + 1..d {
            let dot: f64 = (j..i).map(|m| lower[i * d + m] * inverse[m * d + j]).sum();
            inverse[i * d + j] = -dot / lower[i * d + i];
        }
    }
    Some((inverse, log_root))
}
