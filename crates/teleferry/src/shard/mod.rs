//! Worker threads. Each has its own single-threaded runtime, its own listening sockets and its own sessions: a session
//! lives and dies on one shard, and nothing on its data path is shared with another.

mod listeners;
mod punctual;
mod sweep;
mod thread;
mod tide;

use std::cell::{Cell, Ref, RefCell, RefMut};
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Context;

use teleferry_proto::dc::DcId;
use tokio::sync::{Notify, watch};

pub(crate) use listeners::{AddressId, Layout, Listener, Owner, Word};
pub(crate) use sweep::{Alarm, Expiry, Group, Moment};
pub(crate) use thread::{Seat, start};

use crate::back::Back;
use crate::backend::{Backs, Destination, Pools, Workbench};
use crate::config::Snapshot;
use crate::cover;
use crate::listen::Ceiling;
use crate::net::Pipes;
use crate::observe::{LinkCounters, ShardCounters, Throttle};
use crate::server::{Settings, Shared};
use crate::sys;
use listeners::Listeners;
use punctual::Punctual;
use sweep::Sweep;
use tide::Tide;

/// Bytes of the scratch buffer that every read of a shard goes through. A session uses what four full TLS records and the
/// headroom in front of them need, which stays in the core's nearest cache; a link to a middle proxy uses all of it.
pub(crate) const SCRATCH: usize = 256 << 10;

/// How far the server is with stopping.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// Everything is open, and nobody is taken yet: another process still does.
    Starting,
    /// Accepting and relaying.
    Running,
    /// No new connections; those that are there may end by themselves.
    Draining,
    /// Everything ends now.
    Closing,
}

/// Going on to a phase; there is no way back, whoever is faster.
pub(crate) trait Advance {
    /// Goes on to `phase`, unless it is further already.
    fn advance(&self, phase: Phase);
}

impl Advance for watch::Sender<Phase> {
    fn advance(&self, phase: Phase) {
        self.send_if_modified(|current| {
            let further = phase > *current;
            *current = phase.max(*current);
            further
        });
    }
}

/// Has the task polled again, once the system was asked what is ready and those who are had their turn. Waking the task
/// itself would bring it back at once: the runtime looks at sockets only when nobody is awake, or after 61 turns.
pub(crate) fn take_turns(cx: &mut Context<'_>) {
    // The first poll asks for it and is always pending.
    let _ = pin!(tokio::task::yield_now()).poll(cx);
}

/// What the sessions of one thread share.
#[derive(Debug)]
pub(crate) struct Shard {
    /// What all shards share.
    pub(crate) shared: Arc<Shared>,
    /// Log lines that strangers can cause.
    pub(crate) throttles: Throttles,
    /// The links to middle proxies.
    pub(crate) pools: Pools,
    /// The connections to backs.
    backs: Rc<Backs>,
    /// The settings in force, this shard's own handle to them: looking into them costs no atomic.
    settings: RefCell<Arc<Settings>>,
    listeners: Listeners,
    /// Its number, from 0.
    number: usize,
    counters: Arc<ShardCounters>,
    sweep: Rc<Sweep>,
    punctual: Punctual,
    scratch: RefCell<Box<[u8]>>,
    workbench: RefCell<Workbench>,
    pipes: Rc<Pipes>,
    phase: watch::Receiver<Phase>,
    live: Live,
    tide: Tide,
    next_session: Cell<u64>,
}

/// One for each kind of log line that is said at `warn` and that others can cause.
#[derive(Debug, Default)]
pub(crate) struct Throttles {
    /// The cover site's address leads back to us.
    pub(crate) cover_loop: Throttle,
    /// The cover site cannot be reached.
    pub(crate) cover_unreachable: Throttle,
    /// A data centre cannot be reached.
    pub(crate) dc_unreachable: Throttle,
    /// A data centre took a request and answered nothing.
    pub(crate) dc_silent: Throttle,
    /// A client asked for an unknown data centre.
    pub(crate) dc_unknown: Throttle,
    /// A middle proxy's clock is not ours.
    pub(crate) middle_clock: Throttle,
    /// No middle proxy of a data centre can be used.
    pub(crate) middle_unusable: Throttle,
    /// A middle proxy refuses us.
    pub(crate) middle_refused: Throttle,
    /// The system has no descriptor or memory left.
    pub(crate) exhausted: Throttle,
    /// A back cannot be used.
    pub(crate) back_unusable: Throttle,
    /// A back takes no session of ours.
    pub(crate) back_refuses: Throttle,
    /// A certificate of somebody who would be a front was refused.
    pub(crate) front_refused: Throttle,
    /// Hellos whose time is outside the window.
    pub(crate) skewed_clock: Throttle,
}

/// The moment when the server stops accepting, to be waited for over and over.
#[derive(Debug)]
pub(crate) struct Stopping(watch::Receiver<Phase>);

impl Stopping {
    /// Resolves once the server does not run any more.
    pub(crate) async fn wait(&mut self) {
        // The sender lives as long as the server; were it gone, stopping is right too.
        let _ = self.0.wait_for(|phase| *phase > Phase::Running).await;
    }
}

/// How many connections live on the shard.
#[derive(Debug, Default)]
struct Live {
    count: Cell<usize>,
    none_left: Notify,
}

/// A connection's share in [`Live`]. Given back when dropped.
#[derive(Debug)]
pub(crate) struct Alive(Rc<Shard>);

