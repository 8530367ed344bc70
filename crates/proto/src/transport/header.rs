//! The length field of one frame.

use super::{Framing, MAX_CLIENT_MESSAGE, MAX_SERVER_MESSAGE};

/// The longest frame header, in bytes.
pub const HEADER_MAX: usize = 4;

/// In the abridged framing this word count says that three bytes of length follow.
const ABRIDGED_LONG: u8 = 0x7f;

/// Why a frame is refused. The connection cannot go on after any of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FrameError {
    /// Longer than a message may be.
    TooLong,
    /// Padded framing: less than four bytes are left without the padding.
    TooShort,
    /// Intermediate framing: not a multiple of four bytes.
    Unaligned,
    /// Abridged framing: the long form for a length that has a short one.
    Overlong,
    /// A length of zero.
    ZeroLength,
}

impl std::fmt::Display for FrameError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::TooLong => "the frame is longer than a message may be",
            Self::TooShort => "the frame holds less than four bytes without its padding",
            Self::Unaligned => "the frame's length is not a multiple of four",
            Self::Overlong => "the frame's length is written in the long form without need",
            Self::ZeroLength => "the frame is empty",
        })
    }
}

impl std::error::Error for FrameError {}

/// A frame's length field, understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameHeader {
    /// Bytes of the length field itself: 1 or 4.
    pub header_len: u8,
    /// The sender wants a quick ack (clients only).
    pub quick_ack: bool,
    /// Bytes that follow the header, padding included; at most [`MAX_CLIENT_MESSAGE`] (from a client) or
    /// [`MAX_SERVER_MESSAGE`] (from a server) and three more.
    pub body_len: u32,
}

impl FrameHeader {
    /// Bytes of the body that are the message: the body without the last `len mod 4` bytes. In the padded framing whole
    /// words of padding cannot be told from the message and stay with it; the receiver of the message ignores them.
    #[must_use]
    pub const fn message_len(&self) -> u32 {
        self.body_len & !3
    }
}

/// Reads the header of a frame from a client. `Ok(None)`: more bytes are needed (never more than [`HEADER_MAX`]).
///
/// # Errors
/// Any length that is not legal from a client.
pub const fn client_header(framing: Framing, bytes: &[u8]) -> Result<Option<FrameHeader>, FrameError> {
    let raw = match raw_header(framing, bytes) {
        Some(raw) => raw,
        None => return Ok(None),
    };
    match check(framing, &raw, MAX_CLIENT_MESSAGE) {
        Ok(()) => Ok(Some(raw)),
        Err(error) => Err(error),
    }
}

/// Reads the header of a frame from a server. A set quick-ack bit means that the four bytes are no header but a quick
/// ack; the caller looks for that first. `Ok(None)`: more bytes are needed (never more than [`HEADER_MAX`]).
///
/// # Errors
/// Any length that is not legal from a server.
pub const fn server_header(framing: Framing, bytes: &[u8]) -> Result<Option<FrameHeader>, FrameError> {
    let raw = match raw_header(framing, bytes) {
        Some(raw) => raw,
        None => return Ok(None),
    };
    match check(framing, &raw, MAX_SERVER_MESSAGE) {
        Ok(()) => Ok(Some(raw)),
        Err(error) => Err(error),
    }
}

pub(super) const fn raw_header(framing: Framing, bytes: &[u8]) -> Option<FrameHeader> {
    match (framing, bytes) {
        (Framing::Abridged, [first, ..]) if *first & 0x7f != ABRIDGED_LONG => Some(FrameHeader {
            header_len: 1,
            quick_ack: *first & 0x80 != 0,
            body_len: ((*first & 0x7f) as u32) << 2,
        }),
        (Framing::Abridged, [first, a, b, c, ..]) => Some(FrameHeader {
            header_len: 4,
            quick_ack: *first & 0x80 != 0,
            body_len: u32::from_le_bytes([*a, *b, *c, 0]) << 2,
        }),
        (Framing::Intermediate | Framing::Padded, [a, b, c, d, ..]) => Some(FrameHeader {
            header_len: 4,
            quick_ack: *d & 0x80 != 0,
            body_len: u32::from_le_bytes([*a, *b, *c, *d & 0x7f]),
        }),
        _ => None,
    }
}

const fn check(framing: Framing, header: &FrameHeader, limit: usize) -> Result<(), FrameError> {
    if header.body_len == 0 {
        return Err(FrameError::ZeroLength);
    }
    if header.message_len() as usize > limit {
        return Err(FrameError::TooLong);
    }
    match framing {
        Framing::Abridged if header.header_len == 4 && header.body_len < (ABRIDGED_LONG as u32) << 2 => {
            Err(FrameError::Overlong)
        }
        Framing::Intermediate if header.body_len & 3 != 0 => Err(FrameError::Unaligned),
        Framing::Padded if header.body_len < 4 => Err(FrameError::TooShort),
        _ => Ok(()),
    }
}

/// Whether the next bytes from a server are a quick ack instead of a frame; `None` when that cannot be told yet.
pub(super) const fn raw_is_quick_ack(framing: Framing, bytes: &[u8]) -> Option<bool> {
    match (framing, bytes) {
        (Framing::Abridged, [first, ..]) => Some(*first & 0x80 != 0),
        (Framing::Intermediate | Framing::Padded, [_, _, _, last, ..]) => Some(*last & 0x80 != 0),
        _ => None,
    }
}
