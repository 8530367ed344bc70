//! One simulated data centre: what it knows, and the connections to it.

mod answer;
mod connection;
mod counters;
mod keys;
mod listener;
mod outbox;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;

pub use counters::{Counters, Counts};
pub(crate) use listener::Listener;
use teleferry_proto::dc::DcId;

use self::keys::Keys;
use crate::mtproto::RsaKey;

/// What a data centre does with new connections.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Behaviour {
    /// Speaks with them.
    #[default]
    Serve,
    /// Accepts and reads, but never answers.
    Silent,
    /// Accepts and closes at once. A client that has already sent something sees a reset.
    Close,
    /// Keeps the port without listening on it: connections are refused.
    Refuse,
}

/// What all connections to one data centre share.
pub(crate) struct DataCentre {
    id: i16,
    counters: Arc<Counters>,
    keys: Keys,
    rsa: Arc<RsaKey>,
    /// The ids of all data centres that exist.
    everyone: Arc<BTreeSet<i16>>,
}

impl DataCentre {
    pub(crate) fn new(id: i16, rsa: Arc<RsaKey>, everyone: Arc<BTreeSet<i16>>) -> Self {
        Self { id, counters: Arc::default(), keys: Keys::default(), rsa, everyone }
    }

    pub(crate) const fn counters(&self) -> &Arc<Counters> {
        &self.counters
    }

    /// Who is meant by the id in a header. A media id means the same data centre.
    fn addressee(&self, asked: DcId) -> Addressee {
        // Ids are positive here, so the most negative number is nobody's.
        match asked.get().checked_abs() {
            Some(id) if id == self.id => Addressee::Me,
            Some(id) if self.everyone.contains(&id) => Addressee::Other,
            _ => Addressee::Nobody,
        }
    }
}

/// Whom a header asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Addressee {
    Me,
    Other,
    Nobody,
}

/// One accepted connection, counted from here until it is dropped.
struct Guest {
    dc: Arc<DataCentre>,
    /// Its number at this data centre, from 1.
    number: u64,
    /// The address that it was accepted at.
    local: SocketAddr,
}

impl Guest {
    fn new(dc: &Arc<DataCentre>, local: SocketAddr) -> Self {
        let number = dc.counters.accepted.next();
        dc.counters.publish();
        Self { dc: Arc::clone(dc), number, local }
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.dc.counters.closed.bump();
        self.dc.counters.publish();
    }
}
