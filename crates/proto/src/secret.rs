//! Secrets: the 16 bytes that prove a client, and the forms in which people pass them on.

use subtle::ConstantTimeEq;
use zeroize::Zeroize;

/// The 16-byte key inside every kind of secret. It cannot be printed by accident, compares in constant time and is
/// wiped when dropped.
#[derive(Clone)]
pub struct SecretKey([u8; 16]);

impl SecretKey {
    /// Wraps the 16 raw bytes.
    #[must_use]
    pub const fn new(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The raw bytes, for key derivation only.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl PartialEq for SecretKey {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for SecretKey {}

impl Drop for SecretKey {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl std::fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecretKey(…)")
    }
}
