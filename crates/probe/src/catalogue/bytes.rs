//! What is no TLS at all.

use teleferry_proto::dc::DcId;
use teleferry_proto::obfuscated::{self, Header};
use teleferry_proto::secret::SecretKey;
use teleferry_proto::transport::Framing;

use super::{Kit, Plan, Probe, probe, send, steps};
use crate::random;
use crate::script::{Script, Step};

pub(super) const LIST: &[Probe] = &[
    probe("01-garbage-64", |_| send(garbage(b'a'))),
    probe("01-garbage-64-high", |_| send(garbage(0x9c))),
    probe("01-garbage-20k", |_| send([b"a".as_slice(), &random::bytes(20_000)].concat())),
    probe("02-garbage-ff", |_| send([0xff; 200])),
    probe("03-obfuscated-header", |_| send(header(&SecretKey::new(random::array())))),
    probe("03-obfuscated-header-of-a-client", |kit| send(header(&kit.key))),
    probe("04-http-get", |_| send("GET / HTTP/1.1\r\nHost: example.com\r\n\r\n")),
    probe("04-http-get-half", |_| send("GET / HTTP/1.1\r\nHost: exa")),
    probe("04-http-connect", |_| send("CONNECT example.com:443 HTTP/1.1\r\n\r\n")),
    probe("05-crlf", |_| send("\r\n")),
    probe("06-ssh-banner", |_| send("SSH-2.0-OpenSSH_9.9\r\n")),
    probe("07-sslv2-hello", |_| send(sslv2_hello())),
    probe("12-fin-at-once", |_| steps([Step::Finish])),
    probe("12-silence", |_| steps([])),
    probe("12-silence-then-hello", silence_then_hello),
    probe("12-silence-then-fin", |kit| steps([Step::Pause(kit.timers.header / 3), Step::Finish])),
];

/// 64 bytes, the first one as told.
fn garbage(first: u8) -> Vec<u8> {
    let mut bytes = random::bytes(64);
    bytes[0] = first;
    bytes
}

/// What opens an obfuscated connection in the open.
fn header(key: &SecretKey) -> Vec<u8> {
    let header = Header { framing: Framing::Padded, dc: DcId::new(2) };
    loop {
        if let Some(initiated) = obfuscated::initiate(&random::array(), header, Some(key)) {
            return initiated.wire.to_vec();
        }
    }
}

/// Version 2 of SSL: two cipher suites and a challenge.
fn sslv2_hello() -> Vec<u8> {
    let mut body = vec![1, 0, 2, 0, 6, 0, 0, 0, 16, 1, 0, 0x80, 7, 0, 0xc0];
    body.extend(random::bytes(16));
    let mut wire = vec![0x80, body.len() as u8];
    wire.extend(body);
    wire
}

/// The site's timer runs from the connection, not from the hello.
fn silence_then_hello(kit: &Kit) -> Plan {
    Plan::One(Script::raw([Step::Pause(kit.timers.header / 2), Step::Send(super::stranger().wire())]))
}
