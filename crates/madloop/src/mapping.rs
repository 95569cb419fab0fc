//! Maps of generations beside real samples, as an evaluator makes them.

use madloop_core::{FeatureMap, Map, Points, Samples};
use madloop_metrics::RealMap;

use crate::config::MapConfig;
use crate::{Error, Result};

/// The real side of the maps of generations.
pub(crate) struct MapMaker {
    config: MapConfig,
    real: RealMap,
    rows: u64,
    /// Classes of the real samples.
    labels: Option<Vec<u32>>,
}

impl MapMaker {
    /// Maps the real samples: the first of `reference`, whose every stretch follows the class proportions.
    pub(crate) fn new(config: &MapConfig, reference: &Samples, scored: u64, features: &dyn FeatureMap) -> Result<Self> {
        let rows = config.rows(scored)?;
        let real = reference.slice(0..rows as usize);
        let labels = real.labels().map(<[u32]>::to_vec);
        let real = RealMap::new(features.features(&real)?, config.tsne())
            .map_err(|error| Error::config("[map]", error.to_string()))?;
        Ok(Self { config: config.clone(), real, rows, labels })
    }

    /// Whether generation `t`, which is scored, is mapped.
    pub(crate) fn is_due(&self, t: u32) -> bool {
        self.config.is_due(t)
    }

    /// The map beside the first of `samples`; none of samples that cannot be mapped (their record says what they are).
    pub(crate) fn beside(&self, samples: &Samples, features: &dyn FeatureMap) -> madloop_core::Result<Option<Map>> {
        let shown = samples.slice(0..samples.len().min(self.rows as usize));
        let (real, generated) = match self.real.beside(&features.features(&shown)?) {
            Ok(places) => places,
            Err(error) if error.is_undefined() => return Ok(None),
            Err(error) => return Err(madloop_core::Error::other(error)),
        };
        Ok(Some(Map {
            real: Points::new(&real, self.labels.as_deref()),
            generated: Points::new(&generated, shown.labels()),
        }))
    }
}
