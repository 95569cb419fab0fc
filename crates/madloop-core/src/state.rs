//! What a cell remembers between generations.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::{Draw, Generator, Loop, Result, Samples, SamplingBias, Seeds};

/// The models and draws from which the next generation is mixed.
#[derive(Clone, Default)]
pub struct State {
    /// The last generation that is done; 0 when only the baseline is.
    pub generation: u32,
    /// Whether the cell ended there.
    pub ended: bool,
    /// Models that later generations may sample, by generation.
    pub models: BTreeMap<u32, Arc<dyn Generator>>,
    /// First rows of draws already made with the loop's lambda, by generation.
    pub draws: BTreeMap<u32, Samples>,
}

impl State {
    /// The rows of `draw`: those already drawn, else drawn now (the same values, since rows are addressed).
    pub fn samples(&self, draw: &Draw, lambda: SamplingBias, seeds: Seeds) -> Result<Samples> {
        let known = self.draws.get(&draw.model).filter(|known| draw.rows.end <= known.len() as u64);
        if let Some(known) = known {
            return Ok(known.slice(draw.rows.start as usize..draw.rows.end as usize));
        }
        let Some(model) = self.models.get(&draw.model) else {
            return Err(crate::Error::BadModel {
                family: "earlier",
                why: format!("generation {} is needed by the loop's history but was not kept", draw.model),
            });
        };
        model.sample(draw.rows.clone(), lambda, seeds.at(draw.model))
    }

    /// Takes up a finished generation and forgets what the loop no longer needs.
    pub fn advance(&mut self, plan: &Loop, generation: u32, model: Arc<dyn Generator>, draw: Option<Samples>) {
        self.generation = generation;
        self.models.insert(generation, model);
        self.draws.extend(draw.map(|draw| (generation, draw)));
        let (models, draws) = (plan.needed_models(generation), plan.needed_draws(generation));
        self.models.retain(|t, _| models.contains(t));
        self.draws.retain(|t, _| draws.contains(t) || *t == generation);
    }
}
