//! What has come, kept as far as it is compared byte for byte, and a checksum of the rest.

use std::hash::{DefaultHasher, Hasher as _};

/// Bytes that are kept.
const KEPT: usize = 64 << 10;

/// What has come on one connection.
#[derive(Debug, Clone, Default)]
pub(crate) struct Capture {
    /// The first [`KEPT`] bytes.
    pub(crate) kept: Vec<u8>,
    /// How many came in all.
    pub(crate) total: u64,
    rest: DefaultHasher,
}

impl Capture {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.total += bytes.len() as u64;
        let (keep, rest) = bytes.split_at(bytes.len().min(KEPT - self.kept.len()));
        self.kept.extend(keep);
        self.rest.write(rest);
    }

    /// A checksum of what was not kept. Depends on how the bytes were cut into pieces nowhere.
    pub(crate) fn checksum(&self) -> u64 {
        self.rest.finish()
    }

    /// Whether everything was kept.
    pub(crate) const fn is_whole(&self) -> bool {
        self.total == self.kept.len() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_does_not_see_how_bytes_were_cut() {
        let bytes: Vec<u8> = (0..200_000_u32).map(|n| n as u8).collect();
        let (mut whole, mut cut, mut other) = (Capture::default(), Capture::default(), Capture::default());
        whole.push(&bytes);
        bytes.chunks(777).for_each(|chunk| cut.push(chunk));
        other.push(&[&bytes[..199_999], &[7]].concat());
        assert_eq!((whole.total, whole.checksum()), (cut.total, cut.checksum()));
        assert_ne!(whole.checksum(), other.checksum(), "the last byte counts");
    }
}
