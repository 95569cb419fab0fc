//! Statistics files: mean and covariance of a set, as pytorch-fid keeps them, made in one pass and merged exactly.

mod file;
mod provenance;
#[cfg(test)]
mod tests;

use std::path::Path;

use madloop_core::{FeatureMap, Samples, Shape};
use madloop_metrics::{Scatter, ScatterBuilder};

use crate::data::{ReadOptions, RowSink, stream_samples};
use crate::feature_map::{FeatureOptions, Mapping, feature_map, fitting};
use crate::{Error, Result};

pub use file::{read, write};
pub use provenance::Preprocessing;

/// Features that a statistics file may have: its covariance then takes 8 GiB.
pub const MAX_DIM: usize = 1 << 15;

/// What a statistics file holds, or is to hold.
#[derive(Debug, Clone)]
pub struct Stats {
    /// Number of samples, mean and scatter matrix.
    pub scatter: Scatter,
    /// What the features are; `None` when it is not known, as in the files of other programs.
    pub preprocessing: Option<Preprocessing>,
}

/// What was read of a statistics file.
#[derive(Debug, Clone)]
pub struct Known {
    /// Number of samples; other programs do not keep it.
    pub n: Option<u64>,
    /// `[d]`, finite.
    pub mean: Vec<f64>,
    /// What rounding cut off the mean (`[d]`).
    pub rest: Vec<f64>,
    /// `[d, d]`, divisor n - 1: symmetric, positive semidefinite but for rounding, finite (for n = 1 not a number).
    pub covariance: Vec<f64>,
    /// What the features are, if the file says it.
    pub preprocessing: Option<Preprocessing>,
}

/// How the statistics of a set are made.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// How images are read.
    pub read: ReadOptions,
    /// The feature map by name; `none` or `pixels`, whichever fits, when `None`.
    pub features: Option<String>,
    /// Weights and preprocessing of the feature map.
    pub map: FeatureOptions,
    /// Whether the set is a part that is to be merged, for which one sample is enough.
    pub shard: bool,
}

/// The statistics of a file or folder, in one pass: memory for 2 matrices of `[d, d]` at most and a batch of rows, at any number
/// of samples. The bits do not depend on batches and threads.
///
/// # Errors
/// Those of [`stream_samples`]; features that do not suit the samples, more than [`MAX_DIM`] of them; less than 2
/// samples, or less than one of a shard.
pub fn measure(input: &Path, options: &Options) -> Result<Stats> {
    let mut sum = Sum { input, options, into: None };
    stream_samples(input, &options.read, &mut sum)?;
    let Some((builder, features, shape)) = sum.into else {
        return Err(Error::bad_file(input, "it holds no samples", "give at least 2 samples"));
    };
    let scatter = builder.finish();
    if scatter.n() < 2 && !options.shard {
        let remedy = "a covariance needs at least 2 (a part that is to be merged may have one: --shard)";
        return Err(Error::bad_file(input, format!("it holds {} samples", scatter.n()), remedy));
    }
    Ok(Stats { scatter, preprocessing: Some(Preprocessing::of(&features, shape, &options.read)) })
}

/// Adds the rows that it gets to a scatter matrix.
struct Sum<'a> {
    input: &'a Path,
    options: &'a Options,
    into: Option<(ScatterBuilder, Mapping, Shape)>,
}

impl RowSink for Sum<'_> {
    fn begin(&mut self, shape: Shape) -> Result<()> {
        let asked = self.options.features.as_deref();
        let place = asked.map_or_else(|| "--features".to_owned(), |asked| format!("--features {asked}"));
        let name = match asked {
            Some(asked) => asked.parse().map_err(|why: String| Error::config(&place, why))?,
            None => fitting(shape),
        };
        let features = feature_map(&name, shape, &place, &self.options.map)?;
        let dim = features.dim(shape);
        if dim > MAX_DIM {
            let why = format!("each sample is {shape}: {dim} features; the limit is {MAX_DIM}");
            return Err(Error::bad_file(self.input, why, "make images smaller with --resize, or give features"));
        }
        let builder = ScatterBuilder::new(dim).map_err(|error| {
            Error::bad_file(self.input, error.to_string(), "make images smaller with --resize, or give features")
        })?;
        self.into = Some((builder, features, shape));
        Ok(())
    }

    fn rows(&mut self, rows: &Samples) -> Result<()> {
        let Some((builder, map, _)) = &mut self.into else { return Ok(()) };
        builder.push(&map.features(rows)?.values).map_err(madloop_core::Error::other).map_err(Error::Core)
    }
}

