//! One link: a connection to a middle proxy that carries many clients.
//!
//! A machine without socket and clock. Give it what was [received](Middle::input) and the [time](Middle::timeout); after
//! either, and after every turn in which messages were [sent](Middle::send), take its [events](Middle::poll_event), write
//! what it [transmits](Middle::poll_transmit), and set a timer for its [deadline](Middle::poll_timeout).
//!
//! It goes from nonce to handshake to ready, and ends down. What a middle proxy can make it keep is bounded: one frame of
//! [`MAX_FRAME`], the events of one input, and a thousand short replies. What clients can make it keep is for its owner to
//! bound, by [`Middle::queued`].

mod clients;
mod event;
mod handshake;
mod receiver;
mod sender;
pub mod server;
mod watch;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

pub use clients::Client;
pub use event::{DownReason, Event, Ready, SendError};
pub use handshake::Setup;
pub use sender::Unsent;
pub use watch::{HANDSHAKE_TIMEOUT, SUSPECT_AFTER};

use self::clients::Clients;
use self::handshake::{Agreed, HANDSHAKE_FRAME_LIMIT, Hello, Refusal, check};
use self::receiver::Receiver;
use self::sender::{Content, Sender};
use self::watch::{Due, Watch};
use crate::rpc::{CRC32C, ConnId, HEAD_MAX, HandshakeError, Packet, ProcessId};
use crate::transport::full::{Checksum, MAX_FRAME, OVERHEAD, Place};

/// The longest message that a link carries, in bytes.
pub const MAX_MESSAGE: usize = MAX_FRAME - OVERHEAD - HEAD_MAX;

/// One connection to a middle proxy.
pub struct Middle {
    state: State,
    receiver: Receiver,
    sender: Sender,
    watch: Watch,
    clients: Clients,
    events: VecDeque<Event>,
    /// Packets that were passed over.
    ignored: u64,
}

enum State {
    /// Waiting for the middle proxy's nonce.
    Nonce(Box<Hello>),
    /// Waiting for its handshake.
    Handshake {
        process: ProcessId,
        crc32c: bool,
        clock_ahead: i64,
    },
    Ready,
    /// All clients were closed; what is queued still goes out.
    Closing,
    Down,
}

impl Middle {
    /// A link over a connection that is made now. It has its nonce to transmit.
    #[must_use]
    pub fn new(now: Instant, setup: Setup) -> Self {
        let (hello, rest) = Hello::new(setup);
        let mut sender = Sender::new();
        sender.push(&[hello.nonce().encode().as_ref()], Content::Other);
        Self {
            state: State::Nonce(Box::new(hello)),
            receiver: Receiver::new(HANDSHAKE_FRAME_LIMIT),
            sender,
            watch: Watch::new(now, rest.seed),
            clients: Clients::new(rest.first_conn),
            events: VecDeque::new(),
            ignored: 0,
        }
    }

    /// Takes received bytes; they are decrypted in place. Answers in the events that follow stand in them.
    pub fn input(&mut self, now: Instant, data: &mut [u8]) {
        self.receiver.begin();
        let (mut read, mut heard) = (0, false);
        while !matches!(self.state, State::Closing | State::Down) {
            match self.receiver.next_frame(data, &mut read) {
                Ok(Some(place)) => {
                    heard = true;
                    self.frame(now, data, place);
                }
                Ok(None) => break,
                Err(error) => self.fail(DownReason::Frame(error)),
            }
        }
        if heard {
            self.watch.heard(now);
        }
    }

    /// The middle proxy closed its side, or the connection broke.
    pub fn end_of_input(&mut self) {
        match self.state {
            State::Nonce(_) => self.fail(DownReason::ClosedAtNonce),
            State::Handshake { .. } => self.fail(DownReason::ClosedAtHandshake),
            State::Ready | State::Closing => self.fail(DownReason::Closed),
            State::Down => {}
        }
    }

    /// Does what is due at this time.
    pub fn timeout(&mut self, now: Instant) {
        while !matches!(self.state, State::Closing | State::Down) {
            match self.watch.due(now) {
                None => break,
                Some(Due::HandshakeTimeout) => self.fail(DownReason::HandshakeTimeout),
                Some(Due::NoPong) => self.fail(DownReason::NoPong),
                Some(Due::Ping(id)) => self.say(&Packet::Ping(id), Content::Other),
                Some(Due::Suspect) => self.events.push_back(Event::Suspect),
            }
        }
    }

    /// Gives back memory that was not needed since this was called last. Call it every now and then between two inputs, when
    /// all events are taken. Says how many bytes these are, as far as it is worth counting.
    pub fn relax(&mut self) -> usize {
        self.events.shrink_to(self.events.len());
        self.sender.relax().saturating_add(self.receiver.relax())
    }

