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
    /// A configuration that cannot be run.
    #[error("{place}: {why}")]
    Config {
        /// The file, preset or option, and the key.
        place: String,
        /// What is wrong, with the value, and what to do.
        why: String,
    },
    /// A run that is there already and is another experiment.
    #[error(
        "{} holds another experiment:\n{difference}\ngive a new folder with --out, or delete that run", path.display()
    )]
    OtherRun {
        /// The run's folder.
        path: PathBuf,
        /// The keys that differ, a line each.
        difference: String,
    },
    /// Not enough room for the run.
    #[error(
        "{} has {available} free and the run needs about {needed}; free some space, choose another folder with --out, \
         or keep less (store.keep = \"last\")", path.display()
    )]
    NoSpace {
        /// Where the run would go.
        path: PathBuf,
        /// What is free, in words.
        available: String,
        /// What is needed, in words.
        needed: String,
    },
    /// An error of the loop.
    #[error(transparent)]
    Core(#[from] madloop_core::Error),
}

impl Error {
    /// A configuration that cannot be run.
    pub(crate) fn config(place: impl Into<String>, why: impl Into<String>) -> Self {
        Self::Config { place: place.into(), why: why.into() }
    }

    /// Whether this is a failure of madloop's own rather than of its input or surroundings.
    pub fn is_internal(&self) -> bool {
        match self {
            Self::Core(madloop_core::Error::Other(source) | madloop_core::Error::Stage { source, .. }) => {
                source.downcast_ref::<Self>().is_none_or(Self::is_internal)
            }
            _ => false,
        }
    }

    /// Whether the run was stopped on request.
    pub fn is_cancelled(&self) -> bool {
        matches!(self, Self::Core(madloop_core::Error::Cancelled))
    }

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

impl From<Error> for madloop_core::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Core(error) => error,
            error => Self::other(error),
        }
    }
}
