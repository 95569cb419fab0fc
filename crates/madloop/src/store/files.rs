//! Files written whole or not at all.

use std::fs::{self, File};
use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use madloop_core::Blobs;

use crate::{Error, Result};

/// Remedy for output that cannot be written.
pub(crate) const CHECK_OUTPUT: &str = "check the folder's permissions and free space, or choose another";

/// Replaces a file in one step: written beside, made durable, renamed.
pub(crate) fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    write_atomically_with(path, |file| file.write_all(bytes))
}

/// The same for content that never lies in memory whole.
pub(crate) fn write_atomically_with(path: &Path, write: impl Fn(&mut File) -> io::Result<()>) -> Result<()> {
    if path.is_dir() {
        return Err(Error::bad_file(path, "it is a folder", "give the name of a file"));
    }
    loop {
        let (beside, mut file) = unused_beside(path, |beside| File::create_new(beside))?;
        let written = write(&mut file).and_then(|()| file.sync_all());
        let renamed =
            written.map_err(Error::io("write", path, CHECK_OUTPUT)).and_then(|()| match fs::rename(&beside, path) {
                // A run that began took the file for a leftover; it does so once.
                Err(error) if error.kind() == ErrorKind::NotFound && !beside.exists() => Ok(false),
                renamed => renamed.map(|()| true).map_err(Error::io("replace", path, CHECK_OUTPUT)),
            });
        match renamed {
            Ok(false) => {}
            // Nothing half-written stays, such as on a full disk.
            renamed => return renamed.map(|_| ()).inspect_err(|_| drop(fs::remove_file(&beside))),
        }
    }
}

/// Makes a folder beside `path` that is nobody else's.
pub(crate) fn make_beside(path: &Path) -> Result<PathBuf> {
    Ok(unused_beside(path, |beside| fs::create_dir(beside))?.0)
}

/// Makes a file or folder beside `path` under a name that no other process or thread uses. Process numbers repeat on other
/// machines and in containers, so `make` must fail on a name that is taken.
fn unused_beside<T>(path: &Path, make: impl Fn(&Path) -> io::Result<T>) -> Result<(PathBuf, T)> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    loop {
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let beside = path.with_file_name(format!(".{name}.{}.{count}.tmp", std::process::id()));
        match make(&beside) {
            Ok(made) => return Ok((beside, made)),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            // The error names what it is to become.
            Err(error) => return Err(Error::io("create", path, CHECK_OUTPUT)(error)),
        }
    }
}

/// Whether a name is one that [`write_atomically`] or [`make_beside`] gives.
pub(crate) fn is_leftover(name: &std::ffi::OsStr) -> bool {
    name.to_str().is_some_and(|name| name.starts_with('.') && name.ends_with(".tmp"))
}

/// Removes what interrupted workers left half-written in a folder.
pub(crate) fn remove_leftovers(folder: &Path) -> Result<()> {
    remove_if(folder, is_leftover)
}

/// Removes what is in a folder (if there is one), but for one name.
pub(crate) fn remove_all_but(folder: &Path, name: &str) -> Result<()> {
    remove_if(folder, |other| other != name)
}

fn remove_if(folder: &Path, which: impl Fn(&std::ffi::OsStr) -> bool) -> Result<()> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(Error::io("read", folder, CHECK_OUTPUT))?,
    };
    for entry in entries {
        let entry = entry.map_err(Error::io("read", folder, CHECK_OUTPUT))?;
        if which(&entry.file_name()) {
            remove(&entry.path())?;
        }
    }
    Ok(())
}

/// Removes a folder, if it is there, so that it is never seen in part: it is renamed into `parent` first.
pub(crate) fn remove_at_once(path: &Path, parent: &Path) -> Result<()> {
    if !path.exists() {
        return Ok(());
    }
    let name = path.file_name().unwrap_or_default();
    let beside = make_beside(&parent.join(name))?;
    // A folder may replace an empty one.
    match fs::rename(path, &beside) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(Error::io("remove", path, CHECK_OUTPUT)(error)),
        _ => remove(&beside),
    }
}

