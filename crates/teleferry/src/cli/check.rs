//! `teleferry check`

use std::io::{self, Write};

use clap::Args;

use super::failure::Failure;
use super::generate::explain_keys;
use super::settings::{Absent, Flags};

#[derive(Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    flags: Flags,

    /// Tells every key of the configuration with its type, its default and its meaning, and checks nothing
    #[arg(long)]
    explain: bool,
}

pub(super) fn run(arguments: &Arguments, out: &mut dyn Write) -> Result<(), Failure> {
    if arguments.explain {
        out.write_all(explain_keys().as_bytes())?;
        return Ok(());
    }
    let settings = arguments.flags.settings(Absent::Refuse)?;
    for warning in &settings.warnings {
        // The check itself does not fail when nobody can be told.
        let _ = writeln!(io::stderr(), "warning: {warning}");
    }
    out.write_all(settings.snapshot.show().as_bytes())?;
    Ok(())
}
