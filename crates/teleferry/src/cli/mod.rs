//! The command line: what was typed, and which command that is.
//!
//! Data goes to standard output, messages to standard error. A command ends with 0, with 1 when it failed, or with 2 when
//! it was asked for something that cannot be.

mod certs;
mod check;
mod container;
mod ctl;
mod demo;
mod doctor;
mod failure;
mod generate;
mod import;
mod link;
mod ping;
mod run;
mod secret;
mod settings;

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

pub use failure::Failure;
pub use generate::{completions, explain_keys};

/// A Telegram proxy that looks like an ordinary HTTPS site.
///
/// Clients connect with the links that `teleferry link` prints. Everybody else sees the cover site.
#[derive(Parser)]
#[command(name = "teleferry", version, max_term_width = 100, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs the proxy in the foreground until it is told to stop
    Run(run::Arguments),
    /// Shows that everything works: Telegram in miniature, this proxy, and clients through every protocol
    Demo(demo::Arguments),
    /// Checks the settings and prints what they mean, with secrets shortened
    Check(check::Arguments),
    /// Looks at everything that the server depends on, and says what to mend
    Doctor(doctor::Arguments),
    /// Prints the links that clients connect with
    Link(link::Arguments),
    /// Makes a random secret, in all its written forms
    Secret(secret::Arguments),
    /// Asks every data centre through a proxy, and says where it fails
    Ping(crate::ping::Args),
    /// Asks the running process how it is, or tells it what to do
    Ctl(ctl::Arguments),
    /// Makes the certificates of fronts and backs, and takes them back
    Certs(certs::Arguments),
    /// Reads another proxy's configuration, prints ours, and proves that the links stay the same
    Import(import::Arguments),
    /// Prints a script that completes this command line in a shell
    Completions(generate::CompletionsArguments),
    /// Prints the manual page
    Man,
}

/// Runs the command that was typed.
#[must_use]
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let done = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli.command.run(&mut io::stdout().lock()),
        Err(error) => Err(Failure::CommandLine(error)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.tell(),
    }
}

/// The whole command line as clap knows it, for what is generated from it.
#[must_use]
pub fn command() -> clap::Command {
    Cli::command()
}

impl Command {
    fn run(self, out: &mut dyn Write) -> Result<(), Failure> {
        match self {
            Self::Run(arguments) => run::run(&arguments),
            Self::Demo(arguments) => demo::run(&arguments),
            Self::Check(arguments) => check::run(&arguments, out),
            Self::Doctor(arguments) => doctor::run(&arguments, out),
            Self::Link(arguments) => link::run(&arguments, out),
            Self::Secret(arguments) => secret::run(&arguments, out),
            Self::Ping(arguments) => ping::run(&arguments, out),
            Self::Ctl(arguments) => ctl::run(&arguments, out),
            Self::Certs(arguments) => certs::run(&arguments, out),
            Self::Import(arguments) => import::run(&arguments, out),
            Self::Completions(arguments) => generate::run_completions(&arguments, out),
            Self::Man => generate::run_man(out),
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_command_line_is_consistent() {
        super::command().debug_assert();
    }
}
