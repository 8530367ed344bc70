//! `teleferry ping`

use std::io::Write;

use tokio::runtime::Builder;

use super::failure::Failure;
use crate::ping::{self, Args, Outcome, PingError};

pub(super) fn run(arguments: &Args, out: &mut dyn Write) -> Result<(), Failure> {
    let runtime =
        Builder::new_current_thread().enable_all().build().map_err(|error| Failure::Run(error.into()))?;
    match runtime.block_on(ping::run(arguments, out)) {
        Ok(Outcome::AllAnswered) => Ok(()),
        Ok(Outcome::SomeFailed) => Err(Failure::Told),
        Err(PingError::Link(error)) => Err(Failure::Usage(error.to_string())),
        Err(PingError::Output(error)) => Err(Failure::Output(error)),
    }
}
