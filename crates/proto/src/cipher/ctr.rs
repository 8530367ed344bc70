//! Counter mode: what clients and data centres are spoken to with.

use aes::Aes256Enc;
use aes::cipher::consts::U16;
use aes::cipher::typenum::Unsigned as _;
use aes::cipher::{
    Array, BlockCipherEncBackend, BlockCipherEncClosure, BlockCipherEncrypt as _, BlockSizeUser,
    KeyInit as _, ParBlocks,
};
use zeroize::Zeroize;

use super::{BLOCK, Block};

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
        self.lay(None, data);
    }

    /// The same with what comes out at the front of `to`, which has to be as long: a copy that costs nothing.
    pub fn apply_to(&mut self, data: &[u8], to: &mut [u8]) {
        debug_assert!(data.len() <= to.len(), "no room for what comes out");
        let to = to.get_mut(..data.len()).unwrap_or_default();
        self.lay(Some(data), to);
    }

    fn lay(&mut self, from: Option<&[u8]>, to: &mut [u8]) {
        let len = to.len() as u64;
        if len == 0 {
            return;
        }
        let stream = KeyStream { counter: u128::from_be_bytes(self.counter), used: self.used, from, to };
        Aes256Enc::new(&self.key.into()).encrypt_with_backend(stream);
        self.skip(len);
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

/// The key stream from a counter on, to be laid over data. Counter blocks are made for as many blocks as the processor
/// enciphers at once.
struct KeyStream<'a> {
    counter: u128,
    /// Bytes of the first block that are used already.
    used: u8,
    /// What it is laid over, when that does not stand in `to`.
    from: Option<&'a [u8]>,
    to: &'a mut [u8],
}

impl BlockSizeUser for KeyStream<'_> {
    type BlockSize = U16;
}

impl BlockCipherEncClosure for KeyStream<'_> {
    #[inline(always)]
    fn call<B: BlockCipherEncBackend<BlockSize = U16>>(self, backend: &B) {
        let Self { mut counter, used, mut from, to } = self;
        let key_block = |counter: u128| {
            let mut block: Block = counter.to_be_bytes().into();
            backend.encrypt_block((&mut block).into());
            block
        };
        let left = BLOCK.saturating_sub(used.into()) % BLOCK;
        let (begun, to) = to.split_at_mut(left.min(to.len()));
        if !begun.is_empty() {
            let block = key_block(counter);
            overlay(&mut from, begun, block.get(used.into()..).unwrap_or_default());
            counter = counter.wrapping_add(1);
        }
        let at_once = B::ParBlocksSize::USIZE.saturating_mul(BLOCK);
        for chunk in to.chunks_mut(at_once) {
            // Half of them at once cost less than one by one.
            if chunk.len() >= at_once / 2 {
                let mut blocks = ParBlocks::<B>::default();
                count(counter, Array::slice_as_flattened_mut(&mut blocks));
                backend.encrypt_par_blocks((&mut blocks).into());
                overlay(&mut from, chunk, Array::slice_as_flattened(&blocks));
                counter = counter.wrapping_add(B::ParBlocksSize::USIZE as u128);
                continue;
            }
            for part in chunk.chunks_mut(BLOCK) {
                overlay(&mut from, part, &key_block(counter));
                counter = counter.wrapping_add(1);
            }
        }
    }
}

/// Fills whole blocks with the counters from `first` on.
#[inline(always)]
fn count(first: u128, blocks: &mut [u8]) {
    let (blocks, _) = blocks.as_chunks_mut::<BLOCK>();
    let (high, low) = ((first >> 64) as u64, first as u64);
    if low.checked_add(blocks.len() as u64).is_none() {
        let counters = blocks.iter_mut().zip(0..);
        return counters.for_each(|(block, n)| *block = first.wrapping_add(n).to_be_bytes());
    }
    // With the upper half constant the loop becomes vectors.
    for (block, n) in blocks.iter_mut().zip(0..) {
        let (to_high, to_low) = block.split_at_mut(BLOCK / 2);
        to_high.copy_from_slice(&high.to_be_bytes());
        to_low.copy_from_slice(&low.wrapping_add(n).to_be_bytes());
    }
}

/// Lays the key stream over what stands in `to`, or over as much of `from`, which is then cut off.
#[inline(always)]
fn overlay(from: &mut Option<&[u8]>, to: &mut [u8], stream: &[u8]) {
    let Some(rest) = from else {
        return to.iter_mut().zip(stream).for_each(|(byte, key)| *byte ^= key);
    };
    let (data, behind) = rest.split_at(to.len().min(rest.len()));
    *rest = behind;
    for ((to, byte), key) in to.iter_mut().zip(data).zip(stream) {
        *to = byte ^ key;
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
    use ctr::cipher::{KeyIvInit as _, StreamCipher as _};
    use proptest::prelude::*;

    use super::*;

    /// What others made of the same mode.
    fn reference(key: [u8; 32], iv: [u8; 16], data: &mut [u8]) {
        ctr::Ctr128BE::<aes::Aes256>::new(&key.into(), &iv.into()).apply_keystream(data);
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

        /// Long enough for whatever is done at once, wherever the halves of the counter overflow.
        #[test]
        fn long_pieces_and_counters_that_overflow_are_as_others_make_them(
            key: [u8; 32],
            high in prop::sample::select(vec![0, 1, u64::MAX - 1, u64::MAX]),
            before in 0_u64..300,
            cuts in prop::collection::vec(0_usize..5000, 0..4),
        ) {
            let iv = (u128::from(high) << 64 | u128::from(u64::MAX - before)).to_be_bytes();
            let mut whole: Vec<u8> = (0..cuts.iter().sum()).map(|n| n as u8).collect();
            let mut pieces = whole.clone();
            reference(key, iv, &mut whole);
            let (mut stream, mut rest) = (CtrStream::new(&key, &iv), pieces.as_mut_slice());
            for cut in cuts {
                let (piece, behind) = rest.split_at_mut(cut);
                // In place and elsewhere in turn.
                if cut % 2 == 0 {
                    stream.apply(piece);
                } else {
                    let data = piece.to_vec();
                    piece.fill(0);
                    stream.apply_to(&data, piece);
                }
                rest = behind;
            }
            prop_assert!(pieces == whole);
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
