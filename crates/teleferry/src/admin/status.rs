//! How the server is, in a form for programs and with a sentence for people.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::clock;
use crate::config::{Mode, RoleKind};
use crate::identity;
use crate::observe::TrunkCounts;
use crate::reading::{DcReading, LinkReading, ListenerReading, Observer, Reading};

/// How the server is.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Status {
    /// One sentence for people.
    pub verdict: String,
    /// The same for programs.
    pub state: State,
    /// The version that runs.
    pub version: String,
    /// Seconds since the start.
    pub uptime_seconds: u64,
    /// How clients are taken to Telegram: auto, middle or direct.
    pub mode: String,
    /// Clients' sessions that are open. An app has several.
    pub clients: u64,
    /// Every listener.
    pub listeners: Vec<Listener>,
    /// What it is: both, front or back.
    pub role: String,
    /// On a front every back, on a back every front that was ever here.
    pub peers: Vec<Peer>,
    /// The certificates that front and back know each other by.
    pub certificates: Vec<Certificate>,
    /// Every data centre that clients were taken to, or that has links.
    pub dcs: Vec<Dc>,
    /// Visitors that were refused, by reason.
    pub refused_visitors: BTreeMap<String, u64>,
    /// Bytes that wait for slow clients and on links.
    pub queued_bytes: u64,
    /// How often reading paused because too much waited.
    pub queue_pauses: u64,
    /// Reloads whose settings are in force.
    pub reloads_applied: u64,
    /// Reloads that were refused.
    pub reloads_refused: u64,
}

/// How the server is, in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Clients are served.
    Online,
    /// They are, but something is wrong.
    Troubled,
    /// No new ones are taken.
    Stopping,
}

/// A listener.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Listener {
    /// Its name.
    pub name: String,
    /// Where it listens.
    pub addresses: Vec<String>,
    /// Connections that are open, visitors included.
    pub open: u64,
    /// Connections since the start.
    pub accepted: u64,
    /// Those that proved to be clients, by protocol.
    pub clients: BTreeMap<String, u64>,
    /// Bytes from clients.
    pub received_bytes: u64,
    /// Bytes to clients.
    pub sent_bytes: u64,
    /// Ended connections by reason, `side:kind`.
    pub closed: BTreeMap<String, u64>,
}

/// The other half of a split proxy.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Peer {
    /// A back's address, or the name in a front's certificate; empty for those without one.
    pub name: String,
    /// A back is ready, down or removed (from the settings); a front is connected or gone.
    pub state: String,
    /// Connections that are open.
    pub connections: u64,
    /// Connections that take sessions; on a front only.
    pub ready: u64,
    /// Attempts to connect that failed, and handshakes that were refused.
    pub failed: u64,
    /// The same by who gave up (`self`, `peer`) and why, `self:expired`.
    pub failures: BTreeMap<String, u64>,
    /// Sessions that are there now.
    pub sessions: u64,
    /// Sessions that were ever there.
    pub calls: u64,
    /// Sessions that went elsewhere from there, or from its connection.
    pub moved: u64,
    /// Sessions that it would not take, or that were not taken from it.
    pub refused: u64,
    /// The same by why.
    pub refusals: BTreeMap<String, u64>,
    /// How often a session there changed its link to Telegram.
    pub migrated: u64,
    /// How long it last took to answer, in microseconds; 0 when that is not known.
    pub round_trip_micros: u64,
    /// Bytes that came, as they are on the wire.
    pub received_bytes: u64,
    /// Bytes that went.
    pub sent_bytes: u64,
}

/// A certificate that has to hold.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Certificate {
    /// What it is, in words.
    pub title: String,
    /// When it ceases to hold, in seconds since 1970.
    pub not_after: i64,
    /// The same day, in UTC.
    pub expires: String,
    /// Whole days until then; negative when that day is over.
    pub days_left: i64,
}

/// A data centre.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Dc {
    /// Its id; negative for media, 0 for all that are too many to be counted apart.
    pub dc: i16,
    /// Clients' sessions that are there now.
    pub sessions: u64,
    /// Links to its middle proxies that take clients.
    pub links_ready: usize,
    /// All its links.
    pub links: Vec<Link>,
    /// Bytes from there.
    pub received_bytes: u64,
    /// Bytes to there.
    pub sent_bytes: u64,
    /// Direct connections that came about.
    pub connected: u64,
    /// Direct connections that could not be made.
    pub unreachable: u64,
    /// Direct connections that answered nothing.
    pub silent: u64,
}

/// A link to a middle proxy.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Link {
    /// The middle proxy.
    pub endpoint: String,
    /// pending, ready or suspect.
    pub state: String,
    /// Clients on it.
    pub clients: u32,
    /// Attempts in a row in which this middle proxy was of no use.
    pub endpoint_failures: u32,
}

impl Status {
    /// How it is now.
    #[must_use]
    pub fn now(observer: &Observer) -> Self {
        let reading = observer.read();
        let mode = observer.snapshot().telegram.mode;
        let (state, verdict) = judge(&reading, mode);
        Self {
            verdict,
            state,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            uptime_seconds: reading.uptime.as_secs(),
            mode: mode.name().to_owned(),
            clients: reading.sessions(),
            listeners: reading.listeners.iter().map(Listener::from).collect(),
            role: observer.snapshot().role.kind().name().to_owned(),
            peers: reading.trunks.iter().map(|(name, counts)| Peer::new(name, counts, &reading)).collect(),
            certificates: reading.certificates.iter().map(Certificate::from).collect(),
            dcs: dcs(&reading),
            refused_visitors: owned(&reading.strangers()),
            queued_bytes: reading.link_counts.queued,
            queue_pauses: reading.link_counts.pauses,
            reloads_applied: reading.reloads.applied,
            reloads_refused: reading.reloads.refused,
        }
    }
}

