//! One link as its clients and its pool see it. Its task drives it.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Waker;
use std::time::{Duration, Instant};

use rustc_hash::FxHashMap;
use teleferry_proto::dc::DcId;
use teleferry_proto::middle::{Client, DownReason, Middle, SendError};
use teleferry_proto::rpc::ConnId;

use super::port::{Message, Port};
use crate::observe::{LinkGauge, ShardCounters};

/// Bytes that may wait on a link before its clients are not read from.
const FULL: usize = 256 << 10;

/// A link that has lived this long has shown that its middle proxy is of use.
const PROVEN_AFTER: Duration = Duration::from_secs(1);

/// A connection to a middle proxy, made or to be made, and the clients on it.
#[derive(Debug)]
pub(super) struct Link {
    endpoint: SocketAddr,
    gauge: Arc<LinkGauge>,
    counters: Arc<ShardCounters>,
    begun: Instant,
    /// When it became ready; its middle proxy took the handshake then.
    ready: Cell<Option<Instant>>,
    /// The middle proxy has answered something.
    useful: Cell<bool>,
    /// It takes no new clients, and ends with its last one.
    retiring: Cell<bool>,
    /// Why it is to end.
    doom: RefCell<Option<Cause>>,
    /// `None` until it is connected, and once it has ended.
    machine: RefCell<Option<Box<Middle>>>,
    /// Ids are our own, counted up from a random one.
    ports: RefCell<FxHashMap<ConnId, Rc<Port>>>,
    /// Its task, and whether that was woken since it last ran.
    waker: RefCell<Option<Waker>>,
    woken: Cell<bool>,
    /// Its middle proxy is to be told of clients that have gone.
    parting: Cell<bool>,
    /// Sessions that wait until less is queued.
    blocked: RefCell<Vec<Waker>>,
}

/// Why a link ended.
#[derive(Debug)]
pub(super) enum Cause {
    /// It could not be connected; `None` when there was no time left.
    Connect(Option<io::Error>),
    /// Its socket broke.
    Broken(io::Error),
    /// The protocol's reasons.
    Down(DownReason),
    /// It answered nothing while it was asked, and there is another.
    Suspect,
    /// It was one too many, or its middle proxy is not published any more.
    Surplus,
}

impl Link {
    /// A link that is to be made.
    pub(super) fn new(dc: DcId, endpoint: SocketAddr, counters: &Arc<ShardCounters>, now: Instant) -> Self {
        Self {
            endpoint,
            gauge: counters.link(dc.get(), endpoint),
            counters: Arc::clone(counters),
            begun: now,
            ready: Cell::new(None),
            useful: Cell::new(false),
            retiring: Cell::new(false),
            doom: RefCell::new(None),
            machine: RefCell::new(None),
            ports: RefCell::default(),
            waker: RefCell::new(None),
            woken: Cell::new(false),
            parting: Cell::new(false),
            blocked: RefCell::default(),
        }
    }

    /// The middle proxy's address.
    pub(super) const fn endpoint(&self) -> SocketAddr {
        self.endpoint
    }

    /// Says to those who watch from outside how it stands.
    pub(super) fn tell(&self) {
        self.gauge.set(self.takes_clients(), self.is_suspect(), self.clients());
    }

    /// When it was begun.
    pub(super) const fn begun(&self) -> Instant {
        self.begun
    }

    /// How many clients are on it.
    pub(super) fn clients(&self) -> usize {
        self.ports.borrow().len()
    }

    /// True when it is connected and has no clients.
    pub(super) fn is_idle(&self) -> bool {
        self.ready.get().is_some() && self.ports.borrow().is_empty()
    }

    /// True while the handshake is not done.
    pub(super) const fn is_connecting(&self) -> bool {
        self.ready.get().is_none()
    }

    /// True when the handshake is done and it may get clients.
    pub(super) fn takes_clients(&self) -> bool {
        self.ready.get().is_some() && !self.retiring.get() && !self.is_doomed() && !self.is_suspect()
    }

