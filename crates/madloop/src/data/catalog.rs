//! The data sets that madloop knows by name, and where their files may lie.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use md5::{Digest, Md5};
use serde::Serialize;

use super::config::DataSource;
use super::idx::open_maybe_gz;
use super::weights::WeightsSet;
use crate::{Error, Result};

/// A file of a downloadable set.
pub(crate) struct RemoteFile {
    /// Its name without `.gz`.
    pub(crate) name: &'static str,
    /// Bytes, unpacked.
    pub(crate) bytes: u64,
    /// MD5 of the unpacked bytes.
    pub(crate) md5: &'static str,
}

/// A downloadable set.
pub(crate) struct RemoteSet {
    /// Its name in the experiment file.
    pub(crate) name: &'static str,
    /// Where `FILE.gz` can be had, each ending in `/`.
    pub(crate) mirrors: &'static [&'static str],
    /// Training images and labels, test images and labels.
    pub(crate) files: [RemoteFile; 4],
    /// Where the system's packages put the files.
    pub(crate) system: &'static [&'static str],
}

const fn file(name: &'static str, bytes: u64, md5: &'static str) -> RemoteFile {
    RemoteFile { name, bytes, md5 }
}

pub(crate) static MNIST: RemoteSet = RemoteSet {
    name: "mnist",
    mirrors: &["https://ossci-datasets.s3.amazonaws.com/mnist/", "https://storage.googleapis.com/cvdf-datasets/mnist/"],
    files: [
        file("train-images-idx3-ubyte", 47_040_016, "6bbc9ace898e44ae57da46a324031adb"),
        file("train-labels-idx1-ubyte", 60_008, "a25bea736e30d166cdddb491f175f624"),
        file("t10k-images-idx3-ubyte", 7_840_016, "2646ac647ad5339dbf082846283269ea"),
        file("t10k-labels-idx1-ubyte", 10_008, "27ae3e4e09519cfbb04c329615203637"),
    ],
    system: &[],
};

pub(crate) static FASHION_MNIST: RemoteSet = RemoteSet {
    name: "fashion-mnist",
    mirrors: &["http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"],
    files: [
        file("train-images-idx3-ubyte", 47_040_016, "f4a8712d7a061bf5bd6d2ca38dc4d50a"),
        file("train-labels-idx1-ubyte", 60_008, "9018921c3c673c538a1fc5bad174d6f9"),
        file("t10k-images-idx3-ubyte", 7_840_016, "8181f5470baa50b63fa0f6fddb340f0a"),
        file("t10k-labels-idx1-ubyte", 10_008, "15d484375f8d13e6eb1aabb0c3f46965"),
    ],
    system: &["/usr/share/datasets/fashion-mnist"],
};

/// Folders in which data sets are looked for, in this order; downloads go into the first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DataDir {
    dirs: Vec<PathBuf>,
}

impl DataDir {
    /// What the command line says, what `MADLOOP_DATA` says, and the user's own folder, as far as they are given.
    pub fn new(explicit: Option<PathBuf>, madloop_data: Option<PathBuf>, user: Option<PathBuf>) -> Self {
        let given = [explicit, madloop_data, user].into_iter().flatten();
        Self { dirs: given.filter(|dir| !dir.as_os_str().is_empty()).collect() }
    }

    /// The same with `MADLOOP_DATA` from the environment, and `$XDG_DATA_HOME/madloop` or else
    /// `$HOME/.local/share/madloop` as the user's folder. The only place in this module that reads the environment.
    pub fn from_env(explicit: Option<PathBuf>) -> Self {
        let var = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| !path.as_os_str().is_empty());
        let home = || var("HOME").or_else(|| var("USERPROFILE")).map(|home| home.join(".local/share"));
        let user = var("XDG_DATA_HOME").filter(|path| path.is_absolute()).or_else(home);
        Self::new(explicit, var("MADLOOP_DATA"), user.map(|dir| dir.join("madloop")))
    }

    /// The folders, first first.
    pub fn dirs(&self) -> &[PathBuf] {
        &self.dirs
    }

    /// Where downloads go: `NAME` in the first folder.
    pub(crate) fn home_of(&self, name: &str) -> Result<PathBuf> {
        let first = self.dirs.first().ok_or_else(|| Error::Setting {
            key: "the data folder".to_owned(),
            why: "is not known".to_owned(),
            remedy: "give --data-dir DIR or set MADLOOP_DATA".to_owned(),
        })?;
        Ok(first.join(name))
    }
}

