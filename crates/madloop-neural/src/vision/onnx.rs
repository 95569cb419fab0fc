//! A network of one's own, in the exchange format ONNX, run by the crate rten.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use madloop_core::{FeatureMap, Features, Samples, Shape};
use rayon::prelude::*;
use rten::{DataType, Dimension, Model, RunOptions, ThreadPool, Value, ValueType};
use rten_tensor::Layout;
use sha2::{Digest, Sha256};

use super::{ExtractorError, IMAGENET, Resizing, Source};

/// Images that one thread takes after each other.
const BLOCK: usize = 8;
/// Pixels along a side.
const LARGEST: usize = 2048;

/// An ONNX network as a feature map.
///
/// It has one input `[1 or any, 3, height, width]` of f32, to which images go in the network's size as (v / 255 - mean) / deviation with ImageNet's mean
/// (0.485, 0.456, 0.406) and deviation (0.229, 0.224, 0.225), and its first output is `[1, d]`. Each image is calculated by itself, by one thread.
pub struct Onnx {
    name: String,
    model: Model,
    sides: [usize; 2],
    resizing: Resizing,
    dim: usize,
    sha256: String,
}

impl Onnx {
    /// Reads the bytes of `file`. `side` is for networks that take any size; images are resized as clean-fid unless it is chosen.
    ///
    /// # Errors
    /// [`ExtractorError::BadNetwork`]: bytes that are no ONNX network or one that rten cannot run, another input or output.
    pub fn load(
        file: &str,
        bytes: Vec<u8>,
        side: Option<usize>,
        resizing: Option<Resizing>,
    ) -> Result<Self, ExtractorError> {
        let bad = |why: String| ExtractorError::BadNetwork { file: file.to_owned(), why };
        let sha256 = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        let model = guarded(|| Model::load(bytes).map_err(|error| error.to_string()));
        let model = model.map_err(|why| bad(format!("it is no ONNX network that can be run ({why})")))?;
        let sides = sides(&model, side).map_err(bad)?;
        let resizing = resizing.unwrap_or(Resizing::CleanFid);
        let mut new = Self { name: format!("onnx:{file}"), model, sides, resizing, dim: 0, sha256 };
        let pool = Arc::new(ThreadPool::with_num_threads(1));
        new.dim = new.run(vec![0.0; 3 * sides[0] * sides[1]], &pool).map_err(bad)?.len();
        Ok(new)
    }

    /// SHA-256 of its file in hexadecimal digits.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// Height and width to which images are brought.
    pub fn sides(&self) -> [usize; 2] {
        self.sides
    }

    /// How they are brought to it.
    pub fn resizing(&self) -> Resizing {
        self.resizing
    }

    /// The output for one image `[3, height, width]`.
    fn run(&self, input: Vec<f32>, pool: &Arc<ThreadPool>) -> Result<Vec<f32>, String> {
        let [height, width] = self.sides;
        let input = Value::from_shape(&[1, 3, height, width], input).map_err(|error| error.to_string())?;
        let options = RunOptions::default().with_thread_pool(Some(pool.clone()));
        let output = guarded(|| self.model.run_one(input.into(), Some(options)).map_err(|error| error.to_string()));
        let output = output.map_err(|why| format!("it does not run on an image of {height}x{width} ({why})"))?;
        let shape = output.as_view().shape().to_vec();
        match (output.dtype(), &shape[..]) {
            (ValueType::Tensor(DataType::Float), &[1, dim]) if dim > 0 => {
                let (_, values) = output.into_shape_vec::<f32, 2>().map_err(|error| error.to_string())?;
                debug_assert_eq!(values.len(), dim);
                Ok(values)
            }
            (ValueType::Tensor(DataType::Float), _) => Err(format!(
                "its first output has shape {shape:?} for one image, and features are [1, d]: pool it over its pixels when it is exported"
            )),
            (other, _) => {
                Err(format!("its first output is {other:?} of shape {shape:?}, and features are [1, d] of f32"))
            }
        }
    }
}

