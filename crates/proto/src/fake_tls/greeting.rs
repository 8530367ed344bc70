//! The client's side: a ClientHello in the shape that Telegram's apps send, for pings, tests and the simulator.

use super::server_hello::{MLKEM_KEY_LEN, X25519_LEN};
use super::{RANDOM_LEN, around_random, digest, extension, group};
use crate::cipher::CtrStream;
use crate::secret::SecretKey;

/// The longest name that a secret can carry, in bytes.
pub const MAX_NAME: usize = 182;

/// Which apps' hello it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Shape {
    /// Today's: extensions in random order, a hybrid and an X25519 key share, about 1.8 kB.
    Modern,
    /// That of the apps of 2019 to 2025: fixed order, X25519 alone, padded to 517 bytes.
    Padded517,
}

/// A hello ready to be sent.
#[derive(Debug, Clone)]
pub struct Greeting {
    /// The bytes, in one record.
    pub wire: Vec<u8>,
    /// Its random field, for [`answer::check`](super::answer::check).
    pub random: [u8; RANDOM_LEN],
}

/// Makes a hello that `key` proves. `seed` is 32 random bytes, everything that varies comes from them; `x25519` is a
/// public key; `name` may be any bytes, as a secret's domain may, and is cut to [`MAX_NAME`].
#[must_use]
pub fn greet(
    shape: Shape,
    key: &SecretKey,
    name: impl AsRef<[u8]>,
    unix_time: u32,
    seed: &[u8; 32],
    x25519: &[u8; X25519_LEN],
) -> Greeting {
    let mut draw = Draw::new(seed);
    let name = name.as_ref();
    let name = name.get(..MAX_NAME).unwrap_or(name);
    let extensions = match shape {
        Shape::Modern => modern(&mut draw, name, x25519),
        Shape::Padded517 => padded_517(&mut draw, name, x25519),
    };
    let mut wire = hello(&mut draw, shape, &extensions);
    let mut random = [0; RANDOM_LEN];
    if let Some((before, _, after)) = around_random(&wire) {
        random = digest(key, &[], before, after);
        if let Some(last) = random.last_chunk_mut::<4>() {
            *last = (u32::from_le_bytes(*last) ^ unix_time).to_le_bytes();
        }
    }
    for (to, from) in wire.iter_mut().skip(super::RANDOM_OFFSET).zip(random) {
        *to = from;
    }
    Greeting { wire, random }
}

/// The record around the extensions, its random field zeros.
fn hello(draw: &mut Draw, shape: Shape, extensions: &[u8]) -> Vec<u8> {
    const SUITES: [u16; 15] = [
        0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8, 0xc013, 0xc014, 0x009c,
        0x009d, 0x002f, 0x0035,
    ];
    let mut body = Vec::with_capacity(2304);
    body.extend([0x03, 0x03]);
    body.extend([0; RANDOM_LEN]);
    body.push(32);
    body.extend(draw.array::<32>());
    let suites: Vec<u8> = [draw.grease()].into_iter().chain(SUITES).flat_map(u16::to_be_bytes).collect();
    vec16(&mut body, &suites);
    body.extend([0x01, 0x00]);
    let mut extensions = extensions.to_vec();
    // Handshake and record header, the length of the extensions, and the padding extension's own header.
    let unpadded = body.len().saturating_add(extensions.len()).saturating_add(4 + 5 + 2 + 4);
    if let (Shape::Padded517, Some(padding)) = (shape, 517_usize.checked_sub(unpadded)) {
        extend(&mut extensions, 0x0015, &vec![0; padding]);
    }
    vec16(&mut body, &extensions);

    let mut record = vec![0x16, 0x03, 0x01];
    record.extend((body.len().saturating_add(4) as u16).to_be_bytes());
    record.extend([0x01, 0x00]);
    vec16(&mut record, &body);
    record
}

