//! Reading and writing the TL serialisation: little-endian numbers and padded byte strings.

/// The constructor of every boxed vector.
pub(crate) const VECTOR: u32 = 0x1cb5_c415;
/// `Bool`s.
pub(crate) const BOOL_TRUE: u32 = 0x9972_75b5;
pub(crate) const BOOL_FALSE: u32 = 0xbc79_9737;

/// Reads values from the front of a serialisation. `None` from any method: the bytes end too early.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// What has not been read.
    pub(crate) const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(crate) fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(len)?;
        self.rest = rest;
        Some(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(*taken)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    /// A byte string: a length of one byte, or `fe` and three, and zeros up to a multiple of four.
    pub(crate) fn bytes(&mut self) -> Option<&'a [u8]> {
        let (header, len) = match *self.rest.first()? {
            0xff => return None,
            0xfe => {
                let [_, a, b, c] = *self.rest.first_chunk()?;
                (4, u32::from_le_bytes([a, b, c, 0]) as usize)
            }
            short => (1, usize::from(short)),
        };
        self.take((header + len).next_multiple_of(4))?.get(header..header + len)
    }
}

/// Writes values at the end of a serialisation.
pub(crate) trait Write {
    fn u32(&mut self, value: u32);
    fn u64(&mut self, value: u64);
    fn bool(&mut self, value: bool);
    /// A byte string, below 16 MiB.
    fn bytes(&mut self, value: &[u8]);
}

impl Write for Vec<u8> {
    fn u32(&mut self, value: u32) {
        self.extend(value.to_le_bytes());
    }

    fn u64(&mut self, value: u64) {
        self.extend(value.to_le_bytes());
    }

    fn bool(&mut self, value: bool) {
        self.u32(if value { BOOL_TRUE } else { BOOL_FALSE });
    }

    fn bytes(&mut self, value: &[u8]) {
        debug_assert!(value.len() < 1 << 24, "not a byte string");
        let [a, b, c, _] = (value.len() as u32).to_le_bytes();
        let header: &[u8] = if value.len() < 0xfe { &[a] } else { &[0xfe, a, b, c] };
        self.extend_from_slice(header);
        self.extend_from_slice(value);
        let padding = (header.len() + value.len()).next_multiple_of(4) - header.len() - value.len();
        self.extend_from_slice(&[0; 3][..padding]);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn byte_strings_survive(value in proptest::collection::vec(any::<u8>(), 0..700)) {
            let mut out = Vec::new();
            out.bytes(&value);
            out.u32(7);
            prop_assert!(out.len().is_multiple_of(4));
            let mut reader = Reader::new(&out);
            prop_assert_eq!(reader.bytes(), Some(value.as_slice()));
            prop_assert_eq!(reader.u32(), Some(7));
            prop_assert!(reader.rest().is_empty());
        }

        #[test]
        fn any_bytes_are_safe(bytes: Vec<u8>) {
            Reader::new(&bytes).bytes();
        }
    }
}
