//! One advisory lock a cell: a second worker waits for the first, or takes over from one that died.

use std::fs::{File, TryLockError};
use std::path::Path;
use std::time::Duration;

use madloop_core::{Cancel, Observer};

use super::files::CHECK_OUTPUT;
use crate::{Error, Result};

/// Holds a cell's lock until it is dropped; `None` inside where the file system knows no locks.
pub(crate) struct Lock(Option<File>);

impl Lock {
    /// Waits for the lock of the cell in `folder`. Where the file system has no locks it goes on without: a generation's folder
    /// appears by a rename that replaces nothing, so two workers lose time, never data.
    pub(crate) fn wait(folder: &Path, cancel: &Cancel, observer: &dyn Observer) -> Result<Self> {
        let path = folder.join("lock");
        let file = File::create(&path).map_err(Error::io("create", &path, CHECK_OUTPUT))?;
        let mut told = false;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Self(Some(file))),
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) => {
                    observer.warn(&format!(
                        "{} cannot be locked ({error}); two runs at once would repeat work",
                        path.display()
                    ));
                    return Ok(Self(None));
                }
            }
            if !told {
                observer.warn(&format!("{} is being run by another process; waiting for it", folder.display()));
                told = true;
            }
            cancel.check()?;
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// As on a file system that knows no locks.
    #[cfg(test)]
    pub(super) fn none() -> Self {
        Self(None)
    }

    /// Whether no other worker can be in the cell.
    pub(crate) fn is_exclusive(&self) -> bool {
        self.0.is_some()
    }
}
