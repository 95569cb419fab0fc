//! Tests of the metrics from outside: against other tools' values, and by their properties.

mod distances;
mod docs;
mod golden;
mod intervals;
mod laws;
mod properties;
mod tools;
