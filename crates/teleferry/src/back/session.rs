//! One call of a front: a session's way from there to Telegram.

use std::cell::RefCell;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use h2::{Reason, RecvStream};
use teleferry_proto::call::{self, CallError, Open, Origin, Welcome, field};
use teleferry_proto::direct::{HEADROOM, TAILROOM};
use teleferry_proto::obfuscated::Header;
use teleferry_proto::transport::Borders;
use tracing::debug;

use super::host::Host;
use crate::backend::{Exit, Leg, Passenger};
use crate::client::{Connection, route};
use crate::clock;
use crate::listen::Place;
use crate::net::{PIECE, Peer};
use crate::observe::{CloseReason, Kind};
use crate::shard::{Expiry, take_turns};
use crate::trunk::{Ended, FULL, Incoming, Note, Outgoing, Status};

/// Bytes read at once, and before other sessions have their turn.
const READ: usize = PIECE;
/// How long a call that has to say something first may take for it.
const FIRST_WORDS: Duration = Duration::from_secs(10);
/// How long answers that are under way are waited for when a client goes elsewhere: so long after the last one.
const LINGER: Duration = Duration::from_millis(1000);

/// A session that is under way.
struct Session {
    connection: Connection,
    leg: Leg,
    incoming: Incoming,
    out: Rc<RefCell<Outgoing>>,
    /// Where the frames for the client end, when they come through here.
    borders: Borders,
    stage: Stage,
    /// The front sends nothing more.
    up_ended: bool,
    /// Telegram sends nothing more.
    down_ended: bool,
    moving: Moving,
    /// Changes of its link that the front was told of.
    migrations: u32,
}

/// What the deadline stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Nothing was asked yet: no deadline.
    Idle,
    /// The first request is on its way: the answer time runs.
    Asked,
    /// Answers came.
    Flowing,
}

/// How far a session is with going elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moving {
    No,
    /// The front was asked to take its client elsewhere.
    Asked,
    /// It does, and says nothing more here.
    Agreed,
    /// What it said has gone on; answers may still come.
    Lingering,
}

/// Serves a call to its end.
pub(super) async fn serve(host: Rc<Host>, body: RecvStream, mut out: Outgoing, own: Option<SocketAddr>) {
    let mut incoming = Incoming::new(body);
    let alarm = host.shard.alarm();
    alarm.set(FIRST_WORDS);
    let open = match alarm.within(first_words(&mut incoming)).await {
        Ok(Ok(open)) => open,
        Ok(Err(error)) => {
            debug!("a call cannot be understood: {error}");
            return host.refuse(&mut out, Status::from(error), Some(&error.to_string()));
        }
        Err(Expiry::Drained) => return host.refuse(&mut out, Status::Unavailable, None),
        Err(Expiry::Deadline) => return host.refuse(&mut out, Status::DeadlineExceeded, None),
    };
    drop(alarm);
    let Some(place) = Place::try_take(host.listener.ceiling(), host.shard.ceiling()) else {
        let sentence = "this back has as many sessions as it may";
        return host.refuse(&mut out, Status::Unavailable, Some(sentence));
    };
    host.counters.calls.add(1);
    let peer = open.client.map_or(Peer::Local, Peer::Inet);
    let mut connection = Connection::open(&host.shard, &host.listener, place, peer);
    out.say(call::note(&[(field::OPEN, &Welcome { version: call::VERSION }.encode())], &[]), false);
    let out = Rc::new(RefCell::new(out));
    let passenger = Passenger {
        header: Header { framing: open.framing, dc: open.dc },
        exit: Exit::Call(Rc::clone(&out)),
        peer,
        own,
        ad_tag: open.ad_tag,
        moved: open.origin == Origin::Moved,
        listener: &host.listener,
    };
    let reason = match route::open(&connection, &passenger).await {
        Err(reason) => reason,
        Ok(leg) => {
            connection.alarm().clear();
            debug!(session = connection.id(), way = leg.way(), "a front's session is on its way to Telegram");
            let session = Session {
                connection,
                leg,
                incoming,
                out: Rc::clone(&out),
                borders: Borders::new(open.framing),
                stage: Stage::Idle,
                up_ended: false,
                down_ended: false,
                moving: Moving::No,
                migrations: 0,
            };
            let (over, reason) = session.run(&host).await;
            connection = over;
            reason
        }
    };
    host.counters.ended.add(1);
    connection.ended(reason);
    finish(&mut out.borrow_mut(), reason);
}

