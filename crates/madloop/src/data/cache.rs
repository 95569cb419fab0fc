//! Images that were decoded and brought to their size once, kept as u8 for the runs that follow.
//!
//! A file is named by the SHA-256 of all that its content depends on: the names, sizes and times of the images (the checksums that a zip
//! has), the options they are read with, the rows held back, and the version. It holds the pixels in the order of the split with their
//! own checksums, which every reading compares, and can be deleted at any time.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use madloop_core::{Samples, Shape, Values};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::catalog::hex;
use super::images::{Members, ReadProgress};
use super::map::Mapped;
use super::read::{Kind, ReadOptions, kind_of, load};
use super::set::{Opening, checksum};
use super::split::default_n_reference;
use super::{archive, folder, npz};
use crate::store::{cache_folder, make_folder, shrink, touch, write_atomically_with};
use crate::{Error, Result};

/// Raised when what the files hold changes, or how images are decoded.
const FORMAT: u32 = 1;
/// Sets of fewer images are read anew.
const LEAST: usize = 1000;
/// Bytes of all files together, above which the least recently used ones go.
const LIMIT: u64 = 32 << 30;
/// What every file begins with.
const MAGIC: &[u8; 16] = b"madloop images\n\0";

/// A folder of decoded images.
#[derive(Debug, Clone)]
pub struct ImageCache {
    folder: PathBuf,
    limit: u64,
    least: usize,
}

/// Rows that become the reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HoldBack {
    Nothing,
    /// A fifth, at most 10,000.
    Fifth,
    Rows(usize),
}

/// A set from a path, split.
pub(super) struct Halves {
    pub(super) pool: Samples,
    pub(super) reference: Option<Samples>,
    /// SHA-256 of the pool, and of the reference.
    pub(super) checksums: Vec<String>,
    /// Files that cannot be read.
    pub(super) left_out: Vec<String>,
}

/// What precedes the pixels.
#[derive(Serialize, Deserialize)]
struct Header {
    shape: Shape,
    pool: usize,
    reference: usize,
    labels: Option<Vec<u32>>,
    left_out: Vec<String>,
    checksums: Vec<String>,
}

impl Halves {
    /// Reads and splits `path`, from the cache where it is there.
    pub(super) fn read(path: &Path, options: &ReadOptions, hold_back: HoldBack, opening: Opening<'_>) -> Result<Self> {
        super::read::check_options(path, options)?;
        let place = match opening.cache {
            Some(cache) => cache.place(path, options, hold_back)?,
            None => None,
        };
        if let Some(known) = place.as_ref().and_then(|place| restore(place)) {
            return Ok(known);
        }
        let halves = Self::anew(path, options, hold_back, opening.progress)?;
        let (Some(cache), Some(place)) = (opening.cache, place) else { return Ok(halves) };
        // A cache that cannot be written only costs the next run its time.
        if !matches!(cache.keep(&place, &halves), Ok(true)) {
            return Ok(halves);
        }
        // The file's pages instead of memory of our own, never both.
        drop(halves);
        restore(&place).map_or_else(|| Self::anew(path, options, hold_back, opening.progress), Ok)
    }

    fn anew(path: &Path, options: &ReadOptions, hold_back: HoldBack, progress: ReadProgress<'_>) -> Result<Self> {
        let (loaded, left_out) = load(path, options, progress)?;
        let n = loaded.rows();
        let n_reference = match hold_back {
            HoldBack::Nothing => 0,
            HoldBack::Fifth => default_n_reference(n),
            HoldBack::Rows(rows) if rows >= n => {
                return Err(Error::Setting {
                    key: "data.n_reference".to_owned(),
                    why: format!("is {rows}, and {} holds {n} samples", path.display()),
                    remedy: format!("set it to at most {}", n.saturating_sub(1)),
                });
            }
            HoldBack::Rows(rows) => rows,
        };
        let (pool, reference) = match n_reference {
            0 => (loaded.into_samples()?, None),
            _ => {
                let (pool, reference) = loaded.split(n_reference)?;
                (pool, Some(reference))
            }
        };
        let checksums = checksums(&pool, reference.as_ref());
        Ok(Self { pool, reference, checksums, left_out })
    }
}

/// Both at once: a set of several gigabytes takes seconds.
fn checksums(pool: &Samples, reference: Option<&Samples>) -> Vec<String> {
    let (first, second) = rayon::join(|| checksum(pool), || reference.map(checksum));
    std::iter::once(first).chain(second).collect()
}

