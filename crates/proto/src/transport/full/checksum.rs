//! The two checksums of the full framing.

/// Which checksum frames carry. Both are reflected, with all bits inverted at the start and at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Checksum {
    /// CRC-32 as in zlib: always for nonce and handshake, and for what follows unless agreed otherwise.
    #[default]
    Crc32,
    /// CRC-32C (Castagnoli), when both sides named it in their handshake.
    Crc32c,
}

impl Checksum {
    /// The checksum of `bytes`.
    #[must_use]
    pub fn of(self, bytes: &[u8]) -> u32 {
        match self {
            Self::Crc32 => crc32fast::hash(bytes),
            Self::Crc32c => crc32c::crc32c(bytes),
        }
    }
}
