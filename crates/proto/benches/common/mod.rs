//! What both benches work on.

use std::ops::Range;

use teleferry_proto::cipher::CtrStream;
use teleferry_proto::dc::DcId;
use teleferry_proto::fake_tls::client_hello::{ClientHello, Proof, Scan, prove, scan};
use teleferry_proto::fake_tls::greeting::{Shape, greet};
use teleferry_proto::fake_tls::record;
use teleferry_proto::fake_tls::server_hello::{KeyShare, Look, answer};
use teleferry_proto::obfuscated::{Header, accept, initiate};
use teleferry_proto::secret::SecretKey;
use teleferry_proto::session::{HEADROOM, Received, Session};
use teleferry_proto::transport::{Framing, encode};

/// A key stream and data for it.
pub(crate) fn stream(len: usize) -> (CtrStream, Vec<u8>) {
    (CtrStream::new(&[7; 32], &[8; 16]), vec![9; len])
}

/// An accepted client that has sent one message in one read.
pub(crate) struct Client {
    session: Session,
    buf: Vec<u8>,
    data: Range<usize>,
}

impl Client {
    /// `len` bytes of an encrypted message, a multiple of four.
    pub(crate) fn new(framing: Framing, tls: bool, len: usize) -> Self {
        let key = SecretKey::new([3; 16]);
        let header = Header { framing, dc: DcId::new(2) };
        let mut client = initiate(&[0x5a; 64], header, Some(&key)).expect("like no other protocol");
        let server = accept(&client.wire, Some(&key)).expect("ours");
        let mut stream = Vec::new();
        encode(framing, &vec![0xaa; len], false, &[], &mut stream);
        client.to_server.apply(&mut stream);
        let mut buf = vec![0; HEADROOM];
        if tls {
            // As large as clients make them.
            for content in stream.chunks(2878) {
                buf.extend(record::header(content.len()));
                buf.extend(content);
            }
        } else {
            buf.extend(stream);
        }
        let records = tls.then(record::Reader::of_client);
        Self { session: Session::new(framing, server.from_client, records), data: HEADROOM..buf.len(), buf }
    }

    /// Takes it in.
    pub(crate) fn receive(mut self) -> (Received, Self) {
        let received = self.session.receive(&mut self.buf, self.data.clone()).expect("legal");
        assert_eq!(received.messages, 1);
        (received, self)
    }
}

/// Secrets, of which the last is the client's.
pub(crate) fn keys(count: u8) -> Vec<SecretKey> {
    (0..count).rev().map(|i| SecretKey::new([i; 16])).collect()
}

/// Today's hello, about 1.8 kB.
pub(crate) fn hello() -> Vec<u8> {
    greet(Shape::Modern, &SecretKey::new([0; 16]), "www.example.com", 5, &[6; 32], &[9; 32]).wire
}

/// Scans a hello and proves it.
pub(crate) fn scan_and_prove(wire: &[u8], keys: &[SecretKey]) -> Proof {
    let Scan::Whole { record, .. } = scan(wire) else { panic!("not whole") };
    let (index, proof) = prove(&record, keys).expect("proven");
    assert_eq!(index + 1, keys.len());
    proof
}

/// Reads a proven hello and answers it, with a key share that is made already.
pub(crate) fn parse_and_answer(wire: &[u8], share: &KeyShare, encrypted: &[u8]) -> Vec<u8> {
    let hello = ClientHello::parse(wire.into()).expect("readable");
    answer(&hello, &SecretKey::new([0; 16]), Look::COMMON, share, encrypted)
}

/// A hybrid share, the larger kind.
pub(crate) fn share() -> KeyShare {
    KeyShare::Hybrid(Box::new([5; 1088]), [9; 32])
}

/// A header from the client, for trying secrets.
pub(crate) fn header() -> [u8; 64] {
    let header = Header { framing: Framing::Padded, dc: DcId::new(2) };
    initiate(&[0x5a; 64], header, Some(&SecretKey::new([0; 16]))).expect("like no other protocol").wire
}
