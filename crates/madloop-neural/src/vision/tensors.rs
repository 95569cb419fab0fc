//! Named tensors of a weights file: safetensors, or PyTorch's formats as far as they hold tensors (see [`super::pickle`]).

use std::collections::BTreeMap;

use safetensors::tensor::{Dtype, SafeTensors};
use sha2::{Digest, Sha256};

use super::ExtractorError;
use super::pickle;

/// Named tensors, each taken once, so that none is missing and none is left over.
#[derive(Debug)]
pub(crate) struct Tensors {
    file: String,
    network: &'static str,
    remedy: String,
    sha256: String,
    all: BTreeMap<String, Named>,
}

/// One tensor.
#[derive(Debug)]
pub(crate) struct Named {
    pub(crate) shape: Vec<usize>,
    pub(crate) values: Values,
}

/// Its values in C order.
#[derive(Debug)]
pub(crate) enum Values {
    F32(Vec<f32>),
    /// Of a type that no parameter has, such as a counter.
    Other(&'static str),
}

impl Tensors {
    /// Reads all tensors; `remedy` is what to do about a wrong file.
    pub(crate) fn read(
        file: &str,
        network: &'static str,
        remedy: String,
        bytes: &[u8],
    ) -> Result<Self, ExtractorError> {
        let sha256 = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        let mut new = Self { file: file.to_owned(), network, remedy, sha256, all: BTreeMap::new() };
        let found = if pickle::is_pytorch(bytes) { pickle::read(bytes) } else { safetensors(bytes) };
        new.all = found.map_err(|why| new.bad(why))?;
        Ok(new)
    }

    /// SHA-256 of the file in hexadecimal digits.
    pub(crate) fn sha256(&self) -> &str {
        &self.sha256
    }

    /// The values of a tensor in C order.
    pub(crate) fn take(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>, ExtractorError> {
        let Some(found) = self.all.remove(name) else {
            return Err(self.bad(format!("tensor {name} is missing")));
        };
        if found.shape != shape {
            return Err(self.bad(format!("tensor {name} has shape {:?} instead of {shape:?}", found.shape)));
        }
        let values = match found.values {
            Values::F32(values) => values,
            Values::Other(kind) => return Err(self.bad(format!("tensor {name} holds {kind} instead of F32"))),
        };
        match values.iter().find(|value| !value.is_finite()) {
            Some(value) => Err(self.bad(format!("tensor {name} holds {value}"))),
            None => Ok(values),
        }
    }

    /// Leaves out tensors that evaluation has no use for.
    pub(crate) fn leave_out(&mut self, useless: impl Fn(&str) -> bool) {
        self.all.retain(|name, _| !useless(name));
    }

    /// That every tensor was taken.
    pub(crate) fn finish(&self) -> Result<(), ExtractorError> {
        match self.all.keys().next() {
            None => Ok(()),
            Some(name) => Err(self.bad(format!("tensor {name} is not part of this network"))),
        }
    }

    /// An error about this file.
    pub(crate) fn bad(&self, why: String) -> ExtractorError {
        let Self { file, network, remedy, .. } = self;
        ExtractorError::BadWeights { file: file.clone(), network, why, remedy: remedy.clone() }
    }

    /// Weights `[c_out, c_in, height, width]` of a convolution as `[height, width, c_in, c_out]`, and its bias, with the batch
    /// normalisation that follows folded in: w s and b - m s, where s = gain / (variance + epsilon)^{1/2} in f64.
    pub(crate) fn take_normed(
        &mut self,
        conv: &str,
        norm: &str,
        [out, c_in, height, width]: [usize; 4],
        epsilon: f64,
    ) -> Result<(Vec<f32>, Vec<f32>), ExtractorError> {
        let weights = self.take(&format!("{conv}.weight"), &[out, c_in, height, width])?;
        let mut of = |what: &str| self.take(&format!("{norm}.{what}"), &[out]);
        let (gain, bias, mean, variance) = (of("weight")?, of("bias")?, of("running_mean")?, of("running_var")?);
        if let Some(value) = variance.iter().find(|value| **value < 0.0) {
            return Err(self.bad(format!("tensor {norm}.running_var holds {value}, which is below 0")));
        }
        let scale: Vec<f64> = gain
            .iter()
            .zip(&variance)
            .map(|(&gain, &variance)| f64::from(gain) / (f64::from(variance) + epsilon).sqrt())
            .collect();
        let bias = (0..out).map(|o| (f64::from(bias[o]) - f64::from(mean[o]) * scale[o]) as f32).collect();
        Ok((transposed(&weights, [out, c_in, height, width], |o| scale[o]), bias))
    }
}

/// `[out, c_in, height, width]` as `[height, width, c_in, out]`, each output times its scale.
pub(crate) fn transposed(
    weights: &[f32],
    [out, c_in, height, width]: [usize; 4],
    scale: impl Fn(usize) -> f64,
) -> Vec<f32> {
    let mut to = vec![0.0; weights.len()];
    let taps = height * width;
    for o in 0..out {
        let scale = scale(o);
        for c in 0..c_in {
            for tap in 0..taps {
                to[(tap * c_in + c) * out + o] = (f64::from(weights[(o * c_in + c) * taps + tap]) * scale) as f32;
            }
        }
    }
    to
}

fn safetensors(bytes: &[u8]) -> Result<BTreeMap<String, Named>, String> {
    if bytes.is_empty() {
        return Err("it is empty".into());
    }
    let file = SafeTensors::deserialize(bytes)
        .map_err(|error| format!("it is neither a whole safetensors file nor a PyTorch one ({error})"))?;
    let named = |(name, view): (String, safetensors::tensor::TensorView<'_>)| {
        let values = match view.dtype() {
            Dtype::F32 => Values::F32(view.data().as_chunks().0.iter().map(|c| f32::from_le_bytes(*c)).collect()),
            Dtype::F64 => Values::Other("F64"),
            Dtype::F16 => Values::Other("F16"),
            Dtype::BF16 => Values::Other("BF16"),
            _ => Values::Other("integers"),
        };
        (name, Named { shape: view.shape().to_vec(), values })
    };
    Ok(file.tensors().into_iter().map(named).collect())
}