impl ImageCache {
    /// The user's: `$MADLOOP_CACHE`, else `madloop/images` in `$XDG_CACHE_HOME` or `$HOME/.cache`; `None` where none is known or
    /// `MADLOOP_CACHE` is empty.
    pub fn from_env() -> Option<Self> {
        let folder = cache_folder("images")?;
        Some(Self { folder, limit: LIMIT, least: LEAST })
    }

    /// A cache in `folder`, of at most `limit` bytes, for sets of at least `least` images.
    pub fn new(folder: PathBuf, limit: u64, least: usize) -> Self {
        Self { folder, limit, least }
    }

    /// The file of a set; `None` for what is no set of image files, or a small one.
    fn place(&self, path: &Path, options: &ReadOptions, hold_back: HoldBack) -> Result<Option<PathBuf>> {
        let (n, stamp) = match kind_of(path)? {
            Kind::Folder => stamp(&folder::list(path)?),
            Kind::Tar => stamp(&archive::list_tar(path)?),
            Kind::Zip => {
                let (archive, packed) = archive::open_zip(path)?;
                if npz::is_npz(&archive) {
                    return Ok(None);
                }
                stamp(&archive::list_zip(path, archive, packed)?)
            }
            _ => return Ok(None),
        };
        if n < self.least {
            return Ok(None);
        }
        let real = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let mut hash = Sha256::new();
        let version = env!("CARGO_PKG_VERSION");
        hash.update(format!("{FORMAT}\n{version}\n{}\n{options:?}\n{hold_back:?}\n{stamp}", real.display()));
        Ok(Some(self.folder.join(format!("{}.images", hex(&hash.finalize())))))
    }

    /// Writes a set; whether it is there now.
    fn keep(&self, place: &Path, halves: &Halves) -> Result<bool> {
        let Halves { pool, reference, checksums, left_out } = halves;
        let bytes = pool.bytes() + reference.as_ref().map_or(0, Samples::bytes);
        let (Some(pixels), held_back) = (pool.as_u8(), reference.as_ref().and_then(Samples::as_u8)) else {
            return Ok(false);
        };
        make_folder(&self.folder)?;
        // Room for as much again stays.
        let room = rustix::fs::statvfs(&self.folder).map_or(0, |stat| stat.f_bavail * stat.f_frsize);
        if bytes > self.limit || 2 * bytes > room {
            return Ok(false);
        }
        let labels = pool.labels().map(|labels| {
            let more = reference.as_ref().and_then(Samples::labels).unwrap_or_default();
            [labels, more].concat()
        });
        let header = Header {
            shape: pool.shape(),
            pool: pool.len(),
            reference: reference.as_ref().map_or(0, Samples::len),
            labels,
            left_out: left_out.clone(),
            checksums: checksums.clone(),
        };
        let header = serde_json::to_vec(&header).map_err(madloop_core::Error::other)?;
        write_atomically_with(place, |file| {
            file.write_all(MAGIC)?;
            file.write_all(&(header.len() as u64).to_le_bytes())?;
            file.write_all(&header)?;
            file.write_all(pixels)?;
            file.write_all(held_back.unwrap_or_default())
        })?;
        shrink(&self.folder, "images", self.limit, place);
        Ok(true)
    }
}

/// The number of images, and what tells this state of them from another.
fn stamp(members: &impl Members) -> (usize, String) {
    (members.names().len(), members.stamp())
}

/// A set that was kept; `None` where there is none, or it is damaged.
fn restore(place: &Path) -> Option<Halves> {
    if !place.exists() {
        return None;
    }
    let map = Mapped::open(place).ok()?;
    let bytes = map.as_ref();
    let start = MAGIC.len() + 8;
    let length = u64::from_le_bytes(bytes.get(MAGIC.len()..start)?.try_into().ok()?);
    let end = start.checked_add(usize::try_from(length).ok()?)?;
    if !bytes.starts_with(MAGIC) {
        return None;
    }
    let header: Header = serde_json::from_slice(bytes.get(start..end)?).ok()?;
    let (rows, total) = (header.pool.checked_add(header.reference)?, bytes.len());
    if rows.checked_mul(header.shape.len())?.checked_add(end)? != total {
        return None;
    }
    let mut all = Samples::from_values(header.shape, Values::U8(Arc::new(map.slice(end..total)))).ok()?;
    if let Some(labels) = header.labels {
        all = all.with_labels(labels).ok()?;
    }
    let pool = all.slice(0..header.pool);
    let reference = (header.reference > 0).then(|| all.slice(header.pool..rows));
    if checksums(&pool, reference.as_ref()) != header.checksums {
        return None;
    }
    touch(place);
    Some(Halves { pool, reference, checksums: header.checksums, left_out: header.left_out })
}
