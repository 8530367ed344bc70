//! The simulated Telegram's RSA key, and both ways in which clients encrypt with it.

use num_bigint::BigUint;
use sha1::Sha1;
use sha2::{Digest, Sha256};

use super::cipher::{Ige, part};
use super::tl::Write as _;

/// The public key as clients want it: PKCS#1 in PEM.
pub(crate) const PUBLIC_KEY_PEM: &str = include_str!("../../testdata/rsa_public.pem");

const MODULUS: &str = include_str!("../../testdata/rsa_modulus.hex");
const PRIVATE_EXPONENT: &str = include_str!("../../testdata/rsa_private_exponent.hex");
const PUBLIC_EXPONENT: u32 = 65_537;

/// Bytes of the modulus, and so of everything encrypted.
pub(crate) const LEN: usize = 256;

/// The key pair.
pub(crate) struct RsaKey {
    modulus: BigUint,
    private_exponent: BigUint,
    fingerprint: u64,
}

impl RsaKey {
    /// The one key of this simulator.
    pub(crate) fn built_in() -> Self {
        let modulus = number(MODULUS);
        Self { fingerprint: fingerprint(&modulus), modulus, private_exponent: number(PRIVATE_EXPONENT) }
    }

    /// The number by which clients and servers name it: the end of the SHA-1 of modulus and exponent in TL.
    pub(crate) const fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    /// Undoes the encryption with the public key. Some milliseconds.
    pub(crate) fn decrypt(&self, encrypted: &[u8; LEN]) -> Decrypted {
        let number = BigUint::from_bytes_be(encrypted).modpow(&self.private_exponent, &self.modulus);
        Decrypted(to_bytes(&number))
    }

    /// What a client does with a block.
    #[cfg(test)]
    pub(crate) fn encrypt(&self, block: &[u8; LEN]) -> [u8; LEN] {
        to_bytes(&BigUint::from_bytes_be(block).modpow(&PUBLIC_EXPONENT.into(), &self.modulus))
    }

    /// Whether a client may encrypt this block.
    #[cfg(test)]
    pub(crate) fn fits(&self, block: &[u8; LEN]) -> bool {
        BigUint::from_bytes_be(block) < self.modulus
    }
}

/// A decrypted block, its padding not yet removed.
pub(crate) struct Decrypted([u8; LEN]);

impl Decrypted {
    /// The data in RSA_PAD, today's padding, with the random bytes that follow it (192 in all); `None` when its digest
    /// does not fit.
    pub(crate) fn rsa_pad(&self) -> Option<[u8; 192]> {
        let (mut key, encrypted) = (part::<32>(&self.0, 0), &self.0[32..]);
        for (byte, mask) in key.iter_mut().zip(Sha256::digest(encrypted)) {
            *byte ^= mask;
        }
        let mut plain = part::<224>(encrypted, 0);
        Ige::new(key, [0; 32]).decrypt(&mut plain);
        let mut data = part::<192>(&plain, 0);
        data.reverse();
        let digest = Sha256::new().chain_update(key).chain_update(data).finalize();
        (plain[192..] == digest[..]).then_some(data)
    }

    /// The data in the old padding with the random bytes that follow it. `len_of` says how much of it is data; `None`
    /// when the digest of that does not fit.
    pub(crate) fn sha1_padded(&self, len_of: impl FnOnce(&[u8]) -> Option<usize>) -> Option<&[u8]> {
        let (digest, data) = self.0.strip_prefix(&[0])?.split_first_chunk::<20>()?;
        let content = data.get(..len_of(data)?)?;
        (Sha1::digest(content)[..] == *digest).then_some(content)
    }
}

/// A big-endian number with leading zeros; it must fit.
pub(crate) fn to_bytes(number: &BigUint) -> [u8; LEN] {
    let digits = number.to_bytes_be();
    let mut bytes = [0; LEN];
    bytes[LEN - digits.len()..].copy_from_slice(&digits);
    bytes
}

/// A number of our own, in hex over several lines.
pub(crate) fn number(hex: &str) -> BigUint {
    let digits: Vec<u8> =
        hex.chars().filter_map(|digit| digit.to_digit(16)).map(|digit| digit as u8).collect();
    BigUint::from_radix_be(&digits, 16).unwrap_or_default()
}

fn fingerprint(modulus: &BigUint) -> u64 {
    let mut key = Vec::new();
    key.bytes(&modulus.to_bytes_be());
    key.bytes(&BigUint::from(PUBLIC_EXPONENT).to_bytes_be());
    u64::from_le_bytes(part(&Sha1::digest(&key), 12))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_one_key() {
        let key = RsaKey::built_in();
        assert_eq!(key.modulus.bits(), 2048);
        let mut block = [0x5a; LEN];
        block[0] = 0;
        assert_eq!(key.decrypt(&key.encrypt(&block)).0, block);
    }

    #[test]
    fn a_block_without_a_digest_has_no_data() {
        let mut block = [0x5a; LEN];
        assert!(Decrypted(block).rsa_pad().is_none());
        block[0] = 0;
        assert!(Decrypted(block).sha1_padded(|_| Some(100)).is_none());
        assert!(Decrypted(block).sha1_padded(|_| Some(1000)).is_none());
    }
}
