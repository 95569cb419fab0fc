//! The real binary, run in temporary folders.

#![allow(clippy::disallowed_methods, reason = "tests look at files")]
#![allow(clippy::print_stderr, reason = "tests say what they skip")]
#![allow(clippy::unwrap_used, reason = "a test that cannot unwrap has failed")]

mod commands;
mod common;
mod diffusion;
mod extractors;
mod faces;
mod features;
mod images;
mod input;
mod presets;
mod resume;
mod science;
mod theory;
