//! A stranger at the cover site.

use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tracing::warn;

use crate::client::Connection;
use crate::clock;
use crate::net::{Outbox, Stream};
use crate::observe::{CloseReason, Kind};
use crate::shard::take_turns;

/// Bytes moved in one direction before other sessions have their turn.
const TURN: usize = 256 << 10;

/// Takes a stranger to the cover site with every byte that came, and relays both ways until both have ended. There is no
/// time limit of ours: the site's timers are the only ones. Without a site, the stranger is read from and not answered.
pub(crate) async fn visit(mut connection: Connection, stream: Stream, first_bytes: Vec<u8>) {
    let shard = connection.shard();
    connection.listener().counters.from_visitor.add(first_bytes.len() as u64);
    let cover = shard.cover();
    if !cover.exists() {
        return super::farewell::ignore(connection, stream).await;
    }
    connection.alarm().clear();
    let site = match connection.alarm().within(cover.connect()).await {
        Ok(Ok(site)) => site,
        Ok(Err(error)) => {
            if let Some(more) = shard.throttles.cover_unreachable.pass(clock::now()) {
                warn!(session = connection.id(), %error, more, "the cover site cannot be reached");
            }
            connection.ended(CloseReason::cover(Kind::Unreachable));
            return super::farewell(&connection, stream).await;
        }
        Err(expiry) => {
            let reason = connection.expired(expiry, CloseReason::cover(Kind::Unreachable));
            return connection.ended(reason);
        }
    };
    let mut visit = Visit {
        up: Way { name: CloseReason::client(Kind::Closed), outbox: Outbox::default(), end: End::Open },
        down: Way { name: CloseReason::cover(Kind::Closed), outbox: Outbox::default(), end: End::Open },
        stream,
        site,
        first: None,
        connection,
    };
    visit.up.outbox.hold(&first_bytes);
    drop(first_bytes);
    let reason = std::future::poll_fn(|cx| visit.poll(cx)).await;
    visit.connection.ended(reason);
}

/// Both ways between a stranger and the site.
#[derive(Debug)]
struct Visit {
    stream: Stream,
    site: Stream,
    up: Way,
    down: Way,
    /// Who ended first.
    first: Option<CloseReason>,
    connection: Connection,
}

/// One direction.
#[derive(Debug)]
struct Way {
    /// What it is called when the source ends in order.
    name: CloseReason,
    outbox: Outbox,
    end: End,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Open,
    /// The source has ended; what waits still has to go out.
    Coming,
    /// The destination knows it.
    Told,
}

impl Visit {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<CloseReason> {
        if let Poll::Ready(expiry) = self.connection.alarm().poll(cx) {
            return Poll::Ready(self.connection.expired(expiry, CloseReason::client(Kind::Idle)));
        }
        let scratch = &mut self.connection.shard().scratch()[..];
        let counters = &self.connection.listener().counters;
        for (way, outcome) in [
            (&counters.from_visitor, self.up.pump(cx, &mut self.stream, &mut self.site, scratch)),
            (&counters.to_visitor, self.down.pump(cx, &mut self.site, &mut self.stream, scratch)),
        ] {
            match outcome {
                Ok(moved) => way.add(moved as u64),
                Err(_) => return Poll::Ready(self.first.unwrap_or(CloseReason::client(Kind::Reset))),
            }
        }
        for way in [&self.up, &self.down] {
            if way.end != End::Open {
                self.first.get_or_insert(way.name);
            }
        }
        match (self.up.end, self.down.end, self.first) {
            (End::Told, End::Told, Some(first)) => Poll::Ready(first),
            _ => Poll::Pending,
        }
    }
}

impl Way {
    /// Moves what there is from `source` to `sink`, and the end of the stream behind it. Says how many bytes were read.
    fn pump<A, B>(
        &mut self,
        cx: &mut Context<'_>,
        source: &mut A,
        sink: &mut B,
        scratch: &mut [u8],
    ) -> std::io::Result<usize>
    where
        A: AsyncRead + Unpin,
        B: AsyncWrite + Unpin,
    {
        let mut moved = 0;
        loop {
            self.outbox.flush(cx, sink)?;
            if !self.outbox.is_empty() || self.end == End::Told {
                return Ok(moved);
            }
            if self.end == End::Coming {
                // Never blocks on a socket; an error shows in the next read.
                let _ = Pin::new(sink).poll_shutdown(cx);
                self.end = End::Told;
                return Ok(moved);
            }
            if moved >= TURN {
                take_turns(cx);
                return Ok(moved);
            }
            let mut read = ReadBuf::new(scratch);
            match Pin::new(&mut *source).poll_read(cx, &mut read)? {
                Poll::Pending => return Ok(moved),
                Poll::Ready(()) => match read.filled() {
                    [] => self.end = End::Coming,
                    bytes => {
                        moved += bytes.len();
                        self.outbox.write(cx, sink, bytes)?;
                    }
                },
            }
        }
    }
}
