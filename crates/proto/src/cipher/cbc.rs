//! Cipher block chaining: what middle proxies are spoken to with.

use aes::Aes256;
use cbc::cipher::{Array, BlockModeDecrypt, BlockModeEncrypt, KeyIvInit, consts::U16};
use zeroize::Zeroize;

use super::BLOCK;

type Block = Array<u8, U16>;

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
        let (blocks, rest) = Block::slice_as_chunks_mut(data);
        let rest = rest.len();
        if !blocks.is_empty() {
            cbc::Encryptor::<Aes256>::new(&self.key.into(), &self.chain.into()).encrypt_blocks(blocks);
            self.follow(blocks);
        }
        data.len().saturating_sub(rest)
    }

    /// Decrypts the whole blocks at the front of `data` in place; says how many bytes these are. The up to 15 bytes behind
    /// them stay as they are.
    pub fn decrypt(&mut self, data: &mut [u8]) -> usize {
        let (blocks, rest) = Block::slice_as_chunks_mut(data);
        let rest = rest.len();
        if !blocks.is_empty() {
            let mut cipher = cbc::Decryptor::<Aes256>::new(&self.key.into(), &self.chain.into());
            self.follow(blocks);
            cipher.decrypt_blocks(blocks);
        }
        data.len().saturating_sub(rest)
    }

    /// What comes next is chained to the last of these encrypted blocks.
    fn follow(&mut self, encrypted: &[Block]) {
        if let Some(last) = encrypted.last() {
            self.chain = (*last).into();
        }
    }
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
    fn a_part_of_a_block_is_left_alone() {
        let mut data = [7; 35];
        assert_eq!(example().encrypt(&mut data), 32);
        assert_eq!(data[32..], [7; 3]);
        assert_eq!(example().decrypt(&mut data), 32);
        assert_eq!(data, [7; 35]);
    }
}
