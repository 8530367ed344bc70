//! What may be shown of a client's address.

use std::fmt;
use std::net::IpAddr;

use crate::net::Peer;

/// An address as it may stand in a log: with masking on, the network only (IPv4 /16, IPv6 /32) and no port.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Masked {
    peer: Peer,
    mask: bool,
}

impl Masked {
    /// Wraps an address; `mask` is the operator's setting.
    #[must_use]
    pub(crate) const fn new(peer: Peer, mask: bool) -> Self {
        Self { peer, mask }
    }
}

impl fmt::Display for Masked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = match self.peer {
            Peer::Inet(address) if self.mask => address,
            peer => return peer.fmt(f),
        };
        match address.ip().to_canonical() {
            IpAddr::V4(ip) => {
                let [a, b, _, _] = ip.octets();
                write!(f, "{a}.{b}.x.x")
            }
            IpAddr::V6(ip) => {
                let [a, b, ..] = ip.segments();
                write!(f, "{a:x}:{b:x}:x")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(address: &str, mask: bool) -> String {
        Masked::new(Peer::Inet(address.parse().expect("address")), mask).to_string()
    }

    #[test]
    fn masked_addresses_show_the_network_only() {
        assert_eq!(shown("203.0.113.7:4711", true), "203.0.x.x");
        assert_eq!(shown("[2001:db8:1:2::3]:4711", true), "2001:db8:x");
        assert_eq!(shown("[::ffff:203.0.113.7]:4711", true), "203.0.x.x");
        assert_eq!(shown("203.0.113.7:4711", false), "203.0.113.7:4711");
    }
}