/// One sentence for people, without a full stop.
pub(crate) fn verdict(observer: &Observer) -> String {
    judge(&observer.read(), observer.snapshot().telegram.mode).1
}

/// A word and a sentence without a full stop.
fn judge(reading: &Reading, mode: Mode) -> (State, String) {
    let clients = match reading.sessions() {
        0 => "nobody is connected".to_owned(),
        1 => "1 client connection".to_owned(),
        n => format!("{n} client connections"),
    };
    if !reading.running {
        return (State::Stopping, format!("Stopping, {clients}"));
    }
    if reading.beats.iter().any(|age| *age > crate::reading::STUCK) {
        return (State::Troubled, format!("A worker hangs, {clients}"));
    }
    if reading.role == RoleKind::Front {
        return match (reading.usable_backs(), reading.backs.len()) {
            (0, _) => (State::Troubled, format!("No back can be used, {clients}")),
            (usable, all) if usable < all => {
                (State::Troubled, format!("{usable} of {all} backs can be used, {clients}"))
            }
            _ => (State::Online, format!("Online, {clients}")),
        };
    }
    if reading.ready_links() > 0 {
        return (State::Online, format!("Online, {clients}"));
    }
    if mode == Mode::Middle {
        return (State::Troubled, format!("No link to Telegram's middle proxies, {clients}"));
    }
    let failed = reading.dcs.values().any(|dc| dc.unreachable + dc.silent > 0);
    if failed && reading.since_direct_answer.is_none() {
        return (State::Troubled, format!("No data centre of Telegram has answered so far, {clients}"));
    }
    (State::Online, format!("Online, {clients}"))
}

/// Every data centre that clients were taken to, or that has links.
pub(super) fn dcs(reading: &Reading) -> Vec<Dc> {
    let mut dcs: BTreeMap<i16, Dc> = reading.dcs.iter().map(|(&id, dc)| (id, Dc::new(id, dc))).collect();
    for link in &reading.links {
        let dc = dcs.entry(link.dc).or_insert_with(|| Dc::new(link.dc, &DcReading::default()));
        dc.links_ready += usize::from(link.state == crate::reading::LinkState::Ready);
        dc.links.push(Link::new(link, reading));
    }
    dcs.into_values().collect()
}

impl Dc {
    const fn new(id: i16, dc: &DcReading) -> Self {
        Self {
            dc: id,
            sessions: dc.open,
            links_ready: 0,
            links: Vec::new(),
            received_bytes: dc.received,
            sent_bytes: dc.sent,
            connected: dc.connected,
            unreachable: dc.unreachable,
            silent: dc.silent,
        }
    }
}

impl Link {
    fn new(link: &LinkReading, reading: &Reading) -> Self {
        let failing = reading.failing.iter().find(|(endpoint, _)| *endpoint == link.endpoint);
        Self {
            endpoint: link.endpoint.to_string(),
            state: link.state.label().to_owned(),
            clients: link.clients,
            endpoint_failures: failing.map_or(0, |(_, failures)| *failures),
        }
    }
}

impl Peer {
    fn new(name: &str, counts: &TrunkCounts, reading: &Reading) -> Self {
        let state = match reading.role {
            RoleKind::Front if counts.ready > 0 => "ready",
            RoleKind::Front if reading.backs.iter().any(|back| back == name) => "down",
            RoleKind::Front => "removed",
            RoleKind::Back | RoleKind::Both if counts.open > 0 => "connected",
            RoleKind::Back | RoleKind::Both => "gone",
        };
        let failures = counts.failed.iter().map(|(failure, n)| (failure.labels().join(":"), n));
        Self {
            name: name.to_owned(),
            state: state.to_owned(),
            connections: counts.open,
            ready: counts.ready,
            failed: counts.failed.total(),
            failures: failures.collect(),
            sessions: counts.sessions,
            calls: counts.calls,
            moved: counts.moved,
            refused: counts.refused.total(),
            refusals: counts.refused.iter().map(|(why, n)| (why.name().to_owned(), n)).collect(),
            migrated: counts.migrated,
            round_trip_micros: u64::try_from(counts.round_trip.as_micros()).unwrap_or(u64::MAX),
            received_bytes: counts.received,
            sent_bytes: counts.sent,
        }
    }
}

impl From<&identity::Certificate> for Certificate {
    fn from(certificate: &identity::Certificate) -> Self {
        let now = i64::try_from(clock::unix_time()).unwrap_or(i64::MAX);
        Self {
            title: certificate.title(),
            not_after: certificate.not_after,
            expires: identity::day(certificate.not_after),
            days_left: certificate.not_after.saturating_sub(now).div_euclid(24 * 60 * 60),
        }
    }
}

impl From<&ListenerReading> for Listener {
    fn from(listener: &ListenerReading) -> Self {
        let counts = &listener.counts;
        Self {
            name: listener.name.clone(),
            addresses: listener.addresses.iter().map(ToString::to_string).collect(),
            open: counts.open,
            accepted: counts.accepted,
            clients: owned(&counts.clients),
            received_bytes: counts.from_client,
            sent_bytes: counts.to_client,
            closed: counts.closed.clone(),
        }
    }
}

fn owned(counts: &BTreeMap<&'static str, u64>) -> BTreeMap<String, u64> {
    counts.iter().map(|(name, n)| ((*name).to_owned(), *n)).collect()
}
