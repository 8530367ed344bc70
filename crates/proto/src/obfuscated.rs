//! The 64-byte header that opens every connection, both sides, and the two key streams that it agrees on.

use sha2::{Digest, Sha256};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

use crate::cipher::CtrStream;
use crate::dc::DcId;
use crate::secret::SecretKey;
use crate::transport::Framing;

/// Length of the header, in bytes.
pub const HEADER_LEN: usize = 64;

/// First words that a header sent in the open never has: they would make it look like HTTP, TLS or another transport.
const EXCLUDED_FIRST_WORDS: [[u8; 4]; 7] =
    [*b"HEAD", *b"POST", *b"GET ", *b"OPTI", [0xdd; 4], [0xee; 4], [0x16, 0x03, 0x01, 0x02]];

/// What a header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The framing of everything that follows.
    pub framing: Framing,
    /// The data centre that the client wants.
    pub dc: DcId,
}

/// The receiving side of a connection whose header was understood.
#[derive(Debug, Clone)]
pub struct Accepted {
    /// What the header said.
    pub header: Header,
    /// Decrypts what follows the header.
    pub from_client: CtrStream,
    /// Encrypts what is sent back.
    pub to_client: CtrStream,
}

/// The opening side of a connection.
#[derive(Debug, Clone)]
pub struct Initiated {
    /// The header as it is sent.
    pub wire: [u8; HEADER_LEN],
    /// Encrypts what follows the header.
    pub to_server: CtrStream,
    /// Decrypts what comes back.
    pub from_server: CtrStream,
}

/// Understands a received header with one secret, or without any as a data centre does. `None`: the tag is no framing's,
/// which a wrong secret gives but for a chance of 3 in 2^32.
#[must_use]
pub fn accept(wire: &[u8; HEADER_LEN], key: Option<&SecretKey>) -> Option<Accepted> {
    let (mut from_client, to_client) = streams(wire, key);
    let mut plain = *wire;
    from_client.apply(&mut plain);
    let header = parse(&plain)?;
    Some(Accepted { header, from_client, to_client })
}

/// Tries every secret on a received header, always all of them, so that the time taken does not tell which one fits.
/// Gives the index of the first that fits. Costs one SHA-256 and four AES blocks a secret.
#[must_use]
pub fn find_secret<'a>(
    wire: &[u8; HEADER_LEN],
    keys: impl IntoIterator<Item = &'a SecretKey>,
) -> Option<usize> {
    let mut found = u32::MAX;
    let mut any = Choice::from(0);
    for (index, key) in keys.into_iter().enumerate() {
        let mut plain = *wire;
        streams(wire, Some(key)).0.apply(&mut plain);
        let fits = Framing::ALL
            .iter()
            .fold(Choice::from(0), |fits, framing| fits | tag_of(&plain).ct_eq(framing.tag().as_slice()));
        found = u32::conditional_select(&found, &(index as u32), fits & !any);
        any |= fits;
    }
    bool::from(any).then_some(found as usize)
}

/// Makes a header from 64 random bytes, with a secret towards a proxy, without one towards a data centre. `None`: these
/// random bytes would look like another protocol, draw again. (Inside fake TLS nothing needs to be excluded, and doing
/// it all the same does no harm.)
#[must_use]
pub fn initiate(random: &[u8; HEADER_LEN], header: Header, key: Option<&SecretKey>) -> Option<Initiated> {
    let (first_word, rest) = random.split_first_chunk::<4>()?;
    let reserved = first_word.starts_with(&[0xef])
        || EXCLUDED_FIRST_WORDS.contains(first_word)
        || rest.starts_with(&[0; 4]);
    if reserved {
        return None;
    }
    let mut plain = *random;
    let [low, high] = header.dc.get().to_le_bytes();
    let [a, b, c, d] = header.framing.tag();
    if let Some(fields) = plain.get_mut(56..62) {
        fields.copy_from_slice(&[a, b, c, d, low, high]);
    }
    let (mut to_server, from_server) = streams(&plain, key);
    let mut encrypted = plain;
    to_server.apply(&mut encrypted);
    let mut wire = plain;
    if let (Some(to), Some(from)) = (wire.get_mut(56..), encrypted.get(56..)) {
        to.copy_from_slice(from);
    }
    Some(Initiated { wire, to_server, from_server })
}

/// The two key streams of a header, both at position 0: first the one from the side that made it.
fn streams(header: &[u8; HEADER_LEN], key: Option<&SecretKey>) -> (CtrStream, CtrStream) {
    let mut material = [0; 48];
    if let Some(bytes) = header.get(8..56) {
        material.copy_from_slice(bytes);
    }
    let forth = stream(&material, key);
    material.reverse();
    (forth, stream(&material, key))
}

fn stream(material: &[u8; 48], key: Option<&SecretKey>) -> CtrStream {
    let (mut cipher_key, mut iv) = ([0; 32], [0; 16]);
    if let Some((first, last)) = material.split_first_chunk::<32>() {
        cipher_key = *first;
        if let Ok(last) = last.try_into() {
            iv = last;
        }
    }
    if let Some(key) = key {
        cipher_key = Sha256::new().chain_update(cipher_key).chain_update(key.as_bytes()).finalize().into();
    }
    CtrStream::new(&cipher_key, &iv)
}

fn tag_of(plain: &[u8; HEADER_LEN]) -> &[u8] {
    plain.get(56..60).unwrap_or_default()
}

fn parse(plain: &[u8; HEADER_LEN]) -> Option<Header> {
    let framing = Framing::from_tag(tag_of(plain).try_into().ok()?)?;
    let dc = plain.get(60..62)?.try_into().ok()?;
    Some(Header { framing, dc: DcId::new(i16::from_le_bytes(dc)) })
}
