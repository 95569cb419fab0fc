//! `madloop data`: the catalogue of data sets.

use madloop::bytes_in_words;
use madloop::data::{DataDir, Entry, Presence, get, info, list};

use crate::args::{DataArgs, DataCommand};
use crate::progress::bytes_bar;
use crate::{output, table};

pub(crate) fn data(args: &DataArgs) -> anyhow::Result<()> {
    let dirs = DataDir::from_env(args.data_dir.data_dir.clone());
    match &args.command {
        DataCommand::List { json: true } => output::line(&serde_json::to_string_pretty(&list(&dirs))?),
        DataCommand::List { json: false } => {
            let mut table = table::plain();
            table.set_header(["name", "what it is", "samples", "size", "where"]);
            for entry in list(&dirs) {
                let samples = match entry.samples {
                    None => "any number".to_owned(),
                    // Weights.
                    Some(0) => String::new(),
                    Some(n) => n.to_string(),
                };
                let size = if entry.bytes == 0 { String::new() } else { bytes_in_words(entry.bytes as f64) };
                table.add_row([entry.name.to_owned(), entry.what.to_owned(), samples, size, place(&entry)]);
            }
            output::line(&table.to_string());
            output::note(
                "your own: data.source = \"path\" reads .npy, .npz, .safetensors, IDX, .csv, folders, .zip and .tar",
            );
        }
        DataCommand::Get { name, url } => {
            let bar = bytes_bar();
            let folder = get(name, &dirs, url.as_deref(), &|file, done, total| {
                bar.set_prefix(file.to_owned());
                if let Some(total) = total {
                    bar.set_length(total);
                }
                bar.set_position(done);
            });
            bar.finish_and_clear();
            output::line(&folder?.display().to_string());
        }
        DataCommand::Info { name } => {
            let entry = info(name, &dirs)?;
            let mut lines = vec![
                format!("{}: {}", entry.name, entry.what),
                format!("split:    {}", entry.split),
                format!("licence:  {}", entry.licence),
                format!("where:    {}", place(&entry)),
            ];
            for (label, values) in [("files:", &entry.files), ("mirrors:", &entry.mirrors)] {
                lines.extend(values.iter().map(|value| format!("{label:<9} {value}")));
            }
            output::line(&lines.join("\n"));
        }
    }
    Ok(())
}

fn place(entry: &Entry) -> String {
    match &entry.presence {
        Presence::BuiltIn => "built in".into(),
        Presence::At(folder) => folder.display().to_string(),
        Presence::Absent(_) => format!("not here: madloop data get {}", entry.name),
    }
}
