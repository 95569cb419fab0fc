//! VGG-16 (K. Simonyan and A. Zisserman, arXiv:1409.1556) up to its second dense layer.

use super::ExtractorError;
use super::tensors::{Tensors, transposed};
use crate::kernels::Level;
use crate::kernels::infer::{Conv, Plane, Pool, Rectifier, Window, pool};

/// Values of an image's features.
pub(super) const DIM: usize = 4096;
/// The place of each convolution in torchvision's sequence, and its outputs; 0 is a pooling.
const LAYERS: [(usize, usize); 18] = [
    (0, 64),
    (2, 64),
    (4, 0),
    (5, 128),
    (7, 128),
    (9, 0),
    (10, 256),
    (12, 256),
    (14, 256),
    (16, 0),
    (17, 512),
    (19, 512),
    (21, 512),
    (23, 0),
    (24, 512),
    (26, 512),
    (28, 512),
    (30, 0),
];
/// What the last pooling leaves.
const LEFT: [usize; 3] = [7, 7, 512];

/// The network.
pub(super) struct Vgg {
    level: Level,
    /// `None` is a pooling.
    layers: Vec<Option<Conv>>,
    dense: [Conv; 2],
}

impl Vgg {
    pub(super) fn load(tensors: &mut Tensors, level: Level) -> Result<Self, ExtractorError> {
        let (mut layers, mut c_in) = (Vec::new(), 3);
        for (place, c_out) in LAYERS {
            if c_out == 0 {
                layers.push(None);
                continue;
            }
            let shape = [c_out, c_in, 3, 3];
            let weights = tensors.take(&format!("features.{place}.weight"), &shape)?;
            let bias = tensors.take(&format!("features.{place}.bias"), &[c_out])?;
            let weights = transposed(&weights, shape, |_| 1.0);
            let window = Window::new([3, 3], 1, [1; 2]);
            layers.push(Some(Conv::new(level, window, [c_in, c_out], &weights, bias, Rectifier::Relu)));
            c_in = c_out;
        }
        let mut dense = |place: usize, inputs: [usize; 3]| -> Result<Conv, ExtractorError> {
            let all: usize = inputs.iter().product();
            let weights = tensors.take(&format!("classifier.{place}.weight"), &[DIM, all])?;
            let bias = tensors.take(&format!("classifier.{place}.bias"), &[DIM])?;
            // The file numbers its inputs channel, row, column; here they lie row, column, channel.
            let weights = transposed(&weights, [DIM, inputs[2], inputs[0], inputs[1]], |_| 1.0);
            Ok(Conv::new(level, Window::new([1, 1], 1, [0; 2]), [all, DIM], &weights, bias, Rectifier::Relu))
        };
        let dense = [dense(0, LEFT)?, dense(3, [1, 1, DIM])?];
        // The classifier is not used; a file without it is not this network's all the same.
        tensors.take("classifier.6.weight", &[1000, DIM])?;
        tensors.take("classifier.6.bias", &[1000])?;
        Ok(Self { level, layers, dense })
    }

    /// What the convolutions leave of one image of 224 x 224 pixels, within a border of one.
    pub(super) fn convolved(&self, input: Plane) -> Vec<f32> {
        let window = Window::new([2, 2], 2, [0; 2]);
        let mut x = input;
        for layer in &self.layers {
            x = match layer {
                Some(conv) => conv.apply(&x, 1),
                None => {
                    let mut y = Plane::new(window.out_size(x.size()), x.channels(), 1);
                    pool(self.level, Pool::Max, &window, &x, &mut y, 0);
                    y
                }
            };
        }
        (0..x.size()[0]).flat_map(|row| x.row(row)).copied().collect()
    }

    /// The dense layers of any number of images.
    pub(super) fn dense(&self, seen: &[f32]) -> Vec<f32> {
        self.dense[1].dense(&self.dense[0].dense(seen))
    }
}
