//! `teleferry-probe`: what a prober sees of the built proxy, beside what it sees of the cover site alone.
//!
//! The site is a real nginx and the proxy is the built program, both processes of their own. Nothing of this is ever
//! part of the server.

mod catalogue;
mod clock;
mod defects;
mod failure;
mod flood;
mod hello;
mod observation;
mod random;
mod script;
mod stage;
mod suite;
mod timing;
mod visitor;

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use failure::Result;
use teleferry_sim::limits;

/// Probes the built proxy, and a real site beside it.
#[derive(Debug, Parser)]
#[command(name = "teleferry-probe", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Every probe against the proxy and against nginx alone; fails when one can tell them apart
    Suite(suite::Arguments),
    /// The suite against relays with one fault each: it has to find every one
    Defects(defects::Arguments),
    /// The time from hello to first byte: clients, strangers, and the site alone
    Timing(timing::Arguments),
    /// What a flood of strangers costs, and what clients notice of it
    Flood(flood::Arguments),
}

fn main() -> ExitCode {
    limits::raise_open_files();
    let done = match Cli::parse().command {
        Command::Suite(arguments) => suite::run(&arguments),
        Command::Defects(arguments) => defects::run(&arguments),
        Command::Timing(arguments) => timing::run(&arguments),
        Command::Flood(arguments) => flood::run(&arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // Standard error may be gone; then nobody can be told.
            let _ = writeln!(io::stderr(), "teleferry-probe: {failure}");
            ExitCode::FAILURE
        }
    }
}

/// Says a line on standard output, which may be gone.
fn tell(line: &str) {
    let _ = writeln!(io::stdout(), "{line}");
}

/// One thread plays all parts of a prober.
fn runtime() -> Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}
