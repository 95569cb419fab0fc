//! What can go wrong in a metric: misuse, and regimes in which a metric has no value.

use madloop_core::Features;

/// The result of this crate's fallible functions.
pub type Result<T, E = MetricsError> = std::result::Result<T, E>;

/// Why a metric was not computed, with the values and the remedy.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum MetricsError {
    /// The two sets have features of different length.
    #[error(
        "the real features have {real} dimensions and the generated ones {generated}; \
         map both sets with the same feature map"
    )]
    DimensionMismatch {
        /// Dimensions of the real set.
        real: usize,
        /// Dimensions of the generated set.
        generated: usize,
    },
    /// A buffer that is not rows times dimensions, or has no dimension.
    #[error(
        "{values} values of {what} are not {rows} rows of {dim} dimensions; every row needs the same length, 1 or more"
    )]
    BufferLength {
        /// Which matrix it is.
        what: &'static str,
        /// Values in the buffer.
        values: usize,
        /// Rows it should hold.
        rows: usize,
        /// Values a row.
        dim: usize,
    },
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
    /// No metric has this name.
    #[error("there is no metric `{name}`; did you mean `{nearest}`?")]
    UnknownMetric {
        /// The name asked for.
        name: String,
        /// The nearest name of the catalogue.
        nearest: &'static str,
    },
    /// A metric that is not made of features alone.
    #[error("`{name}` is not computed from features: it needs {needs}")]
    NotOfFeatures {
        /// The metric.
        name: &'static str,
        /// What it is computed from.
        needs: &'static str,
    },
    /// A metric that the reference was not prepared for.
    #[error("the reference was not prepared for `{name}`; name it when the reference is made")]
    NotPrepared {
        /// The metric.
        name: &'static str,
    },

    /// Two parts of different dimensions.
    #[error("one part has {left} dimensions and the other {right}; merge parts of the same features")]
    MergeDimensions {
        /// Dimensions of the one.
        left: usize,
        /// Dimensions of the other.
        right: usize,
    },
    /// A matrix that does not fit into memory.
    #[error("there is no memory for a matrix of {dim} x {dim} numbers of 8 bytes; use features of fewer dimensions")]
    NoMemory {
        /// Its side.
        dim: usize,
    },
    /// A matrix that should be its own transpose.
    #[error(
        "{what} is not symmetric: entries [{row}, {column}] and [{column}, {row}] differ by {difference:e} \
         (largest entry {largest:e})"
    )]
    NotSymmetric {
        /// Which matrix.
        what: &'static str,
        /// The largest difference.
        difference: f64,
        /// Its row.
        row: usize,
        /// Its column.
        column: usize,
        /// The largest |entry|.
        largest: f64,
    },
    /// The system gives no thread.
    #[error("a thread cannot be started; end other programs or raise the limit on processes")]
    NoThread,

    /// Undefined: too few samples.
    #[error("n = {n} {set} samples is less than {needs}: {why}")]
    TooFew {
        /// `real` or `generated`.
        set: &'static str,
        /// Samples in the set.
        n: usize,
        /// The smallest n.
        needs: usize,
        /// What needs them.
        why: &'static str,
    },
    /// Undefined: no k-th neighbour.
    #[error("n = {n} is not more than k = {k}: a {set} sample has no k-th neighbour; lower k or score more samples")]
    NotMoreThanK {
        /// `real` or `generated`.
        set: &'static str,
        /// Samples in the set.
        n: usize,
        /// The neighbour asked for.
        k: usize,
    },
    /// Undefined: a spread over subsets when there is one.
    #[error("n = {n} is not more than {size}: one subset of all samples has no spread")]
    OneSubset {
        /// Samples of the smaller set.
        n: usize,
        /// Samples of a subset.
        size: usize,
    },
    /// Undefined: an interval from half-samples in which the metric has no value.
    #[error("a half-sample has no value: {why}")]
    NoHalf {
        /// Why not.
        why: String,
    },
    /// Undefined: no mode holds two samples.
    #[error("none of {modes} modes holds 2 samples within 3 sigma: no modal variance")]
    NoModalVariance {
        /// Number of modes.
        modes: usize,
    },
    /// Undefined: a sample that the model gives no density.
    #[error("row {row} of the held-out real samples has ln p = {value} under the model")]
    NoDensity {
        /// The first such row.
        row: usize,
        /// ln p.
        value: f64,
    },
    /// Undefined: a feature that is not finite.
    #[error("row {row}, column {column} of the {set} features is {value}")]
    NonFinite {
        /// `real` or `generated`.
        set: &'static str,
        /// Row of the value.
        row: usize,
        /// Column of the value.
        column: usize,
        /// The value.
        value: f32,
    },
    /// Undefined: a row without a direction.
    #[error(
        "row {row} of the {set} features is all zeros: it has no direction to compare; leave it out or shift the features"
    )]
    ZeroRow {
        /// `real` or `generated`.
        set: &'static str,
        /// The first such row.
        row: usize,
    },
    /// Undefined: a set that does not vary.
    #[error("the {n} {set} samples have no variance to compare with; score samples that differ")]
    NoVariance {
        /// `real`, `generated` or `training`.
        set: &'static str,
        /// Samples that were looked at.
        n: usize,
    },
    /// Undefined: a median distance of 0.
    #[error("the median distance of n = {n} real samples is 0: most of them coincide; name a bandwidth")]
    NoBandwidth {
        /// Samples that were looked at.
        n: usize,
    },
    /// Undefined: more samples than an exact algorithm is allowed.
    #[error("n = {n} real and {m} generated samples are more than the {limit} that {what} takes; {remedy}")]
    TooMany {
        /// What was to be computed.
        what: &'static str,
        /// Samples in the real set.
        n: usize,
        /// Samples in the generated set.
        m: usize,
        /// The most of either.
        limit: usize,
        /// What to do instead.
        remedy: &'static str,
    },
    /// Undefined: a matrix that is not a covariance.
    #[error("{what} has the eigenvalue {eigenvalue:e}: it is not a covariance (largest {largest:e})")]
    NotPositive {
        /// Which matrix.
        what: &'static str,
        /// Its negative eigenvalue.
        eigenvalue: f64,
        /// Its scale.
        largest: f64,
    },
    /// Undefined: a decomposition that did not converge.
    #[error("the {what} of a {rows} x {columns} matrix did not converge")]
    NoConvergence {
        /// Which decomposition.
        what: &'static str,
        /// Rows of the matrix.
        rows: usize,
        /// Columns of the matrix.
        columns: usize,
    },
}

