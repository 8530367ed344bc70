//! An established session: frames up, answers down, in one task that moves bytes in the turn in which they come.
//!
//! Nothing is held while nothing comes: both directions read into the shard's scratch buffer, work in place and write at
//! once. Only what a socket would not take waits in an outbox, and its side is not read from until that is gone: so a
//! slow client stops the reading of its own data centre, and of nobody else's.

mod splice;

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use teleferry_proto::direct::{HEADROOM as HEADROOM_DOWN, TAILROOM as TAILROOM_DOWN};
use teleferry_proto::fake_tls::record::RecordError;
use teleferry_proto::session::{HEADROOM, Received, Session, SessionError};
use teleferry_proto::transport::FrameError;
use tokio::task::spawn_local;
use tracing::warn;

use super::door::Client;
use super::half::Half;
use super::{Connection, farewell};
use crate::backend::Leg;
use crate::clock;
use crate::net::{ClientSide, PIECE};
use crate::observe::{CloseReason, Kind, ListenerCounters, ShardCounters, Side};
use crate::shard::{Expiry, take_turns};
use splice::Bulk;

/// Bytes read at once: about what is sent to a client at once.
const READ: usize = PIECE;
/// What a read for the client may take, with the room that its leg needs around it.
const ROOM: usize = HEADROOM_DOWN + READ + TAILROOM_DOWN;
/// Bytes copied in one direction before other sessions have their turn. More would not be cheaper, and whoever waits
/// meanwhile notices it.
const TURN: usize = READ;
/// How long a connection that one side has ended may be without anything from the other.
const HALF_CLOSED: Duration = Duration::from_secs(10);

/// An established session.
#[derive(Debug)]
pub(super) struct Relay {
    /// The client's socket; a leg may write to it too.
    client: Rc<RefCell<ClientSide>>,
    /// Bulk on its way to the client; see [`splice`].
    bulk: Option<Box<Bulk>>,
    session: Session,
    leg: Leg,
    /// Client → Telegram.
    up: Way,
    /// Telegram → client.
    down: Way,
    stage: Stage,
    /// A packet of the client that is not all here, while it takes memory.
    half: Half,
    connection: Connection,
}

/// One direction of the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Open,
    /// The source has ended; what waits still has to go out.
    Ending,
    /// The destination knows it.
    Ended,
}

/// What the deadline stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Nothing was relayed yet: the handshake time runs.
    Greeting,
    /// The first request is on its way: the answer time runs.
    Asked,
    /// Answers came: the idle time runs, anew with every byte.
    Flowing,
    /// One side has ended: the other has a short time.
    HalfClosed,
}

impl Relay {
    /// A session between a client that proved itself and the leg that was opened for it. Gives back the bytes that came
    /// with the client's header, for [`start`](Self::start).
    pub(super) fn new(
        connection: Connection,
        side: Rc<RefCell<ClientSide>>,
        client: Client,
        leg: Leg,
    ) -> (Self, Vec<u8>) {
        let relay = Self {
            client: side,
            bulk: None,
            session: Session::new(client.header.framing, client.from_client, client.records),
            leg,
            up: Way::Open,
            down: Way::Open,
            stage: Stage::Greeting,
            half: Half::default(),
            connection,
        };
        (relay, client.early)
    }

    /// Ends it.
    async fn end(mut self, reason: CloseReason) {
        self.connection.ended(reason);
        if reason.is_misbehaviour() {
            drop(self.leg);
            farewell(self.connection, self.client).await;
        }
    }

