//! `madloop show`: the resolved configuration.

use madloop::config::{json_schema, load};

use super::overrides;
use crate::args::ShowArgs;
use crate::output;

pub(crate) fn show(args: &ShowArgs) -> anyhow::Result<()> {
    if args.schema {
        output::line(&serde_json::to_string_pretty(&json_schema())?);
        return Ok(());
    }
    let swept = load(&args.experiment.experiment, &overrides(&args.experiment))?;
    output::line(swept.to_toml()?.trim_end());
    Ok(())
}
