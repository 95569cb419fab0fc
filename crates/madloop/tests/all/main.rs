//! The library from outside.

#![allow(clippy::disallowed_methods, reason = "tests look at files")]

mod readers;
