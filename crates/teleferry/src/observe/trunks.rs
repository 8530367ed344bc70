//! What is counted of the connections between fronts and backs.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::counters::Counter;
use crate::identity::{Cause, Refusal};

/// Other sides that one shard counts apart; further ones are counted together, without a name.
const MAX_PEERS: usize = 256;

/// Why a connection between front and back did not come about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrunkFailure {
    /// The other side's name has no address.
    Lookup,
    /// None of its addresses takes a connection.
    Unreachable,
    /// It did not answer in time.
    Silent,
    /// It closed the connection without a word.
    Closed,
    /// It speaks no HTTP/2.
    NoHttp2,
    /// One of the two refused the other, or it was no TLS.
    Refused(Refusal),
}

impl TrunkFailure {
    const KINDS: usize = Self::ALONE.len() + 2 * Cause::ALL.len();
    const ALONE: [Self; 5] = [Self::Lookup, Self::Unreachable, Self::Silent, Self::Closed, Self::NoHttp2];

    /// Each of them, in the order in which they are counted.
    fn all() -> impl Iterator<Item = Self> {
        let refusals = [false, true].into_iter().flat_map(|by_peer| {
            Cause::ALL.into_iter().map(move |cause| Self::Refused(Refusal { by_peer, cause }))
        });
        Self::ALONE.into_iter().chain(refusals)
    }

    /// Its place among all of them.
    const fn place(self) -> usize {
        match self {
            Self::Lookup => 0,
            Self::Unreachable => 1,
            Self::Silent => 2,
            Self::Closed => 3,
            Self::NoHttp2 => 4,
            Self::Refused(Refusal { by_peer, cause }) => {
                Self::ALONE.len() + cause as usize + if by_peer { Cause::ALL.len() } else { 0 }
            }
        }
    }

    /// Who gave up, and why: `self` or `peer`, and a word of a closed list.
    #[must_use]
    pub const fn labels(self) -> [&'static str; 2] {
        match self {
            Self::Lookup => ["self", "lookup"],
            Self::Unreachable => ["self", "unreachable"],
            Self::Silent => ["self", "silent"],
            Self::Closed => ["peer", "closed"],
            Self::NoHttp2 => ["self", "no_http2"],
            Self::Refused(Refusal { by_peer, cause }) => {
                [if by_peer { "peer" } else { "self" }, cause.name()]
            }
        }
    }
}

/// Why a session was not taken over a connection that there was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallRefusal {
    /// Whoever asked has shown neither certificate nor token.
    Stranger,
    /// The other side speaks another version.
    Version,
    /// The back has as many as it may, or stops.
    Unavailable,
    /// What was said cannot be understood.
    Garbled,
    /// Nothing was said in time.
    Silent,
    /// The connection ended before.
    Lost,
    /// Something else.
    Other,
}

impl CallRefusal {
    const ALL: [Self; 7] = [
        Self::Stranger,
        Self::Version,
        Self::Unavailable,
        Self::Garbled,
        Self::Silent,
        Self::Lost,
        Self::Other,
    ];

    /// A word of a closed list.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Stranger => "stranger",
            Self::Version => "version",
            Self::Unavailable => "unavailable",
            Self::Garbled => "garbled",
            Self::Silent => "silent",
            Self::Lost => "lost",
            Self::Other => "other",
        }
    }
}

/// Sessions that were not taken, counted by why.
#[derive(Debug, Default)]
pub struct CallRefusals([Counter; CallRefusal::ALL.len()]);

impl CallRefusals {
    /// Counts one.
    pub fn add(&self, why: CallRefusal) {
        self.0[why as usize].add(1);
    }
}

/// The same, summed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CallRefusalCounts([u64; CallRefusal::ALL.len()]);

impl CallRefusalCounts {
    /// How many there were for any reason.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// Those that there were, with their number.
    pub fn iter(&self) -> impl Iterator<Item = (CallRefusal, u64)> + '_ {
        CallRefusal::ALL.into_iter().zip(self.0).filter(|(_, count)| *count > 0)
    }
}

/// Failures, counted by their kind.
#[derive(Debug, Default)]
pub struct Failures([Counter; TrunkFailure::KINDS]);

impl Failures {
    /// Counts one.
    pub fn add(&self, failure: TrunkFailure) {
        if let Some(counter) = self.0.get(failure.place()) {
            counter.add(1);
        }
    }
}

/// The same, summed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FailureCounts([u64; TrunkFailure::KINDS]);

impl FailureCounts {
    /// How many there were of any kind.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// Those that there were, with their number.
    pub fn iter(&self) -> impl Iterator<Item = (TrunkFailure, u64)> + '_ {
        TrunkFailure::all().zip(self.0).filter(|(_, count)| *count > 0)
    }
}

/// What one shard counts of one other side: on a front of a back, by its address; on a back of a front, by the name in its
/// certificate.
#[derive(Debug, Default)]
pub struct TrunkCounters {
    /// Connections that came about.
    pub opened: Counter,
    /// Connections that ended after that.
    pub closed: Counter,
    /// Connections that did not come about.
    pub failed: Failures,
    /// Sessions that were put on a connection, for the first time or again.
    pub calls: Counter,
    /// Sessions that left it, for whatever reason.
    pub ended: Counter,
    /// Of those: because they moved elsewhere.
    pub moved: Counter,
    /// Calls that the other side would not take, or that were not taken from it.
    pub refused: CallRefusals,
    /// Sessions whose link to Telegram went away under them and that were moved to another.
    pub migrated: Counter,
    /// Bytes that came through the sockets, as they are on the wire.
    pub received: Counter,
    /// Bytes that went through the sockets.
    pub sent: Counter,
    /// How long the other side last took to answer, in microseconds; 0: not known.
    round_trip: AtomicU64,
    /// Connections that take sessions.
    ready: AtomicU32,
}

