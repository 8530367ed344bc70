//! PROXY protocol headers against what other programs write and read.

use std::net::SocketAddr;

use ppp::v2::{Builder, Command, Protocol, Version as V2};
use proptest::prelude::*;
use teleferry_proto::haproxy::{Ends, MAX_LEN, MAX_TLVS_LEN, MAX_V1_LEN, Scan, Told, Version, encode, scan};

fn ends() -> impl Strategy<Value = Ends> {
    let v4 = any::<([u8; 4], u16, [u8; 4], u16)>().prop_map(|(from, a, to, b)| Ends {
        source: SocketAddr::from((from, a)),
        destination: SocketAddr::from((to, b)),
    });
    let v6 = any::<([u8; 16], u16, [u8; 16], u16)>().prop_map(|(from, a, to, b)| Ends {
        source: SocketAddr::from((from, a)),
        destination: SocketAddr::from((to, b)),
    });
    prop_oneof![v4, v6]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn others_read_what_we_write(ends in ends()) {
        let line = encode(Version::V1, Some(ends));
        let read = ppp::v1::Header::try_from(line.as_slice()).expect("a header");
        prop_assert_eq!(read.addresses, ppp::v1::Addresses::from((ends.source, ends.destination)));
        let binary = encode(Version::V2, Some(ends));
        let read = ppp::v2::Header::try_from(binary.as_slice()).expect("a header");
        prop_assert_eq!(read.addresses, ppp::v2::Addresses::from((ends.source, ends.destination)));
        prop_assert_eq!(read.command, Command::Proxy);
    }

    #[test]
    fn we_read_what_others_write(ends in ends(), tlv in prop::collection::vec(any::<u8>(), 0..300), cut: prop::sample::Index) {
        let line = ppp::v1::Addresses::from((ends.source, ends.destination)).to_string().into_bytes();
        let binary = Builder::with_addresses(V2::Two | Command::Proxy, Protocol::Stream, (ends.source, ends.destination))
            .write_tlv(ppp::v2::Type::Authority, &tlv)
            .and_then(Builder::build)
            .expect("a header");
        for header in [line, binary] {
            let whole = Scan::Whole { told: Told::Ends(ends), len: header.len() };
            prop_assert_eq!(scan(&header), whole);
            prop_assert_eq!(scan(&[header.as_slice(), b"\x16\x03\x01"].concat()), whole);
            prop_assert_eq!(scan(&header[..cut.index(header.len())]), Scan::NeedMore);
        }
    }
}

#[test]
fn unknown_connections() {
    for version in [Version::V1, Version::V2] {
        let header = encode(version, None);
        assert_eq!(scan(&header), Scan::Whole { told: Told::Nothing, len: header.len() });
    }
    let line = b"PROXY UNKNOWN ffff:: ffff:: 1 2\r\nrest";
    assert_eq!(scan(line), Scan::Whole { told: Told::Nothing, len: line.len() - 4 });
    // A datagram's addresses and those of unix sockets are nothing to us.
    for (family, len) in [(0x12, 12), (0x22, 36), (0x31, 216), (0x32, 216), (0x00, 0)] {
        let header = binary(0x21, family, &vec![7; len]);
        assert_eq!(scan(&header), Scan::Whole { told: Told::Nothing, len: header.len() }, "{family:x}");
    }
    // The sender's own: the addresses are skipped, whole or not.
    let header = binary(0x20, 0x11, &[7; 3]);
    assert_eq!(scan(&header), Scan::Whole { told: Told::Nothing, len: 19 });
}

#[test]
fn what_is_no_header() {
    for bytes in
        [b"\x16\x03\x01".as_slice(), b"GET / HTTP/1.1\r\n", b"PRAY", b"\r\n\r\nGET", b"POST / HTTP/1.1\r\n"]
    {
        assert_eq!(scan(bytes), Scan::Absent, "{bytes:?}");
    }
    for bytes in [b"".as_slice(), b"P", b"PROXY", b"\r\n\r\n", b"PROXY TCP4 1.2.3.4"] {
        assert_eq!(scan(bytes), Scan::NeedMore, "{bytes:?}");
    }
    for line in [
        "PROXY \r\n",
        "PROXY TCP4\r\n",
        "PROXY TCP5 1.2.3.4 1.2.3.5 1 2\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.5 1 2\n",
        "PROXY TCP4 1.2.3.4 1.2.3.5 1 2 3\r\n",
        "PROXY TCP4 1.2.3.4  1.2.3.5 1 2\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.5 1 65536\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.5 01 2\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.5 +1 2\r\n",
        "PROXY TCP4 1.2.3.04 1.2.3.5 1 2\r\n",
        "PROXY TCP4 ::1 ::1 1 2\r\n",
        "PROXY TCP6 1.2.3.4 1.2.3.5 1 2\r\n",
        "PROXY tcp4 1.2.3.4 1.2.3.5 1 2\r\n",
    ] {
        assert_eq!(scan(line.as_bytes()), Scan::Malformed, "{line:?}");
    }
    for header in [
        binary(0x11, 0x11, &[0; 12]),
        binary(0x22, 0x11, &[0; 12]),
        binary(0x21, 0x41, &[0; 12]),
        binary(0x21, 0x13, &[0; 12]),
        binary(0x21, 0x11, &[0; 11]),
        binary(0x21, 0x21, &[0; 35]),
        binary(0x21, 0x11, &[0; 12 + MAX_TLVS_LEN + 1]),
    ] {
        assert_eq!(scan(&header), Scan::Malformed, "{:x?}", &header[12..16]);
    }
}

#[test]
fn bounds() {
    // The longest line there is, and one byte more without an end.
    let longest = format!("PROXY UNKNOWN {}\r\n", "f".repeat(MAX_V1_LEN - 16));
    assert_eq!(scan(longest.as_bytes()), Scan::Whole { told: Told::Nothing, len: MAX_V1_LEN });
    assert_eq!(scan(&longest.as_bytes()[..MAX_V1_LEN - 1]), Scan::NeedMore);
    let too_long = longest.replace('\r', "f");
    assert_eq!(scan(too_long.replace('\n', "f").as_bytes()), Scan::Malformed);
    let header = binary(0x21, 0x31, &[0; 216 + MAX_TLVS_LEN]);
    assert_eq!(header.len(), MAX_LEN);
    assert_eq!(scan(&header), Scan::Whole { told: Told::Nothing, len: MAX_LEN });
    assert_eq!(scan(&header[..MAX_LEN - 1]), Scan::NeedMore);
}

fn binary(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let len = u16::try_from(rest.len()).expect("short").to_be_bytes();
    [b"\r\n\r\n\0\r\nQUIT\n".as_slice(), &[command, family], &len, rest].concat()
}
