//! At the door: from the first byte to a proven client, or to a stranger.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use teleferry_proto::accept::{Inner, InnerError, Protocols, ProvenHello, Stranger, Terms, Verdict};
use teleferry_proto::cipher::CtrStream;
use teleferry_proto::fake_tls::record::{self, RecordError};
use teleferry_proto::obfuscated::{Accepted, HEADER_LEN, Header};
use teleferry_proto::secret::{HostName, SecretKey};
use tokio::io::{AsyncRead as _, AsyncWriteExt as _, ReadBuf};

use super::Connection;
use super::admission;
use super::answer;
use super::passed_on::{self, Senders, Stop};
use super::relay::misbehaviour;
use crate::clock;
use crate::config;
use crate::cover::Early;
use crate::entropy;
use crate::gate::{Claim, ClockWindow, Handshake, Recall};
use crate::net::{Peer, Stream};
use crate::observe::{CloseReason, Kind, Stage};
use crate::server::Rules;
use crate::shard::{Expiry, Moment};

/// Bytes read at once from somebody who has proven nothing yet.
const READ: usize = 16 << 10;

/// How long a connection may prove nothing before the cover site is called, to a tick more.
const HESITATION: Duration = Duration::from_millis(100);

/// What came of it.
#[derive(Debug)]
pub(super) enum Outcome {
    /// A client of ours.
    Client(Box<Client>),
    /// Nobody of ours, with every byte that came, and the cover site if it was called already.
    Stranger(Stranger, Vec<u8>, Early),
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
    /// The name that clients ask for, where it is one. Whoever asks for another, or for none, is answered by the site in its
    /// own way, so an answer of ours would be another than the site's to that name.
    name: Option<HostName>,
    /// Whether clients may ask for other names: where names are what tells them apart.
    any_name: bool,
    /// See [`answer::ordinary_len`].
    ordinary_len: usize,
}

impl Door {
    /// The door that a listener's settings describe.
    pub(crate) fn new(listener: &config::Listener, settings: &config::Snapshot) -> Self {
        let handshake = &settings.handshake;
        let keys: Vec<_> = listener.secrets.iter().map(|secret| secret.key.clone()).collect();
        Self {
            ordinary_len: answer::ordinary_len(listener.domain.as_ref(), keys.first()),
            name: listener.domain.clone(),
            any_name: settings.takes_any_name(listener),
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

    /// Whether clients ask for this name, in whatever case.
    pub(crate) fn has_name(&self, asked: Option<&[u8]>) -> bool {
        let is_asked =
            |name: &HostName| asked.is_some_and(|asked| name.as_str().as_bytes().eq_ignore_ascii_case(asked));
        self.any_name || self.name.as_ref().is_none_or(is_asked)
    }

    fn terms(&self) -> Terms<'_> {
        Terms { keys: &self.keys, protocols: self.protocols, sni_salt: self.sni_salt.as_deref() }
    }
}

/// Waits until a connection proves itself or shows that it does not; answers a proven hello that may come in.
///
/// Who has shown neither after a moment may be a visitor who waits for the cover site: it is called, and gets what came so
/// far, but never the bytes that complete a hello or header before they are judged. Whoever proves itself after all is
/// answered by us, and the site never answered; once it has, the connection is its visitor's for good.
pub(super) async fn knock(connection: &mut Connection, stream: &mut Stream) -> Outcome {
    // Secrets are told apart by their place in the list, which a reload may change: one list from knock to answer.
    let rules = connection.listener().rules();
    let (begun, came) = (clock::now(), connection.shard().moment());
    let (mut first_bytes, mut early) = (Vec::new(), Early::default());
    let header = passed_on::read_header(connection, &rules.door.senders, stream, &mut first_bytes);
    match connection.alarm().within(header).await {
        Ok(Ok(None)) => {}
        Ok(Ok(Some(peer))) => connection.passed_on_for(peer),
        Ok(Err(Stop::Stranger(reason))) => return Outcome::Stranger(reason, first_bytes, early),
        Ok(Err(Stop::Ended(reason))) => return Outcome::Ended(reason),
        Err(Expiry::Deadline) => return Outcome::Stranger(Stranger::HandshakeTimeout, first_bytes, early),
        Err(Expiry::Drained) => return Outcome::Ended(CloseReason::proxy(Kind::Drained)),
    }
    let _handshake = match may_try(connection) {
        Ok(handshake) => handshake,
        Err(reason) => return Outcome::Stranger(reason, first_bytes, early),
    };
    let entry = judge(connection, came, &rules, stream, &mut first_bytes, &mut early).await;
    let judged = clock::now();
    let counters = connection.shard().counters();
    counters.stage(Stage::Verdict, judged.duration_since(begun));
    let entry = match entry {
        Entry::Header(client) => return Outcome::Client(client),
        Entry::Hello(entry) => entry,
        Entry::Stranger(reason) => return Outcome::Stranger(reason, first_bytes, early),
        Entry::Ended(reason) => {
            early.break_off(reason);
            return Outcome::Ended(reason);
        }
    };
    drop(early);
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
    /// When it may be answered; `None`: at once.
    due: Option<Instant>,
    /// What proves it, and encrypts the stream behind it.
    key: SecretKey,
    hello_len: usize,
    answer: Vec<u8>,
    claims: Vec<Claim>,
}

/// Waits for a verdict for the handshake time, and calls the cover site when there is none after a moment.
async fn judge(
    connection: &Connection,
    came: Moment,
    rules: &Rules,
    stream: &mut Stream,
    first_bytes: &mut Vec<u8>,
    early: &mut Early,
) -> Entry {
    let timeout = connection.shard().settings().handshake.timeout;
    let alarm = connection.alarm();
    if connection.shard().cover().is_one() {
        alarm.set(HESITATION.min(timeout));
    }
    loop {
        let verdict = alarm.within(prove(connection, rules, stream, first_bytes, early)).await;
        match verdict {
            Err(Expiry::Deadline) if early.call(connection, stream) => {
                alarm.set_since(came, timeout);
            }
            Err(Expiry::Deadline) => return Entry::Stranger(Stranger::HandshakeTimeout),
            Err(Expiry::Drained) => return Entry::Ended(CloseReason::proxy(Kind::Drained)),
            Ok(entry) => {
                alarm.set_since(came, timeout);
                return entry;
            }
        }
    }
}

/// Reads until there is a verdict on the first bytes, or the cover site has answered; asks the gate about a client. May be
/// dropped and begun again.
async fn prove(
    connection: &Connection,
    rules: &Rules,
    stream: &mut Stream,
    first_bytes: &mut Vec<u8>,
    early: &mut Early,
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
            Verdict::Hello(proven) if !door.has_name(proven.hello.server_name()) => {
                return Entry::Stranger(Stranger::TlsSni);
            }
            Verdict::Hello(proven) => {
                return match admission::of_hello(connection, door, policy, &proven) {
                    Err(reason) => Entry::Stranger(reason),
                    Ok(claims) => {
                        let due = early.answer_at(connection, &proven.hello, clock::now());
                        admit(connection, door, proven, claims, due)
                    }
                };
            }
        }
        let news = std::future::poll_fn(|cx| match read_some(connection, stream, first_bytes, cx) {
            Poll::Ready(read) => Poll::Ready(Some(read)),
            // Everything that is there was judged; only then is it passed on.
            Poll::Pending => early.poll(cx, first_bytes).map(|()| None),
        });
        match news.await {
            Some(Err(_)) => return Entry::Ended(CloseReason::client(Kind::Reset)),
            Some(Ok(0)) => return Entry::Stranger(Stranger::Gone),
            Some(Ok(_)) => {}
            None => return Entry::Stranger(Stranger::HandshakeTimeout),
        }
    }
}

