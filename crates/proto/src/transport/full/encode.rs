//! Writing full frames.

use super::{Checksum, FIRST_SEQUENCE, MAX_FRAME, MIN_FRAME, OVERHEAD, PADDING_WORD};
use crate::cipher::BLOCK;

/// Writes the frames of one direction.
#[derive(Debug, Clone)]
pub struct Encoder {
    /// Of the next frame.
    sequence: i32,
    checksum: Checksum,
}

impl Encoder {
    /// An encoder before the first frame of a connection, with CRC-32.
    #[must_use]
    pub const fn new() -> Self {
        Self::starting_at(FIRST_SEQUENCE, Checksum::Crc32)
    }

    /// An encoder in the middle of a connection.
    #[must_use]
    pub const fn starting_at(sequence: i32, checksum: Checksum) -> Self {
        Self { sequence, checksum }
    }

    /// The next frame and all later ones carry this checksum.
    pub const fn set_checksum(&mut self, checksum: Checksum) {
        self.checksum = checksum;
    }

    /// Appends one frame to `out`. Its payload is `parts` one behind the other: whole words, at least one, and at most
    /// [`MAX_FRAME`] − [`OVERHEAD`] bytes.
    pub fn encode(&mut self, parts: &[&[u8]], out: &mut Vec<u8>) {
        let start = out.len();
        let len = parts.iter().fold(OVERHEAD, |len, part| len.saturating_add(part.len()));
        debug_assert!(len.is_multiple_of(4) && (MIN_FRAME..=MAX_FRAME).contains(&len), "not a payload");
        out.reserve(len);
        out.extend((len as u32).to_le_bytes());
        out.extend(self.sequence.to_le_bytes());
        for part in parts {
            out.extend_from_slice(part);
        }
        let checksum = self.checksum.of(out.get(start..).unwrap_or_default());
        out.extend(checksum.to_le_bytes());
        self.sequence = self.sequence.wrapping_add(1);
    }
}

impl Default for Encoder {
    fn default() -> Self {
        Self::new()
    }
}

/// Fills what stands in `out` behind `start` with padding words to whole cipher blocks. Frames being whole words, that is
/// 0, 4, 8 or 12 bytes.
pub fn pad(out: &mut Vec<u8>, start: usize) {
    let over = out.len().saturating_sub(start) % BLOCK;
    debug_assert!(over.is_multiple_of(4), "not whole frames");
    if over > 0 {
        let missing = BLOCK.saturating_sub(over);
        out.extend(PADDING_WORD.iter().cycle().take(missing));
    }
}
