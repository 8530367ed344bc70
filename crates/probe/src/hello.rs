//! ClientHellos: as Telegram's apps send them, and taken apart so that a probe can change a part.

use teleferry_proto::fake_tls::greeting::{self, Greeting, Shape};
use teleferry_proto::secret::SecretKey;

use crate::{clock, random};

/// Extension numbers that probes change.
pub(crate) mod extension {
    pub(crate) const SERVER_NAME: u16 = 0;
    pub(crate) const GROUPS: u16 = 0x000a;
    pub(crate) const ALPN: u16 = 0x0010;
    pub(crate) const PADDING: u16 = 0x0015;
    pub(crate) const SUPPORTED_VERSIONS: u16 = 0x002b;
    pub(crate) const KEY_SHARE: u16 = 0x0033;
}

/// A fresh hello of today's apps whose clock is this many seconds ahead.
pub(crate) fn greet(key: &SecretKey, name: &str, ahead: i32) -> Greeting {
    let time = clock::unix_time().wrapping_add_signed(ahead);
    let mut x25519 = random::array::<32>();
    x25519[31] &= 0x7f;
    greeting::greet(Shape::Modern, key, name, time, &random::array(), &x25519)
}

/// The parts of a hello.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hello {
    /// The version in the hello itself.
    pub(crate) version: u16,
    /// The random field.
    pub(crate) random: [u8; 32],
    /// The session id.
    pub(crate) session_id: Vec<u8>,
    /// Cipher suites.
    pub(crate) suites: Vec<u16>,
    /// Number and content of every extension.
    pub(crate) extensions: Vec<(u16, Vec<u8>)>,
}

impl Hello {
    /// The parts of one that [`greet`] made.
    ///
    /// # Panics
    /// When it is no hello in one record.
    pub(crate) fn parse(wire: &[u8]) -> Self {
        let mut rest = Cut(&wire[9..]);
        let version = rest.u16();
        let random = rest.take(32).try_into().expect("32 bytes");
        let session = usize::from(rest.take(1)[0]);
        let session_id = rest.take(session).to_vec();
        let suites =
            rest.vec16().chunks_exact(2).map(|suite| u16::from_be_bytes([suite[0], suite[1]])).collect();
        let methods = usize::from(rest.take(1)[0]);
        rest.take(methods);
        let mut list = Cut(rest.vec16());
        let mut extensions = Vec::new();
        while !list.0.is_empty() {
            let kind = list.u16();
            extensions.push((kind, list.vec16().to_vec()));
        }
        Self { version, random, session_id, suites, extensions }
    }

    /// Leaves an extension out.
    pub(crate) fn without(mut self, kind: u16) -> Self {
        self.extensions.retain(|(other, _)| *other != kind);
        self
    }

    /// Changes an extension where it stands, or adds it.
    pub(crate) fn with(mut self, kind: u16, data: Vec<u8>) -> Self {
        match self.extensions.iter_mut().find(|(other, _)| *other == kind) {
            Some((_, old)) => *old = data,
            None => self.extensions.push((kind, data)),
        }
        self
    }

    /// Changes the server name.
    pub(crate) fn named(self, name: &[u8]) -> Self {
        let mut entry = vec![0];
        vec16(&mut entry, name);
        self.with(extension::SERVER_NAME, prefixed(&entry))
    }

    /// The handshake message: type, length, hello.
    pub(crate) fn message(&self) -> Vec<u8> {
        let mut body = self.version.to_be_bytes().to_vec();
        body.extend(self.random);
        body.push(self.session_id.len() as u8);
        body.extend(&self.session_id);
        let suites: Vec<u8> = self.suites.iter().flat_map(|suite| suite.to_be_bytes()).collect();
        vec16(&mut body, &suites);
        body.extend([1, 0]);
        let mut extensions = Vec::new();
        for (kind, data) in &self.extensions {
            extensions.extend(kind.to_be_bytes());
            vec16(&mut extensions, data);
        }
        vec16(&mut body, &extensions);
        let mut message = (body.len() as u32).to_be_bytes().to_vec();
        message[0] = 1;
        message.extend(body);
        message
    }

    /// In records of this version, each as long as a record may be.
    pub(crate) fn wire(&self) -> Vec<u8> {
        records(0x0301, &self.message(), 16_384)
    }
}

/// Handshake records of at most `size` bytes each.
pub(crate) fn records(version: u16, message: &[u8], size: usize) -> Vec<u8> {
    message.chunks(size).flat_map(|part| record(0x16, version, part)).collect()
}

/// One record.
pub(crate) fn record(kind: u8, version: u16, body: &[u8]) -> Vec<u8> {
    let mut wire = vec![kind];
    wire.extend(version.to_be_bytes());
    vec16(&mut wire, body);
    wire
}

/// A vector with its length before it.
pub(crate) fn prefixed(data: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    vec16(&mut out, data);
    out
}

fn vec16(out: &mut Vec<u8>, data: &[u8]) {
    out.extend((data.len() as u16).to_be_bytes());
    out.extend(data);
}

/// What is left of bytes that we made ourselves.
struct Cut<'a>(&'a [u8]);

impl<'a> Cut<'a> {
    fn take(&mut self, len: usize) -> &'a [u8] {
        let (now, rest) = self.0.split_at(len);
        self.0 = rest;
        now
    }

    fn u16(&mut self) -> u16 {
        let bytes = self.take(2);
        u16::from_be_bytes([bytes[0], bytes[1]])
    }

    fn vec16(&mut self) -> &'a [u8] {
        let len = usize::from(self.u16());
        self.take(len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hello_that_is_not_changed_is_the_same_bytes() {
        let greeting = greet(&SecretKey::new([7; 16]), "www.example.com", 0);
        let hello = Hello::parse(&greeting.wire);
        assert_eq!(hello.wire(), greeting.wire);
        assert_eq!(hello.random, greeting.random);
    }

    #[test]
    fn a_long_hello_takes_several_records() {
        let hello = Hello::parse(&greet(&SecretKey::new([7; 16]), "www.example.com", 0).wire);
        let wire = hello.with(extension::PADDING, vec![0; 30_000]).wire();
        assert_eq!(&wire[..5], [0x16, 3, 1, 0x40, 0]);
        assert_eq!(&wire[16_389..16_392], [0x16, 3, 1]);
    }
}
