//! What can go wrong with an image extractor, each with the value, the place and the remedy.

use madloop_core::Shape;

/// An error of loading or using an [`crate::Extractor`].
#[derive(Debug, thiserror::Error)]
pub enum ExtractorError {
    /// A weights file that is not whole, or another network's. Nothing of it is used.
    #[error("{file} is not usable as weights of {network}: {why}; {remedy}")]
    BadWeights {
        /// Its name.
        file: String,
        /// The network.
        network: &'static str,
        /// What is missing or wrong.
        why: String,
        /// What to do.
        remedy: String,
    },
    /// Samples that are no images.
    #[error(
        "the features {name} are of images, and these samples are of shape {found}; give images, or use none, which takes \
         vectors as they are"
    )]
    NotImages {
        /// Name of the feature map.
        name: String,
        /// The samples' shape.
        found: Shape,
    },
    /// A size that the network does not take.
    #[error("the features {name} cannot be of images brought to {side} pixels: {why}")]
    Side {
        /// Name of the feature map.
        name: String,
        /// The side asked for.
        side: usize,
        /// What it must be.
        why: &'static str,
    },
    /// Values so large that features are not finite.
    #[error(
        "the features {name} of row {row} are not finite, since its values reach {largest:e}; give images whose pixels are \
         from 0 to 1"
    )]
    NotFinite {
        /// Name of the feature map.
        name: String,
        /// The row.
        row: usize,
        /// Its largest absolute value.
        largest: f32,
    },
    /// A network of a file that cannot be run.
    #[error("{file} cannot be used as a feature map: {why}")]
    BadNetwork {
        /// Its name.
        file: String,
        /// What is wrong and what to do.
        why: String,
    },
    /// An error of the shared machinery.
    #[error(transparent)]
    Core(#[from] madloop_core::Error),
}

impl From<ExtractorError> for madloop_core::Error {
    fn from(error: ExtractorError) -> Self {
        match error {
            // A request to stop must stay one.
            ExtractorError::Core(inner) => inner,
            other => Self::other(other),
        }
    }
}
