//! One simulated data centre: what it knows, and the connections to it.

mod answer;
mod connection;
mod counters;
mod keys;
mod outbox;

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

pub(crate) use answer::{Answerer, Origin, Output, Turn};
pub use counters::{Counters, Counts};
use teleferry_proto::dc::DcId;

use self::connection::Connection;
use self::keys::Keys;
pub use crate::listener::Behaviour;
use crate::listener::{Accepted, Listener};
use crate::mtproto::RsaKey;

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

    /// Listens on a port that the kernel chooses.
    pub(crate) fn listen(self: &Arc<Self>, ip: IpAddr) -> io::Result<Listener> {
        let dc = Arc::clone(self);
        Listener::start(ip, move |accepted, behaviour| {
            let guest = Guest::new(&dc, &accepted);
            let silent = behaviour == Behaviour::Silent;
            (behaviour != Behaviour::Close).then(|| Connection::new(guest, accepted.stream, silent).run())
        })
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
    fn new(dc: &Arc<DataCentre>, accepted: &Accepted) -> Self {
        let number = dc.counters.accepted.next();
        dc.counters.publish();
        Self { dc: Arc::clone(dc), number, local: accepted.local }
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.dc.counters.closed.bump();
        self.dc.counters.publish();
    }
}