    /// Relays until one side ends it or breaks the rules.
    fn relay(&mut self, cx: &mut Context<'_>) -> Poll<CloseReason> {
        if let Poll::Ready(expiry) = self.connection.alarm().poll(cx) {
            if expiry == Expiry::Deadline && !self.is_half_late() && (self.was_heard() || self.was_moved()) {
                return self.relay(cx);
            }
            return Poll::Ready(self.connection.expired(expiry, self.late()));
        }
        let shard = Rc::clone(self.connection.shard());
        let scratch = &mut shard.scratch()[..];
        match self.pump_up(cx, scratch).and_then(|up| Ok(self.pump_down(cx, scratch)? || up)) {
            Err(reason) => return Poll::Ready(reason),
            Ok(moved) if moved => self.active(),
            Ok(_) => {}
        }
        match (self.up, self.down) {
            (Way::Ended, Way::Ended) => Poll::Ready(self.over()),
            (Way::Open, Way::Open) => Poll::Pending,
            _ => {
                self.half_closed();
                Poll::Pending
            }
        }
    }

    /// Sends what came with the client's header.
    pub(super) fn start(&mut self, cx: &mut Context<'_>, early: &[u8]) -> Result<(), CloseReason> {
        if early.is_empty() {
            return Ok(());
        }
        self.counters().from_client.add(early.len() as u64);
        self.shard_counters().client_reads.observe(early.len() as u64);
        let mut buf = vec![0; HEADROOM];
        buf.extend_from_slice(early);
        let data = HEADROOM..buf.len();
        let received = self.session.receive_stream(&mut buf, data).map_err(misbehaviour)?;
        self.forward(cx, &mut buf, received)
    }

    /// Client → Telegram. Says whether anything moved.
    fn pump_up(&mut self, cx: &mut Context<'_>, scratch: &mut [u8]) -> Result<bool, CloseReason> {
        let mut moved = 0;
        loop {
            let sent = self.leg.flush(cx)?;
            self.count_sent(sent);
            if !self.leg.is_clear() || self.up == Way::Ended {
                break;
            }
            if self.up == Way::Ending {
                self.leg.end(cx);
                self.up = Way::Ended;
                break;
            }
            if moved >= TURN {
                take_turns(cx);
                break;
            }
            let data = HEADROOM..HEADROOM + READ;
            let read = self.client.borrow_mut().poll_read(cx, &mut scratch[data.clone()]);
            match read {
                Poll::Pending => break,
                Poll::Ready(Err(_)) => return Err(CloseReason::client(Kind::Reset)),
                Poll::Ready(Ok(0)) => self.up = Way::Ending,
                Poll::Ready(Ok(n)) => {
                    moved += n;
                    self.shard_counters().client_reads.observe(n as u64);
                    let data = data.start..data.start + n;
                    let received = self.session.receive(scratch, data).map_err(misbehaviour)?;
                    self.forward(cx, scratch, received)?;
                }
            }
        }
        self.counters().from_client.add(moved as u64);
        Ok(moved > 0)
    }

    /// Sends judged frames on to Telegram.
    fn forward(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut [u8],
        received: Received,
    ) -> Result<(), CloseReason> {
        let Received { stream, messages, filtered } = received;
        let sent = self.leg.send(cx, buf, stream)?;
        self.count_sent(sent);
        self.half.note(self.leg.held(), messages > 0, self.connection.shard().moment());
        let counters = self.counters();
        counters.messages.add(u64::from(messages));
        counters.messages_filtered.add(u64::from(filtered));
        if messages > 0 && self.stage == Stage::Greeting {
            self.stage = Stage::Asked;
            self.connection.alarm().set(self.connection.shard().settings().telegram.answer_timeout);
        }
        Ok(())
    }

