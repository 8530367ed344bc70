//! One exchange over a socket, with the time that each stage took.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use teleferry_proto::dc::DcId;
use teleferry_proto::fake_tls::greeting::{Greeting, Shape, greet};
use teleferry_proto::obfuscated::{self, Header, Initiated};
use teleferry_proto::secret::SecretKey;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::args::Protocol;
use super::exchange::{Exchange, Progress, Question};
use super::failure::Failure;
use crate::client::x25519_public;
use crate::clock;
use crate::entropy;
use crate::net::dial;

/// Bytes read at once.
const READ: usize = 16 << 10;

/// Where to, and with which secret.
#[derive(Debug)]
pub(super) struct Target {
    /// The addresses of the link's host; or why there are none.
    pub(super) addresses: Result<Vec<SocketAddr>, Failure>,
    /// The link's key; `None`: no proxy is there but a data centre itself.
    pub(super) key: Option<SecretKey>,
    /// The server name for fake TLS.
    pub(super) domain: Vec<u8>,
    /// How long an exchange may take.
    pub(super) timeout: Duration,
}

/// One exchange that is to be made.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pair {
    pub(super) protocol: Protocol,
    pub(super) dc: DcId,
    /// Counts from 1.
    pub(super) attempt: u16,
}

/// What came of it.
#[derive(Debug)]
pub(super) struct Probe {
    pub(super) pair: Pair,
    pub(super) address: Option<SocketAddr>,
    pub(super) times: Times,
    pub(super) result: Result<(), Failure>,
}

/// How long the stages took, as far as they were completed.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Times {
    /// TCP connect.
    pub(super) tcp: Option<Duration>,
    /// Fake TLS: from the hello to its proven answer. In the open there is no handshake that could be timed.
    pub(super) handshake: Option<Duration>,
    /// From the question to its answer.
    pub(super) ping: Option<Duration>,
    /// The whole exchange, once answered.
    pub(super) total: Option<Duration>,
}

/// Makes one exchange. It is over after the target's timeout at the latest.
pub(super) async fn probe(target: &Target, pair: Pair) -> Probe {
    let mut run = Run { address: None, times: Times::default(), exchange: None };
    let result = match timeout(target.timeout, run.exchange(target, pair)).await {
        Ok(result) => result,
        Err(_) => Err(run.exchange.as_ref().map_or(Failure::ConnectTimeout, Exchange::silent)),
    };
    Probe { pair, address: run.address, times: run.times, result }
}

/// What is known so far, for when the time is up.
struct Run {
    address: Option<SocketAddr>,
    times: Times,
    exchange: Option<Exchange>,
}

impl Run {
    async fn exchange(&mut self, target: &Target, pair: Pair) -> Result<(), Failure> {
        let addresses = target.addresses.as_deref().map_err(|failure| *failure)?;
        let question = ask(target, pair)?;
        let start = clock::now();
        let (mut stream, address) = dial(addresses, target.timeout)
            .await
            .map_err(|error| Failure::connecting(error.last.as_ref()))?;
        self.address = Some(address);
        let connected = clock::now();
        self.times.tcp = Some(connected - start);

        let (exchange, first) = Exchange::begin(question);
        let exchange = self.exchange.insert(exchange);
        let answered = converse(&mut stream, exchange, &first, connected, &mut self.times).await?;
        self.times.total = Some(answered - start);
        Ok(())
    }
}

/// Sends, receives and takes the times until the question is answered; says when.
async fn converse(
    stream: &mut TcpStream,
    exchange: &mut Exchange,
    first: &[u8],
    connected: Instant,
    times: &mut Times,
) -> Result<Instant, Failure> {
    let mut buffer = vec![0; READ];
    let mut asked = connected;
    stream.write_all(first).await.map_err(|_| exchange.closed())?;
    loop {
        let received = match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => return Err(exchange.closed()),
            Ok(len) => &mut buffer[..len],
        };
        match exchange.receive(received)? {
            Progress::Wait => {}
            Progress::Send(bytes) => {
                asked = clock::now();
                times.handshake = Some(asked - connected);
                stream.write_all(&bytes).await.map_err(|_| exchange.closed())?;
            }
            Progress::Answered => {
                let answered = clock::now();
                times.ping = Some(answered - asked);
                return Ok(answered);
            }
        }
    }
}

/// A fresh question.
fn ask(target: &Target, pair: Pair) -> Result<Question, Failure> {
    let framing = pair.protocol.framing();
    let greeting = match (pair.protocol, &target.key) {
        (Protocol::Tls, Some(key)) => Some((hello(target, key)?, key.clone())),
        _ => None,
    };
    let padding = match pair.protocol {
        Protocol::Classic => 0,
        Protocol::Secure | Protocol::Tls => usize::from(entropy::array::<1>()[0] & 15),
    };
    let fraction = u32::from_le_bytes(entropy::array()) & !3;
    Ok(Question {
        framing,
        opening: opening(Header { framing, dc: pair.dc }, target.key.as_ref()),
        greeting,
        message_id: (clock::unix_time() << 32) | u64::from(fraction),
        nonce: entropy::array(),
        padding: entropy::array::<15>()[..padding].to_vec(),
    })
}

fn hello(target: &Target, key: &SecretKey) -> Result<Greeting, Failure> {
    let x25519 = x25519_public().map_err(|_| Failure::NoKeyShare)?;
    let unix_time = u32::try_from(clock::unix_time()).unwrap_or(u32::MAX);
    Ok(greet(Shape::Modern, key, &target.domain, unix_time, &entropy::array(), &x25519))
}

/// Draws until the header looks like no other protocol.
fn opening(header: Header, key: Option<&SecretKey>) -> Initiated {
    loop {
        if let Some(opening) = obfuscated::initiate(&entropy::array(), header, key) {
            return opening;
        }
    }
}
