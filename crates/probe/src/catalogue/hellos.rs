//! Whole hellos: with other names, other clocks, other offers.

use super::{Kit, Plan, Probe, probe, send, stranger};
use crate::hello::{self, extension, prefixed};
use crate::random;
use crate::stage::DOMAIN;

pub(super) const LIST: &[Probe] = &[
    probe("28-no-sni", |_| send(stranger().without(extension::SERVER_NAME).wire())),
    probe("28-no-sni-of-a-client", |kit| {
        // The digest is of the hello that had the name.
        send(client(kit, 0).without(extension::SERVER_NAME).wire())
    }),
    probe("29-foreign-sni", |_| send(stranger().named(b"www.example.org").wire())),
    probe("29-foreign-sni-right-secret", |kit| send(hello::greet(&kit.key, "www.example.org", 0).wire)),
    probe("30-sni-upper-case", |_| send(stranger().named(DOMAIN.to_uppercase().as_bytes()).wire())),
    probe("30-sni-trailing-dot", |_| send(stranger().named(format!("{DOMAIN}.").as_bytes()).wire())),
    probe("30-sni-of-255-bytes", |_| send(stranger().named(&[b'a'; 255]).wire())),
    probe("30-sni-empty", |_| send(stranger().named(b"").wire())),
    probe("30-sni-with-nul", |_| send(stranger().named(b"probe.example\0.com").wire())),
    probe("31-wrong-secret", |_| send(stranger().wire())),
    probe("31-right-secret-one-bit-wrong", |kit| {
        let mut hello = client(kit, 0);
        hello.random[9] ^= 1;
        send(hello.wire())
    }),
    probe("32-right-secret-one-hour-old", |kit| send(client(kit, -3600).wire())),
    probe("32-right-secret-of-1970", |kit| {
        send(client(kit, (crate::clock::unix_time() as i32).wrapping_neg()).wire())
    }),
    probe("33-right-secret-one-hour-ahead", |kit| send(client(kit, 3600).wire())),
    probe("35-tls-1.2-only", |_| {
        send(stranger().without(extension::SUPPORTED_VERSIONS).without(extension::KEY_SHARE).wire())
    }),
    probe("36-tls-1.1-only", |_| in_old_version(0x0302)),
    probe("36-tls-1.0-only", |_| in_old_version(0x0301)),
    probe("37-only-p-256-share", |_| send(with_share(0x0017, &p256_point()).wire())),
    probe("37-only-unknown-share", |_| send(with_share(0x6a6a, &[0]).wire())),
    probe("37-no-share", |_| send(stranger().with(extension::KEY_SHARE, prefixed(&[])).wire())),
    probe("37-low-order-share", |_| send(with_share(0x001d, &[0; 32]).wire())),
    probe("38-no-common-suite", |_| {
        let mut hello = stranger();
        hello.suites = vec![0x0a0a, 0x00ff];
        send(hello.wire())
    }),
    probe("38-no-common-group", |_| {
        let groups = prefixed(&[0xfe, 0xfe]);
        send(with_share(0xfefe, &random::bytes(32)).with(extension::GROUPS, groups).wire())
    }),
    probe("39-alpn-h2", |_| send(with_alpn(b"\x02h2"))),
    probe("39-alpn-http-1.1", |_| send(with_alpn(b"\x08http/1.1"))),
    probe("39-alpn-unknown", |_| send(with_alpn(b"\x05hello"))),
    probe("39-no-alpn", |_| send(stranger().without(extension::ALPN).wire())),
];

/// A client's hello, whose clock is this many seconds ahead.
fn client(kit: &Kit, ahead: i32) -> hello::Hello {
    hello::Hello::parse(&hello::greet(&kit.key, DOMAIN, ahead).wire)
}

fn in_old_version(version: u16) -> Plan {
    let mut hello = stranger().without(extension::SUPPORTED_VERSIONS).without(extension::KEY_SHARE);
    hello.version = version;
    send(hello.wire())
}

fn with_alpn(names: &[u8]) -> Vec<u8> {
    stranger().with(extension::ALPN, prefixed(names)).wire()
}

/// A hello with one key share alone.
fn with_share(group: u16, key: &[u8]) -> hello::Hello {
    let entry = [&group.to_be_bytes()[..], &prefixed(key)].concat();
    stranger().with(extension::KEY_SHARE, prefixed(&entry))
}

/// The curve's base point, which is as good a key as any.
fn p256_point() -> Vec<u8> {
    const BASE: [u8; 65] = [
        0x04, 0x6b, 0x17, 0xd1, 0xf2, 0xe1, 0x2c, 0x42, 0x47, 0xf8, 0xbc, 0xe6, 0xe5, 0x63, 0xa4, 0x40, 0xf2,
        0x77, 0x03, 0x7d, 0x81, 0x2d, 0xeb, 0x33, 0xa0, 0xf4, 0xa1, 0x39, 0x45, 0xd8, 0x98, 0xc2, 0x96, 0x4f,
        0xe3, 0x42, 0xe2, 0xfe, 0x1a, 0x7f, 0x9b, 0x8e, 0xe7, 0xeb, 0x4a, 0x7c, 0x0f, 0x9e, 0x16, 0x2b, 0xce,
        0x33, 0x57, 0x6b, 0x31, 0x5e, 0xce, 0xcb, 0xb6, 0x40, 0x68, 0x37, 0xbf, 0x51, 0xf5,
    ];
    BASE.to_vec()
}
