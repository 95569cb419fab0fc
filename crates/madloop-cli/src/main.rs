//! The command `madloop`.

mod args;
mod commands;
mod output;
mod progress;
mod signals;
mod table;

use std::process::ExitCode;

use args::{Args, Command};
use clap::Parser;
use signals::Signals;

/// The system's allocator gives large buffers back and takes a page fault for each page of the next one.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// 0 done, 1 the user's input, 2 ours, 75 stopped by SIGTERM after a checkpoint, 130 by SIGINT.
mod exit {
    pub(crate) const INPUT: u8 = 1;
    pub(crate) const OURS: u8 = 2;
    pub(crate) const TERMINATED: u8 = 75;
    pub(crate) const INTERRUPTED: u8 = 130;
}

fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => {
            // Help and version are no errors; usage errors are the user's input.
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(exit::INPUT) } else { ExitCode::SUCCESS };
        }
    };
    let signals = match Signals::register() {
        Ok(signals) => signals,
        Err(error) => {
            output::error(&format!("signals cannot be handled: {error}"));
            return ExitCode::from(exit::OURS);
        }
    };
    // A panic is ours: it is reported in full by the standard hook and never leaves half a file.
    match std::panic::catch_unwind(|| run(args.command, &signals)) {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(error)) => ExitCode::from(report(&error, &signals)),
        Err(_) => {
            output::error(
                "this is a defect of madloop; what was committed is whole, and the same command goes on from there",
            );
            ExitCode::from(exit::OURS)
        }
    }
}

fn run(command: Command, signals: &Signals) -> anyhow::Result<()> {
    match command {
        Command::Run(args) => commands::run::run(&args, signals),
        Command::List(args) => commands::list::list(&args),
        Command::Show(args) => commands::show::show(&args),
        Command::Score(args) => commands::score::score(&args),
        Command::Stats(args) => commands::stats::stats(&args),
        Command::Theory(args) => commands::theory::theory(&args),
        Command::Plan(args) => commands::plan::plan(&args),
        Command::Report(args) => commands::report::report(&args),
        Command::Features(args) => commands::features::features(&args.command, signals),
        Command::Data(args) => commands::data::data(&args),
        Command::Completions(args) => commands::shell::completions(&args),
        Command::Man(args) => commands::shell::man(&args),
    }
}

/// The error and its causes, without those that it already quotes.
fn in_full(error: &anyhow::Error) -> String {
    error.chain().map(ToString::to_string).fold(String::new(), |text, cause| match text.as_str() {
        "" => cause,
        text if text.contains(&cause) => text.to_owned(),
        text => format!("{text}: {cause}"),
    })
}

/// Says what went wrong and chooses the exit code.
fn report(error: &anyhow::Error, signals: &Signals) -> u8 {
    let cancelled = error.chain().any(|cause| {
        matches!(cause.downcast_ref::<madloop_core::Error>(), Some(madloop_core::Error::Cancelled))
            || cause.downcast_ref::<madloop::Error>().is_some_and(madloop::Error::is_cancelled)
    });
    output::error(&in_full(error));
    match error.downcast_ref::<madloop::Error>() {
        _ if cancelled && signals.is_terminated() => exit::TERMINATED,
        _ if cancelled => exit::INTERRUPTED,
        Some(error) if error.is_internal() => exit::OURS,
        _ => exit::INPUT,
    }
}
