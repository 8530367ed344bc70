//! The secret that all proxies share with the middle proxies.

use zeroize::Zeroize;

use super::embedded;

/// What getProxySecret serves: the secret part of the keys of every connection to a middle proxy. Everybody can fetch it,
/// and yet it is not printed.
#[derive(Clone, PartialEq, Eq)]
pub struct MiddleSecret {
    bytes: Box<[u8]>,
    selector: [u8; 4],
}

/// Why bytes are no middle secret: the old one is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum MiddleSecretError {
    /// A web page.
    Html,
    /// Not [`MIN_LEN`](MiddleSecret::MIN_LEN) to [`MAX_LEN`](MiddleSecret::MAX_LEN) bytes.
    Length(usize),
    /// The first four bytes are zero, which stands for "no secret" in a nonce.
    NoSelector,
}

impl MiddleSecret {
    /// The fewest bytes.
    pub const MIN_LEN: usize = 32;
    /// The most bytes.
    pub const MAX_LEN: usize = 256;

    /// Wraps what was fetched, untrimmed: it is not text.
    ///
    /// # Errors
    /// It is no secret.
    pub fn new(bytes: &[u8]) -> Result<Self, MiddleSecretError> {
        if looks_like_html(bytes) {
            return Err(MiddleSecretError::Html);
        }
        if !(Self::MIN_LEN..=Self::MAX_LEN).contains(&bytes.len()) {
            return Err(MiddleSecretError::Length(bytes.len()));
        }
        match bytes.first_chunk() {
            None | Some(&[0, 0, 0, 0]) => Err(MiddleSecretError::NoSelector),
            Some(&selector) => Ok(Self { bytes: bytes.into(), selector }),
        }
    }

    /// The one known when this was built.
    #[must_use]
    pub fn embedded() -> Self {
        let [a, b, c, d, ..] = embedded::MIDDLE_SECRET;
        Self { bytes: embedded::MIDDLE_SECRET.into(), selector: [a, b, c, d] }
    }

    /// The first four bytes, by which a nonce names it.
    #[must_use]
    pub const fn selector(&self) -> [u8; 4] {
        self.selector
    }

    /// All bytes, for the key derivation and for keeping a copy on disk.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// Whether something fetched is a web page, most likely about an error.
pub(super) fn looks_like_html(bytes: &[u8]) -> bool {
    bytes.trim_ascii_start().starts_with(b"<")
}

impl Drop for MiddleSecret {
    fn drop(&mut self) {
        self.bytes.zeroize();
    }
}

impl std::fmt::Debug for MiddleSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MiddleSecret(…)")
    }
}

impl std::fmt::Display for MiddleSecretError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Html => f.write_str("a web page instead of Telegram's proxy secret"),
            Self::Length(len) => write!(f, "Telegram's proxy secret has 32 to 256 bytes, and this has {len}"),
            Self::NoSelector => f.write_str("Telegram's proxy secret never begins with four zero bytes"),
        }
    }
}

impl std::error::Error for MiddleSecretError {}