/// The result, or the words of a panic: networks are files, and a file must not end the program.
fn guarded<T>(work: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| Err("its reader gave up on it".into()))
}

/// Height and width of the input.
fn sides(model: &Model, side: Option<usize>) -> Result<[usize; 2], String> {
    let [_] = model.input_ids() else {
        return Err(format!("it has {} inputs, and a feature map has one", model.input_ids().len()));
    };
    let shape = model.input_shape(0).ok_or("its input has no shape; export it with one, [1, 3, height, width]")?;
    let shown: Vec<String> = shape
        .iter()
        .map(|dimension| match dimension {
            Dimension::Fixed(size) => size.to_string(),
            Dimension::Symbolic(name) => name.clone(),
        })
        .collect();
    let shown = shown.join(", ");
    let [batch, Dimension::Fixed(3), height, width] = &shape[..] else {
        return Err(format!("its input has shape [{shown}], and images are [1 or any, 3, height, width]"));
    };
    if !matches!(batch, Dimension::Fixed(1) | Dimension::Symbolic(_)) {
        return Err(format!(
            "its input has shape [{shown}], and images are given one by one: export it with a batch of 1 or any"
        ));
    }
    let of = |dimension: &Dimension| match (dimension, side) {
        (Dimension::Fixed(size), Some(side)) if *size != side => {
            Err(format!("its input has shape [{shown}], and the size asked for is {side}; leave the size out"))
        }
        (Dimension::Fixed(size), _) => Ok(*size),
        (Dimension::Symbolic(_), Some(side)) => Ok(side),
        (Dimension::Symbolic(_), None) => {
            Err(format!("its input has shape [{shown}]: say which size with --feature-size"))
        }
    };
    let sides = [of(height)?, of(width)?];
    match sides.iter().find(|side| !(1..=LARGEST).contains(*side)) {
        Some(side) => Err(format!("its input has sides of {side} pixels, and they may be from 1 to {LARGEST}")),
        None => Ok(sides),
    }
}

impl FeatureMap for Onnx {
    /// `onnx:FILE`
    fn name(&self) -> &str {
        &self.name
    }

    /// The width of the network's output, whatever the shape.
    fn dim(&self, _shape: Shape) -> usize {
        self.dim
    }

    fn features(&self, samples: &Samples) -> madloop_core::Result<Features> {
        let source = Source::new(samples, &self.name, self.resizing, self.sides)?;
        let (mean, deviation) = IMAGENET;
        let mut values = vec![0.0_f32; samples.len() * self.dim];
        values.par_chunks_mut(BLOCK * self.dim).enumerate().try_for_each_init(
            || Arc::new(ThreadPool::with_num_threads(1)),
            |pool, (block, values)| {
                for (row, values) in values.chunks_exact_mut(self.dim).enumerate() {
                    let row = block * BLOCK + row;
                    let [height, width] = self.sides;
                    let mut input = vec![0.0; 3 * height * width];
                    source.resizer.run(&source.values(row), |y, line| {
                        for (x, pixel) in line.as_chunks::<3>().0.iter().enumerate() {
                            for c in 0..3 {
                                input[(c * height + y) * width + x] = (pixel[c] - mean[c]) / deviation[c];
                            }
                        }
                    });
                    let bad = |why| ExtractorError::BadNetwork { file: self.name.clone(), why };
                    let found = self.run(input, pool).map_err(bad)?;
                    if found.len() != self.dim {
                        return Err(bad(format!("it gave {} features and then {}", self.dim, found.len())));
                    }
                    if found.iter().any(|value| !value.is_finite()) {
                        return Err(source.not_finite(&self.name, row));
                    }
                    values.copy_from_slice(&found);
                }
                Ok(())
            },
        )?;
        Ok(Features { rows: samples.len(), dim: self.dim, values })
    }
}
