//! What the planner is given: a spectrum and a sampling bias.

use std::path::{Path, PathBuf};

use madloop_core::Features;
use madloop_metrics::{Spectrum, covariance_eigenvalues, lambda_eff, spectrum};

use super::Options;
use crate::comparison::{Set, features, features_for};
use crate::data::ReadOptions;
use crate::{Error, Result};

#[derive(Debug)]
pub(super) struct Input {
    pub(super) path: PathBuf,
    /// `None` for a statistics file without its count.
    pub(super) rows: Option<u64>,
    pub(super) features: String,
    /// Columns, the constant ones included.
    pub(super) dim: usize,
    pub(super) constant: usize,
    pub(super) shrinkage: f64,
    pub(super) eigenvalues: Vec<f64>,
    pub(super) bias: Bias,
    pub(super) notes: Vec<String>,
}

/// Lambda, and how it is known.
#[derive(Debug, Clone)]
pub(super) struct Bias {
    pub(super) value: f64,
    pub(super) interval: Option<(f64, f64)>,
    pub(super) from: Option<PathBuf>,
}

impl Input {
    pub(super) fn load(real: &Path, read: &ReadOptions, options: &Options) -> Result<Self> {
        check(options)?;
        let mut notes = Vec::new();
        let wrong = |error: madloop_metrics::MetricsError| {
            Error::bad_file(real, error.to_string(), "give features that are finite and vary")
        };
        let stats = match Set::load(real, read)? {
            Set::Samples(samples) => {
                let map = features_for(options.features.as_deref(), &options.map, &samples)?;
                let name = madloop_core::FeatureMap::name(&map).to_owned();
                let training = features(&map, samples)?;
                let Spectrum { eigenvalues, shrinkage, constant } = spectrum(&training).map_err(wrong)?;
                let bias = bias(Some(&training), read, options, &mut notes)?;
                if training.rows <= training.dim {
                    notes.push(format!(
                        "{} rows in {} dimensions: the spectrum rests on shrinkage ({:.0} %); give more rows if there are any",
                        training.rows,
                        training.dim,
                        100.0 * shrinkage
                    ));
                }
                return Ok(Self {
                    path: real.to_owned(),
                    rows: Some(training.rows as u64),
                    features: name,
                    dim: training.dim,
                    constant,
                    shrinkage,
                    eigenvalues,
                    bias,
                    notes,
                });
            }
            Set::Stats(stats) => stats,
        };
        let bias = bias(None, read, options, &mut notes)?;
        let dim = stats.mean.len();
        let eigenvalues = covariance_eigenvalues(&stats.covariance, dim).map_err(wrong)?;
        notes.push("the spectrum is that of the statistics file as it stands, without shrinkage".into());
        Ok(Self {
            path: real.to_owned(),
            rows: stats.n,
            features: "statistics".into(),
            dim,
            constant: eigenvalues.iter().filter(|&&value| value == 0.0).count(),
            shrinkage: 0.0,
            eigenvalues,
            bias,
            notes,
        })
    }
}

fn check(options: &Options) -> Result<()> {
    let wrong = |key: &str, why: String| Err(Error::config(key, why));
    match (options.lambda, &options.lambda_from) {
        (None, None) => {
            return wrong(
                "--lambda",
                "give the sampling bias, or --lambda-from a set that your model generated".into(),
            );
        }
        (Some(_), Some(_)) => {
            return wrong("--lambda", "it is given and estimated with --lambda-from; leave one out".into());
        }
        (Some(lambda), None) if !(0.0..=1.0).contains(&lambda) => {
            return wrong("--lambda", format!("{lambda} must be a number from 0 (modes only) to 1 (unbiased)"));
        }
        _ => {}
    }
    match options.budget_real {
        Some(n @ 0..2) => wrong("--budget-real", format!("{n} samples have no covariance; give at least 2")),
        _ => Ok(()),
    }
}

fn bias(training: Option<&Features>, read: &ReadOptions, options: &Options, notes: &mut Vec<String>) -> Result<Bias> {
    let from = match (options.lambda, &options.lambda_from) {
        (Some(value), _) => return Ok(Bias { value, interval: None, from: None }),
        (None, None) => return Err(Error::config("--lambda", "it is missing")),
        (None, Some(from)) => from,
    };
    let needs = "it compares samples with the samples they were trained on, and a statistics file holds neither";
    let (Some(training), Set::Samples(generated)) = (training, Set::load(from, read)?) else {
        return Err(Error::config("--lambda-from", needs));
    };
    let generated = features(&features_for(options.features.as_deref(), &options.map, &generated)?, generated)?;
    let found = lambda_eff(training, &generated).map_err(|error| {
        Error::bad_file(from, error.to_string(), "give a set that a model trained on --real generated")
    })?;
    if found.value > 1.0 {
        notes.push(format!(
            "the generated set varies {:.3} times as much as its training set: no bias towards the modes is seen, and lambda is taken as 1",
            found.value
        ));
    }
    let clip = |value: f64| value.clamp(0.0, 1.0);
    Ok(Bias { value: clip(found.value), interval: Some((clip(found.low), clip(found.high))), from: Some(from.clone()) })
}
