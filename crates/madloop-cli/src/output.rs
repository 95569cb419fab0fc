//! Data goes to stdout, everything else to stderr.

use std::io::{ErrorKind, Write};

/// Prints a line of data. A reader that has left (`madloop list | head`) ends the command quietly.
pub(crate) fn line(text: &str) {
    let mut stdout = std::io::stdout().lock();
    match writeln!(stdout, "{text}").and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => std::process::exit(0),
        Err(failure) => {
            error(&format!("cannot write to stdout: {failure}"));
            std::process::exit(1);
        }
        Ok(()) => {}
    }
}

/// Says something that is not data; nobody needs to listen (`2>&1 | head`), so failures to write are none.
pub(crate) fn note(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Says what went wrong.
pub(crate) fn error(text: &str) {
    note(&format!("madloop: {text}"));
}
