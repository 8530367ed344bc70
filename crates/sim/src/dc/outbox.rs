//! What waits to be sent on one connection: framed, encrypted, not more than a bound.

use std::io;

use teleferry_proto::cipher::CtrStream;
use teleferry_proto::transport::{self, Framing};
use tokio::net::TcpStream;

use super::answer::Output;
use crate::entropy;

/// While this many bytes wait, nothing is added; so at most this and one more frame are kept.
const FULL: usize = 64 << 10;
/// What an outbox with nothing to send may keep allocated, in bytes.
const KEPT: usize = 1 << 10;

/// The sending half of a connection.
pub(super) struct Outbox {
    framing: Framing,
    cipher: CtrStream,
    /// Encrypted; `wire[..sent]` is gone.
    wire: Vec<u8>,
    sent: usize,
    bytes: u64,
    frames: u64,
}

impl Outbox {
    pub(super) const fn new(framing: Framing, cipher: CtrStream) -> Self {
        Self { framing, cipher, wire: Vec::new(), sent: 0, bytes: 0, frames: 0 }
    }

    fn add(&mut self, write: impl FnOnce(Framing, &mut Vec<u8>)) {
        let from = self.wire.len();
        write(self.framing, &mut self.wire);
        self.cipher.apply(&mut self.wire[from..]);
        self.bytes += (self.wire.len() - from) as u64;
    }

    /// Frames added so far.
    pub(super) const fn frames(&self) -> u64 {
        self.frames
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.wire.len() == self.sent
    }

    /// Whether nothing should be added now.
    pub(super) const fn is_full(&self) -> bool {
        self.wire.len() - self.sent >= FULL
    }

    /// Gives memory back before a wait that may be long.
    pub(super) fn give_back(&mut self) {
        self.wire.shrink_to(KEPT);
    }

    /// Sends what the socket takes; says how many bytes.
    pub(super) fn flush(&mut self, stream: &TcpStream) -> io::Result<u64> {
        let before = self.sent;
        while !self.is_empty() {
            match stream.try_write(&self.wire[self.sent..]) {
                Ok(len) => self.sent += len,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        let sent = (self.sent - before) as u64;
        if self.is_empty() {
            self.wire.clear();
            self.sent = 0;
        } else if self.sent >= FULL {
            self.wire.drain(..self.sent);
            self.sent = 0;
        }
        Ok(sent)
    }
}

impl Output for Outbox {
    /// Adds a frame. Padded ones get no, one, two or three random bytes: what clients can tell from a message.
    fn message(&mut self, message: &[u8]) {
        let random = if self.framing == Framing::Padded { entropy::bytes() } else { [0; 4] };
        let [len, padding @ ..] = random;
        let padding = &padding[..usize::from(len & 3)];
        self.frames += 1;
        self.add(|framing, wire| transport::encode(framing, message, false, padding, wire));
    }

    fn quick_ack(&mut self, token: [u8; 4]) {
        self.add(|framing, wire| transport::encode_quick_ack(framing, token, wire));
    }

    fn raw(&mut self, bytes: &[u8]) {
        self.add(|_, wire| wire.extend_from_slice(bytes));
    }

    fn bytes(&self) -> u64 {
        self.bytes
    }

    fn messages(&self) -> u64 {
        self.frames
    }
}
