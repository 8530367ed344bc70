//! The rules that a proxy has to keep, by what it does when it breaks one.

use teleferry_proto::middle::server::DownReason;
use teleferry_proto::transport::full::FullFrameError;

/// A rule that a proxy broke.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Violation {
    /// An ad tag that is not the expected one, none where one is expected, or another one than the client's first.
    AdTag,
    /// A frame with a wrong checksum.
    Checksum,
    /// A client's address that nobody can have, or another one than before.
    ClientAddress,
    /// The proxy's clock differs by more than 30 seconds.
    Clock,
    /// A client was closed twice.
    CloseRepeated,
    /// A client was closed that never was, and that nothing was sent to.
    CloseUnknown,
    /// A message from a client that the proxy has closed.
    ConnReused,
    /// Flags that do not fit the message, the ad tag or one another, or another framing than before.
    Flags,
    /// Where the handshake is due, something else.
    Handshake,
    /// Unknown flags in the handshake.
    HandshakeFlags,
    /// The handshake does not decrypt: other addresses, ports or another secret.
    Keys,
    /// A frame of illegal length.
    Length,
    /// A message that no client sends.
    Message,
    /// Where the nonce is due, something else.
    Nonce,
    /// A packet of unknown type or wrong length, or one that goes the other way.
    Packet,
    /// An answer to a ping that nobody sent.
    Pong,
    /// The proxy's address is one that nobody can have, not the expected one, or another one than before.
    ProxyAddress,
    /// The proxy refused a handshake that is as it should be.
    Refused,
    /// A crypto schema that is not AES.
    Schema,
    /// Another secret.
    Selector,
    /// A frame out of sequence.
    Sequence,
}

impl Violation {
    /// Why a connection is over; `None` when it is not the proxy's fault. `keyed`: both sides have keys, but the
    /// handshake is not done.
    pub(super) const fn of(reason: DownReason, keyed: bool) -> Option<Self> {
        Some(match reason {
            DownReason::Clock => Self::Clock,
            DownReason::Flags => Self::HandshakeFlags,
            DownReason::Frame(FullFrameError::Sequence) => Self::Sequence,
            DownReason::Frame(_) if keyed => Self::Keys,
            DownReason::Frame(FullFrameError::Checksum) => Self::Checksum,
            DownReason::Frame(_) => Self::Length,
            DownReason::NotAHandshake => Self::Handshake,
            DownReason::NotANonce => Self::Nonce,
            DownReason::Refused(_) => Self::Refused,
            DownReason::Schema(_) => Self::Schema,
            DownReason::Selector => Self::Selector,
            _ => return None,
        })
    }
}
