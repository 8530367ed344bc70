//! What developers and CI run: `cargo xtask test` runs every test; `cargo xtask generate` writes what is generated from the
//! program itself (references, manual pages, completions).

#[cfg(test)]
mod guard;
mod metrics;
#[cfg(test)]
mod monitoring;
mod reference;
mod shell;
mod suite;

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

/// Tasks of Teleferry's developers.
#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Writes the generated references, manual pages and completions
    Generate(Generate),
    /// Runs every test, real clients included
    Test,
}

#[derive(Args)]
struct Generate {
    /// Writes nothing; fails when something is not up to date
    #[arg(long)]
    check: bool,
}

/// A file that is generated.
struct Generated {
    /// Where it lies, below the workspace.
    path: PathBuf,
    bytes: Vec<u8>,
}

fn main() -> ExitCode {
    match Cli::parse().task {
        Task::Generate(arguments) => generate(&arguments),
        Task::Test => suite::run(&root()),
    }
}

fn generate(arguments: &Generate) -> ExitCode {
    match everything().and_then(|files| bring_up_to_date(&files, arguments.check)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => {
            say("run `cargo xtask generate` and commit what it writes");
            ExitCode::FAILURE
        }
        Err(error) => {
            say(&format!("error: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// The workspace.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn everything() -> io::Result<Vec<Generated>> {
    let mut files = vec![
        Generated {
            path: "docs/reference/configuration.md".into(),
            bytes: reference::configuration().into(),
        },
        Generated { path: "docs/reference/cli.md".into(), bytes: reference::command_line().into() },
        Generated { path: "docs/reference/metrics.md".into(), bytes: metrics::page().into() },
        Generated {
            path: "docs/reference/openapi.json".into(),
            bytes: teleferry::admin::description().into(),
        },
    ];
    files.extend(shell::manual_pages()?);
    files.extend(shell::completions());
    Ok(files)
}

/// Writes what differs, or only says so; whether all is well afterwards.
fn bring_up_to_date(files: &[Generated], only_check: bool) -> io::Result<bool> {
    let root = root();
    let mut fresh = true;
    for file in files {
        let path = root.join(&file.path);
        if std::fs::read(&path).is_ok_and(|old| old == file.bytes) {
            continue;
        }
        if only_check {
            say(&format!("{} is not up to date", file.path.display()));
            fresh = false;
        } else {
            if let Some(directory) = path.parent() {
                std::fs::create_dir_all(directory)?;
            }
            std::fs::write(&path, &file.bytes)?;
            say(&format!("wrote {}", file.path.display()));
        }
    }
    Ok(fresh)
}

#[expect(clippy::print_stderr, reason = "a tool for developers, run in a terminal")]
fn say(message: &str) {
    eprintln!("{message}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_files_are_up_to_date() {
        assert!(
            bring_up_to_date(&everything().expect("generated"), true).expect("read"),
            "run `cargo xtask generate`"
        );
    }
}
