//! From the `[data]` table to a training pool and a reference.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use madloop_core::{Real, Samples, Source};
use sha2::{Digest, Sha256};

use super::cache::{Halves, HoldBack, ImageCache};
use super::catalog::{DataDir, FASHION_MNIST, MNIST, RemoteSet, hex, info, read_checked};
use super::config::{DataConfig, DataSource};
use super::images::{ReadProgress, refit};
use super::read::{Color, Filter};
use super::sources::{Gaussian, Grid25, Rosenbrock};
use super::{digits, idx};
use crate::{Error, Result};

/// A distribution known in closed form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    /// N(0, I) in R^dim.
    StandardGaussian {
        /// Number of dimensions.
        dim: usize,
    },
    /// [`Grid25`].
    Grid25,
    /// [`Rosenbrock`].
    Rosenbrock,
}

impl Known {
    /// Its exact sampler.
    pub fn source(self) -> Arc<dyn Source> {
        match self {
            Self::StandardGaussian { dim } => Arc::new(Gaussian::new(dim)),
            Self::Grid25 => Arc::new(Grid25),
            Self::Rosenbrock => Arc::new(Rosenbrock),
        }
    }
}

/// Real data, ready for a loop.
#[derive(Clone)]
pub struct DataSet {
    /// The source's name, with what tells it from others of that name (`gaussian-100`, a file's name).
    pub name: String,
    /// The training pool.
    pub real: Real,
    /// Real samples that never train: MNIST's test set, 500 of the digits, the part held back of a path. `None` for samplers,
    /// whose reference is another stream, and for a path with `n_reference = 0`.
    pub reference: Option<Samples>,
    /// The distribution, where it is known in closed form.
    pub distribution: Option<Known>,
    /// A sentence that states the split.
    pub split: String,
    /// Licence, and whom to name.
    pub licence: String,
    /// SHA-256 in hexadecimal of what was used: of each file's unpacked bytes for the known sets, of the values (u8, or f32
    /// little-endian; rows in order) and then the labels (u32 little-endian) of `pool` and `reference` for a path.
    pub checksums: BTreeMap<String, String>,
    /// How images were brought to their size and colour; `None` where they are as they came.
    pub preprocessing: Option<String>,
    /// Files that were left out because they cannot be read.
    pub left_out: Vec<String>,
}

/// How a set is opened.
#[derive(Clone, Copy)]
pub struct Opening<'a> {
    /// Where files of known sets are looked for.
    pub dirs: &'a DataDir,
    /// Where decoded images are kept.
    pub cache: Option<&'a ImageCache>,
    /// Who is told how many images are read.
    pub progress: ReadProgress<'a>,
}

/// Opens the data that `config` asks for.
///
/// # Errors
/// [`Error::Setting`] if an option does not suit the source; [`Error::Missing`] if a set's files are in none of `dirs` (it says
/// what to put where); [`Error::BadFile`] if a checksum is not the known one, and as [`super::read_samples`].
pub fn open(config: &DataConfig, dirs: &DataDir) -> Result<DataSet> {
    open_with(config, Opening { dirs, cache: None, progress: &|_, _| {} })
}

/// The same with a cache of decoded images, telling how far it is.
///
/// # Errors
/// Those of [`open`].
pub fn open_with(config: &DataConfig, opening: Opening<'_>) -> Result<DataSet> {
    let dirs = opening.dirs;
    config.check()?;
    let known = |known: Known| {
        let mut name = config.source.name().to_owned();
        if let Known::StandardGaussian { dim } = known {
            name = format!("{name}-{dim}");
        }
        named(
            config,
            dirs,
            DataSet {
                name,
                real: Real::Infinite(known.source()),
                reference: None,
                distribution: Some(known),
                split: String::new(),
                licence: String::new(),
                checksums: BTreeMap::new(),
                preprocessing: None,
                left_out: Vec::new(),
            },
        )
    };
    match config.source {
        DataSource::Gaussian => known(Known::StandardGaussian { dim: config.dim.unwrap_or(1) }),
        DataSource::Grid25 => known(Known::Grid25),
        DataSource::Rosenbrock => known(Known::Rosenbrock),
        DataSource::Digits8 => {
            let (pool, reference) = digits::digits8()?;
            let checksums = [("digits.csv.gz".to_owned(), hex(&Sha256::digest(digits::FILE)))].into();
            named(config, dirs, finite(config.source.name(), pool, Some(reference), checksums))
        }
        DataSource::Mnist => open_idx(&MNIST, config, dirs),
        DataSource::FashionMnist => open_idx(&FASHION_MNIST, config, dirs),
        DataSource::Path => open_path(config, opening),
    }
}

