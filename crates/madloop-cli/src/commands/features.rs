//! `madloop features`: feature maps of one's own.

use std::path::Path;

use madloop::data::DataDir;
use madloop::features::{Training, train};

use super::read_options;
use crate::args::{FeaturesCommand, TrainArgs};
use crate::output;
use crate::progress::steps_bar;
use crate::signals::Signals;

pub(crate) fn features(command: &FeaturesCommand, signals: &Signals) -> anyhow::Result<()> {
    match command {
        FeaturesCommand::Train(args) => trained(args, signals),
    }
}

fn trained(args: &TrainArgs, signals: &Signals) -> anyhow::Result<()> {
    let to: &Path = &args.output;
    // Found before minutes of training, not after.
    let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty());
    if let Some(folder) = folder.filter(|folder| !folder.is_dir()) {
        anyhow::bail!("there is no folder {}; make it, or give another file with -o", folder.display());
    }
    let read = read_options(&args.images)?;
    let training = Training {
        set: args.set.clone(),
        test: args.test.clone(),
        resize: read.resize,
        filter: args.images.filter.is_some().then_some(read.filter),
        color: read.color,
        epochs: args.epochs,
        batch: args.batch,
        learning_rate: args.learning_rate,
        shift: args.shift,
        seed: args.seed,
    };
    let dirs = DataDir::from_env(args.data_dir.data_dir.clone());
    let bar = steps_bar();
    let progress = |progress: madloop_core::Progress| {
        bar.set_length(progress.of);
        bar.set_position(progress.done);
        if let Some(loss) = progress.loss {
            bar.set_message(format!("loss {loss:.4}"));
        }
    };
    let map = train(&training, to, &dirs, &signals.cancel(), &progress);
    bar.finish_and_clear();
    let map = map?;
    map.write(to)?;
    output::line(&to.display().to_string());
    output::note(&format!("sha256 {}", map.sha256));
    output::note(&format!("trained on {} samples of {}, {} classes", map.n_training, map.shape, map.classes));
    match map.test {
        Some((accuracy, n)) => output::note(&format!("test accuracy {:.2} % of {n} samples", 100.0 * accuracy)),
        None => output::note("no test samples, so its accuracy is not known (--test gives some)"),
    }
    output::note(&format!("use it: --features lenet:{0}, or score.features = \"lenet:{0}\"", to.display()));
    Ok(())
}
