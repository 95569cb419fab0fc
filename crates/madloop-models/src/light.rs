//! What the light families share: per-class models, saving, row-addressed sampling, collapse.

use std::ops::Range;
use std::sync::Arc;

use madloop_core::{
    Blobs, ClassSchedule, Context, Cost, GaussianParameters, Generator, Mix, Progress, Result, Samples, SamplingBias,
    Seeds, Shape, Trained, Trainer,
};
use rayon::prelude::*;

use crate::tensors::Tensors;

/// How a fit of one model went.
pub(crate) enum Fit<M> {
    Model(M),
    Degenerate(M, String),
    Ended(String),
}

/// A family: how to fit one model to one set.
pub(crate) trait Family: Send + Sync {
    type Model: Model;
    const NAME: &'static str;
    /// Fits to `mix`; `class` tells fits of one generation apart in the addresses of random numbers.
    fn fit(&self, mix: &Mix, class: u32, context: &Context<'_>) -> Result<Fit<Self::Model>>;
    fn cost(&self, rows: f64, dim: f64) -> Cost;
}

/// One fitted model.
pub(crate) trait Model: Send + Sync + Sized + 'static {
    /// Rows `rows` of the draw, each from its own stream, `[rows.len(), d]`.
    fn draw(&self, rows: &[u64], lambda: SamplingBias, seeds: Seeds, out: &mut [f64]);
    fn write(&self, tensors: &mut Tensors);
    fn read(tensors: &mut Tensors, dim: usize) -> Result<Self>;
    fn gaussian(&self) -> Option<GaussianParameters> {
        None
    }
}

/// The trainer of a light family, for the whole set or a model a class.
pub(crate) struct LightTrainer<F> {
    family: F,
    per_class: bool,
}

impl<F: Family + 'static> LightTrainer<F> {
    pub(crate) fn boxed(family: F, per_class: bool) -> Box<dyn Trainer> {
        Box::new(Self { family, per_class })
    }
}

struct LightModel<M> {
    family: &'static str,
    shape: Shape,
    /// One model, or one a class, indexed by class (none where the data skips a class).
    models: Vec<Option<M>>,
    /// Classes of the rows, when there is a model a class.
    classes: Option<ClassSchedule>,
}

impl<F: Family> Trainer for LightTrainer<F> {
    fn family(&self) -> &'static str {
        F::NAME
    }

    fn train(&self, mix: &Mix, context: &mut Context<'_>) -> Result<Trained> {
        if let Some(why) = non_finite(mix) {
            return Ok(Trained::Ended(why));
        }
        let classes = match self.per_class {
            true => Some(class_schedule(mix, context)?),
            false => None,
        };
        let present = present(classes.as_ref());
        let (mut models, mut reasons) = (Vec::new(), Vec::new());
        for (class, is_present) in (0_u32..).zip(&present) {
            context.cancel.check()?;
            if !is_present {
                models.push(None);
                continue;
            }
            let of_class = if classes.is_some() { &mix.of_class(class)? } else { mix };
            let (model, reason) = match self.family.fit(of_class, class, context)? {
                Fit::Model(model) => (model, None),
                Fit::Degenerate(model, reason) => (model, Some(reason)),
                Fit::Ended(reason) => return Ok(Trained::Ended(of_class_text(reason, class, classes.as_ref()))),
            };
            models.push(Some(model));
            reasons.extend(reason.map(|reason| of_class_text(reason, class, classes.as_ref())));
            (context.progress)(Progress { done: u64::from(class) + 1, of: present.len() as u64, loss: None });
        }
        let generator = Arc::new(LightModel { family: F::NAME, shape: mix.shape(), models, classes });
        Ok(match &reasons[..] {
            [] => Trained::Model(generator),
            [one] => Trained::Degenerate(generator, one.clone()),
            [first, others @ ..] => {
                Trained::Degenerate(generator, format!("{first}; {} more classes are degenerate", others.len()))
            }
        })
    }

    fn load(&self, blobs: &dyn Blobs) -> Result<Arc<dyn Generator>> {
        let mut tensors = Tensors::load(F::NAME, blobs)?;
        let shape = tensors.take_u32("shape")?.into_iter().map(|v| v as usize).collect::<Vec<_>>();
        let shape = match shape[..] {
            [dim] => Shape::Vector { dim },
            [channels, height, width] => Shape::Image { channels, height, width },
            _ => return Err(tensors.bad(format!("the shape {shape:?} has neither one nor three numbers"))),
        };
        let classes =
            if tensors.has("classes") { Some(ClassSchedule::from_table(tensors.take_u32("classes")?)) } else { None };
        let read = |(class, is_present): (usize, bool)| {
            is_present.then(|| F::Model::read(tensors.under(format!("{class}.")), shape.len())).transpose()
        };
        let models = present(classes.as_ref()).into_iter().enumerate().map(read).collect::<Result<Vec<_>>>()?;
        tensors.under(String::new());
        tensors.finish()?;
        Ok(Arc::new(LightModel { family: F::NAME, shape, models, classes }))
    }

    fn cost(&self, rows: u64, shape: Shape) -> Cost {
        self.family.cost(rows as f64, shape.len() as f64)
    }
}

