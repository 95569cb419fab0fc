//! Large buffers that are used again. A training step makes and drops the same tensors as the one before; from the system's allocator
//! each would cost page faults and zeroing.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use burn::backend::flex::FlexTensor;

/// Numbers below which a buffer is left to the allocator.
const LARGE: usize = 1 << 12;

static POOL: Mutex<Option<Pool>> = Mutex::new(None);

/// Buffers asked for in which a free one is not taken before it may be given up: steps of several networks need other sizes by turns.
const PATIENCE: u64 = 1 << 12;

#[derive(Default)]
struct Pool {
    /// The longest unused first, each with the number of buffers asked for before it came back.
    free: Vec<(u64, Vec<f32>)>,
    /// Buffers asked for.
    asked: u64,
    /// Buffers made here, by length: as many are kept at most, because other operations hand in some that they do not take again.
    made: HashMap<usize, usize>,
}

impl Pool {
    /// A free buffer of n numbers; else those that make room, because other sizes are needed now than long before.
    fn take(&mut self, n: usize) -> Result<Vec<f32>, Vec<Vec<f32>>> {
        self.asked += 1;
        if let Some(at) = self.free.iter().rposition(|(_, buffer)| buffer.len() == n) {
            return Ok(self.free.remove(at).1);
        }
        *self.made.entry(n).or_default() += 1;
        let asked = self.asked;
        let stale = self.free.iter().take_while(|(at, _)| asked - at > PATIENCE).count();
        let stale: Vec<Vec<f32>> = self.free.drain(..stale).map(|(_, buffer)| buffer).collect();
        stale.iter().for_each(|stale| self.forget(stale.len()));
        Err(stale)
    }

    fn give(&mut self, buffer: Vec<f32>) {
        let n = buffer.len();
        let kept = self.free.iter().filter(|(_, buffer)| buffer.len() == n).count();
        if kept < self.made.get(&n).copied().unwrap_or(0) {
            self.free.push((self.asked, buffer));
        }
    }

    fn forget(&mut self, n: usize) {
        if let Some(made) = self.made.get_mut(&n) {
            *made -= 1;
            if *made == 0 {
                self.made.remove(&n);
            }
        }
    }
}

fn with<T>(work: impl FnOnce(&mut Pool) -> T) -> T {
    work(POOL.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_default())
}

/// `n` numbers, whatever was there.
pub(super) fn take(n: usize) -> Vec<f32> {
    if n < LARGE {
        return vec![0.0; n];
    }
    match with(|pool| pool.take(n)) {
        Ok(buffer) => buffer,
        Err(stale) => {
            drop(stale);
            vec![0.0; n]
        }
    }
}

/// Keeps the buffer of a tensor that nobody else has.
pub(super) fn recycle(mut tensor: FlexTensor) {
    let n = tensor.bytes().len() / size_of::<f32>();
    let whole = tensor.as_slice::<f32>().is_some_and(|values| values.len() == n);
    if n < LARGE || !whole || tensor.try_storage_mut::<f32>().is_none() {
        return;
    }
    if let Ok(buffer) = tensor.into_data().try_into_vec::<f32>() {
        with(|pool| pool.give(buffer));
    }
}
