//! Parameters by module path: what a network has, how each begins, and their values on a device.

use std::collections::BTreeMap;
use std::sync::Arc;

use burn::tensor::{Device, Gradients, Tensor, TensorData};
use madloop_core::{Seeds, Stream};

use crate::random;
use crate::{Error, Result};

/// How a parameter begins.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Init {
    Zeros,
    Ones,
    /// N(0, std^2).
    Normal {
        std: f64,
    },
}

impl Init {
    /// N(0, 2 / fan_in): keeps the variance through a rectifier-like activation (He et al. 2015, eq. 10).
    pub(crate) fn kaiming(fan_in: usize) -> Self {
        Self::Normal { std: (2.0 / fan_in as f64).sqrt() }
    }

    /// N(0, 2 / (fan_in + fan_out)): keeps the variance through a linear map both ways (Glorot and Bengio 2010, eq. 12).
    pub(crate) fn xavier(fan_in: usize, fan_out: usize) -> Self {
        Self::Normal { std: (2.0 / (fan_in + fan_out) as f64).sqrt() }
    }
}

/// A parameter's path, shape and beginning.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Spec {
    pub(crate) path: String,
    pub(crate) shape: Vec<usize>,
    init: Init,
}

impl Spec {
    pub(crate) fn len(&self) -> usize {
        self.shape.iter().product()
    }
}

/// Names one parameter of a [`Layout`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Handle(usize);

/// The parameters of a network, in the order in which it declared them.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Layout {
    specs: Vec<Spec>,
}

impl Layout {
    pub(crate) fn specs(&self) -> &[Spec] {
        &self.specs
    }

    /// Values of all parameters together.
    pub(crate) fn len(&self) -> usize {
        self.specs.iter().map(Spec::len).sum()
    }
}

/// Declares the parameters of a network, below a path.
pub(crate) struct Declare<'a> {
    layout: &'a mut Layout,
    prefix: String,
}

impl<'a> Declare<'a> {
    pub(crate) fn new(layout: &'a mut Layout) -> Self {
        Self { layout, prefix: String::new() }
    }

    /// The same place, to be handed on.
    pub(crate) fn all(&mut self) -> Declare<'_> {
        Declare { layout: self.layout, prefix: self.prefix.clone() }
    }

    /// The place below `name`.
    pub(crate) fn at(&mut self, name: impl std::fmt::Display) -> Declare<'_> {
        Declare { layout: self.layout, prefix: format!("{}{name}.", self.prefix) }
    }

    pub(crate) fn param(&mut self, name: &str, shape: &[usize], init: Init) -> Handle {
        let path = format!("{}{name}", self.prefix);
        debug_assert!(self.layout.specs.iter().all(|spec| spec.path != path), "{path} is declared twice");
        self.layout.specs.push(Spec { path, shape: shape.to_vec(), init });
        Handle(self.layout.specs.len() - 1)
    }
}

/// Values of a [`Layout`] on a device, each flat: parameters, moments and averages alike.
#[derive(Clone)]
pub(crate) struct Weights {
    layout: Arc<Layout>,
    pub(crate) values: Vec<Tensor<1>>,
}

impl Weights {
    pub(crate) fn new(layout: Arc<Layout>, values: Vec<Tensor<1>>) -> Self {
        debug_assert_eq!(layout.specs.len(), values.len());
        Self { layout, values }
    }

    /// The beginning of training. Each parameter has its own stream, named by its path, so that a changed network
    /// leaves the parameters that it shares with the old one as they were.
    pub(crate) fn initial(layout: &Arc<Layout>, seeds: Seeds, device: &Device) -> Self {
        let value = |spec: &Spec| {
            let mut values = vec![0.0; spec.len()];
            match spec.init {
                Init::Zeros => {}
                Init::Ones => values.fill(1.0),
                Init::Normal { std } => {
                    let stream = Stream::named(&format!("neural/init/{}", spec.path));
                    random::fill_normal(&mut seeds.rng(stream, 0), &mut values);
                    values.iter_mut().for_each(|value| *value *= std as f32);
                }
            }
            flat(values, device)
        };
        Self::new(layout.clone(), layout.specs.iter().map(value).collect())
    }

