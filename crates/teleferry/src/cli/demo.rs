//! `teleferry demo`

use std::io;

use super::failure::Failure;
use crate::demo;

pub(super) fn run() -> Result<(), Failure> {
    if demo::run(&mut io::stdout())? { Ok(()) } else { Err(Failure::Told) }
}
