//! An established session: frames up, answers down, in one task that moves bytes in the turn in which they come.
//!
//! Nothing is held while nothing comes: both directions read into the shard's scratch buffer, work in place and write at
//! once. Only what a socket would not take waits in an outbox, and its side is not read from until that is gone: so a
//! slow client stops the reading of its own data centre, and of nobody else's.

use std::ops::Range;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use teleferry_proto::fake_tls::record::{self, RecordError};
use teleferry_proto::session::{HEADROOM, Received, Session, SessionError};
use teleferry_proto::transport::FrameError;
use tokio::io::{AsyncRead as _, AsyncWrite as _, ReadBuf};
use tracing::warn;

use super::Connection;
use super::door::Client;
use crate::backend::Leg;
use crate::clock;
use crate::cover;
use crate::net::{Outbox, Stream};
use crate::observe::{CloseReason, Kind, Side};

/// Bytes read at once: one TLS record towards the client, as full as it may be.
const READ: usize = record::MAX_RECORD;
/// Bytes moved in one direction before other sessions have their turn.
const TURN: usize = 16 * READ;
/// How long a connection that one side has ended may take to end on the other.
const HALF_CLOSED: Duration = Duration::from_secs(10);

/// An established session.
#[derive(Debug)]
pub(super) struct Relay {
    client: Stream,
    /// What the client does not take yet.
    to_client: Outbox,
    /// The client's stream is wrapped in TLS records.
    tls: bool,
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
    pub(super) fn new(connection: Connection, stream: Stream, client: Client, leg: Leg) -> (Self, Vec<u8>) {
        let tls = client.records.is_some();
        let relay = Self {
            client: stream,
            to_client: Outbox::default(),
            tls,
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
            cover::farewell(&self.connection, self.client).await;
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>, early: &mut Vec<u8>) -> Poll<CloseReason> {
        if let Poll::Ready(expiry) = self.connection.alarm().poll(cx) {
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
            let sent = self.leg.flush(cx).map_err(|_| CloseReason::telegram(Kind::Reset))?;
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
            let mut read = ReadBuf::new(&mut scratch[data.clone()]);
            match Pin::new(&mut self.client).poll_read(cx, &mut read) {
                Poll::Pending => break,
                Poll::Ready(Err(_)) => return Err(CloseReason::client(Kind::Reset)),
                Poll::Ready(Ok(())) => match read.filled().len() {
                    0 => self.up = Way::Ending,
                    n => {
                        moved += n;
                        let data = data.start..data.start + n;
                        let received = self.session.receive(scratch, data).map_err(misbehaviour)?;
                        self.forward(cx, scratch, received)?;
                    }
                },
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
        let sent = self.leg.send(cx, buf, stream).map_err(|_| CloseReason::telegram(Kind::Reset))?;
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

    /// Telegram → client. Says whether anything moved.
    fn pump_down(&mut self, cx: &mut Context<'_>, scratch: &mut [u8]) -> Result<bool, CloseReason> {
        let mut moved = 0;
        loop {
            let sent =
                self.to_client.flush(cx, &mut self.client).map_err(|_| CloseReason::client(Kind::Reset))?;
            self.counters().to_client.add(sent as u64);
            if !self.to_client.is_empty() || self.down == Way::Ended {
                break;
            }
            if self.down == Way::Ending {
                // Never blocks on a TCP socket; an error shows in the next read.
                let _ = Pin::new(&mut self.client).poll_shutdown(cx);
                self.down = Way::Ended;
                break;
            }
            if moved >= TURN {
                cx.waker().wake_by_ref();
                break;
            }
            let data = record::HEADER_LEN..record::HEADER_LEN + READ;
            match self.leg.poll_receive(cx, &mut scratch[data.clone()]) {
                Poll::Pending => break,
                Poll::Ready(Err(_)) => return Err(CloseReason::telegram(Kind::Reset)),
                Poll::Ready(Ok(0)) => self.down = Way::Ending,
                Poll::Ready(Ok(n)) => {
                    moved += n;
                    let out = self.framed(scratch, data.start..data.start + n);
                    let sent = self
                        .to_client
                        .write(cx, &mut self.client, &scratch[out])
                        .map_err(|_| CloseReason::client(Kind::Reset))?;
                    self.counters().to_client.add(sent as u64);
                }
            }
        }
        if moved > 0 {
            self.counters().from_telegram.add(moved as u64);
            self.answered();
        }
        Ok(moved > 0)
    }

    /// With fake TLS, writes the record header into the room in front of the data.
    fn framed(&self, scratch: &mut [u8], data: Range<usize>) -> Range<usize> {
        if !self.tls {
            return data;
        }
        let start = data.start - record::HEADER_LEN;
        scratch[start..data.start].copy_from_slice(&record::header(data.len()));
        start..data.end
    }

    /// The data centre has said something.
    fn answered(&mut self) {
        if matches!(self.stage, Stage::Greeting | Stage::Asked) {
            self.stage = Stage::Flowing;
            self.connection.shard().health.answered(self.leg.address());
        }
    }

    /// Something was relayed: the idle time begins anew.
    fn active(&self) {
        if self.stage == Stage::Flowing {
            self.connection.alarm().set(self.connection.shard().settings().relay.idle_timeout);
        }
    }

    fn half_closed(&mut self) {
        if self.stage != Stage::HalfClosed {
            // Who ended first is why it ends.
            let reason = self.over();
            self.connection.ended(reason);
            if self.stage == Stage::Asked && reason.side == Side::Telegram {
                self.connection.shard().health.failed(self.leg.address(), clock::now());
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
        shard.health.failed(self.leg.address(), clock::now());
        if let Some(more) = shard.throttles.dc_silent.pass(clock::now()) {
            warn!(
                session = self.connection.id(),
                address = %self.leg.address(),
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
