//! What a result was made with: versions, machine, data.

use serde_json::{Value, json};

use crate::data::DataSet;

/// Instruction sets that change rounding, as found at run time.
pub(crate) fn cpu_features() -> Vec<&'static str> {
    #[cfg(target_arch = "x86_64")]
    {
        let mut found = Vec::new();
        macro_rules! look {
            ($($name:tt),+) => { $(if std::arch::is_x86_feature_detected!($name) { found.push($name); })+ };
        }
        look!("sse4.2", "avx", "avx2", "fma", "avx512f", "avx512bw", "avx512vl", "avx512bf16");
        found
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        Vec::new()
    }
}

/// Versions and machine.
pub(crate) fn machine(threads: usize, jobs: usize) -> Value {
    json!({
        "madloop": env!("CARGO_PKG_VERSION"),
        "schema_version": madloop_core::SCHEMA_VERSION,
        "os": std::env::consts::OS,
        "architecture": std::env::consts::ARCH,
        "device": "cpu",
        "cpu_features": cpu_features(),
        "threads": threads,
        "jobs": jobs,
    })
}

/// A data set: its split, licence and checksums.
pub(crate) fn data(set: &DataSet) -> Value {
    json!({
        "name": set.name,
        "shape": set.real.shape().to_string(),
        "pool": set.real.available(),
        "reference": set.reference.as_ref().map(madloop_core::Samples::len),
        "split": set.split,
        "licence": set.licence,
        "sha256": set.checksums,
        "preprocessing": set.preprocessing,
        "left_out": set.left_out,
    })
}
