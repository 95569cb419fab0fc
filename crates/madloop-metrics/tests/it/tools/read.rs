//! The values and sets of tests/golden/tools.json.

use std::collections::BTreeMap;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use madloop_core::Features;
use serde::Deserialize;

#[derive(Deserialize)]
pub(crate) struct Golden {
    pub(crate) fd_infinity: Infinity,
    pub(crate) sets: Vec<Set>,
}

#[derive(Deserialize)]
pub(crate) struct Set {
    pub(crate) name: String,
    pub(crate) dim: usize,
    pub(crate) real: Packed,
    pub(crate) generated: Packed,
    pub(crate) frechet_distance: Frechet,
    pub(crate) kid: Kid,
    pub(crate) torch_fidelity_prc: BTreeMap<String, TorchPrc>,
    pub(crate) prdc: BTreeMap<String, Prdc>,
    pub(crate) exact: BTreeMap<String, Exact>,
    pub(crate) auth_pct: Auth,
    pub(crate) effective_rank: f64,
    pub(crate) vendi: Option<f64>,
    pub(crate) mmd_rbf: MmdRbf,
    pub(crate) w2_sq: Option<f64>,
    pub(crate) w2_sq_first_column: f64,
    pub(crate) sliced_w2: Option<Sliced>,
    #[serde(default)]
    pub(crate) sinkhorn: Vec<Sinkhorn>,
}

/// Little-endian int16 times a power of two, in base64.
#[derive(Deserialize)]
pub(crate) struct Packed {
    pub(crate) rows: usize,
    pub(crate) scale: f32,
    pub(crate) int16: String,
}

impl Packed {
    fn features(&self, dim: usize) -> Features {
        let bytes = BASE64_STANDARD.decode(&self.int16).expect("base64");
        let (pairs, rest) = bytes.as_chunks::<2>();
        assert!(rest.is_empty() && pairs.len() == self.rows * dim);
        let values = pairs.iter().map(|&pair| f32::from(i16::from_le_bytes(pair)) * self.scale).collect();
        Features { rows: self.rows, dim, values }
    }
}

#[derive(Deserialize)]
pub(crate) struct Frechet {
    pub(crate) pytorch_fid: PytorchFid,
    pub(crate) torch_fidelity_float64: f64,
    pub(crate) torch_fidelity_float32: f64,
    pub(crate) nuclear_norm: f64,
}

#[derive(Deserialize)]
pub(crate) struct PytorchFid {
    pub(crate) value: Option<f64>,
}

#[derive(Deserialize)]
pub(crate) struct Kid {
    pub(crate) seed: u32,
    pub(crate) subsets: usize,
    pub(crate) subset_size: usize,
    pub(crate) float64: MeanStd,
    pub(crate) float32: MeanStd,
}

#[derive(Deserialize)]
pub(crate) struct MeanStd {
    pub(crate) mean: f64,
    pub(crate) std: f64,
}

#[derive(Deserialize)]
pub(crate) struct TorchPrc {
    pub(crate) float64: Pr,
    pub(crate) float32: Pr,
}

#[derive(Deserialize)]
pub(crate) struct Pr {
    pub(crate) precision: f64,
    pub(crate) recall: f64,
}

#[derive(Deserialize)]
pub(crate) struct Exact {
    pub(crate) le: Prdc,
    pub(crate) lt: Prdc,
}

#[derive(Deserialize)]
pub(crate) struct Prdc {
    pub(crate) precision: f64,
    pub(crate) recall: f64,
    pub(crate) density: f64,
    pub(crate) coverage: f64,
}

#[derive(Deserialize)]
pub(crate) struct Auth {
    pub(crate) value: f64,
    pub(crate) lowest: f64,
    pub(crate) highest: f64,
}

#[derive(Deserialize)]
pub(crate) struct MmdRbf {
    pub(crate) sigma_1: f64,
    pub(crate) median_sigma: f64,
    pub(crate) sigma_median: f64,
}

#[derive(Deserialize)]
pub(crate) struct Sliced {
    pub(crate) value: f64,
    pub(crate) projections: Vec<Vec<f64>>,
}

#[derive(Deserialize)]
pub(crate) struct Sinkhorn {
    pub(crate) blur: f64,
    pub(crate) scaling: f64,
    pub(crate) value: f64,
}

#[derive(Deserialize)]
pub(crate) struct Infinity {
    pub(crate) rows: usize,
    pub(crate) dim: usize,
    pub(crate) real_first_row: Vec<f32>,
    pub(crate) generated_first_row: Vec<f32>,
    pub(crate) generated_last_row: Vec<f32>,
    pub(crate) sizes: Vec<usize>,
    pub(crate) frechet_distance: Vec<f64>,
    pub(crate) intercept: f64,
}

/// A golden set with its rows.
pub(crate) struct Case {
    pub(crate) real: Features,
    pub(crate) generated: Features,
    pub(crate) set: Set,
}

pub(crate) fn golden() -> Golden {
    serde_json::from_str(include_str!("../../golden/tools.json")).expect("golden values")
}

pub(crate) fn cases() -> Vec<Case> {
    let cases: Vec<Case> = golden()
        .sets
        .into_iter()
        .map(|set| Case { real: set.real.features(set.dim), generated: set.generated.features(set.dim), set })
        .collect();
    assert_eq!(cases.len(), 10);
    cases
}
