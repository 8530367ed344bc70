//! An established session: frames up, answers down, in one task that moves bytes in the turn in which they come.
//!
//! Nothing is held while nothing comes: both directions read into the shard's scratch buffer, work in place and write at
//! once. Only what a socket would not take waits in an outbox, and its side is not read from until that is gone: so a
//! slow client stops the reading of its own data centre, and of nobody else's.

use std::cell::RefCell;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use teleferry_proto::fake_tls::record::RecordError;
use teleferry_proto::session::{HEADROOM, Received, Session, SessionError};
use teleferry_proto::transport::FrameError;
use tracing::warn;

use super::door::Client;
use super::{Connection, farewell};
use crate::backend::Leg;
use crate::clock;
use crate::net::{ClientSide, PIECE};
use crate::observe::{CloseReason, Kind, Side};
use crate::shard::Expiry;

/// Bytes read at once: what is sent to a client at once.
const READ: usize = PIECE;
/// Bytes moved in one direction before other sessions have their turn.
const TURN: usize = 4 * READ;
/// How long a connection that one side has ended may be without anything from the other.
const HALF_CLOSED: Duration = Duration::from_secs(10);

/// An established session.
#[derive(Debug)]
pub(super) struct Relay {
    /// The client's socket; a leg may write to it too.
    client: Rc<RefCell<ClientSide>>,
    session: Session,
    leg: Leg,
    /// Client → Telegram.
    up: Way,
    /// Telegram → client.
    down: Way,
    stage: Stage,
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
    /// with the client's header, for [`run`](Self::run).
    pub(super) fn new(
        connection: Connection,
        side: Rc<RefCell<ClientSide>>,
        client: Client,
        leg: Leg,
    ) -> (Self, Vec<u8>) {
        let relay = Self {
            client: side,
            session: Session::new(client.header.framing, client.from_client, client.records),
            leg,
            up: Way::Open,
            down: Way::Open,
            stage: Stage::Greeting,
            connection,
        };
        (relay, client.early)
    }

    /// Relays until one side ends it or breaks the rules.
    pub(super) async fn run(mut self, mut early: Vec<u8>) {
        let reason = std::future::poll_fn(|cx| self.poll(cx, &mut early)).await;
        self.connection.ended(reason);
        if reason.is_misbehaviour() {
            drop(self.leg);
            farewell(&self.connection, self.client).await;
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>, early: &mut Vec<u8>) -> Poll<CloseReason> {
        if let Poll::Ready(expiry) = self.connection.alarm().poll(cx) {
            if expiry == Expiry::Deadline && self.was_heard() {
                return self.poll(cx, early);
            }
            return Poll::Ready(self.connection.expired(expiry, self.late()));
        }
        let shard = Rc::clone(self.connection.shard());
        let scratch = &mut shard.scratch()[..];
        let moved = self
            .start(cx, early)
            .and_then(|()| Ok((self.pump_up(cx, scratch)?, self.pump_down(cx, scratch)?)));
        match moved {
            Err(reason) => return Poll::Ready(reason),
            Ok((up, down)) if up || down => self.active(),
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

    /// Sends what came with the client's header, once.
    fn start(&mut self, cx: &mut Context<'_>, early: &mut Vec<u8>) -> Result<(), CloseReason> {
        if early.is_empty() {
            return Ok(());
        }
        let bytes = std::mem::take(early);
        self.counters().from_client.add(bytes.len() as u64);
        let mut buf = vec![0; HEADROOM];
        buf.extend_from_slice(&bytes);
        let data = HEADROOM..buf.len();
        let received = self.session.receive_stream(&mut buf, data).map_err(misbehaviour)?;
        self.forward(cx, &mut buf, received)?;
        self.active();
        Ok(())
    }

    /// Client → Telegram. Says whether anything moved.
    fn pump_up(&mut self, cx: &mut Context<'_>, scratch: &mut [u8]) -> Result<bool, CloseReason> {
        let mut moved = 0;
        loop {
            let sent = self.leg.flush(cx)?;
            self.counters().to_telegram.add(sent as u64);
            if !self.leg.is_clear() || self.up == Way::Ended {
                break;
            }
            if self.up == Way::Ending {
                self.leg.end(cx);
                self.up = Way::Ended;
                break;
            }
            if moved >= TURN {
                cx.waker().wake_by_ref();
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
        let counters = self.counters();
        counters.to_telegram.add(sent as u64);
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
        let mut client = client.borrow_mut();
        let (mut moved, mut flushed) = (0, 0);
        loop {
            flushed += client.flush(cx).map_err(reset)?;
            if client.waiting() > 0 || self.down == Way::Ended {
                break;
            }
            if self.down == Way::Ending {
                client.end(cx);
                self.down = Way::Ended;
                break;
            }
            if moved >= TURN {
                cx.waker().wake_by_ref();
                break;
            }
            match self.leg.poll_receive(cx, &mut scratch[..READ]) {
                Poll::Pending => break,
                Poll::Ready(Ok(0)) => self.down = Way::Ending,
                Poll::Ready(Ok(n)) => {
                    moved += n;
                    let sent = client.send(cx, &scratch[..n]).map_err(reset)?;
                    self.counters().to_client.add(sent as u64);
                }
                Poll::Ready(Err(reason)) => return Err(reason),
            }
        }
        self.counters().to_client.add(flushed as u64);
        if moved > 0 {
            self.counters().from_telegram.add(moved as u64);
            self.answered();
        }
        Ok(moved + flushed > 0)
    }

    /// The data centre has said something.
    fn answered(&mut self) {
        if matches!(self.stage, Stage::Greeting | Stage::Asked) {
            self.stage = Stage::Flowing;
            if let Some(address) = self.leg.own_address() {
                self.connection.shard().health.answered(address);
            }
        }
    }

    /// Whether something came past this task since the deadline was set; then there is a new one.
    fn was_heard(&mut self) -> bool {
        let Some(heard) = self.leg.heard() else { return false };
        self.answered();
        self.stage == Stage::Flowing
            && self.connection.alarm().set_since(heard, self.connection.shard().settings().relay.idle_timeout)
    }

    /// Something was relayed: the time without anything begins anew.
    fn active(&self) {
        let time = match self.stage {
            Stage::Flowing => self.connection.shard().settings().relay.idle_timeout,
            Stage::HalfClosed => HALF_CLOSED,
            Stage::Greeting | Stage::Asked => return,
        };
        self.connection.alarm().set(time);
    }

    fn half_closed(&mut self) {
        if self.stage != Stage::HalfClosed {
            // Who ended first is why it ends.
            let reason = self.over();
            self.connection.ended(reason);
            if self.stage == Stage::Asked
                && reason.side == Side::Telegram
                && let Some(address) = self.leg.own_address()
            {
                self.connection.shard().health.failed(address, clock::now());
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
        if let Some(address) = self.leg.own_address() {
            shard.health.failed(address, clock::now());
        }
        if let Some(more) = shard.throttles.dc_silent.pass(clock::now()) {
            warn!(
                session = self.connection.id(),
                address = self.leg.address().map(tracing::field::display),
                more,
                "a data centre accepted the connection and answered nothing"
            );
        }
    }

    fn counters(&self) -> &crate::observe::ListenerCounters {
        &self.connection.listener().counters
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
