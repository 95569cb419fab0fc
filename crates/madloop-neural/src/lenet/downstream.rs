//! Downstream accuracy: what a generation's samples are worth as training data.

use madloop_core::{Cancel, Samples, Seeds};

use super::trainer::classes;
use super::{LenetConfig, LenetError, train_lenet};

impl LenetConfig {
    /// A short training for [`downstream_accuracy`].
    pub fn downstream() -> Self {
        Self { epochs: 8, batch: 64, learning_rate: 3e-3, shift: 0 }
    }
}

/// The accuracy on `test` (real, labelled), from 0 to 1, of a LeNet trained on `training`, a generation's labelled samples; higher is
/// better. A class that the training set lacks counts as wrong. Vectors and images of every shape that [`train_lenet`]
/// takes. Depends on the sets, `config` and `seeds` alone.
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
