//! Real data: a finite pool used without replacement, or a source that never runs out.

use std::ops::Range;
use std::sync::Mutex;

use rand::seq::SliceRandom;

use crate::{ClassSchedule, OnExhausted, Origin, Part, Result, Rows, Samples, Seeds, Shape, Stream};

/// An exact sampler of a known distribution.
pub trait Source: Send + Sync {
    /// Shape of one sample.
    fn shape(&self) -> Shape;
    /// Rows `rows` of stream `stream`; row r depends on r alone.
    fn draw(&self, rows: Range<u64>, stream: Stream, seeds: Seeds) -> Samples;
}

/// Where real samples come from.
#[derive(Clone)]
pub enum Real {
    /// A training pool of so many samples.
    Finite(Samples),
    /// A distribution.
    Infinite(std::sync::Arc<dyn Source>),
}

impl Real {
    /// Shape of one sample.
    pub fn shape(&self) -> Shape {
        match self {
            Self::Finite(pool) => pool.shape(),
            Self::Infinite(source) => source.shape(),
        }
    }

    /// Samples in the pool; `None` when it never runs out.
    pub fn available(&self) -> Option<u64> {
        match self {
            Self::Finite(pool) => Some(pool.len() as u64),
            Self::Infinite(_) => None,
        }
    }
}

/// The real samples of one seed in the order in which its loops use them.
///
/// A finite pool is shuffled once a seed (position p is row `order[p]`); in a labelled pool every stretch of positions
/// follows the class proportions. Positions beyond the pool, allowed under [`OnExhausted::Reuse`] alone, begin
/// a new shuffle.
pub struct RealPool {
    real: Real,
    seeds: Seeds,
    on_exhausted: OnExhausted,
    /// Orders of the passes over the pool made so far.
    passes: Mutex<Vec<std::sync::Arc<[u32]>>>,
}

impl RealPool {
    /// The pool as `seeds` orders it.
    pub fn new(real: Real, seeds: Seeds, on_exhausted: OnExhausted) -> Self {
        Self { real, seeds: seeds.at(0), on_exhausted, passes: Mutex::new(Vec::new()) }
    }

    /// The data behind it.
    pub fn real(&self) -> &Real {
        &self.real
    }

    /// Real samples at `positions`, as parts of a training set.
    ///
    /// # Errors
    /// [`crate::Error::TooFewReal`] if a finite pool ends before and reuse is not allowed; [`crate::Loop::check`] finds
    /// this before the first generation.
    pub fn parts(&self, positions: Range<u64>, fresh: bool) -> Result<Vec<Part>> {
        let origin = Origin::Real { fresh };
        let pool = match &self.real {
            Real::Infinite(source) => {
                return Ok(vec![Part::all(source.draw(positions, Stream::REAL, self.seeds), origin)]);
            }
            Real::Finite(pool) => pool,
        };
        let n = pool.len() as u64;
        if positions.end > n && self.on_exhausted == OnExhausted::Error {
            return Err(crate::Error::TooFewReal { key: "loop.n_real", wanted: positions.end, available: n });
        }
        let mut parts = Vec::new();
        let mut at = positions.start;
        while at < positions.end {
            let pass = at / n;
            let end = positions.end.min((pass + 1) * n);
            let order = self.order(pool, pass as usize);
            let rows = order[(at - pass * n) as usize..(end - pass * n) as usize].into();
            parts.push(Part { samples: pool.clone(), rows: Rows::Indices(rows), origin });
            at = end;
        }
        Ok(parts)
    }

    fn order(&self, pool: &Samples, pass: usize) -> std::sync::Arc<[u32]> {
        let mut passes = self.passes.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        while passes.len() <= pass {
            let order = shuffled(pool, self.seeds, passes.len() as u64);
            passes.push(order.into());
        }
        passes[pass].clone()
    }
}

/// A shuffle of the pool's rows; labelled pools are shuffled within each class and dealt by their class schedule.
fn shuffled(pool: &Samples, seeds: Seeds, pass: u64) -> Vec<u32> {
    let mut rng = seeds.rng(Stream::POOL, pass);
    let mut order: Vec<u32> = (0..pool.len() as u32).collect();
    order.shuffle(&mut rng);
    let (Some(labels), Some(schedule)) = (pool.labels(), ClassSchedule::of(pool)) else { return order };
    let mut of_class = vec![Vec::new(); schedule.n_classes() as usize];
    for &row in order.iter().rev() {
        of_class[labels[row as usize] as usize].push(row);
    }
    (0..pool.len() as u64).filter_map(|row| of_class[schedule.class(row) as usize].pop()).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn pool(n: usize) -> Samples {
        let labels = (0..n).map(|row| (row % 7 == 0) as u32).collect();
        Samples::from_f32(Shape::vector(1), (0..n).map(|row| row as f32).collect())
            .and_then(|set| set.with_labels(labels))
            .expect("rows of one")
    }

    fn rows(parts: &[Part]) -> Vec<u32> {
        parts
            .iter()
            .flat_map(|part| match &part.rows {
                Rows::Indices(rows) => rows.to_vec(),
                Rows::All => panic!("a finite pool is drawn by index"),
            })
            .collect()
    }

    #[test]
    fn a_pool_is_used_without_replacement() {
        let real = RealPool::new(Real::Finite(pool(700)), Seeds::new(3), OnExhausted::Error);
        let first = rows(&real.parts(0..300, true).expect("300 of 700"));
        let second = rows(&real.parts(300..700, true).expect("the other 400"));
        let all: HashSet<u32> = first.iter().chain(&second).copied().collect();
        assert_eq!(all.len(), 700);
        let of_class_1 = first.iter().filter(|&&row| row % 7 == 0).count();
        assert!((42..=44).contains(&of_class_1), "{of_class_1} of 300 are of a class that is a seventh");
        assert!(real.parts(600..701, true).is_err());
        let other = RealPool::new(Real::Finite(pool(700)), Seeds::new(4), OnExhausted::Error);
        assert_ne!(first, rows(&other.parts(0..300, true).expect("300 of 700")));
    }

    #[test]
    fn reuse_begins_another_shuffle() {
        let real = RealPool::new(Real::Finite(pool(70)), Seeds::new(3), OnExhausted::Reuse);
        let twice = rows(&real.parts(0..140, true).expect("two passes"));
        assert_eq!(twice[..70].iter().collect::<HashSet<_>>().len(), 70);
        assert_eq!(twice[70..].iter().collect::<HashSet<_>>().len(), 70);
        assert_ne!(twice[..70], twice[70..]);
    }
}