    pub(crate) fn zeros(layout: &Arc<Layout>, device: &Device) -> Self {
        let values = layout.specs.iter().map(|spec| flat(vec![0.0; spec.len()], device)).collect();
        Self::new(layout.clone(), values)
    }

    /// Replaces one parameter by values of its length.
    pub(crate) fn set(&mut self, handle: Handle, value: Tensor<1>) {
        self.values[handle.0] = value;
    }

    /// Values by path, every one of the layout's and no other.
    ///
    /// # Errors
    /// In words: a path that is missing or too many, or a value of another length.
    pub(crate) fn from_host(
        layout: &Arc<Layout>,
        mut host: BTreeMap<String, (Vec<usize>, Vec<f32>)>,
        device: &Device,
    ) -> Result<Self, String> {
        let mut values = Vec::new();
        for spec in &layout.specs {
            let (shape, value) = host.remove(&spec.path).ok_or_else(|| format!("tensor {} is missing", spec.path))?;
            if shape != spec.shape {
                return Err(format!("tensor {} has the shape {shape:?} instead of {:?}", spec.path, spec.shape));
            }
            values.push(flat(value, device));
        }
        match host.keys().next() {
            None => Ok(Self::new(layout.clone(), values)),
            Some(path) => Err(format!("tensor {path} is not part of this network")),
        }
    }

    /// Values in host memory, in the layout's order.
    pub(crate) fn to_host(&self) -> Result<Vec<Vec<f32>>> {
        self.values.iter().map(|value| to_host(value.clone(), "reading parameters")).collect()
    }

    pub(crate) fn layout(&self) -> &Arc<Layout> {
        &self.layout
    }

    /// One parameter in its shape.
    pub(crate) fn get<const D: usize>(&self, handle: Handle) -> Tensor<D> {
        let shape: [usize; D] = std::array::from_fn(|axis| self.layout.specs[handle.0].shape[axis]);
        self.values[handle.0].clone().reshape(shape)
    }

    /// The same values as leaves whose gradients are kept.
    pub(crate) fn tracked(&self) -> Self {
        let track = |value: &Tensor<1>| value.clone().autodiff().require_grad();
        Self::new(self.layout.clone(), self.values.iter().map(track).collect())
    }

    /// The same values as constants.
    pub(crate) fn constant(&self) -> Self {
        let values = self.values.iter().map(|value| value.clone().without_autodiff());
        Self::new(self.layout.clone(), values.collect())
    }

    /// Takes the gradients of tracked leaves; zero where a parameter did not enter the loss.
    pub(crate) fn gradients(&self, gradients: &mut Gradients) -> Vec<Tensor<1>> {
        let take = |value: &Tensor<1>| {
            value.grad_remove(gradients).unwrap_or_else(|| value.clone().without_autodiff().zeros_like())
        };
        self.values.iter().map(take).collect()
    }
}

/// A vector on a device.
pub(crate) fn flat(values: Vec<f32>, device: &Device) -> Tensor<1> {
    let length = values.len();
    Tensor::from_data(TensorData::new(values, [length]), device)
}

/// A matrix on a device.
pub(crate) fn matrix(values: Vec<f32>, columns: usize, device: &Device) -> Tensor<2> {
    let rows = values.len() / columns;
    Tensor::from_data(TensorData::new(values, [rows, columns]), device)
}

/// Values of a tensor, row-major.
pub(crate) fn to_host<const D: usize>(tensor: Tensor<D>, what: &'static str) -> Result<Vec<f32>> {
    tensor.try_into_vec_as::<f32>().map_err(|error| Error::Device { what, why: error.to_string() })
}
