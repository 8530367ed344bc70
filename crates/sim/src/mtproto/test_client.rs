//! A client of our own for the key exchange and encrypted messages, and the tests that it makes.

use std::io::Write as _;
use std::time::Duration;

use num_bigint::BigUint;
use sha1::Sha1;
use sha2::{Digest, Sha256};

use super::cipher::{AuthKey, From, Ige};
use super::exchange::{self, Exchange, Step};
use super::rsa::{self, RsaKey};
use super::session::{MessageIds, Outcome, Peer, Session};
use super::tl::{self, Reader, Write};
use crate::{entropy, pattern};

const NOW: Duration = Duration::from_secs(1_800_000_000);

/// How the client pads what it encrypts with the RSA key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Padding {
    Sha1,
    RsaPad,
}

impl Padding {
    fn encrypt(self, rsa: &RsaKey, data: &[u8]) -> [u8; rsa::LEN] {
        loop {
            let mut block = [0; rsa::LEN];
            match self {
                Self::Sha1 => {
                    entropy::fill(&mut block[1..]);
                    block[1..21].copy_from_slice(&Sha1::digest(data));
                    block[21..21 + data.len()].copy_from_slice(data);
                }
                Self::RsaPad => {
                    let mut padded = entropy::bytes::<192>();
                    padded[..data.len()].copy_from_slice(data);
                    let key = entropy::bytes::<32>();
                    let digest = Sha256::new().chain_update(key).chain_update(padded).finalize();
                    padded.reverse();
                    block[32..224].copy_from_slice(&padded);
                    block[224..].copy_from_slice(&digest);
                    Ige::new(key, [0; 32]).encrypt(&mut block[32..]);
                    let mask = Sha256::digest(&block[32..]);
                    for (at, byte) in key.into_iter().enumerate() {
                        block[at] = byte ^ mask[at];
                    }
                }
            }
            if rsa.fits(&block) {
                return rsa.encrypt(&block);
            }
        }
    }
}

/// A client in the middle of a key exchange.
struct Asking {
    rsa: RsaKey,
    exchange: Exchange,
    nonces: Vec<u8>,
}

impl Asking {
    fn begin(constructor: u32) -> Self {
        let (rsa, mut exchange) = (RsaKey::built_in(), Exchange::new());
        let nonce = entropy::bytes::<16>();
        let mut question = constructor.to_le_bytes().to_vec();
        question.extend(nonce);
        let Some(Step::ResPq(answer)) = exchange.step(&rsa, &question, NOW) else { panic!("no resPQ") };
        let mut reader = Reader::new(&answer);
        assert_eq!(reader.u32(), Some(exchange::RES_PQ));
        let nonces = reader.take(32).unwrap().to_vec();
        assert_eq!(nonces[..16], nonce);
        assert_eq!(reader.bytes().unwrap(), (u64::from(exchange::P) * u64::from(exchange::Q)).to_be_bytes());
        assert_eq!((reader.u32(), reader.u32()), (Some(tl::VECTOR), Some(1)));
        assert_eq!(reader.u64(), Some(rsa.fingerprint()));
        Self { rsa, exchange, nonces }
    }

    fn server_nonce(&self) -> [u8; 16] {
        *self.nonces.last_chunk().unwrap()
    }

    fn dh_params(&self, constructor: u32, padding: Padding, new_nonce: [u8; 32]) -> Vec<u8> {
        let mut inner = constructor.to_le_bytes().to_vec();
        inner.bytes(&(u64::from(exchange::P) * u64::from(exchange::Q)).to_be_bytes());
        inner.bytes(&exchange::P.to_be_bytes());
        inner.bytes(&exchange::Q.to_be_bytes());
        inner.extend(&self.nonces);
        inner.extend(new_nonce);
        if matches!(constructor, exchange::P_Q_INNER_DATA_DC | exchange::P_Q_INNER_DATA_TEMP_DC) {
            inner.u32(2);
        }
        if matches!(constructor, exchange::P_Q_INNER_DATA_TEMP | exchange::P_Q_INNER_DATA_TEMP_DC) {
            inner.u32(3600);
        }
        let mut request = exchange::REQ_DH_PARAMS.to_le_bytes().to_vec();
        request.extend(&self.nonces);
        request.bytes(&exchange::P.to_be_bytes());
        request.bytes(&exchange::Q.to_be_bytes());
        request.u64(self.rsa.fingerprint());
        request.bytes(&padding.encrypt(&self.rsa, &inner));
        request
    }

