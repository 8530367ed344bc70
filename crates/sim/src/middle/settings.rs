//! How middle proxies behave, changeable while they run.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use teleferry_proto::middle::server::Conduct;
use teleferry_proto::rpc::AdTag;
use teleferry_proto::telegram_config::MiddleSecret;

/// How the middle proxies of a data centre behave. Links that are open go on by [`rotate`](Self::rotate),
/// [`stall`](Self::stall) and what is [expected](Self::ad_tag); the rest is for new ones.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The secret shared with proxies.
    pub secret: MiddleSecret,
    /// How they behave in the handshake.
    pub handshake: Conduct,
    /// Whether CRC-32C is granted.
    pub crc32c: bool,
    /// How many seconds their clock is ahead.
    pub clock_ahead: i32,
    /// The address that proxies are seen to come from, as if behind NAT; `None`: the one they do come from.
    pub seen_from: Option<IpAddr>,
    /// The ad tag that every message must have.
    pub ad_tag: ExpectedTag,
    /// The address of the proxy that every message must name; `None`: any that is plausible.
    pub proxy: Option<SocketAddr>,
    /// Links are closed in order this long after their handshake.
    pub rotate: Option<Duration>,
    /// Links are read, and nothing at all is sent.
    pub stall: bool,
}

/// What ad tag is right.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ExpectedTag {
    /// Whatever comes.
    #[default]
    Any,
    /// No ad tag.
    Absent,
    /// This one.
    Exactly(AdTag),
}

impl Default for Settings {
    /// As Telegram's do: no CRC-32C is refused, nothing in particular expected, links live for ever.
    fn default() -> Self {
        Self {
            secret: MiddleSecret::embedded(),
            handshake: Conduct::Serve,
            crc32c: true,
            clock_ahead: 0,
            seen_from: None,
            ad_tag: ExpectedTag::Any,
            proxy: None,
            rotate: None,
            stall: false,
        }
    }
}

impl ExpectedTag {
    pub(super) fn takes(self, tag: Option<AdTag>) -> bool {
        match self {
            Self::Any => true,
            Self::Absent => tag.is_none(),
            Self::Exactly(expected) => tag == Some(expected),
        }
    }
}
