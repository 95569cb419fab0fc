//! Training of a feature map of one's own: a LeNet on labelled data.

use std::path::{Path, PathBuf};

use madloop_core::{Cancel, Progress, Shape};

use crate::config::did_you_mean;
use crate::data::{Color, DataConfig, DataDir, DataSource, Filter, Resize};
use crate::{Error, Result};

/// What a LeNet is trained on, and how; what is not given is as for the reference network.
#[derive(Debug, Clone, Default)]
pub struct Training {
    /// A labelled data set by name (mnist, fashion-mnist, digits8), or a file or folder with labels.
    pub set: String,
    /// Labelled file or folder that accuracy is measured on; otherwise the data set's test images, or a fifth of a file held back.
    pub test: Option<PathBuf>,
    /// Size to which images are brought.
    pub resize: Option<Resize>,
    /// How images are brought to it.
    pub filter: Option<Filter>,
    /// Channels to which images are brought.
    pub color: Option<Color>,
    /// Passes through the set.
    pub epochs: Option<u64>,
    /// Images a step.
    pub batch: Option<usize>,
    /// Adam's rate at the beginning.
    pub learning_rate: Option<f64>,
    /// Pixels by which images are moved at most.
    pub shift: Option<usize>,
    /// Seed of initial weights, order and shifts.
    pub seed: u64,
}

/// A trained LeNet.
#[derive(Debug, Clone)]
pub struct TrainedMap {
    /// Its weights file, for `--features lenet:FILE`.
    pub bytes: Vec<u8>,
    /// SHA-256 of the file.
    pub sha256: String,
    /// Shape of the samples that it takes.
    pub shape: Shape,
    /// Number of classes.
    pub classes: usize,
    /// Samples that it was trained on.
    pub n_training: usize,
    /// Share of the test samples whose class is found, and their number.
    pub test: Option<(f64, usize)>,
}

impl TrainedMap {
    /// Writes its weights file, replacing what was there.
    pub fn write(&self, to: &Path) -> Result<()> {
        crate::store::write_atomically(to, &self.bytes)
    }
}

impl Training {
    /// The `[data]` table that says the same.
    pub fn data(&self) -> Result<DataConfig> {
        let named = [DataSource::Digits8, DataSource::Mnist, DataSource::FashionMnist];
        let source = named.into_iter().find(|source| source.name() == self.set).unwrap_or(DataSource::Path);
        if source != DataSource::Path && self.test.is_some() {
            let why = format!("{} has test samples of its own; leave --test out", self.set);
            return Err(Error::config("--test", why));
        }
        let is_path = source == DataSource::Path;
        if is_path && !Path::new(&self.set).exists() {
            let hint = did_you_mean(&self.set, named.into_iter().map(DataSource::name));
            let why = format!(
                "there is no file or folder of this name and no labelled data set{hint}; name mnist, fashion-mnist, digits8, or a \
                 labelled file or folder"
            );
            return Err(Error::config(&self.set, why));
        }
        let config = DataConfig {
            path: is_path.then(|| PathBuf::from(&self.set)),
            reference: self.test.clone(),
            resize: self.resize,
            filter: self.filter,
            color: self.color,
            ..DataConfig::new(source)
        };
        config.check()?;
        Ok(config)
    }
}

/// Trains a LeNet; `to` is the file that the caller will write, of which the network remembers the name. `progress` is told of every
/// step.
///
/// # Errors
/// Data that cannot be read or have no labels, settings out of range, a shape for which there is no network, a loss that is not a
/// number, or the request to stop.
#[cfg(feature = "neural")]
pub fn train(
    training: &Training,
    to: &Path,
    dirs: &DataDir,
    cancel: &Cancel,
    progress: &dyn Fn(Progress),
) -> Result<TrainedMap> {
    use madloop_core::{Real, Samples, Seeds};
    use madloop_neural::{LenetConfig, LenetError, train_lenet};

    let data = crate::data::open(&training.data()?, dirs)?;
    let usual = LenetConfig::default();
    let config = LenetConfig {
        epochs: training.epochs.unwrap_or(usual.epochs),
        batch: training.batch.unwrap_or(usual.batch),
        learning_rate: training.learning_rate.unwrap_or(usual.learning_rate),
        shift: training.shift.unwrap_or(usual.shift),
    };
    let Real::Finite(pool) = &data.real else {
        return Err(Error::config(&training.set, "it never runs out and has no labels; name a labelled data set"));
    };
    let wrong = |error: LenetError| match madloop_core::Error::from(error) {
        stop @ madloop_core::Error::Cancelled => stop.into(),
        other => Error::config(&training.set, other.to_string()),
    };
    let lenet = train_lenet(pool, &config, Seeds::new(training.seed), cancel, progress).map_err(wrong)?;
    let lenet = lenet.with_command(&command(training, &config, to)).map_err(wrong)?;
    let test = data.reference.as_ref().filter(|test| !test.is_empty());
    let accuracy = |test: &Samples| lenet.accuracy(test).map(|share| (share, test.len())).map_err(wrong);
    let test = test.map(accuracy).transpose()?;
    Ok(TrainedMap {
        bytes: lenet.save().to_vec(),
        sha256: lenet.sha256().to_owned(),
        shape: lenet.shape(),
        classes: lenet.classes(),
        n_training: pool.len(),
        test,
    })
}

/// As above, in a build without neural families.
///
/// # Errors
/// Always.
#[cfg(not(feature = "neural"))]
pub fn train(_: &Training, _: &Path, _: &DataDir, _: &Cancel, _: &dyn Fn(Progress)) -> Result<TrainedMap> {
    let why = "LeNet needs a build with neural families; this one was made without them";
    Err(Error::config("features train", why))
}

/// A side, or HEIGHTxWIDTH.
#[cfg(feature = "neural")]
fn size([height, width]: [u32; 2]) -> String {
    if height == width { height.to_string() } else { format!("{height}x{width}") }
}

/// A choice's name in an experiment file.
#[cfg(feature = "neural")]
fn word(choice: impl serde::Serialize) -> String {
    serde_json::json!(choice).as_str().unwrap_or_default().to_owned()
}

/// The command that trains the same network again. Where files lie on this machine concerns nobody.
#[cfg(feature = "neural")]
fn command(training: &Training, config: &madloop_neural::LenetConfig, to: &Path) -> String {
    let bare = |path: &Path| path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
    let mut words = vec!["madloop features train".to_owned(), bare(Path::new(&training.set))];
    let mut add = |key: &str, value: Option<String>| words.extend(value.map(|value| format!("--{key} {value}")));
    add("test", training.test.as_deref().map(bare));
    add("resize", training.resize.map(|resize| size(resize.sides())));
    add("filter", training.filter.map(word));
    add("color", training.color.map(word));
    let madloop_neural::LenetConfig { epochs, batch, learning_rate, shift } = config;
    words.push(format!(
        "--epochs {epochs} --batch {batch} --learning-rate {learning_rate} --shift {shift} --seed {} -o {}",
        training.seed,
        bare(to)
    ));
    words.join(" ")
}
