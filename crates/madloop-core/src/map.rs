//! Maps in the plane: a generation's samples beside real ones, for the eye.

use serde::{Deserialize, Serialize};

/// A generation's samples and real ones in one plane.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Map {
    /// The real samples.
    pub real: Points,
    /// The generated samples (held-out real ones at generation 0).
    pub generated: Points,
}

/// Points of a map, by column.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Points {
    /// Horizontal coordinates.
    pub x: Vec<f32>,
    /// Vertical coordinates, as many.
    pub y: Vec<f32>,
    /// Classes, as many, or none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<u32>,
}

impl Points {
    /// Points at `places`, to 1/100, with the classes that are known.
    pub fn new(places: &[[f64; 2]], labels: Option<&[u32]>) -> Self {
        let axis = |axis: usize| places.iter().map(|place| ((place[axis] * 100.0).round() / 100.0) as f32).collect();
        Self { x: axis(0), y: axis(1), labels: labels.map(<[u32]>::to_vec).unwrap_or_default() }
    }

    /// Whether the columns are equally long.
    pub fn is_whole(&self) -> bool {
        self.y.len() == self.x.len() && (self.labels.is_empty() || self.labels.len() == self.x.len())
    }
}
