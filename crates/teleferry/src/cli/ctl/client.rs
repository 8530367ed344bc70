//! Requests over the control socket, and what it means when there is no answer.

use std::path::Path;
use std::time::Duration;
use std::{fmt, io};

use hyper::body::Bytes;
use tokio::runtime::Builder;

use super::Failure;
use crate::admin::{Answer, CallError, Question, call};

/// How long the process may take: a reload may look up names.
const PATIENCE: Duration = Duration::from_mins(1);

/// Asks the process that listens on a socket.
pub(super) fn ask(socket: &Path, method: &str, path: &str) -> Result<Answer, Failure> {
    ask_with(socket, method, path, Bytes::new())
}

/// The same with a body, as JSON.
pub(super) fn ask_with(socket: &Path, method: &str, path: &str, body: Bytes) -> Result<Answer, Failure> {
    let runtime = Builder::new_current_thread().enable_all().build().map_err(|error| broken(&error))?;
    let answer = runtime.block_on(call(socket, Question { method, path, body }, PATIENCE));
    answer.map_err(|error| match error {
        CallError::Nobody(error) => nobody(socket, &error),
        CallError::Refused(said) => Failure::Run(said.into()),
        CallError::Broken(error) => broken(&error),
    })
}

/// Nobody answers.
fn nobody(socket: &Path, error: &io::Error) -> Failure {
    let advice = match error.kind() {
        io::ErrorKind::PermissionDenied => "it belongs to another user: use sudo",
        io::ErrorKind::ConnectionRefused => "the process that made it has gone: start `teleferry run`",
        _ => "start `teleferry run`, or name its configuration with --config or its socket with --socket",
    };
    Failure::Run(format!("no running process answers on {}: {error} ({advice})", socket.display()).into())
}

fn broken(error: &dyn fmt::Display) -> Failure {
    Failure::Run(format!("the running process does not answer as it should: {error}").into())
}
