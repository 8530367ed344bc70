//! The other end of a link: a middle proxy, for simulators and tests. It speaks the protocol and keeps no clients; what to
//! answer is for its owner to say.

use std::collections::VecDeque;
use std::net::SocketAddr;

use super::handshake::HANDSHAKE_FRAME_LIMIT;
use super::receiver::Receiver;
use super::sender::{Content, Sender};
use crate::rpc::{
    AdTag, CRC32C, ConnId, Handshake, HandshakeError, KeyMaterial, Nonce, Packet, ProcessId, Request,
    SCHEMA_AES, handshake_error,
};
use crate::telegram_config::MiddleSecret;
use crate::transport::full::{Checksum, FullFrameError, MAX_FRAME, Place};

/// How many seconds a proxy's clock may differ.
pub const MAX_CLOCK_DIFFERENCE: u32 = 30;

/// What a server's connection is made from.
#[derive(Clone)]
pub struct Setup {
    /// The secret shared with all proxies.
    pub secret: MiddleSecret,
    /// Our end, as the proxy dialled it.
    pub middle: SocketAddr,
    /// The proxy's end as it is seen here, or as this is to pretend.
    pub proxy: SocketAddr,
    /// Our clock, in seconds since 1970.
    pub unix_time: u32,
    /// What we call ourselves.
    pub process: ProcessId,
    /// Whether to grant CRC-32C when it is asked for.
    pub crc32c: bool,
    /// Our part of the keys.
    pub nonce: [u8; 16],
    /// How to behave in the handshake.
    pub conduct: Conduct,
}

impl std::fmt::Debug for Setup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Setup")
            .field("middle", &self.middle)
            .field("proxy", &self.proxy)
            .field("crc32c", &self.crc32c)
            .field("conduct", &self.conduct)
            .finish_non_exhaustive()
    }
}

/// How a server behaves in the handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Conduct {
    /// As it should.
    #[default]
    Serve,
    /// Answers no nonce.
    SilentAtNonce,
    /// Answers no handshake.
    SilentAtHandshake,
    /// Answers the handshake with this error.
    Refuse(i32),
    /// Answers with another nonce than the one in its keys.
    AnotherNonce,
    /// Answers with the selector of another secret.
    AnotherSelector,
    /// Answers with a crypto schema that is not AES.
    AnotherSchema,
}

/// Something happened on a server's connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The proxy closed a client.
    Closed {
        /// Which.
        conn: ConnId,
    },
    /// The connection is to be closed once all is written; nothing follows.
    Down(DownReason),
    /// The proxy pinged, and was answered.
    Ping([u8; 8]),
    /// The proxy answered a ping.
    Pong([u8; 8]),
    /// The handshake is done.
    Ready {
        /// Frames carry CRC-32C from now on.
        crc32c: bool,
    },
    /// A client's message.
    Request {
        /// Whose it is.
        conn: ConnId,
        /// See [`flags`](crate::rpc::flags).
        flags: u32,
        /// Where the client is.
        client: SocketAddr,
        /// Where it found the proxy.
        proxy: SocketAddr,
        /// Whose channel it is shown.
        ad_tag: Option<AdTag>,
        /// Where the message stands: see [`Server::message`].
        message: Place,
    },
}

/// Why a server closes a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DownReason {
    /// The proxy's clock differs too much.
    Clock,
    /// A frame was refused; in the handshake, the keys do not fit.
    Frame(FullFrameError),
    /// The proxy set handshake flags that mean nothing.
    Flags,
    /// The second frame was no handshake.
    NotAHandshake,
    /// The first frame was no nonce.
    NotANonce,
    /// The proxy refused our handshake with this code.
    Refused(i32),
    /// We refused the proxy's handshake, as told.
    RefusedAsTold,
    /// A crypto schema that is not AES.
    Schema(u32),
    /// The proxy has another secret.
    Selector,
}

