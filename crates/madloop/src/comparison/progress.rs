//! Who is told how far a comparison is.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// What is being done, how many are done, of how many.
type Told = dyn Fn(&str, u64, u64) + Send + Sync;

/// Told of images read and of features computed. Silent by default.
#[derive(Clone, Default)]
pub struct Progress(Option<Arc<Told>>);

impl Progress {
    /// Tells `told`, from any thread.
    pub fn new(told: impl Fn(&str, u64, u64) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(told)))
    }

    pub(super) fn tell(&self, what: &str, done: u64, of: u64) {
        if let Some(told) = &self.0 {
            told(what, done, of);
        }
    }

    /// What reading a file is called.
    pub(super) fn reading(path: &Path) -> String {
        format!("reading {}", path.file_name().unwrap_or(path.as_os_str()).to_string_lossy())
    }
}

impl fmt::Debug for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "told" } else { "silent" })
    }
}
