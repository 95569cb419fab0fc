//! One file a command.

pub(crate) mod data;
pub(crate) mod features;
pub(crate) mod list;
pub(crate) mod plan;
pub(crate) mod report;
pub(crate) mod run;
pub(crate) mod score;
pub(crate) mod shell;
pub(crate) mod show;
pub(crate) mod stats;
pub(crate) mod theory;

use anyhow::{anyhow, bail};
use madloop::FeatureOptions;
use madloop::config::{FeatureResize, Overrides, Scale};
use madloop::data::{Color, DataDir, Filter, ReadOptions, Resize};

use crate::args::{ExperimentArgs, ImageArgs, MapArgs, ScaleArg};

/// What the arguments change in an experiment.
pub(crate) fn overrides(args: &ExperimentArgs) -> Overrides {
    Overrides {
        scale: args.scale.map(|scale| match scale {
            ScaleArg::Smoke => Scale::Smoke,
            ScaleArg::Laptop => Scale::Laptop,
            ScaleArg::Paper => Scale::Paper,
        }),
        set: args.set.clone(),
        seed: args.seed,
        generations: args.generations,
    }
}

/// Weights and preprocessing of a feature map.
pub(crate) fn feature_options(args: &MapArgs) -> FeatureOptions {
    FeatureOptions {
        weights: args.weights.clone(),
        size: args.feature_size,
        resize: args.feature_resize.as_deref().and_then(FeatureResize::find),
        dirs: DataDir::from_env(args.data_dir.data_dir.clone()),
    }
}

/// How images are read.
pub(crate) fn read_options(args: &ImageArgs) -> anyhow::Result<ReadOptions> {
    let bad_size =
        |text: &str| anyhow!("--resize {text}: give a side in pixels such as 64, or HEIGHTxWIDTH such as 32x48");
    let side = |text: &str| text.parse::<u32>().ok().filter(|side| *side > 0);
    let resize = match &args.resize {
        None => None,
        Some(text) => Some(match text.split_once('x') {
            None => Resize::Side(side(text).ok_or_else(|| bad_size(text))?),
            Some((height, width)) => match (side(height), side(width)) {
                (Some(height), Some(width)) => Resize::Sides([height, width]),
                _ => return Err(bad_size(text)),
            },
        }),
    };
    let filter = match args.filter.as_deref() {
        None | Some("lanczos") => Filter::Lanczos,
        Some("area") => Filter::Area,
        Some(other) => bail!("--filter {other}: it must be area or lanczos"),
    };
    let color = match args.color.as_deref() {
        None => None,
        Some("grey" | "gray") => Some(Color::Grey),
        Some("rgb") => Some(Color::Rgb),
        Some(other) => bail!("--color {other}: it must be grey or rgb"),
    };
    Ok(ReadOptions { resize, filter, color, ignore_labels: true, skip_unreadable: args.skip_unreadable })
}