    /// Answers the offer; gives the request and the client's key.
    fn client_dh(&self, offer: &[u8], new_nonce: [u8; 32]) -> (Vec<u8>, AuthKey) {
        let mut reader = Reader::new(offer);
        assert_eq!(reader.u32(), Some(exchange::SERVER_DH_PARAMS_OK));
        assert_eq!(reader.take(32).unwrap(), self.nonces);
        let cipher = exchange::temporary_cipher(&self.server_nonce(), &new_nonce);
        let inner = exchange::opened(&cipher, reader.bytes().unwrap(), |_| Some(564)).unwrap();
        let mut reader = Reader::new(&inner);
        assert_eq!(reader.u32(), Some(exchange::SERVER_DH_INNER_DATA));
        assert_eq!(reader.take(32).unwrap(), self.nonces);
        assert_eq!(reader.u32(), Some(exchange::G));
        let prime = BigUint::from_bytes_be(reader.bytes().unwrap());
        assert_eq!(prime, *exchange::PRIME);
        let g_a = BigUint::from_bytes_be(reader.bytes().unwrap());
        assert_eq!(reader.u32(), Some(NOW.as_secs() as u32));

        let secret = BigUint::from_bytes_be(&entropy::bytes::<256>());
        let mut inner = exchange::CLIENT_DH_INNER_DATA.to_le_bytes().to_vec();
        inner.extend(&self.nonces);
        inner.u64(0);
        inner.bytes(&rsa::to_bytes(&BigUint::from(exchange::G).modpow(&secret, &prime)));
        let mut request = exchange::SET_CLIENT_DH_PARAMS.to_le_bytes().to_vec();
        request.extend(&self.nonces);
        request.bytes(&exchange::sealed(&cipher, &inner));
        (request, AuthKey::new(rsa::to_bytes(&g_a.modpow(&secret, &prime))))
    }

    fn step(&mut self, request: &[u8]) -> Option<Step> {
        self.exchange.step(&self.rsa, request, NOW)
    }
}

/// A client with a key, and the data centre's side of the same.
struct Talking {
    key: AuthKey,
    salt: u64,
    server: Session,
    ids: MessageIds,
    peer: Peer,
}

impl Talking {
    fn after_exchange(question: u32, inner: u32, padding: Padding) -> Self {
        let mut asking = Asking::begin(question);
        let new_nonce = entropy::bytes();
        let request = asking.dh_params(inner, padding, new_nonce);
        let Some(Step::Offer(offer)) = asking.step(&request) else { panic!("no offer") };
        let (request, key) = asking.client_dh(&offer, new_nonce);
        let Some(Step::Made { body, key: server_key, salt }) = asking.step(&request) else {
            panic!("no key")
        };
        assert_eq!(key.id(), server_key.id());
        let mut expected = exchange::DH_GEN_OK.to_le_bytes().to_vec();
        expected.extend(&asking.nonces);
        expected.extend(exchange::new_nonce_hash(&new_nonce, &key));
        assert_eq!(body, expected);
        Self {
            key,
            salt,
            server: Session::new(server_key, salt),
            ids: MessageIds::default(),
            peer: Peer { dc: 10_002, address: ([127, 0, 0, 1], 443).into(), now: NOW },
        }
    }

    fn new() -> Self {
        Self::after_exchange(exchange::REQ_PQ_MULTI, exchange::P_Q_INNER_DATA_DC, Padding::RsaPad)
    }

    fn say(&mut self, salt: u64, body: &[u8]) -> Option<Outcome> {
        let len = (32 + body.len() + 12).next_multiple_of(16);
        let mut plain = Vec::new();
        plain.u64(salt);
        plain.u64(5);
        plain.u64(0x1000);
        plain.u32(1);
        plain.u32(body.len() as u32);
        plain.extend_from_slice(body);
        plain.resize(len, 0);
        self.server.answer(&self.key.seal(From::Client, plain), &self.peer, &mut self.ids)
    }

    /// The body of the answer.
    fn ask(&mut self, body: &[u8]) -> Vec<u8> {
        let outcome = self.say(self.salt, body).expect("it opens");
        self.opened(&outcome.answer.expect("it is answered"))
    }

    fn opened(&self, answer: &[u8]) -> Vec<u8> {
        let (plain, _) = self.key.open(From::Server, answer).expect("the answer opens");
        let mut reader = Reader::new(&plain);
        assert_eq!((reader.u64(), reader.u64()), (Some(self.salt), Some(5)));
        reader.take(12).unwrap();
        let len = reader.u32().unwrap() as usize;
        reader.take(len).unwrap().to_vec()
    }

    /// The first message brings `new_session_created` along.
    fn greeted() -> Self {
        let mut talking = Self::new();
        let bodies = container(&talking.ask(&ping(1)));
        assert_eq!(bodies.len(), 2);
        assert_eq!(bodies[0][..4], 0x9ec2_0908_u32.to_le_bytes());
        assert_eq!(bodies[1], pong(1));
        talking
    }

