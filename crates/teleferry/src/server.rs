//! The whole server: opens what the settings name, starts the shards, takes up new settings, stops.

mod addresses;
mod reload;
mod settings;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Instant;

use arc_swap::ArcSwap;
use tokio::sync::{Mutex, mpsc, watch};
use tracing::warn;

use settings::Half;
pub(crate) use settings::{Rules, Settings, Shared};

use crate::clock;
use crate::config::{CoverHost, ListenAddress, Mode, RoleKind, Snapshot};
use crate::control::{ReloadError, ReloadReport};
use crate::cover;
use crate::gate::{GateCounts, Tables, Upkeep};
use crate::identity::Flaw;
use crate::listen::{Handover, Registry};
use crate::observe::{Counts, LinkCounts, Reach, Reloads, ShardCounters, TrunkCounts};
use crate::reading::{ListenerReading, Observer};
use crate::shard::{self, Advance as _, Phase, Seat};
use crate::telegram::{Feed, Known};
use crate::upgrade::{Inheritance, Inherited};
use addresses::Plan;
use reload::Rebuild;

/// A running server. Dropping it without [`stop`](Self::stop) cuts every connection.
#[derive(Debug)]
pub struct Server {
    shared: Arc<Shared>,
    /// What anybody may read while a reload replaces it.
    published: Arc<ArcSwap<Published>>,
    registry: Arc<Registry>,
    phase: watch::Sender<Phase>,
    /// Ends once no shard takes connections any more.
    accepting: Mutex<mpsc::Receiver<()>>,
    threads: Vec<JoinHandle<()>>,
    watched: Arc<Watched>,
    /// What only a reload touches, and one at a time.
    rebuild: Mutex<Rebuild>,
    /// What the gate does by itself. Ends after the shards, so that what it keeps is all.
    upkeep: Option<Upkeep>,
}

/// What is in force.
#[derive(Debug)]
struct Published {
    settings: Arc<Settings>,
    /// Every open address with the name of its listener.
    addresses: Vec<(String, ListenAddress)>,
}

/// What can be looked at from any thread while the server runs, and a little longer.
#[derive(Debug)]
pub(crate) struct Watched {
    /// What all shards share.
    pub(crate) shared: Arc<Shared>,
    /// When it was started.
    pub(crate) started: Instant,
    published: Arc<ArcSwap<Published>>,
    registry: Arc<Registry>,
    /// By shard.
    pub(crate) shards: Vec<Arc<ShardCounters>>,
    /// How often the settings were read again.
    pub(crate) reloads: Reloads,
}

impl Watched {
    /// What is in force.
    pub(crate) fn settings(&self) -> Arc<Settings> {
        Arc::clone(&self.published.load().settings)
    }

    /// Every listener, with what it counted.
    pub(crate) fn listeners(&self) -> Vec<ListenerReading> {
        let published = self.published.load();
        let read = |name: String| {
            let counts = self.registry.counts(&name)?;
            let own = published.addresses.iter().filter(|(of, _)| *of == name);
            let addresses = own.map(|(_, address)| address.clone()).collect();
            Some(ListenerReading { name, addresses, counts })
        };
        self.registry.names().into_iter().filter_map(read).collect()
    }

    /// The connections between front and back, by the other side's name, summed over the shards.
    pub(crate) fn trunks(&self) -> BTreeMap<String, TrunkCounts> {
        let mut sums = BTreeMap::new();
        self.shards.iter().for_each(|shard| shard.trunks.add_to(&mut sums));
        sums
    }

    /// The counters of the links to middle proxies, summed over the shards.
    pub(crate) fn links(&self) -> LinkCounts {
        let memory = &self.shared.memory;
        let mut counts =
            LinkCounts { queued: memory.used() as u64, pauses: memory.pauses(), ..LinkCounts::default() };
        self.shards.iter().for_each(|shard| counts.add(&shard.links));
        counts
    }
}

/// Ends the waiting for connections that may end by themselves.
#[derive(Debug, Clone)]
pub struct Stopper(watch::Sender<Phase>);

impl Stopper {
    /// Ends every connection now.
    pub fn stop_now(&self) {
        self.0.advance(Phase::Closing);
    }
}

/// Why the server could not start. Nothing is left open.
#[derive(Debug)]
#[non_exhaustive]
pub enum StartError {
    /// A listener's address cannot be opened.
    Listen {
        /// The listener's name.
        listener: String,
        /// The address.
        address: ListenAddress,
        /// What the system says.
        error: io::Error,
    },
    /// The cover site is this server itself.
    CoverLoop(CoverHost),
    /// The certificates cannot be used.
    Identity(Flaw),
    /// No thread could be started.
    Thread(io::Error),
}

impl Server {
    /// Opens every listener and starts the shards. Returns once all listen; needs no network.
    ///
    /// # Errors
    /// An address cannot be opened, or the system refuses a thread.
    pub fn start(snapshot: Arc<Snapshot>) -> Result<Self, StartError> {
        Self::start_with(snapshot, &mut Inherited::default())
    }

