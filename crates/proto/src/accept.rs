//! First bytes: need more, a client of ours, or a stranger.
//!
//! [`examine`] is a pure function of all bytes received so far, so the cut of the input cannot matter. Whoever is not
//! proven is a stranger; nothing else distinguishes strangers to the outside.

use std::ops::Range;

use crate::fake_tls::client_hello::{self, ClientHello, Proof, Scan};
use crate::fake_tls::record::{self, RecordError};
use crate::obfuscated::{self, Accepted, HEADER_LEN};
use crate::secret::SecretKey;
use crate::transport::Framing;

/// The first three bytes of every fake-TLS connection.
const TLS_PREFIX: [u8; 3] = [0x16, 0x03, 0x01];

/// Which kinds of client a listener serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Protocols {
    /// `ee` secrets: fake TLS.
    pub tls: bool,
    /// `dd` secrets: the padded framing in the open.
    pub secure: bool,
    /// Plain secrets: abridged and intermediate.
    pub classic: bool,
}

impl Protocols {
    /// Whether a client that does not come through fake TLS may use this framing.
    #[must_use]
    pub const fn allows(self, framing: Framing) -> bool {
        match framing {
            Framing::Padded => self.secure,
            Framing::Abridged | Framing::Intermediate => self.classic,
        }
    }
}

/// Why a connection is no client's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Stranger {
    /// It ended before it could prove anything.
    Gone,
    /// The 64-byte header fits no secret.
    HeaderTag,
    /// Nothing was proven in time.
    HandshakeTimeout,
    /// Only fake TLS is served here, and this is no ClientHello.
    NotTls,
    /// The ClientHello's digest fits no secret.
    TlsDigest,
    /// The ClientHello breaks its bounds.
    TlsMalformed,
    /// The ClientHello is proven, but it asks for another name than the cover site's, or for none.
    TlsSni,
    /// The ClientHello is proven, but its time is outside the window.
    TlsTime,
    /// Proven, but this kind of client is not served here.
    TransportNotAllowed,
}

impl Stranger {
    /// Every reason, in the order of the enumeration.
    pub const ALL: [Self; 9] = [
        Self::Gone,
        Self::HeaderTag,
        Self::HandshakeTimeout,
        Self::NotTls,
        Self::TlsDigest,
        Self::TlsMalformed,
        Self::TlsSni,
        Self::TlsTime,
        Self::TransportNotAllowed,
    ];

    /// The reason's name in logs and metrics.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Gone => "gone",
            Self::HeaderTag => "header_tag",
            Self::HandshakeTimeout => "handshake_timeout",
            Self::NotTls => "not_tls",
            Self::TlsDigest => "tls_digest",
            Self::TlsMalformed => "tls_malformed",
            Self::TlsSni => "tls_sni",
            Self::TlsTime => "tls_time",
            Self::TransportNotAllowed => "transport_not_allowed",
        }
    }
}

/// What the first bytes are.
#[derive(Debug)]
pub enum Verdict<'a> {
    /// More bytes are needed, never more than [`client_hello::MAX_HELLO_WIRE`] in all.
    NeedMore,
    /// A client's ClientHello: it is to be answered, then the header follows in TLS records ([`Inner`]).
    Hello(ProvenHello<'a>),
    /// A client's header in the open. Its stream follows at byte [`HEADER_LEN`].
    Header(ProvenHeader),
    /// No client of ours.
    Stranger(Stranger),
}

/// A ClientHello that one of the secrets proves.
#[derive(Debug)]
pub struct ProvenHello<'a> {
    /// Which secret.
    pub secret: usize,
    /// The hello, for the answer.
    pub hello: ClientHello<'a>,
    /// What the digest says.
    pub proof: Proof,
    /// Bytes of the hello on the wire; what follows them belongs to the TLS records behind it.
    pub wire_len: usize,
}

/// A header that one of the secrets fits.
#[derive(Debug)]
pub struct ProvenHeader {
    /// Which secret.
    pub secret: usize,
    /// The header and its streams.
    pub accepted: Accepted,
}

