//! A stranger at the cover site.

use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use teleferry_proto::fake_tls::client_hello::ClientHello;
use tracing::{error, warn};

use super::call::Call;
use super::early::{Early, Progress};
use super::latency::{Latencies, Question};
use super::site::{Site, Visitor, Wanted, hello_in};
use super::way::{End, Way};
use crate::client::Connection;
use crate::clock;
use crate::net::{Outbox, Stream};
use crate::observe::{CloseReason, Kind, Side};
use crate::shard::Expiry;

/// How many ticks a reset waits for bytes that came before it and that the other end does not take.
const PATIENCE: u32 = 50;

/// Takes a stranger to the cover site with every byte that came, and relays both ways until both have ended, or one has
/// reset, which the other then sees. There is no limit of ours on time or bytes: the site's timers are the only ones.
///
/// When the site cannot be reached the stranger gets what a load balancer gives whose servers are down: an orderly end
/// and no byte, as soon as that is known. Without a site, the stranger is read from and not answered.
pub(crate) async fn visit(connection: Connection, stream: Stream, first_bytes: Vec<u8>, early: Early) {
    connection.listener().counters.from_visitor.add(first_bytes.len() as u64);
    let site = connection.shard().cover();
    if !site.exists() {
        return super::farewell::ignore(connection, stream).await;
    }
    connection.alarm().clear();
    let hello = hello_in(&first_bytes);
    let asked = Asked::of(&connection, &site, hello.as_ref(), &early);
    let visitor = Visitor::new(&connection, &stream);
    let wanted = site.places().wanted(hello.as_ref());
    let arriving = arrive(&connection, &site, visitor, wanted, &first_bytes, early);
    let (mut call, passed_on) = match connection.alarm().within(arriving).await {
        Ok(Ok(arrived)) => arrived,
        Ok(Err(reason)) => return leave(connection, stream, reason).await,
        Err(expiry) => {
            let reason = connection.expired(expiry, CloseReason::cover(Kind::Unreachable));
            return leave(connection, stream, reason).await;
        }
    };
    drop(hello);
    call.outbox.hold(&first_bytes[passed_on..]);
    drop(first_bytes);
    let mut visit = Visit {
        up: Way::new(Side::Client, std::mem::take(&mut call.outbox)),
        down: Way::new(Side::Cover, Outbox::default()),
        first: None,
        waited: 0,
        asked,
        connection,
    };
    let (mut stream, mut call) = (stream, call);
    let reason = std::future::poll_fn(|cx| visit.poll(cx, &mut stream, &mut call.stream)).await;
    visit.connection.ended(reason);
    if visit.down.is_reset() {
        stream.reset();
    }
    if visit.up.is_reset() {
        call.stream.reset();
    }
}

/// A connection to the site, and how many of the first bytes it has already.
async fn arrive(
    connection: &Connection,
    site: &Site,
    visitor: Visitor,
    wanted: Wanted,
    first_bytes: &[u8],
    early: Early,
) -> Result<(Call, usize), CloseReason> {
    let shard = connection.shard();
    if site.places().calls().lead_back(visitor, first_bytes) {
        if let Some(more) = shard.throttles.cover_loop.pass(clock::now()) {
            error!(
                session = connection.id(),
                more,
                "cover.target leads back to this server: visitors get nothing; name the web server itself"
            );
        }
        return Err(CloseReason::cover(Kind::Loop));
    }
    let called = match early.into_progress(wanted) {
        Progress::Connected(call, passed_on) => return Ok((call, passed_on)),
        Progress::Calling(calling) => calling.await,
        Progress::None => site.receive(wanted, visitor).await,
    };
    called.map(|call| (call, 0)).map_err(|error| {
        if let Some(more) = shard.throttles.cover_unreachable.pass(clock::now()) {
            warn!(session = connection.id(), %error, more, "the cover site cannot be reached");
        }
        CloseReason::cover(Kind::Unreachable)
    })
}

/// Ends a stranger's connection that did not come to the site.
async fn leave(mut connection: Connection, stream: Stream, reason: CloseReason) {
    connection.ended(reason);
    if reason.kind != Kind::Drained {
        super::farewell(&connection, stream).await;
    }
}

