//! One request over the control socket.

use std::path::Path;
use std::time::Duration;
use std::{fmt, io};

use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::HOST;
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tokio::runtime::Builder;
use tokio::time::timeout;

use super::Failure;
use crate::admin::Problem;

/// How long the process may take: a reload may look up names.
const PATIENCE: Duration = Duration::from_secs(60);
/// Bytes of an answer, at most.
const LARGEST: usize = 16 << 20;

/// What the process said.
pub(super) struct Answer {
    pub(super) body: Bytes,
}

/// Asks the process that listens on a socket.
pub(super) fn ask(socket: &Path, method: &str, path: &str) -> Result<Answer, Failure> {
    let runtime = Builder::new_current_thread().enable_all().build().map_err(|error| broken(&error))?;
    runtime.block_on(async {
        let stream = UnixStream::connect(socket).await.map_err(|error| nobody(socket, &error))?;
        match timeout(PATIENCE, exchange(stream, method, path)).await {
            Ok(answer) => answer,
            Err(_) => Err(broken(&"it takes longer than a minute")),
        }
    })
}

async fn exchange(stream: UnixStream, method: &str, path: &str) -> Result<Answer, Failure> {
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|error| broken(&error))?;
    // Its end shows in the answer.
    let driving = tokio::spawn(async move { drop(connection.await) });
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(HOST, "teleferry")
        .body(Empty::<Bytes>::new())
        .map_err(|error| broken(&error))?;
    let response = sender.send_request(request).await.map_err(|error| broken(&error))?;
    let status = response.status();
    let body = Limited::new(response.into_body(), LARGEST).collect().await.map_err(|error| broken(&error))?;
    driving.abort();
    let body = body.to_bytes();
    if status.is_success() {
        return Ok(Answer { body });
    }
    let said = serde_json::from_slice::<Problem>(&body).map_or_else(|_| Vec::new(), |problem| problem.detail);
    let said = if said.is_empty() { status.to_string() } else { said.join("\n") };
    Err(Failure::Run(said.into()))
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
