//! What can go wrong in a neural family, each with the value, the place and the remedy.

use madloop_core::Shape;

/// The result of this crate's fallible functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of this crate. A loss that is not a number is not among them: that ends the cell as an outcome.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A device name that means nothing.
    #[error("the device {0:?} is unknown; use cpu, vulkan[:I], cuda[:I], rocm[:I] or metal, such as cpu or vulkan:0")]
    UnknownDevice(String),
    /// A device that this build leaves out.
    #[error(
        "the device {device} needs a build with the feature {feature}: \
         cargo build --release --features {feature}; or use the device cpu"
    )]
    DeviceNotBuilt {
        /// The device's name.
        device: String,
        /// The cargo feature.
        feature: &'static str,
    },
    /// A device that does not answer.
    #[error("the device {device} cannot be used: {why}; check its driver and index, or use the device cpu")]
    DeviceUnusable {
        /// The device's name.
        device: String,
        /// What its driver said.
        why: String,
    },
    /// A setting of the model that cannot be used.
    #[error("model.{key} is {value}: {why}")]
    Setting {
        /// The setting's name below `model`.
        key: &'static str,
        /// Its value.
        value: String,
        /// What is wrong and what to do.
        why: String,
    },
    /// A sample shape that the network cannot take.
    #[error("the {network} network cannot take samples of shape {shape}: {why}")]
    SampleShape {
        /// Which network.
        network: &'static str,
        /// Shape of one sample.
        shape: Shape,
        /// What is wrong and what to do.
        why: String,
    },
    /// Guidance of a model that knows no classes.
    #[error(
        "lambda is {lambda}, but this {family} model was trained without labels: guidance needs a conditional model; \
         use a labelled data set, or lambda = 1"
    )]
    GuidanceWithoutLabels {
        /// Model family.
        family: &'static str,
        /// The sampling bias asked for.
        lambda: f64,
    },
    /// lambda = 0, where the guidance weight is infinite.
    #[error("lambda is 0: guidance has the weight w = (1 - lambda) / lambda, which is infinite; use a lambda above 0")]
    GuidanceAtZero,
    /// Guidance of a network that never learned without classes.
    #[error(
        "lambda is {0}, but model.condition_dropout is 0: guidance compares with what the network says without a class, which it would \
         never learn; use model.condition_dropout = 0.1, or lambda = 1"
    )]
    GuidanceWithoutDropout(f64),
    /// Real images that are not pixels from 0 to 1.
    #[error(
        "sample {sample} of the real images has the pixel value {value}; pixels must be from 0 to 1 (u8 files: 0 to 255), so rescale them"
    )]
    PixelRange {
        /// The first such sample, in the order of the file.
        sample: usize,
        /// Its value.
        value: f32,
    },
    /// A saved file that is not whole, or another model's.
    #[error("{file} is not usable: {why}; {remedy}")]
    BadFile {
        /// Name of the blob.
        file: &'static str,
        /// What is missing or wrong.
        why: String,
        /// What to do.
        remedy: &'static str,
    },
    /// The device failed in the middle of something.
    #[error("{what} failed on the device: {why}; if its memory is full, halve model.batch, or use the device cpu")]
    Device {
        /// What was done.
        what: &'static str,
        /// What the library said.
        why: String,
    },
    /// An error of the loop's own parts.
    #[error(transparent)]
    Core(#[from] madloop_core::Error),
}

impl From<Error> for madloop_core::Error {
    fn from(error: Error) -> Self {
        match error {
            // A request to stop must stay one.
            Error::Core(inner) => inner,
            other => Self::other(other),
        }
    }
}