    /// When [`timeout`](Self::timeout) has something to do.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        (!matches!(self.state, State::Closing | State::Down)).then(|| self.watch.next())
    }

    /// The next event. Take them all before the next input: answers stand in the current one.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// The message of an [`Event::Answer`]; `input` is what [`input`](Self::input) was given last.
    #[must_use]
    pub fn message<'a>(&'a self, input: &'a [u8], place: Place) -> &'a [u8] {
        self.receiver.at(input, place)
    }

    /// All that is to be written now. Once a turn is best: all of it is padded and encrypted together.
    pub fn poll_transmit(&mut self) -> Option<&[u8]> {
        Some(self.sender.transmit()).filter(|bytes| !bytes.is_empty())
    }

    /// Bytes that the next [`poll_transmit`](Self::poll_transmit) has to encrypt.
    #[must_use]
    pub const fn unsealed(&self) -> usize {
        self.sender.unsealed()
    }

    /// Encrypts what both links are to transmit; together that costs as much as for the longer one alone.
    pub fn seal_with(&mut self, other: &mut Self) {
        self.sender.seal_with(&mut other.sender);
    }

    /// The first `len` bytes of the last [`poll_transmit`](Self::poll_transmit) are written.
    pub fn transmitted(&mut self, len: usize) {
        self.sender.transmitted(len);
    }

    /// A client joins. The middle proxy learns of it with its first message.
    pub fn open(&mut self, client: impl Into<Arc<Client>>) -> ConnId {
        self.clients.open(client.into())
    }

    /// Takes a client's message, whole; it goes out with the next flush.
    ///
    /// # Errors
    /// It was not taken; the link is as before.
    pub fn send(
        &mut self,
        now: Instant,
        conn: ConnId,
        message: &[u8],
        quick_ack: bool,
    ) -> Result<(), SendError> {
        self.send_pieces(now, conn, [message, &[]], quick_ack)
    }

    /// As [`send`](Self::send), for a message that stands in two places.
    ///
    /// # Errors
    /// It was not taken; the link is as before.
    pub fn send_pieces(
        &mut self,
        now: Instant,
        conn: ConnId,
        message: [&[u8]; 2],
        quick_ack: bool,
    ) -> Result<(), SendError> {
        if !self.is_ready() {
            return Err(SendError::NotReady);
        }
        let client = self.clients.get(conn).ok_or(SendError::UnknownConn)?;
        let [first, last] = message;
        let len = first.len().saturating_add(last.len());
        if len == 0 || !len.is_multiple_of(4) || len > MAX_MESSAGE {
            return Err(SendError::Length);
        }
        self.watch.asked(now, conn, client.asked(now));
        let head = client.head(conn, message, quick_ack);
        let content = Content::Message { conn, len: len as u32, quick_ack };
        self.sender.push(&[head.as_ref(), first, last], content);
        Ok(())
    }

    /// A client has gone, for whatever reason but [`Event::Closed`]. The middle proxy is told if it knows it.
    pub fn close(&mut self, conn: ConnId) {
        let was_known = self.clients.remove(conn).is_some_and(|client| client.is_known());
        if was_known && self.is_ready() {
            self.say(&Packet::CloseConn(conn), Content::Other);
        }
        if self.watch.waits_for(conn) {
            self.watch.forget_opening(self.clients.waiting());
        }
    }

    /// Ends the link: all clients are closed, and what is queued may still be written. Nothing is taken any more.
    pub fn finish(&mut self) {
        self.clients.ids().into_iter().for_each(|conn| self.close(conn));
        if !matches!(self.state, State::Down) {
            self.state = State::Closing;
        }
    }

    /// After the link went down: the messages that certainly did not arrive, in order, also those of clients that have
    /// gone. They may be sent on another link; what was written before may have arrived, and may not.
    #[must_use]
    pub fn into_unsent(self) -> Vec<Unsent> {
        self.sender.into_unsent()
    }

    /// True when messages are taken.
    #[must_use]
    pub const fn is_ready(&self) -> bool {
        matches!(self.state, State::Ready)
    }

    /// True from [`Event::Suspect`] until something is answered.
    #[must_use]
    pub const fn is_suspect(&self) -> bool {
        self.watch.is_suspect()
    }

    /// How many clients are on the link.
    #[must_use]
    pub fn clients(&self) -> usize {
        self.clients.len()
    }

    /// Bytes that wait to be written.
    #[must_use]
    pub const fn queued(&self) -> usize {
        self.sender.queued()
    }

    /// How many packets were passed over: of unknown type, of wrong length, or without a message.
    #[must_use]
    pub const fn ignored(&self) -> u64 {
        self.ignored
    }

    fn frame(&mut self, now: Instant, data: &[u8], place: Place) {
        let payload = self.receiver.at(data, place);
        match &self.state {
            State::Nonce(hello) => {
                let agreed = hello.agree(payload);
                self.nonce(agreed);
            }
            &State::Handshake { process, crc32c, clock_ahead } => match check(payload, process, crc32c) {
                Ok(crc32c) => self.ready(now, Ready { clock_ahead, crc32c }),
                Err(refusal) => self.refuse(refusal, process),
            },
            State::Ready => match Packet::decode(payload) {
                Ok(packet) => {
                    let place = place.last(packet.message().len());
                    self.packet(now, &Said::from(&packet), place);
                }
                Err(_) => self.ignore(),
            },
            State::Closing | State::Down => {}
        }
    }

    /// The middle proxy's nonce came: the keys follow, and our handshake.
    fn nonce(&mut self, agreed: Result<Agreed, DownReason>) {
        match agreed {
            Ok(agreed) => {
                self.receiver.decrypt_with(agreed.keys.to_proxy);
                self.sender.encrypt_with(agreed.keys.to_middle);
                self.sender.push(&[agreed.handshake.encode().as_ref()], Content::Other);
                let (process, crc32c) = (agreed.handshake.sender, agreed.handshake.flags & CRC32C != 0);
                self.state = State::Handshake { process, crc32c, clock_ahead: agreed.clock_ahead };
            }
            Err(reason) => self.fail(reason),
        }
    }

    fn ready(&mut self, now: Instant, ready: Ready) {
        let checksum = if ready.crc32c { Checksum::Crc32c } else { Checksum::Crc32 };
        self.sender.set_checksum(checksum);
        self.receiver.expect(checksum, MAX_FRAME);
        self.state = State::Ready;
        self.watch.ready(now);
        self.events.push_back(Event::Ready(ready));
    }

    /// The handshake is no good: the middle proxy is told why, if there is a word for it.
    fn refuse(&mut self, refusal: Refusal, process: ProcessId) {
        if let Some(code) = refusal.code {
            let error = HandshakeError { code, sender: process };
            self.sender.push(&[error.encode().as_ref()], Content::Other);
        }
        self.fail(refusal.reason);
    }

    fn packet(&mut self, now: Instant, said: &Said, message: Place) {
        match *said {
            Said::Answer { conn, flags } if self.answers(now, conn) => {
                if message.is_empty() {
                    self.ignore();
                } else {
                    self.events.push_back(Event::Answer { conn, flags, message });
                }
            }
            Said::Ack { conn, token } if self.answers(now, conn) => {
                self.events.push_back(Event::Ack { conn, token });
            }
            Said::Answer { .. } | Said::Ack { .. } => {}
            Said::Close(conn) => {
                if self.clients.remove(conn).is_some() {
                    self.watch.answered(now);
                    self.events.push_back(Event::Closed { conn });
                }
            }
            Said::Ping(id) => self.say(&Packet::Pong(id), Content::Reply),
            Said::Pong(id) => {
                if let Some(after) = self.watch.pong(now, id) {
                    self.events.push_back(Event::Pong { after });
                }
            }
            Said::Nonsense => self.ignore(),
        }
    }

    /// Whether there is a client that this is an answer for. One that we never had is closed at the middle proxy, as the
    /// official proxy does; one that has gone was closed already.
    fn answers(&mut self, now: Instant, conn: ConnId) -> bool {
        if let Some(client) = self.clients.get(conn) {
            client.answered();
            self.watch.answered(now);
            return true;
        }
        if self.clients.was_ours(conn) {
            self.watch.answered(now);
        } else {
            self.say(&Packet::CloseConn(conn), Content::Reply);
        }
        false
    }

    fn say(&mut self, packet: &Packet<'_>, content: Content) {
        self.sender.push(&[packet.head().as_ref(), packet.message()], content);
    }

    fn ignore(&mut self) {
        self.ignored = self.ignored.saturating_add(1);
    }

    fn fail(&mut self, reason: DownReason) {
        self.state = State::Down;
        self.events.push_back(Event::Down(reason));
    }
}

