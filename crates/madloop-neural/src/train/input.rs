//! What a training set must be, for every family.

use madloop_core::{ClassSchedule, Context, Mix, Origin};

use crate::{Error, Result};

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
            key: if context.seeds.generation() == 1 { "n_initial" } else { "n_synthetic" },
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

/// That the pixels of real images are from 0 to 1, which every family takes them to be.
///
/// # Errors
/// [`Error::PixelRange`] with the first that is not.
pub(crate) fn check_pixels(mix: &Mix) -> Result<()> {
    if !mix.shape().is_image() {
        return Ok(());
    }
    let real = mix.parts().iter().filter(|part| matches!(part.origin, Origin::Real { .. }));
    for samples in real.map(|part| &part.samples).filter(|samples| samples.as_u8().is_none()) {
        let mut row = vec![0.0; samples.dim()];
        for sample in 0..samples.len() {
            samples.copy_row(sample, &mut row);
            if let Some(&value) = row.iter().find(|value| !(0.0..=1.0).contains(*value)) {
                return Err(Error::PixelRange { sample, value });
            }
        }
    }
    Ok(())
}
