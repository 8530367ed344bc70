//! What is said to a middle proxy and by it: the payloads of [full frames](crate::transport::full).
//!
//! A connection begins with a [`Nonce`] each way in the open and a [`Handshake`] each way under the keys that follow from
//! them. After that there are [`Packet`]s, for many clients at once; each names its client by a [`ConnId`].

mod handshake;
mod head;
mod keys;
mod packet;
mod request;

pub use handshake::{
    CRC32C, Handshake, HandshakeError, NONCE_LEN, Nonce, ProcessId, SCHEMA_AES, handshake_error,
};
pub use head::{HEAD_MAX, Head};
pub use keys::{KeyMaterial, Keys};
pub use packet::{Packet, PacketError};
pub use request::{AdTag, Request, RequestHead, flags};

/// A client's connection as middle proxy and proxy call it. Unique on its link for as long as that lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnId(i64);

impl ConnId {
    /// Wraps the number.
    #[must_use]
    pub const fn new(id: i64) -> Self {
        Self(id)
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> i64 {
        self.0
    }
}

impl std::fmt::Display for ConnId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}
