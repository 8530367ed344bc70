//! The running server as it is seen from outside: everything that metrics, status and health are made of.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::clock;
use crate::config::{ListenAddress, RoleKind, Snapshot};
use crate::gate::{GateCounts, Tables};
use crate::identity::Certificate;
use crate::observe::{
    Counts, DcCounters, LinkCounts, ProcessReading, ReloadCounts, Reloads, ShardCounters, Spread, Stage,
    TrunkCounts,
};
use crate::server::{Settings, Watched};
use crate::shard::Phase;

/// A look at the running server from any thread. It costs the shards nothing.
#[derive(Debug, Clone)]
pub struct Observer {
    watched: Arc<Watched>,
    phase: watch::Receiver<Phase>,
}

/// The server at one moment.
#[derive(Debug, Clone)]
pub struct Reading {
    /// How long it has been running.
    pub uptime: Duration,
    /// When it was started, in seconds since 1970.
    pub started: u64,
    /// False once it stops.
    pub running: bool,
    /// Every listener.
    pub listeners: Vec<ListenerReading>,
    /// Every data centre that clients were taken to, or that has links.
    pub dcs: BTreeMap<i16, DcReading>,
    /// Every link to a middle proxy.
    pub links: Vec<LinkReading>,
    /// Whether it is a whole proxy or one half.
    pub role: RoleKind,
    /// The backs that a front's settings name, as they are called in `trunks`.
    pub backs: Vec<String>,
    /// The connections between front and back, by the other side's name.
    pub trunks: BTreeMap<String, TrunkCounts>,
    /// The certificates that front and back know each other by.
    pub certificates: Vec<Certificate>,
    /// What all links counted, and what waits in memory.
    pub link_counts: LinkCounts,
    /// Middle proxies whose last attempts failed, with how many in a row.
    pub failing: Vec<(SocketAddr, u32)>,
    /// How long each stage of handshakes took.
    pub stages: [(Stage, Spread); Stage::ALL.len()],
    /// Sizes of what came from clients at once, and from Telegram.
    pub reads: [Spread; 2],
    /// Sizes of messages to middle proxies, and from them.
    pub messages: [Spread; 2],
    /// How long ago each shard went round.
    pub beats: Vec<Duration>,
    /// How long ago a data centre last answered without a middle proxy.
    pub since_direct_answer: Option<Duration>,
    /// Reloads since the start.
    pub reloads: ReloadCounts,
    /// What the gate remembers and counts.
    pub gate: GateCounts,
    /// What the system says of the process.
    pub process: ProcessReading,
}

/// A listener at one moment.
#[derive(Debug, Clone)]
pub struct ListenerReading {
    /// Its name.
    pub name: String,
    /// Where it listens.
    pub addresses: Vec<ListenAddress>,
    /// What it counted.
    pub counts: Counts,
}

/// A data centre at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DcReading {
    /// Sessions that were taken there.
    pub sessions: u64,
    /// Sessions that are there now.
    pub open: u64,
    /// Bytes that came from there.
    pub received: u64,
    /// Bytes that went there.
    pub sent: u64,
    /// Direct connections that came about.
    pub connected: u64,
    /// Attempts in which no address answered.
    pub unreachable: u64,
    /// Direct connections that took a request and answered nothing.
    pub silent: u64,
}

/// A link at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinkReading {
    /// Its data centre.
    pub dc: i16,
    /// Its middle proxy.
    pub endpoint: SocketAddr,
    /// How it is.
    pub state: LinkState,
    /// Clients on it.
    pub clients: u32,
}

/// How a link is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LinkState {
    /// It is being made, or takes no clients any more.
    Pending,
    /// It takes clients.
    Ready,
    /// It was asked something and answers nothing.
    Suspect,
}

/// A worker that has not gone round for this long hangs; it goes round ten times a second.
pub(crate) const STUCK: Duration = Duration::from_secs(5);

impl Observer {
    pub(crate) const fn new(watched: Arc<Watched>, phase: watch::Receiver<Phase>) -> Self {
        Self { watched, phase }
    }