/// Both ways between a stranger and the site.
#[derive(Debug)]
struct Visit {
    up: Way,
    down: Way,
    /// Who ended first, and how.
    first: Option<CloseReason>,
    /// Ticks that a reset has waited.
    waited: u32,
    /// While the site has not answered.
    asked: Option<Asked>,
    connection: Connection,
}

/// A hello as clients send it, whose answer shows how long the site takes.
#[derive(Debug)]
struct Asked {
    question: Question,
    at: Instant,
    latencies: Latencies,
}

impl Asked {
    /// A visitor's, now. `None` for hellos that a site answers in another way than clients': for another name, of an old
    /// version, or of a session that goes on.
    fn of(
        connection: &Connection,
        site: &Site,
        hello: Option<&ClientHello<'_>>,
        early: &Early,
    ) -> Option<Self> {
        let hello = hello.filter(|hello| hello.begins_anew())?;
        if !connection.listener().rules().door.has_name(hello.server_name()) {
            return None;
        }
        let question = site.places().question(hello, early.has_called()?);
        Some(Self { question, at: clock::now(), latencies: site.places().latencies().clone() })
    }

    /// Bytes of the answer have come.
    fn answered(self, bytes: usize, at: Instant) {
        /// An alert is shorter, a flight longer.
        const FLIGHT: usize = 64;
        if bytes > FLIGHT {
            self.latencies.note(self.question, at.saturating_duration_since(self.at));
        }
    }
}

impl Visit {
    fn poll(&mut self, cx: &mut Context<'_>, stream: &mut Stream, site: &mut Stream) -> Poll<CloseReason> {
        while let Poll::Ready(expiry) = self.connection.alarm().poll(cx) {
            if expiry == Expiry::Drained {
                return Poll::Ready(CloseReason::proxy(Kind::Drained));
            }
            self.connection.alarm().clear();
            self.waited += u32::from(self.up.is_reset() || self.down.is_reset());
        }
        // Before the answer is passed on: so is the moment when a client's is sent.
        let came = self.asked.as_ref().map(|_| clock::now());
        while self.pump(cx, stream, site, came) || self.is_cut(stream, site) {}
        for way in [&self.up, &self.down] {
            if let Some(reason) = way.ended() {
                self.first.get_or_insert(reason);
            }
        }
        let ends = [self.up.end, self.down.end];
        let over = ends == [End::Ended; 2] || ends == [End::Shut; 2] || ends.contains(&End::Broken);
        if over || (ends.contains(&End::Breaking) && self.waited > PATIENCE) {
            return Poll::Ready(self.first.unwrap_or(CloseReason::client(Kind::Reset)));
        }
        if ends != [End::Open; 2] {
            // No event tells what is waited for now. Just set, so the poll only has us woken.
            self.connection.alarm().set(Duration::ZERO);
            let _ = self.connection.alarm().poll(cx);
        }
        Poll::Pending
    }

    /// Whether an end that had ended in order has reset since, which is not to be read any more.
    fn is_cut(&mut self, stream: &Stream, site: &Stream) -> bool {
        let mut cut = false;
        for (way, source) in [(&mut self.up, stream), (&mut self.down, site)] {
            if way.end == End::Ended && source.was_reset() {
                way.source_gone();
                cut = true;
            }
        }
        cut
    }

    /// Moves both ways what there is. Says whether one end turned out to be gone, so that there is more to do.
    fn pump(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut Stream,
        site: &mut Stream,
        came: Option<Instant>,
    ) -> bool {
        let shard = self.connection.shard();
        let counters = &self.connection.listener().counters;
        let up = self.up.pump(cx, shard, stream, site);
        match &up {
            Ok(moved) => counters.from_visitor.add(*moved as u64),
            Err(_) => {
                self.up.sink_gone();
                self.down.source_gone();
            }
        }
        let down = self.down.pump(cx, shard, site, stream);
        match &down {
            Ok(moved) => {
                counters.to_visitor.add(*moved as u64);
                if let Some(came) = came.filter(|_| *moved > 0)
                    && let Some(asked) = self.asked.take()
                {
                    asked.answered(*moved, came);
                }
            }
            Err(_) => {
                self.down.sink_gone();
                self.up.source_gone();
            }
        }
        up.is_err() || down.is_err()
    }
}
