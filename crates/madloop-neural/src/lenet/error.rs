//! What can go wrong with a LeNet, each with the value, the place and the remedy.

use madloop_core::Shape;

use crate::Error;

/// An error of training, loading or using a [`crate::Lenet`].
#[derive(Debug, thiserror::Error)]
pub enum LenetError {
    /// A shape for which no network is built.
    #[error(
        "LeNet cannot be trained on samples of shape {0}: images must have sides of 8 to 64 pixels and 1 or 3 channels; \
         resize them (--resize 28) or change their colour (--color grey); vectors have 1 to 65536 dimensions"
    )]
    Shape(Shape),
    /// Samples of another shape than the network's.
    #[error("the features {name} are of samples of shape {wanted}, and these are of shape {found}; {remedy}")]
    OtherShape {
        /// Name of the feature map.
        name: String,
        /// The network's shape.
        wanted: Shape,
        /// The samples' shape.
        found: Shape,
        /// What to do.
        remedy: String,
    },
    /// Labels from which no classifier can be trained or judged.
    #[error("{what} cannot be used: {why}")]
    Labels {
        /// Which set.
        what: &'static str,
        /// What is wrong and what to do.
        why: String,
    },
    /// A setting of training outside its range.
    #[error("the LeNet setting {key} is {value}; {range}")]
    Setting {
        /// Its name in [`crate::LenetConfig`].
        key: &'static str,
        /// Its value.
        value: String,
        /// Which values it may have.
        range: &'static str,
    },
    /// Training that came to a loss that is not a number.
    #[error("training LeNet ended: {0}")]
    Ended(String),
    /// Values so large that the features are not finite.
    #[error(
        "the features {name} of row {row} are not finite, since its values reach {largest:e}; \
         give images whose pixels are from 0 to 1"
    )]
    NotFinite {
        /// Name of the feature map.
        name: String,
        /// The row.
        row: usize,
        /// Its largest absolute value.
        largest: f32,
    },
    /// A weights file that is not whole, or not a LeNet's.
    #[error("{file} is not usable: {why}; make it again with `madloop features train`, or copy it again")]
    BadFile {
        /// Its name.
        file: String,
        /// What is missing or wrong.
        why: String,
    },
    /// An error of the shared machinery.
    #[error(transparent)]
    Neural(#[from] Error),
}

impl From<madloop_core::Error> for LenetError {
    fn from(error: madloop_core::Error) -> Self {
        Self::Neural(Error::Core(error))
    }
}

impl From<LenetError> for madloop_core::Error {
    fn from(error: LenetError) -> Self {
        match error {
            // A request to stop must stay one.
            LenetError::Neural(inner) => inner.into(),
            other => Self::other(other),
        }
    }
}
