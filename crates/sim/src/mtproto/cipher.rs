//! AES-256 in MTProto's own mode (infinite garble extension), and the keys of MTProto 2.0 messages.

use aes::cipher::{BlockCipherDecrypt, BlockCipherEncrypt, KeyInit};
use aes::{Aes256, Block};
use sha1::Sha1;
use sha2::{Digest, Sha256};

const BLOCK: usize = 16;

/// A key and an IV of AES-256-IGE.
pub(crate) struct Ige {
    key: [u8; 32],
    /// The ciphertext before the first block, then the plaintext before it.
    iv: [u8; 32],
}

impl Ige {
    pub(crate) const fn new(key: [u8; 32], iv: [u8; 32]) -> Self {
        Self { key, iv }
    }

    /// Encrypts in place. What does not fill a block at the end stays as it is.
    pub(crate) fn encrypt(&self, data: &mut [u8]) {
        let cipher = Aes256::new(&self.key.into());
        let (mut before_out, mut before_in) = halves(&self.iv);
        for chunk in data.chunks_exact_mut(BLOCK) {
            let input = block(chunk);
            let mut encrypted = Block::from(xor(input, before_out));
            cipher.encrypt_block(&mut encrypted);
            before_out = xor(encrypted.into(), before_in);
            before_in = input;
            chunk.copy_from_slice(&before_out);
        }
    }

    /// Decrypts in place. What does not fill a block at the end stays as it is.
    pub(crate) fn decrypt(&self, data: &mut [u8]) {
        let cipher = Aes256::new(&self.key.into());
        let (mut before_in, mut before_out) = halves(&self.iv);
        for chunk in data.chunks_exact_mut(BLOCK) {
            let input = block(chunk);
            let mut decrypted = Block::from(xor(input, before_out));
            cipher.decrypt_block(&mut decrypted);
            before_out = xor(decrypted.into(), before_in);
            before_in = input;
            chunk.copy_from_slice(&before_out);
        }
    }
}

fn halves(iv: &[u8; 32]) -> ([u8; BLOCK], [u8; BLOCK]) {
    (block(&iv[..BLOCK]), block(&iv[BLOCK..]))
}

fn block(bytes: &[u8]) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    block.copy_from_slice(bytes);
    block
}

fn xor(a: [u8; BLOCK], b: [u8; BLOCK]) -> [u8; BLOCK] {
    (u128::from_ne_bytes(a) ^ u128::from_ne_bytes(b)).to_ne_bytes()
}

/// Which side wrote a message; its keys differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum From {
    Client,
    Server,
}

/// What a client and its data centre have agreed on.
pub(crate) struct AuthKey {
    bytes: Box<[u8; 256]>,
    id: u64,
}

impl AuthKey {
    pub(crate) fn new(bytes: [u8; 256]) -> Self {
        let digest = Sha1::digest(bytes);
        Self { bytes: Box::new(bytes), id: u64::from_le_bytes(part(&digest, 12)) }
    }

    /// Its number on the wire.
    pub(crate) const fn id(&self) -> u64 {
        self.id
    }

    /// The half of the key's digest that proves it in the key exchange.
    pub(crate) fn aux_hash(&self) -> [u8; 8] {
        part(&Sha1::digest(*self.bytes), 0)
    }

    /// The digest of a plaintext, padding included: the message key stands in its middle, a quick ack at its front.
    pub(crate) fn digest(&self, from: From, plain: &[u8]) -> [u8; 32] {
        let x = offset(from);
        Sha256::new().chain_update(&self.bytes[88 + x..][..32]).chain_update(plain).finalize().into()
    }

    /// The cipher of a message.
    pub(crate) fn cipher(&self, from: From, message_key: [u8; 16]) -> Ige {
        let x = offset(from);
        let a = Sha256::new().chain_update(message_key).chain_update(&self.bytes[x..][..36]).finalize();
        let b = Sha256::new().chain_update(&self.bytes[40 + x..][..36]).chain_update(message_key).finalize();
        let (mut key, mut iv) = ([0; 32], [0; 32]);
        for (out, outer, inner) in [(&mut key, &a, &b), (&mut iv, &b, &a)] {
            out[..8].copy_from_slice(&outer[..8]);
            out[8..24].copy_from_slice(&inner[8..24]);
            out[24..].copy_from_slice(&outer[24..]);
        }
        Ige::new(key, iv)
    }

    /// A whole encrypted message around a plaintext, whose length is a multiple of 16.
    pub(crate) fn seal(&self, from: From, mut plain: Vec<u8>) -> Vec<u8> {
        let message_key = part(&self.digest(from, &plain), 8);
        self.cipher(from, message_key).encrypt(&mut plain);
        let mut message = Vec::with_capacity(24 + plain.len());
        message.extend(self.id.to_le_bytes());
        message.extend(message_key);
        message.extend(plain);
        message
    }

    /// The plaintext of a message and its digest; `None` when it is not sealed with this key. Padding of a transport
    /// behind it, less than a block, is left away.
    pub(crate) fn open(&self, from: From, message: &[u8]) -> Option<(Vec<u8>, [u8; 32])> {
        let rest = message.strip_prefix(&self.id.to_le_bytes())?;
        let (message_key, sealed) = rest.split_first_chunk()?;
        let mut plain = sealed[..sealed.len() - sealed.len() % BLOCK].to_vec();
        self.cipher(from, *message_key).decrypt(&mut plain);
        let digest = self.digest(from, &plain);
        (part(&digest, 8) == *message_key).then_some((plain, digest))
    }
}

/// `N` bytes of a digest that is long enough.
pub(crate) fn part<const N: usize>(digest: &[u8], at: usize) -> [u8; N] {
    let mut part = [0; N];
    part.copy_from_slice(&digest[at..at + N]);
    part
}

const fn offset(from: From) -> usize {
    match from {
        From::Client => 0,
        From::Server => 8,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn first_block_is_the_mode_by_its_definition() {
        let (key, mut iv) = ([7; 32], [0; 32]);
        iv[..16].fill(1);
        iv[16..].fill(2);
        let mut data = [9; 16];
        Ige::new(key, iv).encrypt(&mut data);
        let mut by_hand = Block::from([9 ^ 1; 16]);
        Aes256::new(&key.into()).encrypt_block(&mut by_hand);
        assert_eq!(data, xor(by_hand.into(), [2; 16]));
    }

    proptest! {
        #[test]
        fn decrypt_undoes_encrypt(key: [u8; 32], iv: [u8; 32], data in proptest::collection::vec(any::<u8>(), 0..100)) {
            let ige = Ige::new(key, iv);
            let mut copy = data.clone();
            ige.encrypt(&mut copy);
            ige.decrypt(&mut copy);
            prop_assert_eq!(copy, data);
        }

        #[test]
        fn a_message_opens_with_its_key_and_side_only(blocks in 1usize..20, at: prop::sample::Index, fill: u8) {
            let key = AuthKey::new(std::array::from_fn(|at| fill.wrapping_add(at as u8)));
            let plain = vec![fill; blocks * 16];
            let mut sealed = key.seal(From::Client, plain.clone());
            prop_assert_eq!(key.open(From::Client, &sealed).map(|(opened, _)| opened), Some(plain));
            prop_assert!(key.open(From::Server, &sealed).is_none());
            let at = at.index(sealed.len());
            sealed[at] ^= 1;
            prop_assert!(key.open(From::Client, &sealed).is_none());
        }
    }
}