/// The extensions of today's hello, shuffled between two of GREASE.
fn modern(draw: &mut Draw, name: &[u8], x25519: &[u8; X25519_LEN]) -> Vec<u8> {
    let (grease, version) = (draw.grease(), draw.grease());
    let mut groups = vec![];
    let mut shares = vec![];
    let (group_grease, hybrid) = (draw.grease(), draw.mlkem_key());
    for group in [group_grease, group::X25519_MLKEM768, group::X25519, 0x0017, 0x0018] {
        groups.extend(group.to_be_bytes());
    }
    extend(&mut shares, group_grease, &[0]);
    extend(&mut shares, group::X25519_MLKEM768, &[hybrid.as_slice(), x25519].concat());
    extend(&mut shares, group::X25519, x25519);
    let [v0, v1] = version.to_be_bytes();
    let mut list: Vec<(u16, Vec<u8>)> = vec![
        (extension::SERVER_NAME, server_name(name)),
        (0x0017, vec![]),
        (0xff01, vec![0]),
        (0x000a, prefixed(&groups)),
        (0x000b, vec![1, 0]),
        (0x0023, vec![]),
        (0x0010, ALPN.to_vec()),
        (0x0005, vec![1, 0, 0, 0, 0]),
        (0x000d, prefixed(&MODERN_SIGNATURES)),
        (0x0012, vec![]),
        (extension::KEY_SHARE, prefixed(&shares)),
        (0x002d, vec![1, 1]),
        (extension::SUPPORTED_VERSIONS, vec![6, v0, v1, 3, 4, 3, 3]),
        (0x001b, vec![2, 0, 2]),
        (0x44cd, vec![0, 3, 2, b'h', b'2']),
        (0xfe0d, ech_grease(draw)),
    ];
    draw.shuffle(&mut list);
    let mut out = Vec::with_capacity(2048);
    extend(&mut out, grease, &[]);
    for (kind, data) in &list {
        extend(&mut out, *kind, data);
    }
    extend(&mut out, draw.grease_other_than(grease), &[0]);
    out
}

/// The extensions of the older hello, without the padding.
fn padded_517(draw: &mut Draw, name: &[u8], x25519: &[u8; X25519_LEN]) -> Vec<u8> {
    let (group_grease, version) = (draw.grease(), draw.grease());
    let mut groups = vec![];
    let mut shares = vec![];
    for group in [group_grease, group::X25519, 0x0017, 0x0018] {
        groups.extend(group.to_be_bytes());
    }
    extend(&mut shares, group_grease, &[0]);
    extend(&mut shares, group::X25519, x25519);
    let [v0, v1] = version.to_be_bytes();
    let grease = draw.grease();
    let mut out = Vec::with_capacity(512);
    extend(&mut out, grease, &[]);
    extend(&mut out, extension::SERVER_NAME, &server_name(name));
    extend(&mut out, 0x0017, &[]);
    extend(&mut out, 0xff01, &[0]);
    extend(&mut out, 0x000a, &prefixed(&groups));
    extend(&mut out, 0x000b, &[1, 0]);
    extend(&mut out, 0x0023, &[]);
    extend(&mut out, 0x0010, &ALPN);
    extend(&mut out, 0x0005, &[1, 0, 0, 0, 0]);
    extend(&mut out, 0x000d, &prefixed(&OLD_SIGNATURES));
    extend(&mut out, 0x0012, &[]);
    extend(&mut out, extension::KEY_SHARE, &prefixed(&shares));
    extend(&mut out, 0x002d, &[1, 1]);
    extend(&mut out, extension::SUPPORTED_VERSIONS, &[10, v0, v1, 3, 4, 3, 3, 3, 2, 3, 1]);
    extend(&mut out, 0x001b, &[2, 0, 2]);
    extend(&mut out, draw.grease_other_than(grease), &[0]);
    out
}

/// h2 and http/1.1.
const ALPN: [u8; 14] = *b"\x00\x0c\x02h2\x08http/1.1";
/// Signature algorithms of today's hello: ML-DSA first.
const MODERN_SIGNATURES: [u8; 22] = [
    0x09, 0x04, 0x09, 0x05, 0x09, 0x06, 0x04, 0x03, 0x08, 0x04, 0x04, 0x01, 0x05, 0x03, 0x08, 0x05, 0x05,
    0x01, 0x08, 0x06, 0x06, 0x01,
];
const OLD_SIGNATURES: [u8; 16] =
    [0x04, 0x03, 0x08, 0x04, 0x04, 0x01, 0x05, 0x03, 0x08, 0x05, 0x05, 0x01, 0x08, 0x06, 0x06, 0x01];

