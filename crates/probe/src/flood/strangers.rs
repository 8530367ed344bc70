//! Strangers, as many as the machine's descriptors allow.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::stream::{self, StreamExt as _};
use teleferry_proto::secret::SecretKey;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::failure::{Failure, Result};
use crate::stage::DOMAIN;
use crate::{clock, hello, random};

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

/// How strangers fared.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Tally {
    /// An answer came.
    pub(super) answered: usize,
    /// The connection ended without one, or could not be made.
    pub(super) ended: usize,
    /// Nothing came in time.
    pub(super) waited: usize,
}

/// How many come, and how fast.
#[derive(Debug, Clone, Copy)]
pub(super) struct Flood {
    pub(super) count: u32,
    /// A second, at most.
    pub(super) rate: u32,
    /// At the same time, at most.
    pub(super) at_once: usize,
}

/// Lets them come. It has a thread of its own, so that clients do not wait for it.
pub(super) async fn flood(address: SocketAddr, kind: Kind, flood: Flood) -> Result<Tally> {
    let flooding = tokio::task::spawn_blocking(move || {
        let began = tokio::time::Instant::from_std(clock::now());
        let tally = stream::iter(0..flood.count)
            .map(|index| async move {
                tokio::time::sleep_until(began + Duration::from_secs(1) * index / flood.rate.max(1)).await;
                tokio::time::timeout(PATIENCE, one(address, kind)).await
            })
            .buffer_unordered(flood.at_once.max(1))
            .fold(Tally::default(), async |mut tally, outcome| {
                match outcome {
                    Ok(Ok(len)) if len > 0 => tally.answered += 1,
                    Ok(_) => tally.ended += 1,
                    Err(_) => tally.waited += 1,
                }
                tally
            });
        Ok(crate::runtime()?.block_on(tally))
    });
    flooding.await.map_err(|error| Failure::new(error.to_string()))?
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
