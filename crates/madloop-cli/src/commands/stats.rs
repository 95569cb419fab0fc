//! `madloop stats`: mean and covariance of a set, as pytorch-fid keeps them.

use madloop::comparison::write_stats;

use super::read_options;
use crate::args::StatsArgs;
use crate::output;

pub(crate) fn stats(args: &StatsArgs) -> anyhow::Result<()> {
    let (n, d) = write_stats(&args.input, &read_options(&args.images)?, &args.output)?;
    output::line(&args.output.display().to_string());
    output::note(&format!("mu [{d}] and sigma [{d}, {d}] (f64, divisor n - 1) of {n} samples"));
    Ok(())
}
