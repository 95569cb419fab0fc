//! CPU kernels of the training hot path: slices in, slices out.
