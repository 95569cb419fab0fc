//! The runner, watched through mock parts that log every call.

#![allow(clippy::unwrap_used, reason = "tests")]

mod mix;
mod mocks;
mod stages;