impl MetricsError {
    /// Whether the metric has no value for these samples (a reason to record), as opposed to a misuse.
    pub fn is_undefined(&self) -> bool {
        match self {
            Self::TooFew { .. }
            | Self::NotMoreThanK { .. }
            | Self::OneSubset { .. }
            | Self::NoHalf { .. }
            | Self::NoModalVariance { .. }
            | Self::NoDensity { .. }
            | Self::NonFinite { .. }
            | Self::ZeroRow { .. }
            | Self::NoVariance { .. }
            | Self::NoBandwidth { .. }
            | Self::TooMany { .. }
            | Self::NotPositive { .. }
            | Self::NoConvergence { .. } => true,
            Self::DimensionMismatch { .. }
            | Self::BufferLength { .. }
            | Self::Setting { .. }
            | Self::UnknownMetric { .. }
            | Self::NotOfFeatures { .. }
            | Self::NotPrepared { .. }
            | Self::MergeDimensions { .. }
            | Self::NoMemory { .. }
            | Self::NoThread
            | Self::NotSymmetric { .. } => false,
        }
    }
}

/// Checks that a set is a matrix of finite values.
pub(crate) fn check_set(set: &Features, name: &'static str) -> Result<()> {
    check_shape(set, name)?;
    match set.values.iter().position(|value| !value.is_finite()) {
        None => Ok(()),
        Some(at) => {
            Err(MetricsError::NonFinite { set: name, row: at / set.dim, column: at % set.dim, value: set.values[at] })
        }
    }
}

/// Checks that a set is a matrix.
pub(crate) fn check_shape(set: &Features, what: &'static str) -> Result<()> {
    if set.dim == 0 || Some(set.values.len()) != set.rows.checked_mul(set.dim) {
        return Err(MetricsError::BufferLength { what, values: set.values.len(), rows: set.rows, dim: set.dim });
    }
    Ok(())
}

/// Checks both sets, and that their rows have the same length.
pub(crate) fn check_pair(real: &Features, generated: &Features) -> Result<()> {
    check_set(real, "real")?;
    check_set(generated, "generated")?;
    check_dims(real, generated)
}

/// Checks that the rows of both sets have the same length.
pub(crate) fn check_dims(real: &Features, generated: &Features) -> Result<()> {
    if real.dim != generated.dim {
        return Err(MetricsError::DimensionMismatch { real: real.dim, generated: generated.dim });
    }
    Ok(())
}

/// Checks that a set has at least `needs` samples.
pub(crate) fn check_rows(set: &Features, name: &'static str, needs: usize, why: &'static str) -> Result<()> {
    if set.rows < needs {
        return Err(MetricsError::TooFew { set: name, n: set.rows, needs, why });
    }
    Ok(())
}
