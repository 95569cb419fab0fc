//! Resuming through the real binary: whatever interrupts a run, its files end as if nothing had.

mod common;
mod grow;
mod json;
mod kill;
mod signals;
mod threads;
mod together;
