//! Short packets without an allocation.

/// The longest head: a request with an ad tag.
pub const HEAD_MAX: usize = 84;

/// A short packet, or what stands before the message in a long one.
#[derive(Debug, Clone, Copy)]
pub struct Head {
    /// The bytes are `bytes[..len]`.
    bytes: [u8; HEAD_MAX],
    len: u8,
}

impl Head {
    /// An empty head.
    pub(super) const fn new() -> Self {
        Self { bytes: [0; HEAD_MAX], len: 0 }
    }

    /// With `more` behind it; together at most [`HEAD_MAX`] bytes.
    pub(super) fn with(mut self, more: &[u8]) -> Self {
        let to = self.bytes.get_mut(self.len.into()..).and_then(|rest| rest.get_mut(..more.len()));
        debug_assert!(to.is_some(), "no head is this long");
        if let Some(to) = to {
            to.copy_from_slice(more);
            self.len = self.len.saturating_add(more.len() as u8);
        }
        self
    }

    /// The same with the word at `offset` replaced.
    pub(super) fn with_word_at(mut self, offset: usize, word: u32) -> Self {
        if let Some(to) = self.bytes.get_mut(offset..).and_then(<[u8]>::first_chunk_mut) {
            *to = word.to_le_bytes();
        }
        self
    }
}

impl AsRef<[u8]> for Head {
    fn as_ref(&self) -> &[u8] {
        self.bytes.get(..self.len.into()).unwrap_or_default()
    }
}
