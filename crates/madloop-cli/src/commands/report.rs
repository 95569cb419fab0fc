//! `madloop report`: the page about one or several runs.

use std::path::PathBuf;

use madloop::store::RunDir;
use madloop::{report_run, view, write_report};

use crate::args::ReportArgs;
use crate::output;

pub(crate) fn report(args: &ReportArgs) -> anyhow::Result<()> {
    let runs = args.runs.iter().map(|path| RunDir::open(path)).collect::<Result<Vec<_>, _>>()?;
    let mut views = Vec::new();
    for run in &runs {
        views.push(view(run)?);
        run.write_records()?;
    }
    let page = match (&args.output, &runs[..], &views[..]) {
        (Some(page), ..) => page.clone(),
        (None, [run], [view]) => {
            let (page, _) = report_run(run, view)?;
            output::line(&page.display().to_string());
            return Ok(());
        }
        (None, ..) => PathBuf::from("report.html"),
    };
    write_report(&views, &page)?;
    output::line(&page.display().to_string());
    Ok(())
}
