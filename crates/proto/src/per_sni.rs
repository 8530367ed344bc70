//! A secret of its own for each host name, from one base secret: a link that leaks reveals neither the base secret nor
//! other names' secrets.

use sha2::{Digest, Sha256};

use crate::secret::SecretKey;

/// The secret for a host name, whose bytes are taken as received: the first half of SHA-256 over the salt, the base
/// secret in lower-case hex, and the name.
#[must_use]
pub fn derive(base: &SecretKey, salt: &str, name: &[u8]) -> SecretKey {
    let mut hash = Sha256::new_with_prefix(salt);
    for &byte in base.as_bytes() {
        hash.update([digit(byte >> 4), digit(byte & 0xf)]);
    }
    let hash: [u8; 32] = hash.chain_update(name).finalize().into();
    let mut key = [0; 16];
    for (to, from) in key.iter_mut().zip(hash) {
        *to = from;
    }
    SecretKey::new(key)
}

/// A salt that stands in a manual: with it, a base secret that leaks gives away every name's secret, and a secret that
/// leaks can be searched for its base.
pub const PUBLIC_SALT: &str = "mtproto-proxy-per-sni-v1";

/// A lower-case hexadecimal digit.
const fn digit(nibble: u8) -> u8 {
    match nibble {
        0..=9 => nibble.wrapping_add(b'0'),
        _ => nibble.wrapping_sub(10).wrapping_add(b'a'),
    }
}
