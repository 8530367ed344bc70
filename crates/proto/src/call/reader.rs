//! Reading the messages of a call, in whatever pieces they come.

use super::{Version, field};

/// The longest message that is read, in bytes: what is known to be longer than that is refused from its length. Data are
/// given out as they come, so nothing of that size is ever kept.
pub const MAX_MESSAGE: u32 = 16 << 20;

/// The longest field that is kept until it is whole, in bytes.
pub const MAX_FIELD: u32 = 4 << 10;

/// Why a call cannot be understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CallError {
    /// The message is compressed, which nobody asked for.
    Compressed,
    /// Longer than a message may be.
    TooLong,
    /// A field that is no field of protobuf, or reaches over the end of its message, or has an illegal value.
    Field,
    /// The other side speaks another version.
    Version(Version),
}

impl std::hash::Hash for Version {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        (self.major, self.minor).hash(state);
    }
}

impl std::fmt::Display for CallError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Compressed => f.write_str("the message is compressed"),
            Self::TooLong => f.write_str("the message is too long"),
            Self::Field => f.write_str("the message has an illegal field"),
            Self::Version(version) => {
                write!(f, "the other side speaks version {version}, and this one {}", super::VERSION)
            }
        }
    }
}

impl std::error::Error for CallError {}

/// Something that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece<'a> {
    /// Some bytes of the data; never none.
    Data(&'a [u8]),
    /// A field that is known and has bytes.
    Field(u32, Vec<u8>),
    /// A field that is known and is a number.
    Number(u32, u64),
}

/// Takes the messages of one direction apart. A stream codec: keeps at most [`MAX_FIELD`] bytes.
#[derive(Debug)]
pub struct Reader {
    at: At,
    /// Bytes of the message that are still to come.
    left: u32,
}

#[derive(Debug)]
enum At {
    /// In front of a message.
    Prefix { bytes: [u8; 5], len: u8 },
    /// In front of a field, or at the end of the message.
    Tag(Varint),
    /// In the value of a field that is a number.
    Number(u32, Varint),
    /// In the length of a field.
    Length(u32, Varint),
    /// In the data: so many bytes are still to come.
    Data(u32),
    /// In a field that is kept.
    Keep(u32, u32, Vec<u8>),
    /// In something that is of no interest.
    Skip(u32),
}

/// A number of which a part is here.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Varint {
    value: u64,
    shift: u8,
}

impl Varint {
    /// Takes a byte; the number when it is the last one.
    pub(super) fn push(&mut self, byte: u8) -> Result<Option<u64>, CallError> {
        let bits = u64::from(byte & 0x7f);
        let shifted = bits.checked_shl(self.shift.into()).filter(|v| v >> self.shift == bits);
        self.value |= shifted.ok_or(CallError::Field)?;
        if byte & 0x80 == 0 {
            return Ok(Some(self.value));
        }
        self.shift = self.shift.saturating_add(7);
        Ok(None)
    }
}

impl Default for Reader {
    fn default() -> Self {
        Self { at: FIRST, left: 0 }
    }
}

const FIRST: At = At::Prefix { bytes: [0; 5], len: 0 };

impl Reader {
    /// True between two messages.
    #[must_use]
    pub const fn is_between(&self) -> bool {
        matches!(self.at, At::Prefix { len: 0, .. })
    }

    /// True in front of data.
    #[must_use]
    pub const fn is_in_data(&self) -> bool {
        matches!(self.at, At::Data(_))
    }

