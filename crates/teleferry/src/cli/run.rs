//! `teleferry run`

use clap::Args;
use tracing::warn;

use super::failure::Failure;
use super::settings::{Absent, Flags};
use crate::config::Snapshot;
use crate::control::{ReloadError, Source};
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
    process::run(settings.snapshot, &arguments.flags, &logging).map_err(|error| Failure::Run(error.into()))
}

impl Source for Flags {
    /// What was given at the start still wins over the file.
    fn read(&self) -> Result<Snapshot, ReloadError> {
        if self.file().is_none() {
            return Err(ReloadError::NoFile);
        }
        let settings = self.settings(Absent::Refuse).map_err(|failure| match failure {
            Failure::Config(error) => ReloadError::Config(error),
            Failure::Usage(text) => ReloadError::Usage(text),
            _ => ReloadError::Usage("the settings cannot be read".to_owned()),
        })?;
        for warning in &settings.warnings {
            warn!("{warning}");
        }
        Ok(settings.snapshot)
    }
}
