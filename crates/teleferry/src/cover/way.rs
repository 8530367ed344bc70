//! One direction of a visit.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead as _, AsyncWrite as _, ReadBuf};

use crate::net::{Outbox, Pipe, Stream};
use crate::observe::{CloseReason, Kind, Side};
use crate::shard::{Shard, take_turns};

/// Bytes moved in one direction before other sessions have their turn.
const TURN: usize = 256 << 10;
/// Bytes that came at once below which copying them is cheaper than splicing them.
const WORTH_IT: usize = 32 << 10;

/// One direction: what comes from a source goes to a sink, and the way in which the source ends goes behind it.
#[derive(Debug)]
pub(super) struct Way {
    source: Side,
    outbox: Outbox,
    /// While bytes come faster than one read takes: they are spliced.
    bulk: Option<Pipe>,
    pub(super) end: End,
    /// The source takes nothing any more: it has reset, and what can still be read of it is the last.
    gone: bool,
}

/// How far the end of a direction has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Open,
    /// The source has ended in order; what waits still has to go out.
    Ending,
    /// The sink was told so.
    Ended,
    /// The source has reset; what waits still has to go out.
    Breaking,
    /// Now the sink is to be reset.
    Broken,
    /// The sink takes nothing any more.
    Shut,
}

impl Way {
    /// From a source on this side, behind what waits already.
    pub(super) const fn new(source: Side, outbox: Outbox) -> Self {
        Self { source, outbox, bulk: None, end: End::Open, gone: false }
    }

    /// Why the source has ended, if it has.
    pub(super) const fn ended(&self) -> Option<CloseReason> {
        let kind = match self.end {
            End::Open | End::Shut => return None,
            End::Ending | End::Ended => Kind::Closed,
            End::Breaking | End::Broken => Kind::Reset,
        };
        Some(CloseReason { side: self.source, kind })
    }

    /// Whether the source has reset, so that the sink is to be reset too.
    pub(super) const fn is_reset(&self) -> bool {
        matches!(self.end, End::Breaking | End::Broken)
    }

    /// The source turns out to take nothing any more, so it has reset.
    pub(super) const fn source_gone(&mut self) {
        self.gone = true;
        if matches!(self.end, End::Ending | End::Ended) {
            self.end = End::Breaking;
        }
    }

    /// The sink turns out to take nothing any more.
    pub(super) fn sink_gone(&mut self) {
        self.end = End::Shut;
        self.bulk = None;
        self.outbox = Outbox::default();
    }

    /// Moves what there is, and the end behind it. Says how many bytes were read.
    ///
    /// # Errors
    /// The sink takes nothing any more.
    pub(super) fn pump(
        &mut self,
        cx: &mut Context<'_>,
        shard: &Shard,
        source: &mut Stream,
        sink: &mut Stream,
    ) -> io::Result<usize> {
        let mut moved = 0;
        loop {
            if self.push(cx, sink)?.is_pending() {
                return Ok(moved);
            }
            match self.end {
                End::Open => {}
                End::Ending => {
                    // Never blocks on a socket; an error shows in the next read.
                    let _ = Pin::new(&mut *sink).poll_shutdown(cx);
                    self.end = End::Ended;
                    return Ok(moved);
                }
                End::Breaking => {
                    // A reset throws away what was not sent; the caller comes back until there is nothing.
                    if sink.unsent() == 0 {
                        self.end = End::Broken;
                    }
                    return Ok(moved);
                }
                End::Ended | End::Broken | End::Shut => return Ok(moved),
            }
            if moved >= TURN {
                take_turns(cx);
                return Ok(moved);
            }
            match self.take(cx, shard, source, sink)? {
                Poll::Ready(n) => moved += n,
                Poll::Pending => return Ok(moved),
            }
        }
    }

    /// Empties outbox and pipe into the sink.
    fn push(&mut self, cx: &mut Context<'_>, sink: &mut Stream) -> io::Result<Poll<()>> {
        self.outbox.flush(cx, sink)?;
        if !self.outbox.is_empty() {
            return Ok(Poll::Pending);
        }
        if let Some(pipe) = &mut self.bulk {
            while pipe.filled() > 0 {
                if pipe.drain(cx, sink, pipe.filled(), false)?.is_pending() {
                    return Ok(Poll::Pending);
                }
            }
        }
        Ok(Poll::Ready(()))
    }

    /// Takes what the source has, once.
    fn take(
        &mut self,
        cx: &mut Context<'_>,
        shard: &Shard,
        source: &mut Stream,
        sink: &mut Stream,
    ) -> io::Result<Poll<usize>> {
        if let Some(pipe) = &mut self.bulk {
            match pipe.fill(cx, source, usize::MAX) {
                // The source trickles, or has ended: back to reading, which tells.
                Poll::Pending | Poll::Ready(Ok(0) | Err(_)) => self.bulk = None,
                Poll::Ready(Ok(n)) => return Ok(Poll::Ready(n)),
            }
        }
        let scratch = &mut shard.scratch()[..];
        let mut read = ReadBuf::new(scratch);
        match Pin::new(source).poll_read(cx, &mut read) {
            Poll::Pending => return Ok(Poll::Pending),
            Poll::Ready(Err(_)) => self.end = End::Breaking,
            Poll::Ready(Ok(())) => match read.filled() {
                [] if self.gone => self.end = End::Breaking,
                [] => self.end = End::Ending,
                bytes => {
                    self.outbox.write(cx, sink, bytes)?;
                    let n = bytes.len();
                    if n >= WORTH_IT && self.outbox.is_empty() {
                        self.bulk = shard.pipes().lend();
                    }
                    return Ok(Poll::Ready(n));
                }
            },
        }
        Ok(Poll::Ready(0))
    }
}
