//! Ending a connection so that it looks like any server's, and treating strangers where there is no cover site.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead as _, AsyncWriteExt as _, ReadBuf};

use crate::client::Connection;
use crate::net::Stream;
use crate::observe::{CloseReason, Kind};

/// What is read and thrown away of a stranger without a cover site, at most.
const IGNORED: Bounds = Bounds { time: Duration::from_secs(300), bytes: 4 << 20 };
/// The same for a connection that we end: closing with unread bytes would make the kernel send a reset.
const FAREWELL: Bounds = Bounds { time: Duration::from_secs(5), bytes: 256 << 10 };

#[derive(Debug, Clone, Copy)]
struct Bounds {
    time: Duration,
    bytes: usize,
}

/// Reads from a stranger and answers nothing, until the stranger ends it or the bounds are reached; so neither time nor
/// the number of bytes tells what we were waiting for.
pub(super) async fn ignore(mut connection: Connection, stream: Stream) {
    let mut stream = stream;
    let reason = discard(&connection, &mut stream, IGNORED).await;
    connection.ended(reason);
    if reason == CloseReason::client(Kind::Limit) {
        farewell(&connection, stream).await;
    }
}

/// Ends our direction in order, then reads what is still on its way for a short time.
pub(crate) async fn farewell(connection: &Connection, mut stream: Stream) {
    // An error means that the other end is gone already.
    if stream.shutdown().await.is_ok() {
        discard(connection, &mut stream, FAREWELL).await;
    }
}

/// Reads and throws away; says why it stopped.
async fn discard(connection: &Connection, stream: &mut Stream, bounds: Bounds) -> CloseReason {
    connection.alarm().set(bounds.time);
    let mut left = bounds.bytes;
    let reading = std::future::poll_fn(|cx| discard_now(connection, stream, &mut left, cx));
    match connection.alarm().within(reading).await {
        Ok(reason) => reason,
        Err(expiry) => connection.expired(expiry, CloseReason::client(Kind::Limit)),
    }
}

fn discard_now(
    connection: &Connection,
    stream: &mut Stream,
    left: &mut usize,
    cx: &mut Context<'_>,
) -> Poll<CloseReason> {
    let mut scratch = connection.shard().scratch();
    loop {
        let mut read = ReadBuf::new(&mut scratch);
        match Pin::new(&mut *stream).poll_read(cx, &mut read) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Err(_)) => return Poll::Ready(CloseReason::client(Kind::Reset)),
            Poll::Ready(Ok(())) => {
                let n = read.filled().len();
                if n == 0 {
                    return Poll::Ready(CloseReason::client(Kind::Closed));
                }
                connection.listener().counters.from_visitor.add(n as u64);
                *left = left.saturating_sub(n);
                if *left == 0 {
                    return Poll::Ready(CloseReason::client(Kind::Limit));
                }
            }
        }
    }
}
