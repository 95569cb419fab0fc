//! The report and the figures of a run.
