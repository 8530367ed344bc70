//! Runs the built program in a directory of its own.
#![allow(dead_code, reason = "each test file uses its own part")]

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output, Stdio};

use tempfile::TempDir;

pub(crate) const KEY: &str = "8f1d5b0c4e3a49719c2b7d60a5e4f312";
pub(crate) const OTHER_KEY: &str = "0b7c91d2e8f64a35bc1d7e90f2a3645c";

/// A directory with a configuration, in which the program can be run.
pub(crate) struct Place {
    directory: TempDir,
}

/// What a command did.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self { directory: tempfile::tempdir().expect("a directory") }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, text).expect("written");
        path
    }

    /// A command of the program that sees nothing of this machine's environment and keeps its state here.
    pub(crate) fn command<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_teleferry"));
        command.args(arguments).env_clear().current_dir(self.directory.path()).stdin(Stdio::null());
        command.env("STATE_DIRECTORY", self.path("state"));
        command
    }

    /// Runs a command of the system here.
    pub(crate) fn shell<'a>(
        &self,
        program: &str,
        arguments: impl IntoIterator<Item = &'a str>,
    ) -> ExitStatus {
        Command::new(program).args(arguments).current_dir(self.directory.path()).status().expect("it runs")
    }

    /// The lines of a file or pipe; waits for whoever writes into the pipe.
    pub(crate) fn lines(&self, name: &str) -> impl Iterator<Item = String> + Send + use<> {
        let file = std::fs::File::open(self.path(name)).expect("readable");
        BufReader::new(file).lines().map(|line| line.expect("UTF-8"))
    }

    /// Runs a command to its end.
    pub(crate) fn run<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Done {
        finish(&mut self.command(arguments))
    }
}

pub(crate) fn finish(command: &mut Command) -> Done {
    let Output { status, stdout, stderr } = command.output().expect("the program runs");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    Done { code: status.code(), stdout: text(stdout), stderr: text(stderr) }
}

/// A configuration with one listener that serves every kind of client, and a named secret.
pub(crate) fn configuration(address: &str) -> String {
    format!(
        r#"[server]
state_dir = "state"
public_host = "proxy.example"

[telegram]
mode = "direct"

[[listen]]
name = "all"
address = "{address}"
secret = "{KEY}"
secrets = {{ alice = "{OTHER_KEY}" }}
protocols = ["tls", "secure", "classic"]
domain = "www.example.com"

[cover]
target = "192.0.2.1:443"
"#
    )
}

/// Whether a text holds one of the keys, in hexadecimal of either case.
pub(crate) fn shows_a_key(text: &str) -> bool {
    let text = text.to_lowercase();
    text.contains(KEY) || text.contains(OTHER_KEY)
}

pub(crate) fn kept_state(place: &Place) -> Vec<String> {
    let mut names: Vec<_> = std::fs::read_dir(place.path("state"))
        .into_iter()
        .flatten()
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8"))
        .collect();
    names.sort();
    names
}

pub(crate) fn exists(path: &Path) -> bool {
    path.try_exists().expect("can be looked at")
}
