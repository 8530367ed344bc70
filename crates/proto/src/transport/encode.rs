//! Writing frames and quick acks.

use super::Framing;

/// Appends one frame to `out`: header, `message`, and (padded framing only) `padding`.
///
/// `message` is a multiple of four bytes and below 64 MiB; towards a client the padding is at most three bytes, as some
/// clients cut it off by the length modulo four. `quick_ack` is for clients only.
pub fn encode(framing: Framing, message: &[u8], quick_ack: bool, padding: &[u8], out: &mut Vec<u8>) {
    debug_assert!(message.len().is_multiple_of(4), "not a message");
    debug_assert!(padding.is_empty() || framing == Framing::Padded, "only padded frames have padding");
    out.extend_from_slice(
        frame_head(framing, message.len().saturating_add(padding.len()), quick_ack).as_ref(),
    );
    out.extend_from_slice(message);
    out.extend_from_slice(padding);
}

/// What stands before a frame's body of `len` bytes, padding included; below 64 MiB.
#[must_use]
pub fn frame_head(framing: Framing, len: usize, quick_ack: bool) -> FrameHead {
    debug_assert!(len < 1 << 26, "no frame is this long");
    let flag = if quick_ack { 0x80 } else { 0 };
    match framing {
        Framing::Abridged => {
            let [a, b, c, _] = ((len >> 2) as u32).to_le_bytes();
            if len < 0x7f << 2 {
                FrameHead { bytes: [a | flag, 0, 0, 0], len: 1 }
            } else {
                FrameHead { bytes: [0x7f | flag, a, b, c], len: 4 }
            }
        }
        Framing::Intermediate | Framing::Padded => {
            let [a, b, c, d] = (len as u32).to_le_bytes();
            FrameHead { bytes: [a, b, c, d | flag], len: 4 }
        }
    }
}

/// The bytes before a frame's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameHead {
    bytes: [u8; 4],
    /// 1 or 4.
    len: u8,
}

impl AsRef<[u8]> for FrameHead {
    fn as_ref(&self) -> &[u8] {
        self.bytes.get(..self.len.into()).unwrap_or_default()
    }
}

/// Appends a quick ack to the stream towards a client. `token` is as it stands in the server's packet: little-endian
/// with bit 31 set.
pub fn encode_quick_ack(framing: Framing, token: [u8; 4], out: &mut Vec<u8>) {
    out.extend(quick_ack_bytes(framing, token));
}

/// A quick ack on the wire from its token, and (being its own inverse) the token from the wire. Abridged framing
/// reverses it so that bit 7 of the first byte tells it from a length.
#[must_use]
pub const fn quick_ack_bytes(framing: Framing, token: [u8; 4]) -> [u8; 4] {
    match framing {
        Framing::Abridged => {
            let [a, b, c, d] = token;
            [d, c, b, a]
        }
        Framing::Intermediate | Framing::Padded => token,
    }
}
