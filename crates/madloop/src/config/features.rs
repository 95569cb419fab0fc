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
const EFFNET: &str = "effnet-lite0";
const INCEPTION: &str = "inception";
const VGG: &str = "vgg16";
const ONNX: &str = "onnx";

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
    /// EfficientNet-Lite0, trained on ImageNet.
    EffnetLite0,
    /// The Inception network of FID.
    Inception,
    /// VGG-16, trained on ImageNet.
    Vgg16,
    /// A network of one's own.
    Onnx(PathBuf),
}

impl FeatureName {
    /// As written in files and records.
    pub fn name(&self) -> Cow<'static, str> {
        match self {
            Self::None => NONE.into(),
            Self::Pixels => PIXELS.into(),
            Self::Lenet => LENET.into(),
            Self::LenetFile(path) => format!("{LENET}:{}", path.display()).into(),
            Self::EffnetLite0 => EFFNET.into(),
            Self::Inception => INCEPTION.into(),
            Self::Vgg16 => VGG.into(),
            Self::Onnx(path) => format!("{ONNX}:{}", path.display()).into(),
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
            (EFFNET, _) => Ok(Self::EffnetLite0),
            (INCEPTION, _) => Ok(Self::Inception),
            (VGG, _) => Ok(Self::Vgg16),
            (_, Some((ONNX, file))) if !file.is_empty() => Ok(Self::Onnx(file.into())),
            _ => {
                let hint = did_you_mean(name, [NONE, PIXELS, LENET, EFFNET, INCEPTION, VGG]);
                Err(format!(
                    "there is no feature map \"{name}\"{hint}; there are none (vectors as they are), pixels, lenet (for \
                     MNIST), lenet:FILE, effnet-lite0, inception, vgg16 and onnx:FILE"
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

/// How images are brought to a network's size, by the tool that does it so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FeatureResize {
    /// TensorFlow 1's bilinear.
    TorchFidelity,
    /// PyTorch's bilinear without antialiasing.
    PytorchFid,
    /// Pillow's bicubic in floats.
    CleanFid,
}

impl FeatureResize {
    /// The tool's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::TorchFidelity => "torch-fidelity",
            Self::PytorchFid => "pytorch-fid",
            Self::CleanFid => "clean-fid",
        }
    }

    /// The one of this name.
    pub fn find(name: &str) -> Option<Self> {
        [Self::TorchFidelity, Self::PytorchFid, Self::CleanFid].into_iter().find(|how| how.name() == name)
    }
}
