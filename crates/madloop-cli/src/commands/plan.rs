//! `madloop plan`: how much synthetic data is safe beside how much fresh real data.

use madloop::plan::{CANNOT_SEE, Options, plan as make};

use super::{feature_options, read_options};
use crate::args::PlanArgs;
use crate::progress::loading;
use crate::{output, table};

pub(crate) fn plan(args: &PlanArgs) -> anyhow::Result<()> {
    let options = Options {
        lambda: args.lambda,
        lambda_from: args.lambda_from.clone(),
        budget_real: args.budget_real,
        budget_synthetic: args.budget_synthetic,
        features: args.map.features.clone(),
        map: feature_options(&args.map),
        seed: args.seed,
    };
    let working = loading("the plan");
    let plan = make(&args.real, &read_options(&args.images)?, &options);
    working.finish_and_clear();
    let plan = plan?;
    let page = plan.write(&args.output)?;
    if args.json {
        output::line(&serde_json::to_string_pretty(&plan.to_json())?);
    } else {
        plan.sentences().iter().for_each(|sentence| output::line(sentence));
        output::line("\nHow long diversity lasts:");
        let (header, rows) = plan.lasting();
        let mut lasting = table::plain();
        lasting.set_header(header).add_rows(rows);
        output::line(&lasting.to_string());
        output::line("\nWhat this cannot see:");
        CANNOT_SEE.iter().for_each(|sentence| output::line(&format!("- {sentence}")));
    }
    for note in plan.notes() {
        output::note(&format!("note: {note}"));
    }
    output::note(&format!("report: {}  phase diagrams beside it", page.display()));
    Ok(())
}
