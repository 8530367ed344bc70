//! Writing frames and quick acks.

use super::Framing;

/// Appends one frame to `out`: header, `message`, and (padded framing only) `padding`.
///
/// `message` is a multiple of four bytes and below 64 MiB; towards a client the padding is at most three bytes, as some
/// clients cut it off by the length modulo four. `quick_ack` is for clients only.
pub fn encode(framing: Framing, message: &[u8], quick_ack: bool, padding: &[u8], out: &mut Vec<u8>) {
    debug_assert!(message.len().is_multiple_of(4) && message.len() < 1 << 26, "not a message");
    debug_assert!(padding.is_empty() || framing == Framing::Padded, "only padded frames have padding");
    let flag = if quick_ack { 0x80 } else { 0 };
    match framing {
        Framing::Abridged => {
            let [a, b, c, _] = ((message.len() >> 2) as u32).to_le_bytes();
            if message.len() < 0x7f << 2 {
                out.push(a | flag);
            } else {
                out.extend([0x7f | flag, a, b, c]);
            }
            out.extend_from_slice(message);
        }
        Framing::Intermediate | Framing::Padded => {
            let [a, b, c, d] = (message.len().saturating_add(padding.len()) as u32).to_le_bytes();
            out.extend([a, b, c, d | flag]);
            out.extend_from_slice(message);
            out.extend_from_slice(padding);
        }
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
