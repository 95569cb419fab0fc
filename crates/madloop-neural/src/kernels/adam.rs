//! Adam with decoupled weight decay and an average of the parameters, in one pass.

use super::simd::{Level, Simd, simd};
use rayon::prelude::*;

/// Numbers a job. Sums are cut here too, so that they do not depend on the number of threads.
const JOB: usize = 1 << 14;

/// One update of Adam (D. Kingma and J. Ba, arXiv:1412.6980; I. Loshchilov and F. Hutter, arXiv:1711.05101), t counted from 1:
/// g' = `scale` g, m = b1 m + (1 - b1) g', v = b2 v + (1 - b2) g'^2,
/// p = p (1 - rate decay) - rate (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + epsilon), average = e average + (1 - e) p.
#[derive(Clone, Copy, Debug)]
pub struct Adam {
    /// Learning rate.
    pub rate: f32,
    /// b1 and b2.
    pub betas: [f32; 2],
    /// Added to the root.
    pub epsilon: f32,
    /// Weight decay; 0 is Adam, else AdamW.
    pub decay: f32,
    /// Multiplies gradients: min(1, limit / norm) clips them by their global norm.
    pub scale: f32,
    /// e, the share of the average that stays.
    pub average: f32,
}

impl Adam {
    /// Update `step` (from 1) of one parameter, its two moments and, where there is one, its average.
    ///
    /// # Panics
    /// If the lengths differ or `step` is 0.
    pub fn update(
        &self,
        step: u32,
        p: &mut [f32],
        g: &[f32],
        m: &mut [f32],
        v: &mut [f32],
        average: Option<&mut [f32]>,
    ) {
        assert!(step > 0, "steps are counted from 1");
        let n = p.len();
        assert!(g.len() == n && m.len() == n && v.len() == n, "lengths of a parameter, its gradient and moments");
        assert!(average.as_ref().is_none_or(|a| a.len() == n), "length of a parameter's average");
        let left = |beta: f32| 1.0 - f64::from(beta).powf(f64::from(step));
        let rate = (f64::from(self.rate) / left(self.betas[0])) as f32;
        let root = (1.0 / left(self.betas[1]).sqrt()) as f32;
        let level = Level::current();
        let moments = m.par_chunks_mut(JOB).zip(v.par_chunks_mut(JOB));
        let jobs = p.par_chunks_mut(JOB).zip(g.par_chunks(JOB)).zip(moments);
        match average {
            Some(average) => jobs.zip(average.par_chunks_mut(JOB)).for_each(|(((p, g), (m, v)), average)| {
                simd!(level, s => self.pass(s, [rate, root], p, g, m, v));
                let stays = self.average;
                simd!(level, s => {
                    let _ = s;
                    for (average, &p) in average.iter_mut().zip(&*p) {
                        *average = stays * *average + (1.0 - stays) * p;
                    }
                });
            }),
            None => jobs.for_each(|((p, g), (m, v))| simd!(level, s => self.pass(s, [rate, root], p, g, m, v))),
        }
    }

    #[inline(always)]
    fn pass<S: Simd>(&self, s: S, [rate, root]: [f32; 2], p: &mut [f32], g: &[f32], m: &mut [f32], v: &mut [f32]) {
        let [b1, b2] = self.betas;
        let n = S::LANES;
        let moments = m.chunks_mut(n).zip(v.chunks_mut(n));
        for ((p, g), (m, v)) in p.chunks_mut(n).zip(g.chunks(n)).zip(moments) {
            let grad = s.mul(s.load_part(g), s.splat(self.scale));
            let first = s.fma(s.splat(b1), s.load_part(m), s.mul(s.splat(1.0 - b1), grad));
            let second = s.fma(s.splat(b2), s.load_part(v), s.mul(s.splat(1.0 - b2), s.mul(grad, grad)));
            let divisor = s.fma(s.sqrt(second), s.splat(root), s.splat(self.epsilon));
            let kept = s.mul(s.load_part(p), s.splat(1.0 - self.rate * self.decay));
            s.store_part(p, s.sub(kept, s.div(s.mul(s.splat(rate), first), divisor)));
            s.store_part(m, first);
            s.store_part(v, second);
        }
    }
}

/// The sum of x^2: in f32 within 16,384 numbers (relative error below 1e-5), in f64 over them, in order.
pub fn sum_of_squares(x: &[f32]) -> f64 {
    let level = Level::current();
    let parts: Vec<f32> = x.par_chunks(JOB).map(|x| simd!(level, s => squares(s, x))).collect();
    parts.into_iter().map(f64::from).sum()
}

#[inline(always)]
fn squares<S: Simd>(s: S, x: &[f32]) -> f32 {
    let mut acc = [s.zero(); 4];
    for x in x.chunks(4 * S::LANES) {
        for (x, acc) in x.chunks(S::LANES).zip(&mut acc) {
            let x = s.load_part(x);
            *acc = s.fma(x, x, *acc);
        }
    }
    s.sum(s.add(s.add(acc[0], acc[1]), s.add(acc[2], acc[3])))
}
