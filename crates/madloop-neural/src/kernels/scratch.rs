//! Buffers that are used again: a thread's next kernel finds them warm in its cache, and the system need not zero new pages.
//! Each thread keeps its own, up to 16.

use std::cell::RefCell;
use std::ops::{Deref, DerefMut};

/// Numbers in a cache line. Vectors that straddle two lines are loaded at half the rate.
const LINE: usize = 16;
/// Buffers that a thread keeps. One that drops what others made must not gather them for ever.
const KEPT: usize = 16;

thread_local!(static FREE: RefCell<Vec<Vec<f32>>> = const { RefCell::new(Vec::new()) });

/// A buffer aligned to cache lines, given to the thread that drops it, for its next one. Its values are whatever was there.
#[derive(Debug)]
pub struct Scratch {
    space: Vec<f32>,
    start: usize,
    len: usize,
}

impl Scratch {
    /// `len` numbers.
    pub fn new(len: usize) -> Self {
        let mut space = FREE.with_borrow_mut(|free| {
            // The smallest that suffices, else the largest, which then grows.
            let fits = (0..free.len()).filter(|&i| free[i].len() >= len + LINE).min_by_key(|&i| free[i].len());
            let i = fits.or_else(|| (0..free.len()).max_by_key(|&i| free[i].len()));
            i.map(|i| free.swap_remove(i)).unwrap_or_default()
        });
        if space.len() < len + LINE {
            space = vec![0.0; len + LINE];
        }
        let start = space.as_ptr().align_offset(4 * LINE).min(LINE);
        Self { space, start, len }
    }

    /// `len` zeros.
    pub fn zeros(len: usize) -> Self {
        let mut new = Self::new(len);
        new.fill(0.0);
        new
    }
}

impl Deref for Scratch {
    type Target = [f32];
    fn deref(&self) -> &[f32] {
        &self.space[self.start..self.start + self.len]
    }
}

impl DerefMut for Scratch {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.space[self.start..self.start + self.len]
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let space = std::mem::take(&mut self.space);
        // A thread that ends has no list any more: then the buffer is simply freed.
        let _ = FREE.try_with(|free| {
            let mut free = free.borrow_mut();
            free.push(space);
            if free.len() > KEPT
                && let Some(least) = (0..free.len()).min_by_key(|&i| free[i].len())
            {
                free.swap_remove(least);
            }
        });
    }
}
