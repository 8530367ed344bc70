//! The process that runs with these settings, if there is one.

use std::path::PathBuf;
use std::time::Duration;
use std::{fs, io};

use hyper::body::Bytes;

use super::unit::Unit;
use super::{Finding, Subject};
use crate::admin::{CallError, Question, State, Status, call};
use crate::clock;

const PROCESS: &str = "process";
const VERSION: &str = "version";
/// How long it may take to tell how it is.
const PATIENCE: Duration = Duration::from_secs(5);
/// Days after which a newer version most probably exists.
const OLD: u64 = 180;

/// The process that runs with these settings.
#[derive(Debug)]
pub(super) enum Running {
    /// It tells how it is.
    Answers(Box<Answering>),
    /// There is none.
    No,
    /// Whether there is one cannot be told, for this reason.
    Unknown(String),
}

/// A process that tells how it is.
#[derive(Debug)]
pub(super) struct Answering {
    pub(super) status: Status,
    /// Its number, where the system tells.
    pub(super) process: Option<i32>,
}

impl Running {
    /// Asks on the control socket of these settings.
    pub(super) async fn find(subject: &Subject<'_>) -> Self {
        let Some(socket) = &subject.snapshot.admin.socket else {
            return Self::Unknown("the control socket is off (admin.socket)".to_owned());
        };
        let question = Question { method: "GET", path: "/api/v1/status", body: Bytes::new() };
        match call(socket, question, PATIENCE).await {
            Ok(answer) => match serde_json::from_slice(&answer.body) {
                Ok(status) => Self::Answers(Box::new(Answering { status, process: answer.process })),
                Err(error) => Self::Unknown(format!("its answer is that of another version: {error}")),
            },
            Err(CallError::Nobody(error)) if is_absent(&error) => Self::No,
            Err(CallError::Nobody(error)) => Self::Unknown(format!("{}: {error}", socket.display())),
            Err(CallError::Refused(said) | CallError::Broken(said)) => Self::Unknown(said),
        }
    }

    /// The answering process.
    pub(super) fn answering(&self) -> Option<&Answering> {
        match self {
            Self::Answers(answering) => Some(answering),
            Self::No | Self::Unknown(_) => None,
        }
    }

    /// Its number.
    pub(super) fn process(&self) -> Option<i32> {
        self.answering().and_then(|answering| answering.process)
    }
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused)
}

/// How it is, and whether it is the program that stands on the disk.
pub(super) fn examine(running: &Running, unit: Option<&Unit>) -> Vec<Finding> {
    let mut findings = vec![state(running, unit)];
    if let Some(answering) = running.answering() {
        findings.push(version(answering));
    }
    findings.extend(age());
    findings
}

fn state(running: &Running, unit: Option<&Unit>) -> Finding {
    match running {
        Running::Answers(answering) => of_status(answering),
        Running::No if unit.is_some_and(Unit::should_run) => Finding::wrong(
            PROCESS,
            "no process runs with these settings, although its service is enabled",
            "nobody is served",
            "systemctl start teleferry, and read why it ended: journalctl -u teleferry -n 50",
        ),
        Running::No => Finding::advice(
            PROCESS,
            "no process runs with these settings",
            "nobody is served until one does",
            "start it: `systemctl start teleferry`, or `teleferry run` with the same settings",
        ),
        Running::Unknown(why) => Finding::unknown(
            PROCESS,
            format!("whether a process runs cannot be told: {why}"),
            "its ports and its own links could not be tried through it",
            "run doctor as the user that the service runs as, or with sudo; keep admin.socket on",
        ),
    }
}

fn of_status(Answering { status, process }: &Answering) -> Finding {
    let which = process.map_or_else(String::new, |process| format!(" (process {process})"));
    let found = format!("it runs{which}, for {}: {}", span(status.uptime_seconds), status.verdict);
    match status.state {
        State::Online => Finding::fine(PROCESS, found),
        State::Stopping => Finding::advice(
            PROCESS,
            found,
            "it takes no new clients and leaves once the others have gone",
            "if it should stay, start it again: systemctl restart teleferry",
        ),
        State::Troubled => Finding::wrong(
            PROCESS,
            found,
            "clients connect and wait",
            "mend what is said of Telegram below; a worker that hangs needs a restart, and a report to the authors",
        ),
    }
}

fn version(Answering { status, process }: &Answering) -> Finding {
    let ours = env!("CARGO_PKG_VERSION");
    let upgrade = "`teleferry ctl upgrade` puts the new program in its place, and cuts nobody off";
    if status.version != ours {
        return Finding::advice(
            VERSION,
            format!("version {} runs, and this program is {ours}", status.version),
            "what was mended since is not in force yet",
            upgrade,
        );
    }
    if process.is_some_and(was_replaced) {
        return Finding::advice(
            VERSION,
            format!("the program of the running process ({ours}) was replaced on the disk since it began"),
            "what was mended since is not in force yet",
            upgrade,
        );
    }
    Finding::fine(VERSION, format!("{ours} runs, which is this program's"))
}

/// Linux says so behind the name.
fn was_replaced(process: i32) -> bool {
    fs::read_link(format!("/proc/{process}/exe"))
        .is_ok_and(|program| program.to_string_lossy().ends_with(" (deleted)"))
}

/// How long ago this program was made, or put here.
fn age() -> Option<Finding> {
    let program: PathBuf = std::env::current_exe().ok()?;
    let made = fs::metadata(program).ok()?.modified().ok()?;
    let made = made.duration_since(std::time::UNIX_EPOCH).ok()?.as_secs();
    of_age(clock::unix_time().saturating_sub(made) / (24 * 60 * 60))
}

fn of_age(days: u64) -> Option<Finding> {
    (days > OLD).then(|| {
        Finding::advice(
            VERSION,
            format!("this program is {days} days old"),
            "apps and those who block them change several times a year",
            "see whether there is a newer version: docs/operate/upgrading.md",
        )
    })
}

/// A time in the two largest units.
fn span(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min"),
        (0, _, _) => format!("{hours} h {} min", minutes % 60),
        (_, _, _) => format!("{days} d {} h", hours % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_in_two_units() {
        let told = [5, 65, 3_660, 90_000].map(span);
        assert_eq!(told, ["5 s", "1 min", "1 h 1 min", "1 d 1 h"]);
    }

    #[test]
    fn an_old_program_is_told() {
        assert!(of_age(OLD).is_none());
        assert!(of_age(OLD + 1).expect("told").found.contains("181 days"));
    }

    #[test]
    fn a_program_that_was_replaced_is_known() {
        let directory = tempfile::tempdir().expect("a directory");
        let program = directory.path().join("sleep");
        fs::copy("/bin/sleep", &program).expect("copied");
        let mut child = std::process::Command::new(&program).arg("600").spawn().expect("it runs");
        let process = i32::try_from(child.id()).expect("small");
        let before = was_replaced(process);
        fs::remove_file(&program).expect("removed");
        let after = was_replaced(process);
        child.kill().expect("ours");
        child.wait().expect("ended");
        assert_eq!((before, after), (false, true));
    }
}