/// One connection of a proxy.
pub struct Server {
    setup: Setup,
    state: State,
    receiver: Receiver,
    sender: Sender,
    events: VecDeque<Event>,
    ignored: u64,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Nonce,
    Handshake,
    Ready,
    Down,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server")
            .field("state", &self.state)
            .field("queued", &self.queued())
            .finish_non_exhaustive()
    }
}

impl Server {
    /// A server over a connection that was accepted now. It waits for the proxy's nonce.
    #[must_use]
    pub const fn new(setup: Setup) -> Self {
        Self {
            setup,
            state: State::Nonce,
            receiver: Receiver::new(HANDSHAKE_FRAME_LIMIT),
            sender: Sender::new(),
            events: VecDeque::new(),
            ignored: 0,
        }
    }

    /// Takes received bytes; they are decrypted in place. Requests in the events that follow stand in them.
    pub fn input(&mut self, data: &mut [u8]) {
        self.receiver.begin();
        let mut read = 0;
        while !matches!(self.state, State::Down) {
            match self.receiver.next_frame(data, &mut read) {
                Ok(Some(place)) => self.frame(data, place),
                Ok(None) => break,
                Err(error) => self.fail(DownReason::Frame(error)),
            }
        }
    }

    /// The next event. Take them all before the next input: requests stand in the current one.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// The message of an [`Event::Request`]; `input` is what [`input`](Self::input) was given last.
    #[must_use]
    pub fn message<'a>(&'a self, input: &'a [u8], place: Place) -> &'a [u8] {
        self.receiver.at(input, place)
    }

    /// All that is to be written now, padded and encrypted.
    pub fn poll_transmit(&mut self) -> Option<&[u8]> {
        Some(self.sender.transmit()).filter(|bytes| !bytes.is_empty())
    }

    /// The first `len` bytes of the last [`poll_transmit`](Self::poll_transmit) are written.
    pub fn transmitted(&mut self, len: usize) {
        self.sender.transmitted(len);
    }

    /// Sends any packet. Only after [`Event::Ready`] has it a meaning.
    pub fn send(&mut self, packet: &Packet<'_>) {
        self.send_payload(&[packet.head().as_ref(), packet.message()]);
    }

    /// Sends a frame with any payload, of whole words.
    pub fn send_payload(&mut self, parts: &[&[u8]]) {
        self.sender.push(parts, Content::Other);
    }

    /// Sends bytes as they are, whole words, but encrypted like all others: for frames that are wrong.
    pub fn send_raw(&mut self, bytes: &[u8]) {
        self.sender.push_raw(bytes);
    }

    /// Whether both sides have keys: the nonces are exchanged.
    #[must_use]
    pub const fn is_keyed(&self) -> bool {
        self.receiver.is_keyed()
    }

    /// Bytes that wait to be written.
    #[must_use]
    pub const fn queued(&self) -> usize {
        self.sender.queued()
    }

    /// How many packets were passed over.
    #[must_use]
    pub const fn ignored(&self) -> u64 {
        self.ignored
    }

    fn frame(&mut self, data: &[u8], place: Place) {
        let payload = self.receiver.at(data, place);
        let result = match self.state {
            State::Nonce => {
                let nonce = Nonce::decode(payload);
                self.nonce(nonce)
            }
            State::Handshake => match HandshakeError::decode(payload) {
                Some(error) => Err(DownReason::Refused(error.code)),
                None => {
                    let handshake = Handshake::decode(payload);
                    self.handshake(handshake)
                }
            },
            State::Ready => {
                let event = heard(payload, place);
                self.packet(event);
                Ok(())
            }
            State::Down => Ok(()),
        };
        if let Err(reason) = result {
            self.fail(reason);
        }
    }

