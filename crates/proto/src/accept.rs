//! First bytes: need more, a client of ours, or a stranger.
//!
//! [`examine`] is a pure function of all bytes received so far, so the cut of the input cannot matter. Whoever is not
//! proven is a stranger; nothing else distinguishes strangers to the outside.

use std::borrow::Cow;
use std::ops::Range;

use crate::fake_tls::client_hello::{self, ClientHello, Proof, Scan};
use crate::fake_tls::record::{self, RecordError};
use crate::obfuscated::{self, Accepted, HEADER_LEN};
use crate::per_sni;
use crate::replay::ReplayKey;
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
    /// Too many others are proving themselves.
    HandshakeLimit,
    /// Nothing was proven in time.
    HandshakeTimeout,
    /// The 64-byte header came before.
    HeaderReplay,
    /// The 64-byte header fits no secret.
    HeaderTag,
    /// Only fake TLS is served here, and this is no ClientHello.
    NotTls,
    /// Proven, but a rule of the operator does not let it in.
    Policy,
    /// A load balancer's PROXY protocol header is missing or broken.
    ProxyHeader,
    /// Too many new connections from its network.
    RateLimit,
    /// The ClientHello's digest fits no secret.
    TlsDigest,
    /// The ClientHello breaks its bounds.
    TlsMalformed,
    /// The ClientHello is proven, but it came before.
    TlsReplay,
    /// The ClientHello is proven, but it asks for another name than the cover site's, or for none.
    TlsSni,
    /// The ClientHello is proven, but its time is outside the window.
    TlsTime,
    /// Proven, but this kind of client is not served here.
    TransportNotAllowed,
}

impl Stranger {
    /// Every reason, in the order of the enumeration.
    pub const ALL: [Self; 15] = [
        Self::Gone,
        Self::HandshakeLimit,
        Self::HandshakeTimeout,
        Self::HeaderReplay,
        Self::HeaderTag,
        Self::NotTls,
        Self::Policy,
        Self::ProxyHeader,
        Self::RateLimit,
        Self::TlsDigest,
        Self::TlsMalformed,
        Self::TlsReplay,
        Self::TlsSni,
        Self::TlsTime,
        Self::TransportNotAllowed,
    ];

    /// The reason's name in logs and metrics.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Gone => "gone",
            Self::HandshakeLimit => "handshake_limit",
            Self::HandshakeTimeout => "handshake_timeout",
            Self::HeaderReplay => "header_replay",
            Self::HeaderTag => "header_tag",
            Self::NotTls => "not_tls",
            Self::Policy => "policy",
            Self::ProxyHeader => "proxy_header",
            Self::RateLimit => "rate_limit",
            Self::TlsDigest => "tls_digest",
            Self::TlsMalformed => "tls_malformed",
            Self::TlsReplay => "tls_replay",
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
    /// The key that proves it: the secret's own, or the one derived from it for the hello's server name.
    pub key: SecretKey,
    /// The hello, for the answer.
    pub hello: ClientHello<'a>,
    /// What the digest says.
    pub proof: Proof,
    /// Bytes of the hello on the wire; what follows them belongs to the TLS records behind it.
    pub wire_len: usize,
}

impl ProvenHello<'_> {
    /// What it is remembered by.
    #[must_use]
    pub fn replay_key(&self) -> ReplayKey {
        ReplayKey::of_hello(self.hello.random())
    }
}

/// A header that one of the secrets fits.
#[derive(Debug)]
pub struct ProvenHeader {
    /// Which secret.
    pub secret: usize,
    /// The header and its streams.
    pub accepted: Accepted,
    /// What it is remembered by.
    pub replay_key: ReplayKey,
}

/// What a listener asks of those who come.
#[derive(Debug, Clone, Copy)]
pub struct Terms<'a> {
    /// Its secrets.
    pub keys: &'a [SecretKey],
    /// Which kinds of client it serves.
    pub protocols: Protocols,
    /// With a salt, hellos are proven by the keys that are derived from the secrets for their server name
    /// ([`per_sni::derive`]), and no more by the secrets themselves. The name is taken as sent, then in lower case.
    pub sni_salt: Option<&'a str>,
}