fn finite(name: &str, pool: Samples, reference: Option<Samples>, checksums: BTreeMap<String, String>) -> DataSet {
    DataSet {
        name: name.to_owned(),
        real: Real::Finite(pool),
        reference,
        distribution: None,
        split: String::new(),
        licence: String::new(),
        checksums,
        preprocessing: None,
        left_out: Vec::new(),
    }
}

/// Adds what the catalogue knows.
fn named(config: &DataConfig, dirs: &DataDir, set: DataSet) -> Result<DataSet> {
    let entry = info(config.source.name(), dirs)?;
    Ok(DataSet { split: entry.split.to_owned(), licence: entry.licence.to_owned(), ..set })
}

fn open_idx(set: &RemoteSet, config: &DataConfig, dirs: &DataDir) -> Result<DataSet> {
    let paths = set.find_all(dirs)?;
    let mut checksums = BTreeMap::new();
    let mut half = |first: usize| {
        let mut bytes = |index: usize| {
            let (path, file) = (&paths[index], &set.files[index]);
            let bytes = read_checked(path, file)?;
            checksums.insert(file.name.to_owned(), hex(&Sha256::digest(&bytes)));
            Ok::<_, Error>((path, bytes))
        };
        let (path, images) = bytes(first)?;
        let images = idx::parse_images(path, &images)?;
        let (labels_path, labels) = bytes(first + 1)?;
        let images = images.with_labels(labels_path, idx::parse_labels(labels_path, &labels)?)?;
        refit(path, images, &config.read_options())?.into_samples()
    };
    let (pool, reference) = (half(0)?, half(2)?);
    let set = finite(set.name, pool, Some(reference), checksums);
    named(config, dirs, DataSet { preprocessing: preprocessing(config), ..set })
}

/// How images are brought to their size and colour, in words.
fn preprocessing(config: &DataConfig) -> Option<String> {
    let options = config.read_options();
    let resized = options.resize.map(|resize| {
        let [height, width] = resize.sides();
        let by = match options.filter {
            Filter::Area => "area means",
            Filter::Lanczos => "Lanczos, window 3, widened as images shrink",
        };
        format!("resized to {height}x{width} by {by}")
    });
    let coloured = options.color.map(|color| match color {
        Color::Grey => "grey by the luma of BT.601".to_owned(),
        Color::Rgb => "RGB".to_owned(),
    });
    let all: Vec<String> = resized.into_iter().chain(coloured).collect();
    (!all.is_empty()).then(|| all.join(", "))
}

fn open_path(config: &DataConfig, opening: Opening<'_>) -> Result<DataSet> {
    let path = config.path.as_deref().unwrap_or(Path::new(""));
    let options = config.read_options();
    let read = |path: &Path, hold_back| Halves::read(&locate(path, opening.dirs)?, &options, hold_back, opening);
    let (pool, reference, split, mut left_out) = match &config.reference {
        Some(other) => {
            let (pool, reference) = (read(path, HoldBack::Nothing)?, read(other, HoldBack::Nothing)?);
            let (a, b) = (&pool.pool, &reference.pool);
            if a.shape() != b.shape() {
                let why = format!("its samples are {}, those of {} are {}", b.shape(), path.display(), a.shape());
                let remedy = "give sets of one shape, or set data.resize and data.color";
                return Err(Error::bad_file(other, why, remedy));
            }
            let split = format!(
                "training pool: the {} samples of {}; reference: the {} of {}",
                a.len(),
                path.display(),
                b.len(),
                other.display()
            );
            let left_out = [pool.left_out, reference.left_out].concat();
            (
                (pool.pool, pool.checksums[0].clone()),
                Some((reference.pool, reference.checksums[0].clone())),
                split,
                left_out,
            )
        }
        None => {
            let halves = read(path, config.n_reference.map_or(HoldBack::Fifth, HoldBack::Rows))?;
            let Halves { pool, reference, checksums, left_out } = halves;
            let held_back = reference.as_ref().map_or(0, Samples::len);
            let n = pool.len() + held_back;
            let by = if pool.labels().is_some() { "fixed, in the classes' proportions" } else { "fixed" };
            let split = match held_back {
                0 => format!("training pool: all {n} samples; reference: none"),
                _ => format!("training pool: {} of {n} samples; reference: the other {held_back}, {by}", pool.len()),
            };
            ((pool, checksums[0].clone()), reference.zip(checksums.get(1).cloned()), split, left_out)
        }
    };
    left_out.sort();
    let mut checksums: BTreeMap<String, String> = [("pool".to_owned(), pool.1)].into();
    checksums.extend(reference.as_ref().map(|(_, sum)| ("reference".to_owned(), sum.clone())));
    let name = path.file_name().map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into_owned());
    let set = finite(&name, pool.0, reference.map(|(set, _)| set), checksums);
    let preprocessing = preprocessing(config).filter(|_| set.real.shape().is_image());
    Ok(DataSet { split, licence: "the user's own".to_owned(), preprocessing, left_out, ..set })
}

