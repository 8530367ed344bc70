//! What an accepted connection owns, whatever becomes of it.

use std::rc::Rc;

use teleferry_proto::accept::Stranger;
use tracing::debug;

use crate::listen::Place;
use crate::net::Peer;
use crate::observe::{CloseReason, Kind, Masked};
use crate::shard::{Alarm, Alive, Expiry, Listener, Shard};

/// An accepted connection: its place below the ceilings, its deadline, its line in the counters. All of it is given back,
/// and its end counted, when it is dropped.
#[derive(Debug)]
pub(crate) struct Connection {
    id: u64,
    peer: Peer,
    reason: Option<CloseReason>,
    alarm: Alarm,
    listener: Rc<Listener>,
    shard: Rc<Shard>,
    _place: Place,
    _alive: Alive,
}

impl Connection {
    /// Counts the connection; it has the handshake time from now on.
    pub(super) fn open(shard: &Rc<Shard>, listener: &Rc<Listener>, place: Place, peer: Peer) -> Self {
        listener.counters.accepted.add(1);
        let alarm = shard.alarm_of(listener);
        alarm.set(shard.settings().handshake.timeout);
        let connection = Self {
            id: shard.next_session(),
            peer,
            reason: None,
            alarm,
            listener: Rc::clone(listener),
            shard: Rc::clone(shard),
            _place: place,
            _alive: shard.alive(),
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

    /// The other end's address as it may be logged.
    pub(crate) fn peer(&self) -> Masked {
        Masked::new(self.peer, self.shard.settings().log.mask_addresses)
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
        &self.shard
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
        debug!(session = self.id, listener = self.listener.name(), peer = %self.peer(), %reason, "closed");
    }
}
