//! Every test: those of the crates, then real clients against the built programs.

use std::path::Path;
use std::process::{Command, ExitCode};

use crate::say;

/// Runs everything, step by step; stops at the first that fails.
pub(super) fn run(root: &Path) -> ExitCode {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let has_nextest = Command::new(&cargo)
        .args(["nextest", "--version"])
        .output()
        .is_ok_and(|output| output.status.success());
    // nextest runs tests of all crates side by side; without it the tests are the same, one crate after the other.
    let tests: &[&str] =
        if has_nextest { &["nextest", "run", "--workspace"] } else { &["test", "--workspace"] };
    let binaries = root.join("target/debug");
    let cargo_step = |arguments: &[&str]| step(Command::new(&cargo).args(arguments).current_dir(root));
    let passed = cargo_step(tests)
        && cargo_step(&["build", "--package", "teleferry", "--package", "teleferry-sim", "--bins"])
        && step(
            Command::new(root.join("e2e/run"))
                .env("TELEFERRY_BIN", binaries.join("teleferry"))
                .env("TELEFERRY_SIM_BIN", binaries.join("teleferry-sim")),
        );
    if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn step(command: &mut Command) -> bool {
    say(&format!("==> {}", shown(command)));
    match command.status() {
        Ok(status) if status.success() => true,
        Ok(status) => {
            say(&format!("{} failed: {status}", shown(command)));
            false
        }
        Err(error) => {
            say(&format!("{} cannot be run: {error}", shown(command)));
            false
        }
    }
}

/// The command as one would type it.
fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}
