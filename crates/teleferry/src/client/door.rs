//! At the door: from the first byte to a proven client, or to a stranger.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use teleferry_proto::accept::{
    self, Inner, InnerError, Protocols, ProvenHeader, ProvenHello, Stranger, Verdict,
};
use teleferry_proto::cipher::CtrStream;
use teleferry_proto::fake_tls::record;
use teleferry_proto::obfuscated::{Accepted, HEADER_LEN, Header};
use teleferry_proto::secret::{HostName, SecretKey};
use tokio::io::{AsyncRead as _, AsyncWriteExt as _, ReadBuf};
use tracing::info;

use super::Connection;
use super::answer;
use super::relay::misbehaviour;
use crate::clock;
use crate::config;
use crate::cover::Early;
use crate::gate::ClockWindow;
use crate::net::Stream;
use crate::observe::{CloseReason, Kind};
use crate::shard::Expiry;

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
}

/// What a listener asks of those who come.
#[derive(Debug)]
pub(crate) struct Door {
    /// Every secret that proves a client.
    keys: Vec<SecretKey>,
    protocols: Protocols,
    /// The name that clients ask for. Whoever asks for another one, or for none, is answered by the site in its own way,
    /// so an answer of ours would be another than the site's to that name.
    name: Option<HostName>,
    /// See [`answer::ordinary_len`].
    ordinary_len: usize,
    window: ClockWindow,
}

impl Door {
    /// The door that a listener's settings describe.
    pub(crate) fn new(listener: &config::Listener, handshake: &config::Handshake) -> Self {
        let keys: Vec<_> = listener.secrets.iter().map(|secret| secret.key.clone()).collect();
        Self {
            ordinary_len: answer::ordinary_len(listener.domain.as_ref(), keys.first()),
            keys,
            name: listener.domain.clone(),
            protocols: Protocols {
                tls: listener.protocols.tls,
                secure: listener.protocols.secure,
                classic: listener.protocols.classic,
            },
            window: ClockWindow { past: handshake.clock_skew_past, future: handshake.clock_skew_future },
        }
    }

    /// Whether clients ask for this name, in whatever case.
    fn has_name(&self, asked: Option<&[u8]>) -> bool {
        let is_asked =
            |name: &HostName| asked.is_some_and(|asked| name.as_str().as_bytes().eq_ignore_ascii_case(asked));
        self.name.as_ref().is_none_or(is_asked)
    }
}

/// Waits until a connection proves itself or shows that it does not; answers a proven hello.
///
/// Who has shown neither after a moment may be a visitor who waits for the cover site: it is called, and gets what came so
/// far, but never the bytes that complete a hello or header before they are judged. Whoever proves itself after all is
/// answered by us, and the site never answered; once it has, the connection is its visitor's for good.
pub(super) async fn knock(connection: &Connection, stream: &mut Stream) -> Outcome {
    let timeout = connection.shard().settings().handshake.timeout;
    let came = connection.shard().moment();
    let (mut first_bytes, mut early) = (Vec::new(), Early::default());
    // Secrets are told apart by their place in the list, which a reload may change: one list from knock to answer.
    let rules = connection.listener().rules();
    let door = &rules.door;
    if connection.shard().cover().exists() {
        connection.alarm().set(HESITATION.min(timeout));
    }
    let entry = loop {
        let proving = prove(connection, door, stream, &mut first_bytes, &mut early);
        match connection.alarm().within(proving).await {
            Ok(entry) => break entry,
            Err(Expiry::Deadline) if early.call(connection, stream) => {
                connection.alarm().set_since(came, timeout);
            }
            Err(Expiry::Deadline) => break Entry::Stranger(Stranger::HandshakeTimeout),
            Err(Expiry::Drained) => break Entry::Ended(CloseReason::proxy(Kind::Drained)),
        }
    };
    let entry = match entry {
        Entry::Stranger(reason) => return Outcome::Stranger(reason, first_bytes, early),
        Entry::Ended(reason) => {
            early.break_off(reason);
            return Outcome::Ended(reason);
        }
        Entry::Header(client) => {
            connection.alarm().set_since(came, timeout);
            return Outcome::Client(client);
        }
        Entry::Hello(entry) => entry,
    };
    drop(early);
    connection.alarm().set_since(came, timeout);
    let Some(key) = door.keys.get(entry.secret) else {
        return Outcome::Ended(CloseReason::proxy(Kind::Fault));
    };
    let behind = first_bytes.split_off(entry.hello_len);
    drop(first_bytes);
    match connection.alarm().within(answered(connection, stream, &entry.answer, behind, key)).await {
        Ok(Ok(client)) => Outcome::Client(client),
        Ok(Err(reason)) => Outcome::Ended(reason),
        Err(expiry) => {
            Outcome::Ended(connection.expired(expiry, CloseReason::client(Kind::HandshakeTimeout)))
        }
    }
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
    secret: usize,
    hello_len: usize,
    answer: Vec<u8>,
}

