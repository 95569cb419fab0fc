//! The `[data]` table of an experiment.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::read::{Color, Filter, ReadOptions, Resize};
use crate::{Error, Result};

/// Largest `data.dim`.
const MAX_DIM: usize = 1_000_000;

/// Where real samples come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DataSource {
    /// 1,797 handwritten digits of 8x8 pixels, embedded.
    Digits8,
    /// 70,000 handwritten digits of 28x28 pixels.
    Mnist,
    /// 70,000 articles of clothing of 28x28 pixels.
    FashionMnist,
    /// N(0, I) in R^dim; never runs out.
    Gaussian,
    /// 25 Gaussians on a 5x5 grid in the plane; never runs out.
    Grid25,
    /// The Rosenbrock density in the plane; never runs out.
    Rosenbrock,
    /// A file or folder of one's own.
    Path,
}

impl DataSource {
    /// All sources.
    pub const ALL: [Self; 7] =
        [Self::Digits8, Self::Mnist, Self::FashionMnist, Self::Gaussian, Self::Grid25, Self::Rosenbrock, Self::Path];

    /// Its name in the experiment file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Digits8 => "digits8",
            Self::Mnist => "mnist",
            Self::FashionMnist => "fashion-mnist",
            Self::Gaussian => "gaussian",
            Self::Grid25 => "grid25",
            Self::Rosenbrock => "rosenbrock",
            Self::Path => "path",
        }
    }

    /// The options that it takes.
    pub fn options(self) -> &'static [&'static str] {
        match self {
            Self::Digits8 | Self::Grid25 | Self::Rosenbrock => &[],
            Self::Mnist | Self::FashionMnist => &["resize", "filter", "color"],
            Self::Gaussian => &["dim"],
            Self::Path => {
                &["path", "reference", "n_reference", "resize", "filter", "color", "labels", "skip_unreadable"]
            }
        }
    }
}

/// The `[data]` table: a source and the options that it takes.
///
/// ```toml
/// [data]
/// source = "path"
/// path = "thumbnails128x128.zip"
/// resize = 64
/// color = "grey"
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DataConfig {
    /// Where real samples come from.
    pub source: DataSource,
    /// Dimensions of `gaussian`, 1 to 1,000,000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dim: Option<usize>,
    /// File or folder of source `path`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
    /// File or folder of the reference set of source `path`; without it a part of `path` is held back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<PathBuf>,
    /// Samples of `path` that are held back as the reference; a fifth, at most 10,000, unless given; 0 for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub n_reference: Option<usize>,
    /// Size in pixels to which images are brought: a side, or [height, width]. The proportions are not kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resize: Option<Resize>,
    /// How images are brought to `resize`; lanczos unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<Filter>,
    /// Channels to which images are brought.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub color: Option<Color>,
    /// Whether the class labels of `path` are used; true unless given. Set it to false where subfolders only number the files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<bool>,
    /// Whether files of `path` that are no images, or damaged, are left out; false unless given: they are an error that names and counts
    /// them. What was left out is in the provenance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skip_unreadable: Option<bool>,
}

impl DataConfig {
    /// A source without options.
    pub fn new(source: DataSource) -> Self {
        Self {
            source,
            dim: None,
            path: None,
            reference: None,
            n_reference: None,
            resize: None,
            filter: None,
            color: None,
            labels: None,
            skip_unreadable: None,
        }
    }

