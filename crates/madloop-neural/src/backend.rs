//! Devices: the only file that names them.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::str::FromStr;

use burn::tensor::{Device as Inner, Tensor, TensorData};

use crate::{Error, Result};

/// Where tensors live: `cpu` (the default), `vulkan[:I]`, `cuda[:I]`, `rocm[:I]` or `metal`, I counting the
/// GPUs of the machine from 0. Each GPU needs the cargo feature of its name.
#[derive(Clone)]
pub struct Device {
    name: String,
    inner: Inner,
}

impl Device {
    /// The CPU.
    pub fn cpu() -> Self {
        Self { name: "cpu".into(), inner: Inner::flex() }
    }

    /// Its name, as it is parsed.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether this is the CPU, whose tensors lie in host memory.
    pub fn is_cpu(&self) -> bool {
        self.name == "cpu"
    }

    pub(crate) fn inner(&self) -> &Inner {
        &self.inner
    }

    /// Runs a small sum on the device.
    ///
    /// # Errors
    /// [`Error::DeviceUnusable`] with the driver's words when the device is not there.
    pub fn probe(&self) -> Result<()> {
        let sum = || {
            let ones = Tensor::<1>::from_data(TensorData::new(vec![1.0_f32; 4], [4]), &self.inner);
            ones.sum().try_into_scalar::<f32>().map_err(|error| error.to_string())
        };
        let why = match caught(sum) {
            Ok(Ok(4.0)) => return Ok(()),
            Ok(Ok(other)) => format!("1 + 1 + 1 + 1 came out as {other}"),
            Ok(Err(why)) | Err(why) => why,
        };
        Err(Error::DeviceUnusable { device: self.name.clone(), why })
    }
}

impl Device {
    /// Does `work`, and makes an error of a panic of a GPU's runtime, such as that its memory is full. On the CPU a panic is a
    /// fault of ours and stays one.
    pub(crate) fn guard<T>(&self, what: &'static str, work: impl FnOnce() -> Result<T>) -> Result<T> {
        if self.is_cpu() {
            return work();
        }
        caught(work).unwrap_or_else(|why| Err(Error::Device { what, why }))
    }
}

/// The result of `work`, or the words of its panic.
fn caught<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| match panic.downcast::<String>() {
        Ok(why) => *why,
        Err(panic) => panic.downcast_ref::<&str>().map_or("no reason given".into(), |why| (*why).to_owned()),
    })
}

impl Default for Device {
    fn default() -> Self {
        Self::cpu()
    }
}

impl fmt::Debug for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Device({})", self.name)
    }
}

impl PartialEq for Device {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Device {}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl FromStr for Device {
    type Err = Error;

    /// Parses a name; the device itself is first touched by [`Device::probe`] or training.
    fn from_str(name: &str) -> Result<Self> {
        let unknown = || Error::UnknownDevice(name.to_owned());
        let (kind, index) = match name.split_once(':') {
            None => (name, None),
            Some((kind, index)) => (kind, Some(index.parse::<usize>().map_err(|_| unknown())?)),
        };
        let inner = match (kind, index) {
            ("cpu", None) => Some(Inner::flex()),
            ("vulkan", index) => vulkan(index),
            ("cuda", index) => cuda(index),
            ("rocm", index) => rocm(index),
            ("metal", None) => metal(),
            _ => return Err(unknown()),
        };
        let feature = match kind {
            "vulkan" => "vulkan",
            "cuda" => "cuda",
            "rocm" => "rocm",
            _ => "metal",
        };
        let inner = inner.ok_or_else(|| Error::DeviceNotBuilt { device: name.to_owned(), feature })?;
        Ok(Self { name: name.to_owned(), inner })
    }
}

#[cfg(feature = "vulkan")]
fn vulkan(index: Option<usize>) -> Option<Inner> {
    use burn::tensor::DeviceKind;
    Some(Inner::vulkan(index.map_or(DeviceKind::DefaultDevice, DeviceKind::DiscreteGpu)))
}

#[cfg(not(feature = "vulkan"))]
fn vulkan(_index: Option<usize>) -> Option<Inner> {
    None
}

#[cfg(feature = "cuda")]
fn cuda(index: Option<usize>) -> Option<Inner> {
    Some(Inner::cuda(index.unwrap_or(0)))
}

#[cfg(not(feature = "cuda"))]
fn cuda(_index: Option<usize>) -> Option<Inner> {
    None
}

#[cfg(feature = "rocm")]
fn rocm(index: Option<usize>) -> Option<Inner> {
    Some(Inner::rocm(index.unwrap_or(0)))
}

#[cfg(not(feature = "rocm"))]
fn rocm(_index: Option<usize>) -> Option<Inner> {
    None
}

#[cfg(feature = "metal")]
fn metal() -> Option<Inner> {
    Some(Inner::metal(burn::tensor::DeviceKind::DefaultDevice))
}

#[cfg(not(feature = "metal"))]
fn metal() -> Option<Inner> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_parsed_or_explained() {
        let cpu: Device = "cpu".parse().expect("always there");
        assert_eq!((cpu.name(), cpu.is_cpu()), ("cpu", true));
        cpu.probe().expect("the CPU adds");
        for unknown in ["", "gpu", "cpu:0", "vulkan:", "vulkan:x", "cuda:-1", "metal:1", "CPU"] {
            let error = unknown.parse::<Device>().expect_err(unknown).to_string();
            assert!(error.contains(&format!("{unknown:?}")) && error.contains("vulkan[:I]"), "{error}");
        }
    }

    #[test]
    fn a_failing_gpu_is_an_error() {
        let gpu = Device { name: "vulkan".into(), inner: Inner::flex() };
        let error = gpu.guard::<()>("training", || panic!("out of memory")).expect_err("it panics").to_string();
        assert!(error.contains("training failed") && error.contains("out of memory") && error.contains("model.batch"));
    }

    #[test]
    #[cfg(not(any(feature = "vulkan", feature = "cuda", feature = "rocm", feature = "metal")))]
    fn a_build_without_the_device_names_the_feature() {
        for (name, feature) in [("vulkan:1", "vulkan"), ("cuda", "cuda"), ("rocm:0", "rocm"), ("metal", "metal")] {
            let error = name.parse::<Device>().expect_err(name).to_string();
            assert!(error.contains(name) && error.contains(&format!("--features {feature}")), "{error}");
        }
    }
}
