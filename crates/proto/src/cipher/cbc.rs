//! Cipher block chaining: what middle proxies are spoken to with.

use aes::cipher::consts::U16;
use aes::cipher::typenum::Unsigned as _;
use aes::cipher::{
    BlockCipherDecBackend, BlockCipherDecClosure, BlockCipherDecrypt as _, BlockCipherEncBackend,
    BlockCipherEncClosure, BlockCipherEncrypt as _, BlockSizeUser, KeyInit as _, ParBlocks,
};
use aes::{Aes256Dec, Aes256Enc};
use zeroize::Zeroize;

use super::{BLOCK, Block};

/// One direction of a connection to a middle proxy: AES-256-CBC, one chain from the first block to the last.
///
/// Works on whole blocks, in place. Like its sister in counter mode it keeps the key and expands it when bytes come, so
/// that a copy of a stream is cheap: whoever has to look at what was encrypted keeps a copy from before. Chunk-invariant
/// at block borders.
#[derive(Clone)]
pub struct CbcStream {
    key: [u8; 32],
    /// The last encrypted block; the IV before the first.
    chain: [u8; BLOCK],
}

impl CbcStream {
    /// A stream before its first block, from the 32-byte key and the 16-byte IV.
    #[must_use]
    pub const fn new(key: &[u8; 32], iv: &[u8; BLOCK]) -> Self {
        Self { key: *key, chain: *iv }
    }

    /// Encrypts the whole blocks at the front of `data` in place; says how many bytes these are. The up to 15 bytes behind
    /// them stay as they are.
    pub fn encrypt(&mut self, data: &mut [u8]) -> usize {
        let blocks = Block::slice_as_chunks_mut(data).0;
        let whole = blocks.len().saturating_mul(BLOCK);
        if !blocks.is_empty() {
            let chain = &mut self.chain;
            Aes256Enc::new(&self.key.into()).encrypt_with_backend(Alone { chain, blocks });
        }
        whole
    }

    /// Encrypts whole blocks of two streams in place, as [`encrypt`](Self::encrypt) does it with each. A block has to wait for
    /// the one before it in its stream, and the processor does the other stream's meanwhile: as far as both go, two cost
    /// what one costs.
    pub fn encrypt_two(one: (&mut Self, &mut [u8]), other: (&mut Self, &mut [u8])) {
        let most = one.1.len().min(other.1.len());
        let both = most.saturating_sub(most % BLOCK);
        let ((one_both, one_rest), (other_both, other_rest)) =
            (one.1.split_at_mut(both), other.1.split_at_mut(both));
        let keys = (Aes256Enc::new(&one.0.key.into()), Aes256Enc::new(&other.0.key.into()));
        let pair = Pair {
            chains: (&mut one.0.chain, &mut other.0.chain),
            blocks: (Block::slice_as_chunks_mut(one_both).0, Block::slice_as_chunks_mut(other_both).0),
        };
        keys.0.encrypt_with_backend(FirstOf { other_key: &keys.1, pair });
        one.0.encrypt(one_rest);
        other.0.encrypt(other_rest);
    }

    /// Decrypts the whole blocks at the front of `data` in place; says how many bytes these are. The up to 15 bytes behind
    /// them stay as they are.
    pub fn decrypt(&mut self, data: &mut [u8]) -> usize {
        let (blocks, _) = Block::slice_as_chunks_mut(data);
        let whole = blocks.len().saturating_mul(BLOCK);
        if !blocks.is_empty() {
            let chain = self.chain.into();
            self.follow(blocks);
            Aes256Dec::new(&self.key.into()).decrypt_with_backend(Decryption { chain, blocks });
        }
        whole
    }

    /// Moves on behind encrypted blocks without decrypting them; a part of a block at their end does not count.
    pub(crate) fn skip(&mut self, encrypted: &[u8]) {
        self.follow(Block::slice_as_chunks(encrypted).0);
    }

    /// What comes next is chained to the last of these encrypted blocks.
    fn follow(&mut self, encrypted: &[Block]) {
        if let Some(last) = encrypted.last() {
            self.chain = (*last).into();
        }
    }
}

/// One chain, to be encrypted.
struct Alone<'a> {
    chain: &'a mut [u8; BLOCK],
    blocks: &'a mut [Block],
}

impl BlockSizeUser for Alone<'_> {
    type BlockSize = U16;
}

