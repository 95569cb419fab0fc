//! Neural model families and feature maps: the only crate that knows a tensor library.

pub mod kernels;