    /// The same with sockets that an earlier process left.
    pub(crate) fn start_with(snapshot: Arc<Snapshot>, inherited: &mut Inherited) -> Result<Self, StartError> {
        let shards = worker_count(snapshot.server.workers);
        let mut rebuild = Rebuild::default();
        let half = Half::new(&snapshot, None)?;
        let Plan { addresses, sockets } =
            Plan::new(&settings::listeners(&snapshot), &[], shards, &mut rebuild.next_address, inherited)?;
        rebuild.addresses = addresses;
        rebuild.feed = uses_middle(&snapshot).then(|| Feed::new(&snapshot));
        let first = if inherited.is_awaited() { Phase::Starting } else { Phase::Running };
        let (phase, receiver) = watch::channel(first);
        let (accepting, accepting_ends) = mpsc::channel(1);
        let known = rebuild.feed.as_ref().map(Feed::known);
        let own = rebuild.own(&snapshot, known.clone());
        let site = cover::Site::start(&snapshot, own)?;
        let shared = Arc::new(Shared::new(shards, &snapshot));
        let settings = Arc::new(Settings::new(Arc::clone(&snapshot), half, known, site, &shared.gate));
        let registry = Arc::new(Registry::default());
        rebuild.open_accounts(&registry, shards, &settings);
        let started = clock::now();
        let watched = Arc::new(Watched {
            shared,
            started,
            published: Arc::new(ArcSwap::from_pointee(rebuild.publish(&settings))),
            registry,
            shards: (0..shards).map(|_| Arc::new(ShardCounters::new(started))).collect(),
            reloads: Reloads::default(),
        });
        let mut server = Self {
            shared: Arc::clone(&watched.shared),
            published: Arc::clone(&watched.published),
            registry: Arc::clone(&watched.registry),
            watched,
            phase,
            accepting: Mutex::new(accepting_ends),
            threads: Vec::new(),
            rebuild: Mutex::default(),
            upkeep: None,
        };
        let (done, _) = mpsc::channel(1);
        for (number, sockets) in sockets.into_iter().enumerate() {
            let (sender, words) = mpsc::unbounded_channel();
            rebuild.shards.push(sender);
            let counters = Arc::clone(&server.watched.shards[number]);
            let layout = rebuild.layout(&settings, sockets, done.clone());
            let accepting = accepting.clone();
            let seat = Seat { number, layout, words, counters, accepting };
            let thread = shard::start(seat, Arc::clone(&server.shared), receiver.clone());
            server.threads.push(thread.map_err(StartError::Thread)?);
        }
        if let Some(feed) = &mut rebuild.feed {
            feed.follow(&snapshot.telegram).map_err(StartError::Thread)?;
        }
        server.rebuild = Mutex::new(rebuild);
        let upkeep = Upkeep::start(Arc::clone(&server.shared.gate)).map_err(StartError::Thread)?;
        server.upkeep = Some(upkeep);
        Ok(server)
    }

    /// Takes up new settings as a whole, or refuses them as a whole. Returns once they are in force on every shard. No
    /// connection ends by it but those of listeners that are no more, and these have the drain time first.
    ///
    /// # Errors
    /// An address cannot be opened, or the system refuses a thread; everything stays as it was.
    pub async fn reload(&self, snapshot: Snapshot) -> Result<ReloadReport, ReloadError> {
        self.rebuild.lock().await.reload(self, snapshot).await
    }

    /// Copies of all listening sockets, for the process that takes this one's place.
    pub(crate) async fn lend_sockets(&self) -> Vec<Inheritance> {
        self.rebuild.lock().await.lend_sockets().await
    }

    /// Keeps for the process that takes this one's place what that one has to know, and nothing more from then on.
    pub(crate) fn leave(&self) {
        self.shared.gate.replay.leave();
    }

    /// Tells the process that takes this one's place who was let in meanwhile, once nobody is taken any more; it takes them from
    /// then on. Later ones, who are at the door already, are told it as they come in.
    pub(crate) async fn hand_on(&self, heir: Handover) {
        self.phase.advance(Phase::Draining);
        // Nothing is ever sent.
        let _ = self.accepting.lock().await.recv().await;
        self.shared.gate.replay.hand_on(heir);
    }

    /// Hears from the process whose place this one takes who was let in there; then takes connections.
    pub(crate) fn open_after(&self, before: Handover) {
        if let Err(error) = self.shared.gate.replay.inherit(before) {
            warn!(%error, "the process before does not tell whom it let in last");
        }
        self.phase.advance(Phase::Running);
    }

    /// No process took this one's place after all.
    pub(crate) fn stay(&self) {
        self.shared.gate.replay.stay();
    }

    /// Every open address with the name of its listener.
    #[must_use]
    pub fn addresses(&self) -> Vec<(String, ListenAddress)> {
        self.published.load().addresses.clone()
    }

