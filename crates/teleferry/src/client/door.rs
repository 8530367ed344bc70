//! At the door: from the first byte to a proven client, or to a stranger.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use teleferry_proto::accept::{Inner, InnerError, Protocols, ProvenHello, Stranger, Terms, Verdict};
use teleferry_proto::cipher::CtrStream;
use teleferry_proto::fake_tls::record;
use teleferry_proto::fake_tls::server_hello::{self, Offer};
use teleferry_proto::obfuscated::{Accepted, HEADER_LEN, Header};
use teleferry_proto::per_sni;
use teleferry_proto::secret::{HostName, SecretKey};
use tokio::io::{AsyncRead as _, AsyncWriteExt as _, ReadBuf};

use super::Connection;
use super::admission;
use super::key_share;
use super::passed_on::{self, Senders, Stop};
use super::relay::misbehaviour;
use crate::clock;
use crate::config;
use crate::entropy;
use crate::gate::{Claim, ClockWindow, Handshake, Recall};
use crate::net::{Peer, Stream};
use crate::observe::{CloseReason, Kind, Stage};
use crate::server::Rules;
use crate::shard::Expiry;

/// Bytes read at once from somebody who has proven nothing yet.
const READ: usize = 16 << 10;

/// What came of it.
#[derive(Debug)]
pub(super) enum Outcome {
    /// A client of ours.
    Client(Box<Client>),
    /// Nobody of ours, with every byte that came.
    Stranger(Stranger, Vec<u8>),
    /// It ended on the way.
    Ended(CloseReason),
}

/// A proven client.
#[derive(Debug)]
pub(super) struct Client {
    /// What its header said.
    pub(super) header: Header,
    /// Decrypts what it sends.
    pub(super) from_client: CtrStream,
    /// Encrypts what it gets.
    pub(super) to_client: CtrStream,
    /// Takes its stream out of TLS records, with fake TLS.
    pub(super) records: Option<record::Reader>,
    /// What came behind the header, out of its records, still encrypted.
    pub(super) early: Vec<u8>,
    /// What the gate's rules count it in.
    pub(super) claims: Vec<Claim>,
}

/// What a listener asks of those who come.
#[derive(Debug)]
pub(crate) struct Door {
    /// Every secret that proves a client.
    keys: Vec<SecretKey>,
    /// What the operator calls each.
    names: Vec<Option<String>>,
    protocols: Protocols,
    /// With fake TLS, keys are derived from the secrets with this.
    sni_salt: Option<String>,
    /// Whose word for another's address counts.
    senders: Senders,
    pub(super) window: ClockWindow,
    /// Bytes in the encrypted part of an answer; see [`encrypted_len`].
    encrypted_len: usize,
}

impl Door {
    /// The door that a listener's settings describe.
    pub(crate) fn new(listener: &config::Listener, settings: &config::Snapshot) -> Self {
        let handshake = &settings.handshake;
        let keys: Vec<_> = listener.secrets.iter().map(|secret| secret.key.clone()).collect();
        Self {
            encrypted_len: encrypted_len(listener.domain.as_ref().map_or("", HostName::as_str), keys.first()),
            keys,
            names: listener.secrets.iter().map(|secret| secret.name.clone()).collect(),
            sni_salt: settings.sni_secrets.salt.clone(),
            senders: Senders::new(listener),
            protocols: Protocols {
                tls: listener.protocols.tls,
                secure: listener.protocols.secure,
                classic: listener.protocols.classic,
            },
            window: ClockWindow { past: handshake.clock_skew_past, future: handshake.clock_skew_future },
        }
    }

    /// What the operator calls a secret; the base secret has no name.
    pub(super) fn secret_name(&self, secret: usize) -> Option<&str> {
        self.names.get(secret)?.as_deref()
    }

    fn terms(&self) -> Terms<'_> {
        Terms { keys: &self.keys, protocols: self.protocols, sni_salt: self.sni_salt.as_deref() }
    }
}