fn server_name(name: &[u8]) -> Vec<u8> {
    let mut entry = vec![0];
    vec16(&mut entry, name);
    prefixed(&entry)
}

/// An Encrypted ClientHello extension with random contents, as browsers send to sites without one.
fn ech_grease(draw: &mut Draw) -> Vec<u8> {
    let mut data = vec![0, 0, 1, 0, 1, draw.byte()];
    vec16(&mut data, &draw.array::<32>());
    let steps = usize::from(draw.byte() % 4);
    let mut payload = vec![0; steps.saturating_mul(32).saturating_add(144)];
    draw.fill(&mut payload);
    vec16(&mut data, &payload);
    data
}

/// A number and a vector: an extension, or an entry in key_share.
fn extend(out: &mut Vec<u8>, kind: u16, data: &[u8]) {
    out.extend(kind.to_be_bytes());
    vec16(out, data);
}

fn prefixed(data: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(data.len().saturating_add(2));
    vec16(&mut out, data);
    out
}

fn vec16(out: &mut Vec<u8>, data: &[u8]) {
    out.extend((data.len() as u16).to_be_bytes());
    out.extend_from_slice(data);
}

/// Everything that chance decides, from one seed.
struct Draw {
    stream: CtrStream,
    /// Drawn ahead, as each use of the stream costs a key expansion; `ahead[used..]` is not used yet.
    ahead: [u8; 256],
    used: usize,
}

impl Draw {
    const fn new(seed: &[u8; 32]) -> Self {
        Self { stream: CtrStream::new(seed, &[0; 16]), ahead: [0; 256], used: 256 }
    }

    fn fill(&mut self, mut bytes: &mut [u8]) {
        while !bytes.is_empty() {
            if self.used >= self.ahead.len() {
                self.ahead = [0; 256];
                self.stream.apply(&mut self.ahead);
                self.used = 0;
            }
            let ahead = self.ahead.get(self.used..).unwrap_or_default();
            let len = bytes.len().min(ahead.len());
            let (now, rest) = bytes.split_at_mut(len);
            now.copy_from_slice(ahead.get(..len).unwrap_or_default());
            self.used = self.used.saturating_add(len);
            bytes = rest;
        }
    }

    fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.fill(&mut bytes);
        bytes
    }

    fn byte(&mut self) -> u8 {
        let [byte] = self.array();
        byte
    }

    /// One of the sixteen reserved values that keep servers tolerant.
    fn grease(&mut self) -> u16 {
        u16::from_be_bytes([(self.byte() & 0xf0) | 0x0a; 2])
    }

    /// Another one: servers refuse a hello that has an extension twice.
    fn grease_other_than(&mut self, first: u16) -> u16 {
        match self.grease() {
            same if same == first => same ^ 0x1010,
            other => other,
        }
    }

    /// An ML-KEM-768 encapsulation key: 768 numbers below 3329 in 12 bits each, and 32 random bytes.
    fn mlkem_key(&mut self) -> [u8; MLKEM_KEY_LEN] {
        let mut key = self.array();
        for pair in key.chunks_exact_mut(3).take(768 / 2) {
            let (a, b) = (self.coefficient(), self.coefficient());
            let [low, middle, high, _] = (a | (b << 12)).to_le_bytes();
            pair.copy_from_slice(&[low, middle, high]);
        }
        key
    }

    fn coefficient(&mut self) -> u32 {
        loop {
            let value = u32::from(u16::from_le_bytes(self.array())) & 0xfff;
            if value < 3329 {
                return value;
            }
        }
    }

    /// Fisher–Yates.
    fn shuffle<T>(&mut self, list: &mut [T]) {
        for last in (1..list.len()).rev() {
            let range = (last as u32).saturating_add(1);
            let other = u32::from_le_bytes(self.array()).checked_rem(range).unwrap_or(0);
            list.swap(last, other as usize);
        }
    }
}
