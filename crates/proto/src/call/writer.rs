//! Writing the messages of a call.

use super::field;

/// Bytes that must be free in front of the data given to [`seal`].
pub const HEADROOM: usize = PREFIX + 1 + MAX_VARINT;

/// Bytes of gRPC's prefix: whether the message is compressed, and its length.
const PREFIX: usize = 5;
/// Bytes of a length, at most.
const MAX_VARINT: usize = 5;
/// The wire type of a field that has a length.
const WITH_LENGTH: u32 = 2;

/// Makes a message of the data in `buf`, which begin behind [`HEADROOM`] bytes that are free, with so many bytes of padding
/// behind them. Says where in `buf` the message begins. `random` fills bytes; data and padding are below 16 MiB.
pub fn seal(buf: &mut Vec<u8>, padding: usize, random: impl FnOnce(&mut [u8])) -> usize {
    let data_len = buf.len().saturating_sub(HEADROOM);
    let mut head = [0; 1 + MAX_VARINT];
    let head = field_head(field::DATA, data_len, &mut head);
    if padding > 0 {
        let mut tail = [0; 1 + MAX_VARINT];
        buf.extend_from_slice(field_head(field::PADDING, padding, &mut tail));
        let start = buf.len();
        buf.resize(start.saturating_add(padding), 0);
        random(buf.get_mut(start..).unwrap_or_default());
    }
    let message_len = buf.len().saturating_sub(HEADROOM).saturating_add(head.len());
    let start = HEADROOM.saturating_sub(PREFIX).saturating_sub(head.len());
    let prefix = prefix(message_len);
    for (to, from) in buf.iter_mut().skip(start).zip(prefix.iter().chain(head)) {
        *to = *from;
    }
    start
}

/// A message without data: fields with bytes, then fields with a number.
#[must_use]
pub fn note(bytes: &[(u32, &[u8])], numbers: &[(u32, u64)]) -> Vec<u8> {
    let mut message = vec![0; PREFIX];
    append(bytes, numbers, &mut message);
    let prefix = prefix(message.len().saturating_sub(PREFIX));
    for (to, from) in message.iter_mut().zip(prefix) {
        *to = from;
    }
    message
}

/// Appends fields with bytes, then fields with a number, their values in whatever form.
pub(super) fn append(bytes: &[(u32, &[u8])], numbers: &[(u32, u64)], message: &mut Vec<u8>) {
    for (number, bytes) in bytes {
        let mut head = [0; 1 + MAX_VARINT];
        message.extend_from_slice(field_head(*number, bytes.len(), &mut head));
        message.extend_from_slice(bytes);
    }
    for (number, value) in numbers {
        varint((*number << 3).into(), &mut |byte| message.push(byte));
        varint(*value, &mut |byte| message.push(byte));
    }
}

fn prefix(len: usize) -> [u8; PREFIX] {
    debug_assert!(u32::try_from(len).is_ok(), "no message is this long");
    let [a, b, c, d] = (len as u32).to_be_bytes();
    [0, a, b, c, d]
}

/// What stands before the bytes of a field; its number is below 16.
fn field_head(number: u32, len: usize, room: &mut [u8; 1 + MAX_VARINT]) -> &[u8] {
    let mut used = 0_usize;
    let mut put = |byte| {
        if let Some(to) = room.get_mut(used) {
            *to = byte;
            used = used.saturating_add(1);
        }
    };
    varint((number << 3 | WITH_LENGTH).into(), &mut put);
    varint(len as u64, &mut put);
    room.get(..used).unwrap_or_default()
}

fn varint(mut value: u64, put: &mut impl FnMut(u8)) {
    while value >= 0x80 {
        put(value as u8 | 0x80);
        value >>= 7;
    }
    put(value as u8);
}