    /// The next piece of the stream that goes on with `rest`; what is used of it is cut off. `Ok(None)`: all of it is used.
    ///
    /// # Errors
    /// The stream cannot be read any further.
    pub fn next<'r>(&mut self, rest: &mut &'r [u8]) -> Result<Option<Piece<'r>>, CallError> {
        loop {
            match &mut self.at {
                At::Data(left) => {
                    let Some(data) = take(rest, left, &mut self.left) else { return Ok(None) };
                    if *left == 0 {
                        self.field_over();
                    }
                    return Ok(Some(Piece::Data(data)));
                }
                At::Skip(left) => {
                    if take(rest, left, &mut self.left).is_none() {
                        return Ok(None);
                    }
                    if *left == 0 {
                        self.field_over();
                    }
                }
                At::Keep(number, left, kept) => {
                    let Some(bytes) = take(rest, left, &mut self.left) else { return Ok(None) };
                    kept.extend_from_slice(bytes);
                    if *left == 0 {
                        let piece = Piece::Field(*number, std::mem::take(kept));
                        self.field_over();
                        return Ok(Some(piece));
                    }
                }
                _ => {
                    let Some((&byte, behind)) = rest.split_first() else { return Ok(None) };
                    *rest = behind;
                    if let Some(piece) = self.byte(byte)? {
                        return Ok(Some(piece));
                    }
                }
            }
        }
    }

    /// Takes a byte of what stands before the bytes of a field.
    fn byte(&mut self, byte: u8) -> Result<Option<Piece<'static>>, CallError> {
        if let At::Prefix { bytes, len } = &mut self.at {
            if let Some(to) = bytes.get_mut(usize::from(*len)) {
                *to = byte;
            }
            *len = len.saturating_add(1);
            if *len == 5 {
                let [compressed, a, b, c, d] = *bytes;
                if compressed != 0 {
                    return Err(CallError::Compressed);
                }
                self.left = u32::from_be_bytes([a, b, c, d]);
                if self.left > MAX_MESSAGE {
                    return Err(CallError::TooLong);
                }
                self.field_over();
            }
            return Ok(None);
        }
        // Everything else is inside the message.
        self.left = self.left.saturating_sub(1);
        let mut piece = None;
        match &mut self.at {
            At::Tag(varint) => {
                if let Some(tag) = varint.push(byte)? {
                    self.at = field(tag)?;
                }
            }
            At::Number(number, varint) => {
                if let Some(value) = varint.push(byte)? {
                    let number = *number;
                    if is_number(number) {
                        piece = Some(Piece::Number(number, value));
                    }
                    self.field_over();
                    return Ok(piece);
                }
            }
            At::Length(number, varint) => {
                if let Some(len) = varint.push(byte)? {
                    let number = *number;
                    let len = u32::try_from(len).ok().filter(|len| *len <= self.left);
                    return self.begin(number, len.ok_or(CallError::Field)?);
                }
            }
            At::Prefix { .. } | At::Data(_) | At::Keep(..) | At::Skip(_) => {}
        }
        if self.left == 0 || matches!(self.at, At::Skip(len) if len > self.left) {
            // A message does not end inside a field.
            return Err(CallError::Field);
        }
        Ok(None)
    }

    /// The bytes of a field begin.
    fn begin(&mut self, number: u32, len: u32) -> Result<Option<Piece<'static>>, CallError> {
        match (number, len) {
            (field::OPEN, 0) => {
                self.field_over();
                return Ok(Some(Piece::Field(number, Vec::new())));
            }
            (_, 0) => self.field_over(),
            (field::DATA, _) => self.at = At::Data(len),
            (field::OPEN, MAX_FIELD..) => return Err(CallError::TooLong),
            (field::OPEN, _) => self.at = At::Keep(number, len, Vec::new()),
            _ => self.at = At::Skip(len),
        }
        Ok(None)
    }

    /// Another field follows, or another message.
    fn field_over(&mut self) {
        self.at = if self.left == 0 { FIRST } else { At::Tag(Varint { value: 0, shift: 0 }) };
    }
}

/// What a field's tag announces.
fn field(tag: u64) -> Result<At, CallError> {
    let number = u32::try_from(tag >> 3).map_err(|_| CallError::Field)?;
    if number == 0 {
        return Err(CallError::Field);
    }
    match tag & 7 {
        0 => Ok(At::Number(number, Varint::default())),
        1 => Ok(At::Skip(8)),
        2 => Ok(At::Length(number, Varint::default())),
        5 => Ok(At::Skip(4)),
        _ => Err(CallError::Field),
    }
}

const fn is_number(number: u32) -> bool {
    matches!(number, field::MOVE | field::MIGRATED)
}

