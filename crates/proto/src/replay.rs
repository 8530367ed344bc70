//! What a first flight is remembered by: bytes that nobody can change who does not know the secret.
//!
//! A hello: the first half of its digest. Its last four bytes only carry the time, and anybody can change that. A header:
//! the 48 bytes of key material; those before and behind them can be changed. The latter are kept as a keyed hash, so that
//! nobody chooses what a set of these keys has to hold.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::fake_tls::RANDOM_LEN;
use crate::obfuscated::HEADER_LEN;
use crate::secret::SecretKey;

/// Length of a [`ReplayKey`], in bytes.
pub const REPLAY_KEY_LEN: usize = 16;

/// What a first flight is remembered by. The same for every variant of it that the secret still proves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ReplayKey([u8; REPLAY_KEY_LEN]);

impl ReplayKey {
    /// Of a proven hello with this random field.
    #[must_use]
    pub fn of_hello(random: &[u8; RANDOM_LEN]) -> Self {
        Self::first_half(random)
    }

    /// Of a header that this secret fits.
    #[must_use]
    pub fn of_header(header: &[u8; HEADER_LEN], key: &SecretKey) -> Self {
        let material = header.get(8..56).unwrap_or_default();
        // A key of any length is fine for HMAC: the error cannot happen.
        let hash: [u8; RANDOM_LEN] = Hmac::<Sha256>::new_from_slice(key.as_bytes())
            .map_or([0; RANDOM_LEN], |mac| mac.chain_update(material).finalize().into_bytes().into());
        Self::first_half(&hash)
    }

    /// The bytes, as they are kept from one start to the next.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; REPLAY_KEY_LEN]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; REPLAY_KEY_LEN] {
        &self.0
    }

    fn first_half(hash: &[u8; RANDOM_LEN]) -> Self {
        Self(hash.first_chunk().copied().unwrap_or_default())
    }
}
