//! `teleferry run`

use clap::Args;
use tracing::warn;

use super::failure::Failure;
use super::settings::{Absent, Flags};
use crate::logging::Logging;
use crate::process;

#[derive(Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    flags: Flags,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let settings = arguments.flags.settings(Absent::Make)?;
    let logging = Logging::start(&settings.snapshot.log).map_err(|error| Failure::Run(error.into()))?;
    for warning in &settings.warnings {
        warn!("{warning}");
    }
    process::run(settings.snapshot, &logging).map_err(|error| Failure::Run(error.into()))
}