    /// True while it was asked something and answers nothing.
    pub(super) fn is_suspect(&self) -> bool {
        self.machine.borrow().as_ref().is_some_and(|machine| machine.is_suspect())
    }

    /// True once it is to end.
    pub(super) fn is_doomed(&self) -> bool {
        self.doom.borrow().is_some()
    }

    /// True when it gets no clients any more.
    pub(super) const fn is_retiring(&self) -> bool {
        self.retiring.get()
    }

    /// It gets no clients any more.
    pub(super) fn retire(&self) {
        self.retiring.set(true);
    }

    /// It gets clients again after all.
    pub(super) fn stay(&self) {
        self.retiring.set(false);
    }

    /// True when it gets no clients any more, and could.
    pub(super) fn could_stay(&self) -> bool {
        self.ready.get().is_some() && self.retiring.get() && !self.is_doomed() && !self.is_suspect()
    }

    /// True when its middle proxy has shown that it is of use.
    pub(super) fn is_proven(&self, now: Instant) -> bool {
        let aged = |since: Instant| now.saturating_duration_since(since) >= PROVEN_AFTER;
        self.ready.get().is_some_and(|since| self.useful.get() || aged(since))
    }

    /// True when it was ready once.
    pub(super) const fn was_ready(&self) -> bool {
        self.ready.get().is_some()
    }

    /// Its task ends it, for this cause.
    pub(super) fn end(&self, cause: Cause) {
        self.doom.borrow_mut().get_or_insert(cause);
        self.wake();
    }

    /// A client joins; `None` when it cannot be taken.
    pub(super) fn open(&self, client: Arc<Client>, port: &Rc<Port>) -> Option<ConnId> {
        let conn = self.machine.borrow_mut().as_mut()?.open(client);
        self.ports.borrow_mut().insert(conn, Rc::clone(port));
        Some(conn)
    }

    /// Takes a client's message, which stands in two places; it goes out with the others of this turn.
    pub(super) fn send(
        &self,
        now: Instant,
        conn: ConnId,
        message: [&[u8]; 2],
        quick_ack: bool,
    ) -> Result<(), SendError> {
        let mut machine = self.machine.borrow_mut();
        machine.as_mut().ok_or(SendError::NotReady)?.send_pieces(now, conn, message, quick_ack)?;
        self.counters.messages.observe(message.map(<[u8]>::len).iter().sum::<usize>() as u64);
        self.wake();
        Ok(())
    }

    /// A client has gone. Its middle proxy is told with what is sent next, or after a tick: where many come and go, nobody needs a
    /// write for it.
    pub(super) fn close(&self, conn: ConnId) {
        self.forget(conn);
        if let Some(machine) = &mut *self.machine.borrow_mut() {
            machine.close(conn);
        }
        self.parting.set(true);
    }

    /// A tick has passed: clients that have gone are told of now.
    pub(super) fn tell_closed(&self) {
        if self.parting.replace(false) {
            self.wake();
        }
    }

    /// True when so much waits that clients should not be read from.
    pub(super) fn is_full(&self) -> bool {
        self.machine.borrow().as_ref().is_some_and(|machine| machine.queued() > FULL)
    }

    /// Has a session woken once it is not full.
    pub(super) fn wait_for_room(&self, waker: &Waker) {
        let mut blocked = self.blocked.borrow_mut();
        if !blocked.iter().any(|known| known.will_wake(waker)) {
            blocked.push(waker.clone());
        }
    }

    /// Gives back memory that it did not need since this was called last: so many bytes.
    pub(super) fn relax(&self) -> usize {
        self.machine.borrow_mut().as_mut().map_or(0, |machine| machine.relax())
    }

    /// Wakes its task, once a turn.
    pub(super) fn wake(&self) {
        if !self.woken.replace(true)
            && let Some(waker) = &*self.waker.borrow()
        {
            waker.wake_by_ref();
        }
    }
}