impl RemoteSet {
    /// Where a file lies: in NAME/ of a data folder or in the folder itself, then where the system has it; gzip or not.
    pub(crate) fn find(&self, file: &RemoteFile, dirs: &DataDir) -> Option<PathBuf> {
        let own = dirs.dirs().iter().flat_map(|dir| [dir.join(self.name), dir.clone()]);
        let all = own.chain(self.system.iter().map(PathBuf::from));
        let dotted = file.name.replace("-idx", ".idx");
        let names = [file.name.to_owned(), format!("{}.gz", file.name), dotted.clone(), format!("{dotted}.gz")];
        all.flat_map(|dir| names.each_ref().map(|name| dir.join(name))).find(|path| path.is_file())
    }

    /// The paths of all four files.
    ///
    /// # Errors
    /// [`Error::Missing`], which says what to put where.
    pub(crate) fn find_all(&self, dirs: &DataDir) -> Result<[PathBuf; 4]> {
        let found = self.files.each_ref().map(|file| self.find(file, dirs));
        match found {
            [Some(a), Some(b), Some(c), Some(d)] => Ok([a, b, c, d]),
            found => {
                let missing = self.files.iter().zip(&found).filter(|(_, path)| path.is_none());
                let missing: Vec<&str> = missing.map(|(file, _)| file.name).collect();
                let looked: Vec<String> = dirs.dirs().iter().map(|dir| dir.display().to_string()).collect();
                let looked = if looked.is_empty() { "no data folder".to_owned() } else { looked.join(", ") };
                let why = format!("looked in {looked} for {}", missing.join(", "));
                let remedy = format!("run `madloop data get {}`, or {}", self.name, self.by_hand(dirs));
                Err(Error::Missing { name: self.name.to_owned(), why, remedy })
            }
        }
    }

    /// What a user without a network can do.
    pub(crate) fn by_hand(&self, dirs: &DataDir) -> String {
        let files: Vec<String> = self.files.iter().map(|file| format!("{}.gz", file.name)).collect();
        let home = dirs.home_of(self.name).unwrap_or_else(|_| Path::new("DIR").join(self.name));
        format!(
            "put {} (or the same unpacked) into {}, or point --data-dir or MADLOOP_DATA at a folder that has them",
            files.join(", "),
            home.display()
        )
    }

    /// The set of that name, if it is one of those to download.
    pub(crate) fn of_name(name: &str) -> Option<&'static Self> {
        [&MNIST, &FASHION_MNIST].into_iter().find(|set| set.name == name)
    }
}

/// The unpacked bytes of a file, if they are the right ones.
pub(crate) fn read_checked(path: &Path, file: &RemoteFile) -> Result<Vec<u8>> {
    let remedy = || "delete the file and download it again";
    let (reader, ..) = open_maybe_gz(path)?;
    let mut bytes = Vec::with_capacity(file.bytes as usize + 1);
    if let Err(error) = reader.take(file.bytes + 1).read_to_end(&mut bytes) {
        return Err(Error::bad_file(path, format!("it cannot be unpacked: {error}"), remedy()));
    }
    if bytes.len() as u64 != file.bytes {
        let more = if bytes.len() as u64 > file.bytes { "more than that" } else { &bytes.len().to_string() };
        let why = format!("{} has {} bytes unpacked, and this file holds {more}", file.name, file.bytes);
        return Err(Error::bad_file(path, why, remedy()));
    }
    let md5 = hex(&Md5::digest(&bytes));
    if md5 != file.md5 {
        let why = format!("the MD5 of its unpacked bytes is {md5}, not {}", file.md5);
        return Err(Error::bad_file(path, why, remedy()));
    }
    Ok(bytes)
}

/// Lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whether a set's data are at hand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "state", content = "path")]
pub enum Presence {
    /// Part of madloop itself.
    BuiltIn,
    /// All files were found; the folder of the first.
    At(PathBuf),
    /// A file is missing; where a download would put it.
    Absent(Option<PathBuf>),
}

/// What is known of a data set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// Name in the experiment file.
    pub name: &'static str,
    /// One line on what it is.
    pub what: &'static str,
    /// Training pool and reference, in words.
    pub split: &'static str,
    /// Samples in all; `None` when they never run out.
    pub samples: Option<u64>,
    /// Bytes of its files, unpacked; 0 for samplers.
    pub bytes: u64,
    /// Licence, and whom to name.
    pub licence: &'static str,
    /// The files it consists of.
    pub files: Vec<&'static str>,
    /// Addresses from which it can be had.
    pub mirrors: Vec<&'static str>,
    /// Whether it is at hand.
    pub presence: Presence,
}

/// All data sets with a name (all sources but `path`) and the weights of feature maps, and where they are.
pub fn list(dirs: &DataDir) -> Vec<Entry> {
    let weights = WeightsSet::all().into_iter().map(|set| set.entry(dirs));
    DataSource::ALL.into_iter().filter_map(|source| entry(source, dirs)).chain(weights).collect()
}

/// One data set by name.
///
/// # Errors
/// [`Error::Setting`] if there is none of that name; it names the nearest.
pub fn info(name: &str, dirs: &DataDir) -> Result<Entry> {
    list(dirs).into_iter().find(|entry| entry.name == name).ok_or_else(|| unknown(name))
}

/// The error of a name that no set has.
pub(crate) fn unknown(name: &str) -> Error {
    let sets = DataSource::ALL.into_iter().map(DataSource::name).filter(|&name| name != "path");
    let names: Vec<&str> = sets.chain(WeightsSet::all().map(|set| set.name)).collect();
    let near = crate::config::nearest(name, names.iter().copied());
    let near = near.map_or(String::new(), |near| format!("did you mean {near:?}? "));
    Error::Setting {
        key: format!("data set {name:?}"),
        why: "is not known".to_owned(),
        remedy: format!("{near}there are {}", names.join(", ")),
    }
}

fn entry(source: DataSource, dirs: &DataDir) -> Option<Entry> {
    let (what, split, samples, licence) = match source {
        DataSource::Digits8 => (
            "handwritten digits, 8x8 grey, 10 classes",
            DIGITS_SPLIT,
            Some(1_797),
            "CC BY 4.0; UCI Optical Recognition of Handwritten Digits, E. Alpaydin and C. Kaynak, as distributed with \
             scikit-learn",
        ),
        DataSource::Mnist => (
            "handwritten digits, 28x28 grey, 10 classes",
            MNIST_SPLIT,
            Some(70_000),
            "CC BY-SA 3.0; MNIST, Y. LeCun, C. Cortes and C. J. C. Burges",
        ),
        DataSource::FashionMnist => (
            "articles of clothing, 28x28 grey, 10 classes",
            MNIST_SPLIT,
            Some(70_000),
            "MIT; Fashion-MNIST, Zalando SE (H. Xiao, K. Rasul and R. Vollgraf)",
        ),
        DataSource::Gaussian => ("N(0, I) in R^dim", SAMPLER_SPLIT, None, SAMPLER_LICENCE),
        DataSource::Grid25 => ("25 Gaussians of sigma 0.1 at {-2, ..., 2}^2", SAMPLER_SPLIT, None, SAMPLER_LICENCE),
        DataSource::Rosenbrock => {
            ("density proportional to exp(-x1^2 / 2 - (x2 - x1^2)^2)", SAMPLER_SPLIT, None, SAMPLER_LICENCE)
        }
        DataSource::Path => return None,
    };
    let name = source.name();
    let remote = RemoteSet::of_name(name);
    let presence = match remote {
        None => Presence::BuiltIn,
        Some(set) => match set.find_all(dirs) {
            Ok([first, ..]) => Presence::At(first.parent().map(Path::to_owned).unwrap_or_default()),
            Err(_) => Presence::Absent(dirs.home_of(name).ok()),
        },
    };
    let bytes = match (remote, source) {
        (Some(set), _) => set.files.iter().map(|file| file.bytes).sum(),
        (None, DataSource::Digits8) => super::digits::FILE.len() as u64,
        (None, _) => 0,
    };
    Some(Entry {
        name,
        what,
        split,
        samples,
        bytes,
        licence,
        files: remote.map_or(Vec::new(), |set| set.files.iter().map(|file| file.name).collect()),
        mirrors: remote.map_or(Vec::new(), |set| set.mirrors.to_vec()),
        presence,
    })
}

