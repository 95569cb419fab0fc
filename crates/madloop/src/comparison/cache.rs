//! References kept on disk: what a real set cost to prepare is paid once.
//!
//! A file is named by the SHA-256 of all that its content depends on: the values of the set, its feature map and preprocessing,
//! the settings, the metrics, the version and this machine's instruction sets. So nothing goes stale, and a file can be
//! deleted at any time.

use std::fs;
use std::path::{Path, PathBuf};

use madloop_core::Features;
use madloop_metrics::{Arrays, Reference, Settings};
use safetensors::tensor::{Dtype, SafeTensors, TensorView, serialize};
use sha2::{Digest, Sha256};

use crate::scoring::metric_error;
use crate::store::{cache_folder, make_folder, shrink, touch, write_atomically};
use crate::{Error, Result};

/// Bytes of all files together, above which the least recently used ones go.
pub const CACHE_LIMIT: u64 = 2 << 30;
/// Multiplications of a reference that is not worth a file: a fraction of a second.
const SMALL: f64 = 2e9;
/// Raised when the arrays of a reference change.
const FORMAT: u32 = 1;
/// Under which name a file keeps the checksum of its own arrays.
const CHECKSUM: &str = "sha256";

/// A folder of references.
#[derive(Debug, Clone)]
pub struct Cache {
    folder: PathBuf,
    limit: u64,
}

impl Cache {
    /// A cache in `folder`, of at most `limit` bytes.
    pub fn new(folder: PathBuf, limit: u64) -> Self {
        Self { folder, limit }
    }

    /// The user's: `$MADLOOP_CACHE`, else `madloop/references` in `$XDG_CACHE_HOME` or `$HOME/.cache`; `None` where none is known or
    /// `MADLOOP_CACHE` is empty.
    pub fn from_env() -> Option<Self> {
        let folder = cache_folder("references")?;
        Some(Self::new(folder, CACHE_LIMIT))
    }

    /// The reference of `features` with what `key` says of them (checksum, feature map, preprocessing), and whether it was here.
    ///
    /// # Errors
    /// What [`Reference::new`] says. A file that cannot be read or written is no error: the work is done instead.
    pub(super) fn reference(
        &self,
        features: Features,
        key: &str,
        settings: Settings,
        metrics: &[String],
    ) -> Result<(Reference, bool)> {
        if worth(&features) <= SMALL {
            return Ok((Reference::new(features, settings, metrics).map_err(metric_error)?, false));
        }
        let path = self.path(key, &settings, metrics);
        let (reference, anew) =
            Reference::restore(features, settings, metrics, read(&path).unwrap_or_default()).map_err(metric_error)?;
        if anew {
            // A cache that cannot be written only costs the next comparison its time.
            let _ = self.store(&path, &reference.arrays());
        } else {
            touch(&path);
        }
        Ok((reference, !anew))
    }

    fn path(&self, key: &str, settings: &Settings, metrics: &[String]) -> PathBuf {
        let mut metrics: Vec<&str> = metrics.iter().map(String::as_str).collect();
        metrics.sort_unstable();
        let machine = crate::provenance::cpu_features().join(" ");
        let all =
            format!("{FORMAT}\n{}\n{machine}\n{key}\n{settings:?}\n{}", env!("CARGO_PKG_VERSION"), metrics.join(" "));
        let mut hash = Sha256::new();
        hash.update(all);
        self.folder.join(format!("{}.safetensors", super::hex(hash)))
    }

    fn store(&self, path: &Path, arrays: &Arrays) -> Result<()> {
        let bytes: Vec<(&String, Vec<u8>)> = arrays
            .iter()
            .map(|(name, values)| (name, values.iter().flat_map(|value| value.to_le_bytes()).collect()))
            .collect();
        let unwritable = |why: String| Error::bad_file(path, why, "choose another folder with MADLOOP_CACHE");
        let views = bytes
            .iter()
            .map(|(name, bytes)| Ok((name.as_str(), TensorView::new(Dtype::F64, vec![bytes.len() / 8], bytes)?)))
            .collect::<std::result::Result<Vec<_>, safetensors::SafeTensorError>>()
            .map_err(|error| unwritable(error.to_string()))?;
        let checksum = [(CHECKSUM.to_owned(), checksum(arrays))].into();
        let file = serialize(views, Some(checksum)).map_err(|error| unwritable(error.to_string()))?;
        if file.len() as u64 > self.limit {
            return Ok(());
        }
        make_folder(&self.folder)?;
        write_atomically(path, &file)?;
        shrink(&self.folder, "safetensors", self.limit, path);
        Ok(())
    }
}

/// Multiplications that preparing takes: its pairs, its covariance and its eigenvectors.
fn worth(features: &Features) -> f64 {
    let (n, d) = (features.rows as f64, features.dim as f64);
    n * n * d + if n >= d { n * d * d + 10.0 * d * d * d } else { 0.0 }
}

/// The arrays of a file; `None` when there is none or it is damaged.
#[expect(clippy::disallowed_methods, reason = "the cache's own folder")]
fn read(path: &Path) -> Option<Arrays> {
    let bytes = fs::read(path).ok()?;
    let (_, metadata) = SafeTensors::read_metadata(&bytes).ok()?;
    let expected = metadata.metadata().as_ref()?.get(CHECKSUM)?.clone();
    let tensors = SafeTensors::deserialize(&bytes).ok()?;
    let array = |(name, view): (String, TensorView<'_>)| {
        let values = view.data().chunks_exact(8).map(|bytes| Some(f64::from_le_bytes(bytes.try_into().ok()?)));
        (view.dtype() == Dtype::F64).then(|| Some((name, values.collect::<Option<Vec<f64>>>()?)))?
    };
    let arrays = tensors.tensors().into_iter().map(array).collect::<Option<Arrays>>()?;
    (checksum(&arrays) == expected).then_some(arrays)
}

/// SHA-256 of names and values.
fn checksum(arrays: &Arrays) -> String {
    let mut hash = Sha256::new();
    for (name, values) in arrays {
        hash.update(name);
        for values in values.chunks(1 << 13) {
            hash.update(values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>());
        }
    }
    super::hex(hash)
}
