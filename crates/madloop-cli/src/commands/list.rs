//! `madloop list`: the presets.

use madloop::config::{Overrides, Scale, load, presets};
use serde_json::json;

use crate::args::ListArgs;
use crate::{output, table};

pub(crate) fn list(args: &ListArgs) -> anyhow::Result<()> {
    let mut all = Vec::new();
    for preset in presets() {
        all.push((preset.name, load(preset.name, &Overrides::default())?.base));
    }
    if args.json {
        let entries = all.iter().map(|(name, base)| {
            json!({ "name": name, "figure": base.figure, "title": base.title, "shows": base.shows, "cost": base.cost })
        });
        output::line(&serde_json::to_string_pretty(&entries.collect::<Vec<_>>())?);
        return Ok(());
    }
    let mut table = table::plain();
    let costs = Scale::ALL.map(|scale| format!("cost: {}", scale.name()));
    table.set_header(["preset", "figure", "what it shows"].map(str::to_owned).into_iter().chain(costs));
    for (name, base) in &all {
        let cost =
            |scale: Scale| base.cost.as_ref().and_then(|cost| cost.get(scale.name())).cloned().unwrap_or_default();
        let words = |text: &Option<String>| text.clone().unwrap_or_default();
        table.add_row(
            [(*name).to_owned(), words(&base.figure), words(&base.title)].into_iter().chain(Scale::ALL.map(cost)),
        );
    }
    output::line(&table.to_string());
    output::note("run one with: madloop run NAME [--scale smoke|laptop|paper]; costs are for 2 cores");
    Ok(())
}
