//! What all shards share: for as long as the process lives, and for as long as the settings stay.

use std::sync::Arc;

use teleferry_proto::rpc::AdTag;
use tokio::sync::watch;

use crate::backend::{Book, Endpoints};
use crate::client::Door;
use crate::config::{Listener, Snapshot};
use crate::cover;
use crate::gate::{Gate, Policy};
use crate::listen::Ceiling;
use crate::net::Memory;
use crate::telegram::Known;

/// What lives as long as the process. Touched once a connection, and where a peer is slow.
#[derive(Debug)]
pub(crate) struct Shared {
    /// How many shards there are.
    pub(crate) shards: usize,
    /// Which middle proxies failed lately.
    pub(crate) endpoints: Endpoints,
    /// What waits for slow peers.
    pub(crate) memory: Arc<Memory>,
    /// The ceiling over all listeners.
    pub(crate) ceiling: Ceiling,
    /// Whom it knows, and what it counts.
    pub(crate) gate: Arc<Gate>,
}

/// The settings and what follows from them. It never changes: a reload makes a new one, and every shard takes it up.
#[derive(Debug)]
pub(crate) struct Settings {
    /// What the operator said.
    pub(crate) snapshot: Arc<Snapshot>,
    /// Where the data centres are.
    pub(crate) book: Book,
    /// What is known of Telegram; `None` when middle proxies were never used.
    pub(crate) known: Option<watch::Receiver<Arc<Known>>>,
    /// Where the cover site is.
    pub(crate) cover: cover::Site,
    /// What each listener asks, in the order of the snapshot.
    pub(crate) rules: Vec<Arc<Rules>>,
}

/// What a listener's settings mean for those who come from now on.
#[derive(Debug)]
pub(crate) struct Rules {
    /// What it asks of them.
    pub(crate) door: Door,
    /// The operator's rules.
    pub(crate) policy: Policy,
    /// What middle proxies are told with their messages.
    pub(crate) ad_tag: Option<AdTag>,
}

impl Shared {
    /// Shared by so many shards.
    pub(super) fn new(shards: usize, snapshot: &Arc<Snapshot>) -> Self {
        Self {
            shards,
            endpoints: Endpoints::default(),
            memory: Arc::new(Memory::new(snapshot.limits.memory)),
            ceiling: Ceiling::new(snapshot.server.max_connections),
            gate: Arc::new(Gate::new(snapshot)),
        }
    }

    /// Takes up new settings. Their tables have to be there before the rules that ask them.
    pub(super) fn follow(&self, snapshot: &Arc<Snapshot>) {
        self.memory.limit_to(snapshot.limits.memory);
        self.ceiling.limit_to(snapshot.server.max_connections);
        self.gate.follow(snapshot);
    }
}

impl Settings {
    /// What follows from a snapshot.
    pub(super) fn new(
        snapshot: Arc<Snapshot>,
        known: Option<watch::Receiver<Arc<Known>>>,
        cover: cover::Site,
        gate: &Gate,
    ) -> Self {
        let rules = |listener: &Listener| {
            Arc::new(Rules {
                door: Door::new(listener, &snapshot),
                policy: Policy::new(&snapshot, &listener.name, &gate.tables),
                ad_tag: listener.ad_tag,
            })
        };
        Self {
            book: Book::new(&snapshot.telegram),
            known,
            cover,
            rules: snapshot.listeners.iter().map(rules).collect(),
            snapshot,
        }
    }
}
