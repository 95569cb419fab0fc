//! Layers of networks that are evaluated and never trained, one image at a time: convolution with its bias and rectifier, depthwise
//! convolution, pooling.
//!
//! Images are [`Plane`]s: `[height, width, channels]` with a border of zeros as wide as what reads them pads. Weights are packed once, for
//! one level of vectors. Each value is one chain of sums in an order fixed by the layer, so that nothing depends on what else is
//! computed, or where.

mod conv;
mod depthwise;
mod plane;
mod pool;

pub use conv::{Conv, Window};
pub use depthwise::Depthwise;
pub use plane::Plane;
pub use pool::{Pool, global_mean, pool};

/// What follows a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rectifier {
    /// Nothing.
    None,
    /// max(x, 0)
    Relu,
    /// min(max(x, 0), 6)
    Relu6,
}

impl Rectifier {
    /// Below and above which values are cut; a value that is not a number becomes the lower bound, where there is one.
    fn bounds(self) -> (f32, f32) {
        match self {
            Self::None => (f32::NEG_INFINITY, f32::INFINITY),
            Self::Relu => (0.0, f32::INFINITY),
            Self::Relu6 => (0.0, 6.0),
        }
    }

    #[inline(always)]
    fn apply(self, values: &mut [f32]) {
        if self == Self::None {
            return;
        }
        let (low, high) = self.bounds();
        for value in values {
            let above = if *value > low { *value } else { low };
            *value = if above < high { above } else { high };
        }
    }
}