/// A hello may come in: what is to be said to it.
fn admit(
    connection: &Connection,
    door: &Door,
    proven: ProvenHello<'_>,
    claims: Vec<Claim>,
    due: Option<Instant>,
) -> Entry {
    match answer::make(connection, door.name.as_ref(), door.ordinary_len, &proven) {
        None => Entry::Ended(CloseReason::proxy(Kind::Fault)),
        Some(answer) => {
            Entry::Hello(Admitted { due, key: proven.key, hello_len: proven.wire_len, answer, claims })
        }
    }
}

/// Sends the answer in one write when it is due, then waits for the header inside TLS records.
async fn answered(
    connection: &Connection,
    stream: &mut Stream,
    entry: Admitted,
    mut behind: Vec<u8>,
) -> Result<Box<Client>, CloseReason> {
    let Admitted { due, key, answer, claims, .. } = entry;
    if let Some(due) = due {
        connection.shard().punctual().wait_until(due).await;
    }
    let reset = |_| CloseReason::client(Kind::Reset);
    stream.write_all(&answer).await.map_err(reset)?;
    drop(answer);
    let mut inner = Inner::new();
    loop {
        let received = match inner.receive(&mut behind, &key) {
            Ok(received) => received,
            Err(error) => {
                if error != InnerError::Record(RecordError::Alert) {
                    say_alert(stream).await;
                }
                return Err(refused(error));
            }
        };
        if let Some((accepted, early)) = received {
            // Whoever says this hello knows the secret, and says a header only once.
            let recall = connection.shard().shared.gate.replay.header(inner.replay_key(&key));
            if recall != Recall::New {
                say_alert(stream).await;
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

/// Says what a server says to a record that it cannot decrypt: an alert, encrypted, which is as long as this and random to
/// everybody. Only somebody who plays with another's hello gets it.
async fn say_alert(stream: &mut Stream) {
    /// Level, description, the type of the content, and the tag.
    const LEN: usize = 2 + 1 + 16;
    let mut alert = [0; record::HEADER_LEN + LEN];
    let (header, content) = alert.split_at_mut(record::HEADER_LEN);
    header.copy_from_slice(&record::header(LEN));
    entropy::fill(content);
    // Whoever is gone has no use for it.
    let _ = stream.write_all(&alert).await;
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
