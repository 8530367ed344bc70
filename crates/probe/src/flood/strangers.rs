//! Strangers, as many as the machine's descriptors allow.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::stream::{self, StreamExt as _};
use teleferry_proto::secret::SecretKey;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::failure::Result;
use crate::stage::DOMAIN;
use crate::{hello, random};

/// What strangers send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// 64 random bytes.
    Garbage,
    /// A hello of today's apps, with a secret that nobody knows.
    Hello,
}

impl Kind {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Garbage => "garbage",
            Self::Hello => "bad hellos",
        }
    }

    fn bytes(self) -> Vec<u8> {
        match self {
            Self::Garbage => [&b"a"[..], &random::bytes(63)].concat(),
            Self::Hello => hello::greet(&SecretKey::new(random::array()), DOMAIN, 0).wire,
        }
    }
}

/// So long a stranger waits for an answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Lets as many come, `at_once` at a time; gives how many were answered.
pub(super) async fn flood(address: SocketAddr, kind: Kind, count: usize, at_once: usize) -> Result<usize> {
    let outcomes = stream::iter(0..count).map(|_| tokio::time::timeout(PATIENCE, one(address, kind)));
    let answered = outcomes.buffer_unordered(at_once.max(1)).filter(|outcome| {
        let answered = matches!(outcome, Ok(Ok(len)) if *len > 0);
        async move { answered }
    });
    Ok(answered.count().await)
}

/// Sends, takes the first bytes of the answer, and goes.
async fn one(address: SocketAddr, kind: Kind) -> std::io::Result<usize> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(&kind.bytes()).await?;
    let len = stream.read(&mut [0; 4096]).await?;
    // No TIME_WAIT: there are only so many ports.
    stream.set_zero_linger()?;
    Ok(len)
}
