//! Why a connection ended: one closed list, which is at once log field, metric label, and what tests assert.

use std::fmt;

/// Who ended it, or on whose account it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// The Telegram app, or whoever connected.
    Client,
    /// The cover site.
    Cover,
    /// This server.
    Proxy,
    /// The data centre.
    Telegram,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// An orderly end of the connection.
    Closed,
    /// The data centre is unknown and no default is configured.
    DcUnknown,
    /// The server stops, and the time to drain is over.
    Drained,
    /// A fault of this program.
    Fault,
    /// A frame of illegal length.
    FrameLength,
    /// A padded frame with nothing in it but padding.
    FramePadding,
    /// A frame that was begun and not finished in time, while what had come of it took memory.
    FrameTimeout,
    /// Nothing was relayed in time after the connection was accepted.
    HandshakeTimeout,
    /// Proven by the TLS hello, but the 64-byte header inside fits no secret or asks for another framing than padded.
    HeaderTag,
    /// Nothing came from either side for the idle time.
    Idle,
    /// What may be read and thrown away of a stranger without a cover site is used up.
    Limit,
    /// The link to the middle proxy went away, and nothing could be done about it.
    LinkLost,
    /// The cover site's address leads back to this server.
    Loop,
    /// Too much waits in memory, and this is where most of it was.
    Memory,
    /// Too much waits for a client that does not read.
    Queue,
    /// Proven by a new TLS hello, but the 64-byte header inside came before.
    Replay,
    /// The connection broke.
    Reset,
    /// Took the first request and answered nothing.
    Silent,
    /// A TLS alert where only data may come.
    TlsAlert,
    /// A TLS record that is illegal in the data phase.
    TlsRecord,
    /// No address could be connected to.
    Unreachable,
}

/// Why a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CloseReason {
    /// Who.
    pub side: Side,
    /// What.
    pub kind: Kind,
}

impl CloseReason {
    /// A reason on the client's side.
    #[must_use]
    pub const fn client(kind: Kind) -> Self {
        Self { side: Side::Client, kind }
    }

    /// A reason on the cover site's side.
    #[must_use]
    pub const fn cover(kind: Kind) -> Self {
        Self { side: Side::Cover, kind }
    }

    /// A reason of our own.
    #[must_use]
    pub const fn proxy(kind: Kind) -> Self {
        Self { side: Side::Proxy, kind }
    }

    /// A reason on Telegram's side.
    #[must_use]
    pub const fn telegram(kind: Kind) -> Self {
        Self { side: Side::Telegram, kind }
    }

    /// True when the client broke the protocol: it may have sent more than was read, and the connection is ended so that
    /// this does not turn the end into a reset.
    pub(crate) const fn is_misbehaviour(self) -> bool {
        matches!(
            (self.side, self.kind),
            (
                Side::Client,
                Kind::FrameLength
                    | Kind::FramePadding
                    | Kind::HeaderTag
                    | Kind::Replay
                    | Kind::TlsAlert
                    | Kind::TlsRecord
            )
        )
    }

    /// Where this reason is counted.
    pub(super) const fn index(self) -> usize {
        self.side as usize * Kind::ALL.len() + self.kind as usize
    }

    /// Every reason that can be written down, by [`index`](Self::index).
    pub(super) fn all() -> impl Iterator<Item = Self> {
        Side::ALL.into_iter().flat_map(|side| Kind::ALL.into_iter().map(move |kind| Self { side, kind }))
    }
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.side.label(), self.kind.label())
    }
}

impl Side {
    /// Every side, in the order of the enumeration.
    pub const ALL: [Self; 4] = [Self::Client, Self::Cover, Self::Proxy, Self::Telegram];

    /// The side's name in logs and metrics.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Cover => "cover",
            Self::Proxy => "proxy",
            Self::Telegram => "telegram",
        }
    }
}

impl Kind {
    /// Every kind, in the order of the enumeration.
    pub const ALL: [Self; 21] = [
        Self::Closed,
        Self::DcUnknown,
        Self::Drained,
        Self::Fault,
        Self::FrameLength,
        Self::FramePadding,
        Self::FrameTimeout,
        Self::HandshakeTimeout,
        Self::HeaderTag,
        Self::Idle,
        Self::Limit,
        Self::LinkLost,
        Self::Loop,
        Self::Memory,
        Self::Queue,
        Self::Replay,
        Self::Reset,
        Self::Silent,
        Self::TlsAlert,
        Self::TlsRecord,
        Self::Unreachable,
    ];

    /// The kind's name in logs and metrics.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::DcUnknown => "dc_unknown",
            Self::Drained => "drained",
            Self::Fault => "fault",
            Self::FrameLength => "frame_length",
            Self::FramePadding => "frame_padding",
            Self::FrameTimeout => "frame_timeout",
            Self::HandshakeTimeout => "handshake_timeout",
            Self::HeaderTag => "header_tag",
            Self::Idle => "idle",
            Self::Limit => "limit",
            Self::LinkLost => "link_lost",
            Self::Loop => "loop",
            Self::Memory => "memory",
            Self::Queue => "queue",
            Self::Replay => "replay",
            Self::Reset => "reset",
            Self::Silent => "silent",
            Self::TlsAlert => "tls_alert",
            Self::TlsRecord => "tls_record",
            Self::Unreachable => "unreachable",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_its_own_place_and_name() {
        let all: Vec<_> = CloseReason::all().collect();
        for (place, reason) in all.iter().enumerate() {
            assert_eq!(reason.index(), place);
        }
        let names: std::collections::HashSet<_> = all.iter().map(ToString::to_string).collect();
        assert_eq!(names.len(), all.len());
    }
}
