//! What a link tells its owner.

use std::time::Duration;

use crate::rpc::ConnId;
use crate::transport::full::{FullFrameError, Place};

/// Something happened on a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The middle proxy took the quick ack that a message asked for.
    Ack {
        /// Whose message it was.
        conn: ConnId,
        /// As it goes on to the client.
        token: [u8; 4],
    },
    /// A message for a client, never empty; four bytes are an error code.
    Answer {
        /// Whose it is.
        conn: ConnId,
        /// As the middle proxy set them; nobody heeds them.
        flags: u32,
        /// Where it stands: see [`Middle::message`](super::Middle::message).
        message: Place,
    },
    /// The middle proxy closed this client. Its id is gone.
    Closed {
        /// Which.
        conn: ConnId,
    },
    /// The link is of no use any more; nothing follows.
    Down(DownReason),
    /// Our ping was answered.
    Pong {
        /// After this long.
        after: Duration,
    },
    /// The handshake is done.
    Ready(Ready),
    /// Something was asked, and nothing at all answered for [`SUSPECT_AFTER`](super::SUSPECT_AFTER). Said once, until
    /// something is answered.
    Suspect,
}

/// What the handshake found out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ready {
    /// How many seconds the middle proxy's clock is ahead of ours. It takes 30 at most, either way.
    pub clock_ahead: i64,
    /// Frames carry CRC-32C from now on.
    pub crc32c: bool,
}

/// Why a link is down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DownReason {
    /// The middle proxy closed the connection.
    Closed,
    /// It closed right after our handshake.
    ClosedAtHandshake,
    /// It closed right after our nonce.
    ClosedAtNonce,
    /// It granted CRC-32C without having been asked.
    Crc32cNotOffered,
    /// It set handshake flags that mean nothing.
    Flags,
    /// A frame was refused.
    Frame(FullFrameError),
    /// The handshake took longer than [`HANDSHAKE_TIMEOUT`](super::HANDSHAKE_TIMEOUT).
    HandshakeTimeout,
    /// Neither pings nor anything else were answered.
    NoPong,
    /// The second frame was no handshake.
    NotAHandshake,
    /// The first frame was no nonce.
    NotANonce,
    /// The handshake was for somebody else.
    Peer,
    /// A handshake error with this code.
    Refused(i32),
    /// A crypto schema that is not AES.
    Schema(u32),
    /// The middle proxy has another secret.
    Selector,
}

impl std::fmt::Display for DownReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Closed => "the middle proxy closed the connection",
            Self::ClosedAtHandshake => {
                "the middle proxy closed at our handshake: our external address is probably wrong, \
                 or NAT changes our port"
            }
            Self::ClosedAtNonce => {
                "the middle proxy closed at our nonce: this machine's clock is off by more than 30 seconds, \
                 or Telegram's proxy secret is outdated"
            }
            Self::Crc32cNotOffered => "the middle proxy granted CRC-32C, which was not offered",
            Self::Flags => "the middle proxy set unknown handshake flags",
            Self::Frame(error) => return write!(f, "the middle proxy sent {error}"),
            Self::HandshakeTimeout => "the middle proxy did not finish the handshake in time",
            Self::NoPong => "the middle proxy does not answer pings",
            Self::NotAHandshake => "the middle proxy sent no handshake where one was due",
            Self::NotANonce => "the middle proxy sent no nonce where one was due",
            Self::Peer => "the middle proxy's handshake names another process than ours",
            Self::Refused(code) => {
                return write!(f, "the middle proxy refused our handshake with code {code}");
            }
            Self::Schema(number) => {
                return write!(f, "the middle proxy wants crypto schema {number}, not AES");
            }
            Self::Selector => "the middle proxy has another proxy secret than we",
        })
    }
}

impl std::error::Error for DownReason {}

/// Why a message was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SendError {
    /// Empty, not whole words, or longer than [`MAX_MESSAGE`](super::MAX_MESSAGE). Its sender alone is to blame.
    Length,
    /// The link is not ready, or down.
    NotReady,
    /// The client is not, or not any more, on this link.
    UnknownConn,
}

impl std::fmt::Display for SendError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Length => "the message has a length that no message has",
            Self::NotReady => "the link to the middle proxy is not ready",
            Self::UnknownConn => "the client is not on this link",
        })
    }
}

impl std::error::Error for SendError {}
