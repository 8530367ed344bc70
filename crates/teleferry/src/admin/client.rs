//! One request to a running process, over its control socket.

use std::path::Path;
use std::time::Duration;
use std::{fmt, io};

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{CONTENT_TYPE, HOST};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::Problem;

/// Bytes of an answer, at most.
const LARGEST: usize = 16 << 20;

/// What to ask for.
#[derive(Debug)]
pub(crate) struct Question<'a> {
    /// Such as GET.
    pub(crate) method: &'a str,
    /// Such as `/api/v1/status`.
    pub(crate) path: &'a str,
    /// JSON, or nothing.
    pub(crate) body: Bytes,
}

/// What the process said.
#[derive(Debug)]
pub(crate) struct Answer {
    /// JSON.
    pub(crate) body: Bytes,
    /// Which process it is, where the system tells.
    pub(crate) process: Option<i32>,
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum CallError {
    /// Nobody listens there, or not for us.
    Nobody(io::Error),
    /// It refused, in sentences without a full stop.
    Refused(String),
    /// What came is no answer.
    Broken(String),
}

/// Asks the process that listens on a socket, which may take `patience`.
///
/// # Errors
/// Nobody is there, or it refuses.
pub(crate) async fn call(
    socket: &Path,
    question: Question<'_>,
    patience: Duration,
) -> Result<Answer, CallError> {
    let stream = UnixStream::connect(socket).await.map_err(CallError::Nobody)?;
    let process = stream.peer_cred().ok().and_then(|peer| peer.pid());
    match timeout(patience, exchange(stream, question)).await {
        Ok(body) => Ok(Answer { body: body?, process }),
        Err(_) => Err(CallError::Broken(format!("it takes longer than {} s", patience.as_secs()))),
    }
}

async fn exchange(stream: UnixStream, question: Question<'_>) -> Result<Bytes, CallError> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
    // Its end shows in the answer.
    let driving = tokio::spawn(async move { drop(connection.await) });
    let request = Request::builder()
        .method(question.method)
        .uri(question.path)
        .header(HOST, "teleferry")
        .header(CONTENT_TYPE, "application/json")
        .body(Full::new(question.body))
        .map_err(broken)?;
    let response = sender.send_request(request).await.map_err(broken)?;
    let status = response.status();
    let body = Limited::new(response.into_body(), LARGEST).collect().await.map_err(broken)?;
    driving.abort();
    let body = body.to_bytes();
    if status.is_success() {
        return Ok(body);
    }
    let said = serde_json::from_slice::<Problem>(&body).map_or_else(|_| Vec::new(), |problem| problem.detail);
    Err(CallError::Refused(if said.is_empty() { status.to_string() } else { said.join("\n") }))
}

fn broken(error: impl fmt::Display) -> CallError {
    CallError::Broken(error.to_string())
}
