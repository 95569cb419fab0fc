//! From the name of a feature map to the map.

use madloop_core::{FeatureMap, Features, Samples, Shape};

use crate::config::FeatureName;
use crate::{Error, Result};

/// A feature map, and what tells its weights from others of its name.
pub(crate) struct Mapping {
    map: Box<dyn FeatureMap>,
    /// SHA-256 of its weights, where it has any.
    pub(crate) sha256: Option<String>,
}

impl FeatureMap for Mapping {
    fn name(&self) -> &str {
        self.map.name()
    }

    fn dim(&self, shape: Shape) -> usize {
        self.map.dim(shape)
    }

    fn features(&self, samples: &Samples) -> madloop_core::Result<Features> {
        self.map.features(samples)
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
/// A map that does not suit the samples; weights that cannot be read.
pub(crate) fn feature_map(name: &FeatureName, shape: Shape, place: &str) -> Result<Mapping> {
    let values = |name| Ok(Mapping { map: Box::new(Values(name)), sha256: None });
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
    }
}

#[cfg(feature = "neural")]
fn lenet(name: &FeatureName, shape: Shape, place: &str) -> Result<Mapping> {
    use madloop_neural::Lenet;
    let net = match name {
        FeatureName::LenetFile(path) => {
            let remedy = "give a file that `madloop features train` wrote";
            let bytes = read_weights(path, remedy)?;
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
    Ok(Mapping { map: Box::new(net), sha256 })
}

/// The bytes of a weights file, of which no more are taken than one may have.
#[cfg(feature = "neural")]
#[expect(clippy::disallowed_methods, reason = "the one place that reads a feature map's weights")]
fn read_weights(path: &std::path::Path, remedy: &'static str) -> Result<Vec<u8>> {
    use std::io::Read;
    const MOST: u64 = 256 << 20;
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(Error::io("open", path, remedy))?;
    file.take(MOST + 1).read_to_end(&mut bytes).map_err(Error::io("read", path, remedy))?;
    match bytes.len() as u64 > MOST {
        true => Err(Error::bad_file(path, format!("it is larger than {MOST} bytes, and no LeNet is"), remedy)),
        false => Ok(bytes),
    }
}

#[cfg(not(feature = "neural"))]
fn lenet(name: &FeatureName, _: Shape, place: &str) -> Result<Mapping> {
    Err(Error::config(place, format!("{name} needs a build with neural families; this one was made without them")))
}