/// Waits for what a call begins with.
async fn first_words(incoming: &mut Incoming) -> Result<Open, CallError> {
    match poll_fn(|cx| incoming.poll_first(cx)).await {
        Ok(Note::Field(field::OPEN, bytes)) => Open::decode(&bytes),
        Err(Ended::Garbled(error)) => Err(error),
        Ok(_) | Err(_) => Err(CallError::Field),
    }
}

/// Tells the front why it is over.
fn finish(out: &mut Outgoing, reason: CloseReason) {
    match reason.kind {
        // What waits would never be taken.
        Kind::Queue | Kind::Memory => out.reset(Reason::ENHANCE_YOUR_CALM),
        _ => out.end_with(Status::of(reason).trailers(None)),
    }
}

impl Session {
    /// Relays until it is over.
    async fn run(mut self, host: &Host) -> (Connection, CloseReason) {
        let mut stopping = host.shard.stopping();
        let mut stopping = pin!(stopping.wait());
        let reason = poll_fn(|cx| {
            if self.moving == Moving::No && stopping.as_mut().poll(cx).is_ready() {
                self.moving = Moving::Asked;
                self.out.borrow_mut().say(call::note(&[], &[(field::MOVE, 1)]), false);
            }
            self.relay(cx)
        })
        .await;
        if self.moving != Moving::No && reason.kind == Kind::Drained {
            host.counters.moved.add(1);
        }
        (self.connection, reason)
    }

    fn relay(&mut self, cx: &mut Context<'_>) -> Poll<CloseReason> {
        let alarm = self.connection.alarm();
        match alarm.poll(cx) {
            Poll::Pending => {}
            Poll::Ready(Expiry::Drained) => return Poll::Ready(CloseReason::proxy(Kind::Drained)),
            Poll::Ready(Expiry::Deadline) => match (self.moving, self.stage) {
                // A frame that has begun comes to its end.
                (Moving::Lingering, _) if !self.borders.is_at_border() => alarm.set(LINGER),
                (Moving::Lingering, _)
                    if self.leg.heard().is_some_and(|heard| alarm.set_since(heard, LINGER)) => {}
                (Moving::Lingering, _) => return Poll::Ready(CloseReason::proxy(Kind::Drained)),
                (_, Stage::Asked) if self.leg.heard().is_none() && !self.asks_anew() => {
                    self.silent();
                    return Poll::Ready(CloseReason::telegram(Kind::Silent));
                }
                (_, Stage::Asked) if self.leg.heard().is_none() => {}
                _ => alarm.clear(),
            },
        }
        let _ = alarm.poll(cx);
        let shard = Rc::clone(self.connection.shard());
        let scratch = &mut shard.scratch()[..];
        if let Err(reason) = self.pump_up(cx, scratch).and_then(|()| self.pump_down(cx, scratch)) {
            return Poll::Ready(reason);
        }
        self.tell_migrations();
        if self.down_ended {
            return Poll::Ready(CloseReason::telegram(Kind::Closed));
        }
        Poll::Pending
    }

    /// Whether a link went away with the first request, so that the answer time begins anew.
    fn asks_anew(&self) -> bool {
        let time = self.connection.shard().settings().telegram.answer_timeout;
        self.leg.uprooted().is_some_and(|uprooted| self.connection.alarm().set_since(uprooted, time))
    }

    /// Tells the front how often the link to Telegram changed.
    fn tell_migrations(&mut self) {
        let now = self.leg.migrations();
        if now != self.migrations {
            let times = u64::from(now - self.migrations);
            self.migrations = now;
            self.out.borrow_mut().say(call::note(&[], &[(field::MIGRATED, times)]), false);
        }
    }