    /// Checks the options against the source.
    ///
    /// # Errors
    /// [`Error::Setting`], which names the option, the source and the remedy.
    pub fn check(&self) -> Result<()> {
        let name = self.source.name();
        let taken = self.source.options();
        if let Some(option) = self.given().into_iter().find(|option| !taken.contains(option)) {
            let remedy = match taken {
                [] => "remove it; this source takes no options".to_owned(),
                taken => format!("remove it; this source takes {}", taken.join(", ")),
            };
            return Err(setting(option, format!("does not apply to source {name:?}"), remedy));
        }
        match (self.source, self.dim, &self.path) {
            (DataSource::Gaussian, None, _) => Err(setting(
                "dim",
                "is missing for source \"gaussian\"".to_owned(),
                "set it, such as data.dim = 100".to_owned(),
            )),
            (DataSource::Gaussian, Some(dim), _) if !(1..=MAX_DIM).contains(&dim) => {
                Err(setting("dim", format!("is {dim}"), format!("set it to a number from 1 to {MAX_DIM}")))
            }
            (DataSource::Path, _, None) => {
                let remedy = "set it to a file or a folder".to_owned();
                Err(setting("path", "is missing for source \"path\"".to_owned(), remedy))
            }
            _ if self.reference.is_some() && self.n_reference.is_some() => {
                let why = "is given beside data.reference, which is the whole reference".to_owned();
                Err(setting("n_reference", why, "remove one of them".to_owned()))
            }
            _ if self.resize.is_some_and(|resize| resize.sides().contains(&0)) => {
                Err(setting("resize", "is 0 pixels".to_owned(), "set it to a side of at least one pixel".to_owned()))
            }
            _ if self.filter.is_some() && self.resize.is_none() => {
                let why = "is given without data.resize, so it changes nothing".to_owned();
                Err(setting("filter", why, "set data.resize, or remove it".to_owned()))
            }
            _ => Ok(()),
        }
    }

    /// How the files are read.
    pub fn read_options(&self) -> ReadOptions {
        ReadOptions {
            resize: self.resize,
            filter: self.filter.unwrap_or_default(),
            color: self.color,
            ignore_labels: self.labels == Some(false),
            skip_unreadable: self.skip_unreadable == Some(true),
        }
    }

    fn given(&self) -> Vec<&'static str> {
        [
            ("dim", self.dim.is_some()),
            ("path", self.path.is_some()),
            ("reference", self.reference.is_some()),
            ("n_reference", self.n_reference.is_some()),
            ("resize", self.resize.is_some()),
            ("filter", self.filter.is_some()),
            ("color", self.color.is_some()),
            ("labels", self.labels.is_some()),
            ("skip_unreadable", self.skip_unreadable.is_some()),
        ]
        .into_iter()
        .filter_map(|(name, is_given)| is_given.then_some(name))
        .collect()
    }
}

fn setting(option: &str, why: String, remedy: String) -> Error {
    Error::Setting { key: format!("data.{option}"), why, remedy }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> DataConfig {
        toml::from_str(text).expect("a table")
    }

    #[test]
    fn tables_round_trip() {
        for text in [
            "source = \"digits8\"\n",
            "source = \"gaussian\"\ndim = 100\n",
            "source = \"path\"\npath = \"a.zip\"\nn_reference = 7\nresize = 32\nfilter = \"area\"\ncolor = \"grey\"\n",
            "source = \"path\"\npath = \"a\"\nreference = \"b\"\nresize = [32, 16]\nlabels = false\n",
        ] {
            let config = parse(text);
            assert!(config.check().is_ok(), "{text}");
            assert_eq!(toml::to_string(&config).expect("text"), text);
        }
        assert!(toml::from_str::<DataConfig>("source = \"mnist\"\nsize = 3\n").is_err());
        for source in DataSource::ALL {
            assert_eq!(serde_json::to_value(source).expect("a name"), source.name());
        }
    }

    #[test]
    fn options_that_do_not_apply_are_named_with_the_source() {
        for (text, parts) in [
            ("source = \"mnist\"\ndim = 3", ["data.dim", "\"mnist\"", "resize, filter, color"]),
            ("source = \"grid25\"\npath = \"x\"", ["data.path", "\"grid25\"", "no options"]),
            ("source = \"gaussian\"", ["data.dim", "missing", "data.dim = 100"]),
            ("source = \"gaussian\"\ndim = 0", ["data.dim", "is 0", "1 to 1000000"]),
            ("source = \"path\"", ["data.path", "missing", "folder"]),
            (
                "source = \"path\"\npath = \"x\"\nreference = \"y\"\nn_reference = 3",
                ["data.n_reference", "beside", "one"],
            ),
            ("source = \"mnist\"\nfilter = \"area\"", ["data.filter", "data.resize", "remove it"]),
            ("source = \"mnist\"\nresize = 0", ["data.resize", "0 pixels", "at least"]),
        ] {
            let error = parse(text).check().unwrap_err().to_string();
            assert!(parts.iter().all(|part| error.contains(part)), "{error}");
        }
    }
}
