//! Neural model families and feature maps: the only crate that knows a tensor library.
//!
//! A family is a configuration ([`DdpmConfig`], [`FlowConfig`]) whose trainer stands behind [`madloop_core::Trainer`]. What all families
//! share is one piece of code each: parameters by path (`params.rs`), tensor operations (`ops.rs`), training with
//! checkpoints (`train/`), files (`file.rs`). Devices are named in `backend.rs` alone. All randomness comes from
//! addressed streams in host memory, never from the device.

mod backend;
mod ddpm;
mod draw;
mod error;
mod file;
mod flow;
mod fused;
pub mod kernels;
mod lenet;
mod nets;
pub mod ops;
mod params;
mod random;
mod scale;
mod stylegan;
#[cfg(test)]
mod testing;
mod train;
mod vision;
mod wgan;

pub use backend::Device;
pub use ddpm::{DdpmConfig, NetworkKind, NoiseSchedule, Sampler, Weighting};
pub use error::{Error, Result};
pub use flow::FlowConfig;
pub use lenet::{Lenet, LenetConfig, LenetError, downstream_accuracy, train_lenet};
pub use stylegan::StyleGan2Config;
pub use train::Decay;
#[cfg(feature = "onnx")]
pub use vision::Onnx;
pub use vision::{Architecture, Extracted, Extractor, ExtractorError, Resizing, Want};
pub use wgan::{Beginning, GanNetwork, WganConfig};