    /// The settings in force.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.watched.settings().snapshot)
    }

    /// What is in force.
    pub(crate) fn settings(&self) -> Arc<Settings> {
        self.watched.settings()
    }

    /// How long ago each shard went round.
    fn beats(&self) -> Vec<Duration> {
        let now = clock::now();
        self.watched.shards.iter().map(|shard| shard.since_beat(now)).collect()
    }

    /// The workers that hang, and for how long.
    pub(crate) fn stuck(&self) -> Vec<(usize, Duration)> {
        self.beats().into_iter().enumerate().filter(|(_, age)| *age > STUCK).collect()
    }

    /// Whether the server stops, or has stopped.
    pub(crate) fn is_stopping(&self) -> bool {
        *self.phase.borrow() != Phase::Running
    }

    /// Reloads are counted here.
    #[must_use]
    pub fn reloads(&self) -> &Reloads {
        &self.watched.reloads
    }

    /// The tables of the rules.
    pub(crate) fn tables(&self) -> &Tables {
        &self.watched.shared.gate.tables
    }

    /// How it is now.
    #[must_use]
    pub fn read(&self) -> Reading {
        let now = clock::now();
        let watched = &*self.watched;
        let uptime = now.saturating_duration_since(watched.started);
        let settings = self.settings();
        let (backs, tls) = (settings.front().into_iter(), settings.snapshot.role.tls());
        Reading {
            uptime,
            started: clock::unix_time().saturating_sub(uptime.as_secs()),
            running: !self.is_stopping(),
            listeners: watched.listeners(),
            dcs: dcs(&watched.shards),
            links: links(&watched.shards),
            role: settings.snapshot.role.kind(),
            backs: backs.flat_map(|front| &front.backs).map(|back| back.authority.clone()).collect(),
            trunks: self.watched.trunks(),
            certificates: tls.map(|(_, tls)| tls.credentials.certificates()).unwrap_or_default(),
            link_counts: watched.links(),
            failing: watched.shared.endpoints.failing(),
            stages: Stage::ALL.map(|stage| (stage, spread(&watched.shards, |s| &s.stages[stage as usize]))),
            reads: [
                spread(&watched.shards, |shard| &shard.client_reads),
                spread(&watched.shards, |shard| &shard.telegram_reads),
            ],
            messages: [
                spread(&watched.shards, |shard| &shard.messages),
                spread(&watched.shards, |shard| &shard.answers),
            ],
            beats: self.beats(),
            since_direct_answer: since_direct_answer(&watched.shards, now),
            reloads: watched.reloads.counts(),
            gate: watched.shared.gate.counts(),
            process: ProcessReading::now(),
        }
    }
}

impl Reading {
    /// Clients' sessions that are open.
    #[must_use]
    pub fn sessions(&self) -> u64 {
        self.dcs.values().map(|dc| dc.open).sum()
    }

    /// Links that take clients.
    #[must_use]
    pub fn ready_links(&self) -> usize {
        self.links.iter().filter(|link| link.state == LinkState::Ready).count()
    }

    /// Backs that take sessions, of those that the settings name.
    #[must_use]
    pub fn usable_backs(&self) -> usize {
        self.backs.iter().filter(|back| self.trunks.get(*back).is_some_and(|counts| counts.ready > 0)).count()
    }

    /// Strangers by reason, over all listeners.
    #[must_use]
    pub fn strangers(&self) -> BTreeMap<&'static str, u64> {
        let mut all = BTreeMap::new();
        for (reason, count) in self.listeners.iter().flat_map(|listener| &listener.counts.strangers) {
            *all.entry(*reason).or_default() += count;
        }
        all
    }
}

fn spread(
    shards: &[Arc<ShardCounters>],
    which: impl Fn(&ShardCounters) -> &crate::observe::Histogram,
) -> Spread {
    let mut sum = Spread::default();
    shards.iter().for_each(|shard| sum.add(which(shard)));
    sum
}

fn dcs(shards: &[Arc<ShardCounters>]) -> BTreeMap<i16, DcReading> {
    let mut sums = BTreeMap::<i16, DcReading>::new();
    for (id, dc) in shards.iter().flat_map(|shard| shard.dcs()) {
        sums.entry(id).or_default().add(&dc);
    }
    sums
}

fn links(shards: &[Arc<ShardCounters>]) -> Vec<LinkReading> {
    let gauges = shards.iter().flat_map(|shard| shard.link_gauges());
    let mut links: Vec<_> = gauges
        .map(|gauge| LinkReading {
            dc: gauge.dc,
            endpoint: gauge.endpoint,
            state: match (gauge.ready.load(Relaxed), gauge.suspect.load(Relaxed)) {
                (_, true) => LinkState::Suspect,
                (true, false) => LinkState::Ready,
                (false, false) => LinkState::Pending,
            },
            clients: gauge.clients.load(Relaxed),
        })
        .collect();
    links.sort_by_key(|link| (link.dc, link.endpoint));
    links
}

fn since_direct_answer(shards: &[Arc<ShardCounters>], now: Instant) -> Option<Duration> {
    shards.iter().filter_map(|shard| shard.since_direct_answer(now)).min()
}

impl DcReading {
    fn add(&mut self, shard: &DcCounters) {
        for (sum, counter) in [
            (&mut self.sessions, &shard.sessions),
            (&mut self.received, &shard.received),
            (&mut self.sent, &shard.sent),
            (&mut self.connected, &shard.connected),
            (&mut self.unreachable, &shard.unreachable),
            (&mut self.silent, &shard.silent),
        ] {
            *sum += counter.get();
        }
        // Read one after the other: a session may end in between.
        self.open += shard.sessions.get().saturating_sub(shard.ended.get());
    }
}

impl LinkState {
    /// Its name in metrics and in the API.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Ready => "ready",
            Self::Suspect => "suspect",
        }
    }
}