    /// Front → Telegram.
    fn pump_up(&mut self, cx: &mut Context<'_>, scratch: &mut [u8]) -> Result<(), CloseReason> {
        let mut moved = 0;
        loop {
            let sent = self.leg.flush(cx)?;
            self.count_sent(sent);
            if !self.leg.is_clear() {
                return Ok(());
            }
            if self.up_ended {
                return self.after_the_last(cx);
            }
            if moved >= READ {
                take_turns(cx);
                return Ok(());
            }
            // What was read before has gone on.
            self.incoming.release();
            let moving = &mut self.moving;
            let read = self.incoming.poll_read(cx, &mut scratch[..READ], |note| {
                if let Note::Number(field::MOVE, 1..) = note {
                    *moving = Moving::Agreed;
                }
            });
            match read {
                Poll::Pending => return Ok(()),
                Poll::Ready(Ok(len)) => {
                    moved += len;
                    self.connection.listener().counters.from_client.add(len as u64);
                    let sent = self.leg.send(cx, scratch, 0..len)?;
                    self.count_sent(sent);
                    if self.stage == Stage::Idle && len > 0 {
                        self.stage = Stage::Asked;
                        let shard = self.connection.shard();
                        self.connection.alarm().set(shard.settings().telegram.answer_timeout);
                    }
                }
                Poll::Ready(Err(Ended::Said(..))) => self.up_ended = true,
                Poll::Ready(Err(Ended::Garbled(_))) => return Err(CloseReason::client(Kind::FrameLength)),
                Poll::Ready(Err(Ended::Reset(_) | Ended::Lost { .. })) => {
                    return Err(CloseReason::client(Kind::Reset));
                }
            }
        }
    }

    /// All that the front said has gone on.
    fn after_the_last(&mut self, cx: &mut Context<'_>) -> Result<(), CloseReason> {
        match self.moving {
            Moving::Agreed => {
                self.moving = Moving::Lingering;
                self.connection.alarm().set(LINGER);
                // So that the deadline wakes this task.
                let _ = self.connection.alarm().poll(cx);
            }
            Moving::Lingering => {}
            Moving::No | Moving::Asked => self.leg.end(cx),
        }
        Ok(())
    }

    /// Telegram → front, as far as it comes through here.
    fn pump_down(&mut self, cx: &mut Context<'_>, scratch: &mut [u8]) -> Result<(), CloseReason> {
        let mut moved = 0;
        while !self.down_ended {
            {
                let out = &mut *self.out.borrow_mut();
                out.listen(cx);
                // What comes past this task has a bound of its own.
                if out.waiting() >= FULL && matches!(self.leg, Leg::Direct(_)) {
                    out.count();
                    return Ok(());
                }
            }
            if moved >= READ {
                take_turns(cx);
                return Ok(());
            }
            match self.leg.poll_receive(cx, &mut scratch[..HEADROOM + READ + TAILROOM]) {
                Poll::Pending => return Ok(()),
                Poll::Ready(Err(reason)) => return Err(reason),
                Poll::Ready(Ok(stream)) if stream.is_empty() => self.down_ended = true,
                Poll::Ready(Ok(stream)) => {
                    moved += stream.len();
                    self.received(stream.len());
                    let frames = &scratch[stream];
                    self.borders.walk(frames);
                    let mut bytes = Vec::with_capacity(call::HEADROOM + frames.len());
                    bytes.resize(call::HEADROOM, 0);
                    bytes.extend_from_slice(frames);
                    self.out.borrow_mut().send(bytes);
                }
            }
        }
        Ok(())
    }

    fn received(&mut self, bytes: usize) {
        let counters = &self.connection.listener().counters;
        counters.from_telegram.add(bytes as u64);
        counters.to_client.add(bytes as u64);
        if let Some(dc) = self.connection.dc() {
            dc.received.add(bytes as u64);
        }
        if self.stage == Stage::Asked {
            self.stage = Stage::Flowing;
            self.connection.answered();
        }
        if self.moving == Moving::Lingering {
            self.connection.alarm().set(LINGER);
        }
        if let Some(address) = self.leg.proven() {
            let shard = self.connection.shard();
            shard.counters().direct_answer(clock::now());
            shard.shared.health.answered(address, clock::now());
        }
    }

    /// So many bytes went to Telegram. What goes over a link is counted for the data centre by the link.
    fn count_sent(&self, bytes: usize) {
        self.connection.listener().counters.to_telegram.add(bytes as u64);
        if let (Leg::Direct(_), Some(dc)) = (&self.leg, self.connection.dc()) {
            dc.sent.add(bytes as u64);
        }
    }

    /// The data centre took the first request and answered nothing.
    fn silent(&self) {
        if let Some(dc) = self.connection.dc() {
            dc.silent.add(1);
        }
        self.connection.listener().counters.dc_silent.add(1);
        if let Some(address) = self.leg.unproven() {
            let health = &self.connection.shard().shared.health;
            health.failed(address, &"it took a request and answered nothing", clock::now());
        }
    }
}
