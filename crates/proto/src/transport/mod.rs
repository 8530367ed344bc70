//! How messages are framed inside the obfuscated stream: abridged, intermediate, padded intermediate.
//!
//! Frames follow one another without a gap in both directions. A frame's length is judged from its header alone,
//! before any of its bytes are buffered.

mod borders;
mod collect;
mod decoder;
mod encode;
pub mod full;
mod header;

pub use borders::Borders;
pub use collect::{Collected, Collector};
pub use decoder::{ClientDecoder, Frame, ServerDecoder, ServerFrame};
pub use encode::{FrameHead, encode, encode_quick_ack, frame_head, quick_ack_bytes};
pub use header::{FrameError, FrameHeader, HEADER_MAX, client_header, server_header};

/// The longest message that a client may send, in bytes. One word more is refused from the length field alone.
pub const MAX_CLIENT_MESSAGE: usize = 1_044_480;

/// The longest message taken from a server, in bytes: what the official client libraries take at least.
pub const MAX_SERVER_MESSAGE: usize = 2 << 20;

/// The framing of one connection, chosen by the client with the tag in its header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Framing {
    /// One length byte (in words), or four for long messages.
    Abridged,
    /// A four-byte length.
    Intermediate,
    /// As intermediate, with up to 15 random bytes behind each message; the only one inside fake TLS.
    Padded,
}

impl Framing {
    /// All framings, for tables and tests.
    pub const ALL: [Self; 3] = [Self::Abridged, Self::Intermediate, Self::Padded];

    /// The four bytes at offset 56 of the 64-byte header.
    #[must_use]
    pub const fn tag(self) -> [u8; 4] {
        match self {
            Self::Abridged => [0xef; 4],
            Self::Intermediate => [0xee; 4],
            Self::Padded => [0xdd; 4],
        }
    }

    /// The framing that a tag stands for; `None` for anything else.
    #[must_use]
    pub const fn from_tag(tag: [u8; 4]) -> Option<Self> {
        match tag {
            [0xef, 0xef, 0xef, 0xef] => Some(Self::Abridged),
            [0xee, 0xee, 0xee, 0xee] => Some(Self::Intermediate),
            [0xdd, 0xdd, 0xdd, 0xdd] => Some(Self::Padded),
            _ => None,
        }
    }
}
