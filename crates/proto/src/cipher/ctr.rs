//! Counter mode: what clients and data centres are spoken to with.

use aes::Aes256;
use ctr::Ctr128BE;
use ctr::cipher::{KeyIvInit, StreamCipher, StreamCipherSeek};
use zeroize::Zeroize;

use super::BLOCK;

/// One direction of an obfuscated connection: AES-256-CTR with a 128-bit big-endian counter that wraps.
///
/// It keeps the key and the counter only (49 bytes) and expands the key again when bytes come. That costs about 55 ns a
/// call, and spares an idle session half a kilobyte of round keys. Chunk-invariant: any split of the data gives the same
/// result.
#[derive(Clone)]
pub struct CtrStream {
    key: [u8; 32],
    /// Counter of the block that holds the next byte.
    counter: [u8; BLOCK],
    /// Bytes of that block already used; always below 16.
    used: u8,
}

impl CtrStream {
    /// A stream at position 0, from the 32-byte key and the 16-byte initial counter block.
    #[must_use]
    pub const fn new(key: &[u8; 32], iv: &[u8; BLOCK]) -> Self {
        Self { key: *key, counter: *iv, used: 0 }
    }

    /// Encrypts or decrypts `data` in place and moves on by its length.
    pub fn apply(&mut self, data: &mut [u8]) {
        if data.is_empty() {
            return;
        }
        let mut cipher = Ctr128BE::<Aes256>::new(&self.key.into(), &self.counter.into());
        if self.used > 0 {
            cipher.seek(u32::from(self.used));
        }
        cipher.apply_keystream(data);
        self.skip(data.len() as u64);
    }

    /// Moves on by `len` bytes without touching any data.
    pub fn skip(&mut self, len: u64) {
        let total = u128::from(len).wrapping_add(u128::from(self.used));
        let blocks = total >> 4;
        self.counter = u128::from_be_bytes(self.counter).wrapping_add(blocks).to_be_bytes();
        self.used = (total & 15) as u8;
    }

    /// The key, for a header that makes the other side use the same one.
    pub(crate) const fn key(&self) -> &[u8; 32] {
        &self.key
    }

    /// The counter block of the next byte; the IV while the stream is at position 0.
    pub(crate) const fn counter(&self) -> &[u8; BLOCK] {
        &self.counter
    }
}

impl Drop for CtrStream {
    fn drop(&mut self) {
        self.key.zeroize();
    }
}

impl std::fmt::Debug for CtrStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CtrStream(…)")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The plain use of the library: expanded once, kept.
    fn reference(key: [u8; 32], iv: [u8; 16], data: &mut [u8]) {
        Ctr128BE::<Aes256>::new(&key.into(), &iv.into()).apply_keystream(data);
    }

    proptest! {
        #[test]
        fn a_48_ctr_stream_is_chunk_invariant(
            key: [u8; 32],
            iv: [u8; 16],
            chunks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..70), 0..12),
        ) {
            let mut whole: Vec<u8> = chunks.concat();
            reference(key, iv, &mut whole);
            let mut stream = CtrStream::new(&key, &iv);
            let mut pieces = Vec::new();
            for mut chunk in chunks {
                stream.apply(&mut chunk);
                pieces.extend(chunk);
            }
            prop_assert_eq!(pieces, whole);
        }

        #[test]
        fn skip_equals_apply(key: [u8; 32], iv: [u8; 16], len in 0usize..1000) {
            let mut applied = CtrStream::new(&key, &iv);
            applied.apply(&mut vec![0; len]);
            let mut skipped = CtrStream::new(&key, &iv);
            skipped.skip(len as u64);
            let (mut a, mut b) = ([0; 40], [0; 40]);
            applied.apply(&mut a);
            skipped.apply(&mut b);
            prop_assert_eq!(a, b);
        }
    }

    #[test]
    fn stays_small() {
        assert!(size_of::<CtrStream>() <= 49);
    }
}
