//! What is counted.

use std::hint::black_box;

use teleferry_proto::accept::{Protocols, Terms, Verdict, examine};
use teleferry_proto::cipher::CtrStream;
use teleferry_proto::fake_tls::greeting::{Shape, greet};
use teleferry_proto::fake_tls::record;
use teleferry_proto::fake_tls::server_hello::{KeyShare, Look, answer};
use teleferry_proto::obfuscated::{HEADER_LEN, Header, Initiated, initiate};
use teleferry_proto::per_sni;
use teleferry_proto::secret::SecretKey;
use teleferry_proto::session::{HEADROOM, Session};
use teleferry_proto::transport::Framing;
use teleferry_proto::{dc::DcId, direct::Direct};

/// Something to repeat, with everything that it needs made before.
type Act = Box<dyn FnMut()>;

/// A name, and what makes something to repeat.
type Case = (&'static str, fn() -> Act);

/// Every case.
pub(super) const CASES: &[Case] = &[
    ("cipher-16k", cipher),
    ("session-dd-16k", || session(BULK, false)),
    ("session-ee-16k", || session(BULK, true)),
    ("session-dd-152", || session(SMALL, false)),
    ("session-ee-152", || session(SMALL, true)),
    ("recrypt-16k", recrypt),
    ("header", || header(1)),
    ("header-101", || header(101)),
    ("hello", || hello(1, None)),
    ("hello-101", || hello(101, None)),
    ("hello-101-sni", || hello(101, Some("a salt"))),
    ("hello-answer", hello_answer),
];

/// Lengths of messages, in bytes.
const BULK: usize = 16 << 10;
const SMALL: usize = 152;
/// The longest record that the apps send, in bytes of content.
const CLIENT_RECORD: usize = 2878;

const ALL: Protocols = Protocols { tls: true, secure: true, classic: true };

fn stream() -> CtrStream {
    CtrStream::new(&[7; 32], &[9; 16])
}

fn key() -> SecretKey {
    SecretKey::new([5; 16])
}

fn header_random() -> [u8; HEADER_LEN] {
    std::array::from_fn(|n| n as u8 + 1)
}

fn cipher() -> Act {
    let (mut stream, mut data) = (stream(), vec![0; BULK]);
    Box::new(move || stream.apply(black_box(&mut data)))
}

/// A message from a client, from the wire to judged frames.
fn session(len: usize, tls: bool) -> Act {
    let mut frame = (len as u32).to_le_bytes().to_vec();
    frame.resize(4 + len, 1);
    stream().apply(&mut frame);
    let mut wire = vec![0; HEADROOM];
    if tls {
        frame.chunks(CLIENT_RECORD).for_each(|content| record::wrap(content, &mut wire));
    } else {
        wire.extend(frame);
    }
    let mut buf = wire.clone();
    Box::new(move || {
        buf.copy_from_slice(&wire);
        let records = tls.then(record::Reader::of_client);
        let data = HEADROOM..buf.len();
        let received = Session::new(Framing::Padded, stream(), records).receive(&mut buf, data);
        assert_eq!(black_box(received).map(|received| received.messages), Ok(1), "one message");
    })
}

/// What a data centre sends when the fast path is off.
fn recrypt() -> Act {
    let header = Header { framing: Framing::Padded, dc: DcId::new(2) };
    let opened = Direct::open(&header_random(), header, &stream(), false, false);
    let (_, mut direct) = opened.expect("the header looks like nothing else");
    let mut data = vec![0; BULK];
    let range = 0..data.len();
    Box::new(move || {
        black_box(direct.to_client(black_box(&mut data), range.clone(), |_| {}));
    })
}

/// So many secrets, the last of which is the one that counts.
fn keys(count: u8) -> Vec<SecretKey> {
    (1..count).map(|n| SecretKey::new([n; 16])).chain([key()]).collect()
}

/// A header in the open, found to fit one of so many secrets.
fn header(count: u8) -> Act {
    let header = Header { framing: Framing::Padded, dc: DcId::new(2) };
    let Initiated { wire, .. } =
        initiate(&header_random(), header, Some(&key())).expect("the header looks like nothing else");
    let keys = keys(count);
    Box::new(move || {
        let verdict = examine(black_box(&wire), &keys, ALL);
        assert!(matches!(verdict, Verdict::Header(_)), "a client");
    })
}

fn hello_wire(key: &SecretKey) -> Vec<u8> {
    greet(Shape::Modern, key, DOMAIN, 1_700_000_000, &std::array::from_fn(|n| n as u8), &[9; 32]).wire
}

/// The name in the hello.
const DOMAIN: &str = "www.example.com";

/// A hello, found to be proven by one of so many secrets, or by the key that is derived from it.
fn hello(count: u8, sni_salt: Option<&'static str>) -> Act {
    let keys = keys(count);
    let proving = sni_salt.map_or_else(key, |salt| per_sni::derive(&key(), salt, DOMAIN.as_bytes()));
    let wire = hello_wire(&proving);
    Box::new(move || {
        let verdict = Terms { keys: &keys, protocols: ALL, sni_salt }.examine(black_box(&wire));
        assert!(matches!(verdict, Verdict::Hello(_)), "a client");
    })
}

/// The answer to one, without the key exchange.
fn hello_answer() -> Act {
    let (wire, share, encrypted) = (hello_wire(&key()), KeyShare::X25519([9; 32]), vec![3; 4000]);
    Box::new(move || {
        let keys = [key()];
        let Verdict::Hello(proven) = examine(&wire, &keys, ALL) else { return };
        black_box(answer(&proven.hello, &keys[0], Look::COMMON, &share, &encrypted));
    })
}
