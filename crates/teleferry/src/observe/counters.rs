//! Counters of one listener on one shard, and their sum.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use teleferry_proto::accept::Stranger;
use teleferry_proto::transport::Framing;

use super::histogram::{Histogram, Scale, Spread};
use super::reason::{CloseReason, Kind, Side};

/// How a proven client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Protocol {
    /// Plain secret, abridged framing.
    Abridged,
    /// Plain secret, intermediate framing.
    Intermediate,
    /// `dd` secret: padded framing.
    Secure,
    /// `ee` secret: padded framing inside fake TLS.
    Tls,
}

impl Protocol {
    /// Every protocol, in the order of the enumeration.
    pub const ALL: [Self; 4] = [Self::Abridged, Self::Intermediate, Self::Secure, Self::Tls];

    /// The protocol of a connection with this framing.
    #[must_use]
    pub const fn new(framing: Framing, tls: bool) -> Self {
        match framing {
            _ if tls => Self::Tls,
            Framing::Abridged => Self::Abridged,
            Framing::Intermediate => Self::Intermediate,
            Framing::Padded => Self::Secure,
        }
    }

    /// The protocol's name in logs and metrics.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Abridged => "abridged",
            Self::Intermediate => "intermediate",
            Self::Secure => "secure",
            Self::Tls => "tls",
        }
    }
}

/// A counter with one writer: its shard. Readers may be anywhere.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds `n`. Only the shard that owns the counter calls this, so a load and a store are enough.
    pub fn add(&self, n: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(n), Relaxed);
    }

    /// What was counted so far.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

const REASONS: usize = Side::ALL.len() * Kind::ALL.len();

/// What one shard counts for one listener.
#[derive(Debug)]
pub struct ListenerCounters {
    /// Connections accepted.
    pub accepted: Counter,
    /// Bytes read from proven clients, behind their header.
    pub from_client: Counter,
    /// Bytes written to proven clients.
    pub to_client: Counter,
    /// Bytes read from data centres.
    pub from_telegram: Counter,
    /// Bytes written to data centres.
    pub to_telegram: Counter,
    /// Messages from clients that passed the edge.
    pub messages: Counter,
    /// Messages from clients that were dropped at the edge.
    pub messages_filtered: Counter,
    /// Messages for clients that came over links. (What comes over direct connections is not looked into.)
    pub answers: Counter,
    /// Errors of Telegram's transport that were kept from clients.
    pub errors_filtered: Counter,
    /// Clients that asked for an unknown data centre.
    pub dc_unknown: Counter,
    /// Connections to data centres that came about.
    pub dc_connected: Counter,
    /// Attempts to reach a data centre in which no address answered.
    pub dc_unreachable: Counter,
    /// Data-centre connections that took a request and answered nothing.
    pub dc_silent: Counter,
    /// Bytes from visitors to the cover site (or thrown away without one).
    pub from_visitor: Counter,
    /// Bytes from the cover site to visitors.
    pub to_visitor: Counter,
    /// How long sessions lived.
    pub lifetime: Histogram,
    protocols: [Counter; Protocol::ALL.len()],
    strangers: [Counter; Stranger::ALL.len()],
    closed: [Counter; REASONS],
}

impl Default for ListenerCounters {
    fn default() -> Self {
        Self {
            accepted: Counter::default(),
            from_client: Counter::default(),
            to_client: Counter::default(),
            from_telegram: Counter::default(),
            to_telegram: Counter::default(),
            messages: Counter::default(),
            messages_filtered: Counter::default(),
            answers: Counter::default(),
            errors_filtered: Counter::default(),
            dc_unknown: Counter::default(),
            dc_connected: Counter::default(),
            dc_unreachable: Counter::default(),
            dc_silent: Counter::default(),
            from_visitor: Counter::default(),
            to_visitor: Counter::default(),
            lifetime: Histogram::new(&Scale::LIFETIME),
            protocols: Default::default(),
            strangers: Default::default(),
            closed: std::array::from_fn(|_| Counter::default()),
        }
    }
}

