//! Where bytes come from: the network, or a script in tests.

use std::net::{IpAddr, SocketAddr};

use hyper::Uri;

use super::http::FetchError;

/// Everything that is asked of the network.
pub(crate) trait Source {
    /// Fetches what is published at `url`, up to `limit` bytes, over connections of one family when it is given.
    async fn get(&self, url: &Uri, limit: usize, family: Option<Family>) -> Result<Fetched, FetchError>;

    /// The address that this machine's sockets have on the way to `target`; `None` when there is no way.
    fn own_address(&self, target: SocketAddr) -> Option<IpAddr>;
}

/// What was fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fetched {
    /// The body of the answer.
    pub(crate) body: Vec<u8>,
    /// Seconds that our clock is ahead of the server's, if it told its time.
    pub(crate) clock_offset: Option<i64>,
}

/// A version of IP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    /// IPv4
    V4,
    /// IPv6
    V6,
}

impl Family {
    /// Whether an address belongs to it.
    pub(crate) const fn has(self, ip: IpAddr) -> bool {
        match self {
            Self::V4 => ip.is_ipv4(),
            Self::V6 => ip.is_ipv6(),
        }
    }

    /// What it is called.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        }
    }
}