    /// Telegram → client, as far as it comes through the session. Says whether anything moved.
    fn pump_down(&mut self, cx: &mut Context<'_>, scratch: &mut [u8]) -> Result<bool, CloseReason> {
        let reset = |_| CloseReason::client(Kind::Reset);
        let client = Rc::clone(&self.client);
        let client = &mut *client.borrow_mut();
        let (mut moved, mut flushed) = (0, 0);
        loop {
            flushed += client.flush(cx).map_err(reset)?;
            if client.waiting() > 0 {
                self.leg.stalled(cx)?;
                break;
            }
            if self.down == Way::Ended {
                break;
            }
            if self.down == Way::Ending {
                // When the client has ended too, the close that follows says it all.
                if self.up != Way::Ended {
                    client.end(cx);
                }
                self.down = Way::Ended;
                break;
            }
            if self.bulk.is_some() {
                moved += self.move_bulk(cx, client)?;
                if self.bulk.is_some() {
                    break;
                }
                continue;
            }
            if moved >= TURN {
                take_turns(cx);
                break;
            }
            match self.leg.poll_receive(cx, &mut scratch[..ROOM]) {
                Poll::Pending => break,
                Poll::Ready(Err(reason)) => return Err(reason),
                Poll::Ready(Ok(stream)) if stream.is_empty() => self.down = Way::Ending,
                Poll::Ready(Ok(stream)) => {
                    moved += stream.len();
                    self.shard_counters().telegram_reads.observe(stream.len() as u64);
                    let is_full = stream.len() + HEADROOM_DOWN >= READ;
                    let sent = client.send(cx, &scratch[stream]).map_err(reset)?;
                    self.counters().to_client.add(sent as u64);
                    if is_full {
                        self.begin_bulk();
                    }
                }
            }
        }
        self.counters().to_client.add(flushed as u64);
        if moved > 0 {
            self.count_received(moved);
            self.answered();
        }
        Ok(moved + flushed > 0)
    }

    /// The data centre has said something.
    fn answered(&mut self) {
        if matches!(self.stage, Stage::Greeting | Stage::Asked) {
            self.stage = Stage::Flowing;
            // A link counts for itself: its answers do not come this way.
            if matches!(self.leg, Leg::Direct(_) | Leg::Remote(_)) {
                self.connection.answered();
            }
        }
        if let Some(address) = self.leg.proven() {
            self.shard_counters().direct_answer(clock::now());
            self.connection.shard().shared.health.answered(address, clock::now());
        }
    }

    /// Whether something came past this task since the deadline was set; then there is a new one.
    fn was_heard(&mut self) -> bool {
        let Some(heard) = self.leg.heard() else { return false };
        self.answered();
        if self.stage != Stage::Flowing {
            return false;
        }
        let idle_timeout = self.connection.shard().settings().relay.idle_timeout;
        let is_set = self.connection.alarm().set_since(heard, idle_timeout);
        self.mind_half();
        is_set
    }

    /// Whether the first request may have gone with a link since the deadline was set; then there is a new one. Whoever
    /// asks again asks somebody else, who has the whole time to answer.
    fn was_moved(&self) -> bool {
        let Some(uprooted) = self.leg.uprooted().filter(|_| self.stage == Stage::Asked) else { return false };
        let answer_timeout = self.connection.shard().settings().telegram.answer_timeout;
        let is_set = self.connection.alarm().set_since(uprooted, answer_timeout);
        self.mind_half();
        is_set
    }

    /// The deadline is not later than that of a packet of which a part is here.
    fn mind_half(&self) {
        let least = self.connection.shard().settings().relay.frame_timeout;
        if let Some((since, time)) = self.half.deadline(self.leg.held(), least) {
            self.connection.alarm().bring_forward(since, time);
        }
    }

    fn is_half_late(&self) -> bool {
        let shard = self.connection.shard();
        self.half.is_late(self.leg.held(), shard.settings().relay.frame_timeout, shard.moment())
    }

    /// The data centre took the first request and did not answer it.
    fn unanswered(&self) {
        if let Some(address) = self.leg.unproven() {
            let health = &self.connection.shard().shared.health;
            health.failed(address, &"it took a request and answered nothing", clock::now());
        }
    }

    /// Something was relayed: the time without anything begins anew.
    fn active(&mut self) {
        // An answer may have come past this task.
        if self.leg.heard().is_some() {
            self.answered();
        }
        let time = match self.stage {
            Stage::Flowing => self.connection.shard().settings().relay.idle_timeout,
            Stage::HalfClosed => HALF_CLOSED,
            Stage::Greeting | Stage::Asked => return,
        };
        self.connection.alarm().set(time);
        self.mind_half();
    }

