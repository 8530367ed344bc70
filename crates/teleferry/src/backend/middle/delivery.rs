//! From a link to its clients: what one input has for a client leaves in as few writes as may be.

use std::rc::Rc;

use teleferry_proto::downlink::write_noop;
use teleferry_proto::fake_tls::record::MIN_RECORD;
use teleferry_proto::transport::{Framing, encode_quick_ack, frame_head};

use super::port::Port;
use crate::entropy;
use crate::net::PIECE;
use crate::shard::Moment;

/// The buffer that all links of a shard frame and encrypt in, and the randomness of paddings.
#[derive(Debug)]
pub(crate) struct Workbench {
    /// A piece of a client's stream, up to `filled`: encrypted up to `sealed`.
    stream: Box<[u8]>,
    filled: usize,
    sealed: usize,
    padding: [u8; 256],
    /// How much of it is used.
    used: usize,
}

/// Room behind a full piece, for a no-op frame.
const ROOM: usize = 2 * MIN_RECORD;

/// Bytes from which it is worth while to begin encrypting anew, so that they are not copied before.
const BULK: usize = 1 << 10;

/// Delivers what one input of a link brought. Consecutive messages for one client are sent together.
pub(super) struct Delivery<'a> {
    bench: &'a mut Workbench,
    /// Whose the stream in the buffer is.
    port: Option<Rc<Port>>,
    moment: Moment,
}

impl Default for Workbench {
    fn default() -> Self {
        Self { stream: vec![0; PIECE + ROOM].into(), filled: 0, sealed: 0, padding: [0; 256], used: 256 }
    }
}

impl Workbench {
    /// Zero to three random bytes: more of them some clients would take for a part of the message.
    fn padding(&mut self) -> &[u8] {
        if self.used + 4 > self.padding.len() {
            entropy::fill(&mut self.padding);
            self.used = 0;
        }
        let drawn = &self.padding[self.used..self.used + 4];
        self.used += 4;
        &drawn[1..1 + usize::from(drawn[0] & 3)]
    }

    /// Appends bytes of the stream.
    fn put(&mut self, bytes: &[u8]) {
        self.stream[self.filled..][..bytes.len()].copy_from_slice(bytes);
        self.filled += bytes.len();
    }

    /// The same, encrypted on the way.
    fn put_sealed(&mut self, port: &Port, bytes: &[u8]) {
        self.seal(port);
        port.encrypt_to(bytes, &mut self.stream[self.filled..]);
        self.filled += bytes.len();
        self.sealed = self.filled;
    }

    /// Encrypts what is not encrypted yet.
    fn seal(&mut self, port: &Port) {
        port.encrypt(&mut self.stream[self.sealed..self.filled]);
        self.sealed = self.filled;
    }
}

impl<'a> Delivery<'a> {
    /// A delivery at this moment.
    pub(super) const fn new(bench: &'a mut Workbench, moment: Moment) -> Self {
        Self { bench, port: None, moment }
    }

    /// A message for a client.
    pub(super) fn message(&mut self, port: Rc<Port>, message: &[u8]) {
        port.counters().from_telegram.add(message.len() as u64);
        port.hear(self.moment);
        let Some(framing) = port.takes(message) else { return };
        port.counters().answers.add(1);
        self.turn_to(port);
        let mut padding = [0; 3];
        let padding = match framing {
            Framing::Padded => {
                let drawn = self.bench.padding();
                padding[..drawn.len()].copy_from_slice(drawn);
                let len = drawn.len();
                &padding[..len]
            }
            Framing::Abridged | Framing::Intermediate => &[],
        };
        self.append(frame_head(framing, message.len() + padding.len(), false).as_ref());
        self.append(message);
        self.append(padding);
    }

    /// A quick ack for a client.
    pub(super) fn ack(&mut self, port: Rc<Port>, token: [u8; 4]) {
        port.hear(self.moment);
        let Some(framing) = port.takes_ack() else { return };
        self.turn_to(port);
        let mut ack = Vec::with_capacity(token.len());
        encode_quick_ack(framing, token, &mut ack);
        self.append(&ack);
    }

    /// Sends what is gathered.
    pub(super) fn flush(&mut self) {
        if let Some(port) = &self.port
            && self.bench.filled > 0
        {
            let missing = port.missing(self.bench.filled);
            if missing > 0 {
                let noop = self.bench.filled..self.bench.filled + missing;
                write_noop(&mut self.bench.stream[noop.clone()], entropy::fill);
                self.bench.filled = noop.end;
            }
            self.bench.seal(port);
            port.deliver(&self.bench.stream[..self.bench.filled]);
            (self.bench.filled, self.bench.sealed) = (0, 0);
        }
    }

    /// Sends most of a full buffer: so much stays that what follows is no shorter than a TLS record.
    fn make_room(&mut self) {
        let sent = self.bench.filled - MIN_RECORD;
        if let Some(port) = &self.port {
            self.bench.seal(port);
            port.deliver(&self.bench.stream[..sent]);
        }
        self.bench.stream.copy_within(sent..self.bench.filled, 0);
        (self.bench.filled, self.bench.sealed) = (MIN_RECORD, MIN_RECORD);
    }

    fn turn_to(&mut self, port: Rc<Port>) {
        if !self.port.as_ref().is_some_and(|current| Rc::ptr_eq(current, &port)) {
            self.flush();
            self.port = Some(port);
        }
    }

    fn append(&mut self, mut bytes: &[u8]) {
        let is_bulk = bytes.len() >= BULK;
        while !bytes.is_empty() {
            if self.bench.filled >= PIECE {
                self.make_room();
            }
            let room = PIECE - self.bench.filled;
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            match &self.port {
                Some(port) if is_bulk => self.bench.put_sealed(port, now),
                _ => self.bench.put(now),
            }
            bytes = later;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paddings_have_every_length_from_zero_to_three() {
        let mut bench = Workbench::default();
        let mut counts = [0; 4];
        for _ in 0..4000 {
            counts[bench.padding().len()] += 1;
        }
        assert!(counts.iter().all(|&count| count > 500), "{counts:?}");
    }
}
