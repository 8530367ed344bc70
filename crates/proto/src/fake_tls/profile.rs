//! What the cover site says to a hello like a client's: read out of its real answers, so that ours can be like them.
//!
//! An answer of ours can equal a site's in everything that stands in the clear (suite, order of the extensions, group of the
//! key exchange) and in the length of the encrypted part, as long as that is one record. A site that sends several cannot be
//! equalled: clients take exactly one. Its profile then gives the length that makes the whole answer as long as the site's.

use super::record::CHANGE_CIPHER_SPEC_RECORD;
use super::server_hello::{Look, MAX_ENCRYPTED};
use super::{around_random, extension, group, record};
use crate::reader::Reader;

/// Bytes of a site's answer that are looked at, at most.
pub const MAX_FLIGHT: usize = 64 << 10;

/// Different lengths that a profile keeps, at most: the most frequent ones.
const MAX_LENGTHS: usize = 64;

/// One answer of a site to a hello that offers what clients offer.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Observation {
    /// The suite it chose.
    pub cipher_suite: u16,
    /// In which order its ServerHello has the two extensions.
    pub extensions: ExtensionOrder,
    /// The key exchange it chose.
    pub group: Group,
    /// The lengths of its encrypted records, in bytes without their headers. At least one.
    pub encrypted: Vec<u16>,
}

/// In which order a ServerHello has its extensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ExtensionOrder {
    /// key_share, then supported_versions: BoringSSL, rustls, GnuTLS.
    KeyShareFirst,
    /// supported_versions, then key_share: OpenSSL, Go.
    VersionFirst,
}

/// A key exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Group {
    /// X25519 with ML-KEM-768.
    Hybrid,
    /// X25519 alone.
    X25519,
}

/// Why an answer is none that ours could be like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Unlike {
    /// A TLS alert with this description: the site refuses the hello.
    Alert(u8),
    /// It ended, or fell silent, before the flight was whole.
    Incomplete,
    /// It is not TLS.
    NotTls,
    /// TLS 1.2 or older.
    OldVersion,
    /// A HelloRetryRequest: the site wants a key that clients do not offer at once.
    Retry,
    /// TLS 1.3, but with a key exchange, extensions or records that no answer of ours has.
    Unusual,
}

/// What a site's answers to one kind of hello have in common. An answer of ours takes after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// What stands in the clear.
    pub look: Look,
    /// The key exchange.
    pub group: Group,
    /// Encrypted records in the site's flight. Ours has one, whatever the site does.
    pub records: usize,
    /// How long the encrypted part of our answer may be, in bytes, and how often it was.
    pub lengths: Vec<(u16, u32)>,
}

/// Reads everything that a site sent in answer to one hello, up to its silence.
///
/// # Errors
/// No answer of ours could be like it.
pub fn observe(flight: &[u8]) -> Result<Observation, Unlike> {
    let mut reader = Reader::new(flight);
    let hello = match *flight {
        [0x15, 0x03, _, _, _, _, description, ..] => return Err(Unlike::Alert(description)),
        [0x15, 0x03, ..] | [] | [0x15 | 0x16] => return Err(Unlike::Incomplete),
        [0x16, 0x03, ..] => {
            let (Some(_), Some(body)) = (reader.take(3), reader.vec16()) else {
                return Err(Unlike::Incomplete);
            };
            flight.get(..body.len().saturating_add(record::HEADER_LEN)).unwrap_or_default()
        }
        _ => return Err(Unlike::NotTls),
    };
    let (cipher_suite, extensions, group) = server_hello(hello)?;
    let spec = reader.take_up_to(CHANGE_CIPHER_SPEC_RECORD.len());
    if spec != CHANGE_CIPHER_SPEC_RECORD {
        let begins = CHANGE_CIPHER_SPEC_RECORD.starts_with(spec);
        return Err(if begins { Unlike::Incomplete } else { Unlike::Unusual });
    }
    let mut encrypted = Vec::new();
    while !reader.is_empty() {
        let header = reader.take(3).ok_or(Unlike::Incomplete)?;
        let body = reader.vec16().ok_or(Unlike::Incomplete)?;
        if header != [0x17, 0x03, 0x03] {
            return Err(Unlike::Unusual);
        }
        encrypted.push(body.len() as u16);
    }
    if encrypted.is_empty() {
        return Err(Unlike::Incomplete);
    }
    Ok(Observation { cipher_suite, extensions, group, encrypted })
}

