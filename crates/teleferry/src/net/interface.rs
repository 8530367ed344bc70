//! The addresses of this machine.

use std::net::IpAddr;

/// The address under which others most probably reach this machine: a public one before a private one, IPv4 before IPv6.
/// `None` when there is none but loopback and link-local ones. `only_ipv4` leaves IPv6 out.
pub(crate) fn interface_address(only_ipv4: bool) -> Option<IpAddr> {
    // A machine that does not tell its addresses is like one that has none.
    let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
    best(interfaces.iter().map(if_addrs::Interface::ip), only_ipv4)
}

/// Whether connections to an address end at this machine.
pub(crate) fn is_local(ip: IpAddr) -> bool {
    let ip = ip.to_canonical();
    let interfaces = || if_addrs::get_if_addrs().unwrap_or_default();
    ip.is_loopback() || ip.is_unspecified() || interfaces().iter().any(|interface| interface.ip() == ip)
}

fn best(addresses: impl Iterator<Item = IpAddr>, only_ipv4: bool) -> Option<IpAddr> {
    addresses
        .filter(|ip| !ip.is_loopback() && !ip.is_unspecified() && !is_link_local(ip))
        .filter(|ip| ip.is_ipv4() || !only_ipv4)
        // The first of the best ones, in the system's order.
        .min_by_key(|ip| (is_private(ip), ip.is_ipv6()))
}

const fn is_link_local(ip: &IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    }
}

const fn is_private(ip: &IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_private(),
        IpAddr::V6(ip) => ip.is_unique_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_that_others_reach_comes_first() {
        let found = |list: &[&str], only_ipv4| {
            let parsed = list.iter().map(|text| text.parse().expect("an address"));
            best(parsed, only_ipv4).map(|ip: IpAddr| ip.to_string())
        };
        let all =
            ["127.0.0.1", "10.0.0.5", "fe80::1", "fd00::1", "2001:db8::1", "203.0.113.7", "203.0.113.8"];
        assert_eq!(found(&all, false).as_deref(), Some("203.0.113.7"));
        assert_eq!(found(&["10.0.0.5", "2001:db8::1"], false).as_deref(), Some("2001:db8::1"));
        assert_eq!(found(&["10.0.0.5", "2001:db8::1"], true).as_deref(), Some("10.0.0.5"));
        assert_eq!(found(&["fd00::1", "10.0.0.5"], false).as_deref(), Some("10.0.0.5"));
        assert_eq!(found(&["127.0.0.1", "::1", "169.254.0.1", "fe80::1"], false), None);
    }
}