/// Judges all bytes received so far. Every secret is tried, always, so that the time taken does not tell which one fits.
#[must_use]
pub fn examine<'a>(bytes: &'a [u8], keys: &[SecretKey], protocols: Protocols) -> Verdict<'a> {
    Terms { keys, protocols, sni_salt: None }.examine(bytes)
}

impl Terms<'_> {
    /// Judges all bytes received so far. Every secret is tried, always, so that the time taken does not tell which one
    /// fits.
    #[must_use]
    pub fn examine(self, bytes: &[u8]) -> Verdict<'_> {
        let Protocols { tls, secure, classic } = self.protocols;
        if tls {
            let common =
                bytes.iter().zip(TLS_PREFIX).take_while(|(byte, expected)| *byte == expected).count();
            if common == TLS_PREFIX.len() {
                return self.examine_hello(bytes);
            }
            if common == bytes.len() {
                return Verdict::NeedMore;
            }
        }
        if !secure && !classic {
            return Verdict::Stranger(Stranger::NotTls);
        }
        match bytes.first_chunk::<HEADER_LEN>() {
            None => Verdict::NeedMore,
            Some(header) => self.examine_header(header),
        }
    }

    fn examine_hello(self, bytes: &[u8]) -> Verdict<'_> {
        let (record, wire_len) = match client_hello::scan(bytes) {
            Scan::NeedMore => return Verdict::NeedMore,
            Scan::Malformed => return Verdict::Stranger(Stranger::TlsMalformed),
            Scan::Whole { record, wire_len } => (record, wire_len),
        };
        // The digest decides before anything else is looked at: real clients change their hello every year.
        let Some((secret, key, proof)) = self.prove(&record) else {
            return Verdict::Stranger(Stranger::TlsDigest);
        };
        match ClientHello::parse(record) {
            None => Verdict::Stranger(Stranger::TlsMalformed),
            Some(hello) => Verdict::Hello(ProvenHello { secret, key, hello, proof, wire_len }),
        }
    }

    /// Which secret proves a hello, and with what key.
    fn prove(self, record: &[u8]) -> Option<(usize, SecretKey, Proof)> {
        let Some(salt) = self.sni_salt else {
            let (secret, proof) = client_hello::prove(record, self.keys)?;
            return Some((secret, self.keys.get(secret)?.clone(), proof));
        };
        // Without a name there is no key that could prove anything.
        let hello = ClientHello::parse(Cow::Borrowed(record))?;
        let as_sent = hello.server_name()?;
        let lower = as_sent.to_ascii_lowercase();
        let names = [Some(as_sent), (lower != as_sent).then_some(lower.as_slice())];
        let derived: Vec<(usize, SecretKey)> = names
            .into_iter()
            .flatten()
            .flat_map(|name| self.keys.iter().map(|key| per_sni::derive(key, salt, name)).enumerate())
            .collect();
        let (found, proof) = client_hello::prove(record, derived.iter().map(|(_, key)| key))?;
        let (secret, key) = derived.into_iter().nth(found)?;
        Some((secret, key, proof))
    }

    fn examine_header(self, header: &[u8; HEADER_LEN]) -> Verdict<'_> {
        let found = obfuscated::find_secret(header, self.keys);
        let accepted = found.and_then(|secret| {
            let key = self.keys.get(secret)?;
            let accepted = obfuscated::accept(header, Some(key))?;
            Some(ProvenHeader { secret, accepted, replay_key: ReplayKey::of_header(header, key) })
        });
        match accepted {
            None => Verdict::Stranger(Stranger::HeaderTag),
            Some(proven) if self.protocols.allows(proven.accepted.header.framing) => Verdict::Header(proven),
            Some(_) => Verdict::Stranger(Stranger::TransportNotAllowed),
        }
    }
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

    /// What the header is remembered by, once it is complete.
    #[must_use]
    pub fn replay_key(&self, key: &SecretKey) -> ReplayKey {
        ReplayKey::of_header(&self.header, key)
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
