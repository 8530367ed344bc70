//! The whole server: opens what the settings name, starts the shards, stops them.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::sync::watch;

use crate::backend::{Book, Endpoints};
use crate::client::Door;
use crate::config::{CoverHost, ListenAddress, Mode, Snapshot};
use crate::cover;
use crate::listen::{self, Ceiling};
use crate::net::Memory;
use crate::observe::{Counts, LinkCounters, LinkCounts, ListenerCounters};
use crate::shard::{self, Advance as _, Phase, Seat};
use crate::telegram::{Feed, Fetching, Known};

/// What all shards share. Immutable, or touched once a connection.
#[derive(Debug)]
pub(crate) struct Shared {
    /// The settings.
    pub(crate) snapshot: Arc<Snapshot>,
    /// How many shards there are.
    pub(crate) shards: usize,
    /// Where the data centres are.
    pub(crate) book: Book,
    /// What is known of Telegram; `None` when middle proxies are not used.
    pub(crate) known: Option<watch::Receiver<Arc<Known>>>,
    /// Which middle proxies failed lately.
    pub(crate) endpoints: Endpoints,
    /// What waits for slow peers.
    pub(crate) memory: Arc<Memory>,
    /// Where the cover site is.
    pub(crate) cover: cover::Site,
    /// The ceiling over all listeners.
    pub(crate) ceiling: Ceiling,
    /// One door a listener.
    pub(crate) doors: Vec<Door>,
    /// One ceiling a listener.
    pub(crate) listener_ceilings: Vec<Ceiling>,
}

/// A running server. Dropping it without [`stop`](Self::stop) cuts every connection.
#[derive(Debug)]
pub struct Server {
    shared: Arc<Shared>,
    phase: watch::Sender<Phase>,
    threads: Vec<JoinHandle<()>>,
    addresses: Vec<(String, ListenAddress)>,
    /// By listener, then by shard.
    counters: Vec<Vec<Arc<ListenerCounters>>>,
    /// By shard.
    links: Vec<Arc<LinkCounters>>,
    /// Keeps what is known of Telegram fresh.
    fetching: Option<Fetching>,
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
    /// No thread could be started.
    Thread(io::Error),
}

impl Server {
    /// Opens every listener and starts the shards. Returns once all listen; needs no network.
    ///
    /// # Errors
    /// An address cannot be opened, or the system refuses a thread.
    pub fn start(snapshot: Arc<Snapshot>) -> Result<Self, StartError> {
        let shards = worker_count(snapshot.server.workers);
        let (mut seats, addresses) = open_listeners(&snapshot, shards)?;
        let counters: Vec<Vec<Arc<ListenerCounters>>> =
            snapshot.listeners.iter().map(|_| (0..shards).map(|_| Arc::default()).collect()).collect();
        for seat in &mut seats {
            seat.counters = counters.iter().map(|of_shards| Arc::clone(&of_shards[seat.number])).collect();
        }
        let links = seats.iter().map(|seat| Arc::clone(&seat.links)).collect();
        let feed = (snapshot.telegram.mode != Mode::Direct).then(|| Feed::new(&snapshot));
        let (phase, receiver) = watch::channel(Phase::Running);
        let own = cover::Own::new(
            addresses.iter().map(|(_, address)| address),
            snapshot.telegram.external_ip.iter(),
            feed.as_ref().map(Feed::known),
        );
        let shared = Arc::new(Shared {
            shards,
            book: Book::new(&snapshot.telegram),
            known: feed.as_ref().map(Feed::known),
            endpoints: Endpoints::default(),
            memory: Arc::new(Memory::new(snapshot.limits.memory)),
            cover: cover::Site::start(&snapshot, own).map_err(|error| match error {
                cover::SiteError::Loop(host) => StartError::CoverLoop(host),
                cover::SiteError::Thread(error) => StartError::Thread(error),
            })?,
            doors: snapshot.listeners.iter().map(|l| Door::new(l, &snapshot.handshake)).collect(),
            ceiling: Ceiling::new(snapshot.server.max_connections),
            listener_ceilings: snapshot.listeners.iter().map(|l| Ceiling::new(l.max_connections)).collect(),
            snapshot,
        });
        let mut server =
            Self { shared, phase, threads: Vec::new(), addresses, counters, links, fetching: None };
        for seat in seats {
            let thread = shard::start(seat, Arc::clone(&server.shared), receiver.clone());
            server.threads.push(thread.map_err(StartError::Thread)?);
        }
        server.fetching = feed.map(Feed::start).transpose().map_err(StartError::Thread)?;
        Ok(server)
    }

    /// Every open address with the name of its listener.
    #[must_use]
    pub fn addresses(&self) -> &[(String, ListenAddress)] {
        &self.addresses
    }

    /// The counters of one listener, summed over the shards; `None` when there is no listener of that name.
    #[must_use]
    pub fn counts(&self, listener: &str) -> Option<Counts> {
        let index = self.shared.snapshot.listeners.iter().position(|l| l.name == listener)?;
        let mut counts = Counts::default();
        for shard in self.counters.get(index)? {
            counts.add(shard);
        }
        Some(counts)
    }

    /// What is known of Telegram, now and from now on; `None` when middle proxies are not used.
    #[must_use]
    pub fn known(&self) -> Option<watch::Receiver<Arc<Known>>> {
        self.shared.known.clone()
    }

    /// The counters of the links to middle proxies, summed over the shards.
    #[must_use]
    pub fn links(&self) -> LinkCounts {
        let memory = &self.shared.memory;
        let mut counts =
            LinkCounts { queued: memory.used() as u64, pauses: memory.pauses(), ..LinkCounts::default() };
        self.links.iter().for_each(|shard| counts.add(shard));
        counts
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
        if over.recv_timeout(self.shared.snapshot.server.drain)
            == Err(std::sync::mpsc::RecvTimeoutError::Timeout)
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
    }
}

/// The number of shards: as configured, or one a core.
pub(crate) fn worker_count(configured: usize) -> usize {
    match configured {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        n => n,
    }
}

type Opened = (Vec<Seat>, Vec<(String, ListenAddress)>);

fn open_listeners(snapshot: &Snapshot, shards: usize) -> Result<Opened, StartError> {
    let mut seats: Vec<_> = (0..shards)
        .map(|number| Seat { number, sockets: Vec::new(), counters: Vec::new(), links: Arc::default() })
        .collect();
    let mut addresses = Vec::new();
    for (index, listener) in snapshot.listeners.iter().enumerate() {
        for address in &listener.addresses {
            let opened = listen::open(address, shards).map_err(|error| StartError::Listen {
                listener: listener.name.clone(),
                address: address.clone(),
                error,
            })?;
            addresses.push((listener.name.clone(), opened.address));
            for (socket, shard) in opened.sockets.into_iter().zip((0..shards).cycle()) {
                seats[shard].sockets.push((index, socket));
            }
        }
    }
    Ok((seats, addresses))
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
            Self::Thread(error) => write!(f, "no worker thread can be started: {error}"),
        }
    }
}

impl std::error::Error for StartError {}
