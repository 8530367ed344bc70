//! What is counted.

use std::hint::black_box;

use teleferry_proto::accept::{Protocols, Verdict, examine};
use teleferry_proto::cipher::CtrStream;
use teleferry_proto::fake_tls::greeting::{Shape, greet};
use teleferry_proto::fake_tls::record;
use teleferry_proto::fake_tls::server_hello::{KeyShare, Look, answer};
use teleferry_proto::obfuscated::{HEADER_LEN, Header, Initiated, initiate};
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
    ("header", header),
    ("hello", hello),
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

/// A header in the open, found to fit the secret.
fn header() -> Act {
    let header = Header { framing: Framing::Padded, dc: DcId::new(2) };
    let Initiated { wire, .. } =
        initiate(&header_random(), header, Some(&key())).expect("the header looks like nothing else");
    Box::new(move || {
        let keys = [key()];
        let verdict = examine(black_box(&wire), &keys, ALL);
        assert!(matches!(verdict, Verdict::Header(_)), "a client");
    })
}

fn hello_wire() -> Vec<u8> {
    greet(
        Shape::Modern,
        &key(),
        "www.example.com",
        1_700_000_000,
        &std::array::from_fn(|n| n as u8),
        &[9; 32],
    )
    .wire
}

/// A hello, found to be proven by the secret.
fn hello() -> Act {
    let wire = hello_wire();
    Box::new(move || {
        let keys = [key()];
        let verdict = examine(black_box(&wire), &keys, ALL);
        assert!(matches!(verdict, Verdict::Hello(_)), "a client");
    })
}

/// The answer to one, without the key exchange.
fn hello_answer() -> Act {
    let (wire, share, encrypted) = (hello_wire(), KeyShare::X25519([9; 32]), vec![3; 4000]);
    Box::new(move || {
        let keys = [key()];
        let Verdict::Hello(proven) = examine(&wire, &keys, ALL) else { return };
        black_box(answer(&proven.hello, &keys[0], Look::COMMON, &share, &encrypted));
    })
}