/// Merges statistics files as if their samples had been one set: the algebra is exact, what is left is rounding (about
/// 1e-16 relative a file). `counts` gives the number of samples of each file, for files that do not hold it.
///
/// # Errors
/// Files that are no statistics or bad ones; a file without `n` when there are no counts; counts that contradict a file or
/// are not one a file; different dimensions, features or preprocessing.
pub fn merge(inputs: &[impl AsRef<Path>], counts: Option<&[u64]>) -> Result<Stats> {
    if let Some(counts) = counts
        && counts.len() != inputs.len()
    {
        let why =
            format!("gives {} numbers for {} files; give one for each, in their order", counts.len(), inputs.len());
        return Err(Error::config("--n", why));
    }
    let mut total: Option<(&Path, Stats)> = None;
    for (index, path) in inputs.iter().map(AsRef::as_ref).enumerate() {
        let next = counted(path, counts.map(|counts| counts[index]))?;
        total = Some(match total {
            None => (path, next),
            Some((first, total)) => (first, add(first, total, path, next)?),
        });
    }
    let Some((path, total)) = total else {
        return Err(Error::config("stats merge", "got no file; give at least one"));
    };
    if total.scatter.n() < 2 {
        return Err(Error::bad_file(path, "it holds 1 sample", "a covariance needs at least 2; merge it with others"));
    }
    Ok(total)
}

/// One file to merge, with its number of samples.
fn counted(path: &Path, count: Option<u64>) -> Result<Stats> {
    let Some(known) = read(path)? else {
        let remedy = "make its statistics first: madloop stats INPUT -o FILE.npz";
        return Err(Error::bad_file(path, "it holds samples, no statistics mu and sigma", remedy));
    };
    let n = match (known.n, count) {
        (Some(n), Some(count)) if n != count => {
            let why = format!("it holds the statistics of n = {n} samples, and --n says {count}");
            return Err(Error::bad_file(path, why, "correct --n or leave it out"));
        }
        (Some(n), _) => n,
        (None, Some(count)) if count >= 2 => count,
        (None, Some(count)) => {
            return Err(Error::bad_file(path, format!("--n says {count} samples"), "a covariance has at least 2"));
        }
        (None, None) => {
            let why = "it does not hold n, the number of its samples, without which it cannot be weighed";
            let remedy =
                "give the numbers of all files, in their order: --n N1,N2,...; or make the file with madloop stats";
            return Err(Error::bad_file(path, why, remedy));
        }
    };
    let scatter = Scatter::from_covariance(n, known.mean, known.rest, known.covariance)
        .map_err(|error| Error::bad_file(path, error.to_string(), file::REMEDY))?;
    Ok(Stats { scatter, preprocessing: known.preprocessing })
}

fn add(first: &Path, total: Stats, path: &Path, next: Stats) -> Result<Stats> {
    let names = |a: &Option<Preprocessing>| match a {
        Some(preprocessing) => preprocessing.to_string(),
        None => "of unknown features".to_owned(),
    };
    let (d, own) = (total.scatter.dim(), next.scatter.dim());
    let differ = if d != own {
        Some((format!("{d} dimensions"), format!("{own} dimensions")))
    } else if total.preprocessing != next.preprocessing {
        Some((names(&total.preprocessing), names(&next.preprocessing)))
    } else {
        None
    };
    if let Some((first_is, this_is)) = differ {
        let why = format!("it is {this_is}, and {} is {first_is}", first.display());
        let remedy = "merge statistics of the same features and preprocessing: make both with the same options";
        return Err(Error::bad_file(path, why, remedy));
    }
    let scatter =
        total.scatter.merge(&next.scatter).map_err(|error| Error::bad_file(path, error.to_string(), file::REMEDY))?;
    Ok(Stats { scatter, preprocessing: total.preprocessing })
}
