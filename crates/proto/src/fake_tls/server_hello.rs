//! The answer to a proven ClientHello: exactly three records, to be sent in one write and followed by silence until the
//! client speaks.

use super::client_hello::ClientHello;
use super::profile::{ExtensionOrder, Group};
use super::record::CHANGE_CIPHER_SPEC_RECORD;
use super::{RANDOM_LEN, RANDOM_OFFSET, around_random, digest, extension, group, record};
use crate::secret::SecretKey;

/// The longest encrypted part, in bytes: iOS takes at most 10,240 in one record of the answer.
pub const MAX_ENCRYPTED: usize = 10_000;

/// Suites of TLS 1.3, for hellos that do not offer the one that is wanted.
const CIPHER_SUITES: [u16; 3] = [0x1301, 0x1302, 0x1303];

/// Length of an X25519 public key, in bytes.
pub const X25519_LEN: usize = 32;
/// Length of an ML-KEM-768 encapsulation key, in bytes.
pub const MLKEM_KEY_LEN: usize = 1184;
/// Length of an ML-KEM-768 ciphertext, in bytes.
pub const MLKEM_CIPHERTEXT_LEN: usize = 1088;

/// The key exchange that a server of today picks from what a client offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offer<'a> {
    /// X25519 with ML-KEM-768: the client's encapsulation key.
    Hybrid(&'a [u8; MLKEM_KEY_LEN]),
    /// X25519 alone.
    X25519,
}

impl<'a> Offer<'a> {
    /// What a server that prefers this group answers a hello with. A client that offers nothing we know gets X25519: it is proven by its digest and
    /// looks at no key.
    #[must_use]
    pub fn of(hello: &'a ClientHello<'_>, group: Group) -> Self {
        if group == Group::X25519 {
            return Self::X25519;
        }
        hello
            .key_share(group::X25519_MLKEM768)
            .filter(|share| share.len() == MLKEM_KEY_LEN.saturating_add(X25519_LEN))
            .and_then(|share| share.first_chunk())
            .map_or(Self::X25519, Self::Hybrid)
    }
}

/// What stands in the clear of a server's answer, beside the key exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Look {
    /// The suite that the server chooses where it is offered.
    pub cipher_suite: u16,
    /// In which order the ServerHello has its extensions.
    pub extensions: ExtensionOrder,
}

impl Look {
    /// That of most servers with one encrypted record (BoringSSL, rustls).
    pub const COMMON: Self = Self { cipher_suite: 0x1301, extensions: ExtensionOrder::KeyShareFirst };
}

/// The server's half of the key exchange. It is made by the caller: this crate has no randomness.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyShare {
    /// An ML-KEM-768 [ciphertext](super::ml_kem::ciphertext), and an X25519 public key.
    Hybrid(Box<[u8; MLKEM_CIPHERTEXT_LEN]>, [u8; X25519_LEN]),
    /// An X25519 public key.
    X25519([u8; X25519_LEN]),
}

impl KeyShare {
    const fn group(&self) -> u16 {
        match self {
            Self::Hybrid(..) => group::X25519_MLKEM768,
            Self::X25519(_) => group::X25519,
        }
    }

    fn key(&self) -> Vec<u8> {
        match self {
            Self::Hybrid(ciphertext, public) => [ciphertext.as_slice(), public].concat(),
            Self::X25519(public) => public.to_vec(),
        }
    }
}

/// The whole answer: ServerHello, ChangeCipherSpec, and one record of `encrypted` bytes (1 to [`MAX_ENCRYPTED`], random
/// to everybody), authenticated by the digest in the server random.
#[must_use]
pub fn answer(
    hello: &ClientHello<'_>,
    key: &SecretKey,
    look: Look,
    share: &KeyShare,
    encrypted: &[u8],
) -> Vec<u8> {
    debug_assert!(!encrypted.is_empty() && encrypted.len() <= MAX_ENCRYPTED, "clients refuse such a record");
    let mut answer = server_hello(hello, look, share, encrypted.len());
    answer.extend(CHANGE_CIPHER_SPEC_RECORD);
    answer.extend(record::header(encrypted.len()));
    answer.extend_from_slice(encrypted);
    if let Some((before, _, after)) = around_random(&answer) {
        let random = digest(key, hello.random(), before, after);
        for (to, from) in answer.iter_mut().skip(RANDOM_OFFSET).zip(random) {
            *to = from;
        }
    }
    answer
}

/// The first record, its random still zeros, with room for what follows.
fn server_hello(hello: &ClientHello<'_>, look: Look, share: &KeyShare, encrypted_len: usize) -> Vec<u8> {
    let extensions = extensions(look.extensions, share);

    let mut body = Vec::with_capacity(extensions.len().saturating_add(80));
    body.extend([0x03, 0x03]);
    body.extend([0; RANDOM_LEN]);
    body.push(hello.session_id().len() as u8);
    body.extend_from_slice(hello.session_id());
    put_u16(&mut body, cipher_suite(hello, look));
    body.push(0);
    put_vec16(&mut body, &extensions);

    let mut record = Vec::with_capacity(body.len().saturating_add(encrypted_len).saturating_add(32));
    record.extend([0x16, 0x03, 0x03]);
    put_u16(&mut record, body.len().saturating_add(4) as u16);
    record.extend([0x02, 0x00]);
    put_vec16(&mut record, &body);
    record
}

fn extensions(order: ExtensionOrder, share: &KeyShare) -> Vec<u8> {
    let key = share.key();
    let mut entry = Vec::with_capacity(key.len().saturating_add(4));
    put_u16(&mut entry, share.group());
    put_vec16(&mut entry, &key);
    let mut list = [(extension::KEY_SHARE, entry), (extension::SUPPORTED_VERSIONS, vec![0x03, 0x04])];
    if order == ExtensionOrder::VersionFirst {
        list.reverse();
    }
    let mut extensions = Vec::with_capacity(1200);
    for (kind, data) in list {
        put_u16(&mut extensions, kind);
        put_vec16(&mut extensions, &data);
    }
    extensions
}

fn cipher_suite(hello: &ClientHello<'_>, look: Look) -> u16 {
    let offered = |suite: &u16| hello.cipher_suites().any(|offer| offer == *suite);
    let ours = CIPHER_SUITES.into_iter().filter(|suite| *suite != look.cipher_suite);
    [look.cipher_suite].into_iter().chain(ours).find(offered).unwrap_or(0x1301)
}

fn put_u16(out: &mut Vec<u8>, value: u16) {
    out.extend(value.to_be_bytes());
}

fn put_vec16(out: &mut Vec<u8>, bytes: &[u8]) {
    put_u16(out, bytes.len() as u16);
    out.extend_from_slice(bytes);
}