impl BlockCipherEncClosure for Alone<'_> {
    #[inline(always)]
    fn call<B: BlockCipherEncBackend<BlockSize = U16>>(self, backend: &B) {
        // It is kept here and not behind the reference: each block waits for it.
        let mut chain = (*self.chain).into();
        for block in self.blocks {
            chain = xored(&chain, block);
            backend.encrypt_block((&mut chain).into());
            *block = chain;
        }
        *self.chain = chain.into();
    }
}

/// Two chains that are encrypted side by side, as many blocks of each.
struct Pair<'a> {
    chains: (&'a mut [u8; BLOCK], &'a mut [u8; BLOCK]),
    blocks: (&'a mut [Block], &'a mut [Block]),
}

/// A pair, before the first chain's key is at hand.
struct FirstOf<'a> {
    other_key: &'a Aes256Enc,
    pair: Pair<'a>,
}

/// A pair, when it is.
struct SecondOf<'a, F> {
    first: &'a F,
    pair: Pair<'a>,
}

impl BlockSizeUser for FirstOf<'_> {
    type BlockSize = U16;
}

impl<F> BlockSizeUser for SecondOf<'_, F> {
    type BlockSize = U16;
}

impl BlockCipherEncClosure for FirstOf<'_> {
    #[inline(always)]
    fn call<B: BlockCipherEncBackend<BlockSize = U16>>(self, backend: &B) {
        self.other_key.encrypt_with_backend(SecondOf { first: backend, pair: self.pair });
    }
}

impl<F: BlockCipherEncBackend<BlockSize = U16>> BlockCipherEncClosure for SecondOf<'_, F> {
    #[inline(always)]
    fn call<B: BlockCipherEncBackend<BlockSize = U16>>(self, backend: &B) {
        let Pair { chains, blocks } = self.pair;
        let (mut one, mut other) = ((*chains.0).into(), (*chains.1).into());
        for (block, beside) in blocks.0.iter_mut().zip(blocks.1) {
            (one, other) = (xored(&one, block), xored(&other, beside));
            self.first.encrypt_block((&mut one).into());
            backend.encrypt_block((&mut other).into());
            (*block, *beside) = (one, other);
        }
        (*chains.0, *chains.1) = (one.into(), other.into());
    }
}

/// One chain, to be decrypted.
struct Decryption<'a> {
    chain: Block,
    blocks: &'a mut [Block],
}

impl BlockSizeUser for Decryption<'_> {
    type BlockSize = U16;
}

impl BlockCipherDecClosure for Decryption<'_> {
    #[inline(always)]
    fn call<B: BlockCipherDecBackend<BlockSize = U16>>(self, backend: &B) {
        let Self { mut chain, blocks } = self;
        let mut chunks = blocks.chunks_exact_mut(B::ParBlocksSize::USIZE);
        for chunk in &mut chunks {
            let Ok(encrypted) = <&mut ParBlocks<B>>::try_from(chunk) else { return };
            let mut plain = ParBlocks::<B>::default();
            backend.decrypt_par_blocks((&*encrypted, &mut plain).into());
            let next = encrypted.last().copied().unwrap_or(chain);
            if let [first, others @ ..] = plain.as_mut_slice() {
                *first = xored(first, &chain);
                for (block, before) in others.iter_mut().zip(&*encrypted) {
                    *block = xored(block, before);
                }
            }
            *encrypted = plain;
            chain = next;
        }
        for block in chunks.into_remainder() {
            let encrypted = *block;
            backend.decrypt_block(block.into());
            *block = xored(block, &chain);
            chain = encrypted;
        }
    }
}

fn xored(one: &Block, other: &Block) -> Block {
    (u128::from_ne_bytes((*one).into()) ^ u128::from_ne_bytes((*other).into())).to_ne_bytes().into()
}

impl Drop for CbcStream {
    fn drop(&mut self) {
        self.key.zeroize();
    }
}

impl std::fmt::Debug for CbcStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CbcStream(…)")
    }
}

#[cfg(test)]
mod tests {
    use cbc::cipher::{BlockModeEncrypt as _, KeyIvInit as _};
    use proptest::prelude::*;

    use super::*;

