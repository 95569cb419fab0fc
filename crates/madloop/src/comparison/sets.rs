//! What is compared: samples, or the statistics that are left of them.

use std::path::Path;

use madloop_core::{FeatureMap, Features, Samples, Seeds};
use madloop_metrics::Moments;
use sha2::{Digest, Sha256};

use super::Progress;
use crate::data::{ReadOptions, read_samples, read_samples_watched, some};
use crate::feature_map::{FeatureOptions, Mapping, Outputs, Want, feature_map, fitting};
use crate::scoring::balanced;
use crate::stats::{self, Known, Preprocessing};
use crate::{Error, Result};

/// A set to compare.
pub(crate) enum Set {
    Samples(Samples),
    Stats(Box<Known>),
}

impl Set {
    /// Samples, unless the file is an .npz with `mu` and `sigma`.
    pub(crate) fn load(path: &Path, read: &ReadOptions) -> Result<Self> {
        if path.extension().is_some_and(|extension| extension == "npz")
            && let Some(stats) = stats::read(path)?
        {
            if stats.n == Some(1) {
                let why = "it holds the statistics of n = 1 sample, which has no covariance";
                return Err(Error::bad_file(path, why, "merge it with others first: madloop stats merge"));
            }
            return Ok(Self::Stats(Box::new(stats)));
        }
        Ok(Self::Samples(read_samples(path, read)?))
    }

    /// The same, telling how far it is; what was left out is said in `left_out`.
    pub(super) fn load_told(
        path: &Path,
        read: &ReadOptions,
        progress: &Progress,
        left_out: &mut Vec<String>,
    ) -> Result<Self> {
        if path.extension().is_some_and(|extension| extension == "npz") {
            return Self::load(path, read);
        }
        let what = Progress::reading(path);
        let (samples, gone) = read_samples_watched(path, read, &|done, of| progress.tell(&what, done, of))?;
        if !gone.is_empty() {
            let (n, names) = (gone.len(), some(gone.into_iter()));
            let are = if n == 1 { "file is" } else { "files are" };
            left_out.push(format!("{}: {n} {are} left out: {names}", path.display()));
        }
        Ok(Self::Samples(samples))
    }

    /// SHA-256 of the values in memory.
    pub(super) fn checksum(&self) -> String {
        let mut hash = Sha256::new();
        match self {
            Self::Stats(stats) => {
                stats.mean.iter().chain(&stats.covariance).for_each(|value| hash.update(value.to_le_bytes()));
            }
            Self::Samples(samples) => return checksum(samples),
        }
        super::hex(hash)
    }

    /// Mean and covariance, of `n` samples drawn by the seed where there are samples.
    pub(super) fn moments(
        &self,
        path: &Path,
        n: Option<usize>,
        seeds: Seeds,
        asked: (Option<&str>, &FeatureOptions),
    ) -> Result<(Vec<f64>, Vec<f64>)> {
        match self {
            Self::Stats(stats) => Ok((stats.mean.clone(), stats.covariance.clone())),
            Self::Samples(samples) => {
                let part = subset(path, samples, n, seeds)?;
                let features = features(&features_for(asked.0, asked.1, &part)?, part)?;
                let moments = Moments::new(&features)
                    .map_err(|error| Error::bad_file(path, error.to_string(), "give more samples"))?;
                Ok((moments.mean, moments.covariance))
            }
        }
    }

    /// How its samples became features, if that is known.
    pub(super) fn preprocessing(
        &self,
        read: &ReadOptions,
        asked: (Option<&str>, &FeatureOptions),
    ) -> Result<Option<Preprocessing>> {
        Ok(match self {
            Self::Stats(stats) => stats.preprocessing.clone(),
            Self::Samples(samples) => {
                Some(Preprocessing::of(&features_for(asked.0, asked.1, samples)?, samples.shape(), read))
            }
        })
    }
}

/// SHA-256 of the values of samples.
pub(super) fn checksum(samples: &Samples) -> String {
    let mut hash = Sha256::new();
    match (samples.as_u8(), samples.as_f32()) {
        (Some(pixels), _) => hash.update(pixels),
        (_, values) => {
            for values in values.unwrap_or_default().chunks(1 << 14) {
                hash.update(values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>());
            }
        }
    }
    super::hex(hash)
}

/// The feature map asked for, or whichever fits.
pub(crate) fn features_for(asked: Option<&str>, options: &FeatureOptions, set: &Samples) -> Result<Mapping> {
    let place = asked.map_or_else(|| "--features".to_owned(), |asked| format!("--features {asked}"));
    let name = match asked {
        Some(asked) => asked.parse().map_err(|why: String| Error::config(&place, why))?,
        None => fitting(set.shape()),
    };
    feature_map(&name, set.shape(), &place, options)
}

/// `n` rows of a set, drawn by the seed; all rows stay in their order.
pub(super) fn subset(path: &Path, set: &Samples, n: Option<usize>, seeds: Seeds) -> Result<Samples> {
    match n {
        None => Ok(set.clone()),
        Some(n) if n > set.len() => {
            let why = format!("it holds {} samples, fewer than --n {n}", set.len());
            Err(Error::bad_file(path, why, "lower --n or leave it out"))
        }
        Some(n) if n == set.len() => Ok(set.clone()),
        Some(n) => Ok(balanced(set, n as u64, seeds)?),
    }
}

/// Features of a set, which is let go.
pub(crate) fn features(map: &Mapping, samples: Samples) -> Result<Features> {
    Ok(map.features(&samples)?)
}

/// [`outputs`] in blocks, telling how far it is: features do not depend on blocks.
pub(super) fn outputs_told(
    map: &Mapping,
    samples: Samples,
    want: Want,
    (whose, progress): (&str, &Progress),
) -> Result<Outputs> {
    /// Images of a block.
    const BLOCK: usize = 128;
    let n = samples.len();
    if !map.is_slow() || n <= BLOCK {
        return outputs(map, samples, want);
    }
    let what = format!("features of {whose}");
    let mut all: Option<Outputs> = None;
    for start in (0..n).step_by(BLOCK) {
        let end = (start + BLOCK).min(n);
        let block = map.outputs(&samples.slice(start..end), want)?;
        match &mut all {
            Some(all) => all.append(block),
            None => all = Some(block),
        }
        progress.tell(&what, end as u64, n as u64);
    }
    match all {
        Some(all) => Ok(all),
        None => outputs(map, samples, want),
    }
}

/// Features of a set and other outputs of its map; the set is let go.
pub(crate) fn outputs(map: &Mapping, samples: Samples, want: Want) -> Result<Outputs> {
    Ok(map.outputs(&samples, want)?)
}
