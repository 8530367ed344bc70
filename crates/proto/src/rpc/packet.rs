//! Everything behind the handshake.

use super::request::PROXY_REQ;
use super::{ConnId, Head, Request};
use crate::reader::Reader;

const PROXY_ANS: u32 = 0x4403_da0d;
const SIMPLE_ACK: u32 = 0x3bac_409b;
const CLOSE_EXT: u32 = 0x5eb6_34a2;
const CLOSE_CONN: u32 = 0x1fcf_425d;
const PING: u32 = 0x5730_a2df;
const PONG: u32 = 0x8430_eaa7;

/// One packet, either direction. Messages are borrowed, never copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Packet<'a> {
    /// To the middle proxy: a client's message.
    Request(Request<'a>),
    /// To the proxy: a message for a client. Four bytes are an error code.
    Answer {
        /// 8: flush, 16: small error packet. Nobody heeds them.
        flags: u32,
        /// Whose it is.
        conn: ConnId,
        /// Whole words; may be empty, which means nothing.
        message: &'a [u8],
    },
    /// To the proxy: the quick ack that a message asked for.
    Ack {
        /// Whose it is.
        conn: ConnId,
        /// As it goes on to the client.
        token: [u8; 4],
    },
    /// To the proxy: close this client. Not to be answered.
    CloseExt(ConnId),
    /// To the middle proxy: this client has gone.
    CloseConn(ConnId),
    /// Either way: to be answered with [`Pong`](Self::Pong) and the same bytes.
    Ping([u8; 8]),
    /// Either way.
    Pong([u8; 8]),
}

/// Why a payload is no packet. It is passed over; the connection goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PacketError {
    /// A known type, but not its length or contents.
    Malformed,
    /// A type that is none of ours.
    UnknownType(u32),
}

impl std::fmt::Display for PacketError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Malformed => f.write_str("a packet that is not as long as its type says"),
            Self::UnknownType(number) => write!(f, "a packet of unknown type {number:08x}"),
        }
    }
}

impl std::error::Error for PacketError {}

impl<'a> Packet<'a> {
    /// Reads a payload.
    ///
    /// # Errors
    /// It is no packet.
    pub fn decode(payload: &'a [u8]) -> Result<Self, PacketError> {
        let mut reader = Reader::new(payload);
        let kind = reader.u32_le().ok_or(PacketError::Malformed)?;
        let packet = match kind {
            PROXY_REQ => return Request::decode(reader),
            PROXY_ANS => answer(reader),
            SIMPLE_ACK => ack(reader),
            CLOSE_EXT => eight(reader).map(|id| Self::CloseExt(conn(id))),
            CLOSE_CONN => eight(reader).map(|id| Self::CloseConn(conn(id))),
            PING => eight(reader).map(Self::Ping),
            PONG => eight(reader).map(Self::Pong),
            _ => return Err(PacketError::UnknownType(kind)),
        };
        packet.ok_or(PacketError::Malformed)
    }

    /// The packet up to its message; the whole packet when it has none.
    #[must_use]
    pub fn head(&self) -> Head {
        let (kind, id) = match *self {
            Self::Request(request) => return request.head(),
            Self::Answer { flags, conn, .. } => {
                return Head::new()
                    .with(&PROXY_ANS.to_le_bytes())
                    .with(&flags.to_le_bytes())
                    .with(&conn.get().to_le_bytes());
            }
            Self::Ack { conn, token } => return short(SIMPLE_ACK, conn.get().to_le_bytes()).with(&token),
            Self::CloseExt(conn) => (CLOSE_EXT, conn.get().to_le_bytes()),
            Self::CloseConn(conn) => (CLOSE_CONN, conn.get().to_le_bytes()),
            Self::Ping(id) => (PING, id),
            Self::Pong(id) => (PONG, id),
        };
        short(kind, id)
    }

    /// The message in it; empty when it has none.
    #[must_use]
    pub const fn message(&self) -> &'a [u8] {
        match *self {
            Self::Request(Request { message, .. }) | Self::Answer { message, .. } => message,
            _ => &[],
        }
    }
}

fn short(kind: u32, id: [u8; 8]) -> Head {
    Head::new().with(&kind.to_le_bytes()).with(&id)
}

const fn conn(id: [u8; 8]) -> ConnId {
    ConnId::new(i64::from_le_bytes(id))
}

fn answer(mut reader: Reader<'_>) -> Option<Packet<'_>> {
    let flags = reader.u32_le()?;
    let conn = conn(*reader.array()?);
    Some(Packet::Answer { flags, conn, message: reader.rest() })
}

fn ack(mut reader: Reader<'_>) -> Option<Packet<'_>> {
    let conn = conn(*reader.array()?);
    let token = *reader.array()?;
    reader.is_empty().then_some(Packet::Ack { conn, token })
}

/// Exactly eight bytes.
fn eight(reader: Reader<'_>) -> Option<[u8; 8]> {
    reader.rest().try_into().ok()
}