    fn blocks(limit: usize) -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec(any::<[u8; BLOCK]>(), 0..limit).prop_map(|blocks| blocks.concat())
    }

    proptest! {
        #[test]
        fn a_29_what_is_encrypted_piece_by_piece_decrypts_as_a_whole(
            key: [u8; 32],
            iv: [u8; BLOCK],
            packets in prop::collection::vec(blocks(9), 0..9),
        ) {
            let (mut encrypt, mut decrypt) = (CbcStream::new(&key, &iv), CbcStream::new(&key, &iv));
            let mut wire = Vec::new();
            for mut packet in packets.clone() {
                prop_assert_eq!(encrypt.encrypt(&mut packet), packet.len());
                wire.extend(packet);
            }
            // Nor does the cut matter to the side that decrypts.
            let mut again = wire.clone();
            prop_assert_eq!(decrypt.decrypt(&mut wire), wire.len());
            prop_assert_eq!(&wire, &packets.concat());
            let mut by_block = CbcStream::new(&key, &iv);
            for block in again.chunks_mut(BLOCK) {
                by_block.decrypt(block);
            }
            prop_assert_eq!(again, wire);
        }
    }

    /// A stream's key and IV, and what it is to encrypt.
    fn lane() -> impl Strategy<Value = ([u8; 32], [u8; BLOCK], Vec<u8>)> {
        (any::<[u8; 32]>(), any::<[u8; BLOCK]>(), blocks(200))
    }

    proptest! {
        #[test]
        fn two_streams_at_once_are_what_others_make_of_each(one in lane(), other in lane()) {
            let (mut pieces, mut streams) = ([one.2.clone(), other.2.clone()], [&one, &other].map(|lane| CbcStream::new(&lane.0, &lane.1)));
            let ([first, second], [piece, beside]) = (&mut streams, &mut pieces);
            CbcStream::encrypt_two((first, piece), (second, beside));
            for (((key, iv, data), stream), mut piece) in [one, other].iter().zip(&streams).zip(pieces) {
                let mut alone = data.clone();
                let mut cipher = cbc::Encryptor::<aes::Aes256>::new(key.into(), iv.into());
                cipher.encrypt_blocks(Block::slice_as_chunks_mut(&mut alone).0);
                prop_assert!(piece == alone);
                prop_assert_eq!(&stream.chain, alone.last_chunk::<BLOCK>().unwrap_or(iv));
                prop_assert_eq!(CbcStream::new(key, iv).decrypt(&mut piece), data.len());
                prop_assert!(piece == *data);
            }
        }
    }

    #[test]
    fn a_62_nothing_is_nothing() {
        let mut stream = CbcStream::new(&[1; 32], &[2; BLOCK]);
        assert_eq!((stream.encrypt(&mut []), stream.decrypt(&mut [])), (0, 0));
        assert_eq!(stream.chain, [2; BLOCK]);
    }

    /// Key, IV, plain and encrypted text of the example in NIST SP 800-38A, section F.2.5.
    const KEY: &str = "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4";
    const IV: &str = "000102030405060708090a0b0c0d0e0f";
    const PLAIN: &str = "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51";
    const ENCRYPTED: &str = "f58c4c04d6e5f1ba779eabfb5f7bfbd69cfc4e967edb808d679f777bc6702c7d";

    fn hex<const N: usize>(text: &str) -> [u8; N] {
        data_encoding::HEXLOWER.decode(text.as_bytes()).expect("hex").try_into().expect("length")
    }

    fn example() -> CbcStream {
        CbcStream::new(&hex(KEY), &hex(IV))
    }

    #[test]
    fn a_63_decrypts_the_published_example() {
        let mut data = hex::<32>(ENCRYPTED);
        assert_eq!(example().decrypt(&mut data), 32);
        assert_eq!(data, hex(PLAIN));
    }

    #[test]
    fn a_64_encrypts_the_published_example() {
        let mut data = hex::<32>(PLAIN);
        assert_eq!(example().encrypt(&mut data), 32);
        assert_eq!(data, hex(ENCRYPTED));
    }

    #[test]
    fn what_is_skipped_is_chained_to() {
        let mut data = hex::<32>(ENCRYPTED);
        let mut stream = example();
        let (skipped, rest) = data.split_at_mut(BLOCK);
        stream.skip(skipped);
        stream.decrypt(rest);
        assert_eq!(rest, &hex::<32>(PLAIN)[BLOCK..]);
    }

    #[test]
    fn a_part_of_a_block_is_left_alone() {
        let mut data = [7; 35];
        assert_eq!(example().encrypt(&mut data), 32);
        assert_eq!(data[32..], [7; 3]);
        let mut two = [[7; 35]; 2];
        let [one, other] = &mut two;
        CbcStream::encrypt_two((&mut example(), one), (&mut example(), &mut other[..20]));
        assert_eq!((two[0], &two[1][..16], &two[1][16..]), (data, &data[..16], &[7; 19][..]));
        assert_eq!(example().decrypt(&mut data), 32);
        assert_eq!(data, [7; 35]);
    }
}
