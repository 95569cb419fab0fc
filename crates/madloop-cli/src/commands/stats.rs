//! `madloop stats`: mean and covariance of a set, as pytorch-fid keeps them; and of several sets, merged.

use std::path::Path;

use anyhow::bail;
use madloop::stats::{Options, Stats, measure, merge, write};

use super::{feature_options, read_options};
use crate::args::{MergeArgs, StatsArgs, StatsCommand};
use crate::output;

pub(crate) fn stats(args: &StatsArgs) -> anyhow::Result<()> {
    if let Some(StatsCommand::Merge(args)) = &args.command {
        return merged(args);
    }
    let (Some(input), Some(to)) = (&args.input, &args.output) else {
        bail!("stats needs a set and a file to write: madloop stats INPUT -o FILE.npz");
    };
    let read = read_options(&args.images)?;
    let (features, map) = (args.map.features.clone(), feature_options(&args.map));
    let options = Options { read, features, map, shard: args.shard };
    let stats = measure(input, &options)?;
    finish(&stats, to)
}

fn merged(args: &MergeArgs) -> anyhow::Result<()> {
    let stats = merge(&args.inputs, args.n.as_deref())?;
    finish(&stats, &args.output)?;
    if stats.preprocessing.is_none() && args.inputs.len() > 1 {
        output::note("no file says what its features are, so whether they are the same was not checked");
    }
    Ok(())
}

fn finish(stats: &Stats, to: &Path) -> anyhow::Result<()> {
    write(stats, to)?;
    output::line(&to.display().to_string());
    let (n, d) = (stats.scatter.n(), stats.scatter.dim());
    output::note(&format!("mu [{d}] and sigma [{d}, {d}] (f64, divisor n - 1) of {n} samples"));
    if n == 1 {
        output::note("one sample has no covariance (sigma is NaN): merge the file with others before it is scored");
    }
    Ok(())
}