/// Reads the first record: a ServerHello and nothing else.
fn server_hello(hello: &[u8]) -> Result<(u16, ExtensionOrder, Group), Unlike> {
    /// The random field of a HelloRetryRequest: SHA-256 of that word (RFC 8446, 4.1.3).
    const RETRY: [u8; 32] = [
        0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91, 0xc2,
        0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
    ];
    let (before, random, after) = around_random(hello).ok_or(Unlike::Unusual)?;
    if before.get(5) != Some(&2) {
        return Err(Unlike::Unusual);
    }
    if *random == RETRY {
        return Err(Unlike::Retry);
    }
    let mut fields = Reader::new(after);
    let mut read = || {
        let _session_id = fields.vec8()?;
        let cipher_suite = fields.u16()?;
        let _compression = fields.u8()?;
        // Servers of old versions may have none.
        Some((cipher_suite, if fields.is_empty() { &[] } else { fields.vec16()? }))
    };
    let (cipher_suite, list) = read().ok_or(Unlike::Unusual)?;
    let (mut kinds, mut group, mut modern) = (Vec::new(), None, false);
    let mut extensions = Reader::new(list);
    while !extensions.is_empty() {
        let (Some(kind), Some(data)) = (extensions.u16(), extensions.vec16()) else {
            return Err(Unlike::Unusual);
        };
        kinds.push(kind);
        match kind {
            extension::SUPPORTED_VERSIONS => modern = data == [0x03, 0x04],
            extension::KEY_SHARE => group = Reader::new(data).u16(),
            _ => {}
        }
    }
    if !modern {
        return Err(Unlike::OldVersion);
    }
    // Whatever follows the hello in its record cannot be shown.
    if !fields.is_empty() {
        return Err(Unlike::Unusual);
    }
    let order = match *kinds {
        [extension::KEY_SHARE, extension::SUPPORTED_VERSIONS] => ExtensionOrder::KeyShareFirst,
        [extension::SUPPORTED_VERSIONS, extension::KEY_SHARE] => ExtensionOrder::VersionFirst,
        _ => return Err(Unlike::Unusual),
    };
    let group = match group {
        Some(group::X25519_MLKEM768) => Group::Hybrid,
        Some(group::X25519) => Group::X25519,
        _ => return Err(Unlike::Unusual),
    };
    Ok((cipher_suite, order, group))
}

impl Profile {
    /// What most of the observations have in common; of those alone are the lengths. `None` when there are none.
    #[must_use]
    pub fn of(observations: &[Observation]) -> Option<Self> {
        let kind = |o: &Observation| (o.cipher_suite, o.extensions, o.group, o.encrypted.len());
        let votes = |of: &Observation| observations.iter().filter(|other| kind(other) == kind(of)).count();
        let typical = observations.iter().max_by_key(|o| votes(o))?;
        let mut lengths: Vec<(u16, u32)> = Vec::new();
        for like in observations.iter().filter(|o| kind(o) == kind(typical)) {
            let len = like.shown_len();
            match lengths.iter_mut().find(|(known, _)| *known == len) {
                Some((_, times)) => *times = times.saturating_add(1),
                None => lengths.push((len, 1)),
            }
        }
        lengths.sort_by_key(|&(len, times)| (std::cmp::Reverse(times), len));
        lengths.truncate(MAX_LENGTHS);
        lengths.sort_unstable();
        Some(Self {
            look: Look { cipher_suite: typical.cipher_suite, extensions: typical.extensions },
            group: typical.group,
            records: typical.encrypted.len(),
            lengths,
        })
    }

    /// Whether an answer of the site is one that the profile describes. The length may be one that was not seen, next to
    /// one that was: signatures vary.
    #[must_use]
    pub fn fits(&self, seen: &Observation) -> bool {
        let look = Look { cipher_suite: seen.cipher_suite, extensions: seen.extensions };
        let len = seen.shown_len();
        look == self.look
            && seen.group == self.group
            && seen.encrypted.len() == self.records
            && self.lengths.iter().any(|(known, _)| known.abs_diff(len) <= 2)
    }

    /// A length for the encrypted part of an answer, 1 to [`MAX_ENCRYPTED`] bytes, as often as the site has it. `random` is
    /// drawn evenly from all numbers. `None`: the profile has none.
    #[must_use]
    pub fn draw(&self, random: u32) -> Option<usize> {
        let total: u64 = self.lengths.iter().map(|&(_, times)| u64::from(times)).sum();
        let mut left = u64::from(random).checked_rem(total)?;
        for &(len, times) in &self.lengths {
            match left.checked_sub(times.into()) {
                Some(rest) => left = rest,
                None => return Some(usize::from(len).clamp(1, MAX_ENCRYPTED)),
            }
        }
        None
    }
}

impl Observation {
    /// How long our one record has to be for the answer to have as many bytes as the site's.
    fn shown_len(&self) -> u16 {
        let headers = self.encrypted.len().saturating_sub(1).saturating_mul(record::HEADER_LEN);
        let sum: usize = self.encrypted.iter().map(|&len| usize::from(len)).sum();
        u16::try_from(sum.saturating_add(headers)).unwrap_or(u16::MAX)
    }
}

impl std::fmt::Display for Unlike {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Alert(description) => write!(f, "a TLS alert ({description})"),
            Self::Incomplete => f.write_str("an answer that ends too early"),
            Self::NotTls => f.write_str("an answer that is not TLS"),
            Self::OldVersion => f.write_str("an answer of TLS 1.2 or older"),
            Self::Retry => f.write_str("a request for another key share (HelloRetryRequest)"),
            Self::Unusual => f.write_str("an answer of an unusual form"),
        }
    }
}

impl std::error::Error for Unlike {}
