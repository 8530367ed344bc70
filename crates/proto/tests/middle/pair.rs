//! Both ends of a link, joined.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use teleferry_proto::middle::server::{self, Conduct, Server};
use teleferry_proto::middle::{Client, Event, Middle, Ready, Setup};
use teleferry_proto::rpc::{AdTag, ConnId, ProcessId};
use teleferry_proto::telegram_config::MiddleSecret;
use teleferry_proto::transport::Framing;

/// What a link said, answers with their message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Said {
    Answer { conn: ConnId, flags: u32, message: Vec<u8> },
    Event(Event),
}

/// What a server heard, requests with their message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Heard {
    Request {
        conn: ConnId,
        flags: u32,
        client: SocketAddr,
        proxy: SocketAddr,
        ad_tag: Option<AdTag>,
        message: Vec<u8>,
    },
    Event(server::Event),
}

/// Both ends, a clock, and what was said so far.
pub(crate) struct Pair {
    pub(crate) now: Instant,
    pub(crate) middle: Middle,
    pub(crate) server: Server,
    pub(crate) said: Vec<Said>,
    pub(crate) heard: Vec<Heard>,
    /// Nothing comes through any more.
    pub(crate) cut_off: bool,
    /// In what pieces bytes arrive, over and over.
    pieces: Vec<usize>,
    next_piece: usize,
}

pub(crate) fn address(text: &str) -> SocketAddr {
    text.parse().expect("address")
}

pub(crate) fn setup() -> Setup {
    Setup {
        secret: MiddleSecret::embedded(),
        proxy: address("203.0.113.7:51515"),
        middle: address("198.51.100.7:8888"),
        unix_time: 1_763_845_200,
        process: ProcessId::ANONYMOUS,
        peer: ProcessId::ANONYMOUS,
        crc32c: true,
        entropy: std::array::from_fn(|i| i as u8),
    }
}

/// The server that fits a link's setup.
pub(crate) fn counterpart(setup: &Setup) -> server::Setup {
    server::Setup {
        secret: setup.secret.clone(),
        middle: setup.middle,
        proxy: setup.proxy,
        unix_time: setup.unix_time + 2,
        process: ProcessId::of(setup.middle.ip(), setup.middle.port(), 777, 1_763_000_000),
        crc32c: true,
        nonce: [0x5a; 16],
        conduct: Conduct::Serve,
    }
}

pub(crate) fn client(framing: Framing) -> Client {
    Client { address: address("192.0.2.200:55001"), proxy: address("203.0.113.7:443"), framing, ad_tag: None }
}

/// A message as clients send them: whole words that begin with a key id.
pub(crate) fn message(words: usize, fill: u8) -> Vec<u8> {
    vec![fill | 1; words.max(1) * 4]
}

#[expect(clippy::disallowed_methods, reason = "any time will do as the beginning of a virtual one")]
pub(crate) fn some_time() -> Instant {
    Instant::now()
}

impl Pair {
    pub(crate) fn new(setup: Setup, server: server::Setup) -> Self {
        Self::with(Middle::new(some_time(), setup), Server::new(server))
    }

    /// Both ends as they are.
    pub(crate) fn with(middle: Middle, server: Server) -> Self {
        Self {
            now: some_time(),
            middle,
            server,
            said: Vec::new(),
            heard: Vec::new(),
            cut_off: false,
            pieces: vec![usize::MAX],
            next_piece: 0,
        }
    }

    /// A pair after its handshake.
    pub(crate) fn ready() -> Self {
        let mut pair = Self::new(setup(), counterpart(&setup()));
        pair.drive();
        assert!(pair.middle.is_ready());
        pair.said.clear();
        pair.heard.clear();
        pair
    }

    /// Bytes arrive in pieces of these sizes, over and over.
    pub(crate) fn in_pieces(mut self, pieces: &[usize]) -> Self {
        self.pieces = pieces.to_vec();
        self
    }

    /// Carries bytes both ways until neither side has any.
    pub(crate) fn drive(&mut self) {
        self.drain();
        while !self.cut_off {
            let (mut idle, len) = (true, self.piece());
            if let Some(bytes) = self.middle.poll_transmit() {
                let mut piece = bytes[..len.min(bytes.len())].to_vec();
                self.middle.transmitted(piece.len());
                self.give_server(&mut piece);
                idle = false;
            }
            let len = self.piece();
            if let Some(bytes) = self.server.poll_transmit() {
                let mut piece = bytes[..len.min(bytes.len())].to_vec();
                self.server.transmitted(piece.len());
                self.give_middle(&mut piece);
                idle = false;
            }
            if idle {
                break;
            }
        }
    }

    /// Lets time pass, and both ends do what is due in it.
    pub(crate) fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        self.drive();
        while let Some(at) = self.middle.poll_timeout().filter(|&at| at <= end) {
            assert!(at >= self.now, "a deadline that has passed");
            self.now = at;
            self.middle.timeout(self.now);
            self.drive();
        }
        self.now = end;
    }

    pub(crate) fn send(&mut self, conn: ConnId, message: &[u8]) {
        self.middle.send(self.now, conn, message, false).expect("taken");
    }

    /// Gives the link bytes as if they came from the server.
    pub(crate) fn give_middle(&mut self, piece: &mut [u8]) {
        self.middle.input(self.now, piece);
        while let Some(event) = self.middle.poll_event() {
            self.said.push(match event {
                Event::Answer { conn, flags, message } => {
                    let message = self.middle.message(piece, message).to_vec();
                    Said::Answer { conn, flags, message }
                }
                event => Said::Event(event),
            });
        }
    }

    pub(crate) fn take_said(&mut self) -> Vec<Said> {
        self.drain();
        std::mem::take(&mut self.said)
    }

    pub(crate) fn take_heard(&mut self) -> Vec<Heard> {
        std::mem::take(&mut self.heard)
    }

    /// What the handshake found out, as the first thing that was said.
    pub(crate) fn found_out(&self) -> Option<Ready> {
        match self.said.first() {
            Some(&Said::Event(Event::Ready(ready))) => Some(ready),
            _ => None,
        }
    }

    /// Gives the server bytes as if they came from the link.
    pub(crate) fn give_server(&mut self, piece: &mut [u8]) {
        self.server.input(piece);
        while let Some(event) = self.server.poll_event() {
            self.heard.push(match event {
                server::Event::Request { conn, flags, client, proxy, ad_tag, message } => {
                    let message = self.server.message(piece, message).to_vec();
                    Heard::Request { conn, flags, client, proxy, ad_tag, message }
                }
                event => Heard::Event(event),
            });
        }
    }

    /// Events that came of something else than input.
    fn drain(&mut self) {
        while let Some(event) = self.middle.poll_event() {
            self.said.push(Said::Event(event));
        }
    }

    fn piece(&mut self) -> usize {
        self.next_piece = (self.next_piece + 1) % self.pieces.len();
        self.pieces[self.next_piece].max(1)
    }
}
