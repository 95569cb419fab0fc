//! The .npz of statistics: `mu` and `sigma` as pytorch-fid has them, and what merging needs beside them.
//!
//! | member | type | what |
//! |---|---|---|
//! | `mu` | f64 `[d]` | the mean |
//! | `sigma` | f64 `[d, d]` | the covariance, divisor n - 1 (for n = 1 not a number) |
//! | `n` | i64 `[]` | number of samples |
//! | `mu_rest` | f64 `[d]` | what rounding cut off the mean |
//! | `provenance` | u8 `[any]` | JSON text: features, preprocessing, version, n, d |
//!
//! Other programs write the first two alone; f32 is read too. No member is pickled, and none is read that is.

use std::io::{BufWriter, Write};
use std::path::Path;

use madloop_metrics::check_covariance;
use npyz::WriterBuilder;

use super::{Known, MAX_DIM, Preprocessing, Stats};
use crate::data::npz::{Archive, Layout, Number, names, open_member, open_zip, read_f64};
use crate::store::write_atomically_with;
use crate::{Error, Result};

/// What to do about a bad statistics file.
pub(super) const REMEDY: &str = "a statistics file holds arrays mu [d] and sigma [d, d], f64 or f32, of at least 2 samples: write it \
                                 again from them with madloop stats, or numpy.cov(features, rowvar=False)";
/// Bytes of a provenance.
const MAX_PROVENANCE: u64 = 1 << 16;
/// Whole numbers up to here are exact in f64.
const MAX_N: f64 = 9_007_199_254_740_992.0;

/// Writes statistics, replacing a file that is there. The same statistics give the same bytes.
///
/// # Errors
/// When the file cannot be written.
pub fn write(stats: &Stats, output: &Path) -> Result<()> {
    let scatter = &stats.scatter;
    let (n, d) = (scatter.n(), scatter.dim() as u64);
    let divisor = n.saturating_sub(1) as f64;
    let provenance = Preprocessing::to_json(stats.preprocessing.as_ref(), n, scatter.dim()).to_string();
    write_atomically_with(output, |file| {
        let mut zip = zip::ZipWriter::new(BufWriter::with_capacity(1 << 20, file));
        member(&mut zip, "mu", &[d], scatter.mean().iter().copied())?;
        // 0 / 0 for n = 1: no covariance rather than one that says that nothing varies.
        member(&mut zip, "sigma", &[d, d], scatter.scatter().iter().map(|value| value / divisor))?;
        member(&mut zip, "n", &[], [n as i64].into_iter())?;
        member(&mut zip, "mu_rest", &[d], scatter.rest().iter().copied())?;
        member(&mut zip, "provenance", &[provenance.len() as u64], provenance.bytes())?;
        zip.finish()?.into_inner().map_err(std::io::IntoInnerError::into_error)?;
        Ok(())
    })
}

fn member<T: npyz::AutoSerialize>(
    zip: &mut zip::ZipWriter<impl Write + std::io::Seek>,
    name: &str,
    shape: &[u64],
    values: impl Iterator<Item = T>,
) -> std::io::Result<()> {
    let bytes = shape.iter().product::<u64>().saturating_mul(size_of::<T>() as u64);
    let options = zip::write::SimpleFileOptions::default()
        .compression_method(zip::CompressionMethod::Stored)
        // A fixed date: the same set gives the same bytes.
        .last_modified_time(zip::DateTime::default())
        .large_file(bytes > 1 << 31);
    zip.start_file(format!("{name}.npy"), options)?;
    let mut writer = npyz::WriteOptions::new().default_dtype().shape(shape).writer(zip).begin_nd()?;
    writer.extend(values)?;
    writer.finish()
}

