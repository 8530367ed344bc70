//! The first two payloads of each direction.

use std::net::IpAddr;

use super::Head;
use crate::reader::Reader;

const NONCE: u32 = 0x7acb_87aa;
const HANDSHAKE: u32 = 0x7682_eef5;
const HANDSHAKE_ERROR: u32 = 0x6a27_beda;

/// Bytes of a nonce payload, and of a handshake payload too.
pub const NONCE_LEN: usize = 32;

/// The only crypto schema spoken with Telegram: AES-256-CBC under keys from nonces and secret.
pub const SCHEMA_AES: u32 = 1;

/// Handshake flag: [CRC-32C](crate::transport::full::Checksum) is wanted, or granted, for all frames behind the
/// handshake.
pub const CRC32C: u32 = 0x800;

/// The first payload of each side, sent in the open.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Nonce {
    /// Names the middle secret: its first four bytes.
    pub selector: [u8; 4],
    /// How everything that follows is encrypted; see [`SCHEMA_AES`].
    pub schema: u32,
    /// The sender's clock, in seconds since 1970. A middle proxy takes at most 30 s of difference.
    pub time: u32,
    /// The sender's part of the keys.
    pub nonce: [u8; 16],
}

impl Nonce {
    /// The payload.
    #[must_use]
    pub fn encode(&self) -> Head {
        Head::new()
            .with(&NONCE.to_le_bytes())
            .with(&self.selector)
            .with(&self.schema.to_le_bytes())
            .with(&self.time.to_le_bytes())
            .with(&self.nonce)
    }

    /// Reads a payload; `None` when it is no nonce.
    #[must_use]
    pub fn decode(payload: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(payload);
        (reader.u32_le()? == NONCE).then_some(())?;
        let nonce = Self {
            selector: *reader.array()?,
            schema: reader.u32_le()?,
            time: reader.u32_le()?,
            nonce: *reader.array()?,
        };
        reader.is_empty().then_some(nonce)
    }
}

impl std::fmt::Debug for Nonce {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Nonce")
            .field("schema", &self.schema)
            .field("time", &self.time)
            .finish_non_exhaustive()
    }
}

/// The second payload of each side, the first under the keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Handshake {
    /// [`CRC32C`] or nothing.
    pub flags: u32,
    /// Who sends this.
    pub sender: ProcessId,
    /// Who it is for, as far as known. The answer has the sender of the question here.
    pub peer: ProcessId,
}

impl Handshake {
    /// The payload.
    #[must_use]
    pub fn encode(&self) -> Head {
        Head::new()
            .with(&HANDSHAKE.to_le_bytes())
            .with(&self.flags.to_le_bytes())
            .with(&self.sender.0)
            .with(&self.peer.0)
    }

    /// Reads a payload; `None` when it is no handshake.
    #[must_use]
    pub fn decode(payload: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(payload);
        (reader.u32_le()? == HANDSHAKE).then_some(())?;
        let handshake = Self {
            flags: reader.u32_le()?,
            sender: ProcessId(*reader.array()?),
            peer: ProcessId(*reader.array()?),
        };
        reader.is_empty().then_some(handshake)
    }
}

/// What either side sends before it closes instead of answering a handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HandshakeError {
    /// One of [`handshake_error`], or another number.
    pub code: i32,
    /// Who sends this.
    pub sender: ProcessId,
}

/// The known codes of a [`HandshakeError`].
pub mod handshake_error {
    /// The handshake has another length.
    pub const LENGTH: i32 = -3;
    /// The peer named in it is not the one that reads it.
    pub const PEER: i32 = -4;
    /// The sender named in it is not the one expected.
    pub const SENDER: i32 = -6;
    /// Unknown flags.
    pub const FLAGS: i32 = -7;
    /// CRC-32C is granted that nobody asked for.
    pub const CRC32C: i32 = -8;
}

impl HandshakeError {
    /// The payload.
    #[must_use]
    pub fn encode(&self) -> Head {
        Head::new().with(&HANDSHAKE_ERROR.to_le_bytes()).with(&self.code.to_le_bytes()).with(&self.sender.0)
    }

    /// Reads a payload; `None` when it is no handshake error.
    #[must_use]
    pub fn decode(payload: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(payload);
        (reader.u32_le()? == HANDSHAKE_ERROR).then_some(())?;
        let error = Self { code: i32::from_le_bytes(*reader.array()?), sender: ProcessId(*reader.array()?) };
        reader.is_empty().then_some(error)
    }
}

/// The twelve bytes by which a process calls itself in a handshake: IPv4 address, port, process id, start time.
///
/// Telegram's middle proxies are not known to look at them; they must only come back in the answer as they were sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProcessId([u8; 12]);

impl ProcessId {
    /// What proxies in wide use send, that tells nothing about the process.
    pub const ANONYMOUS: Self = Self(*b"IPIPPRPDTIME");

    /// Wraps the bytes.
    #[must_use]
    pub const fn new(bytes: [u8; 12]) -> Self {
        Self(bytes)
    }

    /// A process by its address, port, process id (its low 16 bits) and start time in seconds since 1970. IPv6
    /// addresses have no room and count as 0.
    #[must_use]
    pub fn of(address: IpAddr, port: u16, process: u16, start: u32) -> Self {
        let ip = match address.to_canonical() {
            IpAddr::V4(ip) => u32::from(ip),
            IpAddr::V6(_) => 0,
        };
        let [a, b, c, d] = ip.to_le_bytes();
        let [e, f] = port.to_le_bytes();
        let [g, h] = process.to_le_bytes();
        let [i, j, k, l] = start.to_le_bytes();
        Self([a, b, c, d, e, f, g, h, i, j, k, l])
    }
}
