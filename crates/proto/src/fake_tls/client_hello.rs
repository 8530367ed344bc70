//! A ClientHello as it arrives: put together from any cut, proven by its digest, then read.
//!
//! Nothing is looked at that real clients may change from year to year: only bounds, the digest, and the three fields
//! that the answer and the operator need.

use std::borrow::Cow;
use std::ops::Range;

use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

use super::{RANDOM_LEN, around_random, digest, extension, group};
use crate::reader::Reader;
use crate::secret::SecretKey;

/// The longest hello, in bytes without its record headers: what one TLS record can hold.
const MAX_BODY: usize = 16_384;
/// The shortest hello that is taken for one, in bytes without its record headers.
const MIN_BODY: usize = 100;
/// A hello may be split over this many records.
const MAX_FRAGMENTS: usize = 16;
/// Bytes of a record header.
const RECORD_HEADER: usize = 5;
/// Bytes of the handshake header: type and length.
const HANDSHAKE_HEADER: usize = 4;
/// Bytes of the digest that the secret authenticates; the last four carry the time.
const PROVEN: usize = 28;
/// The longest session id.
const MAX_SESSION_ID: usize = 32;

/// Bytes of a hello on the wire, at most.
pub const MAX_HELLO_WIRE: usize = MAX_BODY + MAX_FRAGMENTS * RECORD_HEADER;

/// What bytes that begin like a ClientHello are so far.
#[derive(Debug)]
pub enum Scan<'a> {
    /// More are needed, never more than [`MAX_HELLO_WIRE`] in all.
    NeedMore,
    /// A whole hello.
    Whole {
        /// It as one record, which is the form that the digest is about. Allocated (at most 16,389 bytes) only when it
        /// came in several.
        record: Cow<'a, [u8]>,
        /// Bytes of it on the wire.
        wire_len: usize,
    },
    /// No hello within our bounds.
    Malformed,
}

/// Puts a hello together from all bytes received so far, whatever records it was split over. Refuses at the first byte
/// that breaks a bound.
#[must_use]
pub fn scan(bytes: &[u8]) -> Scan<'_> {
    let mut reader = Reader::new(bytes);
    let mut opening = Opening::new();
    let (mut body_len, mut fragments) = (0_usize, 0_usize);
    loop {
        match next_fragment(&mut reader) {
            Fragment::Whole(body) => {
                fragments = fragments.saturating_add(1);
                body_len = body_len.saturating_add(body.len());
                opening.push(body);
            }
            Fragment::Partial { announced, body } => {
                opening.push(body);
                return opening.verdict_on(body_len.saturating_add(announced), fragments.saturating_add(1));
            }
            Fragment::Malformed => return Scan::Malformed,
        }
        match opening.total() {
            _ if !opening.is_legal() => return Scan::Malformed,
            Some(total) if body_len == total => return whole(bytes, total, fragments),
            Some(total) if body_len > total => return Scan::Malformed,
            _ if fragments >= MAX_FRAGMENTS || body_len > MAX_BODY => return Scan::Malformed,
            _ => {}
        }
    }
}

/// One record of a hello.
enum Fragment<'a> {
    Whole(&'a [u8]),
    /// Its header says `announced` bytes; only these are here yet. Both may be nothing.
    Partial {
        announced: usize,
        body: &'a [u8],
    },
    Malformed,
}

fn next_fragment<'a>(reader: &mut Reader<'a>) -> Fragment<'a> {
    const PREFIX: [u8; 3] = [0x16, 0x03, 0x01];
    let header = reader.take_up_to(RECORD_HEADER);
    if !header.iter().zip(PREFIX).all(|(byte, expected)| *byte == expected) {
        return Fragment::Malformed;
    }
    let &[_, _, _, high, low] = header else { return Fragment::Partial { announced: 0, body: &[] } };
    let announced = usize::from(u16::from_be_bytes([high, low]));
    if announced == 0 || announced > MAX_BODY {
        return Fragment::Malformed;
    }
    match reader.take_up_to(announced) {
        body if body.len() == announced => Fragment::Whole(body),
        body => Fragment::Partial { announced, body },
    }
}

/// The fixed fields that open a hello, as far as they are here: type, length, version, random, length of the session id.
#[derive(Debug)]
struct Opening {
    bytes: [u8; Self::LEN],
    len: usize,
}

impl Opening {
    const LEN: usize = HANDSHAKE_HEADER + 2 + RANDOM_LEN + 1;

    const fn new() -> Self {
        Self { bytes: [0; Self::LEN], len: 0 }
    }