impl ListenerCounters {
    /// A client proved itself.
    pub fn client(&self, protocol: Protocol) {
        self.protocols[protocol as usize].add(1);
    }

    /// A connection turned out to be no client of ours.
    pub fn stranger(&self, reason: Stranger) {
        self.strangers[reason as usize].add(1);
    }

    /// A connection ended.
    pub fn closed(&self, reason: CloseReason) {
        self.closed[reason.index()].add(1);
    }
}

/// The counters of a listener, summed over its shards. Lists hold only what happened.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Counts {
    /// Connections accepted.
    pub accepted: u64,
    /// Connections that are open now.
    pub open: u64,
    /// Proven clients by protocol.
    pub clients: BTreeMap<&'static str, u64>,
    /// Strangers by reason.
    pub strangers: BTreeMap<&'static str, u64>,
    /// Ended connections by reason, `side:kind`.
    pub closed: BTreeMap<String, u64>,
    /// Bytes read from proven clients, behind their header.
    pub from_client: u64,
    /// Bytes written to proven clients.
    pub to_client: u64,
    /// Bytes read from data centres.
    pub from_telegram: u64,
    /// Bytes written to data centres.
    pub to_telegram: u64,
    /// Messages from clients that passed the edge.
    pub messages: u64,
    /// Messages from clients that were dropped at the edge.
    pub messages_filtered: u64,
    /// Messages for clients that came over links. (What comes over direct connections is not looked into.)
    pub answers: u64,
    /// Errors of Telegram's transport that were kept from clients.
    pub errors_filtered: u64,
    /// Clients that asked for an unknown data centre.
    pub dc_unknown: u64,
    /// Connections to data centres that came about.
    pub dc_connected: u64,
    /// Attempts to reach a data centre in which no address answered.
    pub dc_unreachable: u64,
    /// Data-centre connections that took a request and answered nothing.
    pub dc_silent: u64,
    /// Bytes from visitors to the cover site (or thrown away without one).
    pub from_visitor: u64,
    /// Bytes from the cover site to visitors.
    pub to_visitor: u64,
    /// How long sessions lived, in seconds.
    pub lifetime: Spread,
}

impl Counts {
    /// Adds what one shard counted.
    pub fn add(&mut self, shard: &ListenerCounters) {
        for (sum, counter) in [
            (&mut self.accepted, &shard.accepted),
            (&mut self.from_client, &shard.from_client),
            (&mut self.to_client, &shard.to_client),
            (&mut self.from_telegram, &shard.from_telegram),
            (&mut self.to_telegram, &shard.to_telegram),
            (&mut self.messages, &shard.messages),
            (&mut self.messages_filtered, &shard.messages_filtered),
            (&mut self.answers, &shard.answers),
            (&mut self.errors_filtered, &shard.errors_filtered),
            (&mut self.dc_unknown, &shard.dc_unknown),
            (&mut self.dc_connected, &shard.dc_connected),
            (&mut self.dc_unreachable, &shard.dc_unreachable),
            (&mut self.dc_silent, &shard.dc_silent),
            (&mut self.from_visitor, &shard.from_visitor),
            (&mut self.to_visitor, &shard.to_visitor),
        ] {
            *sum += counter.get();
        }
        sum_into(&mut self.clients, Protocol::ALL.map(Protocol::label), &shard.protocols);
        sum_into(&mut self.strangers, Stranger::ALL.map(Stranger::label), &shard.strangers);
        sum_into(&mut self.closed, CloseReason::all().map(|reason| reason.to_string()), &shard.closed);
        self.lifetime.add(&shard.lifetime);
        self.open = self.accepted.saturating_sub(self.closed.values().sum());
    }
}

fn sum_into<K: Ord>(sums: &mut BTreeMap<K, u64>, names: impl IntoIterator<Item = K>, counters: &[Counter]) {
    for (name, counter) in names.into_iter().zip(counters) {
        match counter.get() {
            0 => {}
            n => *sums.entry(name).or_default() += n,
        }
    }
}
