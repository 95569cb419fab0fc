//! What can go wrong around a loop: files, data, configuration. Each variant names the value, the place and the remedy.

use std::io;
use std::path::PathBuf;

/// The result of this crate's fallible functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operating system refused something.
    #[error("cannot {action} {}: {source}; {remedy}", path.display())]
    Io {
        /// What was tried, such as `read`.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
        /// What to do about it.
        remedy: &'static str,
    },
    /// A file that is not what it should be.
    #[error("{}: {why}; {remedy}", path.display())]
    BadFile {
        /// The file (an archive's member is written archive/member).
        path: PathBuf,
        /// What is wrong, with the values.
        why: String,
        /// What to do about it.
        remedy: String,
    },
    /// A data set or weights file that is not on this machine.
    #[error("{name} is not on this machine: {why}; {remedy}")]
    Missing {
        /// What is missing.
        name: String,
        /// Where it was looked for.
        why: String,
        /// What to put where.
        remedy: String,
    },
    /// A setting that cannot be used.
    #[error("{key} {why}; {remedy}")]
    Setting {
        /// The setting, such as `data.dim`.
        key: String,
        /// What is wrong with it, with its value.
        why: String,
        /// What to do about it.
        remedy: String,
    },
    /// A download that did not succeed from any mirror.
    #[error("cannot download {file}: {why}; {remedy}")]
    Download {
        /// The file.
        file: String,
        /// What each mirror answered.
        why: String,
        /// What to put where instead.
        remedy: String,
    },
    /// An error of the loop.
    #[error(transparent)]
    Core(#[from] madloop_core::Error),
}

impl Error {
    /// For `map_err` on I/O results.
    pub(crate) fn io(
        action: &'static str,
        path: impl Into<PathBuf>,
        remedy: &'static str,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { action, path, source, remedy }
    }

    /// A file that is not what it should be.
    pub(crate) fn bad_file(path: impl Into<PathBuf>, why: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::BadFile { path: path.into(), why: why.into(), remedy: remedy.into() }
    }
}