/// The length of the encrypted part of an answer: 2,500 to 3,600 bytes, as of a usual certificate chain. It belongs to
/// the site, so it stays the same from start to start.
fn encrypted_len(domain: &str, key: Option<&SecretKey>) -> usize {
    let key = key.map_or(&[0; 16], SecretKey::as_bytes);
    let hash = per_sni::derive(&SecretKey::new(*key), "length of the encrypted flight", domain.as_bytes());
    let [a, b, ..] = *hash.as_bytes();
    2500 + usize::from(u16::from_le_bytes([a, b]) % 1101)
}

/// As that of a server with an ECDSA certificate, the length varies by one with the signature.
const fn with_signature_jitter(len: usize, draw: u8) -> usize {
    match draw {
        0..=61 => len - 1,
        62..=194 => len,
        195.. => len + 1,
    }
}

/// Waits until a connection proves itself or shows that it does not; answers a proven hello that may come in.
pub(super) async fn knock(connection: &mut Connection, stream: &mut Stream) -> Outcome {
    // Secrets are told apart by their place in the list, which a reload may change: one list from knock to answer.
    let rules = connection.listener().rules();
    let begun = clock::now();
    let mut first_bytes = Vec::new();
    let header = passed_on::read_header(connection, &rules.door.senders, stream, &mut first_bytes);
    match connection.alarm().within(header).await {
        Ok(Ok(None)) => {}
        Ok(Ok(Some(peer))) => connection.passed_on_for(peer),
        Ok(Err(Stop::Stranger(reason))) => return Outcome::Stranger(reason, first_bytes),
        Ok(Err(Stop::Ended(reason))) => return Outcome::Ended(reason),
        Err(expiry) => return too_late(expiry, first_bytes),
    }
    let _handshake = match may_try(connection) {
        Ok(handshake) => handshake,
        Err(reason) => return Outcome::Stranger(reason, first_bytes),
    };
    let proving = prove(connection, &rules, stream, &mut first_bytes);
    let verdict = connection.alarm().within(proving).await;
    let judged = clock::now();
    let counters = connection.shard().counters();
    counters.stage(Stage::Verdict, judged.duration_since(begun));
    let entry = match verdict {
        Ok(Entry::Header(client)) => return Outcome::Client(client),
        Ok(Entry::Hello(entry)) => entry,
        Ok(Entry::Stranger(reason)) => return Outcome::Stranger(reason, first_bytes),
        Ok(Entry::Ended(reason)) => return Outcome::Ended(reason),
        Err(expiry) => return too_late(expiry, first_bytes),
    };
    let behind = first_bytes.split_off(entry.hello_len);
    drop(first_bytes);
    match connection.alarm().within(answered(connection, stream, entry, behind)).await {
        Ok(Ok(client)) => {
            counters.stage(Stage::Answer, clock::now().duration_since(judged));
            Outcome::Client(client)
        }
        Ok(Err(reason)) => Outcome::Ended(reason),
        Err(expiry) => {
            Outcome::Ended(connection.expired(expiry, CloseReason::client(Kind::HandshakeTimeout)))
        }
    }
}

fn too_late(expiry: Expiry, first_bytes: Vec<u8>) -> Outcome {
    match expiry {
        Expiry::Deadline => Outcome::Stranger(Stranger::HandshakeTimeout, first_bytes),
        Expiry::Drained => Outcome::Ended(CloseReason::proxy(Kind::Drained)),
    }
}

/// Whether there is room for one more that proves itself, from its network too.
fn may_try(connection: &Connection) -> Result<Handshake, Stranger> {
    let gate = &connection.shard().shared.gate;
    if let Peer::Inet(address) = connection.address()
        && !gate.arrives(address.ip())
    {
        return Err(Stranger::RateLimit);
    }
    gate.begin().ok_or(Stranger::HandshakeLimit)
}

/// What the first bytes led to.
enum Entry {
    Header(Box<Client>),
    Hello(Admitted),
    Stranger(Stranger),
    Ended(CloseReason),
}

/// A hello that may come in, and what to say to it.
struct Admitted {
    /// What proves it, and encrypts the stream behind it.
    key: SecretKey,
    hello_len: usize,
    answer: Vec<u8>,
    claims: Vec<Claim>,
}

