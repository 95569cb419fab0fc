//! Files seen as bytes: mapped into memory, or read at positions by many threads.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use crate::{Error, Result};

/// Remedy for files that cannot be opened.
pub(crate) const CHECK_PATH: &str = "check that it exists and can be read";

/// A stretch of a read-only mapped file.
#[derive(Clone)]
pub(crate) struct Mapped {
    map: Arc<memmap2::Mmap>,
    file: Arc<File>,
    span: Range<usize>,
}

impl Mapped {
    /// Maps a whole file.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(Error::io("open", path, CHECK_PATH))?;
        // SAFETY: the map is read-only and private to this process. Data files are not expected to shrink while they
        // are in use; one that does ends the process with SIGBUS, and no memory of ours is exposed.
        #[allow(unsafe_code)]
        let map = unsafe { memmap2::Mmap::map(&file) }.map_err(Error::io("map", path, CHECK_PATH))?;
        Ok(Self { span: 0..map.len(), map: Arc::new(map), file: Arc::new(file) })
    }

    /// Bytes `range` of this stretch (which must lie within it).
    pub(crate) fn slice(&self, range: Range<usize>) -> Self {
        let span = self.span.start + range.start..self.span.start + range.end;
        assert!(span.end <= self.span.end, "bytes {range:?} of {}", self.span.len());
        Self { map: self.map.clone(), file: self.file.clone(), span }
    }

    /// A copy of the bytes, read from the file: pages of the map that are touched count as memory, those of a read do not.
    pub(crate) fn to_vec(&self) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; self.span.len()];
        let (position, len) = (self.span.start as u64, self.map.len() as u64);
        FileView { file: self.file.clone(), position, len }.read_exact(&mut bytes)?;
        Ok(bytes)
    }
}

impl AsRef<[u8]> for Mapped {
    fn as_ref(&self) -> &[u8] {
        &self.map[self.span.clone()]
    }
}

/// A file with a position of its own: clones share the file and nothing else.
#[derive(Clone)]
pub(crate) struct FileView {
    file: Arc<File>,
    position: u64,
    len: u64,
}

impl FileView {
    /// Opens a file.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(Error::io("open", path, CHECK_PATH))?;
        let len = file.metadata().map_err(Error::io("read the size of", path, CHECK_PATH))?.len();
        Ok(Self { file: Arc::new(file), position: 0, len })
    }

    /// Bytes in the file.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }
}

impl Read for FileView {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        #[cfg(unix)]
        let read = std::os::unix::fs::FileExt::read_at(&*self.file, out, self.position)?;
        #[cfg(windows)]
        let read = std::os::windows::fs::FileExt::seek_read(&*self.file, out, self.position)?;
        self.position += read as u64;
        Ok(read)
    }
}

impl Seek for FileView {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::End(offset) => self.len.checked_add_signed(offset),
            SeekFrom::Current(offset) => self.position.checked_add_signed(offset),
        };
        self.position = position.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        Ok(self.position)
    }
}
