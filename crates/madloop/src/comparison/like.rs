//! The choices of other tools.

use madloop_metrics::{Draws, Inside, KID_SUBSET_SIZE, KID_SUBSETS, KidSubsets};

use crate::config::FeatureResize;

/// A tool whose choices are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Like {
    /// torch-fidelity: k = 3, `<=`, KID over 100 subsets of 1000 drawn by NumPy's `RandomState(2020)`.
    TorchFidelity,
    /// pytorch-fid: the Frechet distance with divisor n - 1.
    PytorchFid,
    /// clean-fid: the Frechet distance with divisor n - 1, and KID, whose subsets it draws without a seed.
    CleanFid,
    /// prdc: `<`; k has no default there, 5 in its README.
    Prdc,
}

impl Like {
    /// All tools.
    pub const ALL: [Self; 4] = [Self::TorchFidelity, Self::PytorchFid, Self::CleanFid, Self::Prdc];

    /// The tool's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::TorchFidelity => "torch-fidelity",
            Self::PytorchFid => "pytorch-fid",
            Self::CleanFid => "clean-fid",
            Self::Prdc => "prdc",
        }
    }

    /// The tool of this name.
    pub fn find(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|like| like.name() == name)
    }

    /// The metrics that the tool has, by catalogue name.
    pub fn metrics(self) -> &'static [&'static str] {
        match self {
            Self::TorchFidelity => &["frechet_distance", "kid", "kid_std", "precision", "recall"],
            Self::PytorchFid => &["frechet_distance"],
            Self::CleanFid => &["frechet_distance", "kid"],
            Self::Prdc => &["precision", "recall", "density", "coverage"],
        }
    }

    /// The neighbour of its balls.
    pub fn k(self) -> usize {
        if self == Self::TorchFidelity { 3 } else { super::DEFAULT_K }
    }

    /// What lies inside a ball.
    pub fn inside(self) -> Inside {
        if self == Self::Prdc { Inside::Below } else { Inside::AtMost }
    }

    /// The subsets of KID.
    pub fn kid(self) -> KidSubsets {
        match self {
            Self::TorchFidelity => {
                KidSubsets { count: KID_SUBSETS, size: KID_SUBSET_SIZE, draws: Draws::NumpyRandomState(2020) }
            }
            _ => KidSubsets::default(),
        }
    }

    /// How it brings images to a network's size.
    pub fn resize(self) -> Option<FeatureResize> {
        FeatureResize::find(self.name())
    }

    /// What cannot be taken over, if anything.
    pub fn note(self) -> Option<&'static str> {
        match self {
            Self::CleanFid => Some("clean-fid draws KID's subsets without a seed: these are madloop's, by --seed"),
            Self::Prdc => Some("prdc has no default k; 5 is its README's"),
            _ => None,
        }
    }
}
