//! Folders of files that only save time: where they are, and how they are kept small.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// `$MADLOOP_CACHE`, else `madloop` in `$XDG_CACHE_HOME` or `$HOME/.cache` with `name` in it; `None` where none is known or
/// `MADLOOP_CACHE` is empty.
pub(crate) fn cache_folder(name: &str) -> Option<PathBuf> {
    let var = |name| std::env::var_os(name).map(PathBuf::from);
    let user = || {
        let home = || var("HOME").or_else(|| var("USERPROFILE")).map(|home| home.join(".cache"));
        var("XDG_CACHE_HOME").filter(|path| path.is_absolute()).or_else(home).map(|dir| dir.join("madloop").join(name))
    };
    var("MADLOOP_CACHE").or_else(user).filter(|folder| !folder.as_os_str().is_empty())
}

/// Deletes the least recently used files of `folder` with `extension` until all together are within the limit; `newest` stays.
pub(crate) fn shrink(folder: &Path, extension: &str, limit: u64, newest: &Path) {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut files: Vec<(SystemTime, u64, PathBuf)> = entries
        // Whatever else lies in the folder is somebody's.
        .filter(|entry| is_own(&entry.path(), extension))
        .filter_map(|entry| {
            let metadata = entry.metadata().ok()?;
            Some((metadata.modified().ok()?, metadata.len(), entry.path()))
        })
        .collect();
    files.sort();
    let mut total: u64 = files.iter().map(|(_, length, _)| length).sum();
    for (_, length, path) in files {
        if total <= limit {
            break;
        }
        if path != newest && fs::remove_file(&path).is_ok() {
            total -= length;
        }
    }
}

/// Whether a path has the name of a kept file: 64 hexadecimal digits and its extension.
fn is_own(path: &Path, extension: &str) -> bool {
    let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    let hexadecimal = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    path.extension().is_some_and(|own| own == extension) && stem.len() == 64 && stem.bytes().all(hexadecimal)
}

/// Marks a file as used now.
pub(crate) fn touch(path: &Path) {
    if let Ok(file) = fs::File::options().append(true).open(path) {
        // Only the order of deletion depends on it.
        let _ = file.set_modified(SystemTime::now());
    }
}
