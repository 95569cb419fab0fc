//! From the name of a feature map to the map.

use std::path::PathBuf;

use madloop_core::{FeatureMap, Features, Samples, Shape};
use serde_json::Value;

use crate::config::{FeatureName, FeatureResize};
use crate::data::DataDir;
use crate::{Error, Result};

/// What a feature map is given beside its name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FeatureOptions {
    /// Its weights file; otherwise the published one is looked for.
    pub weights: Option<PathBuf>,
    /// The side to which it brings images, where it takes several.
    pub size: Option<u32>,
    /// How it brings them to it.
    pub resize: Option<FeatureResize>,
    /// Where weights are looked for.
    pub dirs: DataDir,
}

/// A feature map, and what tells its weights from others of its name.
pub(crate) struct Mapping {
    map: Map,
    /// SHA-256 of its weights, where it has any.
    pub(crate) sha256: Option<String>,
    /// What it does to images before anything else, where it does something.
    pub(crate) input: Option<Value>,
    /// What to know of its weights.
    pub(crate) note: Option<String>,
}

enum Map {
    Plain(Box<dyn FeatureMap>),
    #[cfg(feature = "neural")]
    Extractor(Box<madloop_neural::Extractor>),
}

/// Outputs of a network beside its features.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Want {
    /// Inception's spatial features.
    pub(crate) spatial: bool,
    /// Inception's outputs without their bias.
    pub(crate) logits: bool,
}

/// What a map says of samples; an output that it does not have is `None`.
pub(crate) struct Outputs {
    pub(crate) features: Features,
    pub(crate) spatial: Option<Features>,
    pub(crate) logits: Option<Features>,
}

impl Outputs {
    /// Adds the rows of `more`, of the same map.
    pub(crate) fn append(&mut self, more: Self) {
        fn join(all: &mut Features, more: Features) {
            all.rows += more.rows;
            all.values.extend(more.values);
        }
        join(&mut self.features, more.features);
        for (all, more) in [(&mut self.spatial, more.spatial), (&mut self.logits, more.logits)] {
            if let (Some(all), Some(more)) = (all.as_mut(), more) {
                join(all, more);
            }
        }
    }
}

impl Mapping {
    /// Whether it takes so long that people want to know how far it is.
    pub(crate) fn is_slow(&self) -> bool {
        self.input.is_some()
    }

    fn plain(map: impl FeatureMap + 'static, sha256: Option<String>) -> Self {
        Self { map: Map::Plain(Box::new(map)), sha256, input: None, note: None }
    }

    fn map(&self) -> &dyn FeatureMap {
        match &self.map {
            Map::Plain(map) => map.as_ref(),
            #[cfg(feature = "neural")]
            Map::Extractor(map) => map.as_ref(),
        }
    }

    /// Features, and what else is wanted.
    pub(crate) fn outputs(&self, samples: &Samples, want: Want) -> madloop_core::Result<Outputs> {
        #[cfg(feature = "neural")]
        if let Map::Extractor(map) = &self.map {
            let want = madloop_neural::Want { spatial: want.spatial, logits: want.logits };
            let madloop_neural::Extracted { features, spatial, logits } = map.extract(samples, want)?;
            return Ok(Outputs { features, spatial, logits });
        }
        let _ = want;
        Ok(Outputs { features: self.map().features(samples)?, spatial: None, logits: None })
    }
}

impl FeatureMap for Mapping {
    fn name(&self) -> &str {
        self.map().name()
    }

    fn dim(&self, shape: Shape) -> usize {
        self.map().dim(shape)
    }

    fn features(&self, samples: &Samples) -> madloop_core::Result<Features> {
        self.map().features(samples)
    }
}

