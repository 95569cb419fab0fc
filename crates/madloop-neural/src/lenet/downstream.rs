//! Downstream accuracy: what a generation's samples are worth as training data.

use madloop_core::{Cancel, Samples, Seeds, Shape};

use super::trainer::classes;
use super::{LenetConfig, LenetError, train_lenet};

impl LenetConfig {
    /// A short training for [`downstream_accuracy`]: batches of 64, rate 0.003, 8 epochs, but at least 12,800 samples (200
    /// steps), and at most 40,000 samples or 2 epochs, whichever is more; images with sides from 16 pixels are moved by up
    /// to 1.
    pub fn downstream(training: &Samples) -> Self {
        let n = training.len().max(1);
        let seen = (8 * n).max(12_800).min(40_000.max(2 * n));
        let large = matches!(training.shape(), Shape::Image { height, width, .. } if height.min(width) >= 16);
        Self { epochs: seen.div_ceil(n) as u64, batch: 64, learning_rate: 3e-3, shift: usize::from(large) }
    }
}

/// The accuracy on `test` (real, labelled), from 0 to 1, of a LeNet trained on `training`, a generation's labelled samples; higher is
/// better. A class that the training set lacks counts as wrong. Vectors and images of every shape that [`train_lenet`]
/// takes. `config` is [`LenetConfig::downstream`], or longer. Depends on the sets, `config` and `seeds` alone.
///
/// The inner result is the reason why the accuracy is undefined: labels missing, a single class, a shape without a network,
/// or a training whose loss was not a number.
///
/// # Errors
/// Sets of different shapes, values that are not finite, settings out of range, or the request to stop.
pub fn downstream_accuracy(
    training: &Samples,
    test: &Samples,
    config: &LenetConfig,
    seeds: Seeds,
    cancel: &Cancel,
) -> Result<Result<f64, String>, LenetError> {
    if training.shape() != test.shape() {
        return Err(madloop_core::Error::ShapeMismatch { expected: training.shape(), found: test.shape() }.into());
    }
    if let Err(why) = classes(training) {
        return Ok(Err(format!("the training set of the classifier cannot be used: {why}")));
    }
    let of_test =
        test.labels().map_or(Err("no labels"), |labels| if labels.is_empty() { Err("no samples") } else { Ok(()) });
    if let Err(lacking) = of_test {
        return Ok(Err(format!("the real test set has {lacking}; use a labelled data set with a test split")));
    }
    let lenet = match train_lenet(training, config, seeds, cancel, &|_| {}) {
        Err(LenetError::Ended(why)) => return Ok(Err(why)),
        Err(error @ LenetError::Shape(_)) => return Ok(Err(error.to_string())),
        other => other?,
    };
    Ok(Ok(lenet.accuracy(test)?))
}