impl Shard {
    fn new(
        shared: Arc<Shared>,
        settings: Arc<Settings>,
        phase: watch::Receiver<Phase>,
        number: usize,
        counters: Arc<ShardCounters>,
    ) -> Self {
        Self {
            pools: Pools::new(number, shared.shards),
            backs: Rc::default(),
            settings: RefCell::new(settings),
            listeners: Listeners::default(),
            number,
            counters,
            shared,
            throttles: Throttles::default(),
            sweep: Rc::default(),
            punctual: Punctual::new(),
            scratch: RefCell::new(vec![0; SCRATCH].into()),
            workbench: RefCell::default(),
            pipes: Rc::default(),
            phase,
            live: Live::default(),
            tide: Tide::of(number),
            next_session: Cell::new((number as u64) << 48),
        }
    }

    /// Is from now on what the layout says; returns once it is.
    async fn take_up(self: &Rc<Self>, layout: Layout) {
        self.settings.replace(Arc::clone(&layout.settings));
        self.pools.follow(self, layout.settings.known.clone());
        self.backs.follow(self, layout.settings.front().cloned());
        self.listeners.take_up(self, layout).await;
    }

    /// The settings in force. Never held across an await.
    pub(crate) fn settings(&self) -> Ref<'_, Snapshot> {
        Ref::map(self.settings.borrow(), |settings| &*settings.snapshot)
    }

    /// The backs, when this is a front.
    pub(crate) fn backs(&self) -> Option<Rc<Backs>> {
        self.settings.borrow().front().map(|_| Rc::clone(&self.backs))
    }

    /// What a back asks of fronts, when this is one.
    pub(crate) fn back(&self) -> Option<Arc<Back>> {
        self.settings.borrow().back().cloned()
    }

    /// Where the cover site is.
    pub(crate) fn cover(&self) -> cover::Site {
        self.settings.borrow().cover.clone()
    }

    /// Where to take a client that asks for a data centre; `None` when it is unknown.
    pub(crate) fn find_dc(&self, dc: DcId) -> Option<Destination> {
        self.settings.borrow().book.find(dc)
    }

    /// The first address of a data centre's own that `wanted` gives.
    pub(crate) fn find_dc_address(
        &self,
        wanted: impl Fn(&[SocketAddr]) -> Option<SocketAddr>,
    ) -> Option<SocketAddr> {
        let book = &self.settings.borrow().book;
        book.ids().filter_map(|dc| book.find(dc)).find_map(|found| wanted(&found.addresses))
    }

    /// The ceiling over all listeners.
    pub(crate) fn ceiling(&self) -> &Ceiling {
        &self.shared.ceiling
    }

    /// A new deadline, not set, of whatever belongs to no listener.
    pub(crate) fn alarm(&self) -> Alarm {
        self.sweep.alarm(Group::NONE)
    }

    /// A new deadline, not set, of a listener's connection.
    pub(crate) fn alarm_of(&self, listener: &Listener) -> Alarm {
        self.sweep.alarm(listener.group())
    }

    /// The shard's one read buffer. Never held across an await.
    pub(crate) fn scratch(&self) -> RefMut<'_, Box<[u8]>> {
        self.scratch.borrow_mut()
    }

    /// Where the shard's links frame and encrypt. Never held across an await.
    pub(crate) fn workbench(&self) -> RefMut<'_, Workbench> {
        self.workbench.borrow_mut()
    }

    /// This moment, to a tick.
    pub(crate) fn moment(&self) -> Moment {
        self.sweep.moment()
    }

    /// Moments that have to be exact.
    pub(crate) const fn punctual(&self) -> &Punctual {
        &self.punctual
    }

    /// What the shard's links count.
    pub(crate) fn links(&self) -> &LinkCounters {
        &self.counters.links
    }

    /// What the shard counts as a whole.
    pub(crate) const fn counters(&self) -> &Arc<ShardCounters> {
        &self.counters
    }

    /// The shard's pipes for bulk.
    pub(crate) const fn pipes(&self) -> &Rc<Pipes> {
        &self.pipes
    }

    /// The moment when the server stops accepting.
    pub(crate) fn stopping(&self) -> Stopping {
        Stopping(self.phase.clone())
    }

    /// Returns once connections are to be taken.
    pub(crate) async fn opened(&self) {
        // The sender lives as long as the server.
        let _ = self.phase.clone().wait_for(|phase| *phase != Phase::Starting).await;
    }

    /// Closes idle pipes, and gives memory that was freed back to the system; called with every tick, with how many bytes links
    /// gave back.
    fn tidy(&self, given_back: usize) {
        self.pipes.close_free();
        self.tide.gave_back(given_back);
        if self.tide.turns(self.live.count.get(), self.shared.memory.used()) {
            sys::return_free_memory();
        }
    }

    /// A number for a new session, unique in this process.
    pub(crate) fn next_session(&self) -> u64 {
        self.next_session.replace(self.next_session.get() + 1)
    }

    /// Counts a connection as living here.
    pub(crate) fn alive(self: &Rc<Self>) -> Alive {
        self.live.count.set(self.live.count.get() + 1);
        Alive(Rc::clone(self))
    }
}

impl Alive {
    /// The shard on which it lives.
    pub(crate) const fn shard(&self) -> &Rc<Shard> {
        &self.0
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        let live = &self.0.live;
        live.count.set(live.count.get() - 1);
        if live.count.get() == 0 {
            live.none_left.notify_one();
        }
    }
}
