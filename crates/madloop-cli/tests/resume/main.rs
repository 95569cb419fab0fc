//! Resuming through the real binary: whatever interrupts a run, its files end as if nothing had.

#![allow(clippy::unwrap_used, reason = "tests")]
#![allow(clippy::disallowed_methods, reason = "tests measure how long a process runs")]

mod common;
mod grow;
mod json;
mod kill;
mod signals;
mod threads;
mod together;
