//! Secrets: the 16 bytes that prove a client, and the forms in which people pass them on.
//!
//! A secret is a byte string. Its length says what it is before its first byte does: 16 bytes are a plain secret, whatever
//! they begin with.

mod host_name;
mod link;
mod public;

use data_encoding::{BASE64_NOPAD, BASE64URL_NOPAD, HEXLOWER, HEXLOWER_PERMISSIVE};
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

pub use host_name::{HostName, HostNameError};
pub use link::{LinkError, ProxyLink};
pub use public::{is_public_secret, is_public_tag};

/// The longest domain an `ee` secret carries, in bytes.
pub const MAX_DOMAIN_LEN: usize = 182;

/// The most characters of any written form: an `ee` secret with the longest domain, in hexadecimal.
const MAX_TEXT_LEN: usize = 2 * (17 + MAX_DOMAIN_LEN);

/// A secret as a client is given it: the key, and how the client is to speak.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Secret {
    /// 16 bytes: the abridged or intermediate framing, as the client likes.
    Plain(SecretKey),
    /// `dd` and 16 bytes: the padded intermediate framing.
    Secure(SecretKey),
    /// `ee`, 16 bytes and a domain: the padded framing inside fake TLS, with the domain as SNI.
    Tls(SecretKey, Domain),
}

/// Why bytes or a text are no secret. Clients refuse the same ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SecretError {
    /// An `ee` secret whose domain is longer than [`MAX_DOMAIN_LEN`].
    DomainTooLong,
    /// An `ee` secret that ends after its key.
    NoDomain,
    /// Fewer than 16 bytes.
    TooShort,
    /// Neither hexadecimal nor base64.
    Undecodable,
    /// More than 16 bytes that begin with neither `dd` nor `ee`, or more than 17 that begin with `dd`.
    UnknownKind,
}

impl Secret {
    /// Reads a secret from its bytes.
    ///
    /// # Errors
    /// The bytes are no secret of any kind.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SecretError> {
        if let Ok(key) = bytes.try_into() {
            return Ok(Self::Plain(SecretKey::new(key)));
        }
        let (&kind, rest) = bytes.split_first().ok_or(SecretError::TooShort)?;
        let (&key, domain) = rest.split_first_chunk().ok_or(SecretError::TooShort)?;
        let key = SecretKey::new(key);
        match kind {
            0xdd if domain.is_empty() => Ok(Self::Secure(key)),
            0xee => Ok(Self::Tls(key, Domain::new(domain)?)),
            _ => Err(SecretError::UnknownKind),
        }
    }

    /// Reads a secret from a text: hexadecimal in either case, base64url or base64, both with or without padding. They
    /// are tried in this order, as the official client library does; the first that decodes counts.
    ///
    /// # Errors
    /// The text is no secret.
    pub fn parse(text: &str) -> Result<Self, SecretError> {
        // Longer than any secret in its longest form: not worth memory.
        if text.len() > MAX_TEXT_LEN {
            return Err(if is_hex(text) { SecretError::DomainTooLong } else { SecretError::Undecodable });
        }
        let unpadded = text.strip_suffix("==").or_else(|| text.strip_suffix('=')).unwrap_or(text).as_bytes();
        let bytes = HEXLOWER_PERMISSIVE
            .decode(text.as_bytes())
            .or_else(|_| BASE64URL_NOPAD.decode(unpadded))
            .or_else(|_| BASE64_NOPAD.decode(unpadded))
            .map(Zeroizing::new)
            .map_err(|_| SecretError::Undecodable)?;
        Self::from_bytes(&bytes)
    }

    /// The key inside.
    #[must_use]
    pub const fn key(&self) -> &SecretKey {
        match self {
            Self::Plain(key) | Self::Secure(key) | Self::Tls(key, _) => key,
        }
    }

    /// The domain of an `ee` secret.
    #[must_use]
    pub const fn domain(&self) -> Option<&Domain> {
        match self {
            Self::Plain(_) | Self::Secure(_) => None,
            Self::Tls(_, domain) => Some(domain),
        }
    }

    /// The bytes of the secret.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let (kind, domain): (&[u8], &[u8]) = match self {
            Self::Plain(_) => (&[], &[]),
            Self::Secure(_) => (&[0xdd], &[]),
            Self::Tls(_, domain) => (&[0xee], domain.as_bytes()),
        };
        Zeroizing::new([kind, self.key().as_bytes(), domain].concat())
    }

    /// The secret in lower-case hexadecimal: the form that every client reads. This prints the key.
    #[must_use]
    pub fn to_hex(&self) -> String {
        HEXLOWER.encode(&self.to_bytes())
    }

    /// The secret in base64url without padding. This prints the key.
    #[must_use]
    pub fn to_base64url(&self) -> String {
        BASE64URL_NOPAD.encode(&self.to_bytes())
    }
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

impl std::fmt::Display for SecretError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::DomainTooLong => "the secret's domain is longer than 182 bytes",
            Self::NoDomain => "an ee secret needs a domain after its 16 bytes",
            Self::TooShort => "a secret has at least 16 bytes (32 hex digits)",
            Self::Undecodable => "a secret is written in hex or base64url, and this is neither",
            Self::UnknownKind => {
                "a secret longer than 16 bytes is dd and 16 bytes, or ee, 16 bytes and a domain"
            }
        })
    }
}

impl std::error::Error for SecretError {}

/// The domain inside an `ee` secret: 1 to [`MAX_DOMAIN_LEN`] bytes. Clients send them as SNI without looking at them, so
/// they may be any bytes; what this server hands out is always a [`HostName`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Domain(Box<[u8]>);

impl Domain {
    /// Wraps the bytes.
    ///
    /// # Errors
    /// There are none, or too many.
    pub fn new(bytes: &[u8]) -> Result<Self, SecretError> {
        match bytes.len() {
            0 => Err(SecretError::NoDomain),
            1..=MAX_DOMAIN_LEN => Ok(Self(bytes.into())),
            _ => Err(SecretError::DomainTooLong),
        }
    }

    /// The bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl From<&HostName> for Domain {
    fn from(name: &HostName) -> Self {
        Self(name.as_str().as_bytes().into())
    }
}

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