    fn result(&mut self, request: &[u8]) -> Vec<u8> {
        let answer = self.ask(request);
        let mut reader = Reader::new(&answer);
        assert_eq!((reader.u32(), reader.u64()), (Some(0xf35c_6d01), Some(0x1000)));
        reader.rest().to_vec()
    }
}

fn container(body: &[u8]) -> Vec<Vec<u8>> {
    let mut reader = Reader::new(body);
    assert_eq!(reader.u32(), Some(0x73f1_f8dc));
    let count = reader.u32().unwrap();
    let mut last_id = 0;
    let bodies = (0..count).map(|_| {
        let id = reader.u64().unwrap();
        assert!(id > last_id, "ids grow");
        last_id = id;
        reader.u32().unwrap();
        let len = reader.u32().unwrap() as usize;
        reader.take(len).unwrap().to_vec()
    });
    bodies.collect()
}

fn ping(id: u64) -> Vec<u8> {
    let mut ping = 0x7abe_77ec_u32.to_le_bytes().to_vec();
    ping.u64(id);
    ping
}

fn pong(id: u64) -> Vec<u8> {
    let mut pong = 0x3477_73c5_u32.to_le_bytes().to_vec();
    pong.u64(0x1000);
    pong.u64(id);
    pong
}

fn gzipped(body: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(body).unwrap();
    let mut packed = 0x3072_cfa1_u32.to_le_bytes().to_vec();
    packed.bytes(&encoder.finish().unwrap());
    packed
}

/// `invokeWithLayer(initConnection(…))` with a proxy and parameters, around a request.
fn opened_with(request: &[u8]) -> Vec<u8> {
    let mut body = 0xda9b_0d0d_u32.to_le_bytes().to_vec();
    body.u32(200);
    body.u32(0xc1cd_5ea9);
    body.u32(3);
    body.u32(1);
    for text in ["device", "system", "1.0", "en", "", "en"] {
        body.bytes(text.as_bytes());
    }
    body.u32(0x7558_8b3f);
    body.bytes(b"127.0.0.1");
    body.u32(443);
    body.u32(0x99c1_d49d);
    body.u32(tl::VECTOR);
    body.u32(2);
    for value in [0x3f6d_7b68_u32, 0xc734_5e6a] {
        body.u32(0xc0de_1bd9);
        body.bytes(b"key");
        body.u32(value);
    }
    body.bool(true);
    body.extend_from_slice(request);
    body
}

#[test]
fn key_exchange_with_both_paddings_and_all_inner_data() {
    for padding in [Padding::Sha1, Padding::RsaPad] {
        for (question, inner) in [
            (exchange::REQ_PQ, exchange::P_Q_INNER_DATA),
            (exchange::REQ_PQ_MULTI, exchange::P_Q_INNER_DATA_DC),
            (exchange::REQ_PQ_MULTI, exchange::P_Q_INNER_DATA_TEMP),
            (exchange::REQ_PQ_MULTI, exchange::P_Q_INNER_DATA_TEMP_DC),
        ] {
            Talking::after_exchange(question, inner, padding);
        }
    }
}

#[test]
fn steps_out_of_order_or_changed_make_no_sense() {
    let mut asking = Asking::begin(exchange::REQ_PQ_MULTI);
    let new_nonce = entropy::bytes();
    let good = asking.dh_params(exchange::P_Q_INNER_DATA_DC, Padding::RsaPad, new_nonce);
    for at in [4, 20, 37, 45, 52, 100] {
        let mut changed = good.clone();
        changed[at] ^= 1;
        assert!(asking.step(&changed).is_none(), "{at}");
    }
    assert!(asking.step(&good[..good.len() - 8]).is_none());
    let mut finish = exchange::SET_CLIENT_DH_PARAMS.to_le_bytes().to_vec();
    finish.extend(&asking.nonces);
    assert!(asking.step(&finish).is_none(), "before the offer");

    let Some(Step::Offer(offer)) = asking.step(&good) else { panic!("the good one still works") };
    let (mut finish, _) = asking.client_dh(&offer, new_nonce);
    *finish.last_mut().unwrap() ^= 1;
    assert!(asking.step(&finish).is_none(), "changed in its padding's block");
    assert!(asking.step(&[]).is_none());
}

#[test]
fn another_salt_is_refused_with_the_right_one() {
    let mut talking = Talking::new();
    let outcome = talking.say(talking.salt ^ 1, &ping(1)).unwrap();
    let mut expected = 0xedab_447b_u32.to_le_bytes().to_vec();
    expected.u64(0x1000);
    expected.u32(1);
    expected.u32(48);
    expected.u64(talking.salt);
    assert_eq!(talking.opened(&outcome.answer.unwrap()), expected);
    assert_eq!(outcome.quick_ack[3] & 0x80, 0x80);
}

