//! What a table holds: host names or networks, each kind for itself.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use teleferry_proto::secret::HostName;

use super::value::{Wrong, one_of};

/// What a table holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TableKind {
    /// Host names, each for itself alone.
    Domain,
    /// Networks, and all addresses in them.
    Network,
}

/// One entry of a table.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TableEntry {
    /// A host name in lower case.
    Domain(HostName),
    /// A network without host bits; one of IPv4 is never written as one of IPv6.
    Network(IpNet),
}

impl TableKind {
    /// Each of them.
    pub const ALL: [Self; 2] = [Self::Domain, Self::Network];

    /// Its name in the configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Domain => "domain",
            Self::Network => "network",
        }
    }

    /// Reads an entry: a host name in any case, or an address with or without the length of its network.
    ///
    /// # Errors
    /// It is none.
    pub fn entry(self, text: &str) -> Result<TableEntry, Wrong> {
        match self {
            Self::Domain => HostName::new(&text.to_ascii_lowercase())
                .map(TableEntry::Domain)
                .map_err(|error| Wrong::new(format!("is no host name: {error}"))),
            Self::Network => network(text).map(TableEntry::Network),
        }
    }
}

pub(super) fn table_kind(text: &str) -> Result<TableKind, Wrong> {
    one_of(text, &TableKind::ALL.map(|kind| (kind.name(), kind)))
}

/// A network: "ADDRESS" or "ADDRESS/LENGTH". Bits behind the length are taken as zeros.
///
/// # Errors
/// It is none.
pub(super) fn network(text: &str) -> Result<IpNet, Wrong> {
    let network = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    network.map(|network| unmapped(network.trunc())).map_err(|_| {
        Wrong::new("is no network")
            .help("the forms are \"192.0.2.1\", \"192.0.2.0/24\" and \"2001:db8::/32\"")
    })
}

/// An IPv4 network that is written as one of IPv6 (`::ffff:192.0.2.0/120`) is one of IPv4.
fn unmapped(network: IpNet) -> IpNet {
    let IpNet::V6(v6) = network else { return network };
    let v4 = v6.addr().to_ipv4_mapped().zip(v6.prefix_len().checked_sub(MAPPED_PREFIX));
    v4.and_then(|(address, len)| Ipv4Net::new(address, len).ok()).map_or(network, IpNet::V4)
}

/// Bits before the IPv4 address in a mapped one.
const MAPPED_PREFIX: u8 = 96;

/// The first `len` bits of an address; `None` when it has fewer.
pub(crate) fn subnet_v4(address: Ipv4Addr, len: u8) -> Option<IpNet> {
    Ipv4Net::new(address, len).ok().map(|network| IpNet::V4(network.trunc()))
}

/// The first `len` bits of an address; `None` when it has fewer.
pub(crate) fn subnet_v6(address: Ipv6Addr, len: u8) -> Option<IpNet> {
    Ipv6Net::new(address, len).ok().map(|network| IpNet::V6(network.trunc()))
}

impl TableEntry {
    /// The kind of table that it belongs to.
    #[must_use]
    pub const fn kind(&self) -> TableKind {
        match self {
            Self::Domain(_) => TableKind::Domain,
            Self::Network(_) => TableKind::Network,
        }
    }
}

impl From<HostName> for TableEntry {
    fn from(name: HostName) -> Self {
        Self::Domain(name)
    }
}

impl From<IpNet> for TableEntry {
    fn from(network: IpNet) -> Self {
        Self::Network(network)
    }
}

impl fmt::Display for TableEntry {
    /// A network of one address is written as that address.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Domain(name) => name.fmt(f),
            Self::Network(network) if network.prefix_len() == network.max_prefix_len() => {
                network.addr().fmt(f)
            }
            Self::Network(network) => network.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_read_and_shown() {
        for (kind, text, shown) in [
            (TableKind::Domain, "A.Example", "a.example"),
            (TableKind::Network, "192.0.2.1", "192.0.2.1"),
            (TableKind::Network, "192.0.2.77/24", "192.0.2.0/24"),
            (TableKind::Network, "0.0.0.0/0", "0.0.0.0/0"),
            (TableKind::Network, "2001:DB8::1/32", "2001:db8::/32"),
            (TableKind::Network, "::ffff:192.0.2.1", "192.0.2.1"),
            (TableKind::Network, "::ffff:192.0.2.1/120", "192.0.2.0/24"),
            (TableKind::Network, "::/0", "::/0"),
        ] {
            let entry = kind.entry(text).expect(text);
            assert_eq!(entry.to_string(), shown);
            assert_eq!(kind.entry(shown), Ok(entry), "{text}");
        }
        for (kind, text) in [
            (TableKind::Domain, "192.0.2.1"),
            (TableKind::Domain, "*.example"),
            (TableKind::Domain, ""),
            (TableKind::Network, "a.example"),
            (TableKind::Network, "192.0.2.0/33"),
            (TableKind::Network, "192.0.2"),
            (TableKind::Network, ""),
        ] {
            kind.entry(text).expect_err(text);
        }
    }
}
