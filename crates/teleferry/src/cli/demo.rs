//! `teleferry demo`

use std::io;

use clap::Args;

use super::failure::Failure;
use crate::demo;

#[derive(Args)]
pub(super) struct Arguments {
    /// Shows a proxy in two halves: a front that clients come to, and a back that goes to Telegram
    #[arg(long)]
    split: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    if demo::run(arguments.split, &mut io::stdout())? { Ok(()) } else { Err(Failure::Told) }
}
