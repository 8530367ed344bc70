//! Fake TLS (`ee` secrets): a ClientHello that is authenticated by a digest in its random field, an answer authenticated
//! in the same way, and after that the obfuscated stream in application-data records. Nothing is encrypted by TLS.

pub mod answer;
pub mod client_hello;
pub mod greeting;
pub mod ml_kem;
pub mod profile;
pub mod record;
pub mod server_hello;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::secret::SecretKey;

/// Where the random field stands in the record of a ClientHello or ServerHello.
pub(crate) const RANDOM_OFFSET: usize = 11;
/// Length of the random field, which holds the digest.
pub(crate) const RANDOM_LEN: usize = 32;
/// The fields in front of the random: record header, handshake header, version.
pub(crate) type BeforeRandom = [u8; RANDOM_OFFSET];

/// Named groups that a key share is made for.
mod group {
    pub(super) const X25519: u16 = 0x001d;
    pub(super) const X25519_MLKEM768: u16 = 0x11ec;
}

/// Extensions that are looked at or sent.
mod extension {
    pub(super) const SERVER_NAME: u16 = 0x0000;
    pub(super) const PRE_SHARED_KEY: u16 = 0x0029;
    pub(super) const SUPPORTED_VERSIONS: u16 = 0x002b;
    pub(super) const KEY_SHARE: u16 = 0x0033;
}

/// The parts of a hello around its random field; `None` when it is too short to have one.
pub(crate) fn around_random(hello: &[u8]) -> Option<(&BeforeRandom, &[u8; RANDOM_LEN], &[u8])> {
    let (before, rest) = hello.split_first_chunk()?;
    let (random, after) = rest.split_first_chunk()?;
    Some((before, random, after))
}

/// HMAC-SHA256 with the secret, over `context` and then a hello with its random field taken as zeros.
pub(crate) fn digest(
    key: &SecretKey,
    context: &[u8],
    before: &BeforeRandom,
    after: &[u8],
) -> [u8; RANDOM_LEN] {
    // A key of any length is fine for HMAC: the error cannot happen, and a digest of nothing proves nothing.
    let Ok(mac) = Hmac::<Sha256>::new_from_slice(key.as_bytes()) else { return [0; RANDOM_LEN] };
    mac.chain_update(context)
        .chain_update(before)
        .chain_update([0; RANDOM_LEN])
        .chain_update(after)
        .finalize()
        .into_bytes()
        .into()
}