/// Reads until there is a verdict on the first bytes, or the cover site has answered. May be dropped and begun again.
async fn prove(
    connection: &Connection,
    door: &Door,
    stream: &mut Stream,
    first_bytes: &mut Vec<u8>,
    early: &mut Early,
) -> Entry {
    loop {
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
        match accept::examine(first_bytes, &door.keys, door.protocols) {
            Verdict::NeedMore => {}
            Verdict::Stranger(reason) => return Entry::Stranger(reason),
            Verdict::Header(ProvenHeader { accepted, .. }) => {
                let early = first_bytes.split_off(HEADER_LEN);
                return Entry::Header(Box::new(Client::new(accepted, None, early)));
            }
            Verdict::Hello(proven) => return admit(connection, door, &proven),
        }
    }
}

/// A hello is proven: may it come in, and if so, with what answer?
fn admit(connection: &Connection, door: &Door, proven: &ProvenHello<'_>) -> Entry {
    if !door.has_name(proven.hello.server_name()) {
        return Entry::Stranger(Stranger::TlsSni);
    }
    let now = clock::unix_time();
    if !door.window.admits(proven.proof.unix_time, now) {
        if let Some(more) = connection.shard().throttles.skewed_clock.pass(clock::now()) {
            let ahead = i64::from(proven.proof.unix_time) - now as i64;
            info!(
                session = connection.id(),
                seconds_ahead = ahead,
                more,
                "a client's clock, or ours, is wrong"
            );
        }
        return Entry::Stranger(Stranger::TlsTime);
    }
    let Some(answer) = door
        .keys
        .get(proven.secret)
        .and_then(|key| answer::make(connection, door.name.as_ref(), door.ordinary_len, proven, key))
    else {
        return Entry::Ended(CloseReason::proxy(Kind::Fault));
    };
    Entry::Hello(Admitted { secret: proven.secret, hello_len: proven.wire_len, answer })
}

/// Sends the answer in one write, then waits for the header inside TLS records.
async fn answered(
    connection: &Connection,
    stream: &mut Stream,
    answer: &[u8],
    mut behind: Vec<u8>,
    key: &SecretKey,
) -> Result<Box<Client>, CloseReason> {
    let reset = |_| CloseReason::client(Kind::Reset);
    stream.write_all(answer).await.map_err(reset)?;
    let mut inner = Inner::new();
    loop {
        if let Some((accepted, early)) = inner.receive(&mut behind, key).map_err(refused)? {
            let early = behind.get(early).unwrap_or_default().to_vec();
            return Ok(Box::new(Client::new(accepted, Some(inner.into_records()), early)));
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
fn read_some(
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
    fn new(accepted: Accepted, records: Option<record::Reader>, early: Vec<u8>) -> Self {
        Self {
            header: accepted.header,
            from_client: accepted.from_client,
            to_client: accepted.to_client,
            records,
            early,
        }
    }
}