/// Writes a new file; it is made durable with its folder.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    fs::write(path, bytes).map_err(Error::io("write", path, CHECK_OUTPUT))
}

/// The same for content that never lies in memory whole.
pub(crate) fn write_with(path: &Path, write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>) -> Result<()> {
    let all = || {
        let mut file = BufWriter::new(File::create(path)?);
        write(&mut file)?;
        file.flush()
    };
    all().map_err(Error::io("write", path, CHECK_OUTPUT))
}

/// Makes the files below the folders durable: one by one, or the whole file system at once when they are many.
pub(crate) fn sync(folders: &[PathBuf], parent: &Path) -> Result<()> {
    const MANY: usize = 8;
    let open = |path: &Path| File::open(path).map_err(Error::io("open", path, CHECK_OUTPUT));
    #[cfg(target_os = "linux")]
    if folders.len() > MANY {
        let folder = open(parent)?;
        return rustix::fs::syncfs(&folder).map_err(|error| Error::io("sync", parent, CHECK_OUTPUT)(error.into()));
    }
    for folder in folders {
        for entry in fs::read_dir(folder).map_err(Error::io("read", folder, CHECK_OUTPUT))? {
            let path = entry.map_err(Error::io("read", folder, CHECK_OUTPUT))?.path();
            if path.is_dir() {
                sync(std::slice::from_ref(&path), folder)?;
            } else {
                open(&path)?.sync_all().map_err(Error::io("sync", &path, CHECK_OUTPUT))?;
            }
        }
        sync_folder(folder)?;
    }
    Ok(())
}

/// Makes the names in a folder durable.
pub(crate) fn sync_folder(folder: &Path) -> Result<()> {
    let file = File::open(folder).map_err(Error::io("open", folder, CHECK_OUTPUT))?;
    file.sync_all().map_err(Error::io("sync", folder, CHECK_OUTPUT))
}

/// Makes a folder and those above it.
pub(crate) fn make_folder(path: &Path) -> Result<()> {
    fs::create_dir_all(path).map_err(Error::io("create", path, CHECK_OUTPUT))
}

/// Removes a folder or file, if it is there.
pub(crate) fn remove(path: &Path) -> Result<()> {
    let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match removed {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(Error::io("remove", path, CHECK_OUTPUT)(error)),
        _ => Ok(()),
    }
}

/// The files of a folder as blobs, such as a model's.
pub(crate) struct FolderBlobs {
    folder: PathBuf,
    /// Whether each write must be durable at once, as a checkpoint's.
    durable: bool,
}

impl FolderBlobs {
    /// Blobs that become durable with their generation.
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self { folder, durable: false }
    }

    /// Blobs each of which is replaced in one durable step.
    pub(crate) fn durable(folder: PathBuf) -> Self {
        Self { folder, durable: true }
    }

    /// Blob names are plain file names.
    fn path(&self, name: &str) -> madloop_core::Result<PathBuf> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if name.is_empty() || name.starts_with('.') || !name.chars().all(plain) {
            let why = "a blob's name holds letters, digits, - and _ only";
            return Err(Error::bad_file(self.folder.join(name), why, "choose another name in the model family").into());
        }
        Ok(self.folder.join(name))
    }
}

impl Blobs for FolderBlobs {
    fn put(&mut self, name: &str, bytes: &[u8]) -> madloop_core::Result<()> {
        let path = self.path(name)?;
        make_folder(&self.folder)?;
        let written = if self.durable { write_atomically(&path, bytes) } else { write(&path, bytes) };
        Ok(written?)
    }

    fn get(&self, name: &str) -> madloop_core::Result<Option<Vec<u8>>> {
        let path = self.path(name)?;
        match fs::read(&path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::io("read", path, "check its permissions")(error).into()),
        }
    }
}
