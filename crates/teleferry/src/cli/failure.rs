//! How a command fails, and what it then says.

use std::error::Error;
use std::io::{self, Write as _};
use std::process::ExitCode;

use crate::config::ConfigError;
use crate::logging::colour;

/// Why a command ended early.
#[derive(Debug)]
#[non_exhaustive]
pub enum Failure {
    /// What was typed is no command; or help was asked for, which is told in the same way.
    CommandLine(clap::Error),
    /// The settings are wrong.
    Config(ConfigError),
    /// Standard output took no more.
    Output(io::Error),
    /// It went wrong while running.
    Run(Box<dyn Error + Send + Sync>),
    /// It failed, and its output has said so.
    Told,
    /// It was asked for something that cannot be. The text is a sentence without a full stop.
    Usage(String),
}

impl Failure {
    /// Says what is wrong on standard error; gives the exit code.
    pub(super) fn tell(self) -> ExitCode {
        let code = self.code();
        // Nobody is left to be told when standard error is gone too.
        let _ = self.write(&mut io::stderr().lock());
        ExitCode::from(code)
    }

    fn code(&self) -> u8 {
        match self {
            Self::CommandLine(error) => u8::try_from(error.exit_code()).unwrap_or(2),
            Self::Config(_) | Self::Usage(_) => 2,
            // Whoever read our output has seen enough.
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => 0,
            Self::Output(_) | Self::Run(_) | Self::Told => 1,
        }
    }

    fn write(&self, out: &mut io::StderrLock<'_>) -> io::Result<()> {
        match self {
            Self::CommandLine(error) => error.print(),
            Self::Config(ConfigError::Wrong(problems)) => {
                writeln!(out, "{}", problems.render(colour(out)))
            }
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            Self::Told => Ok(()),
            Self::Config(error) => write_chain(out, error),
            Self::Output(error) => writeln!(out, "error: the output cannot be written: {error}"),
            Self::Run(error) => write_chain(out, error.as_ref()),
            Self::Usage(text) => writeln!(out, "error: {text}"),
        }
    }
}

/// An error and what caused it.
fn write_chain(out: &mut io::StderrLock<'_>, error: &dyn Error) -> io::Result<()> {
    writeln!(out, "error: {error}")?;
    let mut cause = error.source();
    while let Some(error) = cause {
        writeln!(out, "  because: {error}")?;
        cause = error.source();
    }
    Ok(())
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::Config(error)
    }
}

impl From<io::Error> for Failure {
    /// Commands write to nothing but their output with `?`.
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}