/// The values of a sample as its features: pixels in \[0, 1\], or a vector as it is.
struct Values(&'static str);

impl FeatureMap for Values {
    fn name(&self) -> &str {
        self.0
    }

    fn dim(&self, shape: Shape) -> usize {
        shape.len()
    }

    fn features(&self, samples: &Samples) -> madloop_core::Result<Features> {
        Ok(Features { rows: samples.len(), dim: samples.dim(), values: samples.to_f32() })
    }
}

/// The map that takes values as they are.
pub(crate) fn fitting(shape: Shape) -> FeatureName {
    if shape.is_image() { FeatureName::Pixels } else { FeatureName::None }
}

/// The map of this name for samples of `shape`; `place` is where it was asked for.
///
/// # Errors
/// A map that does not suit the samples; weights that are missing or cannot be read; options that the map does not have.
pub(crate) fn feature_map(name: &FeatureName, shape: Shape, place: &str, options: &FeatureOptions) -> Result<Mapping> {
    check_options(name, place, options)?;
    let values = |name| Ok(Mapping::plain(Values(name), None));
    match (name, shape.is_image()) {
        (FeatureName::Pixels, true) => values("pixels"),
        (FeatureName::None, false) => values("none"),
        (FeatureName::Pixels, false) => {
            let why = format!("pixels does not suit samples of {shape}, which are vectors; use none");
            Err(Error::config(place, why))
        }
        (FeatureName::None, true) => {
            let why = format!("none stands for vectors as they are, and samples of {shape} are images; use pixels");
            Err(Error::config(place, why))
        }
        (FeatureName::Lenet | FeatureName::LenetFile(_), _) => lenet(name, shape, place),
        (_, false) => {
            let why = format!("{name} takes images, and samples of {shape} are vectors; use none");
            Err(Error::config(place, why))
        }
        (FeatureName::Onnx(path), true) => onnx(path, place, options),
        (FeatureName::EffnetLite0 | FeatureName::Inception | FeatureName::Vgg16, true) => {
            extractor(name, place, options)
        }
    }
}

/// Refuses options that would be left out in silence.
fn check_options(name: &FeatureName, place: &str, options: &FeatureOptions) -> Result<()> {
    use FeatureName::{EffnetLite0, Inception, Vgg16};
    let is_network = matches!(name, EffnetLite0 | Inception | Vgg16);
    let is_own = matches!(name, FeatureName::Onnx(_));
    let given = [
        (options.weights.is_some() && is_own, "a weights file beside its own", "leave --weights (score.weights) out"),
        (options.weights.is_some() && !is_network, "a weights file", "leave --weights (score.weights) out"),
        (options.size.is_some() && !is_network && !is_own, "a size", "leave --feature-size (score.feature_size) out"),
        (
            options.resize.is_some() && !is_network && !is_own,
            "a way to resize",
            "leave --feature-resize (score.feature_resize) out",
        ),
    ];
    match given.into_iter().find(|(given, ..)| *given) {
        Some((_, what, remedy)) => Err(Error::config(place, format!("{name} takes no {}; {remedy}", &what[2..]))),
        None => Ok(()),
    }
}

#[cfg(feature = "neural")]
fn extractor(name: &FeatureName, place: &str, options: &FeatureOptions) -> Result<Mapping> {
    use crate::data::weights::{WeightsSet, read_weights};
    use madloop_neural::{Architecture, Extractor, Resizing};
    let architecture = match name {
        FeatureName::Inception => Architecture::Inception,
        FeatureName::Vgg16 => Architecture::Vgg16,
        _ => Architecture::EffnetLite0,
    };
    let Some(set) = WeightsSet::of_name(architecture.name()) else {
        return Err(Error::config(place, format!("nothing is known of the weights of {name}")));
    };
    let (path, bytes) = match &options.weights {
        Some(path) => (path.clone(), read_weights(path, "give the weights file of this network with --weights")?),
        None => {
            let path = set.find(&options.dirs).ok_or_else(|| set.missing(&options.dirs))?;
            let bytes = set.read_checked(&path)?;
            (path, bytes)
        }
    };
    let resize = options.resize.and_then(|how| Resizing::find(how.name()));
    let side = options.size.map(|side| side as usize);
    let (file, remedy) = (path.display().to_string(), set.by_hand(&options.dirs));
    let map = Extractor::load(architecture, &file, remedy, &bytes, side, resize);
    let map = map.map_err(|error| Error::config(place, error.to_string()))?;
    let sha256 = map.sha256().to_owned();
    let note = (!set.is_published(&sha256)).then(|| {
        let not = if architecture == Architecture::Inception { ": what they give is no FID" } else { "" };
        format!("{file} (SHA-256 {sha256}) is not the published file of {name}'s weights{not}")
    });
    let input = serde_json::json!({
        "network": architecture.title(),
        "size": [map.side(), map.side()],
        "resize": map.resizing().name(),
        "scaling": map.scaling(),
        "weights": if note.is_some() { "own" } else { "published" },
    });
    Ok(Mapping { sha256: Some(sha256), input: Some(input), note, map: Map::Extractor(Box::new(map)) })
}

#[cfg(feature = "onnx")]
fn onnx(path: &std::path::Path, place: &str, options: &FeatureOptions) -> Result<Mapping> {
    use madloop_neural::{Onnx, Resizing};
    let bytes = crate::data::weights::read_weights(path, "give an ONNX network: onnx:FILE")?;
    let resize = options.resize.and_then(|how| Resizing::find(how.name()));
    let map = Onnx::load(&path.display().to_string(), bytes, options.size.map(|side| side as usize), resize);
    let map = map.map_err(|error| Error::config(place, error.to_string()))?;
    let input = serde_json::json!({
        "network": "ONNX",
        "size": map.sides(),
        "resize": map.resizing().name(),
        "scaling": "(v / 255 - mean) / deviation of ImageNet",
    });
    let sha256 = map.sha256().to_owned();
    Ok(Mapping { input: Some(input), ..Mapping::plain(map, Some(sha256)) })
}

#[cfg(not(feature = "onnx"))]
fn onnx(path: &std::path::Path, place: &str, _: &FeatureOptions) -> Result<Mapping> {
    let why = format!(
        "onnx:{} cannot be run: this program was built without the feature onnx; build it with --features onnx",
        path.display()
    );
    Err(Error::config(place, why))
}

#[cfg(not(feature = "neural"))]
fn extractor(name: &FeatureName, place: &str, _: &FeatureOptions) -> Result<Mapping> {
    Err(Error::config(place, format!("{name} needs a build with neural families; this one was made without them")))
}

#[cfg(feature = "neural")]
fn lenet(name: &FeatureName, shape: Shape, place: &str) -> Result<Mapping> {
    use madloop_neural::Lenet;
    let net = match name {
        FeatureName::LenetFile(path) => {
            let remedy = "give a file that `madloop features train` wrote";
            let bytes = crate::data::weights::read_weights(path, remedy)?;
            Lenet::load(&path.display().to_string(), bytes).map_err(|error| Error::config(place, error.to_string()))?
        }
        _ => Lenet::mnist().map_err(|error| Error::config(place, error.to_string()))?,
    };
    if net.shape() != shape {
        let why = format!(
            "{name} takes samples of {} and these are {shape}; bring them to that shape (resize and color do), or use {}",
            net.shape(),
            fitting(shape)
        );
        return Err(Error::config(place, why));
    }
    let sha256 = Some(net.sha256().to_owned());
    Ok(Mapping::plain(net, sha256))
}

#[cfg(not(feature = "neural"))]
fn lenet(name: &FeatureName, _: Shape, place: &str) -> Result<Mapping> {
    Err(Error::config(place, format!("{name} needs a build with neural families; this one was made without them")))
}
