//! What a training set must be, for every family.

use madloop_core::{ClassSchedule, Context, Mix};

use crate::Result;

/// Classes of the rows that a model is asked for, where the training set is labelled.
///
/// # Errors
/// A class of the real data of which the training set has no sample.
pub(crate) fn classes(mix: &Mix, context: &Context<'_>) -> Result<Option<ClassSchedule>> {
    let Some(present) = ClassSchedule::of_mix(mix) else { return Ok(None) };
    let Some(wanted) = context.classes else { return Ok(Some(present)) };
    let lost = |class: &u32| wanted.table().contains(class) && !present.table().contains(class);
    match (0..wanted.n_classes()).find(lost) {
        None if present.n_classes() <= wanted.n_classes() => Ok(Some(wanted.clone())),
        None => Ok(Some(present)),
        Some(lost) => Err(madloop_core::Error::LoopSetting {
            key: "n_synthetic",
            value: mix.len().to_string(),
            why: format!(
                "no sample of class {lost} is among the {} training samples, so the model could not be asked for \
                 it; every one of the {} classes needs at least one, so raise the counts",
                mix.len(),
                wanted.n_classes()
            ),
        }
        .into()),
    }
}
