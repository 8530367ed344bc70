//! `teleferry-bench`: what the built proxy costs, beside relays that do nothing but relay, and what it bears.
//!
//! The proxy, the reference relays and the simulated data centres are processes of their own; the load comes from this one.
//! Nothing of this is ever part of the server.

mod children;
mod clock;
mod codec;
mod cpus;
mod failure;
mod load;
mod priority;
mod procfs;
mod reference;
mod relay;
mod soak;
mod stats;

use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use failure::Failure;
use teleferry_sim::limits;

/// Measures the built proxy.
#[derive(Debug, Parser)]
#[command(name = "teleferry-bench", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// What relaying costs, beside reference relays in the same run; writes the page of figures
    Relay(relay::Arguments),
    /// Churn: clients of every kind come and go, data centres die and come back; says what was wrong
    Soak(soak::Arguments),
    /// What the protocol code costs in instructions, counted by valgrind
    Codec(codec::Arguments),
    /// Runs one case of it in this process
    #[command(hide = true)]
    CodecCase(codec::CaseArguments),
    /// Runs a reference relay until standard input ends; says its address on standard output
    Reference(Reference),
    /// Runs the data centre of the relay bench until standard input ends; says its address on standard output
    Dc,
    /// Runs its middle proxy until standard input ends; says its address and that of its list on standard output
    Middle,
}

#[derive(Debug, Args)]
struct Reference {
    /// How it moves bytes.
    #[arg(long, value_enum)]
    mode: reference::Mode,
    /// Where it relays to.
    #[arg(long, value_name = "IP:PORT")]
    target: SocketAddr,
}

fn main() -> ExitCode {
    limits::raise_open_files();
    let done = match Cli::parse().command {
        Command::Relay(arguments) => relay::run(&arguments),
        Command::Soak(arguments) => soak::run(&arguments),
        Command::Codec(arguments) => codec::run(&arguments),
        Command::CodecCase(arguments) => codec::run_case(&arguments),
        Command::Reference(Reference { mode, target }) => reference::run(mode, target).map_err(Failure::from),
        Command::Dc => load::dc::run().map_err(Failure::from),
        Command::Middle => load::middle::run().map_err(Failure::from),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // Standard error may be gone; then nobody can be told.
            let _ = writeln!(io::stderr(), "teleferry-bench: {failure}");
            ExitCode::FAILURE
        }
    }
}
