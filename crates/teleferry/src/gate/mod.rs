//! May a client that proved itself come in? Asked after the proof and before any byte is answered.

mod clock_window;
mod limits;
mod policy;
mod replay;
mod tables;
mod upkeep;

use std::net::IpAddr;
use std::sync::Arc;

use tokio::sync::watch;

pub(crate) use clock_window::ClockWindow;
pub(crate) use limits::Handshake;
pub(crate) use policy::{Candidate, Claim, Policy};
pub use replay::ReplayCounts;
pub(crate) use replay::{Recall, Replay};
pub use tables::{TableError, TableSize, Tables};
pub(crate) use upkeep::Upkeep;

use crate::config::Snapshot;
use limits::{Arrivals, Handshakes};
use policy::{Counters, Refused};

/// What the gate knows, for as long as the process lives. Touched once a handshake.
#[derive(Debug)]
pub(crate) struct Gate {
    /// Which first flights there were.
    pub(crate) replay: Replay,
    /// The tables of the rules.
    pub(crate) tables: Arc<Tables>,
    counters: Arc<Counters>,
    handshakes: Arc<Handshakes>,
    arrivals: Arrivals,
    settings: watch::Sender<Arc<Snapshot>>,
}

/// What the gate counts, over all listeners.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GateCounts {
    /// The memory of first flights.
    pub replay: ReplayCounts,
    /// Connections that are proving themselves now.
    pub handshakes: usize,
    /// Groups of connections that rules count by, and that have connections now.
    pub groups: usize,
    /// Connections in these groups; one that several rules count is there several times.
    pub claims: usize,
    /// Every table and its size.
    pub tables: Vec<TableSize>,
}

impl Gate {
    /// Begins with what an earlier process kept in the state directory.
    pub(crate) fn new(snapshot: &Arc<Snapshot>) -> Self {
        let directory = &snapshot.server.state_dir;
        Self {
            replay: Replay::new(&snapshot.replay, directory),
            tables: Arc::new(Tables::new(&snapshot.tables, directory)),
            counters: Arc::new(Counters::new()),
            handshakes: Arc::new(Handshakes::new(&snapshot.limits)),
            arrivals: Arrivals::new(&snapshot.limits),
            settings: watch::Sender::new(Arc::clone(snapshot)),
        }
    }

    /// Takes up new settings. What is remembered and counted stays so.
    pub(crate) fn follow(&self, snapshot: &Arc<Snapshot>) {
        self.replay.configure(&snapshot.replay);
        self.tables.configure(&snapshot.tables);
        self.handshakes.follow(&snapshot.limits);
        self.arrivals.follow(&snapshot.limits);
        self.settings.send_replace(Arc::clone(snapshot));
    }

    /// A place among those that are proving themselves; `None` when there are too many.
    pub(crate) fn begin(&self) -> Option<Handshake> {
        self.handshakes.begin()
    }

    /// Whether one more connection may come from an address now.
    pub(crate) fn arrives(&self, address: IpAddr) -> bool {
        self.arrivals.admit(address)
    }

    /// Asks the rules of a listener about a client. What they count is given back when the claims are dropped.
    ///
    /// # Errors
    /// It may not come in.
    pub(crate) fn admit(&self, policy: &Policy, candidate: &Candidate<'_>) -> Result<Vec<Claim>, Refused> {
        policy.admit(candidate, &self.counters)
    }

    /// What is counted now.
    pub(crate) fn counts(&self) -> GateCounts {
        let (groups, claims) = self.counters.totals();
        GateCounts {
            replay: self.replay.counts(),
            handshakes: self.handshakes.count(),
            groups,
            claims,
            tables: self.tables.sizes(),
        }
    }
}
