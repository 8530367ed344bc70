//! `teleferry doctor`

use std::io::Write;

use clap::Args;
use tokio::runtime::Builder;

use super::failure::Failure;
use super::settings::{Absent, Flags, NO_COVER};
use crate::doctor::{self, Subject};

#[derive(Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    flags: Flags,

    /// Prints the findings as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments, out: &mut dyn Write) -> Result<(), Failure> {
    let settings = arguments.flags.settings(Absent::Refuse)?;
    let subject = Subject {
        snapshot: &settings.snapshot,
        warnings: settings.warnings.iter().filter(|warning| *warning != NO_COVER).cloned().collect(),
        file: arguments.flags.file(),
    };
    let runtime =
        Builder::new_current_thread().enable_all().build().map_err(|error| Failure::Run(error.into()))?;
    let report = runtime.block_on(doctor::examine(&subject));
    // The resolver may still be busy with a name, and cannot be interrupted.
    runtime.shutdown_background();
    if arguments.json {
        serde_json::to_writer_pretty(&mut *out, &report).map_err(|error| Failure::Run(error.into()))?;
        writeln!(out)?;
    } else {
        out.write_all(report.text().as_bytes())?;
    }
    if report.is_fine() { Ok(()) } else { Err(Failure::Told) }
}