/// Reads the statistics of an .npz file; `None` when it has neither `mu` nor `sigma`.
///
/// # Errors
/// Files that are no whole zip, hold one of the two alone, or hold what is no mean and covariance: other types than f64 and f32
/// (integers, complex numbers, pickles), shapes other than `[d]` and `[d, d]`, d beyond [`MAX_DIM`], values that are not finite,
/// a sigma that is not symmetric or has a negative eigenvalue (see [`check_covariance`] for what rounding may do),
/// n below 1.
pub fn read(path: &Path) -> Result<Option<Known>> {
    let (mut archive, packed) = open_zip(path)?;
    if archive.is_empty() {
        return Err(Error::bad_file(path, "it holds no array at all", REMEDY));
    }
    let mut file = File { path, members: names(&archive).collect(), archive: &mut archive, packed };
    if !file.has("mu") && !file.has("sigma") {
        return Ok(None);
    }
    for name in ["mu", "sigma"] {
        if !file.has(name) {
            return Err(Error::bad_file(path, format!("{name} is missing"), REMEDY));
        }
    }
    let mean = file.floats("mu", |dims| match dims {
        [1..=LARGEST] => Ok(()),
        [d] => Err(format!("mu is [{d}]; d must be 1 to {MAX_DIM}")),
        _ => Err(format!("mu is {dims:?}, not [d]")),
    })?;
    let d = mean.len() as u64;
    let mut covariance = file
        .floats("sigma", |dims| if dims == [d, d] { Ok(()) } else { Err(format!("mu is [{d}] and sigma {dims:?}")) })?;
    let n = if file.has("n") { Some(file.n()?) } else { None };
    let rest = if file.has("mu_rest") {
        let same = |dims: &[u64]| if dims == [d] { Ok(()) } else { Err(format!("mu is [{d}] and mu_rest {dims:?}")) };
        file.floats("mu_rest", same)?
    } else {
        vec![0.0; mean.len()]
    };
    let preprocessing = if file.has("provenance") { file.provenance()? } else { None };

    let bad = |why: String| Error::bad_file(path, why, REMEDY);
    if let Some(at) = mean.iter().position(|value| !value.is_finite()) {
        return Err(bad(format!("mu[{at}] is {}", mean[at])));
    }
    if let Some(at) = (0..mean.len()).find(|&at| rest[at].is_nan() || rest[at].abs() > f64::EPSILON * mean[at].abs()) {
        return Err(bad(format!("mu_rest[{at}] = {:e} is no rounding of mu[{at}] = {:e}", rest[at], mean[at])));
    }
    if n == Some(1) {
        covariance.fill(f64::NAN);
    } else {
        let d = mean.len();
        if let Some(at) = covariance.iter().position(|value| !value.is_finite()) {
            return Err(bad(format!("sigma[{}, {}] is {}", at / d, at % d, covariance[at])));
        }
        check_covariance("sigma", &mut covariance, d).map_err(|error| bad(error.to_string()))?;
    }
    Ok(Some(Known { n, mean, rest, covariance, preprocessing }))
}

const LARGEST: u64 = MAX_DIM as u64;

/// An open statistics file.
struct File<'a> {
    path: &'a Path,
    archive: &'a mut Archive,
    members: Vec<(usize, String)>,
    packed: u64,
}

impl File<'_> {
    fn has(&self, name: &str) -> bool {
        self.members.iter().any(|(_, member)| member == name)
    }

    /// Reads a member whose layout `check` accepts; its errors are told with the file's path and remedy.
    fn member(&mut self, name: &str, check: impl Fn(&Layout) -> Result<(), String>) -> Result<Vec<f64>> {
        let Some(member) = self.members.iter().find(|(_, member)| member == name) else {
            return Err(Error::bad_file(self.path, format!("{name} is missing"), REMEDY));
        };
        let read = open_member(self.path, self.archive, member, self.packed, |path, layout, reader| {
            check(layout).map_err(|why| Error::bad_file(self.path, why, REMEDY))?;
            read_f64(path, layout, reader)
        });
        read.map_err(|error| match error {
            Error::BadFile { path, why, .. } => Error::bad_file(path, why, REMEDY),
            error => error,
        })
    }

    fn floats(&mut self, name: &str, shape: impl Fn(&[u64]) -> Result<(), String>) -> Result<Vec<f64>> {
        self.member(name, |layout| match layout.number {
            Number::F32 | Number::F64 => shape(&layout.dims),
            number => Err(format!("{name} is an array of {number}")),
        })
    }

    fn n(&mut self) -> Result<u64> {
        let values = self.member("n", |layout| match layout.dims[..] {
            [] | [1] => Ok(()),
            _ => Err(format!("n is an array of shape {:?}, not one number", layout.dims)),
        })?;
        match values[..] {
            [n] if n.fract() == 0.0 && (1.0..=MAX_N).contains(&n) => Ok(n as u64),
            _ => Err(Error::bad_file(self.path, format!("n is {values:?}, no number of samples"), REMEDY)),
        }
    }

    fn provenance(&mut self) -> Result<Option<Preprocessing>> {
        let values = self.member("provenance", |layout| match (layout.number, &layout.dims[..]) {
            (Number::U8, &[0..=MAX_PROVENANCE]) => Ok(()),
            (number, dims) => Err(format!("provenance is {number} of shape {dims:?}, not JSON text in uint8")),
        })?;
        let bytes: Vec<u8> = values.into_iter().map(|value| value as u8).collect();
        Preprocessing::from_json(&bytes)
            .map_err(|error| Error::bad_file(self.path, format!("provenance cannot be read: {error}"), REMEDY))
    }
}
