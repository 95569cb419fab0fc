//! Categorical models retrained on their own samples: Wright-Fisher drift of token frequencies, class shares, modes.
//!
//! A model is a probability vector over v categories, fitted by counting. Sampling n from it is one multinomial draw, so
//! a generation costs O(v) whatever n is. The three loops are those of the paper (arXiv:2307.01850): fully synthetic is
//! pure drift, fresh data is immigration from the true distribution, synthetic augmentation an inoculum that stays the same.
//! The sampling bias is a temperature, and acts as selection of the frequent. Closed forms are beside.

mod closed;
mod measures;
mod multinomial;
mod simulate;

pub use closed::{
    Bounds, drift_heterozygosity, expected_kept, fixation_time_two, fixed_set_heterozygosity,
    fixed_set_heterozygosity_limit, fresh_heterozygosity, fresh_heterozygosity_limit, survival_bounds,
};
pub use measures::{Diversity, heterozygosity, temper};
pub use multinomial::{MAX_SAMPLES, multinomial};
pub use simulate::{DiscreteCurve, DiscreteGeneration, DiscreteLoop, Estimate};

use crate::{Result, TheoryError};

/// `weights` over their sum.
fn normalized(weights: &[f64]) -> Result<Vec<f64>> {
    let bad = weights.iter().find(|weight| !(**weight >= 0.0 && weight.is_finite()));
    if let Some(&value) = bad {
        return Err(TheoryError::Setting { name: "a probability", value, must: "a finite number of at least 0" });
    }
    let largest = weights.iter().copied().fold(0.0, f64::max);
    if largest == 0.0 {
        let must = "above 0: at least one category needs a positive probability";
        return Err(TheoryError::Setting { name: "the sum of the probabilities", value: 0.0, must });
    }
    // Over the largest first, so that the sum cannot overflow.
    let sum: f64 = weights.iter().map(|weight| weight / largest).sum();
    Ok(weights.iter().map(|weight| weight / largest / sum).collect())
}