    fn push(&mut self, body: &[u8]) {
        for (to, from) in self.bytes.iter_mut().skip(self.len).zip(body) {
            *to = *from;
        }
        self.len = self.len.saturating_add(body.len()).min(Self::LEN);
    }

    /// Bytes of the whole hello, handshake header included, once its length is here.
    fn total(&self) -> Option<usize> {
        let [_, high, middle, low, ..] = self.bytes;
        let len = u32::from_be_bytes([0, high, middle, low]) as usize;
        (self.len >= HANDSHAKE_HEADER).then_some(len.saturating_add(HANDSHAKE_HEADER))
    }

    /// Whether the fields that are here keep their bounds.
    fn is_legal(&self) -> bool {
        let [kind, _, _, _, major, minor, .., session_id] = self.bytes;
        let here = |offset: usize| self.len > offset;
        (!here(0) || kind == 1)
            && self.total().is_none_or(|total| (MIN_BODY..=MAX_BODY).contains(&total))
            && (!here(4) || major == 3)
            && (!here(5) || minor == 3)
            && (!here(Self::LEN - 1) || usize::from(session_id) <= MAX_SESSION_ID)
    }

    /// What a hello is whose last record is not all here; `announced` bytes will have come with it.
    fn verdict_on<'a>(&self, announced: usize, fragments: usize) -> Scan<'a> {
        let fits = announced <= self.total().unwrap_or(MAX_BODY) && fragments <= MAX_FRAGMENTS;
        if fits && self.is_legal() { Scan::NeedMore } else { Scan::Malformed }
    }
}

/// The hello as one record.
fn whole(bytes: &[u8], total: usize, fragments: usize) -> Scan<'_> {
    let wire_len = total.saturating_add(fragments.saturating_mul(RECORD_HEADER));
    if fragments == 1 {
        return match bytes.get(..wire_len) {
            Some(record) => Scan::Whole { record: Cow::Borrowed(record), wire_len },
            None => Scan::NeedMore,
        };
    }
    let [high, low] = (total as u16).to_be_bytes();
    let mut record = Vec::with_capacity(total.saturating_add(RECORD_HEADER));
    record.extend([0x16, 0x03, 0x01, high, low]);
    let mut reader = Reader::new(bytes);
    while record.len() < total.saturating_add(RECORD_HEADER) {
        let Fragment::Whole(body) = next_fragment(&mut reader) else { return Scan::NeedMore };
        record.extend_from_slice(body);
    }
    Scan::Whole { record: Cow::Owned(record), wire_len }
}

/// What a digest that fits says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Proof {
    /// The client's clock, in seconds since 1970. Nothing authenticates it but the window it has to lie in.
    pub unix_time: u32,
}

/// Tries every secret on a hello, always all of them, so that the time taken does not tell which one fits. Gives the
/// index of the first that fits. Costs one HMAC-SHA256 of the hello a secret.
#[must_use]
pub fn prove<'a>(record: &[u8], keys: impl IntoIterator<Item = &'a SecretKey>) -> Option<(usize, Proof)> {
    let (before, random, after) = around_random(record)?;
    let (mut found, mut time, mut any) = (u32::MAX, 0, Choice::from(0));
    for (index, key) in keys.into_iter().enumerate() {
        let digest = digest(key, &[], before, after);
        let fits =
            digest.iter().zip(random).take(PROVEN).fold(Choice::from(1), |fits, (a, b)| fits & a.ct_eq(b));
        let first = fits & !any;
        found = u32::conditional_select(&found, &(index as u32), first);
        time = u32::conditional_select(&time, &(last_word(&digest) ^ last_word(random)), first);
        any |= fits;
    }
    bool::from(any).then_some((found as usize, Proof { unix_time: time }))
}

fn last_word(bytes: &[u8; RANDOM_LEN]) -> u32 {
    bytes.last_chunk().map_or(0, |word| u32::from_le_bytes(*word))
}

/// A hello, read: every vector inside its bounds, the extensions end where it ends.
#[derive(Debug, Clone)]
pub struct ClientHello<'a> {
    record: Cow<'a, [u8]>,
    session_id: Range<usize>,
    cipher_suites: Range<usize>,
    /// The one host name.
    server_name: Option<Range<usize>>,
    /// The entries of the key_share extension.
    key_shares: Option<Range<usize>>,
    /// It offers to go on with an earlier session.
    resumes: bool,
}