    fn half_closed(&mut self) {
        if self.stage != Stage::HalfClosed {
            // Who ended first is why it ends.
            let reason = self.over();
            self.connection.ended(reason);
            if self.stage == Stage::Asked && reason.side == Side::Telegram {
                self.unanswered();
            }
            self.stage = Stage::HalfClosed;
            self.connection.alarm().set(HALF_CLOSED);
        }
    }

    /// Why an orderly end is one.
    fn over(&self) -> CloseReason {
        if self.up == Way::Open {
            CloseReason::telegram(Kind::Closed)
        } else {
            CloseReason::client(Kind::Closed)
        }
    }

    /// What a deadline that has passed means.
    fn late(&self) -> CloseReason {
        match self.stage {
            _ if self.is_half_late() => CloseReason::client(Kind::FrameTimeout),
            Stage::Greeting => CloseReason::client(Kind::HandshakeTimeout),
            Stage::Flowing | Stage::HalfClosed => CloseReason::client(Kind::Idle),
            Stage::Asked => {
                self.silent();
                CloseReason::telegram(Kind::Silent)
            }
        }
    }

    /// The data centre took the first request and answered nothing: counted, said, and its address is tried last for a
    /// while.
    fn silent(&self) {
        let shard = self.connection.shard();
        self.counters().dc_silent.add(1);
        if let Some(dc) = self.connection.dc() {
            dc.silent.add(1);
        }
        self.unanswered();
        if let Some(more) = shard.throttles.dc_silent.pass(clock::now()) {
            warn!(
                session = self.connection.id(),
                address = ?self.leg.address(),
                more,
                "a data centre accepted the connection and answered nothing"
            );
        }
    }

    /// So many bytes went to Telegram. What goes over a link is counted for the data centre by the link.
    fn count_sent(&self, bytes: usize) {
        self.counters().to_telegram.add(bytes as u64);
        if let (Leg::Direct(_) | Leg::Remote(_), Some(dc)) = (&self.leg, self.connection.dc()) {
            dc.sent.add(bytes as u64);
        }
    }

    /// So many bytes came from the data centre, directly.
    fn count_received(&self, bytes: usize) {
        self.counters().from_telegram.add(bytes as u64);
        if let Some(dc) = self.connection.dc() {
            dc.received.add(bytes as u64);
        }
    }

    fn counters(&self) -> &ListenerCounters {
        &self.connection.listener().counters
    }

    fn shard_counters(&self) -> &ShardCounters {
        self.connection.shard().counters()
    }
}

/// Runs a session that has begun as a task of its own, so that it does not keep the room that the handshake needed.
pub(super) fn go_on(relay: Relay, begun: Result<(), CloseReason>) {
    match begun {
        Ok(()) => drop(spawn_local(Running(Some(relay)))),
        Err(reason) => drop(spawn_local(relay.end(reason))),
    }
}

/// A session's task. A future written by hand is as large as the session; an `async` block would be twice that.
struct Running(Option<Relay>);

impl Future for Running {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Some(relay) = &mut self.0 else { return Poll::Ready(()) };
        let reason = ready!(relay.relay(cx));
        if let Some(relay) = self.0.take() {
            spawn_local(relay.end(reason));
        }
        Poll::Ready(())
    }
}

/// The client broke the protocol.
pub(super) const fn misbehaviour(error: SessionError) -> CloseReason {
    CloseReason::client(match error {
        SessionError::Frame(FrameError::TooShort) => Kind::FramePadding,
        SessionError::Record(RecordError::Alert) => Kind::TlsAlert,
        SessionError::Record(_) => Kind::TlsRecord,
        _ => Kind::FrameLength,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What an idle session costs is this, the task around it and two sockets of the runtime.
    #[test]
    fn a_session_is_small() {
        assert!(size_of::<Running>() <= 424, "{} bytes", size_of::<Running>());
    }
}
