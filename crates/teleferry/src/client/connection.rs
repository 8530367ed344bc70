//! What an accepted connection owns, whatever becomes of it.

use std::cell::OnceCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use teleferry_proto::accept::Stranger;
use teleferry_proto::dc::DcId;
use tracing::debug;

use crate::clock;
use crate::gate::Claim;
use crate::listen::Place;
use crate::net::Peer;
use crate::observe::{CloseReason, DcCounters, Kind, Masked, Stage};
use crate::shard::{Alarm, Alive, Expiry, Listener, Shard};

/// An accepted connection: its place below the ceilings, its deadline, its line in the counters. All of it is given back,
/// and its end counted, when it is dropped.
#[derive(Debug)]
pub(crate) struct Connection {
    id: u64,
    peer: Peer,
    reason: Option<CloseReason>,
    /// When it was accepted, in milliseconds of the shard's counting; it goes round every 49 days.
    accepted: u32,
    /// How many milliseconds later its handshake was done; at most this many.
    proven_after: u16,
    alarm: Alarm,
    listener: Rc<Listener>,
    /// Where it was taken to, if it is a session.
    dc: OnceCell<Arc<DcCounters>>,
    /// What the gate's rules count it in.
    claims: Vec<Claim>,
    _place: Place,
    alive: Alive,
}

impl Connection {
    /// Counts the connection; it has the handshake time from now on.
    pub(crate) fn open(shard: &Rc<Shard>, listener: &Rc<Listener>, place: Place, peer: Peer) -> Self {
        listener.counters.accepted.add(1);
        let alarm = shard.alarm_of(listener);
        alarm.set(shard.settings().handshake.timeout);
        let connection = Self {
            id: shard.next_session(),
            peer,
            reason: None,
            accepted: now(shard),
            proven_after: 0,
            alarm,
            listener: Rc::clone(listener),
            dc: OnceCell::new(),
            claims: Vec::new(),
            _place: place,
            alive: shard.alive(),
        };
        debug!(session = connection.id, listener = listener.name(), peer = %connection.peer(), "accepted");
        connection
    }

    /// Its number in the logs.
    pub(crate) const fn id(&self) -> u64 {
        self.id
    }

    /// The other end's address.
    pub(crate) const fn address(&self) -> Peer {
        self.peer
    }

    /// A load balancer tells whose connection this is.
    pub(super) fn passed_on_for(&mut self, peer: Peer) {
        self.peer = peer;
        debug!(session = self.id, listener = self.listener.name(), peer = %self.peer(), "passed on");
    }

    /// Is counted by the gate until it ends.
    pub(super) fn hold(&mut self, claims: Vec<Claim>) {
        self.claims = claims;
    }

    /// The other end's address as it may be logged.
    pub(crate) fn peer(&self) -> Masked {
        Masked::new(self.peer, self.shard().settings().log.mask_addresses)
    }

    /// Its deadline.
    pub(crate) const fn alarm(&self) -> &Alarm {
        &self.alarm
    }

    /// The listener that it came through.
    pub(crate) const fn listener(&self) -> &Rc<Listener> {
        &self.listener
    }

    /// The shard that it lives on.
    pub(crate) const fn shard(&self) -> &Rc<Shard> {
        self.alive.shard()
    }

    /// It has proven itself to be a client.
    pub(super) fn proven(&mut self) {
        self.proven_after = u16::try_from(self.age()).unwrap_or(u16::MAX);
    }

    /// The first byte for its client was relayed.
    pub(crate) fn answered(&self) {
        let millis = self.age().saturating_sub(u32::from(self.proven_after));
        self.shard().counters().stage(Stage::Relay, Duration::from_millis(millis.into()));
    }

    /// It is a session from now on, and is taken to this data centre.
    pub(super) fn taken_to(&self, dc: DcId) {
        self.dc.get_or_init(|| {
            let counters = self.shard().counters().dc(dc.get());
            counters.sessions.add(1);
            counters
        });
    }

    /// What is counted for its data centre, if it is a session.
    pub(crate) fn dc(&self) -> Option<&DcCounters> {
        self.dc.get().map(|counters| &**counters)
    }

    /// Milliseconds since it was accepted.
    fn age(&self) -> u32 {
        now(self.shard()).wrapping_sub(self.accepted)
    }

    /// Counts it as no client of ours.
    pub(super) fn stranger(&self, reason: Stranger) {
        self.listener.counters.stranger(reason);
        debug!(session = self.id, listener = self.listener.name(), peer = %self.peer(), reason = reason.label(), "a stranger");
    }

    /// Says why it ends. The first reason counts.
    pub(crate) fn ended(&mut self, reason: CloseReason) {
        self.reason.get_or_insert(reason);
    }

    /// What an alarm means: `late` when it was the deadline.
    pub(crate) const fn expired(&self, expiry: Expiry, late: CloseReason) -> CloseReason {
        match expiry {
            Expiry::Deadline => late,
            Expiry::Drained => CloseReason::proxy(Kind::Drained),
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // Without a reason something of ours went wrong: a task that panicked.
        let reason = self.reason.unwrap_or(CloseReason::proxy(Kind::Fault));
        self.listener.counters.closed(reason);
        if let Some(dc) = self.dc.get() {
            dc.ended.add(1);
            self.listener.counters.lifetime.observe(self.age().into());
        }
        debug!(session = self.id, listener = self.listener.name(), peer = %self.peer(), %reason, "closed");
    }
}

/// This moment in milliseconds of the shard's counting.
fn now(shard: &Shard) -> u32 {
    // The low half counts on from zero when it is full.
    shard.counters().millis(clock::now()) as u32
}