impl<'a> ClientHello<'a> {
    /// Reads a hello in one record, as [`scan`] gives it. `None` when a vector leaves its bounds, server_name or
    /// key_share is there twice, or server_name holds anything but one name.
    #[must_use]
    pub fn parse(record: Cow<'a, [u8]>) -> Option<Self> {
        let (_, _, after) = around_random(&record)?;
        let place = |slice: &[u8]| range_in(&record, slice);
        let mut fields = Reader::new(after);
        let session_id = place(fields.vec8().filter(|id| id.len() <= MAX_SESSION_ID)?)?;
        let cipher_suites = place(fields.vec16().filter(|suites| suites.len().is_multiple_of(2))?)?;
        let _compression = fields.vec8()?;
        let mut extensions = Reader::new(if fields.is_empty() { &[] } else { fields.vec16()? });
        if !fields.is_empty() {
            return None;
        }
        let (mut server_name, mut key_shares, mut resumes) = (None, None, false);
        while !extensions.is_empty() {
            let (kind, data) = (extensions.u16()?, extensions.vec16()?);
            let (slot, content) = match kind {
                extension::SERVER_NAME => (&mut server_name, host_name(data)?),
                extension::KEY_SHARE => (&mut key_shares, key_share_list(data)?),
                extension::PRE_SHARED_KEY => {
                    resumes = true;
                    continue;
                }
                _ => continue,
            };
            if slot.replace(place(content)?).is_some() {
                return None;
            }
        }
        Some(Self { session_id, cipher_suites, server_name, key_shares, resumes, record })
    }

    /// The random field, 32 bytes: the digest.
    #[must_use]
    pub fn random(&self) -> &[u8; RANDOM_LEN] {
        around_random(&self.record).map_or(&[0; RANDOM_LEN], |(_, random, _)| random)
    }

    /// The session id, up to 32 bytes; the answer repeats it.
    #[must_use]
    pub fn session_id(&self) -> &[u8] {
        self.slice(&self.session_id)
    }

    /// The cipher suites in the client's order, GREASE included.
    pub fn cipher_suites(&self) -> impl Iterator<Item = u16> {
        self.slice(&self.cipher_suites)
            .chunks_exact(2)
            .filter_map(|suite| suite.try_into().ok())
            .map(u16::from_be_bytes)
    }

    /// The server name (SNI) as sent: not folded, not checked beyond having no NUL.
    #[must_use]
    pub fn server_name(&self) -> Option<&[u8]> {
        self.server_name.as_ref().map(|range| self.slice(range))
    }

    /// The key offered for a group.
    #[must_use]
    pub fn key_share(&self, group: u16) -> Option<&[u8]> {
        let mut entries = Reader::new(self.slice(self.key_shares.as_ref()?));
        while !entries.is_empty() {
            let (entry, key) = (entries.u16()?, entries.vec16()?);
            if entry == group {
                return Some(key);
            }
        }
        None
    }

    /// Whether a server can answer it at once and has to do everything for it, as for the hellos of Telegram's apps: it has
    /// a key for X25519, and no earlier session that would go on.
    #[must_use]
    pub fn begins_anew(&self) -> bool {
        !self.resumes && self.key_share(group::X25519).is_some()
    }

    fn slice(&self, range: &Range<usize>) -> &[u8] {
        self.record.get(range.clone()).unwrap_or_default()
    }
}

/// The one host name in a server_name extension.
fn host_name(data: &[u8]) -> Option<&[u8]> {
    const HOST_NAME: u8 = 0;
    let mut extension = Reader::new(data);
    let mut list = Reader::new(extension.vec16()?);
    let (kind, name) = (list.u8()?, list.vec16()?);
    let one = kind == HOST_NAME && list.is_empty() && extension.is_empty();
    (one && !name.is_empty() && !name.contains(&0)).then_some(name)
}

/// The entries in a key_share extension, each inside its bounds.
fn key_share_list(data: &[u8]) -> Option<&[u8]> {
    let mut extension = Reader::new(data);
    let list = extension.vec16()?;
    let mut entries = Reader::new(list);
    while !entries.is_empty() {
        let (_group, _key) = (entries.u16()?, entries.vec16()?);
    }
    extension.is_empty().then_some(list)
}

/// Where `part`, a slice of `whole`, stands in it.
fn range_in(whole: &[u8], part: &[u8]) -> Option<Range<usize>> {
    let start = (part.as_ptr() as usize).checked_sub(whole.as_ptr() as usize)?;
    let end = start.checked_add(part.len())?;
    (end <= whole.len()).then_some(start..end)
}