    fn nonce(&mut self, nonce: Option<Nonce>) -> Result<(), DownReason> {
        let nonce = nonce.ok_or(DownReason::NotANonce)?;
        let setup = &self.setup;
        if nonce.schema != SCHEMA_AES {
            return Err(DownReason::Schema(nonce.schema));
        }
        if nonce.selector != setup.secret.selector() {
            return Err(DownReason::Selector);
        }
        if nonce.time.abs_diff(setup.unix_time) > MAX_CLOCK_DIFFERENCE {
            return Err(DownReason::Clock);
        }
        if setup.conduct == Conduct::SilentAtNonce {
            return Ok(());
        }
        let material = KeyMaterial {
            secret: &setup.secret,
            middle_nonce: setup.nonce,
            proxy_nonce: nonce.nonce,
            proxy_time: nonce.time,
            proxy: setup.proxy,
            middle: setup.middle,
        };
        let mut answer = Nonce { time: setup.unix_time, nonce: setup.nonce, ..nonce };
        match setup.conduct {
            Conduct::AnotherNonce => answer.nonce = setup.nonce.map(|byte| !byte),
            Conduct::AnotherSelector => answer.selector = nonce.selector.map(|byte| !byte),
            Conduct::AnotherSchema => answer.schema = !SCHEMA_AES,
            _ => {}
        }
        let keys = material.keys();
        self.sender.push(&[answer.encode().as_ref()], Content::Other);
        self.sender.encrypt_with(keys.to_proxy);
        self.receiver.decrypt_with(keys.to_middle);
        self.state = State::Handshake;
        Ok(())
    }

    fn handshake(&mut self, handshake: Option<Handshake>) -> Result<(), DownReason> {
        let sender = self.setup.process;
        let Some(asked) = handshake else {
            self.refuse(handshake_error::LENGTH);
            return Err(DownReason::NotAHandshake);
        };
        if asked.flags & 0xff != 0 {
            self.refuse(handshake_error::FLAGS);
            return Err(DownReason::Flags);
        }
        match self.setup.conduct {
            Conduct::Refuse(code) => {
                self.refuse(code);
                return Err(DownReason::RefusedAsTold);
            }
            Conduct::SilentAtHandshake | Conduct::SilentAtNonce => return Ok(()),
            Conduct::Serve | Conduct::AnotherNonce | Conduct::AnotherSelector | Conduct::AnotherSchema => {}
        }
        let crc32c = self.setup.crc32c && asked.flags & CRC32C != 0;
        let flags = if crc32c { CRC32C } else { 0 };
        let answer = Handshake { flags, sender, peer: asked.sender };
        self.sender.push(&[answer.encode().as_ref()], Content::Other);
        let checksum = if crc32c { Checksum::Crc32c } else { Checksum::Crc32 };
        self.sender.set_checksum(checksum);
        self.receiver.expect(checksum, MAX_FRAME);
        self.state = State::Ready;
        self.events.push_back(Event::Ready { crc32c });
        Ok(())
    }

    fn refuse(&mut self, code: i32) {
        let error = HandshakeError { code, sender: self.setup.process };
        self.sender.push(&[error.encode().as_ref()], Content::Other);
    }

    fn packet(&mut self, event: Option<Event>) {
        if let Some(Event::Ping(id)) = event {
            let pong = Packet::Pong(id);
            self.sender.push(&[pong.head().as_ref()], Content::Reply);
        }
        match event {
            Some(event) => self.events.push_back(event),
            None => self.ignored = self.ignored.saturating_add(1),
        }
    }

    fn fail(&mut self, reason: DownReason) {
        self.state = State::Down;
        self.events.push_back(Event::Down(reason));
    }
}

/// What a proxy said; `None` when it is nothing that a proxy says.
fn heard(payload: &[u8], place: Place) -> Option<Event> {
    match Packet::decode(payload).ok()? {
        Packet::Request(Request { flags, conn, client, proxy, ad_tag, message }) => {
            let message = place.last(message.len());
            Some(Event::Request { conn, flags, client, proxy, ad_tag, message })
        }
        Packet::CloseConn(conn) => Some(Event::Closed { conn }),
        Packet::Ping(id) => Some(Event::Ping(id)),
        Packet::Pong(id) => Some(Event::Pong(id)),
        Packet::Answer { .. } | Packet::Ack { .. } | Packet::CloseExt(_) => None,
    }
}