const DIGITS_SPLIT: &str = "training pool: 1,297 digits; reference: 500 held back, fixed, in the classes' proportions";
const MNIST_SPLIT: &str = "training pool: the 60,000 training images; reference: the 10,000 test images";
const SAMPLER_SPLIT: &str = "training pool: exact samples that never run out; reference: samples of another stream";
const SAMPLER_LICENCE: &str = "none needed: a formula";

/// Creates a folder and those above it.
pub(crate) fn create_folder(path: &Path) -> Result<()> {
    fs::create_dir_all(path).map_err(Error::io("create", path, CHECK_WRITE))
}

/// Remedy for folders that cannot be written.
pub(crate) const CHECK_WRITE: &str = "check that the folder can be written, or give --data-dir";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_go_by_precedence() {
        let path = |name: &str| Some(PathBuf::from(name));
        let dirs = DataDir::new(path("a"), path("b"), path("c"));
        assert_eq!(dirs.dirs(), [PathBuf::from("a"), "b".into(), "c".into()]);
        assert_eq!(dirs.home_of("mnist").expect("a folder"), Path::new("a/mnist"));
        assert!(DataDir::default().home_of("mnist").unwrap_err().to_string().contains("--data-dir"));
        assert_eq!(DataDir::new(None, path(""), path("c")).dirs(), [PathBuf::from("c")]);
    }

    #[test]
    fn sets_are_listed_with_where_they_are() {
        let folder = tempfile::tempdir().expect("a folder");
        let dirs = DataDir::new(Some(folder.path().to_owned()), None, None);
        let names: Vec<&str> = list(&dirs).iter().map(|entry| entry.name).collect();
        assert_eq!(
            names,
            [
                "digits8",
                "mnist",
                "fashion-mnist",
                "gaussian",
                "grid25",
                "rosenbrock",
                "effnet-lite0",
                "inception",
                "vgg16"
            ]
        );
        assert_eq!(info("digits8", &dirs).expect("known").presence, Presence::BuiltIn);
        let mnist = info("mnist", &dirs).expect("known");
        assert_eq!(mnist.presence, Presence::Absent(Some(folder.path().join("mnist"))));
        assert!(mnist.licence.contains("CC BY-SA 3.0") && mnist.bytes == 54_950_048);
        let error = info("mnits", &dirs).unwrap_err().to_string();
        assert!(error.contains("did you mean \"mnist\""), "{error}");
        fs::create_dir(folder.path().join("mnist")).expect("a folder");
        for file in &MNIST.files[..3] {
            fs::write(folder.path().join("mnist").join(format!("{}.gz", file.name)), "").expect("a file");
        }
        let error = MNIST.find_all(&dirs).unwrap_err().to_string();
        assert!(error.contains("for t10k-labels-idx1-ubyte;") && error.contains("madloop data get mnist"), "{error}");
        assert!(MNIST.files.iter().all(|file| error.contains(file.name)), "{error}");
        // In the folder itself, unpacked, and with the other naming.
        fs::write(folder.path().join("t10k-labels.idx1-ubyte"), "").expect("a file");
        assert!(MNIST.find_all(&dirs).is_ok());
        assert_eq!(info("mnist", &dirs).expect("known").presence, Presence::At(folder.path().join("mnist")));
    }
}