impl<M: Model> Generator for LightModel<M> {
    fn sample(&self, rows: Range<u64>, lambda: SamplingBias, seeds: Seeds) -> Result<Samples> {
        const BLOCK: usize = 64;
        let dim = self.shape.len();
        let n = (rows.end - rows.start) as usize;
        let mut values = vec![0.0_f32; n * dim];
        // Rows are grouped by model, so that a block is one model's; each row's arithmetic is its own.
        let mut of_model = vec![Vec::new(); self.models.len()];
        for row in rows.clone() {
            of_model[self.classes.as_ref().map_or(0, |classes| classes.class(row)) as usize].push(row);
        }
        let blocks: Vec<(usize, &[u64])> = of_model
            .iter()
            .enumerate()
            .flat_map(|(model, rows)| rows.chunks(BLOCK).map(move |block| (model, block)))
            .collect();
        let drawn: Vec<Vec<f64>> = blocks
            .par_iter()
            .map(|&(model, block)| {
                let mut out = vec![0.0; block.len() * dim];
                if let Some(model) = &self.models[model] {
                    model.draw(block, lambda, seeds, &mut out);
                }
                out
            })
            .collect();
        for ((_, block), drawn) in blocks.iter().zip(&drawn) {
            for (row, drawn) in block.iter().zip(drawn.chunks_exact(dim)) {
                let at = (row - rows.start) as usize * dim;
                values[at..at + dim].iter_mut().zip(drawn).for_each(|(out, &value)| *out = value as f32);
            }
        }
        let samples = Samples::from_f32(self.shape, values)?;
        match &self.classes {
            None => Ok(samples),
            Some(classes) => samples.with_labels(rows.map(|row| classes.class(row)).collect()),
        }
    }

    fn save(&self, blobs: &mut dyn Blobs) -> Result<()> {
        let mut tensors = Tensors::new(self.family);
        let shape = match self.shape {
            Shape::Vector { dim } => vec![dim],
            Shape::Image { channels, height, width } => vec![channels, height, width],
        };
        tensors.put_u32("shape", &shape.into_iter().map(|v| v as u32).collect::<Vec<_>>());
        if let Some(classes) = &self.classes {
            tensors.put_u32("classes", classes.table());
        }
        for (class, model) in self.models.iter().enumerate() {
            if let Some(model) = model {
                model.write(tensors.under(format!("{class}.")));
            }
        }
        tensors.save(blobs)
    }

    fn gaussian(&self) -> Option<GaussianParameters> {
        match &self.models[..] {
            [Some(one)] if self.classes.is_none() => one.gaussian(),
            _ => None,
        }
    }
}

/// Which models there are: one in all, or one for each class that has samples.
fn present(classes: Option<&ClassSchedule>) -> Vec<bool> {
    match classes {
        None => vec![true],
        Some(classes) => (0..classes.n_classes()).map(|class| classes.table().contains(&class)).collect(),
    }
}

/// The classes of the real data, checked against those that the training set has.
fn class_schedule(mix: &Mix, context: &Context<'_>) -> Result<ClassSchedule> {
    let no_labels = || madloop_core::Error::LoopSetting {
        key: "n_real",
        value: "unlabelled data".into(),
        why: "model.per_class = true trains a model a class and needs labelled samples; use a labelled data set or \
              per_class = false"
            .into(),
    };
    let present = ClassSchedule::of_mix(mix).ok_or_else(no_labels)?;
    let Some(wanted) = context.classes else { return Ok(present) };
    let lost = |class: &u32| wanted.table().contains(class) && !present.table().contains(class);
    if let Some(lost) = (0..wanted.n_classes()).find(lost) {
        return Err(madloop_core::Error::LoopSetting {
            key: "n_synthetic",
            value: mix.len().to_string(),
            why: format!(
                "no sample of class {lost} is among the {} training samples; with model.per_class every one of the {} \
                 classes needs at least one, so raise the counts",
                mix.len(),
                wanted.n_classes()
            ),
        });
    }
    Ok(wanted.clone())
}

fn of_class_text(reason: String, class: u32, classes: Option<&ClassSchedule>) -> String {
    if classes.is_some() { format!("class {class}: {reason}") } else { reason }
}

/// Where the training set has a value that no model can be fitted to.
fn non_finite(mix: &Mix) -> Option<String> {
    let mut row = vec![0.0; mix.dim()];
    (0..mix.len()).find_map(|i| {
        mix.copy_row(i, &mut row);
        let column = row.iter().position(|value| !value.is_finite())?;
        Some(format!("sample {i} of the training set has the value {} in column {column}", row[column]))
    })
}