/// Where a path is: where it says, or, as a plain name, in a data folder.
fn locate(path: &Path, dirs: &DataDir) -> Result<PathBuf> {
    if path.exists() || path.components().count() != 1 {
        return Ok(path.to_owned());
    }
    let found = dirs.dirs().iter().map(|dir| dir.join(path)).find(|path| path.exists());
    found.ok_or_else(|| {
        let folders: Vec<String> = dirs.dirs().iter().map(|dir| dir.display().to_string()).collect();
        let why = format!("it is neither in the working folder nor in the data folders ({})", folders.join(", "));
        let remedy = "put it there, or name a file or folder of your own with --set data.path=PATH";
        Error::bad_file(path, why, remedy)
    })
}

/// SHA-256 of the values and the labels.
pub(super) fn checksum(set: &Samples) -> String {
    let mut hash = Sha256::new();
    if let Some(pixels) = set.as_u8() {
        hash.update(pixels);
    }
    for values in set.as_f32().unwrap_or_default().chunks(1 << 14) {
        hash.update(values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>());
    }
    for labels in set.labels().unwrap_or_default().chunks(1 << 14) {
        hash.update(labels.iter().flat_map(|label| label.to_le_bytes()).collect::<Vec<u8>>());
    }
    hex(&hash.finalize())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use madloop_core::Shape;

    use super::*;
    use crate::data::{Filter, Resize};

    fn pool(set: &DataSet) -> &Samples {
        match &set.real {
            Real::Finite(pool) => pool,
            Real::Infinite(_) => panic!("a finite set"),
        }
    }

    fn shared(name: &str) -> Option<DataDir> {
        let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
        if data.join(name).is_dir() {
            return Some(DataDir::new(Some(data), None, None));
        }
        println!("skipped: {} is not here", data.join(name).display());
        None
    }

    #[test]
    fn samplers_and_digits_are_always_there() {
        let dirs = DataDir::default();
        let gaussian = DataConfig { dim: Some(7), ..DataConfig::new(DataSource::Gaussian) };
        let set = open(&gaussian, &dirs).expect("a sampler");
        assert_eq!(set.distribution, Some(Known::StandardGaussian { dim: 7 }));
        assert_eq!((set.name.as_str(), set.real.shape(), set.real.available()), ("gaussian-7", Shape::vector(7), None));
        for (source, known) in [(DataSource::Grid25, Known::Grid25), (DataSource::Rosenbrock, Known::Rosenbrock)] {
            assert_eq!(open(&DataConfig::new(source), &dirs).expect("a sampler").distribution, Some(known));
        }
        let set = open(&DataConfig::new(DataSource::Digits8), &dirs).expect("embedded");
        assert_eq!((pool(&set).len(), set.reference.as_ref().map(Samples::len)), (1297, Some(500)));
        assert!(set.licence.contains("CC BY 4.0") && set.licence.contains("Alpaydin") && set.split.contains("500"));
        assert_eq!(set.checksums["digits.csv.gz"].len(), 64);
    }

    #[test]
    fn a_path_is_split_or_has_its_own_reference() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("x.csv");
        let text: String = (0..50).map(|row| format!("{row},1\n")).collect();
        fs::write(&path, text).expect("a file");
        let config = DataConfig { path: Some(path), ..DataConfig::new(DataSource::Path) };
        let dirs = DataDir::default();
        let set = open(&config, &dirs).expect("a table");
        assert_eq!((pool(&set).len(), set.reference.as_ref().map(Samples::len)), (40, Some(10)));
        assert!(set.split.contains("40 of 50") && set.name == "x.csv", "{}", set.split);
        let again = open(&config, &dirs).expect("a table");
        assert_eq!(again.checksums, set.checksums);
        assert_eq!(set.checksums.len(), 2);
        let none = open(&DataConfig { n_reference: Some(0), ..config.clone() }, &dirs).expect("a table");
        assert!(none.reference.is_none() && pool(&none).len() == 50);
        let error = open(&DataConfig { n_reference: Some(50), ..config.clone() }, &dirs).err().expect("too many");
        assert!(error.to_string().contains("at most 49"), "{error}");
        let other = folder.path().join("y.csv");
        fs::write(&other, "1,2,3\n").expect("a file");
        let config = DataConfig { reference: Some(other.clone()), ..config };
        let error = open(&config, &dirs).err().expect("another shape").to_string();
        assert!(error.contains("vector of 3") && error.contains("vector of 2"), "{error}");
        fs::write(&other, "1,2\n").expect("a file");
        let set = open(&config, &dirs).expect("two tables");
        assert_eq!((pool(&set).len(), set.reference.map(|set| set.len())), (50, Some(1)));
    }

    #[test]
    fn mnist_is_checked_and_split() {
        let Some(dirs) = shared("mnist") else { return };
        let set = open(&DataConfig::new(DataSource::Mnist), &dirs).expect("mnist");
        let reference = set.reference.as_ref().expect("the test set");
        assert_eq!((pool(&set).len(), reference.len(), set.checksums.len()), (60_000, 10_000, 4));
        assert_eq!(pool(&set).labels().map(|labels| labels[..5].to_vec()), Some(vec![5, 0, 4, 1, 9]));
        assert_eq!(set.real.shape(), Shape::Image { channels: 1, height: 28, width: 28 });
        let small = DataConfig {
            resize: Some(Resize::Side(14)),
            filter: Some(Filter::Area),
            ..DataConfig::new(DataSource::Mnist)
        };
        let small = open(&small, &dirs).expect("mnist");
        let (whole, small) = (pool(&set), pool(&small));
        assert_eq!(small.shape(), Shape::Image { channels: 1, height: 14, width: 14 });
        let (big, small) = (whole.as_u8().expect("pixels"), small.as_u8().expect("pixels"));
        let mean = |row: usize, column: usize| {
            let at = |dy: usize, dx: usize| u32::from(big[(2 * row + dy) * 28 + 2 * column + dx]);
            f64::from(at(0, 0) + at(0, 1) + at(1, 0) + at(1, 1)) / 4.0
        };
        for (place, &pixel) in small.iter().enumerate().take(14 * 14) {
            assert!((f64::from(pixel) - mean(place / 14, place % 14)).abs() <= 0.5);
        }
    }

    #[test]
    fn fashion_mnist_is_found_where_the_system_has_it() {
        if !Path::new(FASHION_MNIST.system[0]).is_dir() {
            println!("skipped: {} is not here", FASHION_MNIST.system[0]);
            return;
        }
        let set = open(&DataConfig::new(DataSource::FashionMnist), &DataDir::default()).expect("fashion-mnist");
        assert_eq!((pool(&set).len(), set.reference.map(|set| set.len())), (60_000, Some(10_000)));
    }

    #[test]
    fn missing_and_wrong_files_are_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let dirs = DataDir::new(Some(PathBuf::from(folder.path())), None, None);
        let message = || open(&DataConfig::new(DataSource::Mnist), &dirs).err().expect("no mnist").to_string();
        assert!(MNIST.files.iter().all(|file| message().contains(file.name)) && message().contains("data get mnist"));
        for file in &MNIST.files {
            fs::write(folder.path().join(file.name), vec![0; file.bytes as usize]).expect("a file");
        }
        let error = message();
        assert!(error.contains("6bbc9ace898e44ae57da46a324031adb") && error.contains("MD5"), "{error}");
        fs::write(folder.path().join(MNIST.files[0].name), [0; 9]).expect("a file");
        assert!(message().contains("47040016") && message().contains("holds 9"), "{}", message());
    }
}
