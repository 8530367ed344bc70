//! One question to the cover site.

use std::fmt;
use std::io;
use std::time::Duration;

use teleferry_proto::fake_tls::greeting::{Shape, greet};
use teleferry_proto::fake_tls::profile::{MAX_FLIGHT, Observation, Unlike, observe};
use teleferry_proto::secret::SecretKey;
use tokio::io::AsyncReadExt as _;
use tokio::time::timeout;

use crate::client::x25519_public;
use crate::clock;
use crate::cover::latency::Question;
use crate::cover::site::Places;
use crate::entropy;
use crate::net::Stream;

/// How long the site may take to begin its answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why nothing was learned.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It came back to us.
    Loop,
    /// No connection, or no answer.
    Unreachable(io::Error),
    /// An answer that ours cannot be like.
    Unlike(Unlike),
}

/// Sends a hello of this shape for this name, which no secret proves, and looks at what comes until nothing has come for
/// `silence`.
///
/// # Errors
/// There is nothing to learn from it.
pub(crate) async fn sample(
    places: &Places,
    name: &str,
    shape: Shape,
    silence: Duration,
) -> Result<Observation, Failure> {
    let key = SecretKey::new(entropy::array());
    let x25519 = x25519_public().map_err(|error| Failure::Unreachable(io::Error::other(error)))?;
    let greeting = greet(shape, &key, name, clock::unix_time() as u32, &entropy::array(), &x25519);
    let sent = places.calls().hello(greeting.random);
    let question =
        |called| Question { wanted: places.named(name.as_bytes()), hybrid: shape == Shape::Modern, called };
    let answer = ask(places, question, &greeting.wire, silence).await;
    if sent.came_back(answer.as_ref().is_ok_and(|flight| !flight.is_empty())) {
        return Err(Failure::Loop);
    }
    let flight = answer.map_err(Failure::Unreachable)?;
    observe(&flight).map_err(Failure::Unlike)
}

/// Also notes how long the first bytes took.
async fn ask(
    places: &Places,
    question: impl Fn(bool) -> Question,
    hello: &[u8],
    silence: Duration,
) -> io::Result<Vec<u8>> {
    let called = clock::now();
    let mut call = places.connect(question(false).wanted, None).await?;
    let connected = clock::now();
    call.say(hello).await?;
    let mut flight = Vec::new();
    // Silence after the first bytes is the end of the flight; before them it is none.
    let first = timeout(PATIENCE, receive(&mut call.stream, &mut flight)).await??;
    let answered = clock::now();
    if first > 0 {
        for (from, was_called) in [(called, false), (connected, true)] {
            places.latencies().note(question(was_called), answered.saturating_duration_since(from));
        }
        while flight.len() < MAX_FLIGHT {
            match timeout(silence, receive(&mut call.stream, &mut flight)).await {
                Ok(Ok(1..)) => {}
                Ok(Ok(0) | Err(_)) | Err(_) => break,
            }
        }
    }
    Ok(flight)
}

async fn receive(stream: &mut Stream, flight: &mut Vec<u8>) -> io::Result<usize> {
    stream.read_buf(flight).await
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Loop => f.write_str("cover.target leads back to this server"),
            Self::Unreachable(error) => error.fmt(f),
            Self::Unlike(unlike) => unlike.fmt(f),
        }
    }
}
