//! Data-centre ids as clients write them, and the built-in address book of direct mode.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// A data-centre id exactly as it stands in the client's header: 1..=5, negative for media, ±(10000 + n) for the test
/// environment, ±203 for the CDN-like one. Any other number can arrive too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DcId(i16);

/// What test ids have added to their number.
const TEST_OFFSET: u16 = 10_000;

impl DcId {
    /// Wraps the number as it was received.
    #[must_use]
    pub const fn new(id: i16) -> Self {
        Self(id)
    }

    /// The number as it was received.
    #[must_use]
    pub const fn get(self) -> i16 {
        self.0
    }

    /// True for a media-only connection (negative id).
    #[must_use]
    pub const fn is_media(self) -> bool {
        self.0 < 0
    }

    /// True for a data centre of the test environment.
    #[must_use]
    pub const fn is_test(self) -> bool {
        self.0.unsigned_abs() > TEST_OFFSET
    }

    /// The bare number: without sign and without the test offset.
    #[must_use]
    pub const fn number(self) -> u16 {
        let magnitude = self.0.unsigned_abs();
        match magnitude.checked_sub(TEST_OFFSET) {
            Some(number) if number > 0 => number,
            _ => magnitude,
        }
    }

    /// The addresses that the official client library has built in for this id, in the order to try them: every host on
    /// port 443, then 80, then 5222. Empty for an unknown id. Media ids share the addresses of their data centre, as no
    /// media table exists for direct connections.
    pub fn built_in_addresses(self) -> impl Iterator<Item = SocketAddr> {
        let hosts = self.hosts();
        self.ports().iter().flat_map(move |&port| hosts.iter().map(move |&host| SocketAddr::new(host, port)))
    }

    /// Whether the built-in address book has this id.
    #[must_use]
    pub const fn is_known(self) -> bool {
        !self.hosts().is_empty()
    }

    const fn hosts(self) -> &'static [IpAddr] {
        match (self.is_test(), self.number()) {
            (false, 1) => DC1,
            (false, 2) => DC2,
            (false, 3) => DC3,
            (false, 4) => DC4,
            (false, 5) => DC5,
            (false, 203) => DC203,
            (true, 1) => TEST1,
            (true, 2) => TEST2,
            (true, 3) => TEST3,
            _ => &[],
        }
    }

    const fn ports(self) -> &'static [u16] {
        // Only port 443 is known for the CDN-like data centre.
        if self.number() == 203 { &[443] } else { &[443, 80, 5222] }
    }
}

impl std::fmt::Display for DcId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

const fn v4(a: u8, b: u8, c: u8, d: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(a, b, c, d))
}

const fn v6(s: [u16; 8]) -> IpAddr {
    IpAddr::V6(Ipv6Addr::new(s[0], s[1], s[2], s[3], s[4], s[5], s[6], s[7]))
}

const DC1: &[IpAddr] = &[v4(149, 154, 175, 50), v6([0x2001, 0xb28, 0xf23d, 0xf001, 0, 0, 0, 0xa])];
const DC2: &[IpAddr] =
    &[v4(149, 154, 167, 51), v4(95, 161, 76, 100), v6([0x2001, 0x67c, 0x4e8, 0xf002, 0, 0, 0, 0xa])];
const DC3: &[IpAddr] = &[v4(149, 154, 175, 100), v6([0x2001, 0xb28, 0xf23d, 0xf003, 0, 0, 0, 0xa])];
const DC4: &[IpAddr] = &[v4(149, 154, 167, 91), v6([0x2001, 0x67c, 0x4e8, 0xf004, 0, 0, 0, 0xa])];
const DC5: &[IpAddr] = &[v4(149, 154, 171, 5), v6([0x2001, 0xb28, 0xf23f, 0xf005, 0, 0, 0, 0xa])];
const DC203: &[IpAddr] = &[v4(91, 105, 192, 100), v6([0x2a0a, 0xf280, 0x203, 0xa, 0x5000, 0, 0, 0x100])];
const TEST1: &[IpAddr] = &[v4(149, 154, 175, 10), v6([0x2001, 0xb28, 0xf23d, 0xf001, 0, 0, 0, 0xe])];
const TEST2: &[IpAddr] = &[v4(149, 154, 167, 40), v6([0x2001, 0x67c, 0x4e8, 0xf002, 0, 0, 0, 0xe])];
const TEST3: &[IpAddr] = &[v4(149, 154, 175, 117), v6([0x2001, 0xb28, 0xf23d, 0xf003, 0, 0, 0, 0xe])];

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(id: i16) -> Vec<String> {
        DcId::new(id).built_in_addresses().map(|address| address.to_string()).collect()
    }

    #[test]
    fn numbers_signs_and_offsets() {
        for (id, number, media, test) in [
            (2, 2, false, false),
            (-4, 4, true, false),
            (10_002, 2, false, true),
            (-10_003, 3, true, true),
            (203, 203, false, false),
            (-203, 203, true, false),
            (0, 0, false, false),
            (10_000, 10_000, false, false),
            (i16::MIN, 22_768, true, true),
        ] {
            let dc = DcId::new(id);
            assert_eq!((dc.number(), dc.is_media(), dc.is_test()), (number, media, test), "{id}");
        }
    }

    #[test]
    fn media_ids_share_addresses_and_ports_are_tried_last() {
        assert_eq!(addresses(-2), addresses(2));
        assert_eq!(
            addresses(1),
            [
                "149.154.175.50:443",
                "[2001:b28:f23d:f001::a]:443",
                "149.154.175.50:80",
                "[2001:b28:f23d:f001::a]:80",
                "149.154.175.50:5222",
                "[2001:b28:f23d:f001::a]:5222"
            ]
        );
        assert_eq!(addresses(203), ["91.105.192.100:443", "[2a0a:f280:203:a:5000::100]:443"]);
        assert!(addresses(10_003).contains(&"149.154.175.117:443".to_owned()));
    }

    #[test]
    fn unknown_ids_have_no_addresses() {
        for id in [0, 6, -6, 999, 10_004, 10_000, -10_000, 10_203, i16::MAX, i16::MIN] {
            assert!(!DcId::new(id).is_known(), "{id}");
            assert!(addresses(id).is_empty(), "{id}");
        }
    }
}
