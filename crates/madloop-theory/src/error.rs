//! What can go wrong in a calculation: settings outside their range.

/// The result of this crate's fallible functions.
pub type Result<T, E = TheoryError> = std::result::Result<T, E>;

/// Why a calculation was not made, with the value and the remedy.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum TheoryError {
    /// A setting out of its range.
    #[error("{name} is {value}; it must be {must}")]
    Setting {
        /// Its name.
        name: &'static str,
        /// Its value.
        value: f64,
        /// What it must be.
        must: &'static str,
    },
}
