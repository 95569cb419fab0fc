//! Feature maps by name.

use std::borrow::Cow;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::names::did_you_mean;

const NONE: &str = "none";
const PIXELS: &str = "pixels";
const LENET: &str = "lenet";

/// A feature map by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FeatureName {
    /// The values themselves, of vectors.
    None,
    /// The pixels themselves, in \[0, 1\].
    Pixels,
    /// The penultimate layer of the LeNet for MNIST that madloop carries.
    Lenet,
    /// That of a LeNet of one's own.
    LenetFile(PathBuf),
}

impl FeatureName {
    /// As written in files and records.
    pub fn name(&self) -> Cow<'static, str> {
        match self {
            Self::None => NONE.into(),
            Self::Pixels => PIXELS.into(),
            Self::Lenet => LENET.into(),
            Self::LenetFile(path) => format!("{LENET}:{}", path.display()).into(),
        }
    }
}

impl fmt::Display for FeatureName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}

impl FromStr for FeatureName {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match (name, name.split_once(':')) {
            (NONE, _) => Ok(Self::None),
            (PIXELS, _) => Ok(Self::Pixels),
            (LENET, _) => Ok(Self::Lenet),
            (_, Some((LENET, file))) if !file.is_empty() => Ok(Self::LenetFile(file.into())),
            _ => {
                let hint = did_you_mean(name, [NONE, PIXELS, LENET]);
                Err(format!(
                    "there is no feature map \"{name}\"{hint}; there are none (vectors as they are), pixels, lenet (for \
                     MNIST) and lenet:FILE"
                ))
            }
        }
    }
}

impl Serialize for FeatureName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.name())
    }
}

impl<'de> Deserialize<'de> for FeatureName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for FeatureName {
    fn schema_name() -> Cow<'static, str> {
        "FeatureName".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string" })
    }
}
