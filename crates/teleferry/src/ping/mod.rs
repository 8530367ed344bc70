//! `teleferry ping`: asks every data centre the first question of a key exchange (`req_pq_multi`) through a proxy, as a
//! client would, and says where it fails.
//!
//! Each exchange is a connection of its own: TCP, the handshake of the protocol, the question, the answer with the same
//! nonce. `exchange` knows the protocol and does no IO, `probe` drives it over a socket and takes the times, `report` sums
//! up, `meaning` reads failures in the light of the whole run.

mod args;
mod exchange;
mod failure;
mod json;
mod meaning;
mod probe;
mod report;
mod text;

use std::io::{self, Write};
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::future::join_all;
use futures_util::{StreamExt as _, stream};
use teleferry_proto::dc::DcId;
use teleferry_proto::secret::{LinkError, ProxyLink, Secret};
use tokio::net::lookup_host;
use tokio::time::timeout;

pub use args::Args;

use args::Protocol;
use failure::Failure;
use probe::{Pair, Probe, Target, probe};
use report::Report;

/// Exchanges under way at once.
const CONCURRENT: usize = 8;

/// The server name when fake TLS is asked for and the link names none.
const DEFAULT_DOMAIN: &str = "example.com";

/// What a run came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Every exchange was answered. Exit status 0.
    AllAnswered,
    /// At least one was not. Exit status 1.
    SomeFailed,
}

/// Why there was no run.
#[derive(Debug)]
#[non_exhaustive]
pub enum PingError {
    /// The link is none. Exit status 2; the message does not repeat the link, which may hold a secret.
    Link(LinkError),
    /// The results could not be printed. Exit status 1.
    Output(io::Error),
}

impl std::fmt::Display for PingError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Link(error) => error.fmt(f),
            Self::Output(error) => write!(f, "cannot print the results: {error}"),
        }
    }
}

impl std::error::Error for PingError {}

impl From<LinkError> for PingError {
    fn from(error: LinkError) -> Self {
        Self::Link(error)
    }
}

impl From<io::Error> for PingError {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

/// Runs the command: makes every exchange, at most eight at once, and prints what comes of it to `out`. Never prints
/// the secret.
///
/// # Errors
/// The link is none, or `out` takes nothing.
pub async fn run(args: &Args, out: &mut dyn Write) -> Result<Outcome, PingError> {
    let run = Run::new(args).await?;
    if !args.json {
        text::header(&run, out)?;
    }
    // In order, so that two runs can be compared line by line.
    let mut exchanges = stream::iter(run.pairs()).map(|pair| probe(&run.target, pair)).buffered(CONCURRENT);
    let mut probes = Vec::new();
    while let Some(probe) = exchanges.next().await {
        if !args.json {
            text::line(&probe, out)?;
        }
        probes.push(probe);
    }
    let report = Report::of(&probes);
    if args.json {
        json::print(&run, &probes, &report, out)?;
    } else {
        text::summary(&report, &run, out)?;
    }
    Ok(if report.ok { Outcome::AllAnswered } else { Outcome::SomeFailed })
}

/// What came of one question through a proxy.
#[derive(Debug)]
pub(crate) struct Asked {
    /// The data centre that was asked.
    pub(crate) dc: DcId,
    /// How long the whole exchange took.
    pub(crate) result: Result<Duration, Unanswered>,
}

/// Why a question was not answered.
#[derive(Debug)]
pub(crate) struct Unanswered {
    /// What was seen.
    pub(crate) what: String,
    /// Whether it shows that the proxy knows the secret.
    pub(crate) proven: bool,
}

/// Asks each of these data centres at the same time through the proxy at `address`, as a client with this secret would. Each
/// exchange may take `limit`.
pub(crate) async fn ask_through(
    address: SocketAddr,
    secret: &Secret,
    dcs: &[DcId],
    limit: Duration,
) -> Vec<Asked> {
    let target = Target {
        addresses: Ok(vec![address]),
        key: Some(secret.key().clone()),
        domain: domain(secret).to_vec(),
        timeout: limit,
    };
    let protocol = Protocol::of(secret);
    let exchanges = dcs.iter().map(|&dc| probe(&target, Pair { protocol, dc, attempt: 1 }));
    join_all(exchanges).await.into_iter().map(Asked::from).collect()
}

/// Asks a data centre at its own addresses, without a proxy. The exchange may take `limit`.
pub(crate) async fn ask_directly(addresses: Vec<SocketAddr>, dc: DcId, limit: Duration) -> Asked {
    let target = Target { addresses: Ok(addresses), key: None, domain: Vec::new(), timeout: limit };
    probe(&target, Pair { protocol: Protocol::Classic, dc, attempt: 1 }).await.into()
}

impl From<Probe> for Asked {
    fn from(Probe { pair, times, result, .. }: Probe) -> Self {
        // Without the secret no handshake is ever completed.
        let proven = |failure: Failure| times.handshake.is_some() || failure.shows_secret();
        let unanswered = |failure: Failure| Unanswered { what: failure.to_string(), proven: proven(failure) };
        let result = result.map(|()| times.total.unwrap_or_default()).map_err(unanswered);
        Self { dc: pair.dc, result }
    }
}

/// Everything that a run needs to know.
struct Run {
    host: String,
    port: u16,
    link_protocol: Protocol,
    protocols: Vec<Protocol>,
    dcs: Vec<DcId>,
    repeat: u16,
    target: Target,
}

impl Run {
    async fn new(args: &Args) -> Result<Self, LinkError> {
        let link = ProxyLink::parse(&args.link.0)?;
        let link_protocol = Protocol::of(link.secret());
        let mut protocols: Vec<Protocol> = Vec::new();
        for &protocol in &args.protocol {
            if !protocols.contains(&protocol) {
                protocols.push(protocol);
            }
        }
        if protocols.is_empty() {
            protocols.push(link_protocol);
        }
        let target = Target {
            addresses: resolve(link.host(), link.port(), args.timeout).await,
            key: Some(link.secret().key().clone()),
            domain: domain(link.secret()).to_vec(),
            timeout: args.timeout,
        };
        Ok(Self {
            host: link.host().to_owned(),
            port: link.port(),
            link_protocol,
            protocols,
            dcs: args.dc.0.clone(),
            repeat: args.repeat,
            target,
        })
    }

    /// Every exchange, in order: one round over all protocols and data centres, then the next.
    fn pairs(&self) -> Vec<Pair> {
        let mut pairs = Vec::new();
        for attempt in 1..=self.repeat {
            for &protocol in &self.protocols {
                pairs.extend(self.dcs.iter().map(|&dc| Pair { protocol, dc, attempt }));
            }
        }
        pairs
    }

    fn uses_tls(&self) -> bool {
        self.protocols.contains(&Protocol::Tls)
    }

    /// The server name of fake TLS, for printing.
    fn domain(&self) -> String {
        String::from_utf8_lossy(&self.target.domain).into_owned()
    }
}

fn domain(secret: &Secret) -> &[u8] {
    secret.domain().map_or(DEFAULT_DOMAIN.as_bytes(), |domain| domain.as_bytes())
}

/// The addresses of a name, or the address itself. IPv6 may stand in brackets.
async fn resolve(host: &str, port: u16, limit: Duration) -> Result<Vec<SocketAddr>, Failure> {
    let host = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    match timeout(limit, lookup_host((host, port))).await {
        Ok(Ok(addresses)) => Ok(addresses.collect()),
        Ok(Err(_)) | Err(_) => Err(Failure::NameNotFound),
    }
}