    /// The settings in force.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.published.load().settings.snapshot)
    }

    /// A look at it from any thread.
    #[must_use]
    pub fn observer(&self) -> Observer {
        Observer::new(Arc::clone(&self.watched), self.phase.subscribe())
    }

    /// The counters of one listener, summed over the shards; `None` when there is no listener of that name. One that was
    /// removed is there until its last connection has ended.
    #[must_use]
    pub fn counts(&self, listener: &str) -> Option<Counts> {
        self.registry.counts(listener)
    }

    /// The names of the listeners that have [counts](Self::counts).
    #[must_use]
    pub fn listeners(&self) -> Vec<String> {
        self.registry.names()
    }

    /// What is known of Telegram, now and from now on; `None` when middle proxies are not used.
    #[must_use]
    pub fn known(&self) -> Option<watch::Receiver<Arc<Known>>> {
        let settings = &self.published.load().settings;
        settings.known.clone().filter(|_| uses_middle(&settings.snapshot))
    }

    /// The counters of the links to middle proxies, summed over the shards.
    #[must_use]
    pub fn links(&self) -> LinkCounts {
        self.watched.links()
    }

    /// The connections between front and back, by the other side's name, summed over the shards.
    #[must_use]
    pub fn trunks(&self) -> BTreeMap<String, TrunkCounts> {
        self.watched.trunks()
    }

    /// Which ways to Telegram work, by data centre: those of the address book and those that middle proxies are published
    /// for. With `mode = "auto"` direct connections are tried in the background; else only clients find out.
    #[must_use]
    pub fn reach(&self) -> Vec<Reach> {
        let Shared { health, board, .. } = &*self.shared;
        let settings = Arc::clone(&self.published.load().settings);
        let Settings { book, known, .. } = &*settings;
        let published = known.as_ref().map(|known| Arc::clone(&known.borrow()));
        let published = published.iter().flat_map(|known| known.middle_proxies().iter().map(|(dc, _)| dc));
        let ids: BTreeSet<_> = book.ids().chain(published).collect();
        let mut notices = board.read();
        let of = |dc| {
            let (direct, direct_error) =
                health.direct(&book.find(dc).map(|found| found.addresses).unwrap_or_default());
            let notice = notices.remove(&dc).unwrap_or_default();
            let middle_links = notice.ready();
            Reach { dc: dc.get(), middle_links, middle_error: notice.last_error, direct, direct_error }
        };
        ids.into_iter().map(of).collect()
    }

    /// What the gate remembers and counts, over all listeners.
    #[must_use]
    pub fn gate(&self) -> GateCounts {
        self.shared.gate.counts()
    }

    /// The tables of the rules, to be looked at and changed.
    #[must_use]
    pub fn tables(&self) -> Arc<Tables> {
        Arc::clone(&self.shared.gate.tables)
    }

    /// A way to stop at once while [`stop`](Self::stop) still waits.
    #[must_use]
    pub fn stopper(&self) -> Stopper {
        Stopper(self.phase.clone())
    }

    /// Stops: accepts nothing more, lets connections end by themselves for the configured time, then ends them. Blocks
    /// until all is over.
    pub fn stop(mut self) {
        self.phase.advance(Phase::Draining);
        let threads = std::mem::take(&mut self.threads);
        let (all_over, over) = std::sync::mpsc::channel::<()>();
        let joining = std::thread::spawn(move || {
            for thread in threads {
                // A shard that panicked is over too.
                let _ = thread.join();
            }
            drop(all_over);
        });
        if over.recv_timeout(self.snapshot().server.drain) == Err(std::sync::mpsc::RecvTimeoutError::Timeout)
        {
            self.phase.advance(Phase::Closing);
        }
        let _ = joining.join();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.phase.advance(Phase::Closing);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
        self.upkeep.take();
    }
}

/// The number of shards: as configured, or one a core.
pub(crate) fn worker_count(configured: usize) -> usize {
    match configured {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        n => n,
    }
}

/// Whether sessions are taken to middle proxies from here.
fn uses_middle(snapshot: &Snapshot) -> bool {
    snapshot.telegram.mode != Mode::Direct && snapshot.role.kind() != RoleKind::Front
}

impl From<Flaw> for StartError {
    fn from(flaw: Flaw) -> Self {
        Self::Identity(flaw)
    }
}

impl From<cover::SiteError> for StartError {
    fn from(error: cover::SiteError) -> Self {
        match error {
            cover::SiteError::Loop(host) => Self::CoverLoop(host),
            cover::SiteError::Thread(error) => Self::Thread(error),
        }
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listen { listener, address, error } => {
                write!(f, "listener \"{listener}\" cannot open {address}: {error}")?;
                let advice = match error.kind() {
                    io::ErrorKind::AddrInUse => {
                        "another program listens there: stop it, or choose another port"
                    }
                    io::ErrorKind::AddrNotAvailable => "this machine does not have that address",
                    io::ErrorKind::PermissionDenied => {
                        "ports below 1024 need root or the capability CAP_NET_BIND_SERVICE"
                    }
                    _ => return Ok(()),
                };
                write!(f, " ({advice})")
            }
            Self::CoverLoop(host) => write!(
                f,
                "cover.target ({host}) leads back to this server: set it to the address of the web server itself"
            ),
            Self::Identity(flaw) => write!(f, "the certificates of role.tls cannot be used: {flaw}"),
            Self::Thread(error) => write!(f, "no worker thread can be started: {error}"),
        }
    }
}

impl std::error::Error for StartError {}