/// For its task.
impl Link {
    /// It is connected.
    pub(super) fn connected(&self, machine: Middle) {
        *self.machine.borrow_mut() = Some(Box::new(machine));
    }

    /// A turn of its task begins.
    pub(super) fn begin_turn(&self, waker: &Waker) {
        self.woken.set(false);
        self.parting.set(false);
        let mut known = self.waker.borrow_mut();
        match &mut *known {
            Some(known) => known.clone_from(waker),
            None => *known = Some(waker.clone()),
        }
    }

    /// Why it is to end, once.
    pub(super) fn take_doom(&self) -> Option<Cause> {
        self.doom.borrow_mut().take()
    }

    /// The machine, while it is connected.
    pub(super) const fn machine(&self) -> &RefCell<Option<Box<Middle>>> {
        &self.machine
    }

    /// Bytes that are still to be encrypted.
    pub(super) fn unsealed(&self) -> usize {
        self.machine.borrow().as_ref().map_or(0, |machine| machine.unsealed())
    }

    /// The client with this id.
    pub(super) fn port(&self, conn: ConnId) -> Option<Rc<Port>> {
        self.ports.borrow().get(&conn).cloned()
    }

    /// A client's id is gone.
    pub(super) fn forget(&self, conn: ConnId) -> Option<Rc<Port>> {
        self.ports.borrow_mut().remove(&conn)
    }

    /// The handshake is done.
    pub(super) fn became_ready(&self, now: Instant) {
        self.ready.set(Some(now));
    }

    /// The middle proxy has answered something.
    pub(super) fn answered(&self) {
        self.useful.set(true);
    }

    /// Wakes the sessions that wait, when there is room.
    pub(super) fn wake_blocked(&self, queued: usize) {
        if queued <= FULL / 2 && !self.blocked.borrow().is_empty() {
            self.blocked.take().into_iter().for_each(Waker::wake);
        }
    }

    /// Bytes that wait for its clients.
    pub(super) fn hoarded(&self) -> usize {
        self.ports.borrow().values().map(|port| port.queued()).sum()
    }

    /// Each of its clients for which something waits, and how many bytes that is.
    pub(super) fn hoards(&self) -> Vec<(ConnId, usize)> {
        let ports = self.ports.borrow();
        let hoards = ports.iter().map(|(&conn, port)| (conn, port.queued()));
        hoards.filter(|&(_, bytes)| bytes > 0).collect()
    }

    /// It has ended: its clients, each with its messages that certainly did not arrive, in order.
    pub(super) fn dissolve(&self) -> Vec<(Rc<Port>, Vec<Message>)> {
        let mut unsent: FxHashMap<ConnId, Vec<Message>> = FxHashMap::default();
        let machine = self.machine.take();
        for left in machine.into_iter().flat_map(|machine| machine.into_unsent()) {
            let message = Message { bytes: left.message, quick_ack: left.quick_ack };
            unsent.entry(left.conn).or_default().push(message);
        }
        let ports = self.ports.take();
        self.wake_blocked(0);
        let with_unsent = |(conn, port)| (port, unsent.remove(&conn).unwrap_or_default());
        ports.into_iter().map(with_unsent).collect()
    }
}

impl Cause {
    /// True when it says something bad of the middle proxy.
    pub(super) const fn is_failure(&self) -> bool {
        !matches!(self, Self::Surplus)
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect(Some(error)) => write!(f, "it cannot be connected to: {error}"),
            Self::Connect(None) => f.write_str("it cannot be connected to"),
            Self::Broken(error) => write!(f, "the connection broke: {error}"),
            Self::Down(reason) => reason.fmt(f),
            Self::Suspect => f.write_str("it answered nothing while it was asked"),
            Self::Surplus => f.write_str("it is not needed any more"),
        }
    }
}
