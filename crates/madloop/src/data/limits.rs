//! What a file may claim: every size is checked against these before anything is allocated.

use std::path::Path;

use crate::{Error, Result};

/// Samples in one set.
pub(crate) const MAX_SAMPLES: u64 = 50_000_000;
/// Bytes of the values of one set in memory; files that are mapped do not count.
pub(crate) const MAX_MEMORY: u64 = 64 << 30;
/// Bytes of one image file or one member of an archive of images.
pub(crate) const MAX_MEMBER: u64 = 256 << 20;
/// Pixels along one side of an image.
pub(crate) const MAX_SIDE: u32 = 16_384;
/// Bytes that decoding one image may take.
pub(crate) const MAX_DECODING: u64 = 512 << 20;
/// Class labels are smaller than this.
pub(crate) const MAX_CLASSES: u32 = 65_536;
/// Compressed data may unpack to so many times its own size ...
const MAX_RATIO: u64 = 20;
/// ... or to this many bytes, whichever is more.
const ALWAYS_UNPACKED: u64 = 1 << 30;

/// Bytes to which a compressed file of `packed` bytes may unpack.
pub(crate) fn unpacked_limit(packed: u64) -> u64 {
    packed.saturating_mul(MAX_RATIO).max(ALWAYS_UNPACKED)
}

/// Refuses compressed data that claims to unpack to more than [`unpacked_limit`].
pub(crate) fn check_unpacked(path: &Path, claimed: u128, packed: u64) -> Result<()> {
    let limit = unpacked_limit(packed);
    if claimed <= u128::from(limit) {
        return Ok(());
    }
    Err(Error::bad_file(
        path,
        format!(
            "its {packed} bytes claim to unpack to {claimed} bytes; the limit is {limit} ({MAX_RATIO} times the file, \
             at least 1 GiB)"
        ),
        "if the file can be trusted, unpack it and give the folder or the unpacked file",
    ))
}

/// Refuses more samples than [`MAX_SAMPLES`] and more bytes in memory than [`MAX_MEMORY`].
pub(crate) fn check_memory(path: &Path, samples: u64, bytes: u128) -> Result<()> {
    if samples > MAX_SAMPLES {
        let why = format!("it holds {samples} samples; the limit is {MAX_SAMPLES}");
        return Err(Error::bad_file(path, why, "give a part of it"));
    }
    if bytes > u128::from(MAX_MEMORY) {
        let why = format!("its {samples} samples take {bytes} bytes of memory; the limit is {MAX_MEMORY}");
        return Err(Error::bad_file(path, why, "make images smaller with data.resize, or give a part of it"));
    }
    Ok(())
}

/// A zeroed buffer, or an error that says how much memory is missing. Pages are taken as they are written, so a file that
/// claims much and holds little costs little.
pub(crate) fn zeroed<T: Copy + Default>(path: &Path, values: usize) -> Result<Vec<T>> {
    Vec::<T>::new().try_reserve_exact(values).map_err(|_| {
        let why = format!("there is no memory for {} bytes of samples", values.saturating_mul(size_of::<T>()));
        Error::bad_file(path, why, "make images smaller with data.resize, or give a part of it")
    })?;
    Ok(vec![T::default(); values])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bomb_is_named_with_its_number_and_the_limit() {
        let path = Path::new("bomb.zip");
        assert!(check_unpacked(path, 1 << 30, 10).is_ok());
        assert!(check_unpacked(path, 90 << 30, 80 << 30).is_ok());
        let error = check_unpacked(path, 100 << 30, 1 << 20).unwrap_err().to_string();
        assert!(
            error.contains("bomb.zip") && error.contains("107374182400") && error.contains("1073741824"),
            "{error}"
        );
        assert!(check_memory(path, MAX_SAMPLES + 1, 1).unwrap_err().to_string().contains("50000001"));
        assert!(check_memory(path, 1, 1 << 40).unwrap_err().to_string().contains("data.resize"));
    }
}
