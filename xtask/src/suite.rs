//! Every test: those of the crates, then real clients against the built programs.

use std::path::Path;
use std::process::{Command, ExitCode};

use crate::say;

/// Runs everything, step by step; stops at the first that fails.
pub(super) fn run(root: &Path) -> ExitCode {
    let missing = missing();
    if !missing.is_empty() {
        say(&format!("Missing for the real clients: {}.", missing.join("; ")));
        say("The tests of the crates need none of it: cargo test --workspace");
        return ExitCode::FAILURE;
    }
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

/// What the real clients need and this machine has not, each with a package that has it: better said at once than after the
/// crates' tests.
fn missing() -> Vec<&'static str> {
    let prints = |program: &str, arguments: &[&str]| {
        let done = Command::new(program).args(arguments).output().ok().filter(|done| done.status.success());
        done.map(|done| String::from_utf8_lossy(&done.stdout).trim().to_owned())
    };
    let python = "import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))";
    let needed = [
        (
            prints("python3", &["-c", python]).is_some(),
            "Python 3.11 or newer with venv (apt install python3-venv)",
        ),
        (
            prints("node", &["--version"]).is_some_and(|version| major(&version) >= Some(20)),
            "Node.js 20 or newer (Debian 12 has an older one: https://nodejs.org)",
        ),
        (prints("npm", &["--version"]).is_some(), "npm, which comes with Node.js (apt install npm)"),
    ];
    needed.into_iter().filter(|(there, _)| !there).map(|(_, what)| what).collect()
}

/// The first number of a version such as "v20.11.1".
fn major(version: &str) -> Option<u32> {
    version.trim_start_matches('v').split('.').next()?.parse().ok()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_number_of_a_version_counts() {
        assert_eq!(major("v20.11.1"), Some(20));
        assert_eq!(major("18"), Some(18));
        assert_eq!(major("nightly"), None);
    }
}