/// Takes up to `left` bytes off the front; `None` when there is none.
fn take<'r>(rest: &mut &'r [u8], left: &mut u32, message_left: &mut u32) -> Option<&'r [u8]> {
    if rest.is_empty() {
        return None;
    }
    let len = rest.len().min(*left as usize);
    let (taken, behind) = rest.split_at_checked(len)?;
    *rest = behind;
    *left = left.saturating_sub(len as u32);
    *message_left = message_left.saturating_sub(len as u32);
    Some(taken)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use prost::Message as _;

    use super::*;
    use crate::call::{HEADROOM, note, seal};

    /// The same as another implementation of the format has it.
    #[derive(Clone, PartialEq, prost::Message)]
    struct Oracle {
        #[prost(bytes = "vec", tag = "1")]
        data: Vec<u8>,
        #[prost(bytes = "vec", optional, tag = "2")]
        open: Option<Vec<u8>>,
        #[prost(uint64, tag = "3")]
        moved: u64,
        #[prost(fixed64, tag = "6")]
        odd: u64,
        #[prost(fixed32, tag = "7")]
        odd_too: u32,
        #[prost(string, tag = "300")]
        later: String,
        #[prost(bytes = "vec", tag = "15")]
        padding: Vec<u8>,
    }

    impl Oracle {
        fn wire(&self) -> Vec<u8> {
            let body = self.encode_to_vec();
            [&[0][..], &(body.len() as u32).to_be_bytes(), &body].concat()
        }
    }

    /// A field: its number, its bytes, and what it is worth as a number.
    type Field = (u32, Vec<u8>, u64);

    /// What is read of some wire in pieces: the data of all messages, the other fields, and how it ends.
    fn read(wire: &[u8], step: usize) -> (Vec<u8>, Vec<Field>, Option<CallError>, bool) {
        let mut reader = Reader::default();
        let (mut data, mut fields) = (Vec::new(), Vec::new());
        for mut piece in wire.chunks(step.max(1)) {
            loop {
                match reader.next(&mut piece) {
                    Ok(None) => break,
                    Ok(Some(Piece::Data(bytes))) => {
                        assert!(!bytes.is_empty());
                        data.extend_from_slice(bytes);
                    }
                    Ok(Some(Piece::Field(number, bytes))) => fields.push((number, bytes, 0)),
                    Ok(Some(Piece::Number(number, value))) => fields.push((number, Vec::new(), value)),
                    Err(error) => return (data, fields, Some(error), false),
                }
            }
            assert!(piece.is_empty(), "all is used");
        }
        (data, fields, None, reader.is_between())
    }

    fn oracle() -> impl Strategy<Value = Oracle> {
        let bytes = |max| prop::collection::vec(any::<u8>(), 0..max);
        (
            bytes(600),
            prop::option::of(bytes(60)),
            any::<u64>(),
            any::<u64>(),
            any::<u32>(),
            "[a-z]{0,9}",
            bytes(200),
        )
            .prop_map(|(data, open, moved, odd, odd_too, later, padding)| Oracle {
                data,
                open,
                moved,
                odd,
                odd_too,
                later,
                padding,
            })
    }

    proptest! {
        #[test]
        fn what_others_write_is_read_in_any_cut(messages in prop::collection::vec(oracle(), 0..5), step in 1_usize..900) {
            let wire: Vec<u8> = messages.iter().flat_map(Oracle::wire).collect();
            let data: Vec<u8> = messages.iter().flat_map(|message| message.data.clone()).collect();
            let mut fields = Vec::new();
            for message in &messages {
                fields.extend(message.open.clone().map(|open| (2, open, 0)));
                if message.moved > 0 {
                    fields.push((3, Vec::new(), message.moved));
                }
            }
            prop_assert_eq!(read(&wire, step), (data, fields, None, true));
        }

        #[test]
        fn what_is_written_is_read_by_others(data in prop::collection::vec(any::<u8>(), 0..5000), padding in 0_usize..300) {
            let mut buf = vec![0; HEADROOM];
            buf.extend_from_slice(&data);
            let start = seal(&mut buf, padding, |bytes| bytes.fill(7));
            let wire = &buf[start..];
            prop_assert_eq!(u32::from_be_bytes(wire[1..5].try_into().expect("four")) as usize, wire.len() - 5);
            let theirs = Oracle::decode(&wire[5..]).expect("protobuf");
            prop_assert_eq!((&theirs.data, theirs.padding), (&data, vec![7; padding]));
            prop_assert_eq!(read(wire, 7), (data, vec![], None, true));
        }

        #[test]
        fn any_bytes_end_the_same_in_any_cut(wire in prop::collection::vec(any::<u8>(), 0..300), step in 1_usize..40) {
            prop_assert_eq!(read(&wire, step), read(&wire, usize::MAX));
        }
    }

    #[test]
    fn notes_are_read_by_others() {
        let wire = note(&[(2, b"open")], &[(3, 1)]);
        let theirs = Oracle::decode(&wire[5..]).expect("protobuf");
        assert_eq!((theirs.open.as_deref(), theirs.moved), (Some(&b"open"[..]), 1));
    }

    #[test]
    fn what_is_too_long_is_refused_from_its_length() {
        let error = |wire: &[u8]| read(wire, usize::MAX).2;
        assert_eq!(error(&[0, 0xff, 0, 0, 0]), Some(CallError::TooLong));
        assert_eq!(error(&[1, 0, 0, 0, 0]), Some(CallError::Compressed));
        // A field that is kept, of 8 KiB.
        assert_eq!(error(&[0, 0, 1, 0, 0, 0x12, 0x80, 0x40]), Some(CallError::TooLong));
        // A field that reaches over the end of its message.
        assert_eq!(error(&[0, 0, 0, 0, 4, 0x0a, 3, 1]), Some(CallError::Field));
        // A message that ends in front of a field's value.
        assert_eq!(error(&[0, 0, 0, 0, 1, 0x0a]), Some(CallError::Field));
        // Groups are no part of this format.
        assert_eq!(error(&[0, 0, 0, 0, 2, 0x0b, 0]), Some(CallError::Field));
    }
}