impl std::fmt::Debug for Middle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let state = match self.state {
            State::Nonce(_) => "nonce",
            State::Handshake { .. } => "handshake",
            State::Ready => "ready",
            State::Closing => "closing",
            State::Down => "down",
        };
        f.debug_struct("Middle")
            .field("state", &state)
            .field("clients", &self.clients())
            .field("queued", &self.queued())
            .finish_non_exhaustive()
    }
}

/// What a middle proxy says, without the message.
#[derive(Debug, Clone, Copy)]
enum Said {
    Ack { conn: ConnId, token: [u8; 4] },
    Answer { conn: ConnId, flags: u32 },
    Close(ConnId),
    Nonsense,
    Ping([u8; 8]),
    Pong([u8; 8]),
}

impl From<&Packet<'_>> for Said {
    fn from(packet: &Packet<'_>) -> Self {
        match *packet {
            Packet::Ack { conn, token } => Self::Ack { conn, token },
            Packet::Answer { conn, flags, .. } => Self::Answer { conn, flags },
            // The second goes the other way, and cannot mean anything else.
            Packet::CloseExt(conn) | Packet::CloseConn(conn) => Self::Close(conn),
            Packet::Ping(id) => Self::Ping(id),
            Packet::Pong(id) => Self::Pong(id),
            Packet::Request(_) => Self::Nonsense,
        }
    }
}
