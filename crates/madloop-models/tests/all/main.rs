//! The light families against closed forms, in the loop and in collapse.

#![allow(clippy::unwrap_used, reason = "a test that cannot unwrap has failed")]

mod closed_forms;
mod collapse;
mod common;
mod families;
