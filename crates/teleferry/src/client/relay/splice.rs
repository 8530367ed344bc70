//! Bulk from the data centre without a copy: spliced through a pipe, with TLS record headers sent in between.
//!
//! Only on the fast path, where bytes pass as they are, and only while they come faster than a read can take; a session
//! that trickles never sees a pipe.

use std::task::{Context, Poll};

use teleferry_proto::direct::{HEADROOM, TAILROOM};
use teleferry_proto::fake_tls::record;

use super::{READ, Relay};
use crate::net::{ClientSide, Pipe};
use crate::observe::{CloseReason, Kind};
use crate::shard::take_turns;

/// Bytes that came at once below which copying them is cheaper than splicing them.
const WORTH_IT: usize = 2 * record::MAX_RECORD;

/// Bytes spliced before other sessions have their turn; they cost what a quarter of them costs when it is copied.
const SPLICED: usize = 4 * READ;

/// A session's bulk on its way.
#[derive(Debug)]
pub(super) struct Bulk {
    pipe: Pipe,
    /// Bytes of the current TLS record that are still in the pipe.
    record_left: usize,
    /// It is no bulk any more: once the pipe is empty, the session reads again.
    ends: bool,
}

impl Relay {
    /// A read was full: from now on bytes are spliced, if there is a way.
    pub(super) fn begin_bulk(&mut self) {
        if self.leg.passing().is_some_and(|(_, unseen)| unseen >= WORTH_IT) {
            self.bulk = self
                .connection
                .shard()
                .pipes()
                .lend()
                .map(|pipe| Box::new(Bulk { pipe, record_left: 0, ends: false }));
        }
    }

    /// Moves bulk until the client takes no more, the source has no more, or others have their turn. Says how many bytes
    /// came. When the source runs dry, the session goes back to reading.
    pub(super) fn move_bulk(
        &mut self,
        cx: &mut Context<'_>,
        client: &mut ClientSide,
    ) -> Result<usize, CloseReason> {
        let mut moved = 0;
        while let Some(mut bulk) = self.bulk.take() {
            if self.drain(cx, client, &mut bulk)?.is_pending() {
                self.bulk = Some(bulk);
                break;
            }
            if bulk.ends {
                break;
            }
            if moved >= SPLICED {
                self.bulk = Some(bulk);
                take_turns(cx);
                break;
            }
            let Some((source, unseen)) = self.leg.passing().filter(|(_, unseen)| *unseen >= WORTH_IT) else {
                break;
            };
            match bulk.pipe.fill(cx, source, unseen) {
                // The end shows again in the next read, which knows what is kept.
                Poll::Pending | Poll::Ready(Ok(0)) => break,
                Poll::Ready(Err(_)) => return Err(CloseReason::telegram(Kind::Reset)),
                Poll::Ready(Ok(n)) if client.is_in_records() && n < record::MIN_RECORD => {
                    self.take_back(&mut bulk.pipe)?;
                    break;
                }
                Poll::Ready(Ok(n)) => {
                    moved += n;
                    self.leg.passed(n);
                    self.shard_counters().telegram_reads.observe(n as u64);
                    bulk.ends |= n < WORTH_IT;
                    self.bulk = Some(bulk);
                }
            }
        }
        Ok(moved)
    }

    /// Too few bytes for a record: they wait for the rest of their frame.
    fn take_back(&mut self, pipe: &mut Pipe) -> Result<(), CloseReason> {
        let mut few = [0; HEADROOM + record::MIN_RECORD + TAILROOM];
        let broken = |_| CloseReason::proxy(Kind::Fault);
        let len = pipe.take(&mut few[HEADROOM..HEADROOM + record::MIN_RECORD]).map_err(broken)?;
        let sent = self.leg.take_back(&mut few, HEADROOM..HEADROOM + len);
        debug_assert!(sent.is_empty(), "what passes unseen is inside a frame");
        Ok(())
    }

    /// Empties the pipe into the client's socket.
    fn drain(
        &self,
        cx: &mut Context<'_>,
        client: &mut ClientSide,
        bulk: &mut Bulk,
    ) -> Result<Poll<()>, CloseReason> {
        let broken = |_| CloseReason::client(Kind::Reset);
        while bulk.pipe.filled() > 0 {
            if bulk.record_left == 0 {
                let (len, sent) = client.begin_record(cx, bulk.pipe.filled()).map_err(broken)?;
                bulk.record_left = len;
                self.counters().to_client.add(sent as u64);
            }
            // A header that was not taken whole goes first.
            let sent = client.flush(cx).map_err(broken)?;
            self.counters().to_client.add(sent as u64);
            if client.waiting() > 0 {
                return Ok(Poll::Pending);
            }
            let more = bulk.record_left < bulk.pipe.filled();
            match client.drain(cx, &mut bulk.pipe, bulk.record_left, more) {
                Poll::Pending => return Ok(Poll::Pending),
                Poll::Ready(Err(_)) => return Err(CloseReason::client(Kind::Reset)),
                Poll::Ready(Ok(n)) => {
                    bulk.record_left -= n;
                    self.counters().to_client.add(n as u64);
                }
            }
        }
        Ok(Poll::Ready(()))
    }
}
