//! Where the frames of a server's stream end.

use super::header::{raw_header, raw_is_quick_ack};
use super::{Framing, HEADER_MAX};

/// Walks the frames of a server's decrypted stream, whatever their lengths are. A stream codec: it keeps a length field.
#[derive(Debug)]
pub struct Borders {
    framing: Framing,
    /// The beginning of a header that is not whole: `header[..header_len]`.
    header: [u8; HEADER_MAX],
    header_len: u8,
    /// Bytes of the frame that are still to come.
    left: u32,
}

impl Borders {
    /// At the beginning of a stream.
    #[must_use]
    pub const fn new(framing: Framing) -> Self {
        Self { framing, header: [0; HEADER_MAX], header_len: 0, left: 0 }
    }

    /// True between two frames.
    #[must_use]
    pub const fn is_at_border(&self) -> bool {
        self.left == 0 && self.header_len == 0
    }

    /// Moves on over these bytes.
    pub fn walk(&mut self, mut bytes: &[u8]) {
        while let Some((&byte, behind)) = bytes.split_first() {
            if self.left > 0 {
                let step = bytes.len().min(self.left as usize);
                self.left = self.left.saturating_sub(step as u32);
                bytes = bytes.get(step..).unwrap_or_default();
                continue;
            }
            if let Some(to) = self.header.get_mut(usize::from(self.header_len)) {
                *to = byte;
            }
            self.header_len = self.header_len.saturating_add(1);
            bytes = behind;
            self.begin();
        }
    }

    /// Understands the header, if it is whole.
    fn begin(&mut self) {
        let known = self.header.get(..self.header_len.into()).unwrap_or_default();
        let left = match raw_is_quick_ack(self.framing, known) {
            Some(true) => HEADER_MAX.saturating_sub(known.len()) as u32,
            _ => match raw_header(self.framing, known) {
                Some(header) => header.body_len,
                None => return,
            },
        };
        (self.left, self.header_len) = (left, 0);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::transport::{encode, encode_quick_ack};

    proptest! {
        #[test]
        fn every_border_is_seen_in_any_cut(
            framing in prop::sample::select(Framing::ALL.to_vec()),
            messages in prop::collection::vec(prop::option::of(1_usize..300), 1..8),
            step in 1_usize..50,
        ) {
            let (mut wire, mut borders) = (Vec::new(), vec![0]);
            for words in messages {
                match words {
                    Some(words) => encode(framing, &vec![7; 4 * words], false, &[], &mut wire),
                    None => encode_quick_ack(framing, [1, 2, 3, 0x84], &mut wire),
                }
                borders.push(wire.len());
            }
            let mut walker = Borders::new(framing);
            let mut at = 0;
            prop_assert!(walker.is_at_border());
            for piece in wire.chunks(step) {
                walker.walk(piece);
                at += piece.len();
                prop_assert_eq!(walker.is_at_border(), borders.contains(&at), "at {}", at);
            }
        }
    }
}