/// Judges all bytes received so far. Every secret is tried, always, so that the time taken does not tell which one fits.
#[must_use]
pub fn examine<'a>(bytes: &'a [u8], secrets: &[SecretKey], protocols: Protocols) -> Verdict<'a> {
    if protocols.tls {
        let common = bytes.iter().zip(TLS_PREFIX).take_while(|(byte, expected)| *byte == expected).count();
        if common == TLS_PREFIX.len() {
            return examine_hello(bytes, secrets);
        }
        if common == bytes.len() {
            return Verdict::NeedMore;
        }
    }
    if !protocols.secure && !protocols.classic {
        return Verdict::Stranger(Stranger::NotTls);
    }
    match bytes.first_chunk::<HEADER_LEN>() {
        None => Verdict::NeedMore,
        Some(header) => examine_header(header, secrets, protocols),
    }
}

fn examine_hello<'a>(bytes: &'a [u8], secrets: &[SecretKey]) -> Verdict<'a> {
    let (record, wire_len) = match client_hello::scan(bytes) {
        Scan::NeedMore => return Verdict::NeedMore,
        Scan::Malformed => return Verdict::Stranger(Stranger::TlsMalformed),
        Scan::Whole { record, wire_len } => (record, wire_len),
    };
    // The digest decides before anything else is looked at: real clients change their hello every year.
    let Some((secret, proof)) = client_hello::prove(&record, secrets) else {
        return Verdict::Stranger(Stranger::TlsDigest);
    };
    match ClientHello::parse(record) {
        None => Verdict::Stranger(Stranger::TlsMalformed),
        Some(hello) => Verdict::Hello(ProvenHello { secret, hello, proof, wire_len }),
    }
}

fn examine_header<'a>(header: &[u8; HEADER_LEN], secrets: &[SecretKey], protocols: Protocols) -> Verdict<'a> {
    let found = obfuscated::find_secret(header, secrets);
    let Some((secret, accepted)) =
        found.and_then(|secret| Some((secret, obfuscated::accept(header, Some(secrets.get(secret)?))?)))
    else {
        return Verdict::Stranger(Stranger::HeaderTag);
    };
    if !protocols.allows(accepted.header.framing) {
        return Verdict::Stranger(Stranger::TransportNotAllowed);
    }
    Verdict::Header(ProvenHeader { secret, accepted })
}

/// Why the stream behind an answered hello is not a client's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum InnerError {
    /// An illegal TLS record.
    Record(RecordError),
    /// The header does not fit the hello's secret, or asks for another framing than padded, the only one that is legal
    /// inside fake TLS.
    HeaderTag,
}

/// Behind an answered hello: collects the header out of its TLS records. A stream codec that keeps 64 bytes.
#[derive(Debug)]
pub struct Inner {
    records: record::Reader,
    header: [u8; HEADER_LEN],
    len: usize,
}

impl Inner {
    /// Right behind the hello.
    #[must_use]
    pub const fn new() -> Self {
        Self { records: record::Reader::of_client(), header: [0; HEADER_LEN], len: 0 }
    }

    /// Takes raw bytes from the client. `Some`: the header is complete and fits; the stream that came behind it, out of
    /// its records and still encrypted, stands at this place in `raw`. `None`: more bytes are needed.
    ///
    /// # Errors
    /// This is no client, although its hello was proven.
    pub fn receive(
        &mut self,
        raw: &mut [u8],
        key: &SecretKey,
    ) -> Result<Option<(Accepted, Range<usize>)>, InnerError> {
        let stream_len = self.records.read(raw).map_err(InnerError::Record)?;
        let stream = raw.get(..stream_len).unwrap_or_default();
        let missing = self.header.iter_mut().skip(self.len);
        let taken = missing.zip(stream).map(|(to, from)| *to = *from).count();
        self.len = self.len.saturating_add(taken);
        if self.len < HEADER_LEN {
            return Ok(None);
        }
        match obfuscated::accept(&self.header, Some(key)) {
            Some(accepted) if accepted.header.framing == Framing::Padded => {
                Ok(Some((accepted, taken..stream_len)))
            }
            _ => Err(InnerError::HeaderTag),
        }
    }

    /// The reader of the records that follow.
    #[must_use]
    pub fn into_records(self) -> record::Reader {
        self.records
    }
}

impl Default for Inner {
    fn default() -> Self {
        Self::new()
    }
}
