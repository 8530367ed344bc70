//! What all shards share: for as long as the process lives, and for as long as the settings stay.

use std::sync::Arc;

use teleferry_proto::rpc::AdTag;
use tokio::sync::watch;

use crate::back::{self, Back};
use crate::backend::{Board, Book, Endpoints, Front, Health};
use crate::client::Door;
use crate::config::{ListenAddress, Listener, Protocols, ProxyProtocol, Role, Snapshot};
use crate::cover;
use crate::gate::{Gate, Policy};
use crate::identity::Flaw;
use crate::listen::Ceiling;
use crate::net::Memory;
use crate::telegram::Known;

/// What lives as long as the process. Touched once a connection, and where a peer is slow.
#[derive(Debug)]
pub(crate) struct Shared {
    /// How many shards there are.
    pub(crate) shards: usize,
    /// What is known of the data centres' own addresses.
    pub(crate) health: Health,
    /// Which middle proxies failed lately.
    pub(crate) endpoints: Endpoints,
    /// What links there are to middle proxies.
    pub(crate) board: Board,
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
    /// What is to be open: the listeners, or on a back the address for fronts.
    pub(crate) listeners: Vec<Listener>,
    /// What each of them asks, in their order.
    pub(crate) rules: Vec<Arc<Rules>>,
    /// What follows from being half a proxy.
    half: Half,
}

/// What follows from being half a proxy, or a whole one.
#[derive(Debug, Clone)]
pub(super) enum Half {
    /// A whole one.
    Both,
    /// The backs.
    Front(Arc<Front>),
    /// What fronts are asked.
    Back(Arc<Back>),
}

impl Half {
    /// What follows from a snapshot. From the settings `before` it keeps what has not changed.
    ///
    /// # Errors
    /// The certificates cannot be used.
    pub(super) fn new(snapshot: &Snapshot, before: Option<&Settings>) -> Result<Self, Flaw> {
        let before = before.map(|before| (&before.snapshot.role, &before.half));
        Ok(match &snapshot.role {
            Role::Both => Self::Both,
            Role::Front(front) => {
                let before = match &before {
                    Some((Role::Front(settings), Self::Front(front))) => Some((settings, &**front)),
                    _ => None,
                };
                Self::Front(Arc::new(Front::new(front, before)?))
            }
            Role::Back(back) => {
                let before = match &before {
                    Some((Role::Back(settings), Self::Back(back))) => Some((settings, &**back)),
                    _ => None,
                };
                Self::Back(Arc::new(Back::new(back, before)?))
            }
        })
    }
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
            health: Health::default(),
            endpoints: Endpoints::default(),
            board: Board::default(),
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
        half: Half,
        known: Option<watch::Receiver<Arc<Known>>>,
        cover: cover::Site,
        gate: &Gate,
    ) -> Self {
        let listeners = listeners(&snapshot);
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
            rules: listeners.iter().map(rules).collect(),
            listeners,
            half,
            snapshot,
        }
    }

    /// The backs, when this is a front.
    pub(crate) const fn front(&self) -> Option<&Arc<Front>> {
        match &self.half {
            Half::Front(front) => Some(front),
            Half::Both | Half::Back(_) => None,
        }
    }

    /// What fronts are asked, when this is a back.
    pub(crate) const fn back(&self) -> Option<&Arc<Back>> {
        match &self.half {
            Half::Back(back) => Some(back),
            Half::Both | Half::Front(_) => None,
        }
    }
}

/// What these settings ask to be open.
pub(super) fn listeners(snapshot: &Snapshot) -> Vec<Listener> {
    let Role::Back(back) = &snapshot.role else { return snapshot.listeners.clone() };
    vec![Listener {
        name: back::LISTENER.to_owned(),
        addresses: back.listen.iter().copied().map(ListenAddress::Inet).collect(),
        secrets: Vec::new(),
        ad_tag: None,
        protocols: Protocols { tls: false, secure: false, classic: false },
        domain: None,
        max_connections: snapshot.server.max_connections,
        proxy_protocol: ProxyProtocol::Off,
        proxy_protocol_from: Vec::new(),
    }]
}
