//! One file a command.

pub(crate) mod data;
pub(crate) mod list;
pub(crate) mod report;
pub(crate) mod run;
pub(crate) mod score;
pub(crate) mod shell;
pub(crate) mod show;
pub(crate) mod stats;

use madloop::config::{Overrides, Scale};

use crate::args::{ExperimentArgs, ScaleArg};

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