/// Reads until there is a verdict on the first bytes, and asks the gate about a client.
async fn prove(
    connection: &Connection,
    rules: &Rules,
    stream: &mut Stream,
    first_bytes: &mut Vec<u8>,
) -> Entry {
    let Rules { door, policy, .. } = rules;
    loop {
        match door.terms().examine(first_bytes) {
            Verdict::NeedMore => {}
            Verdict::Stranger(reason) => return Entry::Stranger(reason),
            Verdict::Header(proven) => {
                return match admission::of_header(connection, door, policy, &proven) {
                    Err(reason) => Entry::Stranger(reason),
                    Ok(claims) => {
                        let early = first_bytes.split_off(HEADER_LEN);
                        Entry::Header(Box::new(Client::new(proven.accepted, None, early, claims)))
                    }
                };
            }
            Verdict::Hello(proven) => {
                return match admission::of_hello(connection, door, policy, &proven) {
                    Err(reason) => Entry::Stranger(reason),
                    Ok(claims) => answer(door, proven, claims),
                };
            }
        }
        match std::future::poll_fn(|cx| read_some(connection, stream, first_bytes, cx)).await {
            Err(_) => return Entry::Ended(CloseReason::client(Kind::Reset)),
            Ok(0) => return Entry::Stranger(Stranger::Gone),
            Ok(_) => {}
        }
    }
}

/// What to say to a hello that may come in.
fn answer(door: &Door, proven: ProvenHello<'_>, claims: Vec<Claim>) -> Entry {
    let ProvenHello { key, hello, wire_len, .. } = proven;
    let Ok(share) = key_share::make(Offer::of(&hello)) else {
        return Entry::Ended(CloseReason::proxy(Kind::Fault));
    };
    let [draw] = entropy::array();
    let mut encrypted = vec![0; with_signature_jitter(door.encrypted_len, draw)];
    entropy::fill(&mut encrypted);
    let answer = server_hello::answer(&hello, &key, &share, &encrypted);
    Entry::Hello(Admitted { key, hello_len: wire_len, answer, claims })
}

/// Sends the answer in one write, then waits for the header inside TLS records.
async fn answered(
    connection: &Connection,
    stream: &mut Stream,
    entry: Admitted,
    mut behind: Vec<u8>,
) -> Result<Box<Client>, CloseReason> {
    let Admitted { key, answer, claims, .. } = entry;
    let reset = |_| CloseReason::client(Kind::Reset);
    stream.write_all(&answer).await.map_err(reset)?;
    drop(answer);
    let mut inner = Inner::new();
    loop {
        if let Some((accepted, early)) = inner.receive(&mut behind, &key).map_err(refused)? {
            // Whoever says this hello knows the secret, and says a header only once.
            let recall = connection.shard().shared.gate.replay.header(inner.replay_key(&key));
            if recall != Recall::New {
                return Err(CloseReason::client(Kind::Replay));
            }
            let early = behind.get(early).unwrap_or_default().to_vec();
            return Ok(Box::new(Client::new(accepted, Some(inner.into_records()), early, claims)));
        }
        behind.clear();
        if std::future::poll_fn(|cx| read_some(connection, stream, &mut behind, cx)).await.map_err(reset)?
            == 0
        {
            return Err(CloseReason::client(Kind::Closed));
        }
    }
}

fn refused(error: InnerError) -> CloseReason {
    match error {
        InnerError::Record(error) => misbehaviour(error.into()),
        _ => CloseReason::client(Kind::HeaderTag),
    }
}

/// Reads what there is, through the shard's scratch buffer, and appends it. 0: the other end has ended.
pub(super) fn read_some(
    connection: &Connection,
    stream: &mut Stream,
    bytes: &mut Vec<u8>,
    cx: &mut Context<'_>,
) -> Poll<io::Result<usize>> {
    let mut scratch = connection.shard().scratch();
    let mut read = ReadBuf::new(&mut scratch[..READ]);
    ready!(Pin::new(stream).poll_read(cx, &mut read))?;
    bytes.extend_from_slice(read.filled());
    Poll::Ready(Ok(read.filled().len()))
}

impl Client {
    fn new(accepted: Accepted, records: Option<record::Reader>, early: Vec<u8>, claims: Vec<Claim>) -> Self {
        Self {
            header: accepted.header,
            from_client: accepted.from_client,
            to_client: accepted.to_client,
            records,
            early,
            claims,
        }
    }
}