#[test]
fn messages_of_another_key_do_not_open() {
    let mut talking = Talking::new();
    talking.key = AuthKey::new([7; 256]);
    assert!(talking.say(0, &ping(1)).is_none());
}

#[test]
fn service_messages() {
    let mut talking = Talking::greeted();
    assert_eq!(talking.ask(&ping(2)), pong(2));
    assert_eq!(talking.ask(&gzipped(&ping(3))), pong(3));
    let acks = [0x62d6_b459, tl::VECTOR, 0].map(u32::to_le_bytes).concat();
    assert!(talking.say(talking.salt, &acks).unwrap().answer.is_none());
    let mut salts = 0xb921_bd04_u32.to_le_bytes().to_vec();
    salts.u32(8);
    assert!(talking.ask(&salts).ends_with(&talking.salt.to_le_bytes()));
}

#[test]
fn containers_are_answered_in_one() {
    let mut talking = Talking::greeted();
    let mut body = 0x73f1_f8dc_u32.to_le_bytes().to_vec();
    body.u32(3);
    for part in [ping(8), gzipped(&ping(9)), [0x62d6_b459, tl::VECTOR, 0].map(u32::to_le_bytes).concat()] {
        body.u64(0x1000);
        body.u32(1);
        body.u32(part.len() as u32);
        body.extend(part);
    }
    assert_eq!(container(&talking.ask(&body)), [pong(8), pong(9)]);
}

#[test]
fn requests_have_results() {
    let mut talking = Talking::greeted();
    let config = talking.result(&opened_with(&0xc4f9_186b_u32.to_le_bytes()));
    let mut reader = Reader::new(&config);
    assert_eq!((reader.u32(), reader.u32()), (Some(0xcc1a_241e), Some(0)));
    reader.take(8).unwrap();
    assert_eq!((reader.u32(), reader.u32()), (Some(tl::BOOL_TRUE), Some(2)), "test environment, its DC 2");

    let nearest = talking.result(&0x1fb3_3026_u32.to_le_bytes());
    assert_eq!(nearest[..4], 0x8e1a_1775_u32.to_le_bytes());

    let unknown = talking.result(&opened_with(&0x1234_5678_u32.to_le_bytes()));
    assert_eq!(unknown[..8], [0x2144_ca19_u32, 401].map(u32::to_le_bytes).concat());
    let cut = talking.result(&0xda9b_0d0d_u32.to_le_bytes());
    assert_eq!(cut[..8], [0x2144_ca19_u32, 400].map(u32::to_le_bytes).concat());
}

#[test]
fn file_parts() {
    let mut talking = Talking::greeted();
    let mut save = 0xb304_a621_u32.to_le_bytes().to_vec();
    save.u64(1);
    save.u32(0);
    save.bytes(&[7; 1000]);
    let outcome = talking.say(talking.salt, &gzipped(&save)).unwrap();
    assert_eq!((outcome.served.requests, outcome.served.file_bytes_in), (1, 1000));
    assert!(talking.opened(&outcome.answer.unwrap()).ends_with(&tl::BOOL_TRUE.to_le_bytes()));

    let mut get = 0xbe53_35be_u32.to_le_bytes().to_vec();
    get.u32(0);
    get.extend([3; 20]);
    get.u64(4096);
    get.u32(1 << 20);
    let file = talking.result(&get);
    let mut reader = Reader::new(&file);
    assert_eq!(reader.u32(), Some(0x096a_18d5));
    reader.take(8).unwrap();
    let mut expected = vec![0; 1 << 20];
    pattern::fill(0, 4096, &mut expected);
    assert!(reader.bytes().unwrap() == expected);
}

#[test]
fn what_would_grow_without_bound_is_refused() {
    let mut talking = Talking::greeted();
    let bomb = gzipped(&vec![0; 5 << 20]);
    assert!(talking.say(talking.salt, &bomb).unwrap().answer.is_none());

    let mut get = 0xbe53_35be_u32.to_le_bytes().to_vec();
    get.extend([0; 24]);
    get.u64(0);
    get.u32(1 << 20);
    let mut body = 0x73f1_f8dc_u32.to_le_bytes().to_vec();
    body.u32(50);
    for _ in 0..50 {
        body.u64(0x1000);
        body.u32(1);
        body.u32(get.len() as u32);
        body.extend(&get);
    }
    let outcome = talking.say(talking.salt, &body).unwrap();
    assert_eq!((outcome.served.requests, outcome.served.file_bytes_out), (50, 1 << 20));
    assert!(outcome.answer.unwrap().len() < 2 << 20);

    let mut nested = ping(1);
    for _ in 0..20 {
        nested = gzipped(&nested);
    }
    assert!(talking.say(talking.salt, &nested).unwrap().answer.is_none());
}
