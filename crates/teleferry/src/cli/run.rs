//! `teleferry run`

use clap::Args;
use tracing::warn;

use super::failure::Failure;
use super::logging;
use super::settings::{Absent, Flags};
use crate::process;

#[derive(Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    flags: Flags,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let settings = arguments.flags.settings(Absent::Make)?;
    let _writing = logging::start(&settings.snapshot.log).map_err(|error| Failure::Run(error.into()))?;
    for warning in &settings.warnings {
        warn!("{warning}");
    }
    process::run(settings.snapshot).map_err(|error| Failure::Run(error.into()))
}
