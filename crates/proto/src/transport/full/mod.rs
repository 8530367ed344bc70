//! The full framing, spoken with middle proxies: a length, a sequence number and a checksum around every message.
//!
//! On the wire: `length u32 | sequence i32 | payload | checksum u32`, all little-endian. The length counts the whole
//! frame; the checksum covers all that is before it. A word of value 4 where a length is expected is padding: it fills
//! what is sent at once to whole cipher blocks.

mod checksum;
mod decode;
mod encode;

pub use checksum::Checksum;
pub use decode::{Decoder, Place};
pub use encode::{Encoder, pad};

/// Sequence number of the first frame of each direction, the nonce. The handshake has −1, and messages count from 0.
pub const FIRST_SEQUENCE: i32 = -2;

/// Bytes that a frame adds to its payload.
pub const OVERHEAD: usize = 12;

/// The shortest frame, in bytes: one word of payload.
pub const MIN_FRAME: usize = 16;

/// The longest frame, in bytes.
pub const MAX_FRAME: usize = 1 << 24;

/// A word that stands where a length is expected and means nothing.
pub const PADDING_WORD: [u8; 4] = [4, 0, 0, 0];

/// Bytes of a frame before its payload.
const HEADER: usize = 8;

/// Bytes of the checksum behind the payload.
const TRAILER: usize = 4;

/// Why a frame is refused, in the order of the checks. The connection cannot go on after any of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FullFrameError {
    /// A length that no frame has, or longer than taken here.
    Length,
    /// The checksum does not fit: not our keys, not our kind of checksum, or damage.
    Checksum,
    /// Not the next sequence number.
    Sequence,
}

impl std::fmt::Display for FullFrameError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Length => "a frame of illegal length",
            Self::Checksum => "a frame whose checksum does not fit",
            Self::Sequence => "a frame out of sequence",
        })
    }
}

impl std::error::Error for FullFrameError {}