/// The same, summed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TrunkCounts {
    /// Connections that are open.
    pub open: u64,
    /// Connections that came about.
    pub opened: u64,
    /// Connections that did not come about.
    pub failed: FailureCounts,
    /// Sessions on them.
    pub sessions: u64,
    /// Sessions that were put on a connection.
    pub calls: u64,
    /// Sessions that moved elsewhere.
    pub moved: u64,
    /// Calls that the other side would not take, or that were not taken from it.
    pub refused: CallRefusalCounts,
    /// Sessions that changed their link to Telegram.
    pub migrated: u64,
    /// Bytes that came.
    pub received: u64,
    /// Bytes that went.
    pub sent: u64,
    /// Connections that take sessions.
    pub ready: u64,
    /// The longest of the shards' last round trips; zero when none is known.
    pub round_trip: Duration,
}

impl TrunkCounters {
    /// The other side took this long to answer.
    pub fn answered_after(&self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.round_trip.store(micros.max(1), Relaxed);
    }

    /// So many connections take sessions.
    pub fn set_ready(&self, connections: usize) {
        self.ready.store(u32::try_from(connections).unwrap_or(u32::MAX), Relaxed);
    }
}

impl TrunkCounts {
    /// Adds what one shard counted.
    pub fn add(&mut self, shard: &TrunkCounters) {
        for (sum, counter) in [
            (&mut self.opened, &shard.opened),
            (&mut self.calls, &shard.calls),
            (&mut self.moved, &shard.moved),
            (&mut self.migrated, &shard.migrated),
            (&mut self.received, &shard.received),
            (&mut self.sent, &shard.sent),
        ] {
            *sum += counter.get();
        }
        for (sum, counter) in self.failed.0.iter_mut().zip(&shard.failed.0) {
            *sum += counter.get();
        }
        for (sum, counter) in self.refused.0.iter_mut().zip(&shard.refused.0) {
            *sum += counter.get();
        }
        self.open += shard.opened.get().saturating_sub(shard.closed.get());
        self.sessions += shard.calls.get().saturating_sub(shard.ended.get());
        self.ready += u64::from(shard.ready.load(Relaxed));
        self.round_trip = self.round_trip.max(Duration::from_micros(shard.round_trip.load(Relaxed)));
    }
}

/// One shard's counters by other side. Locked once a connection.
#[derive(Debug, Default)]
pub struct TrunkTable(Mutex<BTreeMap<String, Arc<TrunkCounters>>>);

impl TrunkTable {
    /// The counters of one other side.
    pub fn of(&self, peer: &str) -> Arc<TrunkCounters> {
        let mut peers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let peer = if peers.contains_key(peer) || peers.len() < MAX_PEERS { peer } else { "" };
        Arc::clone(peers.entry(peer.to_owned()).or_default())
    }

    /// Adds them to a table of sums.
    pub fn add_to(&self, sums: &mut BTreeMap<String, TrunkCounts>) {
        for (peer, counters) in &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            sums.entry(peer.clone()).or_default().add(counters);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_counted_by_their_kind() {
        let table = TrunkTable::default();
        for (times, failure) in TrunkFailure::all().enumerate() {
            (0..=times).for_each(|_| table.of("a").failed.add(failure));
        }
        let mut sums = BTreeMap::new();
        table.add_to(&mut sums);
        let failed = &sums["a"].failed;
        let expected: Vec<_> = TrunkFailure::all().zip(1..).collect();
        assert_eq!(failed.iter().collect::<Vec<_>>(), expected);
        assert_eq!(expected.len(), TrunkFailure::KINDS);
        assert_eq!(failed.total(), expected.iter().map(|(_, times)| times).sum::<u64>());
        let labels: std::collections::BTreeSet<_> = TrunkFailure::all().map(TrunkFailure::labels).collect();
        assert_eq!(labels.len(), TrunkFailure::KINDS);
    }

    #[test]
    fn refusals_are_counted_by_why() {
        let table = TrunkTable::default();
        for (times, why) in CallRefusal::ALL.into_iter().enumerate() {
            (0..=times).for_each(|_| table.of("a").refused.add(why));
        }
        let mut sums = BTreeMap::new();
        table.add_to(&mut sums);
        let expected: Vec<_> = CallRefusal::ALL.into_iter().zip(1..).collect();
        assert_eq!(sums["a"].refused.iter().collect::<Vec<_>>(), expected);
        assert_eq!(sums["a"].refused.total(), 28);
    }

    #[test]
    fn other_sides_are_counted_apart_up_to_a_bound() {
        let (a, b) = (TrunkTable::default(), TrunkTable::default());
        for number in 0..1000 {
            a.of(&format!("front-{number}")).calls.add(1);
        }
        b.of("front-1").calls.add(2);
        let mut sums = BTreeMap::new();
        a.add_to(&mut sums);
        b.add_to(&mut sums);
        assert_eq!(sums.len(), MAX_PEERS + 1);
        assert_eq!(sums["front-1"].sessions, 3);
        assert_eq!(sums[""].sessions, 1000 - MAX_PEERS as u64);
    }
}
